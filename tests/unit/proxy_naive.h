/*
 * A second parser of the PROXY header, written for plainness from the specification alone: it
 * looks at a whole header, byte by byte through a cursor, and says yes or no. Unit test and fuzzer
 * hold lib/proxy against it.
 */
#ifndef PROXY_NAIVE_H
#define PROXY_NAIVE_H

#include "proxy.h"

#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>

struct naive {
    bool good;
    size_t len;
    bool local, addressed;
    char text[160]; /* "source port destination port" */
    size_t authority_len, unique_id_len;
    bool ssl;
};

struct naive_cursor {
    const uint8_t *p;
    size_t left;
    bool over; /* something was taken that is not there */
};

static inline uint32_t naive_take(struct naive_cursor *c, int bytes)
{
    uint32_t v = 0;

    while (bytes-- > 0) {
        if (c->left == 0) {
            c->over = true;
            return 0;
        }
        v = v << 8 | *c->p++;
        c->left--;
    }
    return v;
}

static inline bool naive_port(const char *s)
{
    char again[8];
    long v = strtol(s, NULL, 10);

    if (v < 0 || v > 65535)
        return false;
    snprintf(again, sizeof(again), "%ld", v);
    return strcmp(again, s) == 0; /* no sign, space, zero or anything else */
}

/* As lib/net writes it: v4-mapped is IPv4. */
static inline const char *naive_text(const char *text)
{
    return strncmp(text, "::ffff:", 7) == 0 && strchr(text, '.') != NULL ? text + 7 : text;
}

static inline void naive_v1(struct naive *n, const uint8_t *p, size_t len)
{
    char line[PROXY_V1_MAX + 1], family[8], a[64], b[64], pa[8], pb[8], again[160];
    uint8_t raw[16];
    size_t end = 0;

    while (end < len && end < PROXY_V1_MAX && p[end] != '\n')
        end++;
    if (end == len || end == PROXY_V1_MAX || end < 1 || p[end - 1] != '\r')
        return;
    memcpy(line, p, end - 1);
    line[end - 1] = 0;
    if (memchr(line, '\r', end - 1) != NULL)
        return;
    n->len = end + 1;
    if (strncmp(line, "PROXY UNKNOWN", 13) == 0 && (end - 1 == 13 || line[13] == ' ')) {
        n->good = true;
        return;
    }
    if (strlen(line) != end - 1 ||
        sscanf(line, "PROXY %7[^ ] %63[^ ] %63[^ ] %7[^ ] %7[^ ]", family, a, b, pa, pb) != 5)
        return;
    snprintf(again, sizeof(again), "PROXY %s %s %s %s %s", family, a, b, pa, pb);
    int af = strcmp(family, "TCP4") == 0 ? AF_INET : strcmp(family, "TCP6") == 0 ? AF_INET6 : 0;
    if (strcmp(again, line) != 0 || af == 0 || inet_pton(af, a, raw) != 1 ||
        inet_pton(af, b, raw) != 1 || !naive_port(pa) || !naive_port(pb))
        return;
    inet_pton(af, a, raw);
    inet_ntop(af, raw, a, sizeof(a));
    inet_pton(af, b, raw);
    inet_ntop(af, raw, b, sizeof(b));
    snprintf(n->text, sizeof(n->text), "%s %s %s %s", naive_text(a), pa, naive_text(b), pb);
    n->good = n->addressed = true;
}

/* Bit by bit, as the polynomial says. */
static inline uint32_t naive_crc32c(const uint8_t *p, size_t len, size_t hole)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < len; i++) {
        crc ^= i >= hole && i < hole + 4 ? 0 : p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ UINT32_C(0x82f63b78) : crc >> 1;
    }
    return ~crc;
}

static inline bool naive_known(uint32_t type)
{
    return (type >= 1 && type <= 3) || type == 5 || (type >= 0x20 && type <= 0x25) || type == 0x30;
}

/* All TLVs to the cursor's end; inner: those of the SSL one. */
static inline bool naive_tlvs(struct naive *n, struct naive_cursor *c, const uint8_t *header,
                              size_t header_len, bool inner)
{
    bool seen[256] = {false};

    while (c->left > 0) {
        uint32_t type = naive_take(c, 1), len = naive_take(c, 2);
        if (c->over || len > c->left || (naive_known(type) && seen[type]))
            return false;
        seen[type] = true;
        struct naive_cursor in = {c->p, len, false};
        if (!inner && type == 2 && len > 255)
            return false;
        if (!inner && type == 5 && len > 128)
            return false;
        if (!inner && type == 2)
            n->authority_len = len;
        if (!inner && type == 5)
            n->unique_id_len = len;
        if (!inner && type == 3) {
            size_t at = (size_t)(in.p - header);
            if (len != 4 || naive_take(&in, 4) != naive_crc32c(header, header_len, at))
                return false;
        }
        if (!inner && type == 0x20) {
            n->ssl = true;
            naive_take(&in, 5);
            if (in.over || !naive_tlvs(n, &in, header, header_len, true))
                return false;
        }
        c->p += len;
        c->left -= len;
    }
    return true;
}

static inline void naive_address(char out[64], struct naive_cursor *c, bool six)
{
    inet_ntop(six ? AF_INET6 : AF_INET, c->p, out, 64);
    naive_take(c, six ? 16 : 4);
    memmove(out, naive_text(out), strlen(naive_text(out)) + 1);
}

static inline void naive_v2(struct naive *n, const uint8_t *p, size_t len)
{
    struct naive_cursor c = {p, len, false};
    char a[64], b[64];

    for (int i = 0; i < 12; i++)
        naive_take(&c, 1);
    uint32_t command = naive_take(&c, 1), family = naive_take(&c, 1), rest = naive_take(&c, 2);
    if (c.over || rest > c.left || 16 + rest > PROXY_HEADER_MAX)
        return;
    c.left = rest;
    n->len = 16 + rest;
    if (command == 0x20) {
        n->good = n->local = true;
        return;
    }
    if (command != 0x21 || (family != 0 && family != 0x11 && family != 0x21))
        return;
    if (family != 0) {
        if (rest < (family == 0x21 ? 36 : 12))
            return;
        naive_address(a, &c, family == 0x21);
        naive_address(b, &c, family == 0x21);
        uint32_t pa = naive_take(&c, 2), pb = naive_take(&c, 2);
        snprintf(n->text, sizeof(n->text), "%s %u %s %u", a, pa, b, pb);
        n->addressed = true;
    }
    n->good = naive_tlvs(n, &c, p, n->len, false);
}

/* Judges the header at p; not good also when it is not whole. */
static inline struct naive naive_parse(const uint8_t *p, size_t len)
{
    struct naive n = {0};

    if (len >= 6 && memcmp(p, "PROXY ", 6) == 0)
        naive_v1(&n, p, len);
    else if (len >= 12 && memcmp(p, "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a", 12) == 0)
        naive_v2(&n, p, len);
    return n;
}

/* Holds proxy_parse against it: for all of in, and for each beginning of it. */
static inline void naive_compare(struct base_span in)
{
    struct naive n = naive_parse(in.p, in.len);
    struct proxy_header h;
    enum proxy_fault fault;
    size_t used;
    char text[160] = "", a[NET_ADDR_TEXT_CAP], b[NET_ADDR_TEXT_CAP];
    enum proxy_result rc = proxy_parse(&h, &used, &fault, in);

    base_assert((rc == PROXY_OK) == n.good);
    base_assert((fault != PROXY_FAULT_NONE) == (rc == PROXY_BAD));
    base_assert(rc == PROXY_OK || used == 0);
    if (rc == PROXY_OK) {
        base_assert(used == n.len && h.local == n.local && h.addressed == n.addressed);
        base_assert(h.authority.len == n.authority_len && h.unique_id.len == n.unique_id_len);
        base_assert(h.ssl.present == n.ssl);
        if (h.addressed) {
            net_addr_format(a, &h.source.addr);
            net_addr_format(b, &h.destination.addr);
            snprintf(text, sizeof(text), "%s %u %s %u", a, h.source.port, b, h.destination.port);
        }
        base_assert(strcmp(text, n.text) == 0);
    }
    /* Of a good header each beginning asks for more; once bad, bad for ever; more comes to an end.
     */
    size_t whole = rc == PROXY_OK ? used : in.len;
    bool bad = false;
    for (size_t len = 0; len < whole; len++) {
        enum proxy_result part = proxy_parse(&h, &used, &fault, base_span_of(in.p, len));
        base_assert(part != PROXY_OK && (rc != PROXY_OK || part == PROXY_MORE));
        base_assert(!bad || part == PROXY_BAD);
        base_assert(part != PROXY_MORE || len < PROXY_HEADER_MAX);
        bad = part == PROXY_BAD;
    }
    base_assert(!bad || rc == PROXY_BAD);
}

#endif
