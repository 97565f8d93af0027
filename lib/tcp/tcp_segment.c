/* Segments: from the wire and onto it. */
#include "tcp_internal.h"

/*
 * Checks the header of a segment and takes it off the mbuf, which out then owns. False when it is
 * to be dropped; it is counted, and the mbuf is still the caller's.
 */
bool tcp_segment_parse(struct tcp_stack *s, const struct net_segment *in, struct tcp_segment *out)
{
    uint8_t copy[TCP_HEADER_MAX_BYTES];
    const uint8_t *h = rte_pktmbuf_read(in->mbuf, 0, TCP_HEADER_BYTES, copy);

    if (in->protocol != NET_PROTO_TCP || h == NULL) {
        tcp_count(s, STATS_TCP_DROP_HEADER);
        return false;
    }
    uint32_t header_len = (uint32_t)(h[12] >> 4) * 4;
    if (header_len < TCP_HEADER_BYTES || header_len > rte_pktmbuf_pkt_len(in->mbuf) ||
        (h = rte_pktmbuf_read(in->mbuf, 0, header_len, copy)) == NULL) {
        tcp_count(s, STATS_TCP_DROP_HEADER);
        return false;
    }
    /* Field by field: what comes below fills in the rest. */
    out->key.local = in->dst;
    out->key.remote = in->src;
    out->key.local_port = base_be16(h + 2);
    out->key.remote_port = base_be16(h);
    out->seq = base_be32(h + 4);
    out->ack = base_be32(h + 8);
    out->len = rte_pktmbuf_pkt_len(in->mbuf) - header_len;
    out->window = base_be16(h + 14);
    out->flags = h[13] & (TCP_FLAG_FIN | TCP_FLAG_SYN | TCP_FLAG_RST | TCP_FLAG_PSH | TCP_FLAG_ACK |
                          TCP_FLAG_ECE | TCP_FLAG_CWR);
    out->ecn = in->ecn;
    out->frame_bytes = 0;
    struct base_span options = base_span_of(h + TCP_HEADER_BYTES, header_len - TCP_HEADER_BYTES);
    if (tcp_option_parse(&out->options, options) < 0) {
        tcp_count(s, STATS_TCP_DROP_OPTION);
        return false;
    }
    /* SYN with FIN or RST, and neither SYN, RST nor ACK, are in no one's handshake. */
    uint8_t kind = out->flags & (TCP_FLAG_SYN | TCP_FLAG_RST | TCP_FLAG_FIN | TCP_FLAG_ACK);
    if (((kind & TCP_FLAG_SYN) != 0 && (kind & (TCP_FLAG_RST | TCP_FLAG_FIN)) != 0) ||
        (kind & (TCP_FLAG_SYN | TCP_FLAG_RST | TCP_FLAG_ACK)) == 0 || out->key.remote_port == 0 ||
        out->key.local_port == 0) {
        tcp_count(s, STATS_TCP_DROP_FLAGS);
        return false;
    }
    out->mbuf = tcp_mbuf_cut_head(in->mbuf, header_len);
    /* The headers stay where they were, but for a first mbuf that held nothing else. */
    if (out->mbuf == in->mbuf && in->frame_bytes > 0)
        out->frame_bytes = (uint16_t)(in->frame_bytes + header_len);
    return true;
}

bool tcp_segment_stray(struct tcp_stack *s, struct tcp_segment *seg, bool listened)
{
    struct net_endpoint local = {.addr = seg->key.local, .port = seg->key.local_port};
    struct net_endpoint remote = {.addr = seg->key.remote, .port = seg->key.remote_port};

    if (s->config.stray == NULL || seg->frame_bytes == 0)
        return false;
    base_assert(rte_pktmbuf_prepend(seg->mbuf, seg->frame_bytes) != NULL);
    if (!s->config.stray(s->config.stray_arg, seg->mbuf, &local, &remote, listened))
        return false;
    seg->mbuf = NULL;
    return true;
}

/* Writes a header without payload into m; NULL when that is NULL. window is in bytes, cut to what
 * the field holds. */
static struct rte_mbuf *write_header(struct tcp_stack *s, struct rte_mbuf *m,
                                     const struct tcp_key *key, uint32_t seq, uint32_t ack,
                                     uint8_t flags, uint32_t window,
                                     const struct tcp_options *options)
{
    if (m == NULL) {
        tcp_count(s, STATS_TCP_NO_BUFFER);
        return NULL;
    }
    base_assert(rte_pktmbuf_tailroom(m) >= TCP_HEADER_MAX_BYTES &&
                rte_pktmbuf_headroom(m) >= NET_HEADROOM_BYTES);
    uint8_t *h = rte_pktmbuf_mtod(m, uint8_t *);
    uint32_t len = TCP_HEADER_BYTES;
    if (options != NULL)
        len += (uint32_t)tcp_option_write(h + TCP_HEADER_BYTES, options);
    m->data_len = (uint16_t)len;
    m->pkt_len = len;
    /* In words: the checksum reads them so right away. */
    base_put_be64(h, (uint64_t)key->local_port << 48 | (uint64_t)key->remote_port << 32 | seq);
    base_put_be64(h + 8, (uint64_t)ack << 32 | (uint64_t)(len / 4 << 4) << 24 |
                             (uint64_t)flags << 16 | tcp_min(window, 0xffff));
    memset(h + 16, 0, 4); /* checksum: lib/net; no urgent data */
    return m;
}

struct rte_mbuf *tcp_segment_new(struct tcp_stack *s, const struct tcp_key *key, uint32_t seq,
                                 uint32_t ack, uint8_t flags, uint32_t window,
                                 const struct tcp_options *options)
{
    return write_header(s, rte_pktmbuf_alloc(s->config.ctrl_pool), key, seq, ack, flags, window,
                        options);
}

struct rte_mbuf *tcp_segment_new_data(struct tcp_stack *s, const struct tcp_key *key, uint32_t seq,
                                      uint32_t ack, uint8_t flags, uint32_t window,
                                      const struct tcp_options *options)
{
    return write_header(s, rte_pktmbuf_alloc(s->config.frame_pool), key, seq, ack, flags, window,
                        options);
}

/* Takes m. Returns net_output's result. */
int tcp_segment_send(struct tcp_stack *s, const struct tcp_key *key, struct rte_mbuf *m,
                     enum tcp_ect ecn)
{
    tcp_count(s, STATS_TCP_TX_SEGMENTS);
    return net_output(s->net, m, &key->local, &key->remote, NET_PROTO_TCP, (uint8_t)ecn, s->now_ns);
}

bool tcp_segment_allowed(struct tcp_stack *s)
{
    const uint64_t each_ns = BASE_NS_S / TCP_RST_RATE_PER_S;
    uint64_t fresh = (s->now_ns - s->rst_filled_ns) / each_ns;

    if (fresh >= TCP_RST_BURST - s->rst_tokens) {
        s->rst_tokens = TCP_RST_BURST;
        s->rst_filled_ns = s->now_ns;
    } else {
        s->rst_tokens += (uint32_t)fresh;
        s->rst_filled_ns += fresh * each_ns;
    }
    if (s->rst_tokens == 0) {
        tcp_count(s, STATS_TCP_REPLY_LIMITED);
        return false;
    }
    s->rst_tokens--;
    return true;
}

/* RFC 9293 section 3.10.7.1 */
void tcp_segment_refuse(struct tcp_stack *s, const struct tcp_segment *seg)
{
    struct rte_mbuf *m;

    if ((seg->flags & TCP_FLAG_RST) != 0 || !tcp_segment_allowed(s))
        return;
    if ((seg->flags & TCP_FLAG_ACK) != 0) {
        m = tcp_segment_new(s, &seg->key, seg->ack, 0, TCP_FLAG_RST, 0, NULL);
    } else {
        uint32_t end = seg->seq + seg->len + ((seg->flags & TCP_FLAG_SYN) != 0) +
                       ((seg->flags & TCP_FLAG_FIN) != 0);
        m = tcp_segment_new(s, &seg->key, 0, end, TCP_FLAG_RST | TCP_FLAG_ACK, 0, NULL);
    }
    if (m == NULL)
        return;
    tcp_count(s, STATS_TCP_TX_RESETS);
    (void)tcp_segment_send(s, &seg->key, m, TCP_NOT_ECT);
}
