/*
 * The login that a delivery's next hop wants, and what the operator hears when there is none: the
 * reason stands in the line of each recipient; what to change, in a warning of its own.
 *
 * Threads: the courier's.
 */
#ifndef COURIER_LOGIN_H
#define COURIER_LOGIN_H

#include "delivery.h"
#include "settings.h"
#include "smtp_client.h"

struct courier;

/* d has its policy, which becomes one of this login's alone. login: NULL: none. */
void courier_login_fill(const struct courier *c, struct delivery *d,
                        const struct settings_login *login);

/* Says in the log what is to be changed, when the delivery failed for the want of a login, or of TLS
 * at a next hop that a route names. */
void courier_login_tell(struct courier *c, const struct delivery *d);

#endif
