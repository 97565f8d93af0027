/* What REQUIRETLS and "TLS-Required: no" make of the decision, over all that the DNS may have said:
 * the first never asks for less, nor the second for less than the operator. */
#include "unit.h"

#include "base_assert.h"
#include "dane_requiretls.h"

static const struct dane_lookup lookups[] = {
    {DANE_STATE_UNASKED, false}, {DANE_STATE_RECORDS, false}, {DANE_STATE_RECORDS, true},
    {DANE_STATE_NODATA, true},   {DANE_STATE_NODATA, false},  {DANE_STATE_ERROR, false},
};

#define EACH(name) for (size_t name = 0; name < BASE_ARRAY_CNT(lookups); name++)

static uint32_t checked;

/* How much each asks of who is at the other end. */
static int strength(const struct dane_decision *d)
{
    static const int of[DANE_PROOF_CNT] = {
        [DANE_PROOF_CLEAR] = 0,   [DANE_PROOF_OPTIONAL] = 1,     [DANE_PROOF_ENCRYPTED] = 2,
        [DANE_PROOF_RECORDS] = 3, [DANE_PROOF_FINGERPRINTS] = 3, [DANE_PROOF_NAMES] = 3};
    return d->next ? 4 : of[d->proof];
}

static void expect_same(const struct dane_decision *x, const struct dane_decision *y)
{
    assert_true(x->next == y->next && x->lasting == y->lasting && x->proof == y->proof &&
                x->base == y->base && x->trusted_only == y->trusted_only && x->why == y->why);
    assert_string_equal(x->enhanced, y->enhanced);
}

static void keep(const struct dane_facts *f, const struct dane_decision *d)
{
    struct dane_decision k = dane_keep(f, DANE_KEEP_ENFORCE);
    bool own = d->proof == DANE_PROOF_FINGERPRINTS ||
               (d->proof == DANE_PROOF_NAMES && f->level == DANE_LEVEL_SECURE);

    assert_true(strength(&k) >= strength(d));
    if (d->next) {
        expect_same(&k, d); /* a failure for now stays one */
    } else if (k.next) {
        assert_true(k.lasting);
        assert_string_equal(k.enhanced, "5.7.10");
        assert_true(d->proof == DANE_PROOF_CLEAR || !f->mx_secure);
    } else {
        assert_true(strength(&k) == 3);
        assert_true(f->mx_secure || own);
        assert_false(k.trusted_only);
    }
    k = dane_keep(f, DANE_KEEP_STARTTLS);
    assert_true(d->next || (strength(&k) >= 2 && strength(&k) >= strength(d)));
    assert_true(k.next == (d->next || d->proof == DANE_PROOF_CLEAR));
    for (int policy = DANE_KEEP_OPPORTUNISTIC; policy <= DANE_KEEP_DISABLE; policy++) {
        k = dane_keep(f, (enum dane_keep)policy);
        expect_same(&k, d);
    }
}

static void waive(const struct dane_facts *f, const struct dane_decision *d)
{
    struct dane_decision w = dane_waive(f);
    bool no_address = d->next && d->enhanced[2] != '7';

    if (f->level != DANE_LEVEL_DANE || no_address)
        expect_same(&w, d);
    else
        assert_true(!w.next && w.proof == DANE_PROOF_OPTIONAL);
}

static void one(struct dane_facts *f)
{
    /* Only what is asked for is ever known. */
    for (enum dane_question q; (q = dane_next_question(f)) != DANE_ASK_NOTHING;) {
        struct dane_lookup *l = q == DANE_ASK_CNAME      ? &f->cname
                                : q == DANE_ASK_EXPANDED ? &f->tlsa[DANE_EXPANDED]
                                                         : &f->tlsa[DANE_ORIGINAL];
        if (l->state != DANE_STATE_UNASKED)
            return;
        *l = (struct dane_lookup){DANE_STATE_NODATA, true};
    }
    struct dane_decision d = dane_decide(f);
    keep(f, &d);
    waive(f, &d);
    checked++;
}

static void all(void **state)
{
    (void)state;
    EACH(a)
    EACH(six)
    EACH(cname)
    EACH(expanded)
    EACH(original)
    for (unsigned bits = 0; bits < 32; bits++)
        for (int level = 0; level < DANE_LEVEL_CNT; level++) {
            struct dane_facts f = {.level = (uint8_t)level,
                                   .a = lookups[a],
                                   .aaaa = lookups[six],
                                   .cname = lookups[cname],
                                   .tlsa = {lookups[expanded], lookups[original]},
                                   .usable = {bits & 1, (bits & 2) != 0},
                                   .mx_secure = (bits & 4) != 0,
                                   .alias = (bits & 8) != 0,
                                   .literal = (bits & 16) != 0};
            one(&f);
        }
    assert_true(checked > 1000000);
}

/* By hand. */
static void rows(void **state)
{
    static const struct {
        enum dane_level level;
        bool mx_secure, tlsa, usable;
        int proof; /* -1: 5.7.10 */
    } r[] = {
        {DANE_LEVEL_MAY, true, false, false, DANE_PROOF_NAMES},
        {DANE_LEVEL_MAY, false, false, false, -1},
        {DANE_LEVEL_ENCRYPT, true, false, false, DANE_PROOF_NAMES},
        {DANE_LEVEL_DANE, true, false, false, DANE_PROOF_NAMES},
        {DANE_LEVEL_DANE, true, true, true, DANE_PROOF_RECORDS},
        {DANE_LEVEL_DANE, true, true, false, DANE_PROOF_NAMES},
        {DANE_LEVEL_DANE, false, true, true, -1}, /* would be called trusted */
        {DANE_LEVEL_NONE, true, false, false, -1},
        {DANE_LEVEL_VERIFY, true, false, false, DANE_PROOF_NAMES},
        {DANE_LEVEL_VERIFY, false, false, false, -1}, /* whose name would it be? */
        {DANE_LEVEL_SECURE, false, false, false, DANE_PROOF_NAMES},
        {DANE_LEVEL_FINGERPRINT, false, false, false, DANE_PROOF_FINGERPRINTS},
    };
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(r); i++) {
        struct dane_facts f = {
            .level = (uint8_t)r[i].level,
            .mx_secure = r[i].mx_secure,
            .a = {DANE_STATE_RECORDS, true},
            .tlsa[DANE_ORIGINAL] = {r[i].tlsa ? DANE_STATE_RECORDS : DANE_STATE_NODATA, true},
            .usable[DANE_ORIGINAL] = r[i].usable};
        struct dane_decision d = dane_keep(&f, DANE_KEEP_ENFORCE);
        if ((d.next ? -1 : d.proof) != r[i].proof)
            fail_msg("row %zu: %d", i, d.next ? -1 : d.proof);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all), cmocka_unit_test(rows)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
