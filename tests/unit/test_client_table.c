/* How many each client has: beside a plain count, for prefixes that collide and rows that move up.
 */
#include "unit.h"

#include "base_rand.h"
#include "client_table.h"

static const uint8_t key[16] = "0123456789abcdef";

static struct net_addr v4(uint32_t number)
{
    return net_addr_v4((const uint8_t[]){10, 0, (uint8_t)(number >> 8), (uint8_t)number});
}

static struct net_addr v6(uint8_t subnet, uint8_t host)
{
    struct net_addr a = {.b = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, subnet, 0, 0, 0, 0, 0, 0, 0, host}};

    return a;
}

static void prefixes(void **state)
{
    struct client_table t;
    struct net_addr a = v4(1), b = v4(2), c = v6(1, 1), c2 = v6(1, 200), d = v6(2, 1);

    (void)state;
    assert_int_equal(client_table_init(&t, 4, key), 0);
    client_table_add(&t, &a);
    client_table_add(&t, &c);
    client_table_add(&t, &c2);
    client_table_add(&t, &d);
    assert_int_equal(client_table_count(&t, &a), 1);
    assert_int_equal(client_table_count(&t, &b), 0);
    assert_int_equal(client_table_count(&t, &c), 2); /* one /64 */
    assert_int_equal(client_table_count(&t, &c2), 2);
    assert_int_equal(client_table_count(&t, &d), 1);
    client_table_remove(&t, &c2);
    client_table_remove(&t, &c);
    assert_int_equal(client_table_count(&t, &c), 0);
    assert_int_equal(client_table_count(&t, &d), 1);
    assert_int_equal(t.cnt, 2);
    client_table_fini(&t);
}

/* Full, half full, empty and back, of few and of many clients. */
static void beside_a_plain_count(void **state)
{
    enum { MAX = 64, CLIENTS = 100, STEPS = 200000 };
    static const uint32_t clients_of[] = {1, 3, 64, CLIENTS};

    (void)state;
    for (size_t round = 0; round < sizeof(clients_of) / sizeof(clients_of[0]); round++) {
        struct base_rand r;
        struct client_table t;
        uint32_t plain[CLIENTS] = {0}, cnt = 0;

        base_rand_init(&r, 1 + round);
        assert_int_equal(client_table_init(&t, MAX, key), 0);
        for (uint32_t i = 0; i < STEPS; i++) {
            uint32_t n = (uint32_t)base_rand_below(&r, clients_of[round]);
            struct net_addr a = v4(n);
            bool grow = base_rand_below(&r, 100) < (i / 1000 % 2 == 0 ? 70 : 30);
            assert_int_equal(client_table_count(&t, &a), plain[n]);
            if (grow && cnt < MAX) {
                client_table_add(&t, &a);
                plain[n]++, cnt++;
            } else if (!grow && plain[n] > 0) {
                client_table_remove(&t, &a);
                plain[n]--, cnt--;
            }
            assert_int_equal(t.cnt, cnt);
        }
        for (uint32_t n = 0; n < CLIENTS; n++) {
            struct net_addr a = v4(n);
            assert_int_equal(client_table_count(&t, &a), plain[n]);
            while (plain[n]-- > 0)
                client_table_remove(&t, &a);
        }
        for (uint32_t i = 0; i <= t.mask; i++)
            assert_int_equal(t.row[i].cnt, 0);
        client_table_fini(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(prefixes),
                                       cmocka_unit_test(beside_a_plain_count)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
