/*
 * The machine's own traffic: the host's pass over a port in memory (what is its whose, what waits),
 * and drivers/port/tap against the kernel, in a network namespace of the test's own where it has
 * the rights.
 */
#include "unit.h"

#include "base_bytes.h"
#include "base_time.h"
#include "counted.h"
#include "dpdk_eal.h"
#include "frames.h"
#include "host.h"
#include "lane.h"
#include "tap.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_packet.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#define LANES   2
#define NAME    "slchost0"
#define WAIT_MS 5000

static struct rte_mempool *lane_pool, *host_pool;
static struct topology topology;

/* ---- a TAP that remembers ---- */

static struct {
    uint32_t sent_cnt;
    uint32_t kernel_cnt; /* frames that the kernel has */
    uint16_t accept;
} tap;

static uint16_t fake_rx(void *state, uint16_t queue, struct rte_mbuf **pkts, uint16_t cap)
{
    uint16_t n = 0;

    (void)state;
    (void)queue;
    for (; n < cap && tap.kernel_cnt > 0; n++, tap.kernel_cnt--) {
        pkts[n] = rte_pktmbuf_alloc(host_pool);
        assert_non_null(pkts[n]);
        rte_pktmbuf_append(pkts[n], 60);
    }
    return n;
}

static uint16_t fake_tx(void *state, uint16_t queue, struct rte_mbuf **pkts, uint16_t cnt)
{
    (void)state;
    (void)queue;
    cnt = cnt < tap.accept ? cnt : tap.accept;
    for (uint16_t i = 0; i < cnt; i++) {
        rte_mbuf_sanity_check(pkts[i], 1);
        tap.sent_cnt++;
        rte_pktmbuf_free(pkts[i]);
    }
    return cnt;
}

static const struct net_port_ops fake_ops = {
    .name = "fake", .rx_burst = fake_rx, .tx_burst = fake_tx};
static struct net_port fake = {.ops = &fake_ops};

static struct host host;

static void start(uint32_t rate, uint32_t burst)
{
    struct host_config c = {.topology = &topology, .tap = &fake, .rate = rate, .burst = burst};

    memset(&tap, 0, sizeof(tap));
    tap.accept = UINT16_MAX;
    assert_int_equal(topology_init(&topology, LANES, 1, "host", true), 0);
    host_init(&host, &c);
}

static void stop(void)
{
    counted_add(host.stats);
    topology_fini(&topology);
}

static uint64_t counted(enum stats_id id)
{
    return stats_get(host.stats, id);
}

static void give(uint32_t lane, uint32_t cnt, size_t split)
{
    static const uint8_t bytes[200];

    for (uint32_t i = 0; i < cnt; i++)
        assert_int_equal(rte_ring_sp_enqueue(topology_ring(&topology, TOPOLOGY_LANE_HOST, lane),
                                             frame_mbuf(lane_pool, bytes, 200, split)),
                         0);
}

/* The lane's end of the ring: how many buffers are back, each held once. */
static uint32_t take_back(uint32_t lane)
{
    struct rte_mbuf *m;
    uint32_t cnt = 0;

    while (rte_ring_sc_dequeue(topology_ring(&topology, TOPOLOGY_HOST_FREE, lane), (void **)&m) ==
           0) {
        for (struct rte_mbuf *part = m; part != NULL; part = part->next)
            assert_int_equal(rte_mbuf_refcnt_read(part), 1);
        rte_pktmbuf_free(m);
        cnt++;
    }
    return cnt;
}

static void buffers_come_back_to_their_lane(void **state)
{
    (void)state;

    start(1000, 10);
    give(0, 100, 0);
    give(1, 40, 64); /* chains */
    while (host_pass(&host, BASE_NS_S))
        ;
    assert_int_equal(tap.sent_cnt, 140);
    assert_int_equal(take_back(0), 100);
    assert_int_equal(take_back(1), 40);
    tap.accept = 5;
    give(1, 20, 0);
    while (host_pass(&host, BASE_NS_S))
        ;
    assert_int_equal(counted(STATS_NET_DROP_TO_HOST_REFUSED), 15);
    assert_int_equal(take_back(1), 20);
    assert_true(dpdk_pool_full(lane_pool));
    stop();
}

/* A lane that does not take its buffers back gets no more frames written; the others do. */
static void a_lane_that_is_behind(void **state)
{
    (void)state;
    start(1000, 10);
    uint32_t room = rte_ring_get_capacity(topology_ring(&topology, TOPOLOGY_HOST_FREE, 0));

    give(0, room, 0);
    while (host_pass(&host, BASE_NS_S))
        ;
    give(0, 10, 0);
    give(1, 10, 0);
    while (host_pass(&host, BASE_NS_S))
        ;
    assert_int_equal(tap.sent_cnt, room + 10);
    assert_int_equal(take_back(0), room);
    while (host_pass(&host, BASE_NS_S))
        ;
    assert_int_equal(tap.sent_cnt, room + 20);
    assert_int_equal(take_back(0) + take_back(1), 20);
    assert_true(dpdk_pool_full(lane_pool));
    stop();
}

static uint32_t sent_by_kernel(void)
{
    struct rte_mbuf *m;
    uint32_t cnt = 0;

    while (rte_ring_sc_dequeue(topology_ring(&topology, TOPOLOGY_HOST_LANE, 0), (void **)&m) == 0) {
        rte_pktmbuf_free(m);
        cnt++;
    }
    return cnt;
}

static void the_kernel_has_its_rate(void **state)
{
    (void)state;
    uint64_t now_ns = 5 * BASE_NS_S;

    start(1000, 10);
    tap.kernel_cnt = 100;
    while (host_pass(&host, now_ns))
        ;
    assert_int_equal(sent_by_kernel(), 10);
    assert_true(host.waits);
    assert_int_equal(counted(STATS_NET_FROM_HOST_LIMITED), 1);
    now_ns += 3 * BASE_NS_MS;
    while (host_pass(&host, now_ns))
        ;
    assert_int_equal(sent_by_kernel(), 3);
    assert_int_equal(tap.kernel_cnt, 87); /* the rest waits where it was */
    while (tap.kernel_cnt > 0) {
        now_ns += 50 * BASE_NS_MS;
        while (host_pass(&host, now_ns))
            ;
        assert_in_range(sent_by_kernel(), 7, 10);
    }
    now_ns += BASE_NS_S;
    host_pass(&host, now_ns);
    assert_false(host.waits);
    assert_true(dpdk_pool_full(host_pool));
    stop();
}

/* Lane 0 does not run: what it has no room for stays with the kernel. */
static void a_full_ring(void **state)
{
    (void)state;
    start(1000000, 100000);
    uint32_t room = rte_ring_get_capacity(topology_ring(&topology, TOPOLOGY_HOST_LANE, 0));

    tap.kernel_cnt = room + 50;
    while (host_pass(&host, BASE_NS_S))
        ;
    assert_int_equal(tap.kernel_cnt, 50);
    assert_true(host.waits);
    assert_int_equal(sent_by_kernel(), room);
    assert_true(dpdk_pool_full(host_pool));
    stop();
}

/* The lane's side: what the host's ring has no room for is dropped and counted. */
static void a_host_that_is_behind(void **state)
{
    (void)state;
    static struct lane lane;
    static struct stats_block lane_stats;
    static const uint8_t bytes[60];

    start(1000, 10);
    lane = (struct lane){.stats = &lane_stats,
                         .to_host = topology_ring(&topology, TOPOLOGY_LANE_HOST, 0)};
    uint32_t room = rte_ring_free_count(lane.to_host);
    for (uint32_t i = 0; i < room + 3; i++)
        lane_host_give(&lane, frame_mbuf(lane_pool, bytes, sizeof(bytes), 0));
    assert_int_equal(stats_get(&lane_stats, STATS_NET_TO_HOST), room);
    assert_int_equal(stats_get(&lane_stats, STATS_NET_DROP_TO_HOST_FULL), 3);
    counted_add(&lane_stats);
    lane_host_fini(&lane);
    assert_true(dpdk_pool_full(lane_pool));
    stop();
}

/* ---- the kernel's ---- */

static struct stats_block stats;
static bool have_netns;

static int open_tap(struct net_port *p, uint16_t mtu, char err[256])
{
    struct tap_config c = {
        .name = NAME, .mac = {2, 0, 0, 0, 7, 7}, .mtu = mtu, .rx_pool = host_pool, .stats = &stats};
    return tap_open(p, &c, err, 256);
}

static int packet_socket(void)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0x0300);
    struct sockaddr_ll to = {.sll_family = AF_PACKET,
                             .sll_protocol = 0x0300, /* all, in network order */
                             .sll_ifindex = (int)if_nametoindex(NAME)};

    assert_true(fd >= 0 && to.sll_ifindex > 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static const struct frame_ends ends = {.src_mac = {2, 0, 0, 0, 0, 9},
                                       .dst_mac = {2, 0, 0, 0, 7, 7},
                                       .src = {10, 9, 0, 2},
                                       .dst = {10, 9, 0, 1}};

static void frames_cross(struct net_port *p, int fd)
{
    uint8_t frame[1600], got[2048];
    size_t len = frame_tcp(frame, &ends, 4711, 25, 1400);
    struct rte_mbuf *m = frame_mbuf(lane_pool, frame, len, 300);

    assert_int_equal(p->ops->tx_burst(p->state, 0, &m, 1), 1);
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
        ssize_t n = recv(fd, got, sizeof(got), 0);
        if (n == (ssize_t)len && memcmp(got, frame, len) == 0)
            break; /* the kernel's own chatter came before it */
    }
    frame_tcp(frame, &ends, 4712, 25, 1400);
    assert_int_equal(send(fd, frame, len, 0), len);
    for (;;) {
        struct pollfd wait = {.fd = p->ops->wait_fd(p->state, 0), .events = POLLIN};
        assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
        assert_int_equal(p->ops->rx_burst(p->state, 0, &m, 1), 1);
        bool same = m->pkt_len == len && memcmp(rte_pktmbuf_mtod(m, void *), frame, len) == 0;
        rte_pktmbuf_free(m);
        if (same)
            break;
    }
}

static void kernel_tap(void **state)
{
    (void)state;
    struct net_port p, second;
    char err[256] = "";
    uint8_t frame[128];

    if (!have_netns) {
        print_message("skipped: no right to make a network namespace\n");
        skip();
    }
    if (open_tap(&p, 1500, err) != 0)
        fail_msg("%s", err);
    /* It is down: nothing is taken, and that is counted. */
    struct rte_mbuf *m = frame_mbuf(lane_pool, frame, frame_tcp(frame, &ends, 1, 25, 0), 0);
    assert_int_equal(p.ops->tx_burst(p.state, 0, &m, 1), 1);
    assert_int_equal(stats_get(&stats, STATS_NET_DROP_TO_HOST_REFUSED), 1);
    assert_int_equal(p.ops->rx_burst(p.state, 0, &m, 1), 0);
    assert_int_equal(system("ip link set " NAME " up"), 0);
    assert_int_equal(system("ip link show " NAME " | grep -q 'ether 02:00:00:00:07:07'"), 0);
    int fd = packet_socket();
    frames_cross(&p, fd);
    close(fd);
    assert_int_equal(open_tap(&second, 1500, err), -EBUSY);
    assert_non_null(strstr(err, NAME));
    tap_close(&p);
    assert_int_equal(if_nametoindex(NAME), 0);

    /* One that stands already stays, and takes our MTU. */
    assert_int_equal(system("ip tuntap add name " NAME " mode tap && ip link set " NAME " up"), 0);
    assert_int_equal(open_tap(&p, 1400, err), 0);
    assert_int_equal(system("ip link show " NAME " | grep -q 'mtu 1400'"), 0);
    tap_close(&p);
    assert_int_not_equal(if_nametoindex(NAME), 0);
    assert_int_equal(system("ip link del " NAME), 0);
    assert_true(dpdk_pool_full(lane_pool) && dpdk_pool_full(host_pool));
}

int main(void)
{
    have_netns = geteuid() == 0 && access("/dev/net/tun", R_OK | W_OK) == 0 &&
                 unshare(CLONE_NEWNET) == 0 && system("ip link set lo up") == 0;
    dpdk_eal_init();
    lane_pool = dpdk_pool("lane", 4096, 0);
    host_pool = dpdk_pool("host", 1024, 0);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffers_come_back_to_their_lane), cmocka_unit_test(a_lane_that_is_behind),
        cmocka_unit_test(the_kernel_has_its_rate),         cmocka_unit_test(a_full_ring),
        cmocka_unit_test(a_host_that_is_behind),           cmocka_unit_test(kernel_tap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
