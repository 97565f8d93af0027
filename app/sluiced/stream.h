/*
 * Streams of the kernel's between lanes and the stream thread: lanes make no system call, so a
 * thread of its own connects, reads and writes for them (lib/net/net_stream.h), and each stream is
 * a slot with two rings of bytes.
 *
 *   lane -> out -> stream thread -> socket          lane <- in <- stream thread <- socket
 *
 * A lane owns its area's slots. It writes the target, then order OPEN; the thread answers by
 * phases. With order CLOSE (what is in out goes first) or ABORT the lane is through with it; it may
 * use the slot again when phase is FREE. Both words carry the slot's generation, the lane's count
 * of opens, so that no answer is taken for one to another order. Bytes and counts written before a
 * word is stored (release) are seen by whoever has loaded it (acquire). Counts of bytes run on and
 * wrap.
 *
 * Once a stream stands, whatever breaks it is its end: what came before is given out first.
 *
 * Threads: a lane and the stream thread for each slot. Memory: 48 KiB a slot, untouched until used.
 */
#ifndef STREAM_H
#define STREAM_H

#include "base_assert.h"
#include "net_stream.h"

#include <stdatomic.h>

#define STREAM_CNT       64 /* of a lane: bits of stream_area.used */
#define STREAM_OUT_BYTES 32768
#define STREAM_IN_BYTES  16384

enum stream_order { STREAM_ORDER_NONE, STREAM_ORDER_OPEN, STREAM_ORDER_CLOSE, STREAM_ORDER_ABORT };

enum stream_phase {
    STREAM_FREE,
    STREAM_CONNECTING,
    STREAM_OPEN,
    STREAM_ENDED,  /* no byte comes beyond those in the ring, and what is sent is lost */
    STREAM_FAILED, /* it could not be opened: error */
};

static inline uint32_t stream_word(uint32_t generation, uint32_t value)
{
    return generation << 8 | value;
}

struct stream_slot {
    /* The lane's. */
    _Atomic uint32_t order;             /* stream_word, of enum stream_order */
    _Atomic uint32_t out_head, in_tail; /* bytes put in, taken out */
    struct net_stream_target target;    /* before OPEN */
    /* The stream thread's. */
    _Atomic uint32_t phase BASE_CACHE_ALIGNED; /* stream_word, of enum stream_phase */
    _Atomic uint32_t out_tail, in_head;
    int error; /* before FAILED: a negative errno */
    uint8_t out[STREAM_OUT_BYTES] BASE_CACHE_ALIGNED;
    uint8_t in[STREAM_IN_BYTES];
};

/* A lane's slots. */
struct stream_area {
    _Atomic uint64_t used; /* a bit for each slot that the thread has to look at; the lane's */
    struct stream_slot slot[STREAM_CNT] BASE_CACHE_ALIGNED;
};

#endif
