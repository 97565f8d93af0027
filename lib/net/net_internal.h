/* Inside of lib/net: the instance, the neighbor cache, and who calls whom.
 *
 *   net_input.c     frames in; hands IPv6 to net_ipv6.c, ARP to net_arp.c, ICMP to net_icmp.c
 *   net_ipv6.c      IPv6 in: the header and its extensions; hands ICMPv6 to net_icmpv6.c
 *   net_icmpv6.c    echo; hands neighbor discovery to net_nd.c
 *   net_icmp_error.c  errors about packets of ours, of both families: too big, unreachable
 *   net_output.c    packets out, by the neighbor cache, into the TX queue
 *   net_route.c     addresses, links, gateways
 *   net_join.c      several ports below one TCP stack
 *   net_arp.c       ARP on the wire
 *   net_nd.c        neighbor discovery on the wire
 *   net_mld.c       reports of the groups that we listen to
 *   net_dad.c       our own IPv6 addresses: are they ours alone?
 *   net_neighbor.c  the cache of both families: states, timers, what waits
 *   net_other.c     frames for the rest of the machine, and from it
 *   net_tx.c        the TX queue, VLAN tags
 */
#ifndef NET_INTERNAL_H
#define NET_INTERNAL_H

#include "net.h"

#include "base_limit.h"
#include "base_list.h"
#include "base_rand.h"
#include "base_time.h"
#include "base_wheel.h"

#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

#define NET_ETHER_BYTES 14
#define NET_IPV4_BYTES  20
#define NET_IPV6_BYTES  40
#define NET_TCP_BYTES   20
#define NET_VLAN_BYTES  4
#define NET_PROTO_ICMP  1

#define NET_PROTO_ICMPV6 58

#define NET_HELD_MAX       4    /* packets that wait for one neighbor */
#define NET_HELD_TOTAL_MAX 256  /* for all of them */
#define NET_TX_QUEUE_CNT   1024 /* packets that wait for the port; a power of two */
#define NET_BUCKET_CNT     1024 /* of the neighbor hash; a power of two */
#define NET_NEIGHBOR_NONE  UINT16_MAX

/* Entries that no answer to a question of ours has confirmed: what strangers can make us hold
 * never pushes out the neighbors that we talk with. */
#define NET_UNCONFIRMED_MAX (NET_NEIGHBOR_MAX / 4)

/*
 * The states of RFC 4861 section 7.3.2, for ARP, too.
 *
 *   (none) --packet to send--> INCOMPLETE --reply--> REACHABLE --30 s--> STALE
 *   (none) --request to us---> STALE --packet to send--> DELAY --5 s--> PROBE --reply--> REACHABLE
 *   INCOMPLETE, PROBE --three questions unanswered--> FAILED --a while--> (none)
 *   any --another MAC, unasked--> STALE
 */
enum net_neighbor_state {
    NET_NEIGHBOR_INCOMPLETE,
    NET_NEIGHBOR_REACHABLE,
    NET_NEIGHBOR_STALE,
    NET_NEIGHBOR_DELAY,
    NET_NEIGHBOR_PROBE,
    NET_NEIGHBOR_FAILED,
    NET_NEIGHBOR_STATE_CNT,
};

struct net_neighbor {
    struct net_addr addr;
    uint8_t mac[6];
    uint8_t state; /* enum net_neighbor_state */
    uint8_t held_cnt;
    uint8_t asked_cnt; /* questions in INCOMPLETE or PROBE */
    bool confirmed;    /* which of the two lists it is in */
    uint16_t next;     /* in its bucket, or in the free list */
    struct base_list lru;
    struct base_timer timer;
    struct rte_mbuf *held[NET_HELD_MAX]; /* oldest first; whole frames but for the MAC */
};

/* An IPv6 address of our own (RFC 4862 section 5.4):
 *
 *   TENTATIVE --asked for dad_cnt times, nobody answers--> VALID
 *   TENTATIVE --another host has it, or asks for it itself--> DUPLICATE, for good */
enum net_own_state {
    NET_OWN_TENTATIVE, /* neither source nor destination of anything but the question */
    NET_OWN_VALID,
    NET_OWN_DUPLICATE,
};

struct net_own {
    struct net_prefix prefix; /* the address with its host bits, as in net_config */
    enum net_own_state state;
};

struct net {
    struct net_config config;
    /* Itself and the others of a net_join, in their order; cnt 0: it is alone. */
    uint32_t joined_cnt;
    struct net *joined[NET_JOIN_MAX];
    struct stats_block *stats;
    struct net_port *port;
    uint8_t mac[6];

    /* The addresses as numbers in host order, for the checks of each packet: those beyond v4_cnt
     * are the first one again. And their links, each once. */
    uint32_t v4_cnt;
    uint32_t v4_link_cnt;
    uint32_t v4_addr[NET_ADDRESS_MAX];
    uint32_t v4_net[NET_ADDRESS_MAX];
    uint32_t v4_mask[NET_ADDRESS_MAX];
    uint32_t v4_gateway; /* 0: none */

    /* Those of IPv6, the link-local one last. Without any, IPv6 is not spoken. */
    uint32_t v6_cnt;
    uint32_t tentative_cnt;
    struct net_own v6[NET_ADDRESS_MAX + 1];
    struct base_timer dad_timer;
    uint8_t dad_asked_cnt;
    bool mld_pending; /* mld_timer runs: a query will be answered */
    struct base_timer mld_timer;
    bool speaks; /* announces and asks for our addresses on behalf of the other lanes */

    /* Packets for the port: a circle. */
    uint32_t tx_head;
    uint32_t tx_cnt;
    uint32_t tx_told; /* of these, config.leave has seen the first */
    bool watched;
    struct rte_mbuf *tx[NET_TX_QUEUE_CNT];

    /* Neighbors. */
    struct net_neighbor *hot; /* the one used last; may be NULL */
    uint32_t neighbor_cnt;
    uint32_t unconfirmed_cnt;
    uint32_t held_cnt;
    uint16_t free;
    struct base_list confirmed_lru; /* used longest ago first */
    struct base_list unconfirmed_lru;
    uint8_t hash_key[16];
    struct base_rand rand;
    uint16_t bucket[NET_BUCKET_CNT];
    struct net_neighbor *neighbors; /* NET_NEIGHBOR_MAX */
    struct base_wheel wheel;
    struct base_timer announce_timer; /* for the second announcement */

    struct base_limit ask_limit;
    struct base_limit echo_limit;
    struct base_limit defend_limit;
    struct base_limit log_limit;

    /* Of the frames for the rest of the machine. */
    struct base_limit other_limit;
    struct base_limit other_open_limit;
    struct base_limit other_neighbor_limit;

    /* Only bad checksums from the start: the peer leaves them to hardware that is not there. */
    uint32_t tcp_checked_cnt;
    bool tcp_checksum_seen_good;
};

/* The first checked TCP segments, all wrong, after which the hint is logged, and logged again. */
#define NET_HINT_FIRST_CNT 4
#define NET_HINT_AGAIN_CNT 64

/* Whether the address (host order) is one of ours. */
static inline bool net_v4_is_own(const struct net *n, uint32_t addr)
{
    uint32_t same_cnt = 0;

    for (uint32_t i = 0; i < NET_ADDRESS_MAX; i++) /* all of them: a few vector instructions */
        same_cnt += n->v4_addr[i] == addr;
    return same_cnt > 0 && n->v4_cnt > 0;
}

extern const struct net_addr net_all_nodes;      /* ff02::1 */
extern const struct net_addr net_solicited_node; /* ff02::1:ff00:0, the prefix of 104 bits */

static inline bool net_addr_is_multicast(const struct net_addr *a)
{
    return a->b[0] == 0xff;
}

static inline bool net_addr_is_link_local(const struct net_addr *a)
{
    return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

/* Whether the address (host order) can be a host's on one of our links, or is the gateway's. */
bool net_v4_is_neighbor(const struct net *n, uint32_t addr);

/* Whether the address (host order) may not be a source: RFC 1122 section 3.2.1.3, RFC 6890. */
bool net_v4_is_martian(const struct net *n, uint32_t addr);

/* Our address addr, valid or tentative; NULL: it is not ours. A duplicate is another host's. */
struct net_own *net_v6_own(const struct net *n, const struct net_addr *addr);

/* Whether the address can be a host's on our link, or is the gateway's. */
bool net_v6_is_neighbor(const struct net *n, const struct net_addr *addr);

/* Whether the address may be neither source nor destination of a host's packet. */
bool net_v6_is_martian(const struct net_addr *addr);

/* Whether we listen to the group: all nodes, and the solicited-node group of each address. */
bool net_v6_is_group(const struct net *n, const struct net_addr *group);

/* Where to send for dst: itself or the gateway. False: no route. */
bool net_route(const struct net *n, const struct net_addr *dst, struct net_addr *hop);

/* ---- net_join.c ---- */

/* The one of those joined that has the address; NULL: none, or they are not joined. */
struct net *net_join_of(const struct net *n, const struct net_addr *src);

/* net_source, over all that are joined. */
int net_join_source(const struct net *n, const struct net_addr *dst, struct net_addr *src);

/* net_source, by this port. */
int net_source_here(const struct net *n, const struct net_addr *dst, struct net_addr *src);

/* What input does with a frame: an enum stats_id below STATS_CNT is the reason to drop it. */
enum {
    NET_INPUT_SEGMENT = STATS_CNT, /* goes up */
    NET_INPUT_TAKEN,               /* the mbuf is no longer the caller's */
    NET_INPUT_DONE,                /* its work is done; free it */
    NET_INPUT_OTHER,               /* the rest of the machine has it */
    NET_INPUT_OTHER_VLAN,          /* likewise, and its tag is still in it */
};

/* A frame that is not for us, or not for us alone: the rest of the machine has it where there is
 * one, else what says what is done. Up to here nothing but a VLAN tag was taken off it. */
static inline int net_or_other(const struct net *n, int what)
{
    return n->config.other != NULL ? (int)NET_INPUT_OTHER : what;
}

/* Makes the first len bytes contiguous. Returns false when the chain is shorter or the first mbuf
 * has no room. */
bool net_pull(struct rte_mbuf *m, uint32_t len);

/* Cuts the chain after len bytes, 0 < len <= pkt_len. */
void net_cut(struct rte_mbuf *m, uint32_t len);

/* ---- net_input.c ---- */

/* A TCP segment for us that begins at the byte at of the frame; out has the addresses and ECN.
 * Returns what input is to do. */
int net_tcp_input(struct net *n, struct rte_mbuf *m, uint32_t at, struct net_segment *out);

/* ---- net_ipv6.c ---- */

/* What input has learned of an IPv6 packet. */
struct net_ipv6 {
    struct net_addr src;
    struct net_addr dst;
    uint32_t at; /* of the upper layer in the frame */
    uint8_t protocol;
    uint8_t hop_limit;
    uint8_t ecn;
};

/* An IPv6 frame, Ethernet header first. Returns what input is to do. */
int net_ipv6_input(struct net *n, struct rte_mbuf *m, struct net_segment *out, uint64_t now_ns);

/* ---- net_icmpv6.c ---- */

#define NET_ICMPV6_SOLICITATION  135
#define NET_ICMPV6_ADVERTISEMENT 136

/* An ICMPv6 message to one of our addresses or groups. Its source is one that a host may have, or
 * :: in a packet to a group. Returns what input is to do. */
int net_icmpv6_input(struct net *n, struct rte_mbuf *m, const struct net_ipv6 *ip, uint64_t now_ns);

/* ---- net_icmp_error.c ---- */

enum net_icmp_error { NET_ICMP_TOO_BIG, NET_ICMP_UNREACHABLE };

/* A router says that a packet of ours is too big for its next link of mtu bytes (0: it does not
 * say), or that it goes no further. What it quotes begins at the byte at of the frame. Returns what
 * input is to do. */
int net_icmp_error_input(struct net *n, struct rte_mbuf *m, uint32_t at, enum net_icmp_error error,
                         uint32_t mtu);

/* ---- net_nd.c ---- */

/* A message of neighbor or router discovery, its checksum checked. Returns what input is to do. */
int net_nd_input(struct net *n, struct rte_mbuf *m, const struct net_ipv6 *ip, uint64_t now_ns);

/* As net_arp_ask: by multicast when mac is NULL. */
void net_nd_ask(struct net *n, const struct net_addr *addr, const uint8_t *mac, uint64_t now_ns);

/* The question of RFC 4862 whether somebody has the address. */
void net_nd_probe(struct net *n, const struct net_addr *addr);

/* One announcement of each valid address. */
void net_nd_announce(struct net *n);

/* ---- net_mld.c ---- */

/* A query, its checksum checked. Returns what input is to do. */
int net_mld_input(struct net *n, const struct rte_mbuf *m, const struct net_ipv6 *ip,
                  uint64_t now_ns);
void net_mld_timeout(struct net *n);

/* Reports all groups, unasked. */
void net_mld_announce(struct net *n);

/* ---- net_dad.c ---- */

/* Takes the IPv6 addresses of the configuration, and makes a link-local one when there are some. */
void net_dad_init(struct net *n, uint64_t now_ns);
/* It is this lane that asks; the others wait as long. */
void net_dad_speak(struct net *n, uint64_t now_ns);
void net_dad_timeout(struct net *n, uint64_t now_ns);

/* Another host claims an address of ours. tell: the other lanes do not know it yet. */
void net_dad_conflict(struct net *n, struct net_own *own, const uint8_t *mac, bool tell,
                      uint64_t now_ns);

/* ---- net_arp.c ---- */

/* An ARP frame, Ethernet header first. Returns what input is to do. */
int net_arp_input(struct net *n, struct rte_mbuf *m, uint64_t now_ns);

/* Asks for addr, by broadcast when mac is NULL, if the rate limit lets it. */
void net_arp_ask(struct net *n, const struct net_addr *addr, const uint8_t *mac, uint64_t now_ns);

/* One announcement of each address. */
void net_arp_announce(struct net *n);

/* ---- net_icmp.c ---- */

/* An ICMP message for us; the IPv4 header (of ip_len) is behind the Ethernet header, checked and
 * contiguous. Returns what input is to do. */
int net_icmp_input(struct net *n, struct rte_mbuf *m, uint32_t ip_len, uint64_t now_ns);

/* ---- net_neighbor.c ---- */

int net_neighbor_init(struct net *n, uint64_t now_ns) BASE_WARN_UNUSED;
void net_neighbor_fini(struct net *n);

/* Sends the frame (whole but for the destination MAC) to hop or holds it; takes m. As net_output.
 */
int net_neighbor_send(struct net *n, const struct net_addr *hop, struct rte_mbuf *m,
                      uint64_t now_ns);

/* A host said that addr is at mac: asked_us when it asked for our address with it (then it is
 * learned), answer when it answers one of our addresses. Returns whether it was of use. */
bool net_neighbor_hear(struct net *n, const struct net_addr *addr, const uint8_t *mac,
                       bool asked_us, bool answer, uint64_t now_ns);

/* A neighbor advertisement says that addr is at mac (NULL: it does not say), RFC 4861 section
 * 7.2.5. Returns whether it was of use. */
bool net_neighbor_advertised(struct net *n, const struct net_addr *addr, const uint8_t *mac,
                             bool solicited, bool override, uint64_t now_ns);

void net_neighbor_timeout(struct net *n, struct net_neighbor *nb, uint64_t now_ns);

/* For the tests: the state of addr, or -1. */
int net_neighbor_state(const struct net *n, const struct net_addr *addr);

/* Logs a neighbor event, limited by rate. */
void net_log_neighbor(struct net *n, const struct net_addr *addr, const char *what,
                      uint64_t now_ns);

/* ---- net_other.c ---- */

void net_other_init(struct net *n);

/* The frame m for the rest of the machine; takes it. tagged: its tag is still in it. */
void net_other_pass(struct net *n, struct rte_mbuf *m, bool tagged, uint64_t now_ns);

/* ---- net_tx.c ---- */

/* Queues a whole frame, without a VLAN tag; takes m. */
void net_tx_push(struct net *n, struct rte_mbuf *m);
/* Likewise as it is. */
void net_tx_push_raw(struct net *n, struct rte_mbuf *m);
/* Puts the tag of VLAN tci into a frame without one. False: no headroom. */
bool net_tx_put_tag(struct rte_mbuf *m, uint16_t tci);
void net_tx_fini(struct net *n);

#endif
