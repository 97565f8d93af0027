#include "tcp_lab.h"

#include "counted.h"
#include "dpdk_eal.h"

#include <stdlib.h>

#define MBUF_CNT  1023
#define LARGE_CNT 31 /* buffers of 64 KiB: what a port with LRO hands up */

static struct rte_mempool *pool[5];

struct tcp_config lab_config(void)
{
    return (struct tcp_config){
        .conn_max = 4,
        .syn_max = 4,
        .time_wait_max = 4,
        .listen_max = 2,
        .port_min = 40000,
        .port_max = 40007,
        .recv_window_bytes = 65535,
        .send_buffer_bytes = 65536,
        .congestion = TCP_NEWRENO, /* its windows are easy to foretell */
        .secret = "a secret secret",
    };
}

void lab_open(struct lab *l, const struct tcp_config *config)
{
    struct tcp_config c = *config;

    dpdk_eal_init();
    if (pool[0] == NULL) {
        pool[0] = dpdk_pool("lab_data", MBUF_CNT, 0);
        pool[1] = dpdk_pool("lab_ctrl", MBUF_CNT, 0);
        pool[2] = dpdk_pool("lab_rx", MBUF_CNT, 0);
        pool[3] = rte_pktmbuf_pool_create("lab_large", LARGE_CNT, 0, 0, UINT16_MAX, 0);
        base_assert(pool[3] != NULL);
        pool[4] = dpdk_pool("lab_frame", MBUF_CNT, 512);
    }
    memset(l, 0, offsetof(struct lab, out_data));
    l->now_ns = 1000 * BASE_NS_S;
    l->segment_max = LAB_MTU - LAB_IPV4_BYTES;
    l->data_pool = pool[0];
    l->ctrl_pool = pool[1];
    l->rx_pool = pool[2];
    l->large_pool = pool[3];
    l->frame_pool = pool[4];
    c.net = (struct net *)(void *)l;
    c.data_pool = l->data_pool;
    c.ctrl_pool = l->ctrl_pool;
    c.frame_pool = l->frame_pool;
    c.stats = &l->stats;
    base_assert(tcp_init(&l->s, &c, l->now_ns) == 0);
}

struct net_addr lab_address(const struct lab *l, bool ours)
{
    uint8_t last = ours ? 1 : 2;

    if (l->v6)
        return (struct net_addr){.b = {0xfd, [15] = last}};
    return net_addr_v4((uint8_t[]){10, 0, 0, last});
}

void lab_close(struct lab *l)
{
    counted_add(&l->stats);
    tcp_fini(l->s);
    lab_free_held(l);
    base_assert(dpdk_pool_full(l->data_pool));
    base_assert(dpdk_pool_full(l->ctrl_pool));
    base_assert(dpdk_pool_full(l->rx_pool));
    base_assert(dpdk_pool_full(l->large_pool));
    base_assert(dpdk_pool_full(l->frame_pool));
}

void lab_free_held(struct lab *l)
{
    while (l->held_cnt > 0)
        rte_pktmbuf_free(l->held[--l->held_cnt]);
}

static void push_mbuf(struct lab *l, struct rte_mbuf *m, uint8_t ecn)
{
    struct net_segment in = {.mbuf = m,
                             .src = lab_address(l, false),
                             .dst = lab_address(l, true),
                             .protocol = NET_PROTO_TCP,
                             .ecn = ecn};

    tcp_push(l->s, &in, 1, l->now_ns);
}

void lab_push(struct lab *l, const struct lab_segment *seg)
{
    struct tcp_options options = {.has_mss = seg->has_mss,
                                  .mss = seg->mss,
                                  .has_wscale = seg->has_wscale,
                                  .wscale = seg->wscale,
                                  .has_timestamp = seg->has_timestamp,
                                  .timestamp = seg->timestamp,
                                  .timestamp_echo = seg->timestamp_echo,
                                  .sack_permitted = seg->sack_permitted,
                                  .sack_cnt = seg->sack_cnt};
    memcpy(options.sack, seg->sack, sizeof(options.sack));
    uint8_t option[TCP_OPTION_MAX_BYTES];
    uint32_t option_len = (uint32_t)tcp_option_write(option, &options);
    struct rte_mbuf *m = rte_pktmbuf_alloc(l->rx_pool);

    base_assert(m != NULL);
    uint8_t *h = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(20 + option_len + seg->len));
    base_assert(h != NULL);
    memset(h, 0, 20);
    base_put_be16(h, seg->peer_port != 0 ? seg->peer_port : LAB_PEER_PORT);
    base_put_be16(h + 2, seg->local_port != 0 ? seg->local_port : LAB_LOCAL_PORT);
    base_put_be32(h + 4, seg->seq);
    base_put_be32(h + 8, seg->ack);
    h[12] = (uint8_t)((20 + option_len) / 4 << 4);
    h[13] = seg->flags;
    base_put_be16(h + 14, seg->window);
    memcpy(h + 20, option, option_len);
    if (seg->data != NULL)
        memcpy(h + 20 + option_len, seg->data, seg->len);
    else
        memset(h + 20 + option_len, 0, seg->len);
    push_mbuf(l, m, seg->ecn);
}

void lab_in(struct lab *l, const struct lab_segment *seg)
{
    lab_push(l, seg);
    tcp_flush(l->s, l->now_ns);
    tcp_check_invariants(l->s);
}

void lab_in_raw(struct lab *l, const uint8_t *bytes, uint32_t len)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(l->rx_pool);

    base_assert(m != NULL && len <= rte_pktmbuf_tailroom(m));
    if (len > 0)
        memcpy(rte_pktmbuf_append(m, (uint16_t)len), bytes, len);
    push_mbuf(l, m, 0);
    tcp_flush(l->s, l->now_ns);
    tcp_check_invariants(l->s);
}

void lab_wait(struct lab *l, uint64_t span_ns)
{
    l->now_ns += span_ns;
    tcp_run(l->s, l->now_ns);
    tcp_flush(l->s, l->now_ns);
    tcp_check_invariants(l->s);
}

const struct lab_segment *lab_out(struct lab *l)
{
    if (l->out_cnt == 0)
        return NULL;
    const struct lab_segment *seg = &l->out[l->out_head];
    l->out_head = (l->out_head + 1) % LAB_OUT_CAP;
    l->out_cnt--;
    return seg;
}

/* ---- in place of lib/net ---- */

/* Keeps len bytes of payload, from the byte from on, as a segment of its own. */
static void keep_segment(struct lab *l, const struct rte_mbuf *m, const struct tcp_options *options,
                         uint32_t from, uint32_t len, uint8_t ecn)
{
    const uint8_t *h = rte_pktmbuf_mtod(m, const uint8_t *);
    uint32_t header_len = (uint32_t)(h[12] >> 4) * 4;
    bool last = header_len + from + len == m->pkt_len;

    base_assert(header_len + len <= l->segment_max && len <= LAB_DATA_CAP);
    if (l->out_cnt == LAB_OUT_CAP)
        (void)lab_out(l);
    uint32_t at = (l->out_head + l->out_cnt++) % LAB_OUT_CAP;
    l->out[at] = (struct lab_segment){
        .local_port = base_be16(h),
        .peer_port = base_be16(h + 2),
        .seq = base_be32(h + 4) + from,
        .ack = base_be32(h + 8),
        .flags = last ? h[13] : (uint8_t)(h[13] & ~(TCP_FLAG_FIN | TCP_FLAG_PSH)),
        .window = base_be16(h + 14),
        .has_mss = options->has_mss,
        .mss = options->mss,
        .has_wscale = options->has_wscale,
        .wscale = options->wscale,
        .has_timestamp = options->has_timestamp,
        .timestamp = options->timestamp,
        .timestamp_echo = options->timestamp_echo,
        .sack_permitted = options->sack_permitted,
        .sack_cnt = options->sack_cnt,
        .ecn = ecn,
        .len = len,
        .data = l->out_data[at],
        .option_len = header_len - 20,
    };
    memcpy(l->out[at].sack, options->sack, sizeof(options->sack));
    memcpy(l->out[at].option, h + 20, header_len - 20);
    if (len == 0)
        return;
    const void *p = rte_pktmbuf_read(m, header_len + from, len, l->out_data[at]);
    if (p != l->out_data[at])
        memcpy(l->out_data[at], p, len);
}

int net_output(struct net *n, struct rte_mbuf *m, const struct net_addr *src,
               const struct net_addr *dst, uint8_t protocol, uint8_t ecn, uint64_t now_ns)
{
    struct lab *l = (struct lab *)(void *)n;
    struct net_addr ours = lab_address(l, true), peer = lab_address(l, false);
    struct tcp_options options;

    (void)now_ns;
    base_assert(net_addr_eq(src, &ours) && net_addr_eq(dst, &peer));
    base_assert(protocol == NET_PROTO_TCP && rte_pktmbuf_headroom(m) >= NET_HEADROOM_BYTES);
    rte_mbuf_sanity_check(m, 1);
    const uint8_t *h = rte_pktmbuf_mtod(m, const uint8_t *);
    uint32_t header_len = (uint32_t)(h[12] >> 4) * 4, len = m->pkt_len - header_len;
    base_assert(header_len >= 20 && header_len <= m->data_len);
    base_assert(tcp_option_parse(&options, base_span_of(h + 20, header_len - 20)) == 0);
    if (m->tso_segsz == 0) {
        keep_segment(l, m, &options, 0, len, ecn);
    } else { /* what a port with TSO makes of it */
        base_assert(m->nb_segs <= l->large_mbufs && m->tso_segsz < len && (h[13] & 128) == 0);
        for (uint32_t from = 0; from < len; from += m->tso_segsz)
            keep_segment(l, m, &options, from, tcp_min(len - from, m->tso_segsz), ecn);
    }
    if (l->hold && l->held_cnt < LAB_HOLD_CAP)
        l->held[l->held_cnt++] = m;
    else
        rte_pktmbuf_free(m);
    return l->output_result;
}

uint32_t net_large_max(const struct net *n, const struct net_addr *src, uint16_t segment_bytes,
                       uint16_t *mbuf_max)
{
    const struct lab *l = (const struct lab *)(const void *)n;

    (void)src;
    base_assert(segment_bytes <= l->segment_max);
    *mbuf_max = l->large_mbufs;
    return l->large_mbufs > 0 ? UINT16_MAX - 20 : 0;
}

int net_source(const struct net *n, const struct net_addr *dst, struct net_addr *src)
{
    (void)dst;
    *src = lab_address((const struct lab *)(const void *)n, true);
    return 0;
}

uint16_t net_segment_max(const struct net *n, const struct net_addr *src)
{
    (void)src;
    return ((const struct lab *)(const void *)n)->segment_max;
}
