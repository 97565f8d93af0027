/*
 * The helper processes of the gateway: each is this same program, exec'ed as `sluiced --role=NAME`
 * before EAL starts, with one end of a socket pair as descriptor 3 and nothing else open but
 * stderr. A role that dies is started again through the opener, which keeps the privilege to do so.
 *
 * To add one: a row in role.c with its main function, which holds itself to a list of sandbox.h.
 */
#ifndef ROLE_H
#define ROLE_H

#include "base_assert.h"

#include <sys/types.h>

#define ROLE_SOCKET 3 /* the descriptor that every role starts with */

struct role {
    const char *name;
    int (*main)(int socket); /* returns the exit status */
};

/* By name; NULL when there is none. */
const struct role *role_find(const char *name);

/* Starts the role; *socket is our end (SOCK_SEQPACKET, close-on-exec), which the caller closes.
 * Returns the pid, or a negative error. */
pid_t role_spawn(const char *name, int *socket) BASE_WARN_UNUSED;

/* What main runs in a role process after exec. */
int role_run(const char *name);

#endif
