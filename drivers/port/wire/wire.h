/*
 * A full-duplex link in memory between two ports, with a virtual clock and a seed: what the
 * simulations run the stack over. Same seed, same calls: same frames at the same times.
 *
 * A frame given to one end is copied into the link's own memory and its mbufs are freed at once;
 * when its time has come, rx_burst of the other end copies it into mbufs of that end's pool. So an
 * mbuf that is missing at the end was lost by the side that owns its pool. The ends count as
 * NICs: checksum offloads are done by the link where an end is configured to have them.
 *
 * Left out: Ethernet's own CRC - a corrupted frame arrives; IP frames alone are corrupted, behind
 * the Ethernet header, where a checksum can see it.
 *
 * Threads: one. Memory: all of it at wire_open. Time stands still but for wire_advance.
 */
#ifndef WIRE_H
#define WIRE_H

#include "base_assert.h"
#include "net_port.h"

#include <stddef.h>

struct wire;
struct net_rss;
struct rte_mempool;

#define WIRE_QUEUE_MAX     8
#define WIRE_DROP_RULE_MAX 8

/* What happens to frames on their way from one end; all zero is a perfect link. ppm is parts a
 * million, each drawn for each frame. */
struct wire_faults {
    uint64_t delay_ns;
    uint64_t jitter_ns;   /* added, uniform in [0, jitter_ns]; keeps the order */
    uint64_t bytes_per_s; /* 0: no limit */
    uint64_t queue_bytes; /* waiting for the link; 0 takes 256 KiB; what does not fit is dropped */
    uint32_t loss_ppm;
    uint32_t burst_ppm; /* a run of burst_len lost frames begins */
    uint32_t burst_len;
    uint32_t reorder_ppm; /* the frame is reorder_ns late and may be overtaken */
    uint64_t reorder_ns;
    uint32_t duplicate_ppm;
    uint32_t corrupt_ppm; /* one bit is flipped */
    uint16_t path_mtu;    /* IP packets over it are lost, as at a router; 0: no such router */
    uint32_t full_ppm;    /* for each tx_burst: it takes only a part of what it is given */
};

/* Which TCP segments a drop rule counts. */
enum wire_match { WIRE_MATCH_PAYLOAD, WIRE_MATCH_SYN, WIRE_MATCH_FIN, WIRE_MATCH_ACK_ONLY };

/* One end's NIC. */
struct wire_end_config {
    uint8_t mac[6];
    uint16_t queue_cnt; /* 0 takes 1; frames are spread by a symmetric hash of addresses and ports,
                           what is not TCP goes to queue 0 */
    const struct net_rss *rss; /* borrowed: how TCP is spread in place of that; NULL: as said */
    struct rte_mempool *rx_pool[WIRE_QUEUE_MAX]; /* borrowed, one for each queue */
    bool rx_checksum;                            /* checks and sets the RX ol_flags */
    bool tx_checksum;                            /* fills in what the TX ol_flags ask */
    bool tx_multi_segs;
    bool tx_tso;        /* cuts large segments; with tx_checksum and tx_multi_segs only */
    uint32_t whole_ppm; /* of those, so many arrive uncut: as at a receiver that merges (LRO) */
    uint16_t rx_split_bytes;   /* > 0: received frames come as chains of mbufs of so many bytes */
    struct wire_faults faults; /* of the frames that this end sends */
};

struct wire_config {
    uint64_t seed;
    uint64_t now_ns;    /* > 0 */
    uint16_t mtu;       /* 0 takes 1500 */
    uint32_t frame_cap; /* in flight for each direction and receiving queue; 0 takes 2048 */
    struct wire_end_config end[2];
};

/* Why a frame left the link, or DELIVER: it was handed over. */
enum wire_fate {
    WIRE_SENT, /* taken from the sender */
    WIRE_DELIVERED,
    WIRE_LOST,
    WIRE_LOST_BURST,
    WIRE_DROPPED_PATH, /* over path_mtu: what the router says is the tap's business */
    WIRE_DROPPED_RULE,
    WIRE_DROPPED_QUEUE,   /* over the bandwidth's queue, or frame_cap in flight */
    WIRE_DROPPED_GIANT,   /* over the MTU */
    WIRE_DROPPED_NO_MBUF, /* the receiver's pool was empty */
    WIRE_REORDERED,
    WIRE_DUPLICATED,
    WIRE_CORRUPTED,
    WIRE_FATE_CNT,
};

/* Frames by fate, for the frames that one end sent. SENT + DUPLICATED - (all LOST and DROPPED) -
 * DELIVERED is what is in flight. */
struct wire_counters {
    uint64_t frame_cnt[WIRE_FATE_CNT];
    uint64_t byte_cnt[WIRE_FATE_CNT];
};

/* A frame as the tap sees it: borrowed during the call. */
struct wire_tap_frame {
    uint64_t now_ns;
    unsigned from; /* the sending end */
    enum wire_fate fate;
    const uint8_t *bytes;
    size_t len;
};
typedef void wire_tap_fn(void *arg, const struct wire_tap_frame *frame);

/* Returns 0 and the link, or -ENOMEM, -EINVAL. */
int wire_open(struct wire **out, const struct wire_config *config) BASE_WARN_UNUSED;
void wire_close(struct wire *w);

/* The port of an end (0 or 1): borrowed until wire_close. */
struct net_port *wire_port(struct wire *w, unsigned end);

/* Sets the clock; it never goes back (an earlier time is ignored). */
void wire_advance(struct wire *w, uint64_t now_ns);

/* When the next frame becomes deliverable; in the past when one waits; BASE_NS_NONE when nothing
 * is in flight. */
uint64_t wire_next_ns(const struct wire *w);

/* Replaces the faults of the frames that end sends from now on. */
void wire_set_faults(struct wire *w, unsigned end, const struct wire_faults *faults);

/*
 * Drops the nth (from 1, counted from now) TCP segment of the kind that end sends, and its
 * retransmissions (same ports and sequence number) until times segments are gone. Returns 0, or
 * -ENOSPC when WIRE_DROP_RULE_MAX rules stand for this end.
 */
int wire_drop_segment(struct wire *w, unsigned end, enum wire_match match, uint32_t nth,
                      uint32_t times) BASE_WARN_UNUSED;

/* Calls fn with each frame and each of its fates; NULL ends it. */
void wire_set_tap(struct wire *w, wire_tap_fn *fn, void *arg);

void wire_count(const struct wire *w, unsigned end, struct wire_counters *out);
const char *wire_fate_name(enum wire_fate fate);

#endif
