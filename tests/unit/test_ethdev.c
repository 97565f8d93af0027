/*
 * drivers/port/ethdev over the virtual devices: net_ring and net_memif anywhere, net_tap and
 * net_af_packet (on a veth pair) in a network namespace of the test's own, where it has the rights.
 */
#include "unit.h"

#include "base_bytes.h"
#include "dpdk_eal.h"
#include "ethdev.h"
#include "frames.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_packet.h>
#include <rte_mbuf.h>

#define WAIT_MS 5000
#define TAP     "slcunit0"
#define VETH    "slcveth0"
#define PEER    "slcpeer0"

static struct rte_mempool *pool;
static struct stats_block stats;
static bool have_netns;

static const struct frame_ends ends = {
    .src_mac = {2, 0, 0, 0, 0, 9},
    .dst_mac = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
    .src = {10, 9, 0, 2},
    .dst = {10, 9, 0, 1},
};

static int open_port(struct net_port *p, const char *name, uint16_t queue_cnt, char err[256])
{
    struct ethdev_config c = {.name = name, .queue_cnt = queue_cnt, .interrupts = true};

    for (uint16_t q = 0; q < queue_cnt; q++)
        c.queue[q] = (struct ethdev_queue){.rx_pool = pool, .stats = &stats};
    *p = (struct net_port){0};
    return ethdev_open(p, &c, err, 256);
}

static void open_and_start(struct net_port *p, const char *name, uint16_t queue_cnt)
{
    char err[256] = "";

    if (open_port(p, name, queue_cnt, err) != 0 || ethdev_start(p, err, sizeof(err)) != 0)
        fail_msg("%s", err);
    assert_int_equal(p->caps.queue_cnt, queue_cnt);
}

/* One frame from any queue that carries the marker port; NULL: none came. */
static struct rte_mbuf *receive(struct net_port *p, uint16_t marker)
{
    for (int ms = 0; ms < WAIT_MS; ms++) {
        for (uint16_t q = 0; q < p->caps.queue_cnt; q++) {
            struct rte_mbuf *m;
            while (p->ops->rx_burst(p->state, q, &m, 1) == 1) {
                if (m->pkt_len >= 36 &&
                    base_be16(rte_pktmbuf_mtod_offset(m, const uint8_t *, 34)) == marker)
                    return m;
                rte_pktmbuf_free(m); /* the kernel's own chatter */
            }
        }
        usleep(1000);
    }
    return NULL;
}

static void send_marked(struct net_port *p, uint16_t marker)
{
    uint8_t frame[128];
    struct rte_mbuf *m = frame_mbuf(pool, frame, frame_tcp(frame, &ends, marker, 25, 20), 0);

    assert_int_equal(p->ops->tx_burst(p->state, 0, &m, 1), 1);
}

static void errors_say_what_to_do(void **state)
{
    (void)state;
    struct net_port p;
    char err[256] = "";
    struct ethdev_config c = {.name = "net_ring0", .queue_cnt = 1, .mtu = 100};

    assert_true(open_port(&p, "net_tap77", 1, err) < 0);
    assert_non_null(strstr(err, "--vdev"));
    c.queue[0] = (struct ethdev_queue){.rx_pool = pool, .stats = &stats};
    assert_int_equal(ethdev_open(&p, &c, err, sizeof(err)), -EINVAL);
    assert_non_null(strstr(err, "mtu"));
    c.mtu = 0;
    c.queue_cnt = 40; /* more than the ring device has */
    for (uint16_t q = 0; q < 40; q++)
        c.queue[q] = c.queue[0];
    assert_int_equal(ethdev_open(&p, &c, err, sizeof(err)), -EINVAL);
    assert_non_null(strstr(err, "lanes"));
    assert_null(strchr(err, '\n'));
}

static void ring(void **state)
{
    (void)state;
    struct net_port p;

    open_and_start(&p, "net_ring0", 1); /* what is sent comes back */
    assert_true(p.caps.tx_multi_segs);
    assert_false(p.caps.tx_tcp_checksum);
    assert_int_equal(p.ops->wait_fd(p.state, 0), -1);
    send_marked(&p, 4711);
    struct rte_mbuf *m = receive(&p, 4711);
    assert_non_null(m);
    rte_pktmbuf_free(m);
    ethdev_close(&p);
    assert_true(dpdk_pool_full(pool));
}

static void memif(void **state)
{
    (void)state;
    struct net_port a, b;

    open_and_start(&a, "net_memif0", 1);
    open_and_start(&b, "net_memif1", 1);
    for (int ms = 0; ms < WAIT_MS && !(ethdev_link_is_up(&a) && ethdev_link_is_up(&b)); ms++)
        usleep(1000);
    assert_true(ethdev_link_is_up(&a) && ethdev_link_is_up(&b));
    for (uint16_t i = 1; i < 20; i++) {
        struct net_port *from = i % 2 == 0 ? &a : &b, *to = i % 2 == 0 ? &b : &a;
        struct rte_mbuf *none;
        /* The client offers buffers to the server when it polls. */
        assert_int_equal(to->ops->rx_burst(to->state, 0, &none, 1), 0);
        send_marked(from, i);
        struct rte_mbuf *m = receive(to, i);
        assert_non_null(m);
        rte_pktmbuf_free(m);
    }
    ethdev_close(&a);
    ethdev_close(&b);
    assert_true(dpdk_pool_full(pool));
}

/* A socket at the kernel's side of the interface. */
static int packet_socket(const char *name)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(0x0003));
    struct sockaddr_ll to = {.sll_family = AF_PACKET,
                             .sll_protocol = htons(0x0003),
                             .sll_ifindex = (int)if_nametoindex(name)};

    assert_true(fd >= 0 && to.sll_ifindex > 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* Frames cross both ways, and a frame makes a descriptor readable. */
static void exchange_with_kernel(struct net_port *p, int fd)
{
    uint8_t frame[2048];
    bool queue_used[ETHDEV_QUEUE_MAX] = {false};

    for (uint16_t i = 1; i <= 32; i++) {
        struct pollfd wait[ETHDEV_QUEUE_MAX];
        for (uint16_t q = 0; q < p->caps.queue_cnt; q++) {
            wait[q] = (struct pollfd){.fd = p->ops->wait_fd(p->state, q), .events = POLLIN};
            assert_true(wait[q].fd >= 0);
            assert_int_equal(p->ops->arm(p->state, q, true), 0);
        }
        size_t len = frame_tcp(frame, &ends, i, 25, 30);
        assert_int_equal(send(fd, frame, len, 0), len);
        assert_true(poll(wait, p->caps.queue_cnt, WAIT_MS) > 0);
        for (uint16_t q = 0; q < p->caps.queue_cnt; q++) {
            queue_used[q] |= (wait[q].revents & POLLIN) != 0;
            assert_int_equal(p->ops->arm(p->state, q, false), 0);
        }
        struct rte_mbuf *m = receive(p, i);
        assert_non_null(m);
        assert_int_equal(m->pkt_len, len);
        assert_memory_equal(rte_pktmbuf_mtod(m, void *), frame, len);
        rte_pktmbuf_free(m);
    }
    for (uint16_t q = 0; q < p->caps.queue_cnt; q++)
        assert_true(queue_used[q]);

    send_marked(p, 999);
    for (int i = 0;; i++) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        assert_true(i < 100 && poll(&wait, 1, WAIT_MS) == 1);
        ssize_t n = recv(fd, frame, sizeof(frame), 0);
        if (n >= 36 && base_be16(frame + 34) == 999)
            break;
    }
}

static void tap(void **state)
{
    (void)state;
    struct net_port p;

    if (!have_netns) {
        print_message("skipped: no right to make a network namespace\n");
        skip();
    }
    open_and_start(&p, "net_tap0", 2);
    assert_true(p.caps.rx_tcp_checksum && p.caps.tx_tcp_checksum);
    assert_false(p.caps.tx_multi_segs); /* its sums over chains are wrong */
    assert_int_equal(p.caps.mtu, 1500);
    assert_int_equal(system("ip link set " TAP " up"), 0);
    int fd = packet_socket(TAP);
    exchange_with_kernel(&p, fd);
    close(fd);
    ethdev_close(&p);
    assert_true(dpdk_pool_full(pool));
}

static void af_packet(void **state)
{
    (void)state;
    struct net_port p;

    if (!have_netns) {
        print_message("skipped: no right to make a network namespace\n");
        skip();
    }
    open_and_start(&p, "net_af_packet0", 2);
    assert_false(p.caps.rx_tcp_checksum || p.caps.tx_tcp_checksum || p.caps.rss);
    assert_true(p.caps.tx_multi_segs);
    assert_true(p.ops->wait_fd(p.state, 0) != p.ops->wait_fd(p.state, 1));
    int fd = packet_socket(PEER);
    exchange_with_kernel(&p, fd);
    close(fd);
    ethdev_close(&p);
    assert_true(dpdk_pool_full(pool));
}

/* A namespace of our own with a veth pair; nothing of the machine is touched. */
static bool make_netns(void)
{
    return geteuid() == 0 && access("/dev/net/tun", R_OK | W_OK) == 0 &&
           unshare(CLONE_NEWNET) == 0 &&
           system("ip link set lo up && ip link add " VETH " type veth peer name " PEER
                  " && ip link set " VETH " up && ip link set " PEER " up") == 0;
}

int main(void)
{
    char socket_path[64], server[160], client[160];
    sigset_t tap_signals;

    /* net_tap raises one for each frame. */
    sigemptyset(&tap_signals);
    for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
        sigaddset(&tap_signals, s);
    sigprocmask(SIG_BLOCK, &tap_signals, NULL);

    snprintf(socket_path, sizeof(socket_path), "/tmp/sluice-unit-%d.sock", (int)getpid());
    snprintf(server, sizeof(server), "net_memif0,role=server,id=0,socket-abstract=no,socket=%s",
             socket_path);
    snprintf(client, sizeof(client), "net_memif1,role=client,id=0,socket-abstract=no,socket=%s",
             socket_path);
    have_netns = make_netns();
    const char *vdevs[] = {
        "net_ring0",
        server,
        client,
        have_netns ? "net_tap0,iface=" TAP : NULL,
        "net_af_packet0,iface=" VETH ",qpairs=2,blocksz=65536,framesz=2048,framecnt=512,"
        "qdisc_bypass=1",
        NULL,
    };
    dpdk_eal_init_vdevs(vdevs);
    pool = dpdk_pool("ports", 8192, 0);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_say_what_to_do),
        cmocka_unit_test(ring),
        cmocka_unit_test(memif),
        cmocka_unit_test(tap),
        cmocka_unit_test(af_packet),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(socket_path);
    return rc;
}
