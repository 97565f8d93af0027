#include "dane_requiretls.h"

/* Nobody who forges an answer of the DNS could have chosen the host (RFC 8689 section 4.2.1). */
static bool found_securely(const struct dane_facts *f, const struct dane_decision *d)
{
    return f->mx_secure || d->policy == DANE_POLICY_ENFORCE;
}

static struct dane_decision never(enum dane_why why)
{
    return (struct dane_decision){
        .next = true, .lasting = true, .why = (uint8_t)why, .enhanced = "5.7.10"};
}

static struct dane_decision enforce(const struct dane_facts *f, struct dane_decision d)
{
    bool names = d.proof == DANE_PROOF_NAMES;

    if (d.proof == DANE_PROOF_FINGERPRINTS || (names && f->level == DANE_LEVEL_SECURE))
        return d;
    if (!found_securely(f, &d))
        return never(DANE_WHY_NOT_SECURE);
    if (names || d.proof == DANE_PROOF_RECORDS)
        return d;
    return (struct dane_decision){
        .proof = DANE_PROOF_NAMES, .why = DANE_WHY_REQUIRETLS, .enhanced = ""};
}

struct dane_decision dane_keep(const struct dane_facts *f, enum dane_keep policy)
{
    struct dane_facts own = *f;

    if (own.policy == DANE_POLICY_TESTING) /* which lets mail pass that it would not take */
        own.policy = DANE_POLICY_NONE;
    struct dane_decision d = dane_decide(&own);
    if (d.next || policy == DANE_KEEP_OPPORTUNISTIC || policy == DANE_KEEP_DISABLE)
        return d;
    if (d.proof == DANE_PROOF_CLEAR)
        return never(DANE_WHY_CLEAR);
    if (policy == DANE_KEEP_ENFORCE)
        return enforce(f, d);
    if (d.proof == DANE_PROOF_OPTIONAL)
        d = (struct dane_decision){
            .proof = DANE_PROOF_ENCRYPTED, .why = DANE_WHY_REQUIRETLS, .enhanced = ""};
    return d;
}

struct dane_decision dane_waive(const struct dane_facts *f)
{
    struct dane_facts own = *f;

    if (own.level == DANE_LEVEL_DANE)
        own.level = DANE_LEVEL_MAY;
    own.policy = DANE_POLICY_NONE;
    struct dane_decision d = dane_decide(&own);
    if (!d.next && (own.level != f->level || own.policy != f->policy))
        d.why = DANE_WHY_TLS_OPTIONAL;
    return d;
}
