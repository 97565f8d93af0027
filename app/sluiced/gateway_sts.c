#include "gateway_sts.h"
#include "state_dir.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_NAME "policies"
#define FILE_MAX  ((size_t)256 << 20)

__attribute__((format(printf, 3, 4))) static void tell(struct gateway_sts *g, bool warning,
                                                       const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(g->note, sizeof(g->note), format, args);
    va_end(args);
    g->warning = warning;
}

static void load(struct gateway_sts *g, struct courier *c, uint64_t wall_ns)
{
    uint8_t *text;
    size_t len;
    int got = state_file_read(g->dir, FILE_NAME, FILE_MAX, &text, &len);

    if (got == 0)
        got = courier_sts_load(c, base_span_of(text, len), wall_ns);
    free(text);
    if (got > 0)
        tell(g, false, "mta-sts: %d policies that were kept are in force", got);
    else if (got < 0 && got != -ENOENT)
        tell(g, true, "mta-sts: the kept policies cannot be read (%s): they are fetched again",
             got == -EINVAL ? "the file is damaged" : strerror(-got));
}

void gateway_sts_open(struct gateway_sts *g, struct courier *c, const struct conf *conf,
                      uint64_t wall_ns)
{
    char why[256];

    *g = (struct gateway_sts){.dir = -1};
    int error = state_dir_make(conf->gateway.state_dir, GATEWAY_STS_SUB, conf->gateway.user, why,
                               sizeof(why));
    if (error == 0)
        g->dir = state_dir_open(conf->gateway.state_dir, GATEWAY_STS_SUB);
    if (!conf->delivery.mta_sts) /* a reload may ask for them, when nothing can be made any more */
        return;
    if (g->dir < 0)
        tell(g, true, "mta-sts: policies are not kept over a restart: state_dir: %.80s (%s)",
             conf->gateway.state_dir, strerror(error != 0 ? -error : -g->dir));
    else
        load(g, c, wall_ns);
}

void gateway_sts_tend(struct gateway_sts *g, struct courier *c)
{
    struct kept_text *image = courier_sts_image_take(c);
    struct stats_block *stats = topology_stats(c->topology, TOPOLOGY_CONTROL, 0);

    if (image == NULL)
        return;
    int error = g->dir < 0
                    ? 0
                    : state_file_replace(g->dir, FILE_NAME, base_span_of(image->bytes, image->len));
    if (g->dir >= 0)
        stats_inc(stats, error == 0 ? STATS_STS_SAVED : STATS_STS_SAVE_FAILED);
    if (error != 0 && !g->failed)
        tell(g, true, "mta-sts: the policies cannot be written to state_dir (%s)",
             strerror(-error));
    g->failed = error != 0;
    kept_text_free(image);
}

void gateway_sts_close(struct gateway_sts *g, struct courier *c)
{
    if (c->sts.cache.buckets != NULL) {
        gateway_sts_tend(g, c);
        courier_sts_image_make(c);
        gateway_sts_tend(g, c);
    }
    if (g->dir >= 0)
        close(g->dir);
    g->dir = -1;
}

bool gateway_sts_note(struct gateway_sts *g, char text[160], bool *warning)
{
    if (g->note[0] == 0)
        return false;
    memcpy(text, g->note, sizeof(g->note));
    *warning = g->warning;
    g->note[0] = 0;
    return true;
}
