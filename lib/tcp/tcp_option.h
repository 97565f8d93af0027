/*
 * TCP options (RFC 9293 section 3.2, RFC 7323 section 2.2): MSS and window scale; the others are
 * skipped. Pure; any thread.
 */
#ifndef TCP_OPTION_H
#define TCP_OPTION_H

#include "base_assert.h"
#include "base_bytes.h"

#define TCP_OPTION_MAX_BYTES 40

struct tcp_options {
    uint16_t mss;
    uint8_t wscale; /* as offered; over 14 counts as 14, which the caller sees to */
    bool has_mss;
    bool has_wscale;
};

/*
 * Parses the bytes between the fixed header and the payload. The first of two equal options
 * counts. Returns 0, or -EINVAL for a length that is below 2, goes past the end or is wrong for
 * its kind.
 */
int tcp_option_parse(struct tcp_options *out, struct base_span bytes) BASE_WARN_UNUSED;

/* Writes the options that are set, padded by NOPs to a multiple of four. Returns the length. */
size_t tcp_option_write(uint8_t out[TCP_OPTION_MAX_BYTES], const struct tcp_options *options);

#endif
