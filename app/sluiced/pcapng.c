#include "pcapng.h"

#include <errno.h>

enum block { SECTION = 0x0a0d0d0a, INTERFACE = 1, STATISTICS = 5, PACKET = 6 };
enum option {
    END_OF_OPTIONS = 0,
    COMMENT = 1,
    SECTION_APPLICATION = 4,
    INTERFACE_NAME = 2,
    INTERFACE_DESCRIPTION = 3,
    INTERFACE_TIME_UNIT = 9,
    INTERFACE_FILTER = 11,
    PACKET_FLAGS = 2,
    STATISTICS_BEGIN = 2,
    STATISTICS_END = 3,
    STATISTICS_ACCEPTED = 6,
    STATISTICS_OS_DROPPED = 7,
    STATISTICS_DELIVERED = 8,
};

#define LINK_ETHERNET 1
#define NANOSECONDS   9 /* 10^-9 */

static int put32(struct base_buf *out, uint32_t v)
{
    uint8_t b[4];

    base_put_le32(b, v);
    return base_buf_put(out, b, sizeof(b));
}

static int put16(struct base_buf *out, uint16_t v)
{
    uint8_t b[2];

    base_put_le16(b, v);
    return base_buf_put(out, b, sizeof(b));
}

/* A time is two words, the high one first; a count is one of eight bytes. */
static int put_time(struct base_buf *out, uint64_t ns)
{
    return put32(out, (uint32_t)(ns >> 32)) | put32(out, (uint32_t)ns);
}

static int pad(struct base_buf *out, size_t len)
{
    static const uint8_t zeros[4];

    return base_buf_put(out, zeros, (4 - len % 4) % 4);
}

static int put_option(struct base_buf *out, enum option code, const void *p, size_t len)
{
    return put16(out, (uint16_t)code) | put16(out, (uint16_t)len) | base_buf_put(out, p, len) |
           pad(out, len);
}

static int put_text(struct base_buf *out, enum option code, const char *text)
{
    size_t len = strlen(text);

    if (len == 0)
        return 0;
    return put_option(out, code, text, len < PCAPNG_TEXT_MAX ? len : PCAPNG_TEXT_MAX);
}

static int put_count(struct base_buf *out, enum option code, uint64_t n)
{
    uint8_t b[8];

    base_put_le64(b, n);
    return put_option(out, code, b, sizeof(b));
}

static int put_time_option(struct base_buf *out, enum option code, uint64_t ns)
{
    return put16(out, (uint16_t)code) | put16(out, 8) | put_time(out, ns);
}

/* The length stands in front and behind; it is filled in by end. */
static int begin(struct base_buf *out, enum block type)
{
    return put32(out, (uint32_t)type) | put32(out, 0);
}

static int end(struct base_buf *out, size_t from, int failed)
{
    uint32_t len = (uint32_t)(out->len + 4 - from);

    failed |= put32(out, len);
    if (failed != 0) {
        out->len = from;
        return -ENOSPC;
    }
    base_put_le32(out->p + from + 4, len);
    return 0;
}

int pcapng_put_section(struct base_buf *out, const char *comment, const char *application)
{
    size_t from = out->len;
    int failed = begin(out, SECTION) | put32(out, 0x1a2b3c4d) | put16(out, 1) | put16(out, 0) |
                 put32(out, UINT32_MAX) | put32(out, UINT32_MAX); /* of unknown length */

    failed |= put_text(out, COMMENT, comment) | put_text(out, SECTION_APPLICATION, application) |
              put32(out, END_OF_OPTIONS);
    return end(out, from, failed);
}

int pcapng_put_interface(struct base_buf *out, const struct pcapng_interface *interface)
{
    static const uint8_t unit = NANOSECONDS;
    char filter[PCAPNG_TEXT_MAX + 1] = ""; /* its first byte: how it is written; 0: as text */
    size_t from = out->len, len = strnlen(interface->filter, sizeof(filter) - 1);
    int failed = begin(out, INTERFACE) | put16(out, LINK_ETHERNET) | put16(out, 0) |
                 put32(out, interface->snap_len);

    memcpy(filter + 1, interface->filter, len < sizeof(filter) - 1 ? len : sizeof(filter) - 1);
    failed |= put_text(out, INTERFACE_NAME, interface->name) |
              put_text(out, INTERFACE_DESCRIPTION, interface->description) |
              put_option(out, INTERFACE_TIME_UNIT, &unit, 1);
    if (len > 0)
        failed |= put_option(out, INTERFACE_FILTER, filter,
                             len < PCAPNG_TEXT_MAX ? len + 1 : PCAPNG_TEXT_MAX);
    return end(out, from, failed | put32(out, END_OF_OPTIONS));
}

int pcapng_put_packet(struct base_buf *out, const struct pcapng_packet *packet)
{
    size_t from = out->len, len = packet->piece[0].len + packet->piece[1].len;
    uint8_t flags[4];
    int failed = begin(out, PACKET) | put32(out, packet->interface) |
                 put_time(out, packet->wall_ns) | put32(out, (uint32_t)len) |
                 put32(out, packet->wire_len) | base_buf_put_span(out, packet->piece[0]) |
                 base_buf_put_span(out, packet->piece[1]) | pad(out, len);

    base_put_le32(flags, packet->outbound ? 2 : 1);
    failed |= put_option(out, PACKET_FLAGS, flags, sizeof(flags)) | put32(out, END_OF_OPTIONS);
    return end(out, from, failed);
}

int pcapng_put_statistics(struct base_buf *out, const struct pcapng_statistics *s)
{
    size_t from = out->len;
    int failed = begin(out, STATISTICS) | put32(out, s->interface) | put_time(out, s->end_ns);

    failed |= put_time_option(out, STATISTICS_BEGIN, s->begin_ns) |
              put_time_option(out, STATISTICS_END, s->end_ns) |
              put_count(out, STATISTICS_ACCEPTED, s->matched) |
              put_count(out, STATISTICS_OS_DROPPED, s->dropped) |
              put_count(out, STATISTICS_DELIVERED, s->delivered) | put32(out, END_OF_OPTIONS);
    return end(out, from, failed);
}
