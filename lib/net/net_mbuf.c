#include "net_internal.h"

bool net_pull(struct rte_mbuf *m, uint32_t len)
{
    if (m->data_len >= len)
        return true;
    if (m->pkt_len < len || rte_pktmbuf_tailroom(m) < len - m->data_len || !RTE_MBUF_DIRECT(m) ||
        rte_mbuf_refcnt_read(m) != 1)
        return false;
    while (m->data_len < len) {
        struct rte_mbuf *next = m->next;
        if (next == NULL)
            return false; /* pkt_len did not tell the truth */
        uint32_t want = len - m->data_len;
        uint16_t n = (uint16_t)(want < next->data_len ? want : next->data_len);
        memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, m->data_len),
               rte_pktmbuf_mtod(next, const void *), n);
        m->data_len = (uint16_t)(m->data_len + n);
        next->data_off = (uint16_t)(next->data_off + n);
        next->data_len = (uint16_t)(next->data_len - n);
        if (next->data_len == 0) {
            m->next = next->next;
            m->nb_segs--;
            next->next = NULL;
            next->nb_segs = 1;
            rte_pktmbuf_free_seg(next);
        }
    }
    return true;
}

void net_cut(struct rte_mbuf *m, uint32_t len)
{
    struct rte_mbuf *last = m;
    uint32_t left = len;
    uint16_t segs = 1;

    base_debug_assert(len > 0 && len <= m->pkt_len);
    while (left > last->data_len && last->next != NULL) {
        left -= last->data_len;
        last = last->next;
        segs++;
    }
    last->data_len = (uint16_t)left;
    rte_pktmbuf_free(last->next);
    last->next = NULL;
    m->nb_segs = segs;
    m->pkt_len = len;
}
