/* What the files of an inbound session share (conn_in.c, conn_rcpt.c, client_lists.c). */
#ifndef CONN_IN_INTERNAL_H
#define CONN_IN_INTERNAL_H

#include "lane.h"

/* What policy may know of the client. An address out of a header gives rights only where the
 * settings say so. */
struct policy_client conn_in_client(const struct conn *c);

/* Behind a proxy whose header names no client. */
bool conn_in_nobody(const struct conn *c);

/* By what policy judges in this pass. */
struct policy_view conn_in_view(const struct lane *l);

#endif
