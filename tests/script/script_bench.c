/* The stack on its bench, the peers, and the clock. */
#include "script.h"

#include <stdarg.h>

/* Longer than any handshake, orphan or TIME-WAIT lasts without an answer. */
#define DRAIN_NS   (600 * BASE_NS_S)
#define EVENT_CAP  64
#define STEP_LIMIT 10000000

bool script_fail(struct script *s, const char *format, ...)
{
    va_list args;

    if (s->failed)
        return false;
    s->failed = true;
    int n = snprintf(s->message, sizeof(s->message), "%s:%u: ", s->file, s->line);
    if (s->case_name[0] != '\0')
        n += snprintf(s->message + n, sizeof(s->message) - (size_t)n, "[%.200s] ", s->case_name);
    va_start(args, format);
    vsnprintf(s->message + n, sizeof(s->message) - (size_t)n, format, args);
    va_end(args);
    return false;
}

void script_open(struct script *s)
{
    if (s->open)
        return;
    lab_open(&s->lab, &s->config);
    s->lab.v6 = s->link.v6;
    s->lab.segment_max = (uint16_t)(s->link.mtu - (s->link.v6 ? LAB_IPV6_BYTES : LAB_IPV4_BYTES));
    s->lab.large_mbufs = (uint16_t)s->link.large_mbufs;
    s->open = true;
    s->peer_cnt = 0;
    s->at = script_peer_at(s, LAB_PEER_PORT, LAB_LOCAL_PORT);
}

struct tcp_key script_key(const struct script *s)
{
    return (struct tcp_key){.local = lab_address(&s->lab, true),
                            .remote = lab_address(&s->lab, false),
                            .local_port = s->at->local_port,
                            .remote_port = s->at->peer_port};
}

/* Over IPv6 the link takes so much more that there is as much room for TCP: the numbers in scripts
 * are of an IPv4 link of 1500 bytes. */
struct script_link script_link_default(const struct script *s)
{
    return (struct script_link){.v6 = s->v6,
                                .mtu = LAB_MTU + (s->v6 ? LAB_IPV6_BYTES - LAB_IPV4_BYTES : 0)};
}

void script_pool_leave(struct script *s, struct rte_mempool *pool, uint32_t left_cnt)
{
    while (rte_mempool_avail_count(pool) > left_cnt && s->taken_cnt < BASE_ARRAY_CNT(s->taken)) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
        if (m == NULL)
            return;
        s->taken[s->taken_cnt++] = m;
    }
}

void script_pool_refill(struct script *s)
{
    while (s->taken_cnt > 0)
        rte_pktmbuf_free(s->taken[--s->taken_cnt]);
}

/* The peer with these ports; a new one when there is none, NULL when there are too many. */
struct script_peer *script_peer_at(struct script *s, uint16_t peer_port, uint16_t local_port)
{
    for (uint32_t i = 0; i < s->peer_cnt; i++)
        if (s->peer[i].peer_port == peer_port && s->peer[i].local_port == local_port)
            return &s->peer[i];
    if (s->peer_cnt == SCRIPT_PEER_MAX)
        return NULL;
    struct script_peer *p = &s->peer[s->peer_cnt++];
    *p = (struct script_peer){.peer_port = peer_port, .local_port = local_port, .irs = 1000000};
    return p;
}

static void take_event(struct script *s, const struct tcp_event *ev)
{
    struct net_endpoint local, remote;

    tcp_local(ev->conn, &local);
    tcp_remote(ev->conn, &remote);
    struct script_peer *p = script_peer_at(s, remote.port, local.port);
    if (p == NULL)
        return;
    if (p->conn != ev->conn) {
        if (p->conn != NULL) /* a failed one; the ports have another connection now */
            tcp_close(s->lab.s, p->conn);
        p->conn = ev->conn;
        p->written = p->taken = 0;
        p->events = 0;
    }
    p->events |= ev->flags;
}

static struct rte_mbuf *make_piece(struct rte_mempool *pool, const uint8_t *bytes, uint32_t len)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

    base_assert(m != NULL && len <= rte_pktmbuf_tailroom(m));
    memcpy(rte_pktmbuf_append(m, (uint16_t)len), bytes, len);
    return m;
}

void script_push(struct script *s, const uint8_t *bytes, uint32_t len, uint8_t ecn, uint32_t piece)
{
    uint32_t first = tcp_min(len, piece > 0 ? piece : len);
    struct rte_mbuf *m = make_piece(piece > 0 ? s->lab.rx_pool : s->lab.large_pool, bytes, first);
    struct net_segment in = {.mbuf = m,
                             .src = lab_address(&s->lab, false),
                             .dst = lab_address(&s->lab, true),
                             .protocol = NET_PROTO_TCP,
                             .ecn = ecn};

    for (uint32_t at = first; at < len; at += piece)
        base_assert(rte_pktmbuf_chain(
                        m, make_piece(s->lab.rx_pool, bytes + at, tcp_min(len - at, piece))) == 0);
    tcp_push(s->lab.s, &in, 1, s->lab.now_ns);
}

void script_poll(struct script *s)
{
    struct tcp_event ev[EVENT_CAP];
    uint32_t n;

    do {
        n = tcp_poll(s->lab.s, ev, EVENT_CAP);
        for (uint32_t i = 0; i < n; i++)
            take_event(s, &ev[i]);
    } while (n == EVENT_CAP);
}

void script_advance(struct script *s, uint64_t until_ns, bool stop)
{
    struct lab *l = &s->lab;

    for (uint32_t i = 0; i < STEP_LIMIT; i++) {
        uint64_t at = tcp_deadline(l->s);
        if (at > until_ns)
            at = until_ns;
        lab_wait(l, at > l->now_ns ? at - l->now_ns : 0);
        script_poll(s);
        if (l->now_ns >= until_ns || (stop && l->out_cnt > 0))
            return;
    }
    script_fail(s, "the stack's deadline does not move");
}

/* Where our sequence numbers start is seen in the first SYN. */
void script_learn(struct script *s, const struct lab_segment *seg)
{
    struct script_peer *p = script_peer_at(s, seg->peer_port, seg->local_port);

    if (p == NULL)
        return;
    if (seg->flags & TCP_FLAG_SYN && !p->has_iss) {
        p->has_iss = true;
        p->iss = seg->seq;
        p->sent_end = 0;
    }
    uint32_t end = seg->seq - p->iss + seg->len + ((seg->flags & TCP_FLAG_SYN) != 0) +
                   ((seg->flags & TCP_FLAG_FIN) != 0);
    if (p->has_iss && !(seg->flags & TCP_FLAG_RST) && (int32_t)(end - p->sent_end) > 0)
        p->sent_end = end;
    for (uint32_t i = 0; i < seg->option_len && seg->option[i] != 0;) {
        if (seg->option[i] == 8)
            p->ts_last = base_be32(seg->option + i + 2);
        i += seg->option[i] == 1 ? 1 : seg->option[i + 1];
    }
}

const struct lab_segment *script_out(struct script *s)
{
    const struct lab_segment *seg = lab_out(&s->lab);

    if (seg != NULL)
        script_learn(s, seg);
    return seg;
}

bool script_silent(struct script *s)
{
    char text[SCRIPT_TEXT_CAP];
    const struct lab_segment *seg = script_out(s);

    if (seg == NULL)
        return true;
    script_segment_text(s, seg, text);
    return script_fail(s, "expected: nothing; came: %s", text);
}

static void discard(struct script *s)
{
    while (script_out(s) != NULL)
        ;
}

/* Nothing unexpected was sent; and when the callers have gone and the peers are silent, nothing is
 * in use any more. */
bool script_close(struct script *s)
{
    struct tcp_usage u;

    if (!s->open)
        return true;
    bool ok = s->failed || script_silent(s);
    script_pool_refill(s);
    for (uint32_t i = 0; i < s->peer_cnt; i++)
        if (s->peer[i].conn != NULL)
            tcp_abort(s->lab.s, s->peer[i].conn);
    s->lab.hold = false;
    for (uint32_t i = 0; i < 60; i++) {
        script_advance(s, s->lab.now_ns + DRAIN_NS / 60, false);
        for (uint32_t k = 0; k < s->peer_cnt; k++)
            s->peer[k].conn = NULL;
        discard(s);
    }
    tcp_usage(s->lab.s, &u);
    if (u.conn_cnt + u.syn_cnt + u.time_wait_cnt + u.mbuf_cnt != 0)
        ok = script_fail(s, "left in use at the end: conn=%u syn=%u time_wait=%u mbufs=%u",
                         u.conn_cnt, u.syn_cnt, u.time_wait_cnt, u.mbuf_cnt);
    lab_close(&s->lab);
    s->open = false;
    return ok;
}
