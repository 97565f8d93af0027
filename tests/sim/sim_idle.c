/*
 * Very many connections in one stack, in virtual time. A peer of few bytes for each connection (two
 * sequence numbers) opens them all, sends a byte, gets one back and falls silent for five hours:
 * keepalives must find those that died and leave the others alone. Then all are closed, by either
 * end or by a reset, and nothing may be left.
 *
 *     sim_idle [CONNECTIONS]    100000, when none are named, or more
 *
 * Prints what each costs: everything that the stack has taken from the system, by its own count.
 */
#include "dpdk_eal.h"
#include "tcp_internal.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#endif
#ifdef HAVE_ASAN
#include <sanitizer/allocator_interface.h>
#endif

#define START_NS      (1000 * BASE_NS_S)
#define KEEPALIVE_S   7200
#define INTERVAL_S    75
#define PROBE_CNT     9
#define IDLE_S        (5 * 3600) /* two keepalive times and all probes of the dead */
#define MSL_S         30
#define BATCH         256
#define PORT_CNT      50000 /* of one address of the peer */
#define PORT_MIN      1024
#define SERVER_PORT   25
#define SIDE_CNT      65536 /* half-open and TIME-WAIT entries */
#define DEAD_EVERY    100   /* so many peers for each that falls silent for good */
#define WINDOW        65535
#define BUDGET_BYTES  400
#define CONN_MIN      100000 /* with fewer, what does not grow with them is most of it */
#define DATA_BYTES    512
#define POOL_MBUF_CNT 4095

enum ending { PEER_CLOSES, WE_CLOSE, PEER_RESETS, ENDING_CNT };

struct peer {
    uint32_t snd_nxt;
    uint32_t rcv_nxt;
    bool opened : 1; /* the SYN-ACK has come */
    bool said : 1;   /* and our byte is out */
    bool heard : 1;  /* and the answer has come */
    bool dead : 1;   /* answers nothing any more */
    bool due : 1;    /* in the queue of those who answer */
    bool ended : 1;  /* our FIN or a reset is out */
    bool fin : 1;    /* the stack's FIN has come */
    bool gone : 1;   /* the stack has reset it */
};

struct run {
    struct tcp_stack *s;
    struct rte_mempool *pool[3];
    struct stats_block stats;
    uint64_t now_ns;
    uint32_t conn_cnt;
    struct peer *peer;
    struct tcp_conn **conn; /* the server's handles */
    uint32_t *due;          /* a circle of conn_cnt peers */
    uint32_t due_head, due_cnt;
    uint32_t accepted_cnt, failed_cnt, timeout_cnt;
};

#define check(ok)                                                                                  \
    do {                                                                                           \
        if (!(ok)) {                                                                               \
            printf("sim_idle: not so, at %.3f s (line %d): %s\n", (double)r->now_ns / 1e9,         \
                   __LINE__, #ok);                                                                 \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static const uint8_t own_address[4] = {192, 0, 2, 1};

static size_t allocated_bytes(void)
{
#ifdef HAVE_ASAN
    return __sanitizer_get_current_allocated_bytes();
#else
    struct mallinfo2 i = mallinfo2();
    return i.uordblks + i.hblkhd;
#endif
}

/* ---- the peer ---- */

static bool is_dead(uint32_t i)
{
    return i % DEAD_EVERY == DEAD_EVERY - 1;
}

static uint32_t address_of(uint32_t i)
{
    return UINT32_C(10) << 24 | (1 + i / PORT_CNT);
}

/* The stack's segments are answered when the call that sent them is over. */
static void answer_later(struct run *r, uint32_t i)
{
    if (r->peer[i].due)
        return;
    r->peer[i].due = true;
    check(r->due_cnt < r->conn_cnt);
    r->due[(r->due_head + r->due_cnt++) % r->conn_cnt] = i;
}

/* In place of lib/net: what the stack sends. */
int net_output(struct net *n, struct rte_mbuf *m, const struct net_addr *src,
               const struct net_addr *dst, uint8_t protocol, uint8_t ecn, uint64_t now_ns)
{
    struct run *r = (struct run *)(void *)n;
    const uint8_t *h = rte_pktmbuf_mtod(m, const uint8_t *);
    uint32_t seq = base_be32(h + 4), len = m->pkt_len - (uint32_t)(h[12] >> 4) * 4;
    uint32_t i = (base_be32(dst->b + 12) - address_of(0)) * PORT_CNT + base_be16(h + 2) - PORT_MIN;

    (void)src, (void)protocol, (void)ecn, (void)now_ns;
    check(i < r->conn_cnt);
    struct peer *p = &r->peer[i];
    if (h[13] & TCP_FLAG_RST) {
        p->gone = true;
    } else if (h[13] & TCP_FLAG_SYN) {
        check(!p->opened);
        p->opened = true;
        p->rcv_nxt = seq + 1;
        answer_later(r, i);
    } else if (!p->dead) {
        bool probe = len == 0 && seq == p->rcv_nxt - 1;
        check(seq == p->rcv_nxt || probe);
        p->rcv_nxt += probe ? 0 : len + (h[13] & TCP_FLAG_FIN);
        p->heard |= len > 0;
        p->fin |= h[13] & TCP_FLAG_FIN;
        if (len > 0 || probe || h[13] & TCP_FLAG_FIN)
            answer_later(r, i);
    }
    rte_pktmbuf_free(m);
    return 0;
}

int net_source(const struct net *n, const struct net_addr *dst, struct net_addr *src)
{
    (void)n, (void)dst;
    *src = net_addr_v4(own_address);
    return 0;
}

uint32_t net_large_max(const struct net *n, const struct net_addr *src, uint16_t segment_bytes,
                       uint16_t *mbuf_max)
{
    (void)n, (void)src, (void)segment_bytes;
    *mbuf_max = 0;
    return 0;
}

uint16_t net_segment_max(const struct net *n, const struct net_addr *src)
{
    (void)n, (void)src;
    return 1480;
}

/* A segment of peer i, with len (0 or 1) bytes. */
static struct net_segment segment(struct run *r, uint32_t i, uint8_t flags, uint32_t len)
{
    struct peer *p = &r->peer[i];
    struct rte_mbuf *m = rte_pktmbuf_alloc(r->pool[2]);
    uint8_t raw[4];

    check(m != NULL);
    uint8_t *h = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(TCP_HEADER_BYTES + len));
    base_put_be16(h, (uint16_t)(PORT_MIN + i % PORT_CNT));
    base_put_be16(h + 2, SERVER_PORT);
    base_put_be32(h + 4, p->snd_nxt);
    base_put_be32(h + 8, flags & TCP_FLAG_ACK ? p->rcv_nxt : 0);
    h[12] = TCP_HEADER_BYTES / 4 << 4;
    h[13] = flags;
    base_put_be16(h + 14, WINDOW);
    memset(h + 16, 0, 4);
    memset(h + TCP_HEADER_BYTES, 'x', len);
    p->snd_nxt += len + ((flags & (TCP_FLAG_SYN | TCP_FLAG_FIN)) != 0);
    base_put_be32(raw, address_of(i));
    return (struct net_segment){.mbuf = m,
                                .src = net_addr_v4(raw),
                                .dst = net_addr_v4(own_address),
                                .protocol = NET_PROTO_TCP};
}

static struct net_segment answer(struct run *r, uint32_t i)
{
    struct peer *p = &r->peer[i];
    bool say = !p->said, end = p->fin && !p->ended;

    p->said = true;
    p->ended |= end;
    return segment(r, i, TCP_FLAG_ACK | (end ? TCP_FLAG_FIN : 0), say);
}

/* ---- the server ---- */

static uint32_t index_of(const struct tcp_conn *c)
{
    struct net_endpoint e;

    tcp_remote(c, &e);
    return (base_be32(e.addr.b + 12) - address_of(0)) * PORT_CNT + e.port - PORT_MIN;
}

static void handle(struct run *r, const struct tcp_event *e)
{
    uint32_t i = index_of(e->conn);
    struct base_span span;

    check(i < r->conn_cnt);
    if (e->flags & TCP_EVENT_ACCEPTED) {
        r->conn[i] = e->conn;
        r->accepted_cnt++;
    }
    check(r->conn[i] == e->conn);
    if (e->flags & TCP_EVENT_READABLE) {
        check(tcp_recv_view(e->conn, &span, 1) == 1 && span.len == 1 && span.p[0] == 'x');
        tcp_recv_consume(r->s, e->conn, 1);
        check(tcp_send(r->s, e->conn, "y", 1) == 1);
    }
    if (e->flags & TCP_EVENT_FAILED) {
        r->failed_cnt++;
        r->timeout_cnt += tcp_error(e->conn) == TCP_ERROR_TIMEOUT;
    }
    if (e->flags & (TCP_EVENT_PEER_CLOSED | TCP_EVENT_FAILED)) {
        tcp_close(r->s, e->conn);
        r->conn[i] = NULL;
    }
}

/* ---- both ---- */

static void serve(struct run *r)
{
    struct tcp_event events[TCP_BURST_MAX];
    uint32_t cnt;

    do {
        cnt = tcp_poll(r->s, events, TCP_BURST_MAX);
        for (uint32_t k = 0; k < cnt; k++)
            handle(r, &events[k]);
    } while (cnt == TCP_BURST_MAX);
    tcp_flush(r->s, r->now_ns);
}

/* What is due now, until all are silent. */
static void settle(struct run *r)
{
    struct net_segment in[TCP_BURST_MAX];

    tcp_run(r->s, r->now_ns);
    serve(r);
    while (r->due_cnt > 0) {
        uint32_t cnt = 0;
        for (; r->due_cnt > 0 && cnt < TCP_BURST_MAX; r->due_cnt--) {
            uint32_t i = r->due[r->due_head];
            r->due_head = (r->due_head + 1) % r->conn_cnt;
            r->peer[i].due = false;
            in[cnt++] = answer(r, i);
        }
        tcp_push(r->s, in, cnt, r->now_ns);
        serve(r);
    }
}

static void wait_until(struct run *r, uint64_t until_ns)
{
    while (r->now_ns < until_ns) {
        uint64_t next_ns = tcp_deadline(r->s);
        r->now_ns = next_ns > until_ns ? until_ns : next_ns > r->now_ns ? next_ns : r->now_ns + 1;
        settle(r);
    }
}

/* Calls act for each connection, some each millisecond. */
static void each(struct run *r, void (*act)(struct run *r, uint32_t i))
{
    for (uint32_t i = 0; i < r->conn_cnt;) {
        for (uint32_t k = 0; k < BATCH && i < r->conn_cnt; k++, i++)
            act(r, i);
        settle(r);
        r->now_ns += BASE_NS_MS;
    }
}

static void push(struct run *r, struct net_segment in)
{
    tcp_push(r->s, &in, 1, r->now_ns);
}

static void open_one(struct run *r, uint32_t i)
{
    r->peer[i].snd_nxt = i * UINT32_C(2654435761); /* anywhere: some wrap around */
    push(r, segment(r, i, TCP_FLAG_SYN, 0));
}

static void fall_silent(struct run *r, uint32_t i)
{
    check(r->peer[i].heard && r->conn[i] != NULL);
    r->peer[i].dead = is_dead(i);
}

static void end_one(struct run *r, uint32_t i)
{
    struct peer *p = &r->peer[i];

    if (is_dead(i)) {
        check(p->gone && r->conn[i] == NULL);
        return;
    }
    check(!p->gone && r->conn[i] != NULL);
    switch ((enum ending)(i % ENDING_CNT)) {
    case PEER_CLOSES:
        p->ended = true;
        push(r, segment(r, i, TCP_FLAG_FIN | TCP_FLAG_ACK, 0));
        break;
    case WE_CLOSE:
        tcp_close(r->s, r->conn[i]);
        r->conn[i] = NULL;
        break;
    default:
        push(r, segment(r, i, TCP_FLAG_RST | TCP_FLAG_ACK, 0));
    }
}

static bool pools_full(const struct run *r)
{
    return dpdk_pool_full(r->pool[0]) && dpdk_pool_full(r->pool[1]) && dpdk_pool_full(r->pool[2]);
}

static uint64_t count(const struct run *r, enum stats_id id)
{
    return stats_get(&r->stats, id);
}

/* Takes the stack; returns the bytes that it took. */
static size_t open_stack(struct run *r)
{
    struct tcp_config config = {.net = (struct net *)(void *)r,
                                .data_pool = r->pool[0],
                                .ctrl_pool = r->pool[1],
                                .stats = &r->stats,
                                .conn_max = r->conn_cnt,
                                .syn_max = SIDE_CNT,
                                .time_wait_max = SIDE_CNT,
                                .listen_max = 1,
                                .port_min = PORT_MIN,
                                .port_max = PORT_MIN,
                                .recv_window_bytes = 1 << 20,
                                .send_buffer_bytes = 1 << 20,
                                .msl_ns = MSL_S * BASE_NS_S,
                                .keepalive_ns = KEEPALIVE_S * BASE_NS_S,
                                .keepalive_interval_ns = INTERVAL_S * BASE_NS_S,
                                .keepalive_cnt = PROBE_CNT,
                                .secret = "not so secret"};
    struct net_endpoint any = {.port = SERVER_PORT};
    size_t before = allocated_bytes();

    check(tcp_init(&r->s, &config, r->now_ns) == 0);
    size_t bytes = allocated_bytes() - before;
    check(tcp_listen(r->s, &any, NULL) == 0);
    return bytes;
}

static void hold(struct run *r)
{
    struct tcp_usage usage;
    uint32_t dead_cnt = r->conn_cnt / DEAD_EVERY;

    each(r, open_one);
    tcp_usage(r->s, &usage);
    check(r->accepted_cnt == r->conn_cnt && usage.conn_cnt == r->conn_cnt);
    check(usage.syn_cnt == 0 && usage.mbuf_cnt == 0 && pools_full(r));
    tcp_check_invariants(r->s);

    each(r, fall_silent);
    wait_until(r, r->now_ns + IDLE_S * BASE_NS_S);
    tcp_usage(r->s, &usage);
    check(usage.conn_cnt == r->conn_cnt - dead_cnt && r->failed_cnt == dead_cnt);
    check(r->timeout_cnt == dead_cnt && count(r, STATS_TCP_KEEPALIVE_TIMEOUTS) == dead_cnt);
    /* Two times idle for two hours; the dead were probed to the end the first time. */
    check(count(r, STATS_TCP_KEEPALIVE_PROBES) ==
          2 * (uint64_t)(r->conn_cnt - dead_cnt) + (uint64_t)PROBE_CNT * dead_cnt);
    check(usage.mbuf_cnt == 0 && pools_full(r));
    tcp_check_invariants(r->s);
}

static void end(struct run *r)
{
    struct tcp_usage usage;
    uint64_t closed_cnt = 0;

    each(r, end_one);
    for (uint32_t i = 0; i < r->conn_cnt; i++)
        closed_cnt += !is_dead(i) && i % ENDING_CNT == WE_CLOSE;
    tcp_usage(r->s, &usage);
    check(usage.conn_cnt == 0 && usage.mbuf_cnt == 0 && pools_full(r));
    check(usage.time_wait_cnt == (closed_cnt < SIDE_CNT ? closed_cnt : SIDE_CNT));
    check(count(r, STATS_TCP_TIME_WAIT_RECYCLED) == closed_cnt - usage.time_wait_cnt);
    wait_until(r, r->now_ns + 2 * MSL_S * BASE_NS_S + 2 * BASE_NS_MS);
    tcp_usage(r->s, &usage);
    check(usage.time_wait_cnt == 0 && tcp_deadline(r->s) == BASE_NS_NONE);
    check(count(r, STATS_TCP_RETRANSMITS) == 0);
    tcp_fini(r->s);
}

int main(int argc, char **argv)
{
    static struct run run;
    struct run *r = &run;
    static const char *const name[] = {"data", "ctrl", "rx"};

    dpdk_eal_init();
    for (int i = 0; i < 3; i++)
        r->pool[i] = dpdk_pool(name[i], POOL_MBUF_CNT, DATA_BYTES);
    r->conn_cnt = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : CONN_MIN;
    r->now_ns = START_NS;
    r->peer = calloc(r->conn_cnt, sizeof(*r->peer));
    r->conn = calloc(r->conn_cnt, sizeof(void *));
    r->due = calloc(r->conn_cnt, sizeof(*r->due));
    if (r->conn_cnt < CONN_MIN || r->peer == NULL || r->conn == NULL || r->due == NULL) {
        printf("sim_idle: wants at least %d connections, and memory\n", CONN_MIN);
        return 1;
    }
    size_t bytes = open_stack(r);
    size_t table_bytes = (r->s->table.mask + (size_t)1) * sizeof(struct tcp_bucket);
    printf("%" PRIu32 " connections: %.1f bytes each (connection %zu, table %.1f, the rest %.1f)\n",
           r->conn_cnt, (double)bytes / r->conn_cnt, sizeof(struct tcp_conn),
           (double)table_bytes / r->conn_cnt,
           (double)(bytes - table_bytes) / r->conn_cnt - (double)sizeof(struct tcp_conn));
    /* What does not grow with the connections has its own, fixed share. */
    size_t fixed = SIDE_CNT * (sizeof(struct tcp_syn) + sizeof(struct tcp_time_wait));
    check(bytes - fixed <= BUDGET_BYTES * (size_t)r->conn_cnt);
    hold(r);
    end(r);
    free(r->peer);
    free(r->conn);
    free(r->due);
    return 0;
}
