/*
 * What next hops have said of recipients, kept for as long as settings want it: Postfix's address
 * verification (address_verify_map). An answer holds until it expires; before that, from its
 * refresh time on, it is asked for again beside, and the old one still holds: nobody waits for it.
 * An answer that says nothing (4xx, none at all) takes the place of none that holds, and is itself
 * kept for a short time, so that a next hop that is down is not asked for each recipient.
 *
 * Entries are told apart by the bytes of their key. The one used longest ago gives way when there
 * are too many, except those that are being asked for.
 *
 * Left out: who asks and how; waiters is a list of the caller's.
 *
 * Threads: one. Memory: malloc, an entry each, as large as its texts; the table once. Times are
 * CLOCK_MONOTONIC ns.
 */
#ifndef POLICY_VERIFY_H
#define POLICY_VERIFY_H

#include "base_assert.h"
#include "base_bytes.h"
#include "base_list.h"

#include <stdbool.h>
#include <stdint.h>

#define POLICY_VERIFY_WORDS_MAX    120
#define POLICY_VERIFY_UNDECIDED_NS UINT64_C(30000000000)

enum policy_verify_answer {
    POLICY_VERIFY_NONE,      /* nothing is known */
    POLICY_VERIFY_GOOD,      /* the next hop takes it */
    POLICY_VERIFY_BAD,       /* it refuses it for good */
    POLICY_VERIFY_UNDECIDED, /* it said neither */
};

struct policy_verify_said {
    uint8_t answer; /* enum policy_verify_answer */
    uint16_t code;  /* 0: no reply */
    uint8_t words_len;
    char enhanced[10];
    char words[POLICY_VERIFY_WORDS_MAX];
};

struct policy_verify_entry {
    struct base_list used; /* the cache's, the last used at its end */
    struct policy_verify_entry *next;
    struct base_list waiters; /* the caller's */
    uint64_t expires_ns, refresh_ns;
    struct policy_verify_said said;
    bool asking; /* set and cleared by the caller; keeps the entry */
    uint16_t key_len, mailbox_len;
    uint8_t bytes[]; /* the key, then the address as it was first written */
};

struct policy_verify_times {
    uint64_t positive_expire_ns, positive_refresh_ns;
    uint64_t negative_expire_ns, negative_refresh_ns;
};

struct policy_verify {
    struct policy_verify_entry **table;
    uint32_t slot_cnt; /* power of two */
    uint32_t max, cnt;
    struct base_list used;
    uint8_t secret[16];
    uint64_t forgotten_cnt; /* entries that gave way while their answer held */
};

/* Returns 0 or -ENOMEM. */
int policy_verify_init(struct policy_verify *v, uint32_t max,
                       const uint8_t secret[16]) BASE_WARN_UNUSED;
void policy_verify_fini(struct policy_verify *v);

/* From now on at most so many; what is over gives way with the next entries. */
void policy_verify_limit(struct policy_verify *v, uint32_t max);

/* The entry of that key, made if there is none. NULL: all are being asked for, or no memory.
 * mailbox is at most 65535 bytes, as is the key. */
struct policy_verify_entry *policy_verify_get(struct policy_verify *v, struct base_span key,
                                              struct base_span mailbox, uint64_t now_ns);

/* What holds now: POLICY_VERIFY_NONE: nothing, it has to be asked for. Sets *old when it should be
 * asked for again although it holds. */
enum policy_verify_answer policy_verify_known(const struct policy_verify_entry *e, uint64_t now_ns,
                                              bool *old);

/* An answer has come. What holds stays where said is UNDECIDED. */
void policy_verify_note(struct policy_verify_entry *e, const struct policy_verify_said *said,
                        const struct policy_verify_times *times, uint64_t now_ns);

/* Refusals hold no longer: the recipients may be there under other settings. */
void policy_verify_forget_refusals(struct policy_verify *v);

static inline struct base_span policy_verify_mailbox(const struct policy_verify_entry *e)
{
    return base_span_of(e->bytes + e->key_len, e->mailbox_len);
}

#endif
