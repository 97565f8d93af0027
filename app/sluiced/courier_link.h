/*
 * How a delivery reaches its next hop beside what the connection must prove: SMTP or LMTP, by the
 * lane's TCP or the kernel's sockets, and what final delivery puts before the message.
 *
 * Threads: the courier's.
 */
#ifndef COURIER_LINK_H
#define COURIER_LINK_H

#include "courier_plan.h"

/* d has its policy (courier_requirement_fill), which becomes one of this way alone. */
void courier_link_fill(const struct courier *c, struct delivery *d,
                       const struct settings_route *route, const struct plan_target *target);

/* "192.0.2.1:25", "unix:/path"; to tell whoever asks. */
#define COURIER_LINK_TEXT_CAP (NET_STREAM_PATH_CAP + 8)
void courier_link_format(char out[COURIER_LINK_TEXT_CAP], const struct net_endpoint *host,
                         const struct net_stream_target *stream);

#endif
