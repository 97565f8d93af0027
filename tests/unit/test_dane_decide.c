/*
 * The chain of decision, row by row (the ids are those of the table in the issue: D01 finding the
 * host, D20 the TLSA answer), then over every combination of answers and levels: what must hold
 * whatever came.
 */
#include "unit.h"

#include "dane_decide.h"

#define S(what)                                                                                    \
    {                                                                                              \
        DANE_STATE_##what, true                                                                    \
    }
#define I(what)                                                                                    \
    {                                                                                              \
        DANE_STATE_##what, false                                                                   \
    }
#define E                                                                                          \
    {                                                                                              \
        DANE_STATE_ERROR, false                                                                    \
    }
#define NO                                                                                         \
    {                                                                                              \
        DANE_STATE_UNASKED, false                                                                  \
    }

static void test_mx(void **state)
{
    static const struct {
        const char *id;
        struct dane_lookup mx;
        bool null_mx;
        enum dane_mx want;
    } rows[] = {
        {"D01 error", E, false, DANE_MX_UNKNOWN},
        {"D01 never asked", NO, false, DANE_MX_UNKNOWN},
        {"D02 secure", S(NXDOMAIN), false, DANE_MX_NO_DOMAIN},
        {"D02 insecure", I(NXDOMAIN), false, DANE_MX_NO_DOMAIN},
        {"D03 secure", S(NODATA), false, DANE_MX_IMPLICIT},
        {"D03 insecure", I(NODATA), false, DANE_MX_IMPLICIT},
        {"D04 secure", S(RECORDS), true, DANE_MX_NULL},
        {"D04 insecure", I(RECORDS), true, DANE_MX_NULL},
        {"D14 insecure", I(RECORDS), false, DANE_MX_HOSTS},
        {"secure", S(RECORDS), false, DANE_MX_HOSTS},
    };
    (void)state;

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++)
        if (dane_decide_mx(rows[i].mx, rows[i].null_mx) != rows[i].want)
            fail_msg("%s", rows[i].id);
}

/* ---- rows ---- */

struct row {
    const char *id;
    struct dane_facts facts; /* of level dane, unless said otherwise */
    /* The questions that are asked on the way, in order: c, e, o. */
    const char *asked;
    enum dane_why why;
    const char *dane, *only; /* "records", "trusted", "encrypted", "optional", "next" */
    uint8_t base;
};

static const struct row rows[] = {
    {"D03 implicit MX, all secure",
     {.mx_secure = true, .a = S(RECORDS), .tlsa[1] = S(RECORDS), .usable[1] = true},
     "o",
     DANE_WHY_USABLE,
     "records",
     "records",
     DANE_ORIGINAL},
    {"D05 both families fail",
     {.mx_secure = true, .a = E, .aaaa = E},
     "",
     DANE_WHY_ADDRESS_ERROR,
     "next",
     "next",
     0},
    {"D05 the one that we have fails",
     {.mx_secure = true, .a = E},
     "",
     DANE_WHY_ADDRESS_ERROR,
     "next",
     "next",
     0},
    {"D05 the one fails, the other has none",
     {.mx_secure = true, .a = S(NODATA), .aaaa = E},
     "",
     DANE_WHY_ADDRESS_ERROR,
     "next",
     "next",
     0},
    {"D06 A secure, AAAA fails",
     {.mx_secure = true, .a = S(RECORDS), .aaaa = E, .tlsa[1] = S(RECORDS), .usable[1] = true},
     "o",
     DANE_WHY_USABLE,
     "records",
     "records",
     DANE_ORIGINAL},
    {"D06 AAAA secure, A fails",
     {.mx_secure = true, .a = E, .aaaa = S(RECORDS), .tlsa[1] = S(RECORDS), .usable[1] = true},
     "o",
     DANE_WHY_USABLE,
     "records",
     "records",
     DANE_ORIGINAL},
    {"D06 A insecure, AAAA fails",
     {.mx_secure = true, .a = I(RECORDS), .aaaa = E},
     "",
     DANE_WHY_UNSIGNED_ADDRESS,
     "optional",
     "next",
     0},
    {"D06 one family validates",
     {.mx_secure = true,
      .a = I(RECORDS),
      .aaaa = S(RECORDS),
      .tlsa[1] = S(RECORDS),
      .usable[1] = true},
     "o",
     DANE_WHY_USABLE,
     "records",
     "records",
     DANE_ORIGINAL},
    {"D07 no such host",
     {.mx_secure = true, .a = S(NXDOMAIN), .aaaa = S(NXDOMAIN)},
     "",
     DANE_WHY_NO_ADDRESS,
     "next",
     "next",
     0},
    {"D07 no address",
     {.mx_secure = true, .a = I(NODATA)},
     "",
     DANE_WHY_NO_ADDRESS,
     "next",
     "next",
     0},
    {"D08 unsigned address: TLSA is not asked for",
     {.mx_secure = true, .a = I(RECORDS)},
     "",
     DANE_WHY_UNSIGNED_ADDRESS,
     "optional",
     "next",
     0},
    {"D09 alias, at the end of the chain",
     {.mx_secure = true, .a = S(RECORDS), .alias = true, .tlsa[0] = S(RECORDS), .usable[0] = true},
     "e",
     DANE_WHY_USABLE,
     "records",
     "records",
     DANE_EXPANDED},
    {"D09 alias, then the host's own name",
     {.mx_secure = true,
      .a = S(RECORDS),
      .alias = true,
      .tlsa = {S(NXDOMAIN), S(RECORDS)},
      .usable[1] = true},
     "eo",
     DANE_WHY_USABLE,
     "records",
     "records",
     DANE_ORIGINAL},
    {"D10 signed alias into an unsigned zone",
     {.mx_secure = true,
      .a = I(RECORDS),
      .alias = true,
      .cname = S(RECORDS),
      .tlsa[1] = S(RECORDS),
      .usable[1] = true},
     "co",
     DANE_WHY_USABLE,
     "records",
     "records",
     DANE_ORIGINAL},
    {"D10 and nothing there",
     {.mx_secure = true, .a = I(RECORDS), .alias = true, .cname = S(RECORDS), .tlsa[1] = S(NODATA)},
     "co",
     DANE_WHY_NO_TLSA,
     "optional",
     "next",
     0},
    {"D10 the alias cannot be looked up",
     {.mx_secure = true, .a = I(RECORDS), .alias = true, .cname = E},
     "c",
     DANE_WHY_ALIAS_ERROR,
     "next",
     "next",
     0},
    {"D11 unsigned alias",
     {.mx_secure = true, .a = I(RECORDS), .alias = true, .cname = I(RECORDS)},
     "c",
     DANE_WHY_UNSIGNED_ALIAS,
     "optional",
     "next",
     0},
    {"D11 the alias is gone meanwhile",
     {.mx_secure = true, .a = I(RECORDS), .alias = true, .cname = S(NODATA)},
     "c",
     DANE_WHY_UNSIGNED_ALIAS,
     "optional",
     "next",
     0},
    {"D13 error at the end of the chain: the own name is not tried",
     {.mx_secure = true,
      .a = S(RECORDS),
      .alias = true,
      .tlsa = {E, S(RECORDS)},
      .usable[1] = true},
     "e",
     DANE_WHY_TLSA_ERROR,
     "next",
     "next",
     0},
    {"D13 none there, error at the own name",
     {.mx_secure = true, .a = S(RECORDS), .alias = true, .tlsa = {S(NODATA), E}},
     "eo",
     DANE_WHY_TLSA_ERROR,
     "next",
     "next",
     0},
    {"D14 unsigned MX, signed host",
     {.a = S(RECORDS), .tlsa[1] = S(RECORDS), .usable[1] = true},
     "o",
     DANE_WHY_USABLE,
     "trusted",
     "next",
     DANE_ORIGINAL},
    {"D14 unsigned MX, unsigned host",
     {.a = I(RECORDS)},
     "",
     DANE_WHY_UNSIGNED_ADDRESS,
     "optional",
     "next",
     0},
    {"D15 an address",
     {.literal = true, .mx_secure = true},
     "",
     DANE_WHY_LITERAL,
     "optional",
     "next",
     0},
    {"D16 a host that the operator named",
     {.mx_secure = true, .a = S(RECORDS), .tlsa[1] = S(RECORDS), .usable[1] = true},
     "o",
     DANE_WHY_USABLE,
     "records",
     "records",
     DANE_ORIGINAL},
    {"D17 the TLSA records are at an alias, all signed",
     {.mx_secure = true, .a = S(RECORDS), .tlsa[1] = S(RECORDS), .usable[1] = true},
     "o",
     DANE_WHY_USABLE,
     "records",
     "records",
     DANE_ORIGINAL},
    {"D18 the TLSA alias leads into an unsigned zone",
     {.mx_secure = true,
      .a = S(RECORDS),
      .alias = true,
      .tlsa = {I(RECORDS), S(RECORDS)},
      .usable = {true, true}},
     "eo",
     DANE_WHY_USABLE,
     "records",
     "records",
     DANE_ORIGINAL},
    {"D20 TLSA fails",
     {.mx_secure = true, .a = S(RECORDS), .tlsa[1] = E},
     "o",
     DANE_WHY_TLSA_ERROR,
     "next",
     "next",
     0},
    {"D21 secure denial",
     {.mx_secure = true, .a = S(RECORDS), .tlsa[1] = S(NODATA)},
     "o",
     DANE_WHY_NO_TLSA,
     "optional",
     "next",
     0},
    {"D21 secure denial of the name",
     {.mx_secure = true, .a = S(RECORDS), .tlsa[1] = S(NXDOMAIN)},
     "o",
     DANE_WHY_NO_TLSA,
     "optional",
     "next",
     0},
    {"D22 insecure denial is no error",
     {.mx_secure = true, .a = S(RECORDS), .tlsa[1] = I(NXDOMAIN)},
     "o",
     DANE_WHY_NO_TLSA,
     "optional",
     "next",
     0},
    {"D22 insecure denial of the type",
     {.mx_secure = true, .a = S(RECORDS), .tlsa[1] = I(NODATA)},
     "o",
     DANE_WHY_NO_TLSA,
     "optional",
     "next",
     0},
    {"D23 unsigned records",
     {.mx_secure = true, .a = S(RECORDS), .tlsa[1] = I(RECORDS), .usable[1] = true},
     "o",
     DANE_WHY_UNSIGNED_TLSA,
     "optional",
     "next",
     0},
    {"D24 usable records",
     {.mx_secure = true, .a = S(RECORDS), .tlsa[1] = S(RECORDS), .usable[1] = true},
     "o",
     DANE_WHY_USABLE,
     "records",
     "records",
     DANE_ORIGINAL},
    {"D25 none usable: TLS all the same",
     {.mx_secure = true, .a = S(RECORDS), .tlsa[1] = S(RECORDS)},
     "o",
     DANE_WHY_UNUSABLE,
     "encrypted",
     "next",
     DANE_ORIGINAL},
    {"D25 none usable at the end of the chain: the own name is not tried",
     {.mx_secure = true,
      .a = S(RECORDS),
      .alias = true,
      .tlsa = {S(RECORDS), S(RECORDS)},
      .usable[1] = true},
     "e",
     DANE_WHY_UNUSABLE,
     "encrypted",
     "next",
     DANE_EXPANDED},
};

/* Asks as a caller does: an answer is there only after its question. */
static struct dane_decision decide(const struct dane_facts *all, char asked[8])
{
    struct dane_facts f = *all;
    enum dane_question q;
    size_t n = 0;

    f.cname = f.tlsa[0] = f.tlsa[1] = (struct dane_lookup)NO;
    while ((q = dane_next_question(&f)) != DANE_ASK_NOTHING) {
        assert_true(n < 4);
        asked[n++] = q == DANE_ASK_CNAME ? 'c' : q == DANE_ASK_EXPANDED ? 'e' : 'o';
        if (q == DANE_ASK_CNAME)
            f.cname = all->cname;
        else if (q == DANE_ASK_EXPANDED)
            f.tlsa[0] = all->tlsa[0];
        else
            f.tlsa[1] = all->tlsa[1];
    }
    asked[n] = 0;
    return dane_decide(&f);
}

static const char *word(const struct dane_decision *d)
{
    if (d->next)
        return "next";
    if (d->trusted_only && d->proof == DANE_PROOF_RECORDS)
        return "trusted";
    return dane_proof_name((enum dane_proof)d->proof);
}

static void check_row(const struct row *r, enum dane_level level, const char *want)
{
    struct dane_facts f = r->facts;
    char asked[8];

    f.level = (uint8_t)level;
    struct dane_decision d = decide(&f, asked);
    bool early = level == DANE_LEVEL_DANE_ONLY && !f.mx_secure; /* nothing is asked then */
    if (strcmp(word(&d), want) != 0 ||
        (!early && (strcmp(asked, r->asked) != 0 || d.why != r->why)))
        fail_msg("%s at %s: %s, asked %s, %s", r->id, dane_level_name(level), word(&d), asked,
                 dane_why_text((enum dane_why)d.why));
    if (!d.next && d.proof == DANE_PROOF_RECORDS)
        assert_int_equal(d.base, r->base);
    assert_true(d.next == (d.enhanced[0] != 0));
    assert_true(!d.lasting || strcmp(d.enhanced, "5.4.4") == 0);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        check_row(&rows[i], DANE_LEVEL_DANE, rows[i].dane);
        check_row(&rows[i], DANE_LEVEL_DANE_ONLY, rows[i].only);
    }
}

/* ---- all combinations ---- */

static const struct dane_lookup any[] = {S(RECORDS),  I(RECORDS),  S(NODATA), I(NODATA),
                                         S(NXDOMAIN), I(NXDOMAIN), E};
#define ANY BASE_ARRAY_CNT(any)

static int strength(const struct dane_decision *d)
{
    if (d->next)
        return 9;
    return d->proof == DANE_PROOF_RECORDS     ? 3
           : d->proof == DANE_PROOF_ENCRYPTED ? 2
           : d->proof == DANE_PROOF_OPTIONAL  ? 1
                                              : 4;
}

static bool address_ok(const struct dane_facts *f)
{
    return f->a.state == DANE_STATE_RECORDS || f->aaaa.state == DANE_STATE_RECORDS;
}

static void check_levels(const struct dane_facts *f, const struct dane_decision *d)
{
    static const uint8_t fixed[DANE_LEVEL_CNT] = {
        [DANE_LEVEL_NONE] = DANE_PROOF_CLEAR,
        [DANE_LEVEL_MAY] = DANE_PROOF_OPTIONAL,
        [DANE_LEVEL_ENCRYPT] = DANE_PROOF_ENCRYPTED,
        [DANE_LEVEL_FINGERPRINT] = DANE_PROOF_FINGERPRINTS,
        [DANE_LEVEL_VERIFY] = DANE_PROOF_NAMES,
        [DANE_LEVEL_SECURE] = DANE_PROOF_NAMES};

    if (f->level == DANE_LEVEL_DANE) {
        assert_true(d->next || d->proof == DANE_PROOF_RECORDS || d->proof == DANE_PROOF_ENCRYPTED ||
                    d->proof == DANE_PROOF_OPTIONAL);
    } else if (f->level == DANE_LEVEL_DANE_ONLY) {
        assert_true(d->next ||
                    (d->proof == DANE_PROOF_RECORDS && !d->trusted_only && f->mx_secure));
    } else {
        assert_int_equal(d->next, !address_ok(f));
        assert_true(d->next || d->proof == fixed[f->level]);
    }
}

static void check_one(struct dane_facts *f)
{
    char asked[8], again[8];
    struct dane_decision d = decide(f, asked);
    bool secure = (f->a.state == DANE_STATE_RECORDS && f->a.secure) ||
                  (f->aaaa.state == DANE_STATE_RECORDS && f->aaaa.secure);

    check_levels(f, &d);
    if (!address_ok(f))
        assert_true(d.next && asked[0] == 0);
    /* No TLSA record counts that did not come all the way by signed answers, and none is asked for
     * where the way is unsigned. */
    if (strpbrk(asked, "eo") != NULL)
        assert_true(secure ||
                    (f->alias && f->cname.state == DANE_STATE_RECORDS && f->cname.secure));
    if (!d.next && d.proof == DANE_PROOF_RECORDS)
        assert_true(f->tlsa[d.base].secure && f->tlsa[d.base].state == DANE_STATE_RECORDS &&
                    f->usable[d.base] && strchr(asked, d.base == 0 ? 'e' : 'o') != NULL);
    /* Who makes a lookup fail gets nothing weaker by it. */
    struct dane_lookup *links[] = {&f->cname, &f->tlsa[0], &f->tlsa[1]};
    for (size_t i = 0; i < BASE_ARRAY_CNT(links); i++) {
        struct dane_lookup was = *links[i];
        *links[i] = (struct dane_lookup)E;
        struct dane_decision broken = decide(f, again);
        assert_true(strength(&broken) >= strength(&d));
        *links[i] = was;
    }
}

static void test_all(void **state)
{
    struct dane_facts f;
    uint64_t cnt = 0;

    (void)state;
    for (uint64_t n = 0; n < ANY * ANY * ANY * ANY * ANY; n++) {
        uint64_t rest = n;
        struct dane_lookup *at[] = {&f.a, &f.aaaa, &f.cname, &f.tlsa[0], &f.tlsa[1]};
        f = (struct dane_facts){0};
        for (size_t i = 0; i < BASE_ARRAY_CNT(at); i++, rest /= ANY)
            *at[i] = any[rest % ANY];
        for (unsigned bits = 0; bits < 16; bits++)
            for (int level = 0; level < DANE_LEVEL_CNT; level++) {
                f.level = (uint8_t)level;
                f.mx_secure = bits & 1;
                f.alias = bits & 2;
                f.usable[0] = bits & 4;
                f.usable[1] = bits & 8;
                check_one(&f);
                cnt++;
            }
    }
    assert_true(cnt > 2000000);
}

/* ---- MTA-STS ---- */

/* Whatever a policy says: it never makes less of what DANE or the level asks for. */
static void test_policy(void **state)
{
    static const struct {
        const char *id;
        enum dane_level level;
        struct dane_lookup tlsa;
        bool usable, mx_secure, names_host;
        enum dane_policy policy;
        enum dane_why why;
        enum dane_policy part;
        const char *want;
    } cases[] = {
#define P(policy) DANE_POLICY_##policy
        {"M8 named", DANE_LEVEL_DANE, I(NODATA), 0, 0, 1, P(ENFORCE), DANE_WHY_POLICY, P(ENFORCE),
         "names"},
        {"M8 not named", DANE_LEVEL_DANE, S(NODATA), 0, 1, 0, P(ENFORCE), DANE_WHY_POLICY_HOST,
         P(ENFORCE), "next"},
        {"M8 may", DANE_LEVEL_MAY, NO, 0, 0, 1, P(ENFORCE), DANE_WHY_POLICY, P(ENFORCE), "names"},
        {"M8 encrypt", DANE_LEVEL_ENCRYPT, NO, 0, 0, 1, P(ENFORCE), DANE_WHY_POLICY, P(ENFORCE),
         "names"},
        {"none", DANE_LEVEL_NONE, NO, 0, 0, 0, P(ENFORCE), DANE_WHY_LEVEL, P(NONE), "clear"},
        {"verify", DANE_LEVEL_VERIFY, NO, 0, 0, 0, P(ENFORCE), DANE_WHY_LEVEL, P(NONE), "names"},
        {"fingerprint", DANE_LEVEL_FINGERPRINT, NO, 0, 0, 1, P(ENFORCE), DANE_WHY_LEVEL, P(NONE),
         "fingerprints"},
        {"dane-only", DANE_LEVEL_DANE_ONLY, S(NODATA), 0, 1, 1, P(ENFORCE), DANE_WHY_NO_TLSA,
         P(NONE), "next"},
        {"M9 testing", DANE_LEVEL_DANE, I(NODATA), 0, 0, 1, P(TESTING), DANE_WHY_TESTING,
         P(TESTING), "names"},
        {"M9 not named", DANE_LEVEL_DANE, I(NODATA), 0, 0, 0, P(TESTING), DANE_WHY_TESTING_HOST,
         P(TESTING), "optional"},
        {"M9 encrypt", DANE_LEVEL_ENCRYPT, NO, 0, 0, 1, P(TESTING), DANE_WHY_LEVEL, P(NONE),
         "encrypted"},
        {"M2 DANE wins", DANE_LEVEL_DANE, S(RECORDS), 1, 1, 0, P(ENFORCE), DANE_WHY_USABLE, P(NONE),
         "records"},
        {"M3 unusable", DANE_LEVEL_DANE, S(RECORDS), 0, 1, 1, P(ENFORCE), DANE_WHY_POLICY,
         P(ENFORCE), "names"},
        {"M3 testing", DANE_LEVEL_DANE, S(RECORDS), 0, 1, 1, P(TESTING), DANE_WHY_UNUSABLE, P(NONE),
         "encrypted"},
        {"M4 error", DANE_LEVEL_DANE, E, 0, 1, 1, P(ENFORCE), DANE_WHY_TLSA_ERROR, P(NONE), "next"},
        {"M5 both", DANE_LEVEL_DANE, S(RECORDS), 1, 0, 1, P(ENFORCE), DANE_WHY_USABLE, P(ENFORCE),
         "records"},
        {"M5 not named", DANE_LEVEL_DANE, S(RECORDS), 1, 0, 0, P(ENFORCE), DANE_WHY_POLICY_HOST,
         P(ENFORCE), "next"},
#undef P
    };
    (void)state;

    for (size_t i = 0; i < BASE_ARRAY_CNT(cases); i++) {
        struct dane_facts f = {.level = (uint8_t)cases[i].level,
                               .mx_secure = cases[i].mx_secure,
                               .a = S(RECORDS),
                               .tlsa = {NO, cases[i].tlsa},
                               .usable = {false, cases[i].usable},
                               .policy = (uint8_t)cases[i].policy,
                               .policy_names_host = cases[i].names_host};
        struct dane_decision d = dane_decide(&f);
        const char *got = d.next ? "next" : dane_proof_name((enum dane_proof)d.proof);
        if (d.why != cases[i].why || d.policy != cases[i].part || strcmp(got, cases[i].want) != 0)
            fail_msg("%s: %s, %s", cases[i].id, got, dane_why_text((enum dane_why)d.why));
        /* Who has a part in it is asked for. */
        assert_true(d.policy == DANE_POLICY_NONE || dane_wants_policy(&f));
    }
}

static void test_words(void **state)
{
    (void)state;
    for (int i = 0; i < DANE_WHY_CNT; i++)
        assert_non_null(dane_why_text((enum dane_why)i));
    for (int i = 0; i < DANE_LEVEL_CNT; i++)
        assert_non_null(dane_level_name((enum dane_level)i));
    for (int i = 0; i < DANE_PROOF_CNT; i++)
        assert_non_null(dane_proof_name((enum dane_proof)i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mx),     cmocka_unit_test(test_rows),  cmocka_unit_test(test_all),
        cmocka_unit_test(test_policy), cmocka_unit_test(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
