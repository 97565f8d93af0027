/*
 * What of MTA-STS is told in TLS reports (RFC 8460 section 4): which policy a session or a plan is
 * counted by, and with which result.
 */
#include "unit.h"

#include "courier.h"
#include "courier_plan.h"
#include "courier_tlsrpt.h"

#include <stdio.h>

#define ENFORCE DANE_POLICY_ENFORCE
#define TESTING DANE_POLICY_TESTING
#define NONE    DANE_POLICY_NONE

#define PATTERNS "mx.a.example\0*.b.example"
#define STS(mode)                                                                                  \
    "sts\ta.example\tversion: STSv1\tmode: " mode "\tmx: mx.a.example\tmx: *.b.example\t"          \
    "max_age: 86400\t\tmx.a.example\t*.b.example"
#define STS_ALONE "sts\ta.example"
#define NO_POLICY "no-policy-found\ta.example"
#define TLSA      "tlsa\tmx.a.example\t3 1 1 ab"

static struct courier courier;
static struct stats_block block;
static struct tlsrpt_counts table;
static struct plan_host host;
static struct plan_sts sts;
static struct courier_plan whole, *const plan = &whole;

enum tlsa { NO_TLSA, USABLE, UNUSABLE };

/* mode: of the policy in force. */
static void make(uint8_t level, enum tlsa tlsa, uint8_t mode, bool named, uint8_t failure)
{
    static const uint8_t data[] = {0xab};
    static const struct dane_record record = {
        .usage = 3, .selector = 1, .matching = 1, .data = {.p = data, .len = 1}};
    static const uint8_t modes[] = {
        [NONE] = STS_MODE_NONE, [TESTING] = STS_MODE_TESTING, [ENFORCE] = STS_MODE_ENFORCE};

    assert_int_equal(tlsrpt_counts_init(&table, 16, 1 << 20, (const uint8_t[16]){0}), 0);
    courier.stats = &block;
    courier.tlsrpt = &table;
    host = (struct plan_host){.name = "mx.a.example", .ended = true, .refusal = PLAN_HOST_TAKEN};
    host.facts = (struct dane_facts){.level = level,
                                     .mx_secure = true,
                                     .a = {DANE_STATE_RECORDS, true},
                                     .policy = mode,
                                     .policy_names_host = named};
    host.facts.tlsa[DANE_ORIGINAL] =
        (struct dane_lookup){tlsa == NO_TLSA ? DANE_STATE_NODATA : DANE_STATE_RECORDS, true};
    host.facts.usable[DANE_ORIGINAL] = tlsa == USABLE;
    host.tlsa[DANE_ORIGINAL] = (struct plan_tlsa){.all = &record, .cnt = tlsa != NO_TLSA};
    host.decision = dane_decide(&host.facts);
    sts = (struct plan_sts){.state = PLAN_STS_KNOWN,
                            .record = STS_RECORD_VALID,
                            .domain = "a.example",
                            .has_policy = mode != NONE,
                            .policy = {.mode = modes[mode],
                                       .max_age_s = 86400,
                                       .mx_cnt = 2,
                                       .mx = PATTERNS,
                                       .mx_len = sizeof(PATTERNS)},
                            .failure = failure};
    snprintf(sts.why, sizeof(sts.why), "%s", failure != STS_FAILURE_NONE ? "it is not there" : "");
    plan->outcome = host.decision.next ? PLAN_DEFER : PLAN_READY;
    snprintf(plan->mx_name, sizeof(plan->mx_name), "a.example");
    plan->hosts = &host;
    plan->host_cnt = 1;
    plan->sts = &sts;
    plan->sts_cnt = 1;
}

/* The policy and the result that one session is counted by, and the words about it; NULL: none. */
static void expect(size_t row, const char *policy, const char *result, const char *reason)
{
    struct tlsrpt_domain *d = tlsrpt_counts_find(&table, 0, base_span_str("a.example"));
    char got[TLSRPT_DETAIL_MAX];

    if (policy == NULL) {
        if (d != NULL)
            fail_msg("row %zu: something is counted", row);
        return tlsrpt_counts_fini(&table);
    }
    const struct tlsrpt_policy *p = d != NULL ? d->policies : NULL;
    if (p == NULL || p->next != NULL) {
        fail_msg("row %zu: not one policy", row);
        return;
    }
    if (p->len != strlen(policy) || memcmp(p->text, policy, p->len) != 0)
        fail_msg("row %zu: %.*s", row, (int)p->len, (const char *)p->text);
    if (p->success_cnt + p->failure_cnt != 1)
        fail_msg("row %zu: counted %llu times", row,
                 (unsigned long long)(p->success_cnt + p->failure_cnt));
    snprintf(got, sizeof(got), "success");
    if (p->details != NULL)
        snprintf(got, sizeof(got), "%.*s", (int)p->details->len, (const char *)p->details->text);
    size_t len = strlen(result);
    if (strncmp(got, result, len) != 0 || (got[len] != 0 && got[len] != '\t') ||
        strstr(got, reason) == NULL)
        fail_msg("row %zu: %s", row, got);
    tlsrpt_counts_fini(&table);
}

enum { HELD, WAIVED, KEPT };
enum {
    FINE,
    FETCH = STS_FAILURE_FETCH,
    PKI = STS_FAILURE_CERTIFICATE,
    BAD = STS_FAILURE_POLICY,
    HERE = STS_FAILURE_HERE
};
enum { L_DANE = DANE_LEVEL_DANE, L_ENCRYPT = DANE_LEVEL_ENCRYPT, L_VERIFY = DANE_LEVEL_VERIFY };
enum {
    OK = TLSRPT_SUCCESS,
    TRUST = TLSRPT_CERTIFICATE_NOT_TRUSTED,
    STRIP = TLSRPT_STARTTLS_NOT_SUPPORTED
};
static const struct {
    uint8_t level, tlsa, mode;
    bool named;
    uint8_t failure, session, as;
    const char *policy, *result, *reason;
} sessions[] = {
    {L_DANE, NO_TLSA, ENFORCE, true, FINE, OK, HELD, STS("enforce"), "success", ""},
    {L_DANE, NO_TLSA, ENFORCE, true, FINE, TRUST, HELD, STS("enforce"), "certificate-not-trusted",
     "the lane's words"},
    {L_DANE, NO_TLSA, ENFORCE, true, FINE, STRIP, HELD, STS("enforce"), "starttls-not-supported",
     ""},
    {L_ENCRYPT, NO_TLSA, ENFORCE, true, FINE, TRUST, HELD, STS("enforce"),
     "certificate-not-trusted", ""},
    /* The mail went. */
    {L_DANE, NO_TLSA, TESTING, true, FINE, OK, HELD, STS("testing"), "success", ""},
    {L_DANE, NO_TLSA, TESTING, true, FINE, TRUST, HELD, STS("testing"), "certificate-not-trusted",
     ""},
    {L_DANE, NO_TLSA, TESTING, false, FINE, OK, HELD, STS("testing"), "validation-failure",
     "does not name the host"},
    {L_DANE, NO_TLSA, TESTING, false, FINE, STRIP, HELD, STS("testing"), "starttls-not-supported",
     ""},
    /* TLS in any case: what is only tested is not looked at, so nothing is said of it. */
    {L_ENCRYPT, NO_TLSA, TESTING, true, FINE, OK, HELD, NO_POLICY, "success", ""},
    {L_VERIFY, NO_TLSA, ENFORCE, false, FINE, TRUST, HELD, NO_POLICY, "success", ""},
    {L_DANE, NO_TLSA, NONE, false, FINE, OK, HELD, NO_POLICY, "success", ""},
    /* It could not be had. */
    {L_DANE, NO_TLSA, NONE, false, FETCH, OK, HELD, STS_ALONE, "sts-policy-fetch-error",
     "it is not there"},
    {L_DANE, NO_TLSA, NONE, false, PKI, OK, HELD, STS_ALONE, "sts-webpki-invalid",
     "it is not there"},
    {L_DANE, NO_TLSA, NONE, false, BAD, OK, HELD, STS_ALONE, "sts-policy-invalid", ""},
    {L_DANE, NO_TLSA, NONE, false, HERE, OK, HELD, NO_POLICY, "success", ""},
    {L_DANE, NO_TLSA, NONE, false, FETCH, STRIP, HELD, STS_ALONE, "starttls-not-supported", ""},
    {L_DANE, NO_TLSA, NONE, false, FETCH, TRUST, KEPT, STS_ALONE, "sts-policy-fetch-error", ""},
    {L_VERIFY, NO_TLSA, NONE, false, FETCH, TRUST, HELD, NO_POLICY, "success", ""},
    /* Beside DANE. */
    {L_DANE, USABLE, ENFORCE, false, FINE, OK, HELD, TLSA, "success", ""},
    {L_DANE, USABLE, NONE, false, FETCH, OK, HELD, TLSA, "success", ""},
    {L_DANE, UNUSABLE, ENFORCE, true, FINE, TRUST, HELD, STS("enforce"), "certificate-not-trusted",
     ""},
    {L_DANE, UNUSABLE, NONE, false, FETCH, OK, HELD, TLSA, "tlsa-invalid", ""},
    /* The sender waives it. */
    {L_DANE, NO_TLSA, ENFORCE, true, FINE, OK, WAIVED, NO_POLICY, "success", ""},
    {L_DANE, NO_TLSA, TESTING, false, FINE, OK, WAIVED, NO_POLICY, "success", ""},
    {L_DANE, USABLE, NONE, false, FINE, OK, WAIVED, NO_POLICY, "success", ""},
};

static void test_sessions(void **state)
{
    (void)state;

    for (size_t i = 0; i < BASE_ARRAY_CNT(sessions); i++) {
        make(sessions[i].level, (enum tlsa)sessions[i].tlsa, sessions[i].mode, sessions[i].named,
             sessions[i].failure);
        struct delivery d = {.plan = plan,
                             .tls_session = sessions[i].session,
                             .tls_success_cnt = sessions[i].session == OK,
                             .tls_reason = "the lane's words"};
        d.requirement = sessions[i].as == WAIVED ? &host.waived.requirement
                        : sessions[i].as == KEPT ? &host.kept.requirement
                                                 : &host.requirement;
        courier_tlsrpt_session(&courier, &d);
        expect(i, sessions[i].policy, sessions[i].result, sessions[i].reason);
    }
}

static void test_plans(void **state)
{
    static const struct {
        uint8_t tlsa, mode;
        bool named;
        uint8_t failure;
        const char *policy, *result, *reason;
    } rows[] = {
        {NO_TLSA, ENFORCE, false, STS_FAILURE_NONE, STS("enforce"),
         "validation-failure\t\tmx.a.example", "does not name the host"},
        {NO_TLSA, ENFORCE, true, STS_FAILURE_NONE, NULL, "", ""},
        {NO_TLSA, TESTING, false, STS_FAILURE_NONE, NULL, "", ""}, /* with its sessions */
        {NO_TLSA, NONE, false, STS_FAILURE_FETCH, NULL, "", ""},
        {USABLE, ENFORCE, false, STS_FAILURE_NONE, NULL, "", ""},
        /* An older one holds. */
        {NO_TLSA, ENFORCE, true, STS_FAILURE_POLICY, STS("enforce"), "sts-policy-invalid",
         "it is not there"},
        {NO_TLSA, ENFORCE, true, STS_FAILURE_HERE, NULL, "", ""},
    };
    (void)state;

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        make(DANE_LEVEL_DANE, (enum tlsa)rows[i].tlsa, rows[i].mode, rows[i].named,
             rows[i].failure);
        courier_tlsrpt_plan(&courier, plan);
        expect(i, rows[i].policy, rows[i].result, rows[i].reason);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_plans),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
