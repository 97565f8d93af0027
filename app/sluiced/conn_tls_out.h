/*
 * TLS of a connection to a next hop: the layer, and what stands in the place of the SMTP client
 * until the handshake is done and the server has proved what the delivery's requirement asks for.
 *
 * A handshake that fails is tried once more over a fresh connection: without a session where one
 * was offered, and with the shortest first message there can be, where the server had not said a
 * byte in it; and then in clear, where TLS is
 * optional and the delivery says so (tls_clear_after). Clear text never follows on the connection
 * that TLS had begun on.
 *
 * A server's certificate is judged in a turn of its own: at most one in a pass of the lane, as that
 * takes some 100 us.
 *
 * Threads: its lane's only.
 */
#ifndef CONN_TLS_OUT_H
#define CONN_TLS_OUT_H

#include "conn.h"

/* What a delivery's connection is the how-many-th try of. */
enum conn_tls_try {
    CONN_TLS_TRY_WHOLE,
    CONN_TLS_TRY_FRESH, /* likewise, but offers no session: one that was offered did not help */
    CONN_TLS_TRY_SMALL, /* the small first message */
    CONN_TLS_TRY_CLEAR, /* after a failed handshake; such a connection is not kept */
};

/* How the client is to ask for TLS, for a delivery on a fresh connection. */
enum smtp_client_tls conn_tls_out_want(const struct delivery *d);

/* Begins TLS; nothing in clear waits any more. Where the lane can have none now the delivery goes
 * back unattempted. */
void conn_tls_out_start(struct conn *c);

/* What the server of an established connection has proved: VERIFIED, TRUSTED, or UNTRUSTED with
 * what is wrong in why. Slow. conn_tls_judge.c */
enum delivery_tls conn_tls_judge(const struct conn *c, const struct dane_requirement *r, char *why,
                                 size_t cap);

/* Judges the certificate of the connection that has waited longest for that, if there is one.
 * Returns how many. */
uint32_t conn_tls_out_pass(struct lane *l);

#endif
