/*
 * Users, as control sees them: starts the process of the accounts (again, when it dies), gives it
 * its configuration and the passwd file, and looks whether that has changed.
 *
 * Threads: control's; gateway_auth_open before the others run.
 */
#ifndef GATEWAY_AUTH_H
#define GATEWAY_AUTH_H

#include "auth.h"
#include "opener.h"

#include <sys/types.h>
#include <time.h>

struct gateway_auth_file {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec changed, modified;
};

struct gateway_auth {
    struct auth auth; /* conf NULL: there are no users */
    struct auth_message_config config;
    struct gateway_auth_file loaded, seen; /* of the passwd file */
    pid_t pid;
    uint64_t looked_ns, started_ns;
    uint32_t restart_cnt;
};

/* Starts the process, and the thread's state. Returns 0, or a negative error with a sentence in
 * err: a passwd file that is broken, for one. conf is the settings' the gateway starts with. */
int gateway_auth_open(struct gateway_auth *g, const struct conf *conf, struct topology *t,
                      struct opener *opener, char *err, size_t err_cap) BASE_WARN_UNUSED;
void gateway_auth_close(struct gateway_auth *g);

/* A file that has changed is taken at once, though it may still be being written. */
void gateway_auth_reload(struct gateway_auth *g, struct opener *opener);

/* Now and then: another process in place of one that died, a file that changed. Returns true when
 * it has started a process. */
bool gateway_auth_tend(struct gateway_auth *g, struct opener *opener, uint64_t now_ns);

#endif
