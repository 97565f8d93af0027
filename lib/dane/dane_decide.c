#include "dane_decide.h"

enum dane_mx dane_decide_mx(struct dane_lookup mx, bool null_mx)
{
    switch ((enum dane_state)mx.state) {
    case DANE_STATE_RECORDS:
        return null_mx ? DANE_MX_NULL : DANE_MX_HOSTS;
    case DANE_STATE_NODATA:
        return DANE_MX_IMPLICIT;
    case DANE_STATE_NXDOMAIN:
        return DANE_MX_NO_DOMAIN;
    default:
        return DANE_MX_UNKNOWN;
    }
}

/* ---- addresses ---- */

static bool is_error(struct dane_lookup l)
{
    return l.state == DANE_STATE_ERROR;
}

static bool has_records(struct dane_lookup l)
{
    return l.state == DANE_STATE_RECORDS;
}

static bool has_address(const struct dane_facts *f)
{
    return has_records(f->a) || has_records(f->aaaa);
}

/* One family that is validated is enough: zones whose absence of the other can't be proved are
 * many, and the name, which is what the TLSA records are of, is the same. */
static bool address_secure(const struct dane_facts *f)
{
    return (has_records(f->a) && f->a.secure) || (has_records(f->aaaa) && f->aaaa.secure);
}

static bool wants_dane(const struct dane_facts *f)
{
    return (f->level == DANE_LEVEL_DANE || f->level == DANE_LEVEL_DANE_ONLY) && has_address(f) &&
           !f->literal;
}

/* ---- questions ---- */

/* The answer at the end of the chain leaves the host's own name to be asked. */
static bool leads_on(struct dane_lookup tlsa)
{
    return tlsa.state == DANE_STATE_NODATA || tlsa.state == DANE_STATE_NXDOMAIN ||
           (has_records(tlsa) && !tlsa.secure);
}

enum dane_question dane_next_question(const struct dane_facts *f)
{
    /* Whoever can forge the MX set chooses the host: at dane-only nothing below it matters. */
    if (!wants_dane(f) || (f->level == DANE_LEVEL_DANE_ONLY && !f->mx_secure))
        return DANE_ASK_NOTHING;
    if (!address_secure(f)) {
        if (!f->alias)
            return DANE_ASK_NOTHING;
        /* A signed alias into an unsigned zone (RFC 7672 section 2.1.3): the chain as a whole is
         * insecure, so its first link is asked for by itself. */
        if (f->cname.state == DANE_STATE_UNASKED)
            return DANE_ASK_CNAME;
        if (!has_records(f->cname) || !f->cname.secure)
            return DANE_ASK_NOTHING;
    } else if (f->alias) {
        if (f->tlsa[DANE_EXPANDED].state == DANE_STATE_UNASKED)
            return DANE_ASK_EXPANDED;
        if (!leads_on(f->tlsa[DANE_EXPANDED]))
            return DANE_ASK_NOTHING;
    }
    return f->tlsa[DANE_ORIGINAL].state == DANE_STATE_UNASKED ? DANE_ASK_ORIGINAL
                                                              : DANE_ASK_NOTHING;
}

/* ---- the decision ---- */

static struct dane_decision next(enum dane_why why, const char *enhanced)
{
    return (struct dane_decision){.next = true, .why = (uint8_t)why, .enhanced = enhanced};
}

static struct dane_decision prove(enum dane_proof proof, enum dane_why why)
{
    return (struct dane_decision){.proof = (uint8_t)proof, .why = (uint8_t)why, .enhanced = ""};
}

/* What the level alone asks for. */
static struct dane_decision by_level(const struct dane_facts *f, enum dane_why why)
{
    static const uint8_t proof[DANE_LEVEL_CNT] = {
        [DANE_LEVEL_NONE] = DANE_PROOF_CLEAR,
        [DANE_LEVEL_MAY] = DANE_PROOF_OPTIONAL,
        [DANE_LEVEL_ENCRYPT] = DANE_PROOF_ENCRYPTED,
        [DANE_LEVEL_DANE] = DANE_PROOF_OPTIONAL,
        [DANE_LEVEL_FINGERPRINT] = DANE_PROOF_FINGERPRINTS,
        [DANE_LEVEL_VERIFY] = DANE_PROOF_NAMES,
        [DANE_LEVEL_SECURE] = DANE_PROOF_NAMES,
    };

    base_assert(f->level < DANE_LEVEL_CNT);
    if (f->level == DANE_LEVEL_DANE_ONLY)
        return next(why, "4.7.5");
    return prove((enum dane_proof)proof[f->level], why);
}

/* The operator asks for nothing that a policy would weaken, and wants TLS. */
static bool heeds_policy(const struct dane_facts *f)
{
    return f->level == DANE_LEVEL_MAY || f->level == DANE_LEVEL_ENCRYPT ||
           f->level == DANE_LEVEL_DANE;
}

/* RFC 8461 section 5: the host must be one that the policy names, with a certificate for its name.
 * d is what holds without a policy. */
static struct dane_decision with_policy(const struct dane_facts *f, struct dane_decision d)
{
    uint8_t policy = heeds_policy(f) && !f->literal ? f->policy : (uint8_t)DANE_POLICY_NONE;

    if (policy == DANE_POLICY_NONE || d.next)
        return d;
    if (policy == DANE_POLICY_ENFORCE && !f->policy_names_host) {
        d = next(DANE_WHY_POLICY_HOST, "4.7.5");
    } else if (policy == DANE_POLICY_ENFORCE) {
        if (d.proof != DANE_PROOF_RECORDS)
            d = prove(DANE_PROOF_NAMES, DANE_WHY_POLICY);
    } else if (d.proof == DANE_PROOF_OPTIONAL && f->policy_names_host) {
        d = prove(DANE_PROOF_NAMES, DANE_WHY_TESTING);
    } else if (!f->policy_names_host && d.proof != DANE_PROOF_RECORDS) {
        d.why = DANE_WHY_TESTING_HOST;
    } else {
        return d; /* TLS that is asked for in any case is not made less sure by a test */
    }
    d.policy = policy;
    return d;
}

/* DANE says nothing about this host: a policy speaks, and after it the level. */
static struct dane_decision without_dane(const struct dane_facts *f, enum dane_why why)
{
    return with_policy(f, by_level(f, why));
}

static struct dane_decision with_records(const struct dane_facts *f, uint8_t base)
{
    struct dane_decision d;

    if (f->usable[base])
        d = prove(DANE_PROOF_RECORDS, DANE_WHY_USABLE);
    else if (f->level == DANE_LEVEL_DANE_ONLY)
        return next(DANE_WHY_UNUSABLE, "4.7.5");
    else
        d = prove(DANE_PROOF_ENCRYPTED, DANE_WHY_UNUSABLE);
    d.base = base;
    d.trusted_only = !f->mx_secure;
    /* A secure MX set and a usable record leave nothing for a policy to add. */
    return f->usable[base] && f->mx_secure ? d : with_policy(f, d);
}

/* One name's records. Returns false when it has none that count: *why says it. */
static bool at_name(const struct dane_facts *f, uint8_t base, struct dane_decision *out,
                    enum dane_why *why)
{
    struct dane_lookup tlsa = f->tlsa[base];

    if (is_error(tlsa)) {
        *out = next(DANE_WHY_TLSA_ERROR, "4.7.5");
        return true;
    }
    if (has_records(tlsa) && tlsa.secure) {
        *out = with_records(f, base);
        return true;
    }
    *why = has_records(tlsa) ? DANE_WHY_UNSIGNED_TLSA : DANE_WHY_NO_TLSA;
    return false;
}

static struct dane_decision by_dane(const struct dane_facts *f)
{
    struct dane_decision d;
    enum dane_why why = DANE_WHY_NO_TLSA;

    base_assert(dane_next_question(f) == DANE_ASK_NOTHING);
    if (f->level == DANE_LEVEL_DANE_ONLY && !f->mx_secure)
        return next(DANE_WHY_UNSIGNED_MX, "4.7.5");
    if (!address_secure(f)) {
        if (!f->alias)
            return without_dane(f, DANE_WHY_UNSIGNED_ADDRESS);
        if (is_error(f->cname))
            return next(DANE_WHY_ALIAS_ERROR, "4.7.5");
        if (!has_records(f->cname) || !f->cname.secure)
            return without_dane(f, DANE_WHY_UNSIGNED_ALIAS);
    } else if (f->alias && at_name(f, DANE_EXPANDED, &d, &why)) {
        return d;
    }
    return at_name(f, DANE_ORIGINAL, &d, &why) ? d : without_dane(f, why);
}

bool dane_wants_policy(const struct dane_facts *f)
{
    struct dane_facts with = *f;
    struct dane_decision d;

    with.policy = DANE_POLICY_ENFORCE;
    with.policy_names_host = false;
    d = dane_decide(&with);
    return d.policy != DANE_POLICY_NONE;
}

struct dane_decision dane_decide(const struct dane_facts *f)
{
    struct dane_decision d;

    if (!f->literal && !has_address(f)) {
        if (is_error(f->a) || is_error(f->aaaa))
            return next(DANE_WHY_ADDRESS_ERROR, "4.4.3");
        d = next(DANE_WHY_NO_ADDRESS, "5.4.4");
        d.lasting = true;
        return d;
    }
    if (f->level != DANE_LEVEL_DANE && f->level != DANE_LEVEL_DANE_ONLY)
        return without_dane(f, DANE_WHY_LEVEL);
    return f->literal ? without_dane(f, DANE_WHY_LITERAL) : by_dane(f);
}

/* ---- words ---- */

const char *dane_why_text(enum dane_why why)
{
    static const char *const text[DANE_WHY_CNT] = {
        [DANE_WHY_LEVEL] = "by the level alone",
        [DANE_WHY_ADDRESS_ERROR] = "the addresses of the host could not be looked up",
        [DANE_WHY_NO_ADDRESS] = "the host has no address",
        [DANE_WHY_LITERAL] = "an address has no TLSA records",
        [DANE_WHY_UNSIGNED_ADDRESS] = "the host's address is not signed: no TLSA record counts",
        [DANE_WHY_UNSIGNED_ALIAS] = "the host is an alias that is not signed",
        [DANE_WHY_ALIAS_ERROR] = "the alias of the host could not be looked up",
        [DANE_WHY_TLSA_ERROR] = "the TLSA records of the host could not be looked up",
        [DANE_WHY_NO_TLSA] = "the host has no TLSA records",
        [DANE_WHY_UNSIGNED_TLSA] = "the TLSA records of the host are not signed",
        [DANE_WHY_UNUSABLE] = "the host has TLSA records, none of which is usable",
        [DANE_WHY_USABLE] = "the host has usable TLSA records",
        [DANE_WHY_UNSIGNED_MX] = "the MX records are not signed",
        [DANE_WHY_REQUIRETLS] = "REQUIRETLS asks for it",
        [DANE_WHY_NOT_SECURE] = "REQUIRETLS: the MX records are not signed",
        [DANE_WHY_CLEAR] = "REQUIRETLS: mail goes there in clear text by configuration",
        [DANE_WHY_TLS_OPTIONAL] = "TLS-Required: no leaves the level alone",
        [DANE_WHY_POLICY] = "the domain's MTA-STS policy asks for it",
        [DANE_WHY_POLICY_HOST] = "the domain's MTA-STS policy does not name the host",
        [DANE_WHY_TESTING] = "the domain's MTA-STS policy is tested",
        [DANE_WHY_TESTING_HOST] =
            "the domain's MTA-STS policy, which is tested, does not name the host",
    };

    return text[why];
}

const char *dane_level_name(enum dane_level level)
{
    static const char *const name[DANE_LEVEL_CNT] = {
        [DANE_LEVEL_NONE] = "none",
        [DANE_LEVEL_MAY] = "may",
        [DANE_LEVEL_ENCRYPT] = "encrypt",
        [DANE_LEVEL_DANE] = "dane",
        [DANE_LEVEL_DANE_ONLY] = "dane-only",
        [DANE_LEVEL_FINGERPRINT] = "fingerprint",
        [DANE_LEVEL_VERIFY] = "verify",
        [DANE_LEVEL_SECURE] = "secure",
        [DANE_LEVEL_STS] = "sts",
        [DANE_LEVEL_STS_TESTING] = "sts-testing",
    };

    return name[level];
}

const char *dane_proof_name(enum dane_proof proof)
{
    static const char *const name[DANE_PROOF_CNT] = {
        [DANE_PROOF_CLEAR] = "clear",
        [DANE_PROOF_OPTIONAL] = "optional",
        [DANE_PROOF_ENCRYPTED] = "encrypted",
        [DANE_PROOF_RECORDS] = "records",
        [DANE_PROOF_FINGERPRINTS] = "fingerprints",
        [DANE_PROOF_NAMES] = "names",
    };

    return name[proof];
}
