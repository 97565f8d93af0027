/*
 * Limits of clients: prefixes, concurrency beside a plain count, rates in virtual time, a full
 * table, and several threads at one table (under the thread sanitizer, too).
 */
#include "unit.h"

#include "base_rand.h"
#include "base_time.h"
#include "policy_limit.h"

#include <pthread.h>

static const uint8_t key[16] = "0123456789abcdef";

static struct policy_limit_client v4(uint32_t number)
{
    struct net_addr a = net_addr_v4(
        (const uint8_t[]){10, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number});

    return policy_limit_client(&a, 32, 64);
}

static bool same(const char *a, const char *b, uint32_t prefix4, uint32_t prefix6)
{
    struct net_addr x, y;

    assert_int_equal(net_addr_parse(&x, base_span_str(a)), 0);
    assert_int_equal(net_addr_parse(&y, base_span_str(b)), 0);
    struct policy_limit_client c = policy_limit_client(&x, prefix4, prefix6);
    struct policy_limit_client d = policy_limit_client(&y, prefix4, prefix6);
    return memcmp(&c, &d, sizeof(c)) == 0;
}

static void prefixes(void **state)
{
    (void)state;
    assert_true(same("192.0.2.1", "192.0.2.1", 32, 64));
    assert_false(same("192.0.2.1", "192.0.2.2", 32, 64));
    assert_true(same("192.0.2.2", "192.0.2.3", 31, 64));
    assert_false(same("192.0.2.1", "192.0.2.2", 31, 64));
    assert_true(same("192.0.2.1", "192.0.2.255", 24, 64));
    assert_false(same("192.0.2.1", "192.0.3.1", 24, 64));
    assert_true(same("192.0.2.1", "10.0.0.1", 0, 64));
    assert_true(same("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", 32, 64));
    assert_false(same("2001:db8:0:1::1", "2001:db8:0:2::1", 32, 64));
    assert_true(same("2001:db8:0:1::1", "2001:db8:0:2::1", 32, 48));
    assert_false(same("2001:db8::1", "2001:db8::2", 32, 128));
    assert_true(same("2001:db8::1", "fd00::1", 32, 0));
    assert_false(same("0.0.0.0", "::1", 0, 0)); /* the families are apart */
}

static void concurrency(void **state)
{
    enum { CLIENTS = 50, MAX = 5, STEPS = 100000 };
    struct policy_limits t;
    struct base_rand r;
    uint32_t row[CLIENTS][MAX], cnt[CLIENTS] = {0}, refused = 0;
    bool forgot;

    (void)state;
    base_rand_init(&r, 7);
    assert_int_equal(policy_limits_init(&t, CLIENTS, key), 0);
    for (uint32_t i = 0; i < STEPS; i++) {
        uint32_t n = (uint32_t)base_rand_below(&r, CLIENTS), at;
        struct policy_limit_client c = v4(n);
        if (cnt[n] > 0 && base_rand_below(&r, 20) < 9) {
            policy_limit_close(&t, row[n][--cnt[n]]);
        } else if (policy_limit_open(&t, &c, MAX, i, &at, &forgot) == POLICY_LIMIT_FITS) {
            assert_true(cnt[n] < MAX);
            row[n][cnt[n]++] = at;
        } else {
            assert_int_equal(cnt[n], MAX); /* neither too late nor too early */
            assert_int_equal(at, POLICY_LIMIT_NONE);
            refused++;
        }
        assert_int_equal(policy_limit_count(&t, &c), cnt[n]);
    }
    assert_true(refused > 0);
    for (uint32_t n = 0; n < CLIENTS; n++) {
        struct policy_limit_client c = v4(n);
        while (cnt[n] > 0)
            policy_limit_close(&t, row[n][--cnt[n]]);
        assert_int_equal(policy_limit_count(&t, &c), 0);
    }
    policy_limits_fini(&t);
}

/* A minute's worth at once, then the pace; and a reload that lowers it. */
static void rates(void **state)
{
    struct policy_limits t;
    struct policy_limit_client a = v4(1), b = v4(2);
    uint64_t now = 1000 * BASE_NS_S;
    uint32_t row, other;
    bool forgot;

    (void)state;
    assert_int_equal(policy_limits_init(&t, 16, key), 0);
    assert_int_equal(policy_limit_open(&t, &a, 0, now, &row, &forgot), POLICY_LIMIT_FITS);
    assert_int_equal(policy_limit_open(&t, &b, 0, now, &other, &forgot), POLICY_LIMIT_FITS);
    for (int i = 0; i < 30; i++)
        assert_true(policy_limit_charge(&t, row, POLICY_LIMIT_MESSAGES, 30, now));
    assert_false(policy_limit_allows(&t, row, POLICY_LIMIT_MESSAGES, 30, now));
    assert_false(policy_limit_charge(&t, row, POLICY_LIMIT_MESSAGES, 30, now));
    assert_true(policy_limit_charge(&t, row, POLICY_LIMIT_RECIPIENTS, 30, now));
    assert_true(policy_limit_charge(&t, other, POLICY_LIMIT_MESSAGES, 30, now));
    assert_true(policy_limit_charge(&t, row, POLICY_LIMIT_MESSAGES, 0, now)); /* no limit */
    assert_false(policy_limit_charge(&t, row, POLICY_LIMIT_MESSAGES, 30, now + 2 * BASE_NS_S - 1));
    assert_true(policy_limit_charge(&t, row, POLICY_LIMIT_MESSAGES, 30, now + 2 * BASE_NS_S));
    assert_false(policy_limit_charge(&t, row, POLICY_LIMIT_MESSAGES, 30, now + 2 * BASE_NS_S));
    /* It is the client's, whatever connection it comes by, and outlives the last of them. */
    policy_limit_close(&t, row);
    assert_int_equal(policy_limit_open(&t, &a, 0, now, &row, &forgot), POLICY_LIMIT_FITS);
    assert_false(policy_limit_charge(&t, row, POLICY_LIMIT_MESSAGES, 30, now + 2 * BASE_NS_S));
    now += 62 * BASE_NS_S;
    for (int i = 0; i < 30; i++)
        assert_true(policy_limit_charge(&t, row, POLICY_LIMIT_MESSAGES, 30, now));
    assert_false(policy_limit_charge(&t, row, POLICY_LIMIT_MESSAGES, 30, now));
    assert_false(policy_limit_charge(&t, row, POLICY_LIMIT_MESSAGES, 10, now + 3 * BASE_NS_S));
    /* The largest rate is exact as well. */
    for (int i = 0; i < POLICY_LIMIT_RATE_MAX; i++)
        assert_true(
            policy_limit_charge(&t, row, POLICY_LIMIT_CONNECTIONS, POLICY_LIMIT_RATE_MAX, now));
    assert_false(
        policy_limit_charge(&t, row, POLICY_LIMIT_CONNECTIONS, POLICY_LIMIT_RATE_MAX, now));
    policy_limits_fini(&t);
}

static void logins(void **state)
{
    struct policy_limits t;
    bool forgot;

    (void)state;
    assert_int_equal(policy_limits_init(&t, 16, key), 0);
    struct policy_limit_client a = policy_limit_login(&t, base_span_str("Ann@example.org"));
    struct policy_limit_client a2 = policy_limit_login(&t, base_span_str("ann@EXAMPLE.org"));
    struct policy_limit_client b = policy_limit_login(&t, base_span_str("bob@example.org"));
    for (int i = 0; i < 3; i++)
        assert_true(policy_limit_charge_client(&t, &a, POLICY_LIMIT_MESSAGES, 3, 5, &forgot));
    assert_false(policy_limit_charge_client(&t, &a2, POLICY_LIMIT_MESSAGES, 3, 5, &forgot));
    assert_true(policy_limit_charge_client(&t, &b, POLICY_LIMIT_MESSAGES, 3, 5, &forgot));
    assert_true(policy_limit_charge_client(&t, &a, POLICY_LIMIT_MESSAGES, 0, 5, &forgot));
    policy_limits_fini(&t);
}

/* More clients than rows: connections are pinned and never lost count of, the others' rates go,
 * those nearest to their end first, and what is not counted is said so. */
static void full(void **state)
{
    enum { MORE = 64 };
    struct policy_limits t;
    uint32_t row[MORE], uncounted = 0, early = 0;
    uint64_t now = BASE_NS_S;
    bool forgot;

    (void)state;
    assert_int_equal(policy_limits_init(&t, 1, key), 0); /* the smallest: two sets, 16 rows */
    for (uint32_t i = 0; i < MORE; i++) {
        struct policy_limit_client c = v4(i);
        uncounted += policy_limit_open(&t, &c, 1, now, &row[i], &forgot) == POLICY_LIMIT_UNCOUNTED;
        assert_false(forgot);
    }
    assert_int_equal(uncounted, MORE - 16);
    for (uint32_t i = 0; i < MORE; i++) {
        struct policy_limit_client c = v4(i);
        assert_int_equal(policy_limit_count(&t, &c), row[i] != POLICY_LIMIT_NONE);
        assert_true(policy_limit_charge(&t, row[i], POLICY_LIMIT_MESSAGES, 2, now + i));
    }
    struct policy_limit_client login = policy_limit_login(&t, base_span_str("x"));
    assert_true(policy_limit_charge_client(&t, &login, POLICY_LIMIT_MESSAGES, 1, now, &forgot));
    assert_true(policy_limit_charge_client(&t, &login, POLICY_LIMIT_MESSAGES, 1, now, &forgot));
    for (uint32_t i = 0; i < MORE; i++)
        policy_limit_close(&t, row[i]);
    for (uint32_t i = 100; i < 104; i++) { /* in the place of the first of those before */
        struct policy_limit_client c = v4(i);
        assert_int_equal(policy_limit_open(&t, &c, 1, now + 100, &row[0], &forgot),
                         POLICY_LIMIT_FITS);
        early += forgot;
        assert_true(policy_limit_charge(&t, row[0], POLICY_LIMIT_MESSAGES, 1, now + 100));
        policy_limit_close(&t, row[0]);
    }
    assert_int_equal(early, 4);
    now += 200 * BASE_NS_S; /* all have run out: nothing is lost any more */
    for (uint32_t i = 200; i < 204; i++) {
        struct policy_limit_client c = v4(i);
        assert_int_equal(policy_limit_open(&t, &c, 1, now, &row[0], &forgot), POLICY_LIMIT_FITS);
        assert_false(forgot);
    }
    policy_limits_fini(&t);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 100000, FEW = 12, MANY = 40, CONN_MAX = 3, RATE = 1000, HELD = 4 };

static struct policy_limits shared;
static _Atomic uint32_t inside[MANY], charges[MANY];
static _Atomic uint32_t over;
static uint32_t client_cnt;

static void *lane(void *arg)
{
    struct base_rand r;
    uint32_t who[HELD], row[HELD];
    bool held[HELD] = {false}, forgot;

    base_rand_init(&r, (uintptr_t)arg);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t h = i % HELD;
        if (held[h]) {
            (void)atomic_fetch_sub(&inside[who[h]], 1); /* before: it must never be too many */
            policy_limit_close(&shared, row[h]);
        }
        who[h] = (uint32_t)base_rand_below(&r, client_cnt);
        struct policy_limit_client c = v4(who[h]);
        held[h] =
            policy_limit_open(&shared, &c, CONN_MAX, 0, &row[h], &forgot) == POLICY_LIMIT_FITS;
        if (!held[h])
            continue;
        if (atomic_fetch_add(&inside[who[h]], 1) >= CONN_MAX)
            (void)atomic_fetch_add(&over, 1);
        if (policy_limit_charge(&shared, row[h], POLICY_LIMIT_MESSAGES, RATE, BASE_NS_S))
            (void)atomic_fetch_add(&charges[who[h]], 1);
    }
    for (uint32_t h = 0; h < HELD; h++)
        if (held[h]) {
            (void)atomic_fetch_sub(&inside[who[h]], 1);
            policy_limit_close(&shared, row[h]);
        }
    return NULL;
}

static void run_lanes(uint32_t clients)
{
    pthread_t thread[THREADS];

    client_cnt = clients;
    assert_int_equal(policy_limits_init(&shared, 1, key), 0); /* 16 rows */
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, lane, (void *)(i + 1)), 0);
    for (uint32_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(over, 0);
    for (uint32_t i = 0; i < clients; i++) {
        struct policy_limit_client c = v4(i);
        assert_int_equal(policy_limit_count(&shared, &c), 0);
    }
}

static void threads_in_a_table_with_room(void **state)
{
    (void)state;
    run_lanes(FEW);
    for (uint32_t i = 0; i < FEW; i++) {
        assert_true(charges[i] >= RATE); /* all of it was used */
        assert_true(charges[i] <= RATE * THREADS);
    }
    policy_limits_fini(&shared);
}

/* Rows go from one client to the next all the time. */
static void threads_in_a_table_too_small(void **state)
{
    (void)state;
    run_lanes(MANY);
    policy_limits_fini(&shared);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefixes),
        cmocka_unit_test(concurrency),
        cmocka_unit_test(rates),
        cmocka_unit_test(logins),
        cmocka_unit_test(full),
        cmocka_unit_test(threads_in_a_table_with_room),
        cmocka_unit_test(threads_in_a_table_too_small),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
