/* The share of X25519 in a ClientHello: those of OpenSSL's clients, and a table of what is none. */
#include "tls_rig.h"

#include "tls_hello.h"

#include <stdio.h>
#include <stdlib.h>

#define X16       "\x58\x58\x58\x58\x58\x58\x58\x58\x58\x58\x58\x58\x58\x58\x58\x58"
#define X32       X16 X16
#define VERSIONS  "\0\x2b\0\5\4\3\4\3\3"
#define SHARES    "\0\x33\0\x26\0\x24\0\x1d\0\x20" X32
#define TEXT(s)   s, sizeof(s) - 1
#define USUAL     TEXT("\0"), TEXT("\0\2\x13\1"), TEXT("\1\0")
#define EXTENDED  USUAL, TEXT(VERSIONS SHARES)
#define MAX_BYTES 512

static const struct hello {
    const char *what;
    const char *id;
    size_t id_len;
    const char *suites;
    size_t suites_len;
    const char *compressions;
    size_t compressions_len;
    const char *extensions;
    size_t extensions_len;
    bool found;
} hellos[] = {
    {"usual", EXTENDED, true},
    {"a session's name", TEXT("\x20" X32), TEXT("\0\2\x13\1"), TEXT("\1\0"), TEXT(VERSIONS SHARES),
     true},
    {"other extensions around", USUAL,
     TEXT("\0\0\0\0" SHARES "\xab\xcd\0\1x" VERSIONS "\0\x15\0\0"), true},
    {"another group first", USUAL, TEXT(VERSIONS "\0\x33\0\x2c\0\x2a\0\x1e\0\2yy\0\x1d\0\x20" X32),
     true},
    {"another group behind", USUAL,
     TEXT(VERSIONS "\0\x33\0\x2c\0\x2a\0\x1d\0\x20" X32 "\0\x1e\0\2yy"), true},
    {"no versions", USUAL, TEXT(SHARES), false},
    {"no shares", USUAL, TEXT(VERSIONS), false},
    {"TLS 1.2 alone", USUAL, TEXT("\0\x2b\0\3\2\3\3" SHARES), false},
    {"an odd number of bytes of versions", USUAL, TEXT("\0\x2b\0\4\3\3\4\3" SHARES), false},
    {"versions with a byte behind", USUAL, TEXT("\0\x2b\0\4\2\3\4\0" SHARES), false},
    {"versions that are empty", USUAL, TEXT("\0\x2b\0\0" SHARES), false},
    {"versions twice", USUAL, TEXT(VERSIONS VERSIONS SHARES), false},
    {"shares twice", USUAL, TEXT(VERSIONS SHARES SHARES), false},
    {"the group twice", USUAL,
     TEXT(VERSIONS "\0\x33\0\x4a\0\x48\0\x1d\0\x20" X32 "\0\x1d\0\x20" X32), false},
    {"another group alone", USUAL, TEXT(VERSIONS "\0\x33\0\x26\0\x24\0\x1e\0\x20" X32), false},
    {"a list without shares", USUAL, TEXT(VERSIONS "\0\x33\0\2\0\0"), false},
    {"a share that is short", USUAL,
     TEXT(VERSIONS "\0\x33\0\x25\0\x23\0\x1d\0\x1f" X16 "123456789012345"), false},
    {"a share that is long", USUAL, TEXT(VERSIONS "\0\x33\0\x27\0\x25\0\x1d\0\x21" X32 "x"), false},
    {"a share that ends behind its list", USUAL,
     TEXT(VERSIONS "\0\x33\0\x26\0\x24\0\x1d\0\x21" X32), false},
    {"a list that ends behind its extension", USUAL,
     TEXT(VERSIONS "\0\x33\0\x26\0\x25\0\x1d\0\x20" X32), false},
    {"a list that ends before its extension", USUAL,
     TEXT(VERSIONS "\0\x33\0\x27\0\x24\0\x1d\0\x20" X32 "x"), false},
    {"an extension that ends behind them", USUAL, TEXT(VERSIONS SHARES "\0\0\0\1"), false},
    {"half an extension's number", USUAL, TEXT(VERSIONS SHARES "\0"), false},
    {"a session's name of 33 bytes", TEXT("\x21" X32 "x"), TEXT("\0\2\x13\1"), TEXT("\1\0"),
     TEXT(VERSIONS SHARES), false},
    {"no suites", TEXT("\0"), TEXT("\0\0"), TEXT("\1\0"), TEXT(VERSIONS SHARES), false},
    {"a suite and a half", TEXT("\0"), TEXT("\0\3\x13\1x"), TEXT("\1\0"), TEXT(VERSIONS SHARES),
     false},
    {"a compression", TEXT("\0"), TEXT("\0\2\x13\1"), TEXT("\1\1"), TEXT(VERSIONS SHARES), false},
    {"another compression", TEXT("\0"), TEXT("\0\2\x13\1"), TEXT("\2\0\1"), TEXT(VERSIONS SHARES),
     false},
    {"no compressions", TEXT("\0"), TEXT("\0\2\x13\1"), TEXT("\0"), TEXT(VERSIONS SHARES), false},
};

/* A record with it. */
static size_t write_hello(const struct hello *h, uint8_t out[MAX_BYTES])
{
    struct base_buf b = {out, 9, MAX_BYTES};
    uint8_t len[2];

    memcpy(out, "\x16\3\1\0\0\1\0\0\0", 9);
    assert_int_equal(base_buf_put(&b, "\3\3" X32, 34), 0);
    assert_int_equal(base_buf_put(&b, h->id, h->id_len), 0);
    assert_int_equal(base_buf_put(&b, h->suites, h->suites_len), 0);
    assert_int_equal(base_buf_put(&b, h->compressions, h->compressions_len), 0);
    base_put_be16(len, (uint16_t)h->extensions_len);
    assert_int_equal(base_buf_put(&b, len, 2), 0);
    assert_int_equal(base_buf_put(&b, h->extensions, h->extensions_len), 0);
    base_put_be16(out + 3, (uint16_t)(b.len - 5));
    base_put_be16(out + 7, (uint16_t)(b.len - 9));
    return b.len;
}

static const uint8_t *look(const uint8_t *p, size_t len)
{
    uint8_t *copy = malloc(len + 1); /* what is read behind it is found */
    const uint8_t *at;

    assert_non_null(copy);
    memcpy(copy + 1, p, len);
    at = tls_hello_share(base_span_of(copy + 1, len));
    at = at != NULL ? p + (at - copy - 1) : NULL;
    free(copy);
    return at;
}

static void table(void **state)
{
    uint8_t p[MAX_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(hellos) / sizeof(hellos[0]); i++) {
        size_t len = write_hello(&hellos[i], p);
        const uint8_t *share = look(p, len);
        if ((share != NULL) != hellos[i].found)
            fail_msg("%s: %s", hellos[i].what, share != NULL ? "found" : "not found");
        if (share != NULL)
            assert_memory_equal(share, X32, 32);
    }
}

/* The record and the message in it have one end, and what is behind the record is not looked at. */
static void frames(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } wrong[] = {{0, 23}, {1, 2}, {3, 0x7f}, {5, 2}, {6, 1}};
    uint8_t p[MAX_BYTES], q[MAX_BYTES];
    size_t len = write_hello(&hellos[0], p);

    (void)state;
    for (size_t n = 0; n < len; n++)
        assert_null(look(p, n));
    assert_ptr_equal(look(p, len + 1), look(p, len));
    assert_null(tls_hello_share((struct base_span){0}));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        memcpy(q, p, len);
        q[wrong[i].at] = wrong[i].value;
        assert_null(look(q, len));
    }
    for (size_t at = 4; at <= 8; at += 4) /* each of the two lengths, one less and one more */
        for (int by = -1; by <= 1; by += 2) {
            memcpy(q, p, len);
            q[at] = (uint8_t)(q[at] + by);
            assert_null(look(q, len + 1));
        }
}

/* Of OpenSSL's clients. */
static void clients(void **state)
{
    static const struct {
        int version;
        const char *groups;
        bool found;
    } rows[] = {{0, "X25519:P-256", true},
                {TLS1_3_VERSION, "X25519", true},
                {TLS1_2_VERSION, "X25519", false},
                {TLS1_3_VERSION, "P-256:X25519", false}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t hello[4096];
        char groups[32];
        struct kit_peer peer;
        SSL_CTX *ctx = kit_client_context(rows[i].version);
        snprintf(groups, sizeof(groups), "%s", rows[i].groups);
        assert_int_equal(SSL_CTX_set1_groups_list(ctx, groups), 1);
        kit_peer_open(&peer, ctx, true, "mx.example.org");
        (void)kit_peer_step(&peer);
        size_t len = kit_peer_take(&peer, hello, sizeof(hello));
        const uint8_t *share = look(hello, len);
        assert_int_equal(share != NULL, rows[i].found);
        if (share != NULL)
            assert_memory_equal(share - 4, "\0\x1d\0\x20", 4);
        kit_peer_close(&peer);
        SSL_CTX_free(ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(frames),
        cmocka_unit_test(clients),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
