/*
 * TLSA records against chains made on the spot: rows D24 to D57 of the table that lib/dane
 * implements, each positive and negative.
 */
#include "dane_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- certificates ---- */

static struct authority root, middle, leaf, other_root, expired, blunt, short_path, wildcard,
    nameless, self;

static int setup(void **state)
{
    const int64_t from = NOW_S - 10 * DAY_S, to = NOW_S + 10 * DAY_S;

    (void)state;
    make(&root, "root", NULL, "critical,CA:TRUE", NULL, from, to);
    make(&other_root, "root", NULL, "critical,CA:TRUE", NULL, from, to); /* of the same name */
    make(&middle, "middle", &root, "critical,CA:TRUE", NULL, from, to);
    make(&expired, "expired", &root, "critical,CA:TRUE", NULL, from, NOW_S - DAY_S);
    make(&blunt, "blunt", &root, "critical,CA:FALSE", NULL, from, to);
    make(&short_path, "short", &root, "critical,CA:TRUE,pathlen:0", NULL, from, to);
    make(&leaf, "cn.example.org", &middle, "CA:FALSE", "DNS:" HOST, from, to);
    make(&wildcard, "wild", &middle, NULL, "DNS:*.example.org", from, to);
    make(&nameless, HOST, &middle, NULL, NULL, from, to);
    make(&self, "self", NULL, NULL, "DNS:else.example", from, NOW_S - DAY_S);
    return 0;
}

static int teardown(void **state)
{
    struct authority *all[] = {&root,  &middle,     &leaf,     &other_root, &expired,
                               &blunt, &short_path, &wildcard, &nameless,   &self};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(all); i++) {
        X509_free(all[i]->x);
        EVP_PKEY_free(all[i]->key);
        OPENSSL_free(all[i]->der);
    }
    return 0;
}

/* ---- records ---- */

static uint8_t rooms[8][4096];

/* "3 1 1" of a certificate; each has a room for its data. */
static struct dane_record record(unsigned room, uint8_t usage, uint8_t selector, uint8_t matching,
                                 const struct authority *a)
{
    uint8_t *der = NULL;
    unsigned digest_len = 0;
    int len =
        selector == 1 ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(a->x), &der) : i2d_X509(a->x, &der);
    const EVP_MD *md = matching == 1 ? EVP_sha256() : EVP_sha512();

    assert_true(len > 0 && (size_t)len <= sizeof(rooms[0]));
    if (matching == 0)
        memcpy(rooms[room], der, (size_t)len);
    else
        assert_int_equal(EVP_Digest(der, (size_t)len, rooms[room], &digest_len, md, NULL), 1);
    OPENSSL_free(der);
    return (struct dane_record){
        usage, selector, matching,
        base_span_of(rooms[room], matching == 0 ? (size_t)len : digest_len)};
}

static struct dane_record spoilt(unsigned room, uint8_t usage, uint8_t selector, uint8_t matching)
{
    struct dane_record r = record(room, usage, selector, matching, &leaf);

    rooms[room][0] ^= 1;
    return r;
}

static enum dane_result match(const struct dane_record *r, uint32_t cnt, struct dane_chain chain,
                              const char *name)
{
    struct dane_record selected[8];
    uint32_t n = dane_select(r, cnt, selected), matched = UINT32_MAX;
    enum dane_result result = dane_match(selected, n, &chain, &name, 1, NOW_S, &matched);

    assert_int_equal(dane_result_ok(result), matched < n);
    return result;
}

static enum dane_result match_one(struct dane_record r, struct dane_chain chain)
{
    return match(&r, 1, chain, HOST);
}

/* ---- which count ---- */

/* D25, D27: usages 0, 1 and 4 to 255, selectors and matching types that nobody knows, data of a
 * wrong length. */
static void usable(void **state)
{
    static const struct {
        uint8_t usage, selector, matching;
        size_t len;
        bool usable;
    } rows[] = {
        {3, 1, 1, 32, true},  {3, 1, 1, 31, false},   {3, 1, 1, 33, false}, {3, 1, 1, 0, false},
        {3, 0, 2, 64, true},  {3, 0, 2, 32, false},   {2, 0, 1, 32, true},  {2, 1, 2, 64, true},
        {0, 1, 1, 32, false}, {1, 1, 1, 32, false},   {4, 1, 1, 32, false}, {255, 0, 1, 32, false},
        {3, 2, 1, 32, false}, {3, 255, 1, 32, false}, {3, 1, 3, 32, false}, {3, 1, 255, 64, false},
        {3, 0, 0, 40, false}, /* no certificate */
        {3, 1, 0, 40, false}, {3, 0, 0, 0, false},
    };
    static const uint8_t zeros[64];

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct dane_record r = {rows[i].usage, rows[i].selector, rows[i].matching,
                                base_span_of(zeros, rows[i].len)};
        if (dane_record_usable(&r) != rows[i].usable)
            fail_msg("%u %u %u with %zu bytes", r.usage, r.selector, r.matching, rows[i].len);
    }
    for (uint8_t usage = 2; usage <= 3; usage++)
        for (uint8_t selector = 0; selector <= 1; selector++) {
            struct dane_record r = record(0, usage, selector, 0, &leaf);
            assert_true(dane_record_usable(&r));
            r.data.len--;
            assert_false(dane_record_usable(&r));
        }
}

/* D27, RFC 7671 section 9: of one usage and selector the strongest digest alone counts, wrong or
 * not. */
static void digest_agility(void **state)
{
    (void)state;
    struct dane_record both[] = {record(0, 3, 1, 1, &leaf), spoilt(1, 3, 1, 2)};
    assert_int_equal(match(both, 2, chain_of(1, &leaf), HOST), DANE_NO_MATCH);
    struct dane_record apart[] = {record(0, 3, 1, 1, &leaf), spoilt(1, 3, 0, 2)};
    assert_int_equal(match(apart, 2, chain_of(1, &leaf), HOST), DANE_MATCH_EE);
    struct dane_record whole[] = {record(0, 3, 1, 0, &leaf), spoilt(1, 3, 1, 2)};
    assert_int_equal(match(whole, 2, chain_of(1, &leaf), HOST), DANE_MATCH_EE);
    /* What is not usable weakens nothing. */
    struct dane_record short_one[] = {record(0, 3, 1, 1, &leaf), record(1, 3, 1, 2, &leaf)};
    short_one[1].data.len = 63;
    assert_int_equal(match(short_one, 2, chain_of(1, &leaf), HOST), DANE_MATCH_EE);
    struct dane_record unusable[] = {record(0, 1, 1, 1, &leaf), record(1, 0, 0, 1, &leaf)};
    struct dane_record out[2];
    assert_int_equal(dane_select(unusable, 2, out), 0);
}

/* ---- the server's own certificate ---- */

/* D40 to D45, 3 s m; D46, whatever the certificate says; D47, an issuer's record; D29, no match. */
static void own_certificate(void **state)
{
    (void)state;
    for (uint8_t selector = 0; selector <= 1; selector++)
        for (uint8_t matching = 0; matching <= 2; matching++) {
            assert_int_equal(
                match_one(record(0, 3, selector, matching, &leaf), chain_of(2, &leaf, &middle)),
                DANE_MATCH_EE);
            /* An issuer's is not the server's. */
            assert_int_equal(
                match_one(record(0, 3, selector, matching, &middle), chain_of(2, &leaf, &middle)),
                DANE_NO_MATCH);
            if (matching > 0)
                assert_int_equal(match_one(spoilt(0, 3, selector, matching), chain_of(1, &leaf)),
                                 DANE_NO_MATCH);
        }
    /* Expired, for another name, signed by itself: all the same. */
    assert_int_equal(match_one(record(0, 3, 1, 1, &self), chain_of(1, &self)), DANE_MATCH_EE);
    assert_int_equal(match_one(record(0, 3, 1, 1, &leaf), chain_of(0)), DANE_NO_CERTIFICATE);
    struct dane_chain damaged = chain_of(1, &leaf);
    damaged.der[0].len--;
    assert_int_equal(match_one(record(0, 3, 1, 1, &leaf), damaged), DANE_NO_CERTIFICATE);
}

/* ---- trust anchors ---- */

/* D48, 2 s m; D49, another name; D52, not in the chain; D54, the server's own; D55, in any order.
 */
static void anchor_in_chain(void **state)
{
    const struct authority *anchors[] = {&middle, &root};

    (void)state;
    for (size_t i = 0; i < 2; i++)
        for (uint8_t selector = 0; selector <= 1; selector++)
            for (uint8_t matching = 0; matching <= 2; matching++) {
                struct dane_record r = record(0, 2, selector, matching, anchors[i]);
                assert_int_equal(match_one(r, chain_of(3, &leaf, &middle, &root)), DANE_MATCH_TA);
                /* In any order, with what does not belong there. */
                assert_int_equal(match_one(r, chain_of(4, &leaf, &root, &self, &middle)),
                                 DANE_MATCH_TA);
                assert_int_equal(match(&r, 1, chain_of(3, &leaf, &middle, &root), "mx.else.org"),
                                 DANE_NAME_MISMATCH);
            }
    assert_int_equal(match_one(spoilt(0, 2, 0, 1), chain_of(3, &leaf, &middle, &root)),
                     DANE_NO_MATCH);
    /* Not in the chain: a digest alone proves nothing. */
    assert_int_equal(match_one(record(0, 2, 0, 1, &root), chain_of(2, &leaf, &middle)),
                     DANE_NO_MATCH);
    /* The server's own certificate is no anchor. */
    for (uint8_t matching = 0; matching <= 2; matching++)
        for (uint8_t selector = 0; selector <= 1; selector++) {
            struct dane_record r = record(0, 2, selector, matching, &self);
            assert_int_equal(match(&r, 1, chain_of(1, &self), "else.example"), DANE_NO_MATCH);
            r = record(0, 2, selector, matching, &leaf);
            assert_int_equal(match_one(r, chain_of(3, &leaf, &leaf, &middle)), DANE_NO_MATCH);
        }
}

/* D53: the certificate or the key stands in the DNS. */
static void anchor_in_record(void **state)
{
    (void)state;
    assert_int_equal(match_one(record(0, 2, 0, 0, &root), chain_of(2, &leaf, &middle)),
                     DANE_MATCH_TA);
    assert_int_equal(match_one(record(0, 2, 1, 0, &root), chain_of(2, &leaf, &middle)),
                     DANE_MATCH_TA);
    assert_int_equal(match_one(record(0, 2, 1, 0, &middle), chain_of(1, &leaf)), DANE_MATCH_TA);
    assert_int_equal(match_one(record(0, 2, 0, 0, &middle), chain_of(1, &leaf)), DANE_MATCH_TA);
    assert_int_equal(match_one(record(0, 2, 0, 0, &other_root), chain_of(2, &leaf, &middle)),
                     DANE_NO_MATCH);
    assert_int_equal(match_one(record(0, 2, 1, 0, &other_root), chain_of(2, &leaf, &middle)),
                     DANE_NO_MATCH);
}

/* D55: the anchor is there, the way to it is not. */
static void chains_that_do_not_hold(void **state)
{
    struct authority below_expired, below_blunt, below_short, deep, not_yet;
    const int64_t from = NOW_S - DAY_S, to = NOW_S + DAY_S;

    (void)state;
    make(&below_expired, HOST, &expired, NULL, "DNS:" HOST, from, to);
    make(&below_blunt, HOST, &blunt, NULL, "DNS:" HOST, from, to);
    make(&below_short, "ca", &short_path, "critical,CA:TRUE", NULL, from, to);
    make(&deep, HOST, &below_short, NULL, "DNS:" HOST, from, to);
    make(&not_yet, HOST, &middle, NULL, "DNS:" HOST, NOW_S + DAY_S, to + DAY_S);
    struct dane_record r = record(0, 2, 0, 1, &root);
    assert_int_equal(match_one(r, chain_of(3, &below_expired, &expired, &root)), DANE_EXPIRED);
    assert_int_equal(match_one(r, chain_of(3, &below_blunt, &blunt, &root)), DANE_NOT_VALID);
    assert_int_equal(match_one(r, chain_of(4, &deep, &below_short, &short_path, &root)),
                     DANE_NOT_VALID);
    assert_int_equal(match_one(r, chain_of(3, &not_yet, &middle, &root)), DANE_EXPIRED);
    /* One of the same name, put in as an issuer. */
    r = record(0, 2, 0, 1, &other_root);
    assert_int_equal(match_one(r, chain_of(3, &leaf, &middle, &other_root)), DANE_NOT_VALID);
    struct authority *all[] = {&below_expired, &below_blunt, &below_short, &deep, &not_yet};
    for (size_t i = 0; i < BASE_ARRAY_CNT(all); i++) {
        X509_free(all[i]->x);
        EVP_PKEY_free(all[i]->key);
        OPENSSL_free(all[i]->der);
    }
}

/* D50, D51. */
static void names(void **state)
{
    static const struct {
        const struct authority *a;
        const char *name;
        bool ok;
    } rows[] = {
        {&leaf, HOST, true},
        {&leaf, "MX.example.ORG", true},
        {&leaf, "cn.example.org", false}, /* a CN beside a dNSName is nothing */
        {&nameless, HOST, true},          /* a CN alone */
        {&wildcard, HOST, true},
        {&wildcard, "a.b.example.org", false},
        {&wildcard, "example.org", false},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct dane_record r = record(0, 2, 0, 1, &middle);
        enum dane_result got = match(&r, 1, chain_of(2, rows[i].a, &middle), rows[i].name);
        if (got != (rows[i].ok ? DANE_MATCH_TA : DANE_NAME_MISMATCH))
            fail_msg("row %zu: %s", i, dane_result_name(got));
    }
}

/* D56, D57: one match suffices, of whatever kind. */
static void several_records(void **state)
{
    (void)state;
    struct dane_record r[] = {spoilt(0, 3, 1, 1), record(1, 2, 0, 1, &other_root),
                              record(2, 2, 0, 1, &middle), spoilt(3, 3, 0, 1)};
    assert_int_equal(match(r, 4, chain_of(2, &leaf, &middle), HOST), DANE_MATCH_TA);
    struct dane_record keys[] = {spoilt(0, 3, 1, 1), record(1, 3, 1, 1, &leaf)}; /* a rollover */
    assert_int_equal(match(keys, 2, chain_of(2, &leaf, &middle), HOST), DANE_MATCH_EE);
    struct dane_record mixed[] = {record(0, 2, 0, 1, &middle), record(1, 3, 1, 1, &leaf)};
    assert_int_equal(match(mixed, 2, chain_of(2, &leaf, &middle), "mx.else.org"), DANE_MATCH_EE);
}

/* D30: as many records as an answer may have, of each kind, the good one in any place. */
static void many_records(void **state)
{
    enum { CNT = 1024 };
    static struct dane_record r[CNT], selected[CNT];
    static uint8_t wrong[CNT][32];
    static const uint32_t places[] = {0, 1, 99, 100, 101, CNT / 2, CNT - 1};
    struct dane_chain chain = chain_of(2, &leaf, &middle);
    const char *name = HOST;

    (void)state;
    for (uint8_t usage = 2; usage <= 3; usage++)
        for (size_t p = 0; p < BASE_ARRAY_CNT(places); p++) {
            for (uint32_t i = 0; i < CNT; i++) {
                wrong[i][0] = (uint8_t)i;
                wrong[i][1] = (uint8_t)(i >> 8);
                r[i] = (struct dane_record){usage, 1, 1, base_span_of(wrong[i], 32)};
            }
            r[places[p]] = record(0, usage, 1, 1, usage == 2 ? &middle : &leaf);
            uint32_t n = dane_select(r, CNT, selected), matched = UINT32_MAX;
            assert_int_equal(n, CNT);
            enum dane_result got = dane_match(selected, n, &chain, &name, 1, NOW_S, &matched);
            assert_int_equal(got, usage == 2 ? DANE_MATCH_TA : DANE_MATCH_EE);
            assert_int_equal(matched, places[p]);
            r[places[p]] = r[places[p] == 0];
            n = dane_select(r, CNT, selected);
            assert_int_equal(dane_match(selected, n, &chain, &name, 1, NOW_S, &matched),
                             DANE_NO_MATCH);
        }
}

/* ---- texts ---- */

static void published(void **state)
{
    char text[DANE_PUBLISH_CAP], wanted[DANE_PUBLISH_CAP];
    struct dane_record r = record(0, 3, 1, 1, &leaf);

    (void)state;
    int n = snprintf(wanted, sizeof(wanted), "3 1 1 ");
    for (size_t i = 0; i < 32; i++)
        n += snprintf(wanted + n, sizeof(wanted) - (size_t)n, "%02x", r.data.p[i]);
    assert_int_equal(dane_publish(text, base_span_of(leaf.der, leaf.len)), 0);
    assert_string_equal(text, wanted);
    assert_int_equal(dane_publish(text, base_span_of(leaf.der, 10)), -EINVAL);
}

static void pem(void **state)
{
    BIO *b = BIO_new(BIO_s_mem());
    struct dane_chain c;
    char *text;

    (void)state;
    assert_int_equal(PEM_write_bio_X509(b, leaf.x), 1);
    assert_int_equal(PEM_write_bio_X509(b, middle.x), 1);
    size_t len = (size_t)BIO_get_mem_data(b, &text);
    assert_int_equal(dane_chain_read(&c, base_span_of(text, len)), 0);
    assert_int_equal(c.cnt, 2);
    assert_true(base_span_eq(c.der[0], base_span_of(leaf.der, leaf.len)));
    dane_chain_free(&c);
    assert_int_equal(dane_chain_read(&c, base_span_of(text, len - 40)), -EINVAL);
    assert_int_equal(dane_chain_read(&c, base_span_str("no PEM")), -EINVAL);
    assert_int_equal(dane_chain_read(&c, base_span_of(NULL, 0)), -EINVAL);
    BIO_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usable),
        cmocka_unit_test(digest_agility),
        cmocka_unit_test(own_certificate),
        cmocka_unit_test(anchor_in_chain),
        cmocka_unit_test(anchor_in_record),
        cmocka_unit_test(chains_that_do_not_hold),
        cmocka_unit_test(names),
        cmocka_unit_test(several_records),
        cmocka_unit_test(many_records),
        cmocka_unit_test(published),
        cmocka_unit_test(pem),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
