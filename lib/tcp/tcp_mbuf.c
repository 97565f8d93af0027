#include "tcp_internal.h"

/* Cuts n bytes off the front of a packet, n <= its length; leading mbufs that become empty are
 * freed, but not the last one. Returns the new head, whose pkt_len is kept right. */
struct rte_mbuf *tcp_mbuf_cut_head(struct rte_mbuf *m, uint32_t n)
{
    while (n >= m->data_len && m->next != NULL) {
        struct rte_mbuf *next = m->next;
        n -= m->data_len;
        next->pkt_len = m->pkt_len - m->data_len;
        next->nb_segs = (uint16_t)(m->nb_segs - 1);
        rte_pktmbuf_free_seg(m);
        m = next;
    }
    m->data_off = (uint16_t)(m->data_off + n);
    m->data_len = (uint16_t)(m->data_len - n);
    m->pkt_len -= n;
    return m;
}

/* Cuts a packet to its first len bytes, len <= its length. */
void tcp_mbuf_cut_tail(struct rte_mbuf *m, uint32_t len)
{
    struct rte_mbuf *at = m;
    uint32_t left = len;
    uint16_t seg_cnt = 1;

    while (left > at->data_len) {
        left -= at->data_len;
        at = at->next;
        seg_cnt++;
    }
    at->data_len = (uint16_t)left;
    if (at->next != NULL) {
        rte_pktmbuf_free(at->next);
        at->next = NULL;
    }
    m->pkt_len = len;
    m->nb_segs = seg_cnt;
}
