#include "conn_login.h"
#include "base_siphash.h"

#include <string.h>

void conn_login_init(struct conn_login *l, const uint8_t secret[16])
{
    memset(l, 0, sizeof(*l));
    memcpy(l->secret, secret, sizeof(l->secret));
}

void conn_login_fini(struct conn_login *l)
{
    explicit_bzero(l, sizeof(*l));
}

void conn_login_random(struct conn_login *l, uint8_t out[SMTP_SASL_NONCE_BYTES])
{
    for (size_t at = 0; at < SMTP_SASL_NONCE_BYTES; at += sizeof(uint64_t)) {
        uint64_t word = base_siphash(l->secret, &l->nonce_cnt, sizeof(l->nonce_cnt));
        size_t left = SMTP_SASL_NONCE_BYTES - at;
        l->nonce_cnt++;
        memcpy(out + at, &word, left < sizeof(word) ? left : sizeof(word));
    }
}

static bool same_salt(const struct smtp_sasl_salt *a, const struct smtp_sasl_salt *b)
{
    return a->iterations == b->iterations && a->len == b->len &&
           memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* The entry for it; else the one that was not used for longest. */
static struct conn_login_keys *find(struct conn_login *l, uint64_t login,
                                    const struct smtp_sasl_salt *salt)
{
    struct conn_login_keys *oldest = &l->keys[0];

    for (uint32_t i = 0; i < CONN_LOGIN_KEYS; i++) {
        struct conn_login_keys *k = &l->keys[i];
        if (k->login == login && same_salt(&k->derivation.salt, salt))
            return k;
        if (k->used < oldest->used)
            oldest = k;
    }
    explicit_bzero(oldest, sizeof(*oldest));
    oldest->login = login;
    oldest->derivation.salt = *salt;
    return oldest;
}

int conn_login_derive(struct conn_login *l, uint64_t login, struct base_span password,
                      const struct smtp_sasl_salt *salt, const struct smtp_sasl_keys **keys)
{
    struct conn_login_keys *k = find(l, login, salt);
    int result = 1;

    k->used = ++l->turn;
    if (!k->ready)
        result = smtp_sasl_derivation_run(&k->derivation, password, CONN_LOGIN_SLICE, &k->keys);
    if (result < 0)
        explicit_bzero(k, sizeof(*k));
    k->ready = result > 0;
    *keys = &k->keys;
    return result;
}
