/*
 * The PROXY header: lib/proxy and a plain second parser agree on every input and each beginning of
 * it. Checksums are mended first where the first byte says so, or no input would get behind them;
 * what was read is written and read again.
 */
#include "proxy_naive.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Puts the right checksum into the first CRC32C TLV, if there is one. */
static void mend(uint8_t *p, size_t len)
{
    size_t family = len > 13 ? p[13] : 0;
    size_t at = 16 + (family == 0x21 ? 36U : family == 0x11 ? 12U : 0U);
    size_t end = len > 16 ? 16 + (size_t)base_be16(p + 14) : 0;

    if (end > len)
        return;
    while (at + 3 <= end) {
        size_t value_len = base_be16(p + at + 1);
        if (p[at] == 3 && value_len == 4 && at + 7 <= end)
            return base_put_be32(p + at + 3, naive_crc32c(p, end, at + 3));
        at += 3 + value_len;
    }
}

static void write_again(struct base_span in)
{
    struct proxy_header h, again;
    enum proxy_fault fault;
    size_t used;
    uint8_t room[PROXY_WRITE_MAX];

    if (proxy_parse(&h, &used, &fault, in) != PROXY_OK)
        return;
    for (unsigned version = 1; version <= 2; version++) {
        struct base_buf out = {.p = room, .cap = sizeof(room)};
        int failed = proxy_write(&out, version, h.addressed ? &h.source : NULL,
                                 h.addressed ? &h.destination : NULL);
        base_assert(failed == 0);
        enum proxy_result rc = proxy_parse(&again, &used, &fault, base_buf_span(&out));
        base_assert(rc == PROXY_OK && used == out.len && again.addressed == h.addressed);
        base_assert(net_addr_eq(&again.source.addr, &h.source.addr) &&
                    again.source.port == h.source.port);
        base_assert(net_addr_eq(&again.destination.addr, &h.destination.addr) &&
                    again.destination.port == h.destination.port);
        naive_compare(base_buf_span(&out));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 2 * PROXY_HEADER_MAX)
        return 0;
    uint8_t *copy = malloc(size);
    base_assert(copy != NULL);
    memcpy(copy, data + 1, size - 1);
    if ((data[0] & 1) != 0)
        mend(copy, size - 1);
    naive_compare(base_span_of(copy, size - 1));
    write_again(base_span_of(copy, size - 1));
    free(copy);
    return 0;
}
