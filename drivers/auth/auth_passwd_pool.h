/*
 * The threads that make hashes: a bounded number of jobs at a time, each slow by purpose.
 *
 * Threads: the owner's one calls all but auth_passwd_check; the workers are ours. A job is the
 * worker's between push and pop. Memory: jobs are the caller's.
 */
#ifndef AUTH_PASSWD_POOL_H
#define AUTH_PASSWD_POOL_H

#include "auth_passwd_file.h"

#include <stdbool.h>

struct auth_passwd_pool;

struct auth_passwd_job {
    struct auth_passwd_job *next;
    const char *password; /* of password_len bytes and a NUL; borrowed until it is popped */
    size_t password_len;
    char hash[AUTH_PASSWD_HASH_MAX]; /* of the account; empty: verifier is */
    struct smtp_sasl_verifier verifier;
    bool matches;
};

/* Returns 0 or a negative error. job_max: those that wait and those under way, together. */
int auth_passwd_pool_open(struct auth_passwd_pool **out, uint32_t threads,
                          uint32_t job_max) BASE_WARN_UNUSED;
/* Jobs that were not popped are given up. */
void auth_passwd_pool_close(struct auth_passwd_pool *p);

/* False: too many. */
bool auth_passwd_pool_push(struct auth_passwd_pool *p, struct auth_passwd_job *job);
/* One that is done, or NULL. */
struct auth_passwd_job *auth_passwd_pool_pop(struct auth_passwd_pool *p);
/* Readable while something may be done. */
int auth_passwd_pool_fd(const struct auth_passwd_pool *p);

#endif
