/*
 * What a delivery's PROXY header tells: the client that sent the message and where it had connected
 * to, as the envelope has them, whatever the families of our own connection. There is no client for
 * our own reports; and none is told of with an address that no client has, or that is ours, lest
 * the next hop gives it rights.
 *
 * Threads: the courier's.
 */
#ifndef COURIER_PROXY_H
#define COURIER_PROXY_H

#include "conf.h"
#include "delivery.h"

struct courier;

/* d has its job and its policy, which becomes one of this client's alone. */
void courier_proxy_fill(const struct courier *c, struct delivery *d, enum conf_proxy_send send);

#endif
