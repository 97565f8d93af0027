/*
 * What the connections that were opened for a delivery came to as sessions of TLS, for the reports
 * of RFC 8460: each counts once, and only with the delivery that it was opened for; the one in
 * clear after a handshake that failed belongs to that. It is told in the delivery (tls_session).
 *
 * Threads: the lane of the connection.
 */
#ifndef CONN_TLS_SESSION_H
#define CONN_TLS_SESSION_H

#include "conn.h"
#include "dane_requirement.h"
#include "tlsrpt_words.h"

/* TLS stands, and what was to be proved is, or can be done without. */
void conn_tls_session_stands(const struct conn *c);
/* It has failed for good, or only clear text is tried again. */
void conn_tls_session_failed(const struct conn *c, enum tlsrpt_result result, const char *why);
/* The server's certificate was looked at. */
void conn_tls_session_judged(const struct conn *c, const struct dane_requirement *r,
                             enum dane_result result, const char *why);
/* The delivery leaves the connection. */
void conn_tls_session_end(const struct conn *c, struct delivery *d);

#endif
