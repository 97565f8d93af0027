/*
 * Path MTUs. What a router told about a destination is kept for ten minutes (RFC 1191 section 6.3,
 * RFC 8201 section 4), so that the next connections start right; then a larger size is tried again.
 *
 * Entries stand in sets by a keyed hash; in a full set the one that expires first makes room. An
 * entry only ever comes from a message that named bytes in flight (tcp_icmp.c), so that it takes a
 * connection to make one.
 */
#include "tcp_cc.h"
#include "tcp_internal.h"

#include "base_lines.h"
#include "base_siphash.h"

#include <errno.h>
#include <stdlib.h>

#define PATH_LIFE_NS (600 * BASE_NS_S)

#define IPV4_BYTES 20
#define IPV6_BYTES 40

/*
 * Routers that drop without a word (RFC 2923 section 2.1): after so many timeouts in a row a path
 * is taken to have the smallest MTU of IPv6, which tunnels keep free, too.
 */
#define BLACK_HOLE_BACKOFF 2
#define BLACK_HOLE_MTU     1280

int tcp_path_init(struct tcp_paths *p)
{
    p->entry = base_lines_new(TCP_PATH_SETS * TCP_PATH_WAYS * sizeof(*p->entry));
    return p->entry == NULL ? -ENOMEM : 0;
}

void tcp_path_fini(struct tcp_paths *p)
{
    free(p->entry);
    p->entry = NULL;
}

static struct tcp_path *set_of(const struct tcp_stack *s, const struct net_addr *dst)
{
    uint64_t hash = base_siphash(s->config.secret, dst->b, sizeof(dst->b));

    return &s->paths.entry[(hash & (TCP_PATH_SETS - 1)) * TCP_PATH_WAYS];
}

/* The entry of dst, or NULL; one that has expired is freed. */
static struct tcp_path *find(struct tcp_stack *s, const struct net_addr *dst)
{
    struct tcp_path *set = set_of(s, dst);

    for (uint32_t i = 0; i < TCP_PATH_WAYS; i++) {
        struct tcp_path *p = &set[i];
        if (p->segment_max == 0 || !net_addr_eq(&p->dst, dst))
            continue;
        if (p->expires_ns > s->now_ns)
            return p;
        p->segment_max = 0;
        s->paths.cnt--;
        return NULL;
    }
    return NULL;
}

uint16_t tcp_path_segment_max(struct tcp_stack *s, const struct tcp_key *key)
{
    uint16_t most = net_segment_max(s->net, &key->local);

    if (s->paths.cnt == 0)
        return most;
    const struct tcp_path *p = find(s, &key->remote);
    return p != NULL && p->segment_max < most ? p->segment_max : most;
}

void tcp_path_note(struct tcp_stack *s, const struct net_addr *dst, uint16_t segment_max)
{
    struct tcp_path *p = find(s, dst);

    if (p == NULL) {
        struct tcp_path *set = set_of(s, dst);
        p = set;
        for (uint32_t i = 1; i < TCP_PATH_WAYS && p->segment_max != 0; i++)
            if (set[i].segment_max == 0 || set[i].expires_ns < p->expires_ns)
                p = &set[i];
        s->paths.cnt += p->segment_max == 0;
    }
    *p = (struct tcp_path){
        .dst = *dst, .segment_max = segment_max, .expires_ns = s->now_ns + PATH_LIFE_NS};
}

/* ---- of a connection ---- */

uint16_t tcp_path_mss(const struct tcp_conn *c, uint16_t segment_max)
{
    uint32_t header = TCP_HEADER_BYTES;

    if (c->flags & TCP_CONN_TIMESTAMPS)
        header += TCP_OPTION_TIMESTAMP_BYTES;
    return (uint16_t)(segment_max > header + 1 ? segment_max - header : 1);
}

void tcp_path_begin(struct tcp_stack *s, struct tcp_conn *c)
{
    c->mss_max = c->mss;
    if (s->paths.cnt == 0)
        return;
    uint16_t mss = tcp_path_mss(c, tcp_path_segment_max(s, &c->key));
    if (mss < c->mss)
        tcp_path_lower(s, c, mss);
}

/* Divides mbufs of the send queue that are longer than a segment, so that what is known about an
 * mbuf stays what is known about a segment. Where the pool is empty, the sending side goes by
 * pieces. */
static void cut_queue(struct tcp_stack *s, struct tcp_conn *c)
{
    for (struct rte_mbuf *m = c->snd_head; m != NULL; m = m->next)
        if (m->data_len > c->mss && !tcp_mark_divide(s, c, m, c->mss))
            return;
}

void tcp_path_lower(struct tcp_stack *s, struct tcp_conn *c, uint16_t mss)
{
    c->mss = mss;
    c->flags |= TCP_CONN_PATH;
    c->flags &= ~(uint32_t)TCP_CONN_FULL_ACKED;
    cut_queue(s, c);
}

void tcp_path_retry(struct tcp_stack *s, struct tcp_conn *c)
{
    uint16_t mss = tcp_path_mss(c, tcp_path_segment_max(s, &c->key));

    mss = (uint16_t)tcp_min(mss, c->mss_max);
    if (mss <= c->mss)
        return;
    tcp_count(s, STATS_TCP_PATH_MTU_RAISED);
    c->mss = mss;
    c->cwnd = tcp_max(c->cwnd, mss);
    c->flags &= ~(uint32_t)TCP_CONN_FULL_ACKED;
    if (mss == c->mss_max)
        c->flags &= ~(uint32_t)TCP_CONN_PATH;
}

void tcp_path_resend(struct tcp_stack *s, struct tcp_conn *c, uint32_t seq)
{
    uint32_t cwnd = c->cwnd;

    if (c->snd_una == c->snd_max)
        return;
    if (!tcp_recover_too_big(s, c, seq)) {
        c->flags &= ~(uint32_t)TCP_CONN_RECOVERY;
        tcp_send_rewind(c);
    }
    /* The window is what it was, but it has to be entered again: nothing of it is on the way. */
    s->cc->idle(s, c);
    if (c->ssthresh < cwnd)
        c->ssthresh = cwnd;
    c->recover = c->snd_max;
    c->dup_acks = 0;
    c->flags &= ~(uint32_t)(TCP_CONN_RTT_TIMED | TCP_CONN_PROBED | TCP_CONN_PROBE_AGAIN |
                            TCP_CONN_PROBE_DUE);
    c->retransmit_ms = tcp_timer_at_us(s, tcp_rto_us(s, c));
    tcp_conn_ready(s, c);
}

/* Bytes of a full segment got no answer several times: perhaps for their number. */
static void find_black_hole(struct tcp_stack *s, struct tcp_conn *c)
{
    bool v4 = net_addr_is_v4(&c->key.remote);
    uint16_t segment_max = BLACK_HOLE_MTU - (v4 ? IPV4_BYTES : IPV6_BYTES);
    uint16_t mss = tcp_path_mss(c, segment_max);

    if (c->backoff != BLACK_HOLE_BACKOFF || c->mss <= mss || c->snd_head == NULL || c->snd_wnd == 0)
        return;
    /* What goes out again: an mbuf with its mark, or else as much as a segment takes. */
    uint32_t len = tcp_min(c->snd_max - c->snd_una, c->snd_len);
    if ((c->recovery != 0 ? c->snd_head->data_len : len) <= mss)
        return;
    tcp_count(s, STATS_TCP_BLACK_HOLES);
    tcp_path_note(s, &c->key.remote, segment_max);
    tcp_path_lower(s, c, mss);
}

bool tcp_path_timeout(struct tcp_stack *s, struct tcp_conn *c)
{
    uint32_t seq = c->snd_una, from = seq, segment_max = UINT32_MAX;

    for (struct rte_mbuf *m = c->snd_head; m != NULL && tcp_seq_lt(seq, c->snd_max);
         seq += m->data_len, m = m->next) {
        if (!(m->vlan_tci & TCP_MARK_TOO_BIG))
            continue;
        m->vlan_tci &= (uint16_t)~TCP_MARK_TOO_BIG;
        if (segment_max == UINT32_MAX)
            from = seq;
        segment_max = tcp_min(segment_max, m->hash.fdir.hi);
    }
    if (segment_max != UINT32_MAX && tcp_path_mss(c, (uint16_t)segment_max) < c->mss) {
        tcp_icmp_honour(s, c, (uint16_t)segment_max, from);
        return true;
    }
    find_black_hole(s, c);
    return false;
}
