/*
 * Two stacks over a bad link, by seed: several connections, each with data both ways, slow
 * readers, bursts, half-close. Every byte must come out as it went in, each run must end within a
 * bound of virtual time, and at its end nothing may be left in either stack or missing from a pool.
 *
 *     sim_tcp               seeds 1..500, and bulk transfers
 *     sim_tcp SEED [COUNT]  those; with one seed it tells what happened
 */
#include "sim_pair.h"

#include "tcp_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define START_NS        (5 * BASE_NS_S)
#define BOUND_NS        (3600 * BASE_NS_S)
#define CONN_MAX        8
#define SEEDS_FOR_ALL   300 /* so many show everything */
#define LARGE_FRAME_CAP 512 /* in flight, where a frame may have 64 KiB */
#define SERVER_PORT     25
#define CHUNK_BYTES     4096
#define STEP_MAX        2000000U

/* One side's user of one connection. */
struct end {
    struct tcp_conn *conn; /* NULL before it is open and after it is closed */
    uint64_t key;          /* of the bytes it sends */
    uint64_t peer_key;
    uint32_t send_total, sent;
    uint32_t recv_total, received;
    uint32_t burst_max; /* bytes it hands over at once */
    uint32_t read_max;  /* and reads at once */
    uint64_t pause_ns;  /* longest rest between */
    uint64_t next_ns;   /* it rests until then */
    uint32_t stall_at;  /* having read so much, it rests once for stall_ns */
    uint64_t stall_ns;
    uint32_t abort_at;  /* having read so much, it aborts; UINT32_MAX: never */
    bool may_fail;      /* this connection is one that somebody aborts */
    bool close_at_once; /* closes without a shutdown: the peer sends nothing */
    uint16_t port;      /* the client's */
    bool open, shut, done, started;
};

/* Buffers that somebody else holds for a while. */
struct shortage {
    struct rte_mbuf *taken[8192];
    uint32_t taken_cnt;
    uint64_t until_ns;
    uint32_t left_cnt; /* shortages to come */
};

struct run {
    struct sim_pair pair;
    struct base_rand rand;
    uint64_t seed;
    uint32_t conn_cnt;
    uint64_t done_ns;            /* all users were done */
    struct end end[2][CONN_MAX]; /* by host */
    struct shortage shortage;
    uint16_t path_mtu[2]; /* of what a host sends; 0: the link's */
    bool path_silent;
    const char *failure;
    struct end *failed;
};

struct totals {
    uint64_t bytes;
    uint64_t retransmits, timeouts, fast, probes, out_of_order, large, lowered, holes;
    uint64_t virtual_ns;
};

static uint8_t byte_at(uint64_t key, uint32_t offset)
{
    uint64_t x = (key ^ (offset >> 3)) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint8_t)(x >> (8 * (offset & 7)));
}

static uint32_t below(struct run *r, uint32_t bound)
{
    return (uint32_t)base_rand_below(&r->rand, bound);
}

static void fail(struct run *r, struct end *e, const char *why)
{
    if (r->failure == NULL) {
        r->failure = why;
        r->failed = e;
    }
}

static uint32_t random_size(struct run *r)
{
    switch (below(r, 8)) {
    case 0:
        return 0;
    case 1:
        return 1 + below(r, 10);
    case 2:
    case 3:
    case 4:
        return 1 + below(r, 3000);
    case 5:
    case 6:
        return 1 + below(r, 40000);
    default:
        return 1 + below(r, 200000);
    }
}

static void plan_ends(struct run *r)
{
    for (uint32_t i = 0; i < r->conn_cnt; i++) {
        for (int h = 0; h < 2; h++) {
            struct end *e = &r->end[h][i];
            e->key = base_rand_next(&r->rand);
            e->send_total = random_size(r);
            e->burst_max = 1 + below(r, below(r, 2) ? CHUNK_BYTES : 200);
            e->read_max = 1 + below(r, below(r, 4) ? 100000 : 300);
            e->abort_at = UINT32_MAX;
            e->pause_ns = below(r, 3) == 0 ? below(r, 50) * BASE_NS_MS : 0;
            if (below(r, 4) == 0)
                e->stall_ns = (1 + below(r, 40)) * BASE_NS_S / 2;
            if (e->burst_max < 100 || e->read_max < 100) /* dribblers have less to say */
                e->send_total %= 3000;
        }
        for (int h = 0; h < 2; h++) {
            struct end *e = &r->end[h][i], *o = &r->end[!h][i];
            e->peer_key = o->key;
            e->recv_total = o->send_total;
            e->stall_at = below(r, e->recv_total + 1);
            if (e->read_max < 100 && o->send_total > 3000) {
                o->send_total %= 3000;
                e->recv_total = o->send_total;
            }
        }
        if (below(r, 12) == 0) {
            struct end *e = &r->end[below(r, 2)][i];
            e->abort_at = below(r, e->recv_total + 1);
            r->end[0][i].may_fail = r->end[1][i].may_fail = true;
        }
        for (int h = 0; h < 2; h++)
            r->end[h][i].close_at_once =
                r->end[h][i].recv_total == 0 && below(r, 2) && !r->end[!h][i].close_at_once;
    }
}

static void start(struct run *r, uint32_t i)
{
    struct sim_host *h = &r->pair.host[0];
    struct net_endpoint any = {0};
    struct net_endpoint to = {.addr = r->pair.host[1].addr, .port = SERVER_PORT};
    struct end *e = &r->end[0][i];

    e->started = true;
    if (tcp_connect(h->tcp, &any, &to, e, &e->conn, r->pair.now_ns) < 0)
        fail(r, e, "connect");
    else {
        struct net_endpoint local;
        tcp_local(e->conn, &local);
        e->port = local.port;
    }
}

/* The far side's plan is that of the client whose port it sees. */
static struct end *accepted(struct run *r, struct tcp_conn *c)
{
    struct net_endpoint remote;

    tcp_remote(c, &remote);
    for (uint32_t i = 0; i < r->conn_cnt; i++) {
        if (r->end[0][i].port != remote.port)
            continue;
        r->end[1][i].conn = c;
        r->end[1][i].started = r->end[1][i].open = true;
        tcp_set_user(c, &r->end[1][i]);
        return &r->end[1][i];
    }
    fail(r, NULL, "accepted what nobody opened");
    return NULL;
}

static void read_some(struct run *r, struct tcp_stack *s, struct end *e)
{
    struct base_span span[4];
    uint32_t budget = e->read_max;

    while (budget > 0) {
        uint32_t span_cnt = tcp_recv_view(e->conn, span, BASE_ARRAY_CNT(span)), taken = 0;
        for (uint32_t i = 0; i < span_cnt && budget > 0; i++) {
            uint32_t n = tcp_min((uint32_t)span[i].len, budget);
            for (uint32_t b = 0; b < n; b++)
                if (span[i].p[b] != byte_at(e->peer_key, e->received + b))
                    fail(r, e, "a byte is wrong");
            e->received += n;
            taken += n;
            budget -= n;
        }
        if (taken == 0)
            return;
        tcp_recv_consume(s, e->conn, taken);
    }
}

static void write_some(struct run *r, struct tcp_stack *s, struct end *e)
{
    uint8_t chunk[CHUNK_BYTES];
    uint32_t n = tcp_min(tcp_min(e->burst_max, sizeof(chunk)), e->send_total - e->sent);

    for (uint32_t i = 0; i < n; i++)
        chunk[i] = byte_at(e->key, e->sent + i);
    if (n > 0) {
        int64_t took = tcp_send(s, e->conn, chunk, n);
        if (took < 0 && !e->may_fail) /* the event may not have been seen yet */
            fail(r, e, "send refused");
        else if (took > 0)
            e->sent += (uint32_t)took;
    }
}

static void close_end(struct tcp_stack *s, struct end *e)
{
    tcp_close(s, e->conn);
    e->conn = NULL;
    e->done = true;
}

/* What the user does when its time has come; true when it will want another turn soon. */
static void act(struct run *r, unsigned host, struct end *e)
{
    struct tcp_stack *s = r->pair.host[host].tcp;

    if (e->conn == NULL || r->pair.now_ns < e->next_ns)
        return;
    read_some(r, s, e);
    if (e->open && e->received >= e->abort_at) {
        tcp_abort(s, e->conn);
        e->conn = NULL;
        e->done = true;
        return;
    }
    write_some(r, s, e);
    if (e->sent == e->send_total && e->close_at_once && (e->open || e->sent > 0)) {
        if (!e->open) { /* what is queued goes out if the handshake is ever done */
            uint32_t i = (uint32_t)(e - r->end[host]);
            r->end[0][i].may_fail = r->end[1][i].may_fail = true;
        }
        close_end(s, e);
        return;
    }
    if (e->sent == e->send_total && !e->shut && !e->close_at_once) {
        tcp_shutdown(s, e->conn);
        e->shut = true;
    }
    if (e->shut && tcp_recv_ended(e->conn)) {
        if (e->received != e->recv_total && !e->may_fail)
            fail(r, e, "the stream has another length");
        close_end(s, e);
        return;
    }
    if (e->stall_ns > 0 && e->received >= e->stall_at) {
        e->next_ns = r->pair.now_ns + e->stall_ns;
        e->stall_ns = 0;
        return;
    }
    e->next_ns = r->pair.now_ns + (e->pause_ns > 0 ? base_rand_below(&r->rand, e->pause_ns) : 0);
}

/* All is said both ways and the other end has closed, but the ACKs of our FIN were lost for as long
 * as its TIME-WAIT lasted: a RST is the answer then (RFC 9293 section 3.10.7.1). */
static bool is_late(const struct run *r, const struct end *e, enum tcp_error why)
{
    unsigned host = e >= r->end[1] && e < r->end[1] + CONN_MAX;
    const struct end *other = &r->end[!host][e - r->end[host]];

    return why == TCP_ERROR_RESET && e->shut && e->sent == e->send_total && other->done &&
           other->received == other->recv_total &&
           e->received + tcp_recv_len(e->conn) == e->recv_total;
}

/* No connection may fail, but one whose ARP was lost too often may be opened again. */
static void failed(struct run *r, struct tcp_stack *s, struct end *e)
{
    enum tcp_error why = tcp_error(e->conn);

    if ((e->may_fail && e->open) || is_late(r, e, why)) {
        tcp_close(s, e->conn);
        e->conn = NULL;
        e->done = true;
        return;
    }
    if (why != TCP_ERROR_UNREACHABLE || e->open) {
        fail(r, e, tcp_error_name(why));
        return;
    }
    tcp_close(s, e->conn);
    e->conn = NULL;
    e->started = e->shut = false;
    e->sent = 0;
}

static void poll_host(struct run *r, unsigned host)
{
    struct tcp_stack *s = r->pair.host[host].tcp;
    struct tcp_event ev[4];
    uint32_t cnt;

    do {
        cnt = tcp_poll(s, ev, BASE_ARRAY_CNT(ev));
        for (uint32_t i = 0; i < cnt; i++) {
            if (ev[i].flags & TCP_EVENT_CONNECTED)
                ((struct end *)ev[i].user)->open = true;
            if (ev[i].flags & TCP_EVENT_ACCEPTED)
                ev[i].user = accepted(r, ev[i].conn);
            if (ev[i].flags & TCP_EVENT_FAILED && ev[i].user != NULL)
                failed(r, s, ev[i].user); /* perhaps together with ACCEPTED */
        }
    } while (cnt == BASE_ARRAY_CNT(ev));
    for (uint32_t i = 0; i < r->conn_cnt; i++)
        act(r, host, &r->end[host][i]);
}

/* Now and then a pool is all but empty for up to a second. */
static void make_shortage(struct run *r)
{
    struct shortage *g = &r->shortage;
    struct sim_host *h = &r->pair.host[below(r, 2)];
    struct rte_mempool *pool[] = {h->data_pool, h->ctrl_pool, h->rx_pool, h->frame_pool};

    if (g->taken_cnt > 0 && r->pair.now_ns >= g->until_ns) {
        rte_pktmbuf_free_bulk(g->taken, g->taken_cnt);
        g->taken_cnt = 0;
    }
    if (g->taken_cnt > 0 || g->left_cnt == 0 || below(r, 100) > 0)
        return;
    g->left_cnt--;
    g->until_ns = r->pair.now_ns + below(r, 1000) * BASE_NS_MS;
    struct rte_mempool *p = pool[below(r, 4)];
    uint32_t rest = below(r, 10);
    uint32_t want = rte_mempool_avail_count(p);
    want = want > rest ? want - rest : 0;
    while (g->taken_cnt < want && (g->taken[g->taken_cnt] = rte_pktmbuf_alloc(p)) != NULL)
        g->taken_cnt++;
}

/* The client aborted before the server had taken its connection. */
static bool never_came(const struct run *r, int host, uint32_t i)
{
    const struct end *client = &r->end[0][i], *server = &r->end[1][i];

    return host == 1 && client->may_fail && client->done && !server->started;
}

static bool all_done(const struct run *r)
{
    for (int h = 0; h < 2; h++)
        for (uint32_t i = 0; i < r->conn_cnt; i++)
            if (!r->end[h][i].done && !never_came(r, h, i))
                return false;
    return true;
}

/* When some user ends its rest; users at work want a turn every 100 us. */
static uint64_t users_next(const struct run *r)
{
    uint64_t next = BASE_NS_NONE;

    for (int h = 0; h < 2; h++) {
        for (uint32_t i = 0; i < r->conn_cnt; i++) {
            const struct end *e = &r->end[h][i];
            if (e->conn == NULL)
                continue;
            bool idle = (tcp_recv_len(e->conn) == 0 && e->shut) ||
                        (tcp_recv_len(e->conn) == 0 && tcp_send_space(e->conn) == 0);
            uint64_t at =
                e->next_ns > r->pair.now_ns ? e->next_ns : r->pair.now_ns + 100 * BASE_NS_US;
            if (!idle && at < next)
                next = at;
        }
    }
    return next;
}

static void random_faults(struct run *r, struct wire_faults *f, uint32_t level)
{
    *f = (struct wire_faults){
        .delay_ns = (1 + below(r, 40)) * BASE_NS_MS / 2,
        .jitter_ns = below(r, 2) ? below(r, 5000) * BASE_NS_US : 0,
        .bytes_per_s = below(r, 3) ? 0 : 100000 + below(r, 20000000),
        .loss_ppm = level ? below(r, 100001) : 0,
        .burst_ppm = level > 1 ? below(r, 3000) : 0,
        .burst_len = 2 + below(r, 8),
        .reorder_ppm = level && below(r, 2) ? below(r, 200000) : 0,
        .reorder_ns = (1 + below(r, 30)) * BASE_NS_MS,
        .duplicate_ppm = level && below(r, 2) ? below(r, 100000) : 0,
        .corrupt_ppm = level && below(r, 2) ? below(r, 20000) : 0,
        .full_ppm = below(r, 2) ? below(r, 200000) : 0,
    };
}

/* What a router says of a packet that it does not pass on. */
static void router(void *arg, const struct wire_tap_frame *f)
{
    struct run *r = arg;
    const uint8_t *ip = f->bytes + 14;
    struct net_addr src, dst;

    if (f->fate != WIRE_DROPPED_PATH || r->path_silent)
        return;
    bool v6 = ip[0] >> 4 == 6;
    if (v6) {
        memcpy(src.b, ip + 8, 16);
        memcpy(dst.b, ip + 24, 16);
    } else {
        src = net_addr_v4(ip + 12);
        dst = net_addr_v4(ip + 16);
    }
    (void)tcp_too_big(r->pair.host[f->from].tcp, &src, &dst, r->path_mtu[f->from],
                      ip + (v6 ? 40 : 20), 8, r->pair.now_ns);
}

/* A narrower link on the way, in every third run; in some its router is silent. */
static void random_path(struct run *r, struct wire_config *wire, bool v6)
{
    uint16_t least = v6 ? 1280 : 552;

    r->path_silent = below(r, 4) == 0;
    if (r->path_silent)
        least = 1280;
    for (int h = 0; h < 2; h++) {
        if (below(r, 3) > 0 || wire->mtu <= least)
            continue;
        r->path_mtu[h] = (uint16_t)(least + below(r, wire->mtu - least));
        wire->end[h].faults.path_mtu = r->path_mtu[h];
        wire->end[h].whole_ppm = 0;
    }
}

static void open_run(struct run *r)
{
    struct wire_config wire = {.seed = r->seed, .mtu = (uint16_t)(576 + below(r, 925))};
    struct tcp_config tcp[2];
    struct net_endpoint at = {.port = SERVER_PORT};

    for (int h = 0; h < 2; h++) {
        struct wire_end_config *e = &wire.end[h];
        random_faults(r, &e->faults, below(r, 4));
        e->rx_checksum = below(r, 2);
        e->tx_checksum = below(r, 2);
        e->tx_multi_segs = below(r, 2);
        e->tx_tso = e->tx_checksum && e->tx_multi_segs;
        e->whole_ppm = e->tx_tso && below(r, 2) ? below(r, 1000000) : 0;
        wire.frame_cap = e->whole_ppm > 0 ? LARGE_FRAME_CAP : wire.frame_cap;
        e->rx_split_bytes = below(r, 4) ? 0 : (uint16_t)(128 + below(r, 1000));
        tcp[h] = (struct tcp_config){
            .conn_max = 16,
            .syn_max = 8,
            .time_wait_max = 16,
            .listen_max = 2,
            .port_min = 40000,
            .port_max = 40100,
            .recv_window_bytes = 2000 + below(r, below(r, 2) ? 10000 : 300000),
            .send_buffer_bytes = 2000 + below(r, below(r, 2) ? 10000 : 200000),
            .recv_window_start_bytes = below(r, 2) ? 2000 + below(r, 65536) : 0,
            .recv_mbuf_max = below(r, 3) ? 8000 : 40 + below(r, 500),
            .send_mbuf_max = below(r, 3) ? 4000 : 40 + below(r, 500),
            .orphan_max = 16, /* none is cut */
            .msl_ns = (1 + below(r, 30)) * BASE_NS_S,
            .keepalive_ns = 30 * BASE_NS_S, /* finds out when an abort's RST was lost */
            .keepalive_interval_ns = 5 * BASE_NS_S,
            .keepalive_cnt = 9,
            .syn_timeout_ns = 300 * BASE_NS_S,
            .fin_timeout_ns = 300 * BASE_NS_S,
            .timestamps_off = below(r, 3) == 0,
            .sack_off = below(r, 3) == 0,
            .ecn = (enum tcp_ecn)below(r, 3),
            .congestion = below(r, 2) ? TCP_CUBIC : TCP_NEWRENO,
        };
    }
    if (r->seed % 4 == 3) {
        wire.mtu = (uint16_t)(1280 + wire.mtu % 221);
        random_path(r, &wire, true);
        sim_pair_open_v6(&r->pair, &wire, tcp, START_NS);
    } else {
        random_path(r, &wire, false);
        sim_pair_open(&r->pair, &wire, tcp, START_NS);
    }
    wire_set_tap(r->pair.wire, router, r);
    if (tcp_listen(r->pair.host[1].tcp, &at, NULL) < 0)
        fail(r, NULL, "listen");
}

static void finish(struct run *r, struct totals *t)
{
    for (int h = 0; h < 2; h++) {
        const struct stats_block *b = &r->pair.host[h].stats;
        t->retransmits += stats_get(b, STATS_TCP_RETRANSMITS);
        t->timeouts += stats_get(b, STATS_TCP_TIMEOUTS);
        t->fast += stats_get(b, STATS_TCP_FAST_RETRANSMITS);
        t->probes += stats_get(b, STATS_TCP_ZERO_WINDOW_PROBES);
        t->large += stats_get(b, STATS_TCP_TX_LARGE);
        t->lowered += stats_get(b, STATS_TCP_PATH_MTU_LOWERED);
        t->holes += stats_get(b, STATS_TCP_BLACK_HOLES);
        t->out_of_order += stats_get(b, STATS_TCP_OUT_OF_ORDER);
        for (uint32_t i = 0; i < r->conn_cnt; i++)
            t->bytes += r->end[h][i].received;
    }
    t->virtual_ns += (r->done_ns > 0 ? r->done_ns : r->pair.now_ns) - START_NS;
}

static void tell(const struct run *r)
{
    printf("at %.3f s\n", (double)(r->pair.now_ns - START_NS) / 1e9);
    for (int h = 0; h < 2; h++) {
        for (uint32_t i = 0; i < r->conn_cnt; i++) {
            const struct end *e = &r->end[h][i];
            printf("host %d connection %u: sent %u of %u, received %u of %u%s%s%s", h, i, e->sent,
                   e->send_total, e->received, e->recv_total, e->shut ? ", shut" : "",
                   e->done ? ", done" : "", e == r->failed ? " <- failed" : "");
            const struct tcp_conn *c = e->conn;
            if (c != NULL)
                printf(
                    " [%s una %u nxt +%u max +%u len %u wnd %u cwnd %u rcv_len %u adv +%u ooo %u "
                    "flags %#x backoff %u]",
                    tcp_state_name((enum tcp_state)c->state), c->snd_una, c->snd_nxt - c->snd_una,
                    c->snd_max - c->snd_una, c->snd_len, c->snd_wnd, c->cwnd, c->rcv_len,
                    c->rcv_adv - c->rcv_nxt, c->ooo_cnt, c->flags, c->backoff);
            printf("\n");
        }
        for (int i = 0; i < STATS_CNT; i++) {
            uint64_t v = stats_get(&r->pair.host[h].stats, (enum stats_id)i);
            if (v > 0)
                printf("  %s/%s %llu\n", stats_rows[i].group, stats_rows[i].name,
                       (unsigned long long)v);
        }
    }
}

static bool run_seed(uint64_t seed, struct totals *t, bool verbose)
{
    static struct run run; /* large */
    struct run *r = &run;

    *r = (struct run){.seed = seed};
    base_rand_init(&r->rand, seed);
    r->conn_cnt = 1 + below(r, CONN_MAX);
    plan_ends(r);
    r->shortage.left_cnt = below(r, 4) == 0 ? 1 + below(r, 3) : 0;
    open_run(r);
    for (uint32_t step = 0; r->failure == NULL; step++) {
        for (uint32_t i = 0; i < r->conn_cnt; i++)
            if (!r->end[0][i].started && (i == 0 || below(r, 50) == 0))
                start(r, i);
        for (unsigned h = 0; h < 2 && r->failure == NULL; h++) {
            sim_pair_receive(&r->pair, h);
            poll_host(r, h);
            sim_pair_flush(&r->pair, h);
            tcp_check_invariants(r->pair.host[h].tcp);
        }
        make_shortage(r);
        uint64_t next = sim_pair_next(&r->pair), users = users_next(r);
        if (r->shortage.taken_cnt > 0 && r->shortage.until_ns < next)
            next = r->shortage.until_ns;
        if (all_done(r)) {
            if (r->done_ns == 0)
                r->done_ns = r->pair.now_ns;
            if (sim_pair_drained(&r->pair))
                break;
            if (r->pair.now_ns - r->done_ns > 600 * BASE_NS_S)
                fail(r, NULL, "something is left at the end");
        }
        if (r->pair.now_ns - START_NS > BOUND_NS || step > STEP_MAX)
            fail(r, NULL, "not done within the bound of time");
        if (!all_done(r) && r->pair.now_ns + 10 * BASE_NS_MS < next)
            for (uint32_t i = 0; i < r->conn_cnt; i++)
                if (!r->end[0][i].started)
                    next = r->pair.now_ns + 10 * BASE_NS_MS;
        sim_pair_advance(&r->pair, next < users ? next : users);
    }
    if (r->failure != NULL)
        fprintf(stderr, "seed %llu: %s\n", (unsigned long long)seed, r->failure);
    if (verbose)
        tell(r);
    finish(r, t);
    bool ok = r->failure == NULL;
    rte_pktmbuf_free_bulk(r->shortage.taken, r->shortage.taken_cnt);
    sim_pair_close(&r->pair);
    return ok;
}

/*
 * One connection, 4 MB, a window of 1 MB, 20 ms there and back, 10 MB/s: what is made of it
 * at rates of loss, with and without SACK. Virtual time, so the figures are facts: a window that
 * does not open or a recovery that stalls shows here.
 */
static bool goodput(uint32_t loss_ppm, bool sack, enum tcp_congestion cc, double least_bytes_per_s)
{
    static struct run run;
    struct run *r = &run;
    struct tcp_config tcp[2];
    struct net_endpoint at = {.port = SERVER_PORT};
    struct wire_config wire = {.seed = 7};

    *r = (struct run){.seed = 7, .conn_cnt = 1};
    base_rand_init(&r->rand, 7);
    for (int h = 0; h < 2; h++) {
        wire.end[h].tx_multi_segs = true;
        wire.end[h].faults = (struct wire_faults){.delay_ns = 10 * BASE_NS_MS,
                                                  .bytes_per_s = 10000000,
                                                  .queue_bytes = 2000000,
                                                  .loss_ppm = loss_ppm};
        tcp[h] = (struct tcp_config){.conn_max = 4,
                                     .syn_max = 4,
                                     .time_wait_max = 4,
                                     .listen_max = 1,
                                     .port_min = 40000,
                                     .port_max = 40100,
                                     .sack_off = !sack,
                                     .congestion = cc,
                                     .recv_window_bytes = 1 << 20,
                                     .send_buffer_bytes = 1 << 20};
        r->end[h][0] = (struct end){.key = 5,
                                    .abort_at = UINT32_MAX,
                                    .peer_key = 5,
                                    .burst_max = CHUNK_BYTES,
                                    .read_max = 1 << 20,
                                    .send_total = h == 0 ? 4000000 : 0,
                                    .recv_total = h == 1 ? 4000000 : 0};
    }
    sim_pair_open(&r->pair, &wire, tcp, START_NS);
    if (tcp_listen(r->pair.host[1].tcp, &at, NULL) < 0)
        fail(r, NULL, "listen");
    while (r->failure == NULL && !all_done(r)) {
        if (!r->end[0][0].started)
            start(r, 0);
        for (unsigned h = 0; h < 2; h++) {
            sim_pair_receive(&r->pair, h);
            poll_host(r, h);
            sim_pair_flush(&r->pair, h);
        }
        uint64_t next = sim_pair_next(&r->pair), users = users_next(r);
        sim_pair_advance(&r->pair, next < users ? next : users);
        if (r->pair.now_ns > BOUND_NS)
            fail(r, NULL, "bulk transfer not done");
    }
    double rate = 4e6 / ((double)(r->pair.now_ns - START_NS) / 1e9);
    printf("bulk, loss %.1f %%, %s, %s: %.0f bytes a virtual second\n", loss_ppm / 1e4,
           sack ? "SACK" : "no SACK", cc == TCP_CUBIC ? "CUBIC" : "NewReno", rate);
    if (rate < least_bytes_per_s)
        fail(r, NULL, "slower than it should be");
    if (r->failure != NULL)
        fprintf(stderr, "bulk, loss %u ppm: %s\n", loss_ppm, r->failure);
    bool ok = r->failure == NULL;
    sim_pair_close(&r->pair);
    return ok;
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    uint64_t cnt = argc > 2 ? strtoull(argv[2], NULL, 0) : argc > 1 ? 1 : 500;
    struct totals t = {0};
    unsigned failed_cnt = 0;

    sim_pair_start();
    if (argc == 1) {
        failed_cnt += !goodput(0, false, TCP_NEWRENO, 6e6);
        failed_cnt += !goodput(1000, false, TCP_NEWRENO, 2.5e6);
        failed_cnt += !goodput(10000, false, TCP_NEWRENO, 6e5);
        failed_cnt += !goodput(100000, false, TCP_NEWRENO, 5e4);
        for (enum tcp_congestion cc = TCP_CUBIC; cc <= TCP_NEWRENO; cc++) {
            failed_cnt += !goodput(0, true, cc, 6e6);
            failed_cnt += !goodput(1000, true, cc, 5e6);
            failed_cnt += !goodput(10000, true, cc, 7.5e5);
            failed_cnt += !goodput(100000, true, cc, 6e4);
        }
    }
    for (uint64_t seed = first; seed < first + cnt; seed++) {
        if (!run_seed(seed, &t, cnt == 1))
            failed_cnt++;
    }
    printf("%llu seeds, %u failed: %llu bytes exact, %.0f bytes a virtual second, "
           "%llu segments sent again (%llu timeouts, %llu fast), %llu out of order, %llu probes, "
           "%llu large segments, %llu path MTUs lowered, "
           "%llu black holes\n",
           (unsigned long long)cnt, failed_cnt, (unsigned long long)t.bytes,
           (double)t.bytes / ((double)t.virtual_ns / 1e9), (unsigned long long)t.retransmits,
           (unsigned long long)t.timeouts, (unsigned long long)t.fast,
           (unsigned long long)t.out_of_order, (unsigned long long)t.probes,
           (unsigned long long)t.large, (unsigned long long)t.lowered, (unsigned long long)t.holes);
    if (cnt >= SEEDS_FOR_ALL && (t.large == 0 || t.lowered == 0 || t.holes == 0)) {
        printf("these runs have not shown all of large segments, path MTUs and black holes\n");
        failed_cnt++;
    }
    return failed_cnt > 0;
}
