#include "gateway_shape.h"
#include "state_dir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_NAME "now"
#define FILE_MAX  (1u << 20)

static void load(struct gateway_shape *g, struct courier *c, uint64_t now_ns, uint64_t wall_ns)
{
    uint8_t *text = NULL;
    size_t len = 0;
    int error = state_file_read(g->dir, FILE_NAME, FILE_MAX, &text, &len);
    uint32_t bad_cnt =
        error == 0 ? courier_shape_load(c, base_span_of(text, len), now_ns, wall_ns) : 0;

    free(text);
    if (error != 0 && error != -ENOENT)
        snprintf(g->note, sizeof(g->note),
                 "limits that fell cannot be read (%s): they start afresh", strerror(-error));
    else if (bad_cnt > 0)
        snprintf(g->note, sizeof(g->note),
                 "the file of limits that fell is damaged: %u lines were left out", bad_cnt);
}

void gateway_shape_open(struct gateway_shape *g, struct courier *c, const struct conf *conf,
                        uint64_t now_ns, uint64_t wall_ns)
{
    char why[256];
    int error = state_dir_make(conf->gateway.state_dir, GATEWAY_SHAPE_SUB, conf->gateway.user, why,
                               sizeof(why));

    *g = (struct gateway_shape){.dir = -1};
    if (error == 0)
        g->dir = state_dir_open(conf->gateway.state_dir, GATEWAY_SHAPE_SUB);
    if (g->dir >= 0)
        load(g, c, now_ns, wall_ns);
    else
        snprintf(g->note, sizeof(g->note),
                 "limits that fall are not kept over a restart: state_dir: %.80s (%s)",
                 conf->gateway.state_dir, strerror(error != 0 ? -error : -g->dir));
}

static void put(struct gateway_shape *g, struct kept_text *t)
{
    int error = 0;

    if (t == NULL)
        return;
    if (g->dir >= 0)
        error = state_file_replace(g->dir, FILE_NAME, base_span_of(t->bytes, t->len));
    if (error != 0 && !g->failed)
        snprintf(g->note, sizeof(g->note), "limits that fell cannot be written to state_dir (%s)",
                 strerror(-error));
    g->failed = error != 0;
    kept_text_free(t);
}

bool gateway_shape_tend(struct gateway_shape *g, struct courier *c)
{
    put(g, courier_shape_take(c));
    return g->note[0] != 0;
}

void gateway_shape_close(struct gateway_shape *g, struct courier *c, uint64_t now_ns,
                         uint64_t wall_ns)
{
    put(g, courier_shape_rest(c, now_ns, wall_ns));
    if (g->dir >= 0)
        close(g->dir);
    g->dir = -1;
}
