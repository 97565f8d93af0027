/*
 * The contexts made from one configuration, for one lane. Control builds it, the lane uses it, and
 * control frees it when the lane has said that it holds nothing of it: neither a connection nor an
 * operation, nor what OpenSSL keeps for the lane's thread (its random generators).
 */
#include "tls_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

static bool build_certificates(struct tls_domain *d, const struct tls_domain_spec *spec, char *why,
                               size_t cap)
{
    if (spec->certificate_cnt > TLS_CERTIFICATE_MAX) {
        snprintf(why, cap, "there are more than %d certificates", TLS_CERTIFICATE_MAX);
        return false;
    }
    d->certificate = calloc(TLS_CERTIFICATE_MAX, sizeof(d->certificate[0]));
    if (d->certificate == NULL)
        return false;
    for (uint32_t i = 0; i < spec->certificate_cnt; i++) {
        d->certificate_cnt++; /* what is open of it is closed by free */
        if (!tls_certificate_open(d, &d->certificate[i], &spec->certificates[i], spec->now_s, why,
                                  cap))
            return false;
    }
    return tls_name_build(d);
}

/* Any name that has this set: it tells the certificates. */
static const struct tls_name *set_find(const struct tls_domain *d, uint32_t set)
{
    if (set == 0)
        return &d->fallback;
    for (uint32_t i = 0; i < d->name_cnt; i++)
        if (d->name[i].set == set)
            return &d->name[i];
    return NULL;
}

static bool build_policy(struct tls_domain *d, struct tls_policy *p,
                         const struct tls_policy_spec *spec, char *why, size_t cap)
{
    uint32_t cnt = spec->client ? 1 : d->set_cnt;

    p->client = spec->client;
    p->alpn = spec->alpn;
    p->client_ca = spec->client_ca_pem.len > 0;
    p->ahead = !spec->client && spec->version_max != TLS_VERSION_12 &&
               (spec->groups == NULL || strcmp(spec->groups, "X25519") == 0 ||
                strncmp(spec->groups, "X25519:", 7) == 0);
    if (!spec->client && d->certificate_cnt == 0) {
        snprintf(why, cap, "%s: there is no certificate", spec->label);
        return false;
    }
    p->context = calloc(d->set_cnt, sizeof(SSL_CTX *));
    if (p->context == NULL)
        return false;
    for (uint32_t i = 0; i < cnt; i++) {
        p->context[i] = tls_context_new(d, spec, p, set_find(d, i), why, cap);
        if (p->context[i] == NULL)
            return false;
    }
    return true;
}

static bool build(struct tls_domain *d, const struct tls_domain_spec *spec, char *why, size_t cap)
{
    d->libctx = OSSL_LIB_CTX_new();
    if (d->libctx == NULL || !tls_provider_load(d))
        return false;
    d->ticket_cipher = EVP_CIPHER_fetch(d->libctx, "AES-256-CBC", NULL);
    d->bio_method = tls_bio_method_new();
    if (d->ticket_cipher == NULL || d->bio_method == NULL)
        return false;
    if (!build_certificates(d, spec, why, cap))
        return false;
    d->policy = calloc(spec->policy_cnt > 0 ? spec->policy_cnt : 1, sizeof(d->policy[0]));
    if (d->policy == NULL)
        return false;
    for (uint32_t i = 0; i < spec->policy_cnt; i++) {
        d->policy_cnt++;
        if (!build_policy(d, &d->policy[i], &spec->policies[i], why, cap))
            return false;
    }
    return true;
}

struct tls_domain *tls_domain_build(struct tls_lane *lane, const struct tls_domain_spec *spec,
                                    char *why, size_t why_cap)
{
    struct tls_domain *d = calloc(1, sizeof(*d));
    bool built;

    snprintf(why, why_cap, "memory is short");
    if (d == NULL)
        return NULL;
    d->lane = lane;
    base_list_init(&d->place);
    built = build(d, spec, why, why_cap);
    tls_thin_loaded();
    if (built) {
        why[0] = '\0';
        return d;
    }
    ERR_clear_error();
    tls_domain_free(d);
    return NULL;
}

const struct tls_certificate_info *tls_domain_certificate(const struct tls_domain *d, uint32_t i)
{
    return i < d->certificate_cnt ? &d->certificate[i].info : NULL;
}

void tls_domain_free(struct tls_domain *d)
{
    base_assert(!d->seen || tls_domain_released(d));
    for (uint32_t i = 0; i < d->policy_cnt; i++) {
        for (uint32_t j = 0; d->policy[i].context != NULL && j < d->set_cnt; j++)
            SSL_CTX_free(d->policy[i].context[j]);
        free(d->policy[i].context);
    }
    free(d->policy);
    for (uint32_t i = 0; i < d->certificate_cnt; i++)
        tls_certificate_close(&d->certificate[i]);
    free(d->certificate);
    free(d->name);
    BIO_meth_free(d->bio_method);
    EVP_CIPHER_free(d->ticket_cipher);
    tls_kex_plain_close(&d->kex_plain);
    if (d->provider_own != NULL)
        OSSL_PROVIDER_unload(d->provider_own);
    tls_thin_unload(d);
    free(d);
}

/* ---- by the lane ---- */

void tls_domain_hold(struct tls_domain *d)
{
    base_assert(!atomic_load_explicit(&d->released, memory_order_relaxed));
    d->user_cnt++;
}

static void release_if_done(struct tls_domain *d)
{
    if (!d->retired || d->user_cnt > 0)
        return;
    if (d->seen) {
        tls_thin_stop(d);
        base_list_remove(&d->place);
    }
    /* Pairs with the acquire in tls_domain_released: nothing of it is touched from here on. */
    atomic_store_explicit(&d->released, true, memory_order_release);
}

void tls_domain_drop(struct tls_domain *d)
{
    base_assert(d->user_cnt > 0);
    d->user_cnt--;
    release_if_done(d);
}

void tls_domain_retire(struct tls_domain *d)
{
    d->retired = true;
    tls_sessions_forget(d->lane, d);
    release_if_done(d);
}

bool tls_domain_released(const struct tls_domain *d)
{
    return atomic_load_explicit(&d->released, memory_order_acquire);
}
