#include "conn_tls_layer.h"
#include "lane.h"

enum tls_state conn_tls_layer_decode(struct conn *c, struct base_span in, size_t *consumed,
                                     struct base_buf *out, struct base_buf *down)
{
    enum lane_part part = lane_cycles_enter(&c->lane->cycles, LANE_PART_TLS);
    enum tls_state now = tls_conn_decode(c->tls, in, consumed, out, down);

    lane_cycles_enter(&c->lane->cycles, part);
    return now;
}

enum conn_layer_result conn_tls_layer_result(const struct conn *c, enum tls_state now,
                                             const struct base_buf *out)
{
    if (now == TLS_FAILED)
        return CONN_LAYER_BAD;
    if (now == TLS_CLOSED)
        return CONN_LAYER_ENDED;
    return tls_conn_wants(c->tls) == TLS_WANT_ROOM && out->len < out->cap ? CONN_LAYER_AGAIN
                                                                          : CONN_LAYER_OK;
}

enum conn_layer_result conn_tls_layer_encode(void *state, struct base_span in, size_t *consumed,
                                             struct base_buf *out)
{
    struct conn *c = state;
    enum lane_part part = lane_cycles_enter(&c->lane->cycles, LANE_PART_TLS);
    enum tls_state now = tls_conn_encode(c->tls, in, consumed, out);

    lane_cycles_enter(&c->lane->cycles, part);
    return now == TLS_FAILED ? CONN_LAYER_BAD : CONN_LAYER_OK;
}

void conn_tls_layer_farewell(void *state, struct base_buf *down)
{
    tls_conn_shutdown(((struct conn *)state)->tls, down);
}

void conn_tls_layer_ended(void *state)
{
    (void)tls_conn_ended(((struct conn *)state)->tls);
}

void conn_tls_layer_close(void *state)
{
    struct conn *c = state;
    enum lane_part part = lane_cycles_enter(&c->lane->cycles, LANE_PART_TLS);

    tls_conn_close(c->tls);
    c->tls = NULL;
    lane_cycles_enter(&c->lane->cycles, part);
}
