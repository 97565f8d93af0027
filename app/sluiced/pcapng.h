/*
 * Blocks of a pcapng file (draft-ietf-opsawg-pcapng): a section, its interfaces (Ethernet,
 * nanoseconds), packets, and statistics at the end. Little-endian, as the byte-order magic says.
 *
 * Not here: name resolution, secrets, compression; packets of unknown time.
 *
 * Threads: none of its own; pure. Memory: the caller's buffers. Each function appends one whole
 * block and returns 0, or -ENOSPC with the buffer as it was.
 */
#ifndef PCAPNG_H
#define PCAPNG_H

#include "base_bytes.h"

#define PCAPNG_TEXT_MAX         200 /* of each text; longer ones are cut */
#define PCAPNG_HEAD_MAX         (32 + 3 * (4 + PCAPNG_TEXT_MAX + 3)) /* of section and interface */
#define PCAPNG_PACKET_MAX       52                                   /* beside the packet's bytes */
#define PCAPNG_STATISTICS_BYTES 88

/* Section Header Block. comment, application: "" leaves the option out. */
int pcapng_put_section(struct base_buf *out, const char *comment, const char *application);

/* Interface Description Block; interfaces count from 0 in their order. */
struct pcapng_interface {
    const char *name;
    const char *description;
    const char *filter;
    uint32_t snap_len; /* most bytes of a packet */
};
int pcapng_put_interface(struct base_buf *out, const struct pcapng_interface *interface);

/* Enhanced Packet Block: the packet's two pieces one behind the other, which are len bytes of
 * wire_len. */
struct pcapng_packet {
    uint32_t interface;
    uint64_t wall_ns;
    uint32_t wire_len;
    bool outbound;
    struct base_span piece[2];
};
int pcapng_put_packet(struct base_buf *out, const struct pcapng_packet *packet);

/* Interface Statistics Block. */
struct pcapng_statistics {
    uint32_t interface;
    uint64_t begin_ns, end_ns;
    uint64_t matched;   /* isb_filteraccept */
    uint64_t dropped;   /* isb_osdrop: matched, and no room for them */
    uint64_t delivered; /* isb_usrdeliv */
};
int pcapng_put_statistics(struct base_buf *out, const struct pcapng_statistics *statistics);

#endif
