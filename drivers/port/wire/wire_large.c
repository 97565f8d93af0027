/* What a NIC with TSO does with a large segment. */
#include "wire_internal.h"

#include "net_checksum.h"

#include <rte_mbuf.h>

#define FLAG_FIN 1
#define FLAG_PSH 8
#define FLAG_CWR 128

struct large {
    const uint8_t *frame; /* headers and payload */
    uint32_t l4_offset;
    uint32_t header_len; /* all headers */
    uint32_t payload_len;
    bool v6;
};

/* As a NIC does: it adds length and segment to what the driver left in the field, which has to be
 * the sum of the pseudo-header without its length. */
static void put_checksums(uint8_t *frame, uint32_t len, const struct large *g)
{
    uint8_t *ip = frame + WIRE_ETHER_BYTES, *field = frame + g->l4_offset + 16;
    uint32_t l4_len = len - g->l4_offset;

    if (g->v6) {
        base_put_be16(ip + 4, (uint16_t)l4_len);
    } else {
        base_put_be16(ip + 2, (uint16_t)(len - WIRE_ETHER_BYTES));
        memset(ip + 10, 0, 2);
        base_put_le16(ip + 10, net_checksum_fold(
                                   net_checksum_sum_scalar(ip, g->l4_offset - WIRE_ETHER_BYTES)));
    }
    uint32_t sum = net_checksum_sum_scalar(frame + g->l4_offset, l4_len);
    sum = net_checksum_add(sum, (uint32_t)(uint16_t)(l4_len << 8 | l4_len >> 8));
    base_put_le16(field, net_checksum_fold(sum));
}

bool wire_cut_large(const uint8_t *frame, size_t len, const struct rte_mbuf *m, uint8_t *piece,
                    bool whole, void (*fn)(void *arg, uint8_t *bytes, size_t len), void *arg)
{
    struct large g = {.frame = frame,
                      .l4_offset = m->l2_len + m->l3_len,
                      .header_len = m->l2_len + m->l3_len + m->l4_len,
                      .v6 = (m->ol_flags & RTE_MBUF_F_TX_IPV6) != 0};

    if (len <= g.header_len || m->tso_segsz == 0 || m->l2_len != WIRE_ETHER_BYTES ||
        (m->ol_flags & (RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6)) == 0)
        return false;
    g.payload_len = (uint32_t)len - g.header_len;
    uint32_t seq = base_be32(frame + g.l4_offset + 4);
    uint32_t step = whole ? g.payload_len : m->tso_segsz;
    for (uint32_t at = 0; at < g.payload_len; at += step) {
        uint32_t n = g.payload_len - at < step ? g.payload_len - at : step;
        memcpy(piece, frame, g.header_len);
        memcpy(piece + g.header_len, frame + g.header_len + at, n);
        base_put_be32(piece + g.l4_offset + 4, seq + at);
        uint8_t *flags = piece + g.l4_offset + 13;
        if (at > 0)
            *flags &= (uint8_t)~FLAG_CWR;
        if (at + n < g.payload_len)
            *flags &= (uint8_t) ~(FLAG_FIN | FLAG_PSH);
        put_checksums(piece, g.header_len + n, &g);
        fn(arg, piece, g.header_len + n);
    }
    return true;
}
