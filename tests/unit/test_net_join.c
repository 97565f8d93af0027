/* Two ports below one TCP stack: by which one a segment leaves, and what is whose. */
#include "net_rig.h"

#include <errno.h>

static struct rig rig[2];

/* 10.1.0.1/16 with a gateway, 1500 bytes; 10.2.0.1/16 and fd00:1::1/64 with gateways, 9000 bytes.
 */
static int open_both(void **state)
{
    (void)state;
    memset(rig, 0, sizeof(rig));
    rig[1].link = 2;
    rig[1].v6 = true;
    rig[1].port.caps.mtu = 9000;
    rig_open(&rig[0]);
    rig_open(&rig[1]);
    net_join((struct net *[]){rig[0].net, rig[1].net}, 2);
    return 0;
}

static int close_both(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        counted_add(&rig[i].stats);
    net_fini(rig[0].net);
    net_fini(rig[1].net);
    assert_true(dpdk_pool_full(rig_pool));
    assert_true(dpdk_pool_full(rig_ctrl_pool));
    return 0;
}

static void route_table(void **state)
{
    static const struct {
        const char *dst, *src; /* src NULL: unreachable */
    } rows[] = {
        {"10.1.0.7", "10.1.0.1"},                                 /* on the first link */
        {"10.2.0.7", "10.2.0.1"},                                 /* on the second */
        {"192.0.2.7", "10.1.0.1"},                                /* nowhere: the first gateway */
        {"10.1.0.254", "10.1.0.1"},                               /* the gateways themselves */
        {"10.2.0.254", "10.2.0.1"},   {"10.1.0.1", NULL},         /* us, by either port */
        {"10.2.0.1", NULL},           {"fd00:1::7", "fd00:1::1"}, /* only the second has IPv6 */
        {"2001:db8::7", "fd00:1::1"}, {"fd00:1::1", NULL},        {"127.0.0.1", NULL},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct net_addr dst = rig_addr6(rows[i].dst), src = {0};
        for (int by = 0; by < 2; by++) {
            int rc = net_source(rig[by].net, &dst, &src);
            if (rows[i].src == NULL) {
                assert_int_equal(rc, -EHOSTUNREACH);
                continue;
            }
            struct net_addr want = rig_addr6(rows[i].src);
            assert_int_equal(rc, 0);
            assert_true(net_addr_eq(&src, &want));
        }
    }
}

/* Returns net_output's result; the segment is given to the first port, whoever's it is. */
static int send_from(const struct net_addr *src, const struct net_addr *dst, uint16_t payload_len)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(rig_pool);
    uint8_t *tcp = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(20 + payload_len));

    memset(tcp, 0, 20u + payload_len);
    tcp[12] = 0x50;
    int rc = net_output(rig[0].net, m, src, dst, NET_PROTO_TCP, 0, RIG_START);
    net_flush(rig[0].net);
    net_flush(rig[1].net);
    return rc;
}

/* Each asks for its neighbor on its own link: the first frame of each port is ARP. */
static void leaves_by_the_source(void **state)
{
    struct net_addr one = rig_addr(10, 1, 0, 1), two = rig_addr(10, 2, 0, 1);
    struct net_addr none = rig_addr(10, 3, 0, 1), far = rig_addr(192, 0, 2, 7);
    struct net_addr near = rig_addr(10, 1, 0, 7);

    (void)state;
    assert_int_equal(send_from(&one, &far, 10), 0);
    assert_int_equal(rig[0].sent_cnt, 1);
    assert_int_equal(rig[1].sent_cnt, 0);
    assert_memory_equal(rig_last(&rig[0]) + 38, ((uint8_t[]){10, 1, 0, 254}), 4);
    assert_int_equal(send_from(&two, &far, 10), 0);
    assert_int_equal(rig[0].sent_cnt, 1);
    assert_memory_equal(rig_last(&rig[1]) + 38, ((uint8_t[]){10, 2, 0, 254}), 4);
    /* A host on the first link, from the second port's address: by the second port's gateway. */
    uint32_t before = rig[0].sent_cnt;
    assert_int_equal(send_from(&two, &near, 10), 0);
    assert_int_equal(rig[0].sent_cnt, before);
    /* What was never ours, or is not any more, goes nowhere. */
    assert_int_equal(send_from(&none, &far, 10), -EHOSTUNREACH);
    assert_int_equal(rig_stat(&rig[0], STATS_NET_DROP_TX_NO_ROUTE), 1);
}

static void sizes_are_the_ports(void **state)
{
    struct net_addr one = rig_addr(10, 1, 0, 1), two = rig_addr(10, 2, 0, 1);
    struct net_addr six = rig_addr6("fd00:1::1"), far = rig_addr(192, 0, 2, 7);

    (void)state;
    for (int by = 0; by < 2; by++) {
        assert_int_equal(net_segment_max(rig[by].net, &one), 1480);
        assert_int_equal(net_segment_max(rig[by].net, &two), 8980);
        assert_int_equal(net_segment_max(rig[by].net, &six), 8960);
    }
    assert_int_equal(send_from(&one, &far, 1461), -ENOBUFS);
    assert_int_equal(send_from(&two, &far, 1461), 0);
}

/* TCP to one port's address by the other, and from one of ours. */
static void strangers(void **state)
{
    struct net_segment s;
    uint8_t frame[256];

    (void)state;
    struct frame_ends e = rig_peer;
    assert_int_equal(rig_in(&rig[0], frame, frame_tcp(frame, &e, 1000, 25, 4), 0, &s), 1);
    rte_pktmbuf_free(s.mbuf);
    e.dst[1] = 2;
    assert_int_equal(rig_in(&rig[0], frame, frame_tcp(frame, &e, 1000, 25, 4), 0, &s), 0);
    assert_int_equal(rig_stat(&rig[0], STATS_NET_DROP_IP_OTHER), 1);
    e = rig_peer;
    memcpy(e.src, (uint8_t[]){10, 2, 0, 1}, 4);
    assert_int_equal(rig_in(&rig[0], frame, frame_tcp(frame, &e, 1000, 25, 4), 0, &s), 0);
    assert_int_equal(rig_stat(&rig[0], STATS_NET_DROP_IP_LAND), 1);
}

static void addresses(void **state)
{
    struct net_addr a[NET_ADDRESS_MAX + 1], one = rig_addr(10, 1, 0, 1);

    (void)state;
    assert_int_equal(net_addresses(rig[0].net, a, 17), 1);
    assert_true(net_addr_eq(&a[0], &one));
    assert_int_equal(net_addresses(rig[1].net, a, 17), 3); /* with the link-local one */
    assert_int_equal(net_addresses(rig[1].net, a, 2), 2);
    assert_true(net_has_address(rig[0].net, &one));
    assert_false(net_has_address(rig[1].net, &one));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(route_table, open_both, close_both),
        cmocka_unit_test_setup_teardown(leaves_by_the_source, open_both, close_both),
        cmocka_unit_test_setup_teardown(sizes_are_the_ports, open_both, close_both),
        cmocka_unit_test_setup_teardown(strangers, open_both, close_both),
        cmocka_unit_test_setup_teardown(addresses, open_both, close_both),
    };

    dpdk_eal_init();
    rig_pool = dpdk_pool("rig", 1023, 0);
    rig_ctrl_pool = dpdk_pool("rig_ctrl", 1023, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
