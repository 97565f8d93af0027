/*
 * What an operator follows: up to TRACE_CNT wishes at a time, each a client's (or next hop's)
 * network, or a domain of senders or recipients; and the ids of the messages that were seen to
 * belong to one, so that they are known again at other threads.
 *
 * Who meets a wish is a set of bits, one for each. A lane writes lines (STATS_LOG_TRACE) of what
 * does into its log's ring; the log's writer sets them aside for control (log_writer.h). While
 * nobody follows anything all of it costs a thread one look at a word of its own a message.
 *
 * Threads: control begins and ends wishes; lanes and the courier ask, and note ids. Words are
 * stored and loaded relaxed, each by itself: a wish that changes amid a question is met, or not,
 * by some connection more. Ids are kept by a hash, the newest of each place: two messages in 2^64
 * are taken for one.
 */
#ifndef TRACE_H
#define TRACE_H

#include "net_addr.h"

#include <stdatomic.h>

#define TRACE_CNT    4
#define TRACE_ID_CNT 1024 /* messages followed at a time */

/* Of one wish. */
struct trace_wish {
    bool by_domain;
    struct net_prefix net;
    uint64_t domain; /* a hash of it */
};

struct trace {
    _Atomic uint32_t on; /* bits of the wishes */
    struct {
        _Atomic uint32_t prefix_len; /* 0 to 128 */
        _Atomic uint64_t addr[2];
        _Atomic uint64_t domain; /* 0: by net */
    } wish[TRACE_CNT];
    _Atomic uint64_t id[TRACE_ID_CNT]; /* hash, its lowest TRACE_CNT bits: whose it is */
};

/* Whether anybody follows anything: bits. */
static inline uint32_t trace_on(const struct trace *t)
{
    return atomic_load_explicit(&t->on, memory_order_relaxed);
}

/* "192.0.2.7", "2001:db8::/32", "example.org" (also "@example.org" and "a@example.org"). Returns 0,
 * or -EINVAL: it is neither. */
int trace_wish_parse(struct trace_wish *out, struct base_span text) BASE_WARN_UNUSED;

/* By control. Returns the wish's number, or -EBUSY: there are TRACE_CNT. */
int trace_begin(struct trace *t, const struct trace_wish *wish) BASE_WARN_UNUSED;
void trace_end(struct trace *t, uint32_t number);

/* Bits of the wishes that it meets. A mailbox: by its domain, letters in any case. */
uint32_t trace_of_address(const struct trace *t, const struct net_addr *addr);
uint32_t trace_of_mailbox(const struct trace *t, struct base_span mailbox);
uint32_t trace_of_domain(const struct trace *t, struct base_span domain);
uint32_t trace_of_id(const struct trace *t, const uint8_t id[16]);
/* From now on the message belongs to these, too. */
void trace_note_id(struct trace *t, const uint8_t id[16], uint32_t bits);

#endif
