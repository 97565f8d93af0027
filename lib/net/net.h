/*
 * Ethernet, VLAN tags, ARP and neighbor discovery, IPv4 and IPv6, ICMP of one lane on one port:
 * frames in, transport segments out, and back. RFC 894, 826 (with the cache states of RFC 4861
 * section 7.3.2), 791, 792, 1122; RFC 2464, 8200, 4443, 4861, 4862 (only the test for duplicates),
 * 3810 (reports).
 *
 * The rest of the machine may live behind the same port, with the same MAC and with addresses of
 * its own or ours (net_config.other): it gets what is not for us.
 *
 * Left out: what is done about path MTUs, which are told (too_big); routers that announce
 * themselves and redirects (the gateways are settings), MLDv1, SEND. Fragments and routing headers
 * are dropped and counted; so are martians. IP options and IPv6's other extension headers are
 * skipped.
 *
 * IPv6 is spoken when one of the addresses is an IPv6 address; a link-local one is added when the
 * configuration has none.
 *
 * Threads: one (its lane). Memory: taken at net_init; mbufs move as each function says.
 * Sans-I/O: time comes as now_ns (monotonic, > 0); the only outside calls are the port's bursts
 * in net_flush. Every frame dropped is counted by reason (stats NET_DROP_*).
 */
#ifndef NET_H
#define NET_H

#include "net_addr.h"
#include "net_port.h"
#include "stats.h"
#include "stats_log.h"

struct net;
struct rte_mbuf;
struct rte_mempool;

#define NET_ADDRESS_MAX  16
#define NET_GROUP_MAX    (NET_ADDRESS_MAX + 2)
#define NET_JOIN_MAX     4    /* ports below one TCP stack */
#define NET_NEIGHBOR_MAX 1024 /* entries of the neighbor cache */
#define NET_PROTO_TCP    6
#define NET_VLAN_MAX     4094

/* Headroom that every mbuf given to net_output must have before its transport header. */
#define NET_HEADROOM_BYTES 64

struct net_config {
    struct net_port *port; /* borrowed for life */
    uint16_t queue;
    struct net_prefix addresses[NET_ADDRESS_MAX]; /* own address with its on-link prefix length:
                                                     here alone addr keeps its host bits */
    uint32_t address_cnt;
    struct net_addr gateway;       /* of IPv4; none: only on-link peers are reached */
    struct net_addr gateway6;      /* likewise of IPv6; may be a link-local address */
    uint16_t vlan;                 /* 802.1Q number, 1..4094: only frames with it; 0: no tags */
    uint8_t dad_cnt;               /* DupAddrDetectTransmits of RFC 4862, a second each; 0: none */
    struct rte_mempool *ctrl_pool; /* borrowed: ARP, ND and ICMP mbufs */
    struct stats_block *stats;     /* borrowed */
    struct stats_log *log;         /* borrowed; may be NULL */
    uint64_t seed;                 /* for probe jitter and the hash of the cache */

    /*
     * ARP answers and announcements arrive at one queue, while each lane has a cache of its own:
     * called with each of them (answer: to one of our addresses), so that the caller can pass it
     * on to the other lanes' net_hear. Likewise neighbor advertisements, whose mac may be all zero
     * (it was not told), and, with addr our own, hosts that claim an address we have not proved
     * yet. May be NULL.
     */
    void (*heard)(void *arg, const struct net_addr *addr, const uint8_t mac[6], bool answer);
    void *heard_arg;

    /*
     * ICMP about a packet from src (ours) to dst: a router says that it is too big, and that the
     * next link takes mtu bytes, IP header included (at least 1280, or 552 for IPv4); or any other
     * error (unreachable, time exceeded, parameter problem). quoted are the first bytes of that
     * packet's TCP header, at least 8: whether it was sent is to be judged there (RFC 5927). Either
     * may be NULL: then these messages are dropped and counted. They may not send by this instance.
     */
    void (*too_big)(void *arg, const struct net_addr *src, const struct net_addr *dst, uint16_t mtu,
                    const uint8_t *quoted, uint32_t quoted_len);
    void (*unreachable)(void *arg, const struct net_addr *src, const struct net_addr *dst,
                        const uint8_t *quoted, uint32_t quoted_len);
    void *icmp_arg; /* of both */

    /*
     * Frames on their way to the port, each once, while net_watch has it on: borrowed for the
     * call, and not to be changed. May be NULL.
     */
    void (*leave)(void *arg, struct rte_mbuf *const *frames, uint32_t cnt);
    void *leave_arg;

    /*
     * The rest of the machine, NULL: there is none, and frames that are not for us are dropped.
     * Takes a whole frame as it came: of other VLANs, types and addresses, to groups that we do not
     * listen to; to our addresses what is not TCP or an echo request (fragments of TCP are
     * nobody's). ARP replies, neighbor and router advertisements, ICMP errors and queries of
     * listeners come here, too, after we have heeded them. What asks for our addresses is answered
     * by us alone. At most other_per_s frames a second and other_burst at once, both at least 1; a
     * quarter of that for segments that open connections. Neighbor discovery has a budget apart, so
     * that a flood can not take the machine its neighbors.
     */
    void (*other)(void *arg, struct rte_mbuf *frame);
    void *other_arg;
    uint32_t other_per_s;
    uint32_t other_burst;
};

/* A transport segment on its way up. */
struct net_segment {
    struct rte_mbuf *mbuf; /* data starts at the transport header; padding is trimmed off. The
                              header is in one piece, options included, as far as it goes */
    struct net_addr src;
    struct net_addr dst;
    uint8_t protocol;     /* NET_PROTO_TCP */
    uint8_t ecn;          /* RFC 3168 code point */
    uint16_t frame_bytes; /* how far before the data its frame begins, untouched in the same mbuf */
};

/* Returns 0 and the instance, or -ENOMEM, -EINVAL. */
int net_init(struct net **out, const struct net_config *config, uint64_t now_ns) BASE_WARN_UNUSED;

/*
 * Makes cnt instances, one for each port of a lane, into what one TCP stack stands on, for as long
 * as they live; at most NET_JOIN_MAX. What the stack asks of one of them (net_output, net_source,
 * net_segment_max, net_large_max) is then answered for all: a segment leaves by the port that has
 * its source address, whatever routes the others have, so answers leave by where the question came.
 * Without a source: the port on whose link dst is, else the first one with a gateway. Frames,
 * timers and flushes are each one's own.
 */
void net_join(struct net *const *nets, uint32_t cnt);

/* Frees everything, mbufs that wait for neighbors included. */
void net_fini(struct net *n);

/*
 * Takes cnt frames (all of them, whatever happens) and writes those that hold a whole, valid TCP
 * segment for one of our addresses to out, which has room for cnt; returns how many. Lengths
 * against the frame, the IP checksum and the TCP checksum have been checked; the TCP header has
 * not. ARP, neighbor solicitations and ICMP echo are answered from here.
 */
uint32_t net_input(struct net *n, struct rte_mbuf **pkts, uint32_t cnt, struct net_segment *out,
                   uint64_t now_ns);

/*
 * Sends a transport segment: takes m (its data starts at the transport header, headroom
 * NET_HEADROOM_BYTES), fills in the TCP checksum (field taken as zero) or leaves it to the port,
 * puts IP and Ethernet before it and queues it for net_flush. A next hop that is not resolved yet
 * holds a few packets and asks by ARP or neighbor discovery. src and dst are of one family.
 * Returns 0 when it is queued or held; -EHOSTUNREACH (no route, or the neighbor failed to answer)
 * or -ENOBUFS (the packet was dropped and counted).
 */
int net_output(struct net *n, struct rte_mbuf *m, const struct net_addr *src,
               const struct net_addr *dst, uint8_t protocol, uint8_t ecn, uint64_t now_ns);

/* Our address for reaching dst: the one on its link (that of the gateway, where one leads there),
 * else the first of its family; a link-local one for link-local peers only. Returns 0, or
 * -EHOSTUNREACH: no route, or our addresses are not proved to be ours alone yet. */
int net_source(const struct net *n, const struct net_addr *dst,
               struct net_addr *src) BASE_WARN_UNUSED;

/* The largest transport segment (header and payload) from src, bytes: MTU less the IP header. */
uint16_t net_segment_max(const struct net *n, const struct net_addr *src);

/* The largest transport segment from src that the port itself cuts into segments of segment_bytes
 * (header and payload), and in *mbuf_max in how many mbufs it may be given; 0 when the port does
 * not. net_output takes such a one when its first mbuf's tso_segsz tells the payload of each. */
uint32_t net_large_max(const struct net *n, const struct net_addr *src, uint16_t segment_bytes,
                       uint16_t *mbuf_max);

/* Whether addr is one of this port's own; one that another host was found to have is not. */
bool net_has_address(const struct net *n, const struct net_addr *addr);

/* All addresses of this port, the link-local one that was made included; writes up to cap and
 * returns how many. */
uint32_t net_addresses(const struct net *n, struct net_addr *out, uint32_t cap);

/* The multicast MACs (RFC 2464 section 7) that the port has to receive: all nodes, and the
 * solicited-node group of each IPv6 address. Writes up to cap and returns how many there are, at
 * most NET_GROUP_MAX, each once; 0 without IPv6. */
uint32_t net_groups(const struct net *n, uint8_t (*mac)[6], uint32_t cap);

/* From now on config.leave is told of frames, or is not. */
void net_watch(struct net *n, bool on);

/* Gives everything queued to the port. What a full port does not take stays queued up to a bound,
 * then the oldest is dropped and counted. Call once a pass. */
void net_flush(struct net *n);

/* A segment that net_input has passed up is the rest of the machine's: m begins at its Ethernet
 * header again. Takes m. */
void net_other(struct net *n, struct rte_mbuf *m, uint64_t now_ns);

/* Makes a segment's m, which begins at its Ethernet header again, what net_input was given: for
 * the net_input of another lane. False: there is no room for its VLAN tag. */
bool net_restore(const struct net *n, struct rte_mbuf *m) BASE_WARN_UNUSED;

/* Queues a frame of the rest of the machine for net_flush as it is; takes m, one piece. */
void net_forward(struct net *n, struct rte_mbuf *m);

/* Timers of the neighbor cache. */
void net_run(struct net *n, uint64_t now_ns);
uint64_t net_deadline(const struct net *n);

/* What another lane's instance heard: of use only for a neighbor that is in our cache. */
void net_hear(struct net *n, const struct net_addr *addr, const uint8_t mac[6], bool answer,
              uint64_t now_ns);

/* Announces our addresses (RFC 5227 section 2.3, RFC 4861 section 7.2.6), twice, 2 s apart, and
 * asks whether others have the IPv6 ones, before they are used. Call it once after the link is up,
 * on one lane; the other lanes' instances only wait for as long. */
void net_announce(struct net *n, uint64_t now_ns);

/* Whether it is known of each of our addresses if it may be used. */
bool net_is_settled(const struct net *n);

#endif
