/* The PROXY header: tables, and each row against the second parser. */
#include "unit.h"

#include "proxy.h"
#include "proxy_naive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void plausible(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool want;
    } rows[] = {{"192.0.2.1", true},  {"10.0.0.1", true},   {"2001:db8::1", true},
                {"fe80::1", true},    {"fd00::1", true},    {"127.0.0.1", false},
                {"0.0.0.0", false},   {"224.0.0.1", false}, {"255.255.255.255", false},
                {"::", false},        {"::1", false},       {"ff02::1", false},
                {"::c000:201", false}};

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct net_addr a;
        assert_int_equal(net_addr_parse(&a, base_span_str(rows[i].text)), 0);
        if (proxy_plausible(&a) != rows[i].want)
            fail_msg("%s", rows[i].text);
    }
}

static void v1(void **state)
{
    (void)state;
    static const char long_unknown[] = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                                       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    static const struct {
        const char *in;
        enum proxy_result rc;
        enum proxy_fault fault;
        const char *source; /* NULL: not addressed */
        bool implausible;
    } rows[] = {
        {"PROXY TCP4 192.0.2.1 198.51.100.2 5000 25\r\n", PROXY_OK, 0, "192.0.2.1:5000", false},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 0 65535\r\n", PROXY_OK, 0, "192.0.2.1:0", false},
        {"PROXY TCP6 2001:db8::1 2001:DB8::2 5000 465\r\nEHLO x\r\n", PROXY_OK, 0,
         "[2001:db8::1]:5000", false},
        {"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n", PROXY_OK, 0, "192.0.2.1:1", true},
        {"PROXY TCP4 127.0.0.1 198.51.100.2 1 2\r\n", PROXY_OK, 0, "127.0.0.1:1", true},
        {"PROXY TCP4 0.1.2.3 198.51.100.2 1 2\r\n", PROXY_OK, 0, "0.1.2.3:1", true},
        {"PROXY TCP4 239.1.2.3 198.51.100.2 1 2\r\n", PROXY_OK, 0, "239.1.2.3:1", true},
        {"PROXY TCP4 255.255.255.255 198.51.100.2 1 2\r\n", PROXY_OK, 0, "255.255.255.255:1", true},
        {"PROXY TCP6 ::1 2001:db8::2 1 2\r\n", PROXY_OK, 0, "[::1]:1", true},
        {"PROXY TCP6 :: 2001:db8::2 1 2\r\n", PROXY_OK, 0, "[::]:1", true},
        {"PROXY TCP6 ff02::1 2001:db8::2 1 2\r\n", PROXY_OK, 0, "[ff02::1]:1", true},
        {"PROXY UNKNOWN\r\n", PROXY_OK, 0, NULL, false},
        {"PROXY UNKNOWN anything, even \xff\x01\r\n", PROXY_OK, 0, NULL, false},
        {long_unknown, PROXY_OK, 0, NULL, false},
        {"", PROXY_MORE, 0, NULL, false},
        {"PROX", PROXY_MORE, 0, NULL, false},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 5000 25\r", PROXY_MORE, 0, NULL, false},
        {"EHLO client.example\r\n", PROXY_BAD, PROXY_FAULT_SIGNATURE, NULL, false},
        {"E", PROXY_BAD, PROXY_FAULT_SIGNATURE, NULL, false},
        {"proxy TCP4 192.0.2.1 198.51.100.2 1 2\r\n", PROXY_BAD, PROXY_FAULT_SIGNATURE, NULL, 0},
        {"PROXY\tTCP4", PROXY_BAD, PROXY_FAULT_SIGNATURE, NULL, false},
        {"PROXY\r\n", PROXY_BAD, PROXY_FAULT_SIGNATURE, NULL, false},
        {"PROXY \r\n", PROXY_BAD, PROXY_FAULT_LINE, NULL, false},
        {"PROXY UNKNOWNX\r\n", PROXY_BAD, PROXY_FAULT_LINE, NULL, false},
        {"PROXY unknown\r\n", PROXY_BAD, PROXY_FAULT_LINE, NULL, false},
        {"PROXY tcp4 192.0.2.1 198.51.100.2 1 2\r\n", PROXY_BAD, PROXY_FAULT_LINE, NULL, false},
        {"PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n", PROXY_BAD, PROXY_FAULT_LINE, NULL, false},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n", PROXY_BAD, PROXY_FAULT_LINE, NULL, false},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\rX", PROXY_BAD, PROXY_FAULT_LINE, NULL, false},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 1 2 \r\n", PROXY_BAD, PROXY_FAULT_LINE, NULL, false},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n", PROXY_BAD, PROXY_FAULT_LINE, NULL, false},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n", PROXY_BAD, PROXY_FAULT_LINE, NULL, false},
        {"PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n", PROXY_BAD, PROXY_FAULT_LINE, NULL, false},
        {"PROXY  TCP4 192.0.2.1 198.51.100.2 1 2\r\n", PROXY_BAD, PROXY_FAULT_LINE, NULL, false},
        {"PROXY TCP4 192.0.2.1\t198.51.100.2 1 2\r\n", PROXY_BAD, PROXY_FAULT_LINE, NULL, false},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n", PROXY_BAD, PROXY_FAULT_ADDRESS, NULL, 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 1 00\r\n", PROXY_BAD, PROXY_FAULT_ADDRESS, NULL, 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n", PROXY_BAD, PROXY_FAULT_ADDRESS, NULL, 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 1 4294967297\r\n", PROXY_BAD, PROXY_FAULT_ADDRESS, NULL,
         false},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 -1 2\r\n", PROXY_BAD, PROXY_FAULT_ADDRESS, NULL, 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 +1 2\r\n", PROXY_BAD, PROXY_FAULT_ADDRESS, NULL, 0},
        {"PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n", PROXY_BAD, PROXY_FAULT_ADDRESS, NULL, 0},
        {"PROXY TCP4 192.0.2.256 198.51.100.2 1 2\r\n", PROXY_BAD, PROXY_FAULT_ADDRESS, NULL, 0},
        {"PROXY TCP4 192.0.2 198.51.100.2 1 2\r\n", PROXY_BAD, PROXY_FAULT_ADDRESS, NULL, false},
        {"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", PROXY_BAD, PROXY_FAULT_ADDRESS, NULL, 0},
        {"PROXY TCP4 192.0.2.1 2001:db8::2 1 2\r\n", PROXY_BAD, PROXY_FAULT_ADDRESS, NULL, false},
        {"PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n", PROXY_BAD, PROXY_FAULT_ADDRESS, NULL, false},
        {"PROXY TCP6 [2001:db8::1] 2001:db8::2 1 2\r\n", PROXY_BAD, PROXY_FAULT_ADDRESS, NULL, 0},
        {"PROXY TCP6 fe80::1%eth0 2001:db8::2 1 2\r\n", PROXY_BAD, PROXY_FAULT_ADDRESS, NULL, 0},
        {"PROXY TCP4 mx.example 198.51.100.2 1 2\r\n", PROXY_BAD, PROXY_FAULT_ADDRESS, NULL, false},
    };

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct base_span in = base_span_str(rows[i].in);
        struct proxy_header h;
        enum proxy_fault fault;
        size_t used;
        char text[NET_ENDPOINT_TEXT_CAP];
        enum proxy_result rc = proxy_parse(&h, &used, &fault, in);
        if (rc != rows[i].rc || fault != rows[i].fault)
            fail_msg("%s: %d, %s", rows[i].in, rc, proxy_fault_text(fault));
        naive_compare(in);
        if (rc != PROXY_OK)
            continue;
        assert_int_equal(used, (const uint8_t *)strstr(rows[i].in, "\r\n") + 2 - in.p);
        assert_int_equal(h.version, 1);
        assert_false(h.local);
        assert_int_equal(h.addressed, rows[i].source != NULL);
        assert_int_equal(h.implausible, rows[i].implausible);
        if (h.addressed) {
            net_endpoint_format(text, &h.source);
            assert_string_equal(text, rows[i].source);
        }
    }
}

/* 107 bytes with the CRLF are the most. */
static void v1_length(void **state)
{
    (void)state;
    char line[PROXY_V1_MAX + 8];
    struct proxy_header h;
    enum proxy_fault fault;
    size_t used;

    for (size_t len = PROXY_V1_MAX - 3; len <= PROXY_V1_MAX + 3; len++) {
        memset(line, 'x', sizeof(line));
        memcpy(line, "PROXY UNKNOWN ", 14);
        memcpy(line + len - 2, "\r\n", 2);
        enum proxy_result rc = proxy_parse(&h, &used, &fault, base_span_of(line, len));
        assert_int_equal(rc, len <= PROXY_V1_MAX ? PROXY_OK : PROXY_BAD);
        assert_int_equal(fault, len <= PROXY_V1_MAX ? PROXY_FAULT_NONE : PROXY_FAULT_LONG);
        naive_compare(base_span_of(line, len));
    }
}

/* ---- version 2 ---- */

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define ADDRESS4  "\xc0\0\x02\x01\xc6\x33\x64\x02\x13\x88\0\x19"
#define ADDRESS6                                                                                   \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"         \
    "\x13\x88\x01\xd1"

/* Command and family, then the rest with its length before it. */
static size_t v2_make(uint8_t *out, uint8_t command, uint8_t family, const void *rest, size_t len)
{
    memcpy(out, SIGNATURE, 12);
    out[12] = command;
    out[13] = family;
    base_put_be16(out + 14, (uint16_t)len);
    if (len > 0)
        memcpy(out + 16, rest, len);
    return 16 + len;
}

#define BYTES(s) s, sizeof(s) - 1

static void v2(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint8_t command, family;
        const char *rest;
        size_t len;
        enum proxy_fault fault;
        const char *source;
    } rows[] = {
        {"tcp4", 0x21, 0x11, BYTES(ADDRESS4), 0, "192.0.2.1:5000"},
        {"tcp6", 0x21, 0x21, BYTES(ADDRESS6), 0, "[2001:db8::1]:5000"},
        {"local", 0x20, 0x00, BYTES(""), 0, NULL},
        {"local with addresses", 0x20, 0x11, BYTES(ADDRESS4), 0, NULL},
        {"local, another family", 0x20, 0x77, BYTES("abc"), 0, NULL},
        {"unspecified", 0x21, 0x00, BYTES(""), 0, NULL},
        {"unspecified with a TLV", 0x21, 0x00, BYTES("\x04\0\x01z"), 0, NULL},
        {"version 1", 0x11, 0x11, BYTES(ADDRESS4), PROXY_FAULT_VERSION, NULL},
        {"version 3", 0x31, 0x11, BYTES(ADDRESS4), PROXY_FAULT_VERSION, NULL},
        {"version 0, LOCAL", 0x00, 0x00, BYTES(""), PROXY_FAULT_VERSION, NULL},
        {"command 2", 0x22, 0x11, BYTES(ADDRESS4), PROXY_FAULT_COMMAND, NULL},
        {"command 15", 0x2f, 0x11, BYTES(ADDRESS4), PROXY_FAULT_COMMAND, NULL},
        {"UDP", 0x21, 0x12, BYTES(ADDRESS4), PROXY_FAULT_FAMILY, NULL},
        {"UDP over IPv6", 0x21, 0x22, BYTES(ADDRESS6), PROXY_FAULT_FAMILY, NULL},
        {"UNIX", 0x21, 0x31, BYTES(ADDRESS6), PROXY_FAULT_FAMILY, NULL},
        {"family 4", 0x21, 0x41, BYTES(ADDRESS6), PROXY_FAULT_FAMILY, NULL},
        {"transport 3", 0x21, 0x13, BYTES(ADDRESS4), PROXY_FAULT_FAMILY, NULL},
        {"family without transport", 0x21, 0x10, BYTES(ADDRESS4), PROXY_FAULT_FAMILY, NULL},
        {"transport without family", 0x21, 0x01, BYTES(ADDRESS4), PROXY_FAULT_FAMILY, NULL},
        {"no addresses", 0x21, 0x11, BYTES(""), PROXY_FAULT_SHORT, NULL},
        {"11 bytes", 0x21, 0x11, ADDRESS4, 11, PROXY_FAULT_SHORT, NULL},
        {"35 bytes", 0x21, 0x21, ADDRESS6, 35, PROXY_FAULT_SHORT, NULL},
        {"IPv6 family, IPv4 bytes", 0x21, 0x21, BYTES(ADDRESS4), PROXY_FAULT_SHORT, NULL},
        {"unknown TLV", 0x21, 0x11, BYTES(ADDRESS4 "\xee\0\x02zz"), 0, "192.0.2.1:5000"},
        {"unknown TLV twice", 0x21, 0x11, BYTES(ADDRESS4 "\xee\0\0\xee\0\0"), 0, "192.0.2.1:5000"},
        {"NOOP twice", 0x21, 0x11, BYTES(ADDRESS4 "\x04\0\0\x04\0\x01z"), 0, "192.0.2.1:5000"},
        {"one byte left", 0x21, 0x11, BYTES(ADDRESS4 "\x04"), PROXY_FAULT_TLV, NULL},
        {"two bytes left", 0x21, 0x11, BYTES(ADDRESS4 "\x04\0"), PROXY_FAULT_TLV, NULL},
        {"TLV beyond", 0x21, 0x11, BYTES(ADDRESS4 "\xee\0\x03zz"), PROXY_FAULT_TLV, NULL},
        {"TLV far beyond", 0x21, 0x11, BYTES(ADDRESS4 "\xee\xff\xff"), PROXY_FAULT_TLV, NULL},
        {"AUTHORITY twice", 0x21, 0x11, BYTES(ADDRESS4 "\x02\0\x01q\x02\0\x01q"), PROXY_FAULT_TLV,
         NULL},
        {"CRC32C of 3 bytes", 0x21, 0x11, BYTES(ADDRESS4 "\x03\0\x03zzz"), PROXY_FAULT_TLV, NULL},
        {"CRC32C of 5 bytes", 0x21, 0x11, BYTES(ADDRESS4 "\x03\0\x05zzzzz"), PROXY_FAULT_TLV, NULL},
        {"CRC32C wrong", 0x21, 0x11, BYTES(ADDRESS4 "\x03\0\x04zzzz"), PROXY_FAULT_CRC32C, NULL},
        {"SSL of 4 bytes", 0x21, 0x11, BYTES(ADDRESS4 "\x20\0\x04zzzz"), PROXY_FAULT_TLV, NULL},
        {"SSL sub-TLV beyond its parent", 0x21, 0x11,
         BYTES(ADDRESS4 "\x20\0\x09\x01\0\0\0\0\x21\0\x02q\x04\0\0"), PROXY_FAULT_TLV, NULL},
        {"SSL with two bytes left", 0x21, 0x11, BYTES(ADDRESS4 "\x20\0\x07\x01\0\0\0\0\x21\0"),
         PROXY_FAULT_TLV, NULL},
        {"SSL twice", 0x21, 0x11, BYTES(ADDRESS4 "\x20\0\x05\x01\0\0\0\0\x20\0\x05\x01\0\0\0\0"),
         PROXY_FAULT_TLV, NULL},
    };
    uint8_t bytes[4096];

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        size_t len = v2_make(bytes, rows[i].command, rows[i].family, rows[i].rest, rows[i].len);
        struct proxy_header h;
        enum proxy_fault fault;
        size_t used;
        char text[NET_ENDPOINT_TEXT_CAP];
        memcpy(bytes + len, "EHLO", 4); /* what follows is not looked at */
        enum proxy_result rc = proxy_parse(&h, &used, &fault, base_span_of(bytes, len + 4));
        if (fault != rows[i].fault || rc != (fault == 0 ? PROXY_OK : PROXY_BAD))
            fail_msg("%s: %s", rows[i].name, proxy_fault_text(fault));
        naive_compare(base_span_of(bytes, len));
        if (rc != PROXY_OK)
            continue;
        assert_int_equal(used, len);
        assert_int_equal(h.version, 2);
        assert_int_equal(h.local, rows[i].command == 0x20);
        assert_int_equal(h.addressed, rows[i].source != NULL);
        if (h.addressed) {
            net_endpoint_format(text, &h.source);
            assert_string_equal(text, rows[i].source);
        }
    }
}

/* A signature that differs in any one byte is none, and is known at that byte. */
static void v2_signature(void **state)
{
    (void)state;
    uint8_t bytes[64];
    struct proxy_header h;
    enum proxy_fault fault;
    size_t used;

    for (size_t i = 0; i < 12; i++) {
        v2_make(bytes, 0x21, 0x11, BYTES(ADDRESS4));
        bytes[i] ^= 0x20;
        assert_int_equal(proxy_parse(&h, &used, &fault, base_span_of(bytes, i + 1)), PROXY_BAD);
        assert_int_equal(fault, PROXY_FAULT_SIGNATURE);
        assert_int_equal(proxy_parse(&h, &used, &fault, base_span_of(bytes, i)), PROXY_MORE);
    }
}

/* A length over the bound is refused by the fixed part alone. */
static void v2_length(void **state)
{
    (void)state;
    static const size_t rest[] = {PROXY_HEADER_MAX - 16, PROXY_HEADER_MAX - 15, 65535};
    static uint8_t bytes[65536 + 16], zeros[65536];
    struct proxy_header h;
    enum proxy_fault fault;
    size_t used;

    for (size_t i = 0; i < BASE_ARRAY_CNT(rest); i++) {
        size_t len = v2_make(bytes, 0x20, 0, zeros, rest[i]);
        enum proxy_result rc = proxy_parse(&h, &used, &fault, base_span_of(bytes, 16));
        assert_int_equal(rc, i == 0 ? PROXY_MORE : PROXY_BAD);
        assert_int_equal(fault, i == 0 ? PROXY_FAULT_NONE : PROXY_FAULT_LONG);
        rc = proxy_parse(&h, &used, &fault, base_span_of(bytes, len));
        assert_int_equal(rc, i == 0 ? PROXY_OK : PROXY_BAD);
    }
}

static void tlv_lengths(void **state)
{
    (void)state;
    static const struct {
        uint8_t type;
        uint16_t max;
    } rows[] = {{2, PROXY_AUTHORITY_MAX}, {5, PROXY_UNIQUE_ID_MAX}};
    uint8_t rest[1024] = {0}, bytes[1100];
    struct proxy_header h;
    enum proxy_fault fault;
    size_t used;

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++)
        for (uint16_t len = rows[i].max; len <= rows[i].max + 1; len++) {
            memcpy(rest, ADDRESS4, 12);
            rest[12] = rows[i].type;
            base_put_be16(rest + 13, len);
            size_t whole = v2_make(bytes, 0x21, 0x11, rest, 15U + len);
            enum proxy_result rc = proxy_parse(&h, &used, &fault, base_span_of(bytes, whole));
            assert_int_equal(rc, len == rows[i].max ? PROXY_OK : PROXY_BAD);
            assert_int_equal(fault, rc == PROXY_OK ? PROXY_FAULT_NONE : PROXY_FAULT_TLV);
            naive_compare(base_span_of(bytes, whole));
        }
}

static void tlv_values(void **state)
{
    (void)state;
    static const char tlvs[] = ADDRESS4 "\x01\0\x04smtp"
                                        "\x02\0\x0bmx.example."
                                        "\x20\0\x1d\x03\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x02me"
                                        "\x23\0\x03"
                                        "AES\x26\0\0"
                                        "\x05\0\x03id7\x03\0\x04\0\0\0\0";
    uint8_t bytes[256];
    size_t len = v2_make(bytes, 0x21, 0x11, BYTES(tlvs)), used;
    struct proxy_header h;
    enum proxy_fault fault;

    base_put_be32(bytes + len - 4, naive_crc32c(bytes, len, len - 4));
    assert_int_equal(proxy_parse(&h, &used, &fault, base_span_of(bytes, len)), PROXY_OK);
    naive_compare(base_span_of(bytes, len));
    assert_true(base_span_eq(h.alpn, base_span_str("smtp")));
    assert_true(base_span_eq(h.authority, base_span_str("mx.example.")));
    assert_true(base_span_eq(h.unique_id, base_span_str("id7")));
    assert_true(h.ssl.present && h.ssl.tls && h.ssl.verified);
    assert_true(base_span_eq(h.ssl.version, base_span_str("TLSv1.3")));
    assert_true(base_span_eq(h.ssl.name, base_span_str("me")));
    assert_true(base_span_eq(h.ssl.cipher, base_span_str("AES")));
    /* No bit may change: but that of LOCAL, which has no checksum, and where the checksum's own TLV
     * would be another one. */
    for (size_t bit = 12 * 8; bit < len * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        enum proxy_result rc = proxy_parse(&h, &used, &fault, base_span_of(bytes, len));
        assert_true(rc != PROXY_OK || h.local || bit / 8 == len - 7);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* What we write is read, and each split of it. */
static void written(void **state)
{
    (void)state;
    static const struct {
        const char *source, *destination, *v1;
    } rows[] = {
        {"192.0.2.1:5000", "198.51.100.2:25", "PROXY TCP4 192.0.2.1 198.51.100.2 5000 25\r\n"},
        {"[2001:db8::1]:5000", "[2001:db8::2]:465",
         "PROXY TCP6 2001:db8::1 2001:db8::2 5000 465\r\n"},
        {"192.0.2.1:5000", "[2001:db8::2]:465",
         "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 5000 465\r\n"},
        {"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
         "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"},
        {NULL, NULL, "PROXY UNKNOWN\r\n"},
    };

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++)
        for (unsigned version = 1; version <= 2; version++) {
            struct net_endpoint source = {0}, destination = {0};
            bool local = rows[i].source == NULL;
            uint8_t room[PROXY_WRITE_MAX];
            struct base_buf out = {.p = room, .cap = sizeof(room)};
            struct proxy_header h;
            enum proxy_fault fault;
            size_t used;
            if (!local) {
                assert_int_equal(net_endpoint_parse(&source, base_span_str(rows[i].source)), 0);
                assert_int_equal(
                    net_endpoint_parse(&destination, base_span_str(rows[i].destination)), 0);
            }
            assert_int_equal(
                proxy_write(&out, version, local ? NULL : &source, local ? NULL : &destination), 0);
            if (version == 1)
                assert_true(base_span_eq(base_buf_span(&out), base_span_str(rows[i].v1)));
            assert_int_equal(proxy_parse(&h, &used, &fault, base_buf_span(&out)), PROXY_OK);
            assert_int_equal(used, out.len);
            assert_int_equal(h.local, local && version == 2);
            assert_true(net_addr_eq(&h.source.addr, &source.addr) && h.source.port == source.port);
            naive_compare(base_buf_span(&out));
            out.cap = out.len - 1;
            out.len = 0;
            assert_int_equal(
                proxy_write(&out, version, local ? NULL : &source, local ? NULL : &destination),
                -ENOSPC);
            assert_int_equal(out.len, 0);
        }
}

/* Bytes at random, and good headers with some changed: both parsers say the same. */
static void at_random(void **state)
{
    (void)state;
    static const char *const begin[] = {"PROXY TCP4 192.0.2.1 198.51.100.2 5000 25\r\n",
                                        "PROXY TCP6 2001:db8::1 ::2 5000 465\r\n",
                                        "PROXY UNKNOWN\r\n", NULL};
    unsigned seed = 1;
    uint8_t bytes[256];

    for (int round = 0; round < 200000; round++) {
        const char *text = begin[rand_r(&seed) % 4];
        size_t len = text != NULL ? strlen(text) : 0;
        if (text != NULL)
            memcpy(bytes, text, len);
        else
            len = v2_make(bytes, rand_r(&seed) % 4 == 0 ? 0x20 : 0x21,
                          rand_r(&seed) % 2 == 0 ? 0x11 : 0x21,
                          BYTES(ADDRESS6 "\x04\0\0\x02\0\x02qq\x20\0\x08\x01\0\0\0\0\x21\0\0"));
        for (int change = rand_r(&seed) % 4; change > 0; change--)
            bytes[(size_t)rand_r(&seed) % len] = (uint8_t)rand_r(&seed);
        naive_compare(base_span_of(bytes, len));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plausible),   cmocka_unit_test(v1),           cmocka_unit_test(v1_length),
        cmocka_unit_test(v2),          cmocka_unit_test(v2_signature), cmocka_unit_test(v2_length),
        cmocka_unit_test(tlv_lengths), cmocka_unit_test(tlv_values),   cmocka_unit_test(written),
        cmocka_unit_test(at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
