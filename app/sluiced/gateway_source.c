#include "gateway_source.h"
#include "state_dir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SUB       "sources"
#define NAME      "ledger"
#define BYTES_MAX (16u << 20)

int gateway_source_make(const struct conf *conf, char *why, size_t cap)
{
    int error = state_dir_make(conf->gateway.state_dir, SUB, conf->gateway.user, why, cap);

    return conf->source_cnt == 0 ? 0 : error;
}

int gateway_source_open(struct gateway *g, const struct conf *conf, char *why, size_t cap,
                        char *warn, size_t warn_cap)
{
    uint8_t *data = NULL;
    size_t len = 0;

    warn[0] = 0;
    g->source_dir = state_dir_open(conf->gateway.state_dir, SUB);
    if (g->source_dir < 0 && conf->source_cnt == 0)
        return 0;
    if (g->source_dir < 0) {
        snprintf(why, cap, "gateway: state_dir: cannot open %s/%s (%s)", conf->gateway.state_dir,
                 SUB, strerror(-g->source_dir));
        return g->source_dir;
    }
    int error = state_file_read(g->source_dir, NAME, BYTES_MAX, &data, &len);
    uint32_t bad_cnt = 0;
    if (error == 0)
        bad_cnt = courier_sources_load(&g->courier, base_span_of(data, len), loop_now_ns(),
                                       loop_wall_ns());
    free(data);
    if (error != 0 && error != -ENOENT)
        snprintf(warn, warn_cap, "%s/%s/%s cannot be read (%s): sources start afresh",
                 conf->gateway.state_dir, SUB, NAME, strerror(-error));
    else if (bad_cnt > 0)
        snprintf(warn, warn_cap, "%s/%s/%s is damaged: %u lines were left out",
                 conf->gateway.state_dir, SUB, NAME, bad_cnt);
    return 0;
}

static int put(struct gateway *g, struct kept_text *t)
{
    int error = 0;

    if (t != NULL && g->source_dir >= 0)
        error = state_file_replace(g->source_dir, NAME, base_span_of(t->bytes, t->len));
    kept_text_free(t);
    return error;
}

int gateway_source_tend(struct gateway *g)
{
    return put(g, courier_sources_take(&g->courier));
}

void gateway_source_close(struct gateway *g)
{
    if (g->courier.deliveries != NULL)
        (void)put(g, courier_sources_rest(&g->courier, loop_now_ns(), loop_wall_ns()));
    if (g->source_dir >= 0)
        close(g->source_dir);
    g->source_dir = -1;
}
