/*
 * TCP options: MSS (RFC 9293 section 3.2), window scale and timestamps (RFC 7323), SACK (RFC 2018);
 * the others are skipped. Pure; any thread.
 */
#ifndef TCP_OPTION_H
#define TCP_OPTION_H

#include "base_assert.h"
#include "base_bytes.h"

#define TCP_OPTION_MAX_BYTES       40
#define TCP_OPTION_TIMESTAMP_BYTES 12 /* with the padding */
#define TCP_SACK_BLOCK_MAX         4  /* what fits; 3 beside timestamps */

/* A run of sequence numbers: left is in it, right is the first behind. Any values. */
struct tcp_sack_block {
    uint32_t left;
    uint32_t right;
};

struct tcp_options {
    uint16_t mss;
    uint8_t wscale; /* as offered; over 14 counts as 14, which the caller sees to */
    bool has_mss;
    bool has_wscale;
    bool has_timestamp;
    bool sack_permitted;
    uint8_t sack_cnt;
    uint32_t timestamp;
    uint32_t timestamp_echo;
    struct tcp_sack_block sack[TCP_SACK_BLOCK_MAX];
};

/*
 * Parses the bytes between the fixed header and the payload. The first of two equal options
 * counts. Returns 0, or -EINVAL for a length that is below 2, goes past the end or is wrong for
 * its kind.
 */
int tcp_option_parse(struct tcp_options *out, struct base_span bytes) BASE_WARN_UNUSED;

/* Writes the options that are set, padded by NOPs to a multiple of four; of the SACK blocks, as
 * many as there is room for. Returns the length. */
size_t tcp_option_write(uint8_t out[TCP_OPTION_MAX_BYTES], const struct tcp_options *options);

#endif
