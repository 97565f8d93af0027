/*
 * A message's id: made by the lane at MAIL, in the Received field, in every log line and in the
 * spool until the end. 128 bits: wall time in ns, the spool's number, the lane's, a counter of the
 * lane. Unique while one lane makes fewer than 2^32 within one tick of the wall clock; ids that
 * sort as bytes sort by time. Of the time 0 are things that are no mail
 * (SPOOL_ENVELOPE_SUSPENSION): at a start they are told before all other. Pure; any thread.
 */
#ifndef SPOOL_ID_H
#define SPOOL_ID_H

#include "base_assert.h"
#include "base_bytes.h"

struct spool_id {
    uint8_t b[16]; /* be64 wall_ns, spool, lane, 2 zero bytes, be32 counter */
};

#define SPOOL_ID_TEXT_LEN                                                                          \
    26 /* base32 of 128 bits, digits and lower-case letters without i l o u                        \
        */

struct spool_id spool_id_make(uint64_t wall_ns, uint8_t spool, uint8_t lane, uint32_t counter);
/* The number of the spool where the message lies. */
static inline uint8_t spool_id_spool(const struct spool_id *id)
{
    return id->b[8];
}

static inline bool spool_id_eq(const struct spool_id *a, const struct spool_id *b)
{
    return memcmp(a->b, b->b, 16) == 0;
}

void spool_id_format(char out[SPOOL_ID_TEXT_LEN + 1], const struct spool_id *id);

/* Returns 0, or -EINVAL. */
int spool_id_parse(struct spool_id *out, struct base_span text) BASE_WARN_UNUSED;

#endif
