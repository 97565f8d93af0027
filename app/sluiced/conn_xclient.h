/*
 * XCLIENT of an inbound connection: a proxy in the listener's xclient_networks says who the client
 * is. From then on that client is the remote, as behind a PROXY header: by its address alone it
 * gets no right unless relay: proxied says so. LOGIN is a login where there can be one, on
 * listeners for users.
 */
#ifndef CONN_XCLIENT_H
#define CONN_XCLIENT_H

#include "conn.h"
#include "policy.h"

/* Whether this peer may say XCLIENT; asked once, when the session begins. */
bool conn_xclient_allowed(const struct conn *c);

/* The answer to it. With 220 all of the client is changed. text: room for the reply's. */
const struct smtp_reply *conn_xclient_answer(struct conn *c, struct smtp_reply *reply,
                                             char text[POLICY_TEXT_CAP]);

#endif
