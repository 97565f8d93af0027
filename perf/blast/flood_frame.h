/*
 * Forged IPv4 frames, written without any stack: each from a source that is not ours and that no
 * other frame has, but for chance. All are well-formed with right checksums, so that they come as
 * far as their kind can. Pure functions.
 */
#ifndef FLOOD_FRAME_H
#define FLOOD_FRAME_H

#include "base_rand.h"

#define FLOOD_FRAME_MAX 128 /* bytes */

enum flood_kind {
    FLOOD_NONE,
    FLOOD_SYN,  /* with the options that Linux sends */
    FLOOD_ACK,  /* of no connection, with data */
    FLOOD_RST,  /* likewise, without data */
    FLOOD_UDP,  /* to a port where nobody is */
    FLOOD_FRAG, /* IPv4 fragments: first, middle and last ones */
    FLOOD_KIND_CNT
};

struct flood_target {
    uint8_t src_mac[6];
    uint8_t dst_mac[6];
    uint8_t dst[4];
    uint16_t port; /* host order */
};

/* Writes one frame to p, which has room for FLOOD_FRAME_MAX; returns its length. */
uint32_t flood_frame_write(uint8_t *p, enum flood_kind kind, const struct flood_target *to,
                           struct base_rand *rand);

#endif
