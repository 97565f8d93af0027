/*
 * Key exchanges of several handshakes at once: tls_kex.h, batch. A ClientHello with a share of
 * X25519 waits for its turn, which comes at the end of the pass (tls_lane_run); there the answers
 * to all that came in the pass are made. Its own handshake finds its answer in gen and derive of
 * tls_x25519.c: by the connection, and by the share and the secret, as what is looked at here is
 * not what OpenSSL has understood.
 */
#include "tls_hello.h"
#include "tls_internal.h"

#include <openssl/crypto.h>

#define LOOK_MAX 64 /* of those that wait: the answers to more of them are made in other passes */

_Static_assert(TLS_HELLO_SHARE_BYTES == TLS_KEX_BYTES, "they are the same share");

bool tls_ahead_peek(struct tls_conn *c)
{
    const struct tls_kex_driver *kex = &c->domain->kex;
    const uint8_t *share;

    if (c->client || c->in.len == 0)
        return false;
    c->peeked = true;
    if (!c->domain->policy[c->policy].ahead || kex->ops == NULL || kex->ops->batch == NULL ||
        (share = tls_hello_share(c->in)) == NULL ||
        (c->answer = base_pool_get(&c->lane->answers)) == NULL)
        return false;
    memcpy(c->answer->peer, share, TLS_KEX_BYTES);
    c->answer->made = c->answer->tried = false;
    return true;
}

static bool takes_part(const struct tls_conn *c, const struct tls_domain *d)
{
    return c->domain == d && c->answer != NULL && !c->answer->tried;
}

/* Of ready[0]'s domain, with it. */
static void make(struct tls_lane *l, struct tls_conn *const *ready, uint32_t n)
{
    struct tls_kex_answer *answers[TLS_KEX_BATCH_MAX];
    struct tls_domain *d = ready[0]->domain;
    const struct tls_kex_driver *kex = &d->kex;
    uint32_t cnt = 0, seen = 0;

    for (uint32_t i = 0; i < n && cnt < TLS_KEX_BATCH_MAX; i++)
        if (takes_part(ready[i], d))
            answers[cnt++] = ready[i]->answer;
    base_list_each (at, &l->turn) {
        struct tls_conn *c = base_container_of(at, struct tls_conn, place);
        if (cnt == TLS_KEX_BATCH_MAX || seen++ == LOOK_MAX)
            break;
        if (takes_part(c, d))
            answers[cnt++] = c->answer;
    }
    if (cnt < 2)
        return;
    for (uint32_t i = 0; i < cnt; i++)
        answers[i]->tried = true;
    kex->ops->batch(kex->state, answers, cnt);
}

void tls_ahead_make(struct tls_lane *l, struct tls_conn *const *ready, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (takes_part(ready[i], ready[i]->domain))
            make(l, ready + i, n - i);
}

const struct tls_kex_answer *tls_ahead_of(const struct tls_domain *d,
                                          const uint8_t peer[TLS_KEX_BYTES])
{
    const struct tls_conn *c = d->lane->current;

    return c != NULL && c->domain == d && c->answer != NULL && c->answer->made &&
                   CRYPTO_memcmp(c->answer->peer, peer, TLS_KEX_BYTES) == 0
               ? c->answer
               : NULL;
}

void tls_ahead_drop(struct tls_conn *c)
{
    if (c->answer == NULL)
        return;
    OPENSSL_cleanse(c->answer, sizeof(*c->answer));
    base_pool_put(&c->lane->answers, c->answer);
    c->answer = NULL;
}
