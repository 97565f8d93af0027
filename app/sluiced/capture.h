/*
 * Packets of a lane, copied for an operator: a filter of frames, and a ring of bytes that the lane
 * fills and control empties. What finds no room is dropped and counted; the lane never waits.
 *
 * A record is a head and the frame's first bytes, each beginning at a multiple of 8, the frame
 * around the ring's end where it has to be.
 *
 * Threads: one puts (the lane), one takes (control). The words head and tail hand bytes over:
 * stored with release by their writer, loaded with acquire by the other. Memory: capture_ring_open
 * takes all of it; the caller frees it when neither side uses it any more.
 */
#ifndef CAPTURE_H
#define CAPTURE_H

#include "base_assert.h"
#include "net_addr.h"

#include <stdatomic.h>

struct rte_mbuf;

#define CAPTURE_PORT_MAX 4     /* NET_JOIN_MAX */
#define CAPTURE_SNAP_MAX 65400 /* bytes of a frame that are kept */

/* Which frames; conditions given together must all hold. */
struct capture_filter {
    bool by_address, by_port;
    bool all;
    struct net_prefix net; /* of either end */
    uint16_t port;         /* of TCP or UDP, of either end */
};

/* What a command says: the filter, and its bounds. */
struct capture_words {
    struct capture_filter filter;
    uint64_t for_ns;     /* 0: none was said */
    uint64_t byte_max;   /* likewise */
    uint32_t snap_bytes; /* likewise */
};

/* Reads "--address NET --port N --all --for TIME --bytes N[K|M|G] --snap N". Returns 0; -EINVAL and
 * in *bad the word that is wrong or lacks its value; -EDOM: neither a condition nor --all. */
int capture_words_parse(struct capture_words *out, struct base_span words,
                        struct base_span *bad) BASE_WARN_UNUSED;

/* Whether a frame, of which len bytes are at p, is meant. Frames that are too short or no IP are
 * only by a filter without conditions. */
bool capture_match(const struct capture_filter *f, const uint8_t *p, size_t len);

struct capture_record {
    uint64_t wall_ns;
    uint32_t len;      /* bytes that follow */
    uint32_t wire_len; /* that the frame has */
    uint8_t port;
    bool outbound;
    uint8_t pad[6];
};

struct capture_ring {
    struct {
        _Atomic uint64_t head; /* bytes put; by the lane */
        uint64_t tail_seen;    /* the lane's */
        /* By the lane, relaxed: counts. */
        _Atomic uint64_t matched[CAPTURE_PORT_MAX], dropped[CAPTURE_PORT_MAX];
    } BASE_CACHE_ALIGNED lane;
    _Atomic uint64_t tail BASE_CACHE_ALIGNED; /* bytes taken; by control */
    uint32_t snap_bytes;
    uint64_t cap; /* a power of two */
    struct capture_filter filter;
    uint8_t data[] BASE_CACHE_ALIGNED;
};

/* cap: a power of two. NULL: memory is short. free() by the caller. */
struct capture_ring *capture_ring_open(uint64_t cap, const struct capture_filter *filter,
                                       uint32_t snap_bytes);

/* The lane's: copies the frame if it is meant. */
enum capture_result { CAPTURE_NOT_MEANT, CAPTURE_COPIED, CAPTURE_DROPPED };
enum capture_result capture_ring_put(struct capture_ring *r, const struct rte_mbuf *frame,
                                     uint8_t port, bool outbound, uint64_t wall_ns);

/* Control's: the oldest record, its bytes in two pieces that are borrowed until it is dropped.
 * Returns false: there is none. */
bool capture_ring_peek(struct capture_ring *r, struct capture_record *record,
                       struct base_span piece[2]);
void capture_ring_drop(struct capture_ring *r, const struct capture_record *record);

#endif
