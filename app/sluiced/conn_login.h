/*
 * What a lane keeps for logins at next hops: nonces, and the keys of SCRAM. To make such keys takes
 * milliseconds by purpose, so it is done by slices, one a pass, and what was made is kept: a next
 * hop gives the same salt each time.
 *
 * Threads: the lane's. Memory: in the lane; keys are wiped at its end.
 */
#ifndef CONN_LOGIN_H
#define CONN_LOGIN_H

#include "smtp_sasl_client.h"

#define CONN_LOGIN_KEYS  8
#define CONN_LOGIN_SLICE 512 /* iterations a pass: a quarter of a millisecond */

struct conn_login_keys {
    uint64_t login; /* settings_login's id; 0: free */
    uint64_t used;
    struct smtp_sasl_derivation derivation;
    struct smtp_sasl_keys keys;
    bool ready;
};

struct conn_login {
    uint8_t secret[16];
    uint64_t nonce_cnt, turn;
    struct conn_login_keys keys[CONN_LOGIN_KEYS];
};

void conn_login_init(struct conn_login *l, const uint8_t secret[16]);
void conn_login_fini(struct conn_login *l);

void conn_login_random(struct conn_login *l, uint8_t out[SMTP_SASL_NONCE_BYTES]);

/* Works on the keys of that login for a salt. Returns 1 with *keys when they are there (until the
 * next call), 0: call again on the next pass; -EIO. */
int conn_login_derive(struct conn_login *l, uint64_t login, struct base_span password,
                      const struct smtp_sasl_salt *salt,
                      const struct smtp_sasl_keys **keys) BASE_WARN_UNUSED;

#endif
