/* Which idle connection a delivery finds, and which lane it goes to look for one. */
#include "unit.h"

#include "conn.h"
#include "conn_cache.h"
#include "courier_lane.h"

#include <stdlib.h>

static const uint8_t key[16] = "0123456789abcdef";

static struct net_endpoint host(uint32_t number, uint16_t port)
{
    struct net_endpoint e = {.port = port};
    uint8_t v4[4] = {10, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number};

    e.addr = net_addr_v4(v4);
    return e;
}

static struct conn *make(struct conn *c, struct net_endpoint remote, uint64_t policy)
{
    c->remote = remote;
    c->out.policy = policy;
    return c;
}

/* O9: policy is the digest of all that a connection had to prove, and began with. */
static void found_by_host_port_and_policy(void **state)
{
    struct conn_cache k;
    struct conn *c = calloc(4, sizeof(*c));
    struct net_endpoint a = host(1, 25), b = host(2, 25), a2 = host(1, 26);

    (void)state;
    conn_cache_init(&k, 64, key);
    assert_int_equal(k.max, 8);
    assert_null(conn_cache_oldest(&k));
    assert_null(conn_cache_take(&k, &a, 0));
    for (int i = 0; i < 4; i++)
        conn_cache_put(&k, make(&c[i], i == 2 ? b : a, i == 3 ? 7 : 0));
    assert_null(conn_cache_take(&k, &a2, 0));
    assert_null(conn_cache_take(&k, &b, 7));
    assert_null(conn_cache_take(&k, &a, 8));
    assert_ptr_equal(conn_cache_take(&k, &a, 7), &c[3]);
    assert_ptr_equal(conn_cache_take(&k, &a, 0), &c[1]); /* the one used last */
    assert_ptr_equal(conn_cache_oldest(&k), &c[0]);
    assert_ptr_equal(conn_cache_take(&k, &a, 0), &c[0]);
    assert_null(conn_cache_take(&k, &a, 0));
    assert_ptr_equal(conn_cache_oldest(&k), &c[2]);
    conn_cache_remove(&k, &c[2]);
    assert_int_equal(k.cnt, 0);
    assert_false(c[0].out.idle || c[1].out.idle || c[2].out.idle || c[3].out.idle);
    free(c);
}

/* More next hops than buckets: each finds its own, ages stay in order. */
static void full(void **state)
{
    enum { CNT = 2 * CONN_CACHE_BUCKET_CNT };
    struct conn_cache k;
    struct conn *c = calloc(CNT, sizeof(*c));

    (void)state;
    conn_cache_init(&k, CNT * CONN_CACHE_SHARE, key);
    for (uint32_t i = 0; i < CNT; i++)
        conn_cache_put(&k, make(&c[i], host(i, 25), 0));
    assert_int_equal(k.cnt, k.max);
    for (uint32_t i = 1; i < CNT; i += 2) {
        struct net_endpoint e = host(i, 25);
        assert_ptr_equal(conn_cache_take(&k, &e, 0), &c[i]);
    }
    for (uint32_t i = 0; i < CNT; i += 2) {
        assert_ptr_equal(conn_cache_oldest(&k), &c[i]);
        conn_cache_remove(&k, &c[i]);
    }
    assert_int_equal(k.cnt, 0);
    free(c);
}

/* ---- lanes ---- */

#define LANES 4

static uint32_t lane_of(struct courier_lanes *t, struct delivery *d, uint32_t number)
{
    d->host = host(number, 25);
    courier_lanes_take(t, d);
    return d->lane;
}

/* One at a time always goes to the same lane; many go to all of them alike; one that follows
 * another's end goes where that one was. */
static void one_destination(void **state)
{
    struct courier_lanes t;
    struct delivery *d = calloc(LANES * 5, sizeof(*d));
    uint32_t cnt[LANES] = {0};

    (void)state;
    assert_int_equal(courier_lanes_init(&t, LANES, key), 0);
    uint32_t home = lane_of(&t, &d[0], 1);
    courier_lanes_put(&t, &d[0]);
    assert_int_equal(lane_of(&t, &d[0], 1), home);
    courier_lanes_put(&t, &d[0]);
    for (uint32_t i = 0; i < LANES * 5; i++)
        cnt[lane_of(&t, &d[i], 1)]++;
    for (uint32_t i = 0; i < LANES; i++)
        assert_int_equal(cnt[i], 5);
    for (uint32_t i = 0; i < LANES * 5; i++) {
        uint32_t lane = d[i].lane;
        courier_lanes_put(&t, &d[i]);
        assert_int_equal(lane_of(&t, &d[i], 1), lane);
    }
    for (uint32_t i = 0; i < LANES * 5; i++)
        courier_lanes_put(&t, &d[i]);
    courier_lanes_fini(&t);
    free(d);
}

/* A lane that could not try is not asked again at once. */
static void a_lane_without_room(void **state)
{
    struct courier_lanes t;
    struct delivery d = {0};

    (void)state;
    assert_int_equal(courier_lanes_init(&t, LANES, key), 0);
    uint32_t home = lane_of(&t, &d, 1);
    for (uint32_t i = 1; i <= LANES; i++) {
        d.unattempted = true;
        courier_lanes_put(&t, &d);
        d.unattempted = false;
        assert_int_equal(lane_of(&t, &d, 1), (home + i) % LANES);
    }
    courier_lanes_put(&t, &d);
    assert_int_equal(lane_of(&t, &d, 1), home);
    courier_lanes_put(&t, &d);
    courier_lanes_fini(&t);
}

/* Destinations with one delivery each: no lane has much more than its share. */
static void many_destinations(void **state)
{
    enum { CNT = 1000 };
    struct courier_lanes t;
    struct delivery *d = calloc(CNT, sizeof(*d));
    uint32_t cnt[LANES] = {0};

    (void)state;
    assert_int_equal(courier_lanes_init(&t, LANES, key), 0);
    for (uint32_t i = 0; i < CNT; i++)
        cnt[lane_of(&t, &d[i], i)]++;
    for (uint32_t i = 0; i < LANES; i++)
        assert_in_range(cnt[i], CNT / LANES - CNT / 20, CNT / LANES + CNT / 20);
    for (uint32_t i = 0; i < CNT; i++)
        courier_lanes_put(&t, &d[i]);
    courier_lanes_fini(&t);
    free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_by_host_port_and_policy),
        cmocka_unit_test(full),
        cmocka_unit_test(one_destination),
        cmocka_unit_test(a_lane_without_room),
        cmocka_unit_test(many_destinations),
    };
    return cmocka_run_group_tests_name("conn_cache", tests, NULL, NULL);
}
