/*
 * TLS as a layer of a connection: what is the same for clients of ours and for next hops, over
 * conn->tls. Each direction has its own ops, with what it tells and counts around these.
 *
 * Threads: the lane's. Memory: conn->tls is the layer's until conn_tls_layer_close.
 */
#ifndef CONN_TLS_LAYER_H
#define CONN_TLS_LAYER_H

#include "conn.h"
#include "tls.h"

/* tls_conn_decode, its cycles counted as TLS's. */
enum tls_state conn_tls_layer_decode(struct conn *c, struct base_span in, size_t *consumed,
                                     struct base_buf *out, struct base_buf *down);

/* What has become of the records, as the layer below is to hear it. now: of tls_conn_decode, after
 * which out is what it has left. */
enum conn_layer_result conn_tls_layer_result(const struct conn *c, enum tls_state now,
                                             const struct base_buf *out);

/* conn_layer_ops; state is the connection. */
enum conn_layer_result conn_tls_layer_encode(void *state, struct base_span in, size_t *consumed,
                                             struct base_buf *out);
void conn_tls_layer_farewell(void *state, struct base_buf *down);
void conn_tls_layer_ended(void *state);
void conn_tls_layer_close(void *state);

#endif
