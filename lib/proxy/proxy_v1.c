/* Version 1: one line of text (section 2.1). */
#include "proxy_internal.h"

#define FIELD_MAX 5 /* family, two addresses, two ports */

/* The line's end: the place of its CR, or the input's length when it has not come. */
static enum proxy_result line_end(size_t *len, enum proxy_fault *fault, struct base_span in)
{
    size_t cap = in.len < PROXY_V1_MAX ? in.len : PROXY_V1_MAX;

    for (size_t i = 0; i < cap; i++) {
        if (in.p[i] == '\n')
            return proxy_bad(fault, PROXY_FAULT_LINE);
        if (in.p[i] != '\r')
            continue;
        if (i + 1 < cap && in.p[i + 1] != '\n')
            return proxy_bad(fault, PROXY_FAULT_LINE);
        *len = i;
        return i + 1 < cap           ? PROXY_OK
               : cap == PROXY_V1_MAX ? proxy_bad(fault, PROXY_FAULT_LONG)
                                     : PROXY_MORE;
    }
    return cap == PROXY_V1_MAX ? proxy_bad(fault, PROXY_FAULT_LONG) : PROXY_MORE;
}

/* Cuts at single spaces: an empty field is one too many. Returns the number of fields, or -1. */
static int split(struct base_span *field, struct base_span line)
{
    int cnt = 0;

    for (size_t from = 0; from <= line.len; cnt++) {
        const uint8_t *space = from < line.len ? memchr(line.p + from, ' ', line.len - from) : NULL;
        size_t to = space != NULL ? (size_t)(space - line.p) : line.len;
        if (to == from || cnt == FIELD_MAX)
            return -1;
        field[cnt] = base_span_of(line.p + from, to - from);
        from = to + 1;
    }
    return cnt;
}

/* A decimal number without leading zeros, up to 65535. */
static bool port_parse(uint16_t *out, struct base_span text)
{
    uint32_t value = 0;

    if (text.len > 5 || (text.len > 1 && text.p[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        value = value * 10 + (uint32_t)(text.p[i] - '0');
    }
    *out = (uint16_t)value;
    return value <= UINT16_MAX;
}

static bool endpoint_parse(struct net_endpoint *out, struct base_span addr, struct base_span port,
                           bool six)
{
    bool colon = memchr(addr.p, ':', addr.len) != NULL;

    return colon == six && net_addr_parse(&out->addr, addr) == 0 && port_parse(&out->port, port);
}

enum proxy_result proxy_v1_parse(struct proxy_header *out, size_t *consumed,
                                 enum proxy_fault *fault, struct base_span in)
{
    struct base_span field[FIELD_MAX];
    size_t len = 0;
    enum proxy_result rc = line_end(&len, fault, in);

    if (rc != PROXY_OK)
        return rc;
    out->version = 1;
    /* "PROXY " is there: no CR is in it. */
    struct base_span line = base_span_of(in.p + 6, len - 6);
    if (line.len >= 7 && memcmp(line.p, "UNKNOWN", 7) == 0) {
        /* What stands behind it is to be ignored. */
        if (line.len > 7 && line.p[7] != ' ')
            return proxy_bad(fault, PROXY_FAULT_LINE);
        *consumed = len + 2;
        return PROXY_OK;
    }
    if (split(field, line) != FIELD_MAX)
        return proxy_bad(fault, PROXY_FAULT_LINE);
    bool six = base_span_eq(field[0], base_span_str("TCP6"));
    if (!six && !base_span_eq(field[0], base_span_str("TCP4")))
        return proxy_bad(fault, PROXY_FAULT_LINE);
    if (!endpoint_parse(&out->source, field[1], field[3], six) ||
        !endpoint_parse(&out->destination, field[2], field[4], six))
        return proxy_bad(fault, PROXY_FAULT_ADDRESS);
    proxy_addressed(out, six);
    *consumed = len + 2;
    return PROXY_OK;
}
