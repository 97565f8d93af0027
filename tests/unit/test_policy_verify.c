/* The cache of what next hops say of recipients: how long answers hold, when they are asked for
 * again, and who gives way. */
#include "unit.h"

#include "policy_verify.h"

#include <stdio.h>

#define S UINT64_C(1000000000)

static const struct policy_verify_times times = {.positive_expire_ns = 100 * S,
                                                 .positive_refresh_ns = 50 * S,
                                                 .negative_expire_ns = 10 * S,
                                                 .negative_refresh_ns = 5 * S};
static const uint8_t secret[16] = {9};

static struct policy_verify_entry *get(struct policy_verify *v, const char *key, uint64_t now_ns)
{
    return policy_verify_get(v, base_span_str(key), base_span_str(key), now_ns);
}

static void note(struct policy_verify_entry *e, enum policy_verify_answer answer, uint64_t now_ns)
{
    struct policy_verify_said said = {.answer = (uint8_t)answer, .code = 250};

    policy_verify_note(e, &said, &times, now_ns);
}

static void check(const struct policy_verify_entry *e, uint64_t now_ns,
                  enum policy_verify_answer answer, bool old)
{
    bool is_old;

    assert_int_equal(policy_verify_known(e, now_ns, &is_old), answer);
    assert_int_equal(is_old, old);
}

static void answers_hold(void **state)
{
    struct policy_verify v;
    (void)state;
    assert_int_equal(policy_verify_init(&v, 100, secret), 0);
    struct policy_verify_entry *e = get(&v, "a@b", S);
    check(e, S, POLICY_VERIFY_NONE, false);
    note(e, POLICY_VERIFY_NONE, S);
    check(e, S, POLICY_VERIFY_NONE, false);
    note(e, POLICY_VERIFY_GOOD, S);
    check(e, S, POLICY_VERIFY_GOOD, false);
    check(e, 51 * S - 1, POLICY_VERIFY_GOOD, false);
    check(e, 51 * S, POLICY_VERIFY_GOOD, true);
    check(e, 101 * S - 1, POLICY_VERIFY_GOOD, true);
    check(e, 101 * S, POLICY_VERIFY_NONE, false);
    /* An answer that says nothing leaves a good one, and is not asked for at once again. */
    note(e, POLICY_VERIFY_GOOD, 200 * S);
    note(e, POLICY_VERIFY_UNDECIDED, 260 * S);
    check(e, 261 * S, POLICY_VERIFY_GOOD, false);
    check(e, 290 * S, POLICY_VERIFY_GOOD, true);
    check(e, 300 * S, POLICY_VERIFY_NONE, false);
    note(e, POLICY_VERIFY_UNDECIDED, 300 * S);
    check(e, 329 * S, POLICY_VERIFY_UNDECIDED, false);
    check(e, 330 * S, POLICY_VERIFY_NONE, false);
    note(e, POLICY_VERIFY_BAD, 400 * S);
    check(e, 404 * S, POLICY_VERIFY_BAD, false);
    check(e, 405 * S, POLICY_VERIFY_BAD, true);
    check(e, 410 * S, POLICY_VERIFY_NONE, false);
    note(e, POLICY_VERIFY_BAD, 500 * S);
    note(e, POLICY_VERIFY_GOOD, 501 * S);
    check(e, 505 * S, POLICY_VERIFY_GOOD, false);
    /* The end of time. */
    note(e, POLICY_VERIFY_GOOD, UINT64_MAX - S);
    check(e, UINT64_MAX - 1, POLICY_VERIFY_GOOD, false);
    policy_verify_fini(&v);
}

static void keys_are_bytes(void **state)
{
    struct policy_verify v;
    (void)state;
    assert_int_equal(policy_verify_init(&v, 100, secret), 0);
    struct policy_verify_entry *e = get(&v, "a@b", S);
    assert_ptr_equal(get(&v, "a@b", 2 * S), e);
    assert_ptr_not_equal(get(&v, "a@bc", S), e);
    assert_ptr_not_equal(get(&v, "A@b", S), e);
    e = policy_verify_get(&v, base_span_of((const uint8_t *)"x\0y", 3), base_span_str("X"), S);
    assert_true(base_span_eq(policy_verify_mailbox(e), base_span_str("X")));
    assert_ptr_not_equal(
        policy_verify_get(&v, base_span_of((const uint8_t *)"x\0z", 3), base_span_str("X"), S), e);
    assert_int_equal(v.cnt, 5);
    policy_verify_fini(&v);
}

static void the_oldest_gives_way(void **state)
{
    struct policy_verify v;
    struct policy_verify_entry *kept = NULL, *used = NULL;
    char key[16];
    (void)state;
    assert_int_equal(policy_verify_init(&v, 10, secret), 0);
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof(key), "n%d@b", i);
        struct policy_verify_entry *e = get(&v, key, S);
        note(e, POLICY_VERIFY_GOOD, S);
        e->asking = i == 0;
        kept = i == 0 ? e : kept;
        used = i == 1 ? e : used;
    }
    assert_ptr_equal(get(&v, "n1@b", S), used);
    assert_non_null(get(&v, "x@b", S));
    assert_int_equal(v.cnt, 10);
    assert_int_equal(v.forgotten_cnt, 1);
    assert_ptr_equal(get(&v, "n0@b", S), kept);
    assert_ptr_equal(get(&v, "n1@b", S), used);
    check(get(&v, "n2@b", S), S, POLICY_VERIFY_NONE, false);
    check(used, S, POLICY_VERIFY_GOOD, false);
    /* All are being asked for. */
    for (struct base_list *n = v.used.next; n != &v.used; n = n->next)
        base_container_of(n, struct policy_verify_entry, used)->asking = true;
    assert_null(get(&v, "y@b", S));
    policy_verify_limit(&v, 20);
    assert_non_null(get(&v, "y@b", S));
    policy_verify_fini(&v);
}

static void refusals_forgotten(void **state)
{
    struct policy_verify v;
    (void)state;
    assert_int_equal(policy_verify_init(&v, 10, secret), 0);
    struct policy_verify_entry *good = get(&v, "g@b", S), *bad = get(&v, "b@b", S);
    note(good, POLICY_VERIFY_GOOD, S);
    note(bad, POLICY_VERIFY_BAD, S);
    policy_verify_forget_refusals(&v);
    check(good, S, POLICY_VERIFY_GOOD, false);
    check(bad, S, POLICY_VERIFY_NONE, false);
    policy_verify_fini(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_hold),
        cmocka_unit_test(keys_are_bytes),
        cmocka_unit_test(the_oldest_gives_way),
        cmocka_unit_test(refusals_forgotten),
    };

    return cmocka_run_group_tests_name("policy_verify", tests, NULL, NULL);
}
