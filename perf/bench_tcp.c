/*
 * What the stack costs: two of our stacks in one process over a pair of DPDK's net_ring ports,
 * which pass pointers, so nothing but lib/net and lib/tcp is measured. One thread steps both ends;
 * the cycles (TSC ticks) of each end's passes are counted apart, so the figures are those of the
 * server alone. They are the median of slices of a few passes: another process that takes the core
 * for a while spoils some slices and not the figure.
 *
 * usage: bench_tcp CASE [RESIDENT [COUNT]]: connect, pingpong, receive, send; RESIDENT idle
 * connections beside. Prints lines "metric value unit". receive and send may end in _checksum (the
 * ports are taken to compute and check checksums) or _large (and to cut and merge large segments):
 * then nobody does, and large ones are handed over whole. That shows what such ports save the
 * stack.
 */
#include "base_time.h"
#include "net.h"
#include "tcp.h"

#include "ethdev.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#define ADDRESSES     16
#define SERVER_PORT   25
#define PORTS         4 /* the server listens on so many, so that a million flows have names */
#define WINDOW        64
#define COUNT_PASS_NS 2000 /* what a pass takes in the time of count */
#define FRAME_BYTES   512  /* headers, and payloads that are copied behind them: as in sluiced */
#define RUN_NS        (2 * BASE_NS_S)
#define WARM_NS       (200 * BASE_NS_MS)
#define SLICE         4 /* passes */
#define SLICES_MAX    65536

enum role { CLIENT, SERVER };
enum bench { CONNECT, PINGPONG, RECEIVE, SEND };

struct side {
    enum role role;
    struct net_port port;
    struct net_port inner; /* of a port that is taken to have offloads */
    struct net *net;
    struct tcp_stack *tcp;
    struct rte_mempool *data_pool, *ctrl_pool, *frame_pool;
    struct stats_block stats;
};

struct run {
    struct side side[2];
    enum bench bench;
    bool offloads, large; /* of the ports */
    uint64_t now_ns, tsc_hz, tsc_start;
    uint64_t done;     /* connections, pings, or bytes that the server received */
    uint64_t count;    /* what is to be done, in a time of our own; 0: as much as RUN_NS allows */
    uint64_t bytes;    /* of bulk: sent to the server, or received from it */
    uint32_t open_cnt; /* client connections under way */
    uint32_t resident, want_resident;
    uint32_t next;   /* for spreading over addresses and ports */
    uint64_t cycles; /* of the server, in the slice at hand */
    uint32_t slice_cnt;
    struct slice {
        uint64_t cycles, done, bytes, segments;
        double cost; /* cycles for each of what is counted */
    } slice[SLICES_MAX];
    uint8_t chunk[65536];
};

static void die(const char *what, int error)
{
    fprintf(stderr, "bench_tcp: %s (%d)\n", what, error);
    exit(1);
}

static struct net_addr address(enum role role, uint32_t i)
{
    return net_addr_v4((const uint8_t[]){10, 0, role == SERVER ? 1 : 2, (uint8_t)(i + 1)});
}

/* ---- the two applications ---- */

static void start_client(struct run *r, bool idle)
{
    struct net_endpoint local = {.addr = address(CLIENT, r->next % ADDRESSES)};
    struct net_endpoint remote = {.addr = address(SERVER, 0),
                                  .port = (uint16_t)(SERVER_PORT + r->next / ADDRESSES % PORTS)};
    struct tcp_conn *c;

    r->next++;
    int error = tcp_connect(r->side[CLIENT].tcp, &local, &remote, idle ? &r->resident : NULL, &c,
                            r->now_ns);
    if (error != 0)
        die("tcp_connect", error);
    r->open_cnt++;
}

static void client_event(struct run *r, const struct tcp_event *e)
{
    struct side *s = &r->side[CLIENT];
    bool idle = e->user != NULL;

    if (e->flags & TCP_EVENT_FAILED)
        die("a connection failed", (int)tcp_error(e->conn));
    if (e->flags & TCP_EVENT_CONNECTED) {
        if (idle) {
            r->resident++;
            r->open_cnt--;
            return;
        }
        if (r->bench != RECEIVE && tcp_send(s->tcp, e->conn, "x", 1) != 1)
            die("tcp_send", 0);
    }
    if (r->bench == RECEIVE) { /* the server receives: we send all that goes */
        while (tcp_send(s->tcp, e->conn, r->chunk, sizeof(r->chunk)) == (int64_t)sizeof(r->chunk))
            ;
        return;
    }
    uint32_t len = tcp_recv_len(e->conn);
    if (len == 0)
        return;
    tcp_recv_consume(s->tcp, e->conn, len);
    if (r->bench == SEND) {
        r->bytes += len;
    } else if (r->bench == PINGPONG) {
        r->done++;
        if (tcp_send(s->tcp, e->conn, "x", 1) != 1)
            die("tcp_send", 0);
    } else {
        r->done++;
        r->open_cnt--;
        tcp_close(s->tcp, e->conn);
    }
}

static void server_event(struct run *r, const struct tcp_event *e)
{
    struct side *s = &r->side[SERVER];
    uint32_t len = tcp_recv_len(e->conn);

    if (len > 0)
        tcp_recv_consume(s->tcp, e->conn, len);
    if (r->bench == RECEIVE)
        r->done += len;
    else if (len > 0 && r->bench != SEND && tcp_send(s->tcp, e->conn, "y", 1) != 1)
        die("tcp_send", 0);
    if (r->bench == SEND && (len > 0 || e->flags & TCP_EVENT_WRITABLE))
        while (tcp_send(s->tcp, e->conn, r->chunk, sizeof(r->chunk)) == (int64_t)sizeof(r->chunk))
            ;
    if (e->flags & (TCP_EVENT_PEER_CLOSED | TCP_EVENT_FAILED))
        tcp_close(s->tcp, e->conn);
}

/* ---- both stacks ---- */

static void pass(struct run *r, struct side *s)
{
    struct rte_mbuf *pkts[NET_PORT_BURST_MAX];
    struct net_segment segments[NET_PORT_BURST_MAX];
    struct tcp_event events[NET_PORT_BURST_MAX];
    uint16_t n;

    if (r->count > 0)
        r->now_ns += COUNT_PASS_NS;
    else
        r->now_ns =
            BASE_NS_S + (uint64_t)((double)(rte_rdtsc() - r->tsc_start) * 1e9 / (double)r->tsc_hz);
    n = s->port.ops->rx_burst(s->port.state, 0, pkts, NET_PORT_BURST_MAX);
    if (n > 0)
        tcp_push(s->tcp, segments, net_input(s->net, pkts, n, segments, r->now_ns), r->now_ns);
    tcp_run(s->tcp, r->now_ns);
    net_run(s->net, r->now_ns);
    uint32_t cnt = tcp_poll(s->tcp, events, NET_PORT_BURST_MAX);
    for (uint32_t i = 0; i < cnt; i++) {
        if (s->role == CLIENT)
            client_event(r, &events[i]);
        else
            server_event(r, &events[i]);
    }
    tcp_flush(s->tcp, r->now_ns);
    net_flush(s->net);
}

/* Not inlined, so that a profiler's call graph tells the ends apart. */
__attribute__((noinline)) static void pass_server(struct run *r)
{
    uint64_t start = rte_rdtsc();

    pass(r, &r->side[SERVER]);
    r->cycles += rte_rdtsc() - start;
}

/* For a counter of instructions. */
__attribute__((noinline)) static void counted_server(struct run *r)
{
    pass(r, &r->side[SERVER]);
}

static void count(struct run *r)
{
    bool bulk = r->bench == RECEIVE || r->bench == SEND;

    r->done = r->bytes = 0;
    while ((r->bench == SEND ? r->bytes : r->done) < r->count) {
        while (r->open_cnt < (bulk ? 1 : WINDOW))
            start_client(r, false);
        pass(r, &r->side[CLIENT]);
        counted_server(r);
    }
    printf("done %lu\n", (unsigned long)(r->bench == SEND ? r->bytes : r->done));
}

static void both(struct run *r)
{
    pass(r, &r->side[CLIENT]);
    pass_server(r);
}

static uint16_t offload_rx(void *state, uint16_t queue, struct rte_mbuf **pkts, uint16_t cap)
{
    const struct net_port *p = state;
    uint16_t n = p->ops->rx_burst(p->state, queue, pkts, cap);

    for (uint16_t i = 0; i < n; i++) {
        pkts[i]->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
        pkts[i]->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    }
    return n;
}

static uint16_t offload_tx(void *state, uint16_t queue, struct rte_mbuf **pkts, uint16_t cnt)
{
    const struct net_port *p = state;
    return p->ops->tx_burst(p->state, queue, pkts, cnt);
}

static void pretend_offloads(struct side *s, bool large)
{
    static const struct net_port_ops ops = {
        .name = "offload", .rx_burst = offload_rx, .tx_burst = offload_tx};
    struct net_port_caps *caps = &s->port.caps;

    s->inner = s->port;
    s->port.ops = &ops;
    s->port.state = &s->inner;
    caps->rx_ip_checksum = caps->rx_tcp_checksum = true;
    caps->tx_ip_checksum = caps->tx_tcp_checksum = true;
    caps->tx_tso = large;
    caps->tso_mtu = caps->mtu;
    caps->tso_mbuf_max = 44;
}

static void open_side(struct run *r, enum role role, const char *device, uint32_t conn_max)
{
    struct side *s = &r->side[role];
    char name[32], err[256];

    s->role = role;
    snprintf(name, sizeof(name), "data%d", role);
    s->data_pool =
        rte_pktmbuf_pool_create(name, 16383, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    snprintf(name, sizeof(name), "ctrl%d", role);
    s->ctrl_pool =
        rte_pktmbuf_pool_create(name, 32767, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    snprintf(name, sizeof(name), "frame%d", role);
    s->frame_pool = rte_pktmbuf_pool_create(name, 16383, 256, 0, RTE_PKTMBUF_HEADROOM + FRAME_BYTES,
                                            SOCKET_ID_ANY);
    if (s->data_pool == NULL || s->ctrl_pool == NULL || s->frame_pool == NULL)
        die("no mbufs", 0);
    struct ethdev_config e = {.name = device, .queue_cnt = 1};
    e.queue[0] = (struct ethdev_queue){.rx_pool = s->data_pool, .stats = &s->stats};
    if (ethdev_open(&s->port, &e, err, sizeof(err)) != 0 ||
        ethdev_start(&s->port, err, sizeof(err)) != 0)
        die(err, 0);
    s->port.caps.mac[0] = 2; /* ring ports have no addresses worth the name */
    s->port.caps.mac[5] = (uint8_t)(role + 1);
    if (r->offloads)
        pretend_offloads(s, r->large);
    struct net_config n = {
        .port = &s->port, .ctrl_pool = s->ctrl_pool, .stats = &s->stats, .seed = 1};
    for (uint32_t i = 0; i < ADDRESSES; i++)
        n.addresses[n.address_cnt++] = (struct net_prefix){address(role, i), 96 + 16};
    int error = net_init(&s->net, &n, r->now_ns);
    if (error != 0)
        die("net_init", error);
    struct tcp_config t = {.net = s->net,
                           .data_pool = s->data_pool,
                           .ctrl_pool = s->ctrl_pool,
                           .frame_pool = s->frame_pool,
                           .stats = &s->stats,
                           .conn_max = conn_max + 1024,
                           .syn_max = 4096,
                           .time_wait_max = 65536,
                           .listen_max = PORTS,
                           .port_min = 1024,
                           .port_max = 65535,
                           .recv_window_bytes = 1u << 20,
                           .send_buffer_bytes = 1u << 20,
                           .msl_ns = BASE_NS_MS};
    error = tcp_init(&s->tcp, &t, r->now_ns);
    if (error != 0)
        die("tcp_init", error);
    for (uint16_t i = 0; role == SERVER && i < PORTS; i++) {
        struct net_endpoint local = {.port = (uint16_t)(SERVER_PORT + i)};
        if (tcp_listen(s->tcp, &local, NULL) != 0)
            die("tcp_listen", 0);
    }
}

/* Crossed rings: what one port sends the other receives. */
static void make_ports(void)
{
    struct rte_ring *a = rte_ring_create("a", 4096, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    struct rte_ring *b = rte_ring_create("b", 4096, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);

    if (a == NULL || b == NULL || rte_eth_from_rings("client", &a, 1, &b, 1, SOCKET_ID_ANY) < 0 ||
        rte_eth_from_rings("server", &b, 1, &a, 1, SOCKET_ID_ANY) < 0)
        die("no ring ports", 0);
}

static uint64_t resident_bytes(void)
{
    unsigned long pages = 0, shared = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f == NULL || fscanf(f, "%lu %lu", &shared, &pages) != 2)
        die("/proc/self/statm", 0);
    fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* The idle connections; some in any case, one after the other, so that each address has been asked
 * for when the load begins. */
__attribute__((noinline)) static void hold_idle(struct run *r)
{
    uint32_t want = r->want_resident > ADDRESSES ? r->want_resident : ADDRESSES;

    while (r->resident < want) {
        uint32_t window = r->resident < ADDRESSES ? 1 : WINDOW;
        while (r->open_cnt < window && r->resident + r->open_cnt < want)
            start_client(r, true);
        both(r);
    }
    for (int i = 0; i < 1000; i++)
        both(r);
}

static uint64_t segments_of(const struct run *r)
{
    return stats_get(&r->side[SERVER].stats,
                     r->bench == SEND ? STATS_TCP_TX_SEGMENTS : STATS_TCP_RX_SEGMENTS);
}

/* One slice of work, noted. */
static void run_slice(struct run *r, bool bulk)
{
    struct slice *e = &r->slice[r->slice_cnt % SLICES_MAX];
    uint32_t window = bulk ? 1 : WINDOW;
    uint64_t done = r->done, bytes = r->bytes, segments = segments_of(r);

    r->cycles = 0;
    for (int i = 0; i < SLICE; i++) {
        while (r->open_cnt < window)
            start_client(r, false);
        both(r);
    }
    *e = (struct slice){.cycles = r->cycles,
                        .done = r->done - done,
                        .bytes = r->bench == RECEIVE ? r->done - done : r->bytes - bytes,
                        .segments = segments_of(r) - segments};
    r->slice_cnt++;
}

static int by_cost(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;

    return (x->cost > y->cost) - (x->cost < y->cost);
}

enum unit { EACH, SEGMENT, KIB };

/* The median slice's cycles for each of what is counted; slices in which nothing was done (the
 * first neighbor questions, say) do not count. */
static double cost(struct run *r, enum unit unit)
{
    uint32_t cnt = r->slice_cnt < SLICES_MAX ? r->slice_cnt : SLICES_MAX, used_cnt = 0;

    for (uint32_t i = 0; i < cnt; i++) {
        struct slice *e = &r->slice[i];
        double n = unit == EACH      ? (double)e->done
                   : unit == SEGMENT ? (double)e->segments
                                     : (double)e->bytes / 1024;
        e->cost = n > 0 ? (double)e->cycles / n : 1e18;
        used_cnt += n > 0;
    }
    if (used_cnt == 0)
        die("nothing was done", 0);
    qsort(r->slice, cnt, sizeof(r->slice[0]), by_cost);
    return r->slice[used_cnt / 2].cost;
}

static void print_bulk(struct run *r)
{
    const char *way = r->bench == SEND ? "sent" : "received";
    double kib = cost(r, KIB);

    printf("cycles_per_segment_%s %.0f cycles\n", way, cost(r, SEGMENT));
    printf("cycles_per_kib_%s %.0f cycles\n", way, kib);
    printf("gbit_per_s_%s %.2f Gbit/s\n", way, 1024 * 8 * ((double)r->tsc_hz / kib) / 1e9);
}

__attribute__((noinline)) static void measure(struct run *r)
{
    bool bulk = r->bench == RECEIVE || r->bench == SEND;

    r->tsc_start =
        rte_rdtsc() - (uint64_t)((double)(r->now_ns - BASE_NS_S) * (double)r->tsc_hz / 1e9);
    for (uint64_t end_ns = r->now_ns + WARM_NS; r->now_ns < end_ns;)
        run_slice(r, bulk);
    r->slice_cnt = 0;
    r->done = r->bytes = 0;
    uint64_t start_ns = r->now_ns, start_tsc = rte_rdtsc();
    while (r->now_ns - start_ns < RUN_NS)
        run_slice(r, bulk);
    double seconds = (double)(rte_rdtsc() - start_tsc) / (double)r->tsc_hz;
    if (bulk) {
        print_bulk(r);
        return;
    }
    const char *what = r->bench == CONNECT ? "connection" : "pingpong";
    double each = cost(r, EACH);
    printf("cycles_per_%s %.0f cycles\n", what, each);
    printf("%ss_per_s %.0f /s\n", what, (double)r->tsc_hz / each);
    printf("%ss_per_s_both_ends %.0f /s\n", what, (double)r->done / seconds);
}

int main(int argc, char **argv)
{
    static const char *const name[] = {"connect", "pingpong", "receive", "send"};
    char *eal[] = {argv[0],
                   (char[]){"--no-huge"},
                   (char[]){"--no-shconf"},
                   (char[]){"--no-pci"},
                   (char[]){"--no-telemetry"},
                   (char[]){"-m"},
                   (char[]){"512"},
                   (char[]){"-l"},
                   (char[]){"0"},
                   (char[]){"--log-level=lib.eal:error"}};
    struct run *r = aligned_alloc(64, (sizeof(*r) + 63) & ~(size_t)63);

    memset(r, 0, sizeof(*r));
    char *tail = argc > 1 ? strchr(argv[1], '_') : NULL;
    if (tail != NULL) {
        r->offloads = true;
        r->large = strcmp(tail, "_large") == 0;
        *tail = '\0';
    }
    for (r->bench = CONNECT; argc > 1 && r->bench <= SEND; r->bench++)
        if (strcmp(argv[1], name[r->bench]) == 0)
            break;
    if (argc < 2 || r->bench > SEND)
        die("usage: bench_tcp connect|pingpong|receive|send [RESIDENT [COUNT]]", 0);
    if (tail != NULL && !r->large && strcmp(tail + 1, "checksum") != 0)
        die("receive_checksum, receive_large, send_checksum or send_large", 0);
    r->want_resident = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    r->count = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    if (rte_eal_init((int)(sizeof(eal) / sizeof(eal[0])), eal) < 0)
        die("EAL does not start", 0);
    r->tsc_hz = rte_get_tsc_hz();
    r->tsc_start = rte_rdtsc();
    r->now_ns = BASE_NS_S;
    make_ports();
    uint64_t before = resident_bytes();
    open_side(r, CLIENT, "net_ring_client", r->want_resident);
    open_side(r, SERVER, "net_ring_server", r->want_resident);
    uint64_t pools = 2 * ((16384 + 32768) * (uint64_t)(RTE_MBUF_DEFAULT_BUF_SIZE + 256) +
                          16384 * (RTE_PKTMBUF_HEADROOM + FRAME_BYTES + 256));
    hold_idle(r);
    if (r->want_resident > 0)
        printf("bytes_per_connection %.0f bytes\n",
               (double)(resident_bytes() - before - pools) / r->want_resident / 2);
    if (r->count > 0)
        count(r);
    else
        measure(r);
    rte_eal_cleanup();
    return 0;
}
