/*
 * Two hosts of two lanes each over the wire: what net_output of one takes comes out of net_input of
 * the other, byte by byte, or is counted as lost; with faults, offloads and pieces of all kinds. A
 * failing seed is printed.
 */
#include "unit.h"

#include "dpdk_eal.h"
#include "frames.h"
#include "net.h"
#include "net_checksum.h"
#include "wire.h"

#include "base_rand.h"
#include "base_time.h"

#include <string.h>

#include <rte_mbuf.h>

#define LANE_CNT    2
#define SEED_CNT    60
#define SEGMENT_CNT 400
#define STEP_NS     (500 * BASE_NS_US)
#define START_NS    BASE_NS_S

struct host {
    struct net *lane[LANE_CNT];
    struct stats_block stats[LANE_CNT];
    struct net_addr addr;
    uint32_t got_cnt;
    unsigned hearing; /* the lane whose input runs */
};

static struct rte_mempool *data_pool, *ctrl_pool[2], *rx_pool[2];
static struct host hosts[2];
static uint64_t now_ns;
static uint64_t seed;

#define check(expr)                                                                                \
    do {                                                                                           \
        if (!(expr))                                                                               \
            fail_msg("seed %lu: %s", seed, #expr);                                                 \
    } while (0)

/* The ring between lanes, in short: what one hears all the others are told. */
static void heard(void *arg, const struct net_addr *addr, const uint8_t mac[6], bool answer)
{
    struct host *h = arg;

    for (unsigned i = 0; i < LANE_CNT; i++) {
        if (i != h->hearing)
            net_hear(h->lane[i], addr, mac, answer, now_ns);
    }
}

static struct wire *open_wire(struct base_rand *rand)
{
    struct wire_config c = {.seed = seed, .now_ns = START_NS};
    struct wire *w;

    for (unsigned e = 0; e < 2; e++) {
        struct wire_end_config *end = &c.end[e];
        memcpy(end->mac, (uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(e + 1)}, 6);
        end->queue_cnt = LANE_CNT;
        for (unsigned q = 0; q < LANE_CNT; q++)
            end->rx_pool[q] = rx_pool[e];
        end->rx_checksum = base_rand_below(rand, 2) == 0;
        end->tx_checksum = base_rand_below(rand, 2) == 0;
        end->tx_multi_segs = base_rand_below(rand, 2) == 0;
        end->rx_split_bytes =
            (uint16_t)(base_rand_below(rand, 2) == 0 ? 0 : 10 + base_rand_below(rand, 300));
        end->faults = (struct wire_faults){
            .delay_ns = base_rand_below(rand, 2 * BASE_NS_MS),
            .jitter_ns = base_rand_below(rand, BASE_NS_MS),
            .loss_ppm = (uint32_t)base_rand_below(rand, 100000),
            .reorder_ppm = (uint32_t)base_rand_below(rand, 100000),
            .reorder_ns = BASE_NS_MS,
            .duplicate_ppm = (uint32_t)base_rand_below(rand, 50000),
            .corrupt_ppm = (uint32_t)base_rand_below(rand, 50000),
            .full_ppm = (uint32_t)base_rand_below(rand, 300000),
        };
    }
    check(wire_open(&w, &c) == 0);
    return w;
}

static void open_host(unsigned e, struct wire *w)
{
    struct host *h = &hosts[e];

    memset(h, 0, sizeof(*h));
    h->addr = net_addr_v4((uint8_t[]){10, 1, 0, (uint8_t)(e + 1)});
    for (uint16_t q = 0; q < LANE_CNT; q++) {
        struct net_config c = {
            .port = wire_port(w, e),
            .queue = q,
            .addresses[0] = {.addr = h->addr, .prefix_len = 120},
            .address_cnt = 1,
            .ctrl_pool = ctrl_pool[e],
            .stats = &h->stats[q],
            .seed = seed * 4 + e * 2 + q,
            .heard = heard,
            .heard_arg = h,
        };
        check(net_init(&h->lane[q], &c, now_ns) == 0);
    }
}

/* The payload of a segment tells its own length and contents by its number. */
static uint16_t payload_len(uint32_t number)
{
    return (uint16_t)(number * 7919 % 1440);
}

static void send_segment(unsigned from, unsigned lane, uint32_t number)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(data_pool), *tail = rte_pktmbuf_alloc(data_pool);
    uint16_t len = payload_len(number);
    uint8_t *tcp = (uint8_t *)rte_pktmbuf_append(m, 20);
    uint8_t *payload = (uint8_t *)rte_pktmbuf_append(tail, len);

    memset(tcp, 0, 20);
    base_put_be16(tcp, (uint16_t)(from == 0 ? 2000 + number : 25));
    base_put_be16(tcp + 2, (uint16_t)(from == 0 ? 25 : 2000 + number));
    base_put_be32(tcp + 4, number);
    tcp[12] = 0x50;
    tcp[13] = 0x10;
    for (uint16_t i = 0; i < len; i++)
        payload[i] = (uint8_t)(number * 31 + i);
    check(rte_pktmbuf_chain(m, tail) == 0);
    (void)net_output(hosts[from].lane[lane], m, &hosts[from].addr, &hosts[1 - from].addr,
                     NET_PROTO_TCP, 0, now_ns);
}

static void check_segment(unsigned at, struct net_segment *s)
{
    uint8_t copy[1500];
    const uint8_t *tcp = rte_pktmbuf_read(s->mbuf, 0, s->mbuf->pkt_len, copy);
    uint32_t number = base_be32(tcp + 4);

    check(net_addr_eq(&s->dst, &hosts[at].addr) && net_addr_eq(&s->src, &hosts[1 - at].addr));
    check(number < SEGMENT_CNT && s->mbuf->pkt_len == 20u + payload_len(number));
    for (uint16_t i = 0; i < payload_len(number); i++)
        check(tcp[20 + i] == (uint8_t)(number * 31 + i));
    hosts[at].got_cnt++;
    rte_pktmbuf_free(s->mbuf);
}

static void pass(struct wire *w)
{
    now_ns += STEP_NS;
    wire_advance(w, now_ns);
    for (unsigned e = 0; e < 2; e++) {
        struct net_port *p = wire_port(w, e);
        for (uint16_t q = 0; q < LANE_CNT; q++) {
            struct rte_mbuf *m[64];
            struct net_segment s[64];
            uint16_t n = p->ops->rx_burst(p->state, q, m, 64);
            hosts[e].hearing = q;
            uint32_t cnt = net_input(hosts[e].lane[q], m, n, s, now_ns);
            for (uint32_t i = 0; i < cnt; i++)
                check_segment(e, &s[i]);
            net_run(hosts[e].lane[q], now_ns);
            net_flush(hosts[e].lane[q]);
        }
    }
}

static void one_seed(void)
{
    struct base_rand rand;
    struct wire_counters c[2];

    now_ns = START_NS;
    base_rand_init(&rand, seed);
    struct wire *w = open_wire(&rand);
    for (unsigned e = 0; e < 2; e++)
        open_host(e, w);
    for (uint32_t i = 0; i < SEGMENT_CNT; i++) {
        send_segment(0, i % LANE_CNT, i);
        send_segment(1, i % LANE_CNT, i);
        /* A pause in which neighbors get stale. */
        for (uint32_t k = i == 200 ? 100000 : 10; k > 0; k--)
            pass(w);
    }
    while (wire_next_ns(w) != BASE_NS_NONE)
        pass(w);
    for (unsigned e = 0; e < 2; e++)
        wire_count(w, e, &c[e]);
    for (unsigned e = 0; e < 2; e++) {
        /* Every frame that the wire delivered is a segment, ARP, or a counted drop. */
        uint64_t rx = 0, drops = 0, arp = 0;
        for (unsigned q = 0; q < LANE_CNT; q++) {
            rx += stats_get(&hosts[e].stats[q], STATS_NET_RX_PACKETS);
            arp += stats_get(&hosts[e].stats[q], STATS_NET_RX_ARP);
            for (int id = STATS_NET_DROP_ETHER_SHORT; id < STATS_NET_DROP_TX_NO_ROUTE; id++)
                drops += id != STATS_NET_DROP_ARP_OTHER
                             ? stats_get(&hosts[e].stats[q], (enum stats_id)id)
                             : 0;
            net_fini(hosts[e].lane[q]);
        }
        check(rx == c[1 - e].frame_cnt[WIRE_DELIVERED]);
        check(rx == hosts[e].got_cnt + arp + drops);
        check(hosts[e].got_cnt > SEGMENT_CNT / 2); /* the loss is under 10 % */
    }
    wire_close(w);
    check(dpdk_pool_full(data_pool));
    for (unsigned e = 0; e < 2; e++)
        check(dpdk_pool_full(ctrl_pool[e]) && dpdk_pool_full(rx_pool[e]));
}

static void two_hosts(void **state)
{
    (void)state;
    for (seed = 1; seed <= SEED_CNT; seed++)
        one_seed();
}

int main(void)
{
    dpdk_eal_init();
    data_pool = dpdk_pool("data", 4096, 0);
    for (int e = 0; e < 2; e++) {
        ctrl_pool[e] = dpdk_pool(e == 0 ? "ctrl0" : "ctrl1", 512, 0);
        rx_pool[e] = dpdk_pool(e == 0 ? "rx0" : "rx1", 16384, 0);
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(two_hosts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
