/*
 * Frames on their way between two lanes: what each lane's ring takes, what happens when it is full,
 * and that none is lost when the lanes end while some lie there.
 */
#include "unit.h"

#include "base_time.h"
#include "counted.h"
#include "dpdk_eal.h"
#include "frames.h"
#include "lane.h"
#include "wire.h"

#include <stdlib.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#define LANES   2
#define NOW_NS  BASE_NS_S
#define WALL_NS (UINT64_C(1700000000) * BASE_NS_S)

static const char config_text[] =
    "gateway { hostname = gw.example; run_dir = /run/x; }\n"
    "port p { device = \"net_wire\"; address = { 10.0.0.1/24 }; }\n"
    "listener mx { kind = mx; port = p; tcp_port = 25; }\n"
    "spool { path = /spool; size = 256M; segment_size = 1M; buffers = 64; }\n"
    "tcp { connections = 16; half_open = 16; time_wait = 16; }\n"
    "route default { host = 10.0.0.2:2525; }\n";

static const struct frame_ends ends = {.src_mac = {2, 0, 0, 0, 0, 2},
                                       .dst_mac = {2, 0, 0, 0, 0, 1},
                                       .src = {10, 0, 0, 2},
                                       .dst = {10, 0, 0, 1}};

enum { DATA, CTRL, RX, HOST, POOL_CNT };

static struct rte_mempool *pool[POOL_CNT];
static struct wire *wire;
static struct settings_hub hub;
static struct topology topology;
static struct lane *lane[LANES];

static int open_lanes(void **state)
{
    static const char *const name[POOL_CNT] = {"data", "ctrl", "rx", "host"};
    static unsigned run;
    struct conf_errors *errors = calloc(1, sizeof(*errors));
    char err[256], prefix[16];

    (void)state;
    for (int i = 0; i < POOL_CNT; i++)
        if (pool[i] == NULL)
            pool[i] = dpdk_pool(name[i], 4096, 0);
    struct wire_config w = {.seed = 1, .now_ns = NOW_NS};
    memcpy(w.end[0].mac, ends.dst_mac, 6);
    memcpy(w.end[1].mac, ends.src_mac, 6);
    w.end[0].queue_cnt = LANES;
    for (uint32_t i = 0; i < LANES; i++)
        w.end[0].rx_pool[i] = pool[RX];
    w.end[1].rx_pool[0] = pool[HOST];
    assert_int_equal(wire_open(&wire, &w), 0);
    struct conf *conf = conf_parse("test", base_span_str(config_text), NULL, NULL, errors);
    if (conf == NULL)
        fail_msg("config: %s %s", errors->error[0].key, errors->error[0].why);
    conf_errors_free(errors);
    free(errors);
    assert_int_equal(settings_hub_init(&hub, settings_make(conf), LANES + 1), 0);
    snprintf(prefix, sizeof(prefix), "s%u", run++);
    assert_int_equal(topology_init(&topology, LANES, 1, prefix, true), 0);
    struct lane_config c = {.topology = &topology,
                            .hub = &hub,
                            .port = wire_port(wire, 0),
                            .data_pool = pool[DATA],
                            .ctrl_pool = pool[CTRL]};
    for (; c.number < LANES; c.number++)
        assert_int_equal(lane_init(&lane[c.number], &c, NOW_NS, err, sizeof(err)), 0);
    return 0;
}

/* The lanes end as they are: nothing of theirs may be away then. */
static int close_lanes(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < LANES; i++) {
        counted_add(lane[i]->stats);
        lane_fini(lane[i]);
    }
    topology_fini(&topology);
    settings_hub_fini(&hub);
    wire_close(wire);
    for (int i = 0; i < POOL_CNT; i++)
        assert_true(dpdk_pool_full(pool[i]));
    return 0;
}

/* Segments to a port of the lane, of many connections: they come in on all queues. */
static void send_to(uint32_t to, uint32_t cnt)
{
    struct net_port *port = wire_port(wire, 1);
    uint8_t bytes[200];

    for (uint32_t i = 0; i < cnt; i++) {
        size_t len = frame_tcp(bytes, &ends, (uint16_t)(1024 + i),
                               to == 0 ? LANE_PORT_MIN : LANE_PORT_MAX, 20);
        struct rte_mbuf *m = frame_mbuf(pool[HOST], bytes, len, 0);
        assert_int_equal(port->ops->tx_burst(port->state, 0, &m, 1), 1);
    }
    wire_advance(wire, NOW_NS + BASE_NS_MS);
}

static void pass(uint32_t number)
{
    lane_pass(lane[number], NOW_NS + BASE_NS_MS, WALL_NS);
}

static uint64_t counted(uint32_t number, enum stats_id id)
{
    return stats_get(lane[number]->stats, id);
}

static struct rte_ring *between(uint32_t from, uint32_t to)
{
    return topology_ring(&topology, TOPOLOGY_LANE_LANE, from * LANES + to);
}

static void passed_on_once(void **state)
{
    (void)state;
    send_to(0, 40);
    send_to(1, 40);
    for (int i = 0; i < 4; i++)
        for (uint32_t l = 0; l < LANES; l++)
            pass(l);
    assert_true(counted(0, STATS_LANE_STEERED) > 0);
    assert_true(counted(1, STATS_LANE_STEERED) > 0);
    assert_int_equal(rte_ring_count(between(0, 1)) + rte_ring_count(between(1, 0)), 0);
    /* Each was looked at by the lane whose port it names, and by no other. */
    for (uint32_t l = 0; l < LANES; l++)
        assert_int_equal(counted(l, STATS_TCP_DROP_UNKNOWN), 40);
}

/* Lanes end at different times: what one passes on may find the other gone. */
static void left_in_a_ring(void **state)
{
    uint32_t from = *state != NULL ? 1 : 0;

    send_to(1 - from, 40);
    pass(from);
    assert_true(counted(from, STATS_LANE_STEERED) > 0);
    assert_int_equal(rte_ring_count(between(from, 1 - from)), counted(from, STATS_LANE_STEERED));
}

static void ring_full(void **state)
{
    (void)state;
    uint32_t cap = rte_ring_get_capacity(between(0, 1));

    for (int round = 0; round < 3; round++) {
        send_to(1, cap);
        for (uint32_t i = 0; i < cap; i += LANE_BURST)
            pass(0);
    }
    assert_int_equal(counted(0, STATS_LANE_STEERED), cap);
    assert_true(counted(0, STATS_LANE_STEER_DROPPED) > 0);
}

int main(void)
{
    static int first = 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(passed_on_once, open_lanes, close_lanes),
        cmocka_unit_test_setup_teardown(left_in_a_ring, open_lanes, close_lanes),
        cmocka_unit_test_prestate_setup_teardown(left_in_a_ring, open_lanes, close_lanes, &first),
        cmocka_unit_test_setup_teardown(ring_full, open_lanes, close_lanes),
    };

    dpdk_eal_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
