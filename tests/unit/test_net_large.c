/* Large segments out: what the port is told so that it cuts them, and what it is never given. */
#include "net_rig.h"

#include "net_checksum.h"

#include <errno.h>

#define SEGMENT 100 /* payload of each piece */
#define PIECES  5

static struct rig r;

static void start(bool tso)
{
    memset(&r, 0, sizeof(r));
    r.v6 = true;
    r.port.caps.tx_ip_checksum = r.port.caps.tx_tcp_checksum = true;
    r.port.caps.tx_tso = tso;
    r.port.caps.tso_mtu = 1500;
    r.port.caps.tso_mbuf_max = PIECES + 1;
    rig_open(&r);
    rig_arp(&r, 1, 0, 2, 2);
}

/* A header and cnt mbufs of SEGMENT bytes. */
static struct rte_mbuf *make_large(uint32_t cnt, uint16_t segment)
{
    static const uint8_t zeros[SEGMENT];
    uint8_t header[20] = {[12] = 0x50, [13] = 0x10};
    struct rte_mbuf *m = frame_mbuf(rig_pool, header, sizeof(header), 0);

    for (uint32_t i = 0; i < cnt; i++)
        assert_int_equal(rte_pktmbuf_chain(m, frame_mbuf(rig_pool, zeros, SEGMENT, 0)), 0);
    m->tso_segsz = segment;
    return m;
}

static int output(uint32_t cnt, uint16_t segment)
{
    struct net_addr src = rig_addr(10, 1, 0, 1), peer = rig_addr(10, 1, 0, 2);

    return net_output(r.net, make_large(cnt, segment), &src, &peer, NET_PROTO_TCP, 2, r.now_ns);
}

static void the_port_is_told(void **state)
{
    (void)state;
    start(true);
    assert_int_equal(output(PIECES, SEGMENT), 0);
    net_flush(r.net);
    const uint8_t *f = rig_last(&r);
    uint32_t last = (r.sent_cnt - 1) % RIG_SENT_MAX;
    /* A port that takes no chains takes these. */
    assert_int_equal(r.sent_segs[last], PIECES + 1);
    assert_int_equal(r.sent_len[last], 54 + PIECES * SEGMENT);
    assert_int_equal(r.sent_flags[last] & RTE_MBUF_F_TX_OFFLOAD_MASK,
                     RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_SEG);
    assert_int_equal(base_be16(f + 16), 40 + PIECES * SEGMENT);
    assert_int_equal(f[15] & 3, 2);
    /* The sum of the pseudo-header without a length: the port adds that of each piece. */
    struct net_addr src = rig_addr(10, 1, 0, 1), peer = rig_addr(10, 1, 0, 2);
    uint16_t sum = (uint16_t)~net_checksum_fold(net_checksum_pseudo(&src, &peer, 6, 0));
    assert_int_equal(base_le16(f + 34 + 16), sum);
    rig_close(&r);
}

static void what_is_not_given(void **state)
{
    (void)state;
    start(false); /* the port does not cut */
    assert_int_equal(output(PIECES, SEGMENT), -ENOBUFS);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_TX_GIANT), 1);
    rig_close(&r);

    start(true);
    assert_int_equal(output(PIECES + 1, SEGMENT), -ENOBUFS); /* too many mbufs */
    assert_int_equal(output(PIECES, 1461), -ENOBUFS);        /* pieces too large for the link */
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_TX_GIANT), 2);
    rig_close(&r);
}

static void what_net_says(void **state)
{
    (void)state;
    struct net_addr peer = rig_addr(10, 1, 0, 2), peer6 = rig_addr6("fd00:1::2");
    uint16_t mbuf_max = 0;

    start(true);
    assert_int_equal(net_large_max(r.net, &peer, 1480, &mbuf_max), 65515);
    assert_int_equal(mbuf_max, PIECES + 1);
    assert_int_equal(net_large_max(r.net, &peer, 1481, &mbuf_max), 0);
    assert_int_equal(net_large_max(r.net, &peer6, 1440, &mbuf_max), 0);
    r.port.caps.tx_tso6 = true;
    assert_int_equal(net_large_max(r.net, &peer6, 1460, &mbuf_max), 65535);
    assert_int_equal(net_large_max(r.net, &peer6, 1461, &mbuf_max), 0);
    r.port.caps.tso_mtu = 1482;
    assert_int_equal(net_large_max(r.net, &peer, 1462, &mbuf_max), 65515);
    assert_int_equal(net_large_max(r.net, &peer, 1463, &mbuf_max), 0);
    rig_close(&r);
}

int main(void)
{
    dpdk_eal_init();
    rig_pool = dpdk_pool("rig", 2048, 0);
    rig_ctrl_pool = dpdk_pool("ctrl", 1024, 0);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_port_is_told),
        cmocka_unit_test(what_is_not_given),
        cmocka_unit_test(what_net_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
