/*
 * Segments, socket calls and time steps into a TCP stack, in any order. The input is a script of
 * steps; sequence and acknowledgement numbers in it are small offsets from what the peer would
 * rightly send, so that scripts get deep into connections.
 *
 * Checked after each step: the stack's own invariants; each byte read is the one the peer has for
 * its sequence number; likewise each byte that the stack sends. At the end: no mbuf is missing.
 */
#include "tcp_lab.h"

#define PEER_CNT   4
#define HANDLE_CNT 8
#define STEP_MAX   400

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step {
    STEP_SEGMENT,
    STEP_RIGHT, /* exactly what the peer would send next, some bytes and an ACK of all */
    STEP_RAW,
    STEP_CONNECT,
    STEP_SEND,
    STEP_READ,
    STEP_SHUTDOWN,
    STEP_CLOSE,
    STEP_ABORT,
    STEP_TIME,
    STEP_LISTEN,
    STEP_TROUBLE,
    STEP_ICMP,
    STEP_CNT,
};

/* What one peer port knows. */
struct peer {
    uint32_t seq; /* it sends next */
    uint32_t ack; /* the end of what the stack has sent to it */
    uint16_t local_port;
    bool timestamps; /* it sends them */
    uint32_t timestamp, echo;
};

struct bench {
    struct lab lab;
    struct peer peer[PEER_CNT];
    struct tcp_conn *handle[HANDLE_CNT];
    bool tainted; /* raw bytes went in: streams may hold anything */
    const uint8_t *at, *end;
};

static uint8_t next_byte(struct bench *b)
{
    return b->at < b->end ? *b->at++ : 0;
}

static uint8_t byte_of(uint32_t seq)
{
    return (uint8_t)(seq * 7 + (seq >> 8) * 13);
}

/* Learns from what the stack sent, and checks it. */
static void take_output(struct bench *b)
{
    const struct lab_segment *g;

    while ((g = lab_out(&b->lab)) != NULL) {
        uint32_t shift = (g->flags & TCP_FLAG_SYN) != 0;
        for (uint32_t i = 0; i < g->len; i++)
            base_assert(((const uint8_t *)g->data)[i] == byte_of(g->seq + shift + i));
        base_assert(g->len == 0 || (g->flags & (TCP_FLAG_SYN | TCP_FLAG_RST)) == 0);
        uint32_t index = g->peer_port - (uint32_t)LAB_PEER_PORT;
        if (index >= PEER_CNT)
            continue;
        struct peer *p = &b->peer[index];
        uint32_t end = g->seq + g->len + shift + ((g->flags & TCP_FLAG_FIN) != 0);
        if (shift != 0 || tcp_seq_gt(end, p->ack))
            p->ack = end;
        p->local_port = g->local_port;
        base_assert(g->sack_cnt <= 4 - (g->has_timestamp ? 1 : 0));
        for (uint32_t i = 0; i < g->sack_cnt; i++)
            base_assert(tcp_seq_lt(g->sack[i].left, g->sack[i].right));
        if (g->has_timestamp)
            p->echo = g->timestamp;
    }
}

static void drop_handle(struct bench *b, const struct tcp_conn *c)
{
    for (int i = 0; i < HANDLE_CNT; i++)
        if (b->handle[i] == c)
            b->handle[i] = NULL;
}

static bool keep_handle(struct bench *b, struct tcp_conn *c)
{
    for (int i = 0; i < HANDLE_CNT; i++) {
        if (b->handle[i] != NULL)
            continue;
        b->handle[i] = c;
        return true;
    }
    return false;
}

static void take_events(struct bench *b)
{
    struct tcp_event ev[3];
    uint32_t cnt;

    do {
        cnt = tcp_poll(b->lab.s, ev, 3);
        for (uint32_t i = 0; i < cnt; i++) {
            base_assert(ev[i].flags != 0);
            if (ev[i].flags & TCP_EVENT_ACCEPTED && !keep_handle(b, ev[i].conn))
                tcp_abort(b->lab.s, ev[i].conn);
            else if (ev[i].flags & TCP_EVENT_FAILED)
                base_assert(tcp_error(ev[i].conn) != TCP_OK);
        }
    } while (cnt == 3);
}

/* Timestamps as agreed in the SYN, now and then wrong ones; SACK blocks near what was sent. */
static void add_options(struct bench *b, struct peer *p, struct lab_segment *g)
{
    uint8_t what = next_byte(b);

    if (what & 1)
        p->timestamp += what >> 5;
    g->has_timestamp = p->timestamps && (what & 6) != 6;
    g->timestamp = p->timestamp - ((what & 6) == 2 ? 100 : 0);
    g->timestamp_echo = p->echo;
    g->sack_cnt = what >> 3 & 3;
    g->ecn = what >> 5 & 3;
    for (uint32_t i = 0; i < g->sack_cnt; i++) {
        uint8_t from = next_byte(b), len = next_byte(b);
        g->sack[i].left = p->ack - from * (len & 0x80 ? 1460U : 24U);
        g->sack[i].right = g->sack[i].left + (len & 0x7f) * (len & 0x80 ? 1460U : 24U);
    }
}

static void step_segment(struct bench *b, bool right)
{
    uint8_t payload[1460];
    uint8_t who = next_byte(b);
    struct peer *p = &b->peer[who % PEER_CNT];
    struct lab_segment g = {.peer_port = (uint16_t)(LAB_PEER_PORT + who % PEER_CNT),
                            .local_port = p->local_port,
                            .seq = p->seq,
                            .ack = p->ack,
                            .window = 65535,
                            .flags = TCP_FLAG_ACK,
                            .data = payload};

    g.len = next_byte(b) % 64;
    if (who & 0x40)
        g.len *= 23;
    if (!right) {
        int8_t seq_off = (int8_t)next_byte(b), ack_off = (int8_t)next_byte(b);
        g.flags = next_byte(b);
        g.seq += (uint32_t)(seq_off * (who & 0x10 ? 1000 : 1));
        g.ack += (uint32_t)(ack_off * (who & 0x20 ? 1000 : 1));
        g.window = (uint16_t)(next_byte(b) << (who & 0x80 ? 8 : 0));
    }
    add_options(b, p, &g);
    if (g.flags & TCP_FLAG_SYN) {
        uint8_t option = next_byte(b);
        g.has_mss = option & 1;
        g.has_wscale = (option & 2) != 0;
        g.wscale = option >> 2 & 15;
        p->timestamps = (option & 0x40) != 0;
        g.sack_permitted = (option & 0x80) != 0;
        g.mss = (uint16_t)(next_byte(b) * 8);
    }
    if (g.flags & TCP_FLAG_SYN && p->timestamps)
        g.has_timestamp = true;
    if (g.has_timestamp && g.len > 1448)
        g.len = 1448;
    uint32_t first = g.seq + ((g.flags & TCP_FLAG_SYN) != 0);
    for (uint32_t i = 0; i < g.len; i++)
        payload[i] = byte_of(first + i);
    lab_push(&b->lab, &g);
    if (who & 8)
        return; /* no flush: a burst goes on */
    tcp_flush(b->lab.s, b->lab.now_ns);
    uint32_t end = first + g.len + ((g.flags & TCP_FLAG_FIN) != 0);
    if (right || (g.flags & TCP_FLAG_SYN))
        p->seq = end;
}

static void step_raw(struct bench *b)
{
    uint8_t raw[128];
    uint32_t len = next_byte(b) % sizeof(raw);

    for (uint32_t i = 0; i < len; i++)
        raw[i] = next_byte(b);
    b->tainted = true;
    lab_in_raw(&b->lab, raw, len);
}

static void step_connect(struct bench *b)
{
    uint8_t what = next_byte(b);
    struct net_endpoint local = {.port = what & 0x80 ? LAB_LOCAL_PORT : 0};
    struct net_endpoint remote = {.addr = net_addr_v4((uint8_t[]){10, 0, 0, 2}),
                                  .port = (uint16_t)(LAB_PEER_PORT + what % PEER_CNT)};
    struct tcp_conn *c;

    if (tcp_connect(b->lab.s, &local, &remote, b, &c, b->lab.now_ns) == 0 && !keep_handle(b, c))
        tcp_close(b->lab.s, c);
}

static void step_send(struct bench *b, struct tcp_conn *c)
{
    uint8_t out[8192];
    uint32_t len = next_byte(b) * 32U;
    bool early = c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECEIVED;
    uint32_t seq = c->snd_una + c->snd_len + early;

    for (uint32_t i = 0; i < len; i++)
        out[i] = byte_of(seq + i);
    int64_t took = tcp_send(b->lab.s, c, out, len);
    base_assert(took <= (int64_t)len);
}

static void step_read(struct bench *b, struct tcp_conn *c)
{
    struct base_span span[8];
    uint32_t cnt = tcp_recv_view(c, span, 8), len = 0;
    uint32_t seq = c->rcv_nxt - ((c->flags & TCP_CONN_PEER_FIN) != 0) - c->rcv_len;
    uint32_t want = next_byte(b) * 64U;

    for (uint32_t i = 0; i < cnt; i++)
        for (size_t k = 0; k < span[i].len; k++, len++)
            base_assert(b->tainted || span[i].p[k] == byte_of(seq + len));
    base_assert(cnt < 8 ? len == tcp_recv_len(c) : len <= tcp_recv_len(c));
    tcp_recv_consume(b->lab.s, c, tcp_min(want, len));
}

static void step_call(struct bench *b, enum step what)
{
    struct tcp_conn *c = b->handle[next_byte(b) % HANDLE_CNT];

    if (c == NULL)
        return;
    if (what == STEP_SEND) {
        step_send(b, c);
    } else if (what == STEP_READ) {
        step_read(b, c);
    } else if (what == STEP_SHUTDOWN) {
        tcp_shutdown(b->lab.s, c);
    } else {
        drop_handle(b, c);
        if (what == STEP_CLOSE)
            tcp_close(b->lab.s, c);
        else
            tcp_abort(b->lab.s, c);
    }
}

static void step_time(struct bench *b)
{
    uint8_t span = next_byte(b);

    lab_wait(&b->lab, (span & 15) * (BASE_NS_MS << (span >> 4)));
    base_assert(tcp_deadline(b->lab.s) > b->lab.now_ns - BASE_NS_S);
}

/* ICMP about a segment of a connection that stands, or nearly so. */
static void step_icmp(struct bench *b)
{
    uint8_t what = next_byte(b);
    const struct tcp_conn *c = b->handle[what % HANDLE_CNT];
    uint8_t quoted[8];

    if (c == NULL)
        return;
    base_put_be16(quoted, c->key.local_port);
    base_put_be16(quoted + 2, c->key.remote_port);
    base_put_be32(quoted + 4, c->snd_una - 1 + next_byte(b) * 16U);
    if (what & 0x80)
        (void)tcp_unreachable(b->lab.s, &c->key.local, &c->key.remote, quoted, 8, b->lab.now_ns);
    else
        (void)tcp_too_big(b->lab.s, &c->key.local, &c->key.remote,
                          (uint16_t)(500 + next_byte(b) * 4U), quoted, 8, b->lab.now_ns);
    tcp_check_invariants(b->lab.s);
}

static void step_trouble(struct bench *b)
{
    uint8_t what = next_byte(b);

    b->lab.output_result = what & 1 ? -113 : 0; /* EHOSTUNREACH */
    b->lab.hold = what & 2;
    if (!b->lab.hold)
        lab_free_held(&b->lab);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bench b; /* large */
    struct tcp_config config = lab_config();
    struct net_endpoint at = {.port = LAB_LOCAL_PORT};

    if (size < 2)
        return 0;
    config.recv_window_bytes = data[0] & 1 ? 1 << 18 : 3000;
    config.send_buffer_bytes = data[0] & 2 ? 1 << 16 : 3000;
    config.keepalive_ns = data[0] & 4 ? 5 * BASE_NS_S : 0;
    config.keepalive_interval_ns = BASE_NS_S;
    config.keepalive_cnt = 3;
    config.timestamps_off = data[0] & 8;
    config.sack_off = data[0] & 16;
    config.ecn = (enum tcp_ecn)(data[0] >> 5 & 1);
    config.syn_max = data[0] & 0x80 ? 1 : 4; /* with one, the second SYN gets a cookie */
    config.congestion = data[0] & 0x40 ? TCP_NEWRENO : TCP_CUBIC;
    config.recv_window_start_bytes = data[1] & 1 ? 2000 : 0;
    config.recv_mbuf_max = data[1] & 2 ? 12 : 0;
    config.send_mbuf_max = data[1] & 4 ? 6 : 0;
    config.orphan_max = data[1] & 8 ? 1 : 0;
    config.user_timeout_ns = data[1] & 16 ? 2 * BASE_NS_S : 0;
    lab_open(&b.lab, &config);
    b.tainted = false;
    b.at = data + 2;
    b.end = data + size;
    memset(b.handle, 0, sizeof(b.handle));
    for (uint32_t i = 0; i < PEER_CNT; i++)
        b.peer[i] = (struct peer){.seq = UINT32_MAX - 500 * i, .local_port = LAB_LOCAL_PORT};
    base_assert(tcp_listen(b.lab.s, &at, NULL) == 0);
    for (int step = 0; step < STEP_MAX && b.at < b.end; step++) {
        enum step what = (enum step)(next_byte(&b) % STEP_CNT);
        if (what == STEP_SEGMENT || what == STEP_RIGHT)
            step_segment(&b, what == STEP_RIGHT);
        else if (what == STEP_RAW)
            step_raw(&b);
        else if (what == STEP_CONNECT)
            step_connect(&b);
        else if (what == STEP_TIME)
            step_time(&b);
        else if (what == STEP_TROUBLE)
            step_trouble(&b);
        else if (what == STEP_ICMP)
            step_icmp(&b);
        else if (what == STEP_LISTEN && next_byte(&b) & 1)
            tcp_unlisten(b.lab.s, &at);
        else if (what == STEP_LISTEN)
            (void)(tcp_listen(b.lab.s, &at, NULL) + 0);
        else
            step_call(&b, what);
        tcp_check_invariants(b.lab.s);
        take_events(&b);
        take_output(&b);
    }
    lab_close(&b.lab);
    return 0;
}
