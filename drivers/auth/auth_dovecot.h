/*
 * Accounts asked of Dovecot, by its authentication protocol 1.x over a unix socket (the client's
 * side: doc/auth-protocol of Dovecot 2.3): the driver `dovecot` of auth_driver.h. Mechanisms are
 * carried through as they are, as far as Dovecot has them; of first messages it is checked only
 * that nobody acts for another.
 *
 * One connection, any number of requests on it. It is made anew by itself: what was asked on one
 * that broke is UNAVAILABLE, what comes while there is none waits for one, for a while.
 *
 * Threads: one. No call blocks.
 */
#ifndef AUTH_DOVECOT_H
#define AUTH_DOVECOT_H

#include "auth_driver.h"

struct auth_dovecot;

struct auth_dovecot_settings {
    const char *path; /* of the socket; borrowed for life */
    uint32_t exchange_max;
    struct auth_done done;
    /* What an operator should know: the connection is lost, is there again. May be NULL. */
    void (*note)(void *user, const char *text);
};

/* Connects at the first call of run. Returns 0 or a negative error. */
int auth_dovecot_open(struct auth_dovecot **out,
                      const struct auth_dovecot_settings *settings) BASE_WARN_UNUSED;
void auth_dovecot_close(struct auth_dovecot *d);

struct auth_driver auth_dovecot_driver(struct auth_dovecot *d);

#endif
