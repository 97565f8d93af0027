/*
 * Two TCP stacks, and the input is the network between them and their callers: what is delivered,
 * lost, sent twice, late, split, joined or marked, what a stranger forges, when time passes, when
 * pools are empty, and which socket calls are made.
 *
 * Checked after each step: both stacks' own invariants; the bytes read at each end are a prefix of
 * those sent at the other; nothing is sent beyond the window that the other end has offered, nor is
 * more in flight than that. Then the network heals: everything arrives, or the connection has
 * failed with a reason that the input explains; and nothing is left in either stack, nor missing
 * from a pool.
 */
#include "lab_pair.h"

#define CONN_MAX     6
#define STEP_MAX     600
#define HEAL_MAX     20000
#define HEAL_S       1200
#define TAKEN_MAX    2048
#define FIRST_PORT   20000
#define GENTLE_NS    (14 * BASE_NS_S) /* no timeout gives a connection up by then */
#define FORGED_BYTES 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step {
    STEP_DELIVER,
    STEP_DELIVER_LATE,
    STEP_BURST,
    STEP_LOSE,
    STEP_DUPLICATE,
    STEP_SPLIT,
    STEP_JOIN,
    STEP_MARK,
    STEP_STRIP,
    STEP_CONNECT,
    STEP_SEND,
    STEP_READ,
    STEP_END,
    STEP_TIME,
    STEP_POOLS,
    STEP_FORGE,
    STEP_ROUND, /* all that is on its way arrives, both ends read */
    STEP_CNT,
};

struct side {
    struct tcp_conn *conn; /* NULL: not open yet, or the caller has given it back */
    uint32_t sent, received;
    bool shut, given_back, failed;
};

struct link {
    struct side side[2]; /* by end */
    unsigned client;     /* the end that has opened it */
    uint16_t port;       /* the client's */
    bool accepted;
    bool rough; /* something was done to it after which it may fail */
};

struct bench {
    struct lab_pair pair;
    struct link link[CONN_MAX];
    uint32_t link_cnt;
    uint64_t spent_ns;
    bool tiny; /* limits so small that handshakes push each other out */
    struct rte_mbuf *taken[TAKEN_MAX];
    uint32_t taken_cnt;
    const uint8_t *at, *end;
};

static uint8_t next_byte(struct bench *b)
{
    return b->at < b->end ? *b->at++ : 0;
}

/* The byte at an offset of what an end sends over a link. */
static uint8_t byte_of(uint32_t link, unsigned from, uint32_t offset)
{
    return (uint8_t)(offset * 7 + (offset >> 8) * 13 + link * 31 + from * 101);
}

static struct tcp_stack *stack(struct bench *b, unsigned e)
{
    return b->pair.lab[e].s;
}

static struct link *link_of(struct bench *b, unsigned e, const struct tcp_conn *c)
{
    for (uint32_t i = 0; i < b->link_cnt; i++)
        if (b->link[i].side[e].conn == c)
            return &b->link[i];
    return NULL;
}

/* ---- what the callers do ---- */

static void give_back(struct bench *b, unsigned e, struct side *s, bool abort)
{
    if (s->conn == NULL)
        return;
    if (abort)
        tcp_abort(stack(b, e), s->conn);
    else
        tcp_close(stack(b, e), s->conn);
    s->conn = NULL;
    s->given_back = true;
}

static void connect_link(struct bench *b, unsigned e)
{
    struct net_endpoint local = {.port = (uint16_t)(FIRST_PORT + b->link_cnt)};
    struct net_endpoint remote = {.addr = net_addr_v4((uint8_t[]){10, 0, 0, 2}),
                                  .port = LAB_LOCAL_PORT};

    if (b->link_cnt == CONN_MAX)
        return;
    struct link *l = &b->link[b->link_cnt];
    *l = (struct link){.client = e, .port = local.port, .rough = b->tiny};
    if (tcp_connect(stack(b, e), &local, &remote, NULL, &l->side[e].conn, b->pair.lab[e].now_ns) ==
        0)
        b->link_cnt++;
    else
        base_assert(b->tiny);
}

static void send_bytes(struct bench *b, unsigned e, uint32_t i, uint32_t len)
{
    uint8_t out[16384];
    struct side *s = &b->link[i].side[e];

    if (s->conn == NULL || s->shut)
        return;
    len = tcp_min(len, sizeof(out));
    for (uint32_t k = 0; k < len; k++)
        out[k] = byte_of(i, e, s->sent + k);
    int64_t took = tcp_send(stack(b, e), s->conn, out, len);
    base_assert(took <= (int64_t)len && (took >= 0 || s->failed));
    if (took > 0)
        s->sent += (uint32_t)took;
}

static void read_bytes(struct bench *b, unsigned e, uint32_t i, uint32_t want)
{
    struct base_span span[16];
    struct side *s = &b->link[i].side[e];
    uint32_t len = 0;

    if (s->conn == NULL)
        return;
    uint32_t cnt = tcp_recv_view(s->conn, span, 16);
    for (uint32_t n = 0; n < cnt && len < want; n++)
        for (size_t k = 0; k < span[n].len && len < want; k++, len++)
            base_assert(span[n].p[k] == byte_of(i, !e, s->received + len));
    s->received += len;
    base_assert(s->received <= b->link[i].side[!e].sent);
    tcp_recv_consume(stack(b, e), s->conn, len);
}

static void shut(struct bench *b, unsigned e, struct side *s)
{
    if (s->conn != NULL && !s->shut)
        tcp_shutdown(stack(b, e), s->conn);
    s->shut = true;
}

static void end_link(struct bench *b, unsigned e, uint32_t i, uint8_t how)
{
    struct link *l = &b->link[i];
    struct side *s = &l->side[e];

    if (s->conn == NULL)
        return;
    if (how < 12) {
        shut(b, e, s);
        return;
    }
    if (how >= 15 || !tcp_recv_ended(s->conn))
        l->rough = true;
    s->shut = true;
    give_back(b, e, s, how >= 15);
}

static void take_event(struct bench *b, unsigned e, const struct tcp_event *ev)
{
    if (ev->flags & TCP_EVENT_ACCEPTED) {
        struct net_endpoint remote;
        tcp_remote(ev->conn, &remote);
        uint32_t i = remote.port - (uint32_t)FIRST_PORT;
        if (i >= b->link_cnt || b->link[i].accepted || b->link[i].client == e) {
            tcp_abort(stack(b, e), ev->conn); /* a handshake from before */
            return;
        }
        b->link[i].accepted = true;
        b->link[i].side[e].conn = ev->conn;
    }
    if (ev->flags & TCP_EVENT_FAILED) {
        struct link *l = link_of(b, e, ev->conn);
        base_assert(l != NULL && tcp_error(ev->conn) != TCP_OK);
        base_assert(l->rough || b->spent_ns > GENTLE_NS);
        l->side[e].failed = true;
        give_back(b, e, &l->side[e], false);
    }
}

static void look(void *arg, unsigned from, const struct lab_segment *g)
{
    struct bench *b = arg;
    uint32_t i =
        (g->local_port == LAB_LOCAL_PORT ? g->peer_port : g->local_port) - (uint32_t)FIRST_PORT;

    if (i >= b->link_cnt)
        return;
    const struct tcp_conn *other = b->link[i].side[!from].conn, *own = b->link[i].side[from].conn;
    if (g->len > 0 && other != NULL && other->state >= TCP_ESTABLISHED)
        base_assert(tcp_seq_leq(g->seq + g->len, other->rcv_adv));
    if (own != NULL && own->state != TCP_CLOSED)
        base_assert(own->snd_max - own->snd_una <= own->snd_wnd_max + 2 &&
                    own->snd_max - own->snd_una <= own->snd_len + 1);
}

static void settle(struct bench *b)
{
    struct tcp_event ev[3];
    uint32_t cnt;

    for (unsigned e = 0; e < 2; e++) {
        do {
            cnt = tcp_poll(stack(b, e), ev, 3);
            for (uint32_t i = 0; i < cnt; i++)
                take_event(b, e, &ev[i]);
        } while (cnt == 3);
        tcp_check_invariants(stack(b, e));
        lab_pair_collect(&b->pair, e, look, b);
    }
}

/* ---- what the network does ---- */

static void step_pools(struct bench *b)
{
    uint8_t what = next_byte(b);
    struct rte_mempool *pool = what & 1 ? b->pair.lab[0].data_pool : b->pair.lab[0].ctrl_pool;
    uint32_t leave = what >> 4;

    if (what & 2) {
        rte_pktmbuf_free_bulk(b->taken, b->taken_cnt);
        b->taken_cnt = 0;
        return;
    }
    while (b->taken_cnt < TAKEN_MAX && rte_mempool_avail_count(pool) > leave) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
        base_assert(m != NULL);
        b->taken[b->taken_cnt++] = m;
    }
}

/* Segments of somebody who sees the connection but does not know what makes them valid. None may
 * end it or put a byte into it. */
static void step_forge(struct bench *b)
{
    uint8_t payload[FORGED_BYTES];
    uint8_t what = next_byte(b), by = next_byte(b);
    unsigned e = what & 1;
    const struct link *l = &b->link[(what >> 4) % CONN_MAX];
    const struct tcp_conn *c = l->side[e].conn;

    if (c == NULL || c->state < TCP_ESTABLISHED || c->state == TCP_TIME_WAIT)
        return;
    uint32_t window = c->rcv_adv - c->rcv_nxt;
    struct lab_segment g = {.local_port = l->client == e ? l->port : LAB_LOCAL_PORT,
                            .peer_port = l->client == e ? LAB_LOCAL_PORT : l->port,
                            .seq = c->rcv_nxt,
                            .ack = c->snd_una,
                            .window = (uint16_t)(c->snd_wnd >> (c->wscale >> 4)),
                            .flags = TCP_FLAG_ACK,
                            .data = payload};
    memset(payload, 0xee, sizeof(payload));
    switch (what >> 1 & 7) {
    case 0:
        g.flags = TCP_FLAG_RST;
        g.seq += 1 + by * (window / 128);
        break;
    case 1:
        g.flags = TCP_FLAG_SYN;
        g.seq += by * 1000U - 100000;
        break;
    case 2:
        g.ack = c->snd_max + 1 + by;
        g.len = sizeof(payload);
        break;
    case 3:
        g.ack = c->snd_una - c->snd_wnd_max - 1 - by;
        g.len = sizeof(payload);
        break;
    case 4:
        g.seq = c->rcv_adv + by;
        g.len = sizeof(payload);
        break;
    case 5:
        g.window = 0;
        break;
    case 6: /* a lie, but one that a timeout finds out */
        g.sack_cnt = c->snd_max - c->snd_una > by + 1U;
        g.sack[0].left = c->snd_una + by;
        g.sack[0].right = g.sack[0].left + 1 + (c->snd_max - g.sack[0].left - 1) / (1U + (by & 3));
        break;
    default:
        if (!(c->flags & TCP_CONN_TIMESTAMPS))
            return;
        g.has_timestamp = true;
        g.timestamp = c->ts_recent - 1 - by;
        g.len = sizeof(payload);
        break;
    }
    lab_in(&b->pair.lab[e], &g);
}

/* Boxes on the way that know no options: those of a SYN are gone for good. */
static void strip(struct lab_segment *g, uint8_t what)
{
    if (g == NULL || (g->flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) != TCP_FLAG_SYN)
        return;
    g->has_timestamp &= (what & 8) != 0;
    g->sack_permitted &= (what & 16) != 0;
    g->has_wscale &= (what & 32) != 0;
    g->has_mss &= (what & 64) != 0;
    if (what & 128)
        g->flags &= (uint8_t) ~(TCP_FLAG_ECE | TCP_FLAG_CWR);
}

static void step_time(struct bench *b)
{
    uint8_t span = next_byte(b);
    uint64_t ns = (span & 15) * (BASE_NS_MS << (span >> 4));

    b->spent_ns += ns;
    lab_pair_wait(&b->pair, ns);
}

static void read_all(struct bench *b)
{
    for (uint32_t i = 0; i < b->link_cnt; i++)
        for (unsigned e = 0; e < 2; e++)
            read_bytes(b, e, i, UINT32_MAX);
}

/* What is on its way now arrives, in order. */
static void deliver_all(struct bench *b)
{
    for (unsigned e = 0; e < 2; e++)
        for (uint32_t cnt = b->pair.way[e].cnt; cnt > 0; cnt--)
            lab_pair_deliver(&b->pair, e, 0, false, false);
}

static void step_way(struct bench *b, enum step what)
{
    uint8_t arg = next_byte(b);
    unsigned e = arg & 1;
    uint32_t nth = arg >> 1 & 31;
    struct lab_segment *g;

    switch (what) {
    case STEP_DELIVER:
        lab_pair_deliver(&b->pair, e, 0, false, false);
        break;
    case STEP_BURST:
        for (uint32_t n = 0; n <= nth; n++)
            lab_pair_deliver(&b->pair, e, 0, false, n < nth);
        break;
    case STEP_DELIVER_LATE:
    case STEP_DUPLICATE:
        lab_pair_deliver(&b->pair, e, nth, what == STEP_DUPLICATE, arg & 64);
        break;
    case STEP_LOSE:
        lab_pair_lose(&b->pair, e, nth);
        break;
    case STEP_SPLIT:
        if (arg & 64)
            lab_pair_split(&b->pair, e, nth & 3, 1 + next_byte(b) * 6U);
        else
            lab_pair_part(&b->pair, e, nth & 15, arg & 128 ? next_byte(b) * 6U : 0,
                          1 + next_byte(b) * 6U);
        break;
    case STEP_JOIN:
        lab_pair_join(&b->pair, e, nth);
        break;
    case STEP_STRIP:
        strip(lab_pair_at(&b->pair, e, 0), arg);
        break;
    default: /* STEP_MARK */
        g = lab_pair_at(&b->pair, e, nth);
        if (g != NULL && g->ecn != TCP_NOT_ECT)
            g->ecn = arg & 64 ? TCP_NOT_ECT : TCP_ECT_CE;
        break;
    }
}

static void step_call(struct bench *b, enum step what)
{
    uint8_t arg = next_byte(b);
    unsigned e = arg & 1;
    uint32_t i = (arg >> 1 & 7) % CONN_MAX;

    if (what == STEP_CONNECT)
        connect_link(b, e);
    else if (i >= b->link_cnt)
        return;
    else if (what == STEP_SEND)
        send_bytes(b, e, i, next_byte(b) * (arg & 0x80 ? 60U : 1U));
    else if (what == STEP_READ)
        read_bytes(b, e, i, next_byte(b) * (arg & 0x80 ? 600U : 1U));
    else
        end_link(b, e, i, arg >> 4);
}

/* ---- the network heals ---- */

static bool is_empty(struct bench *b)
{
    for (unsigned e = 0; e < 2; e++) {
        struct tcp_usage u;
        tcp_usage(stack(b, e), &u);
        if (u.conn_cnt + u.syn_cnt + u.time_wait_cnt + u.mbuf_cnt > 0 || b->pair.way[e].cnt > 0)
            return false;
    }
    return true;
}

static void finish_links(struct bench *b)
{
    for (uint32_t i = 0; i < b->link_cnt; i++) {
        for (unsigned e = 0; e < 2; e++) {
            struct side *s = &b->link[i].side[e];
            if (s->conn == NULL)
                continue;
            shut(b, e, s);
            if (tcp_recv_ended(s->conn))
                give_back(b, e, s, false);
        }
    }
}

/* Without keepalive, who waits for the FIN of a peer that has gone without a word waits for ever;
 * nobody waits for anything else. */
static void abort_widows(struct bench *b)
{
    for (uint32_t i = 0; i < b->link_cnt; i++) {
        struct link *l = &b->link[i];
        for (unsigned e = 0; e < 2; e++) {
            if (l->side[e].conn == NULL)
                continue;
            base_assert(l->side[e].conn->state == TCP_FIN_WAIT_2 && l->side[!e].conn == NULL);
            base_assert(l->rough || l->side[!e].failed || b->spent_ns > GENTLE_NS);
            l->rough = true;
            give_back(b, e, &l->side[e], true);
        }
    }
}

static void heal(struct bench *b)
{
    uint64_t until_ns = b->pair.lab[0].now_ns + HEAL_S * BASE_NS_S;

    rte_pktmbuf_free_bulk(b->taken, b->taken_cnt);
    b->taken_cnt = 0;
    for (int step = 0; !is_empty(b); step++) {
        base_assert(step < HEAL_MAX && b->pair.lab[0].now_ns < until_ns);
        read_all(b);
        finish_links(b);
        settle(b);
        uint64_t now_ns = b->pair.lab[0].now_ns, next_ns = BASE_NS_NONE;
        for (unsigned e = 0; e < 2; e++)
            next_ns = tcp_deadline(stack(b, e)) < next_ns ? tcp_deadline(stack(b, e)) : next_ns;
        if (b->pair.way[0].cnt + b->pair.way[1].cnt > 0)
            next_ns = now_ns + BASE_NS_MS;
        deliver_all(b);
        settle(b);
        if (next_ns == BASE_NS_NONE)
            abort_widows(b);
        lab_pair_wait(&b->pair, next_ns > now_ns && next_ns != BASE_NS_NONE ? next_ns - now_ns : 0);
        settle(b);
    }
}

static void judge(const struct bench *b)
{
    for (uint32_t i = 0; i < b->link_cnt; i++) {
        const struct link *l = &b->link[i];
        if (l->rough || l->side[0].failed || l->side[1].failed)
            continue;
        base_assert(l->accepted);
        for (unsigned e = 0; e < 2; e++)
            base_assert(l->side[e].given_back && l->side[e].received == l->side[!e].sent);
    }
}

static void open_bench(struct bench *b, uint8_t how, uint8_t how_too)
{
    struct tcp_config config[2];
    struct net_endpoint at = {.port = LAB_LOCAL_PORT};

    b->tiny = (how_too & 3) == 3;
    for (unsigned e = 0; e < 2; e++) {
        struct tcp_config *c = &config[e];
        *c = lab_config();
        c->conn_max = b->tiny ? 2 : CONN_MAX;
        c->syn_max = b->tiny ? 1 : CONN_MAX;
        c->time_wait_max = b->tiny ? 1 : CONN_MAX;
        c->orphan_max = b->tiny ? 1 : CONN_MAX; /* what is over it is reset */
        c->port_min = FIRST_PORT;
        c->port_max = FIRST_PORT + CONN_MAX - 1;
        c->msl_ns = BASE_NS_S;
        c->recv_window_bytes = how & 1 << e ? 1 << 18 : 3000 + 100 * e;
        c->send_buffer_bytes = how & 4 << e ? 1 << 16 : 3000;
        c->timestamps_off = how & 0x10;
        c->sack_off = how & 0x20;
        c->ecn = how & 0x40 ? TCP_ECN_ASK : TCP_ECN_ANSWER;
        c->congestion = how & 0x80 ? TCP_NEWRENO : TCP_CUBIC;
        c->keepalive_ns = how_too & 4 ? 10 * BASE_NS_S : 0;
        c->keepalive_interval_ns = 2 * BASE_NS_S;
        c->keepalive_cnt = 3;
        c->secret[0] ^= (uint8_t)e;
    }
    lab_pair_open(&b->pair, config);
    for (unsigned e = 0; e < 2; e++)
        base_assert(tcp_listen(stack(b, e), &at, NULL) == 0);
    b->link_cnt = b->taken_cnt = 0;
    b->spent_ns = 0;
    connect_link(b, how_too >> 3 & 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bench b; /* large */

    if (size < 2)
        return 0;
    open_bench(&b, data[0], data[1]);
    b.at = data + 2;
    b.end = data + size;
    settle(&b);
    for (int step = 0; step < STEP_MAX && b.at < b.end; step++) {
        enum step what = (enum step)(next_byte(&b) % STEP_CNT);
        if (what == STEP_ROUND) {
            deliver_all(&b);
            settle(&b);
            read_all(&b);
        } else if (what == STEP_TIME) {
            step_time(&b);
        } else if (what == STEP_POOLS) {
            step_pools(&b);
        } else if (what == STEP_FORGE) {
            step_forge(&b);
        } else if (what >= STEP_CONNECT) {
            step_call(&b, what);
        } else {
            step_way(&b, what);
        }
        settle(&b);
    }
    heal(&b);
    judge(&b);
    lab_pair_close(&b.pair);
    return 0;
}
