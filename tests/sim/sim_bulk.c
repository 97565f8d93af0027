#include "sim_bulk.h"

#include "sim_pair.h"

#include "tcp_internal.h"

#include <stdio.h>

#define START_NS      (5 * BASE_NS_S)
#define SERVER_PORT   25
#define PATTERN_BYTES 65521U /* a prime: no shift by a segment goes unseen */
#define SEND_BYTES    16384U
#define CHECK_EVERY   16U /* steps: the checks look at every mbuf */
#define LEFT_MAX_NS   (600 * BASE_NS_S)

struct flow {
    struct tcp_conn *client, *server;
    uint32_t index;
    uint32_t sent;
    uint32_t received;
    uint64_t counted;
    uint16_t port;
    bool started, done;
};

struct bulk {
    const struct sim_bulk_config *config;
    struct sim_pair pair;
    struct flow flow[SIM_BULK_FLOW_MAX];
    uint32_t started_cnt, done_cnt;
    uint64_t last_byte_ns;
    const char *failure;
};

static uint8_t pattern[PATTERN_BYTES + SEND_BYTES];

static void fail(struct bulk *b, const char *why)
{
    if (b->failure == NULL)
        b->failure = why;
}

static void fill_pattern(void)
{
    struct base_rand rand;

    base_rand_init(&rand, 1);
    for (uint32_t i = 0; i < PATTERN_BYTES; i++)
        pattern[i] = (uint8_t)base_rand_next(&rand);
    memcpy(pattern + PATTERN_BYTES, pattern, SEND_BYTES);
}

/* Flows begin at different places of the pattern. */
static const uint8_t *bytes_at(const struct flow *f, uint32_t offset)
{
    return pattern + (offset + 1009U * f->index) % PATTERN_BYTES;
}

static void start_due(struct bulk *b)
{
    struct net_endpoint any = {0};
    struct net_endpoint to = {.addr = b->pair.host[1].addr, .port = SERVER_PORT};

    while (b->started_cnt < b->config->flow_cnt &&
           b->pair.now_ns >= START_NS + b->started_cnt * b->config->stagger_ns) {
        struct flow *f = &b->flow[b->started_cnt];
        struct net_endpoint local;
        f->index = b->started_cnt++;
        if (tcp_connect(b->pair.host[0].tcp, &any, &to, f, &f->client, b->pair.now_ns) < 0) {
            fail(b, "connect");
            return;
        }
        tcp_local(f->client, &local);
        f->port = local.port;
    }
}

static struct flow *accepted(struct bulk *b, struct tcp_conn *c)
{
    struct net_endpoint remote;

    tcp_remote(c, &remote);
    for (uint32_t i = 0; i < b->started_cnt; i++) {
        if (b->flow[i].port != remote.port)
            continue;
        b->flow[i].server = c;
        tcp_set_user(c, &b->flow[i]);
        return &b->flow[i];
    }
    fail(b, "accepted what nobody opened");
    return NULL;
}

static void write_all(struct bulk *b, struct flow *f)
{
    struct tcp_stack *s = b->pair.host[0].tcp;
    uint32_t total = b->config->flow_bytes > 0 ? b->config->flow_bytes : UINT32_MAX;

    while (f->sent < total) {
        uint32_t n = tcp_min(SEND_BYTES, total - f->sent);
        int64_t took = tcp_send(s, f->client, bytes_at(f, f->sent), n);
        if (took < 0) {
            fail(b, "send refused");
            return;
        }
        f->sent += (uint32_t)took;
        if (took < n)
            return;
    }
    tcp_shutdown(s, f->client);
}

static void read_all(struct bulk *b, struct flow *f)
{
    struct tcp_stack *s = b->pair.host[1].tcp;
    struct base_span span[16];
    uint32_t cnt;

    while ((cnt = tcp_recv_view(f->server, span, BASE_ARRAY_CNT(span))) > 0) {
        uint32_t taken = 0;
        for (uint32_t i = 0; i < cnt; i++) {
            if (span[i].len > SEND_BYTES ||
                memcmp(span[i].p, bytes_at(f, f->received), span[i].len) != 0)
                fail(b, "a byte is wrong");
            f->received += (uint32_t)span[i].len;
            taken += (uint32_t)span[i].len;
        }
        tcp_recv_consume(s, f->server, taken);
        b->last_byte_ns = b->pair.now_ns;
        if (b->pair.now_ns >= b->config->from_ns + START_NS)
            f->counted += taken;
    }
    if (tcp_recv_ended(f->server)) {
        if (f->received != b->config->flow_bytes)
            fail(b, "the stream has another length");
        tcp_close(s, f->server);
        f->server = NULL;
    }
}

static void poll_host(struct bulk *b, unsigned host)
{
    struct tcp_stack *s = b->pair.host[host].tcp;
    struct tcp_event ev[16];
    uint32_t cnt;

    do {
        cnt = tcp_poll(s, ev, BASE_ARRAY_CNT(ev));
        for (uint32_t i = 0; i < cnt && b->failure == NULL; i++) {
            struct flow *f = ev[i].user;
            if (ev[i].flags & TCP_EVENT_ACCEPTED)
                f = accepted(b, ev[i].conn);
            if (f == NULL)
                continue;
            if (ev[i].flags & TCP_EVENT_FAILED) {
                fail(b, tcp_error_name(tcp_error(ev[i].conn)));
            } else if (host == 1) {
                read_all(b, f);
            } else if (ev[i].flags & TCP_EVENT_PEER_CLOSED) {
                tcp_close(s, f->client);
                f->client = NULL;
                b->done_cnt++;
            } else if (ev[i].flags & (TCP_EVENT_CONNECTED | TCP_EVENT_WRITABLE)) {
                write_all(b, f);
            }
        }
    } while (cnt == BASE_ARRAY_CNT(ev));
}

/* What is new goes out within the window: two segments more by limited transmit (RFC 3042). */
static void check_flight(struct bulk *b, const uint32_t *max_before)
{
    const struct tcp_stack *s = b->pair.host[0].tcp;

    for (uint32_t i = 0; i < b->started_cnt; i++) {
        const struct tcp_conn *c = b->flow[i].client;
        if (c == NULL || c->snd_max == max_before[i] || c->cwnd == 0)
            continue;
        const struct tcp_recovery *r = tcp_recovery_of(s, c);
        uint32_t flight = r != NULL ? r->pipe : c->snd_nxt - c->snd_una;
        if (flight > c->cwnd + 2U * c->mss + 1)
            fail(b, "more in flight than the windows allow");
        if (c->snd_max - c->snd_una > c->snd_wnd_max + 1)
            fail(b, "more in flight than the peer's window");
    }
}

static void flush_client(struct bulk *b)
{
    uint32_t max_before[SIM_BULK_FLOW_MAX];

    for (uint32_t i = 0; i < b->started_cnt; i++)
        max_before[i] = b->flow[i].client != NULL ? b->flow[i].client->snd_max : 0;
    sim_pair_flush(&b->pair, 0);
    check_flight(b, max_before);
}

static bool is_over(struct bulk *b)
{
    const struct sim_bulk_config *g = b->config;
    uint64_t ns = b->pair.now_ns - START_NS;

    if (g->flow_bytes == 0)
        return ns >= g->until_ns;
    if (b->done_cnt == g->flow_cnt) {
        if (sim_pair_drained(&b->pair))
            return true;
        if (b->pair.now_ns - b->last_byte_ns > LEFT_MAX_NS)
            fail(b, "something is left at the end");
    } else if (ns > g->bound_ns) {
        fail(b, "not done within the bound of time");
    }
    return false;
}

static void open_bulk(struct bulk *b)
{
    const struct sim_bulk_config *g = b->config;
    struct wire_config wire = {.seed = g->seed};
    struct tcp_config tcp[2];
    struct net_endpoint at = {.port = SERVER_PORT};

    for (int h = 0; h < 2; h++) {
        wire.end[h].tx_multi_segs = true;
        wire.end[h].tx_checksum = wire.end[h].rx_checksum = g->seed % 2;
        wire.end[h].faults = h == 0 ? g->data : g->acks;
        tcp[h] = (struct tcp_config){.conn_max = SIM_BULK_FLOW_MAX,
                                     .syn_max = SIM_BULK_FLOW_MAX,
                                     .time_wait_max = SIM_BULK_FLOW_MAX,
                                     .listen_max = 1,
                                     .port_min = 40000,
                                     .port_max = 40999,
                                     .msl_ns = BASE_NS_S,
                                     .syn_timeout_ns = 900 * BASE_NS_S,
                                     .user_timeout_ns = 3600 * BASE_NS_S,
                                     .fin_timeout_ns = 3600 * BASE_NS_S,
                                     .sack_off = g->sack_off,
                                     .congestion = g->congestion,
                                     .recv_window_bytes = g->buffer_bytes,
                                     .send_buffer_bytes = g->buffer_bytes};
    }
    sim_pair_open(&b->pair, &wire, tcp, START_NS);
    if (tcp_listen(b->pair.host[1].tcp, &at, NULL) < 0)
        fail(b, "listen");
}

/* One line a frame of the data's direction or its ACKs, from the TCP header on. */
static void trace_frame(void *arg, const struct wire_tap_frame *frame)
{
    const uint8_t *h = frame->bytes + 34;

    (void)arg;
    if (frame->len < 54 || base_be16(frame->bytes + 12) != 0x0800 || frame->fate == WIRE_DELIVERED)
        return;
    uint32_t header_len = (uint32_t)(h[12] >> 4) * 4;
    uint32_t len = base_be16(frame->bytes + 16) - 20U - header_len;
    printf("%.6f %s %s flags %#x seq %u len %u ack %u win %u", (double)frame->now_ns / 1e9,
           frame->from == 0 ? ">" : "<", wire_fate_name(frame->fate), h[13], base_be32(h + 4), len,
           base_be32(h + 8), base_be16(h + 14));
    struct tcp_options o;
    if (tcp_option_parse(&o, base_span_of(h + 20, header_len - 20)) == 0)
        for (uint32_t i = 0; i < o.sack_cnt; i++)
            printf(" [%u,%u)", o.sack[i].left, o.sack[i].right);
    printf("\n");
}

static void sum_up(struct bulk *b, struct sim_bulk_result *out)
{
    const struct stats_block *st = &b->pair.host[0].stats;
    struct wire_counters w;

    wire_count(b->pair.wire, 0, &w);
    *out = (struct sim_bulk_result){
        .ns = b->last_byte_ns - START_NS,
        .retransmits = stats_get(st, STATS_TCP_RETRANSMITS),
        .timeouts = stats_get(st, STATS_TCP_TIMEOUTS),
        .fast = stats_get(st, STATS_TCP_FAST_RETRANSMITS),
        .probes = stats_get(st, STATS_TCP_TAIL_PROBES),
        .lost_cnt =
            w.frame_cnt[WIRE_LOST] + w.frame_cnt[WIRE_LOST_BURST] + w.frame_cnt[WIRE_DROPPED_QUEUE],
    };
    for (uint32_t i = 0; i < b->config->flow_cnt; i++)
        out->flow_bytes[i] = b->flow[i].counted;
}

static void show_conn(const struct bulk *b)
{
    const struct tcp_conn *c = b->flow[0].client;

    if (c == NULL)
        return;
    const struct tcp_recovery *r = tcp_recovery_of(b->pair.host[0].tcp, c);
    printf("%.6f   una %u max +%u cwnd %u ssthresh %u pipe %u lost %u sacked %u dup %u flags %#x "
           "srtt %u\n",
           (double)b->pair.now_ns / 1e9, c->snd_una, c->snd_max - c->snd_una, c->cwnd, c->ssthresh,
           r == NULL ? 0 : r->pipe, r == NULL ? 0 : r->lost_bytes, r == NULL ? 0 : r->sacked_bytes,
           c->dup_acks, c->flags, c->srtt_us);
}

bool sim_bulk_run(const struct sim_bulk_config *config, struct sim_bulk_result *out)
{
    static struct bulk bulk; /* large */
    struct bulk *b = &bulk;

    *b = (struct bulk){.config = config, .last_byte_ns = START_NS};
    fill_pattern();
    open_bulk(b);
    if (config->trace)
        wire_set_tap(b->pair.wire, trace_frame, b);
    for (uint32_t step = 0; b->failure == NULL && !is_over(b); step++) {
        start_due(b);
        for (unsigned h = 0; h < 2 && b->failure == NULL; h++) {
            sim_pair_receive(&b->pair, h);
            poll_host(b, h);
            if (h == 0)
                flush_client(b);
            else
                sim_pair_flush(&b->pair, h);
            if (step % CHECK_EVERY == 0)
                tcp_check_invariants(b->pair.host[h].tcp);
        }
        if (config->trace)
            show_conn(b);
        uint64_t next = sim_pair_next(&b->pair);
        uint64_t start = START_NS + b->started_cnt * config->stagger_ns;
        if (b->started_cnt < config->flow_cnt && start < next)
            next = start;
        if (next == BASE_NS_NONE && config->flow_bytes > 0 && !is_over(b)) {
            fail(b, "nothing will ever happen again");
            break;
        }
        sim_pair_advance(&b->pair, next);
    }
    sum_up(b, out);
    sim_pair_close(&b->pair);
    if (b->failure != NULL)
        fprintf(stderr, "seed %llu: %s\n", (unsigned long long)config->seed, b->failure);
    return b->failure == NULL;
}
