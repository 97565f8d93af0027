/* Whether a server has proved what a requirement asks for, and if not, what is wrong with it. */
#include "conn_tls_out.h"
#include "conn_tls_session.h"
#include "base_time.h"
#include "dane_trust.h"
#include "lane.h"

#include <stdio.h>
#include <time.h>

static void put_date(char *to, size_t cap, int64_t s)
{
    time_t t = (time_t)s;
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL || strftime(to, cap, "%Y-%m-%d", &tm) == 0)
        to[0] = 0;
}

/* What a person needs who has to do something about it. */
static void explain(enum dane_result result, const struct dane_requirement *r,
                    const struct dane_chain *chain, int64_t now_s, char *why, size_t cap)
{
    struct dane_shown shown = {.names = ""};
    char date[16];

    if (!dane_shown_read(&shown, chain))
        result = DANE_NO_CERTIFICATE;
    switch (result) {
    case DANE_NAME_MISMATCH:
        snprintf(why, cap, "certificate is for %s, not %s", shown.names,
                 r->name_cnt > 0 ? r->names[0] : "this host");
        break;
    case DANE_EXPIRED:
        if (now_s < shown.not_before_s)
            put_date(date, sizeof(date), shown.not_before_s);
        else
            put_date(date, sizeof(date), shown.not_after_s);
        if (now_s >= shown.not_before_s && now_s < shown.not_after_s)
            snprintf(why, cap, "a certificate in its chain has expired");
        else
            snprintf(why, cap, "certificate %s on %s",
                     now_s < shown.not_before_s ? "is valid only" : "expired", date);
        break;
    case DANE_NO_CERTIFICATE:
        snprintf(why, cap, "the server showed no certificate that can be read");
        break;
    case DANE_NOT_VALID:
        snprintf(why, cap, "certificate of %s: its chain is not valid", shown.names);
        break;
    default:
        if (r->proof == DANE_PROOF_RECORDS)
            snprintf(why, cap, "TLSA: no match for the certificate of %s", shown.names);
        else if (r->proof == DANE_PROOF_FINGERPRINTS)
            snprintf(why, cap, "fingerprint: none matches the certificate of %s", shown.names);
        else
            snprintf(why, cap, "certificate is by %s, which is no trusted authority", shown.issuer);
        break;
    }
}

/* Where a policy of MTA-STS asks for a name as well, it can take away, never add. */
static enum dane_result by_records(const struct lane *l, const struct dane_requirement *r,
                                   const struct dane_chain *chain, int64_t now_s)
{
    uint32_t matched;
    enum dane_result result =
        dane_match(r->records, r->record_cnt, chain, r->names, r->name_cnt, now_s, &matched);

    if (!dane_result_ok(result) || r->policy_name == NULL)
        return result;
    enum dane_result by_name = dane_verify(l->tls->trust, chain, &r->policy_name, 1, now_s);
    return dane_result_ok(by_name) ? result : by_name;
}

static enum dane_result judge(const struct lane *l, const struct dane_requirement *r,
                              const struct dane_chain *chain, int64_t now_s)
{
    switch ((enum dane_proof)r->proof) {
    case DANE_PROOF_RECORDS:
        return by_records(l, r, chain, now_s);
    case DANE_PROOF_FINGERPRINTS:
        return dane_fingerprint(chain, r->fingerprints, r->fingerprint_cnt) ? DANE_MATCH_EE
                                                                            : DANE_NO_MATCH;
    case DANE_PROOF_NAMES:
        return dane_verify(l->tls->trust, chain, r->names, r->name_cnt, now_s);
    default:
        base_assert(false);
        return DANE_NO_MATCH;
    }
}

enum delivery_tls conn_tls_judge(const struct conn *c, const struct dane_requirement *r, char *why,
                                 size_t cap)
{
    int64_t now_s = (int64_t)(c->lane->wall_ns / BASE_NS_S);
    enum dane_result result = DANE_NO_CERTIFICATE;
    struct dane_chain chain;

    why[0] = 0;
    if (tls_conn_chain(c->tls, &chain) == 0)
        result = judge(c->lane, r, &chain, now_s);
    if (!dane_result_ok(result))
        explain(result, r, &chain, now_s, why, cap);
    conn_tls_session_judged(c, r, result, why);
    dane_chain_free(&chain);
    if (!dane_result_ok(result))
        return DELIVERY_TLS_UNTRUSTED;
    return r->trusted_only ? DELIVERY_TLS_TRUSTED : DELIVERY_TLS_VERIFIED;
}
