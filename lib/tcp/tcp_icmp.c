/*
 * ICMP about segments of ours, as far as it can be trusted: anybody may send it (RFC 5927).
 *
 * A message must quote a sequence number that is in flight (section 4.1). What calls a packet too
 * big is honoured at once while no segment of the present size has been acknowledged on this
 * connection: that is the path's first measuring, or a size that is tried anew. When one has been,
 * the message contradicts what is known; it is noted at the segment and counts if that is not
 * acknowledged until the retransmission timer fires (section 7.2).
 *
 * All other errors are no reason to end what stands (section 5.2, against RFC 1122's hard errors);
 * an active open that nobody answers tells of them when its time is over (RFC 1122 section
 * 4.2.3.9).
 */
#include "tcp_internal.h"

#define QUOTED_BYTES 8 /* ports and sequence number */

#define IPV4_BYTES   20
#define IPV6_BYTES   40
#define IPV4_MTU_MIN 552
#define IPV6_MTU_MIN 1280

/* The connection whose segment is quoted, or NULL: counted, and *ours tells whether there is
 * anything of ours with these ports at all. */
static struct tcp_conn *find_quoted(struct tcp_stack *s, const struct net_addr *src,
                                    const struct net_addr *dst, const uint8_t *quoted,
                                    uint32_t *seq, bool *ours)
{
    struct tcp_key key = {.local = *src,
                          .remote = *dst,
                          .local_port = base_be16(quoted),
                          .remote_port = base_be16(quoted + 2)};
    tcp_ref ref = tcp_table_find(s, &key, tcp_hash(s, &key));

    *seq = base_be32(quoted + 4);
    *ours = tcp_ref_kind(ref) != TCP_KIND_NONE;
    if (!*ours) {
        tcp_count(s, STATS_TCP_DROP_ICMP_UNKNOWN);
        return NULL;
    }
    if (tcp_ref_kind(ref) == TCP_KIND_CONN) {
        struct tcp_conn *c = base_pool_at(&s->conn_pool, tcp_ref_index(ref));
        if (tcp_seq_geq(*seq, c->snd_una) && tcp_seq_lt(*seq, c->snd_max))
            return c;
    }
    tcp_count(s, STATS_TCP_DROP_ICMP_SEQUENCE);
    return NULL;
}

/* The mbuf with the byte seq, which is in flight; NULL when the peer is known to hold it, or when
 * it is no byte but our SYN or FIN. */
static struct rte_mbuf *find_sent(const struct tcp_conn *c, uint32_t seq)
{
    uint32_t at = c->snd_una;

    if (tcp_conn_is_opening(c))
        return NULL;
    for (struct rte_mbuf *m = c->snd_head; m != NULL; m = m->next) {
        at += m->data_len;
        if (tcp_seq_lt(seq, at))
            return m->vlan_tci & TCP_MARK_SACKED ? NULL : m;
    }
    return NULL;
}

void tcp_icmp_honour(struct tcp_stack *s, struct tcp_conn *c, uint16_t segment_max, uint32_t seq)
{
    tcp_count(s, STATS_TCP_PATH_MTU_LOWERED);
    tcp_path_note(s, &c->key.remote, segment_max);
    uint16_t mss = tcp_path_mss(c, segment_max);
    base_assert(mss < c->mss);
    c->mss = mss; /* before the queue is cut: what is longer now was too big */
    tcp_path_resend(s, c, seq);
    tcp_path_lower(s, c, mss);
}

bool tcp_too_big(struct tcp_stack *s, const struct net_addr *src, const struct net_addr *dst,
                 uint16_t mtu, const uint8_t *quoted, uint32_t quoted_len, uint64_t now_ns)
{
    bool v4 = net_addr_is_v4(dst), ours;
    uint32_t seq;

    base_assert(quoted_len >= QUOTED_BYTES);
    tcp_set_now(s, now_ns);
    struct tcp_conn *c = find_quoted(s, src, dst, quoted, &seq, &ours);
    if (c == NULL)
        return ours;
    struct rte_mbuf *m = find_sent(c, seq);
    if (m == NULL) {
        tcp_count(s, STATS_TCP_DROP_ICMP_SEQUENCE);
        return true;
    }
    uint16_t segment_max = (uint16_t)(mtu - (v4 ? IPV4_BYTES : IPV6_BYTES));
    if (mtu < (v4 ? IPV4_MTU_MIN : IPV6_MTU_MIN) || tcp_path_mss(c, segment_max) >= c->mss) {
        tcp_count(s, STATS_TCP_DROP_ICMP_SIZE);
        return true;
    }
    if (!(c->flags & TCP_CONN_FULL_ACKED)) {
        tcp_icmp_honour(s, c, segment_max, seq);
        return true;
    }
    tcp_count(s, STATS_TCP_TOO_BIG_DELAYED);
    if (!(m->vlan_tci & TCP_MARK_TOO_BIG) || segment_max < m->hash.fdir.hi)
        m->hash.fdir.hi = segment_max;
    m->vlan_tci |= TCP_MARK_TOO_BIG;
    return true;
}

bool tcp_unreachable(struct tcp_stack *s, const struct net_addr *src, const struct net_addr *dst,
                     const uint8_t *quoted, uint32_t quoted_len, uint64_t now_ns)
{
    uint32_t seq;
    bool ours;

    base_assert(quoted_len >= QUOTED_BYTES);
    tcp_set_now(s, now_ns);
    struct tcp_conn *c = find_quoted(s, src, dst, quoted, &seq, &ours);
    if (c == NULL)
        return ours;
    tcp_count(s, STATS_TCP_SOFT_ERRORS);
    if (tcp_conn_is_opening(c))
        c->flags |= TCP_CONN_UNREACHABLE;
    return true;
}
