/* Proof by names and a trust store, and by fingerprints; what is said of a certificate; and that a
 * requirement's digest tells requirements apart. */
#include "dane_rig.h"

#include "dane_requirement.h"
#include "dane_trust.h"

#include <stdio.h>
#include <stdlib.h>

static struct authority root, stranger, middle, late, leaf, wild, top, address, old, young, many;
static struct dane_trust *trust;

static struct base_span pem_of(const struct authority *a, const char *before, char *to, size_t cap)
{
    BIO *b = BIO_new(BIO_s_mem());
    char *text;

    assert_int_equal(PEM_write_bio_X509(b, a->x), 1);
    long len = BIO_get_mem_data(b, &text);
    int n = snprintf(to, cap, "%s%.*s", before, (int)len, text);
    assert_true(n > 0 && (size_t)n < cap);
    BIO_free(b);
    return base_span_of(to, (size_t)n);
}

static int setup(void **state)
{
    const int64_t from = NOW_S - 10 * DAY_S, to = NOW_S + 10 * DAY_S;
    char text[4096];

    (void)state;
    make(&root, "Root One", NULL, "critical,CA:TRUE", NULL, from, to);
    make(&stranger, "Root One", NULL, "critical,CA:TRUE", NULL, from, to);
    make(&middle, "middle", &root, "critical,CA:TRUE", NULL, from, to);
    make(&late, "late", &root, "critical,CA:TRUE", NULL, from, NOW_S - DAY_S);
    make(&leaf, "cn.example.org", &middle, "CA:FALSE", "DNS:" HOST, from, to);
    make(&wild, "wild", &middle, NULL, "DNS:*.example.org", from, to);
    make(&top, "top", &middle, NULL, "DNS:*.org", from, to);
    make(&address, "192.0.2.9", &middle, NULL, "IP:192.0.2.1,IP:2001:db8::1", from, to);
    make(&old, HOST, &middle, NULL, "DNS:" HOST, from, NOW_S - 2 * DAY_S);
    make(&young, HOST, &middle, NULL, "DNS:" HOST, NOW_S + 2 * DAY_S, to);
    make(&many, "m\ny", &middle, NULL,
         "DNS:one.example.org,DNS:two.example.org,DNS:three.example.org,DNS:four.example.org", from,
         to);
    trust = dane_trust_read(pem_of(&root, "# a comment\n", text, sizeof(text)));
    assert_non_null(trust);
    return 0;
}

static int teardown(void **state)
{
    struct authority *all[] = {&root, &stranger, &middle, &late,  &leaf, &wild,
                               &top,  &address,  &old,    &young, &many};

    (void)state;
    dane_trust_free(trust);
    for (size_t i = 0; i < BASE_ARRAY_CNT(all); i++) {
        X509_free(all[i]->x);
        EVP_PKEY_free(all[i]->key);
        OPENSSL_free(all[i]->der);
    }
    return 0;
}

static enum dane_result verify(struct dane_chain chain, const char *name)
{
    const char *names[] = {"first.example", name};

    return dane_verify(trust, &chain, names, 2, NOW_S);
}

static void names_and_store(void **state)
{
    (void)state;
    assert_int_equal(verify(chain_of(2, &leaf, &middle), HOST), DANE_MATCH_TA);
    assert_int_equal(verify(chain_of(3, &leaf, &root, &middle), HOST), DANE_MATCH_TA);
    assert_int_equal(verify(chain_of(2, &leaf, &middle), "MX.Example.ORG"), DANE_MATCH_TA);
    assert_int_equal(verify(chain_of(2, &leaf, &middle), "example.org"), DANE_NAME_MISMATCH);
    assert_int_equal(verify(chain_of(2, &leaf, &middle), "cn.example.org"), DANE_NAME_MISMATCH);
    assert_int_equal(verify(chain_of(2, &leaf, &middle), "x." HOST), DANE_NAME_MISMATCH);
    /* one label, and not of everybody */
    assert_int_equal(verify(chain_of(2, &wild, &middle), HOST), DANE_MATCH_TA);
    assert_int_equal(verify(chain_of(2, &wild, &middle), "a.mx.example.org"), DANE_NAME_MISMATCH);
    assert_int_equal(verify(chain_of(2, &wild, &middle), "example.org"), DANE_NAME_MISMATCH);
    assert_int_equal(verify(chain_of(2, &top, &middle), "example.org"), DANE_NAME_MISMATCH);
    /* addresses */
    assert_int_equal(verify(chain_of(2, &address, &middle), "192.0.2.1"), DANE_MATCH_TA);
    assert_int_equal(verify(chain_of(2, &address, &middle), "2001:db8:0::1"), DANE_MATCH_TA);
    assert_int_equal(verify(chain_of(2, &address, &middle), "192.0.2.2"), DANE_NAME_MISMATCH);
    assert_int_equal(verify(chain_of(2, &leaf, &middle), "192.0.2.1"), DANE_NAME_MISMATCH);
}

static void chains(void **state)
{
    struct dane_chain damaged = chain_of(2, &leaf, &middle);

    (void)state;
    assert_int_equal(verify(chain_of(1, &leaf), HOST), DANE_NO_MATCH);
    assert_int_equal(verify(chain_of(1, &stranger), HOST), DANE_NO_MATCH);
    assert_int_equal(verify(chain_of(2, &leaf, &late), HOST), DANE_NO_MATCH);
    assert_int_equal(verify(chain_of(2, &old, &middle), HOST), DANE_EXPIRED);
    assert_int_equal(verify(chain_of(2, &young, &middle), HOST), DANE_EXPIRED);
    assert_int_equal(verify(chain_of(0), HOST), DANE_NO_CERTIFICATE);
    damaged.der[0].len--;
    assert_int_equal(verify(damaged, HOST), DANE_NO_CERTIFICATE);
    damaged = chain_of(2, &leaf, &middle);
    const char *name = HOST;
    assert_int_equal(dane_verify(NULL, &damaged, &name, 1, NOW_S), DANE_NO_MATCH);
    assert_int_equal(dane_verify(trust, &damaged, &name, 0, NOW_S), DANE_NAME_MISMATCH);
    struct dane_trust *shared = dane_trust_share(trust);
    assert_int_equal(dane_trust_count(shared), 1);
    assert_int_equal(dane_verify(shared, &damaged, &name, 1, NOW_S), DANE_MATCH_TA);
    dane_trust_free(shared);
}

/* What is in a file besides certificates does not matter; a file without one is none. */
static void stores(void **state)
{
    static const char *const none[] = {
        "", "rubbish\n", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n"};
    char one[4096], two[8192];

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(none); i++)
        assert_null(dane_trust_read(base_span_str(none[i])));
    pem_of(&stranger, none[2], one, sizeof(one));
    struct dane_trust *t = dane_trust_read(pem_of(&root, one, two, sizeof(two)));
    assert_non_null(t);
    assert_int_equal(dane_trust_count(t), 2);
    dane_trust_free(t);
}

static void fingerprints(void **state)
{
    uint8_t certificate[32], key[32], other[32] = {0};
    struct dane_chain chain = chain_of(2, &leaf, &middle);
    uint8_t *der = NULL;

    (void)state;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf.x), &der);
    assert_int_equal(EVP_Digest(leaf.der, leaf.len, certificate, NULL, EVP_sha256(), NULL), 1);
    assert_int_equal(EVP_Digest(der, (size_t)len, key, NULL, EVP_sha256(), NULL), 1);
    OPENSSL_free(der);
    struct base_span wanted[] = {base_span_of(other, 32), base_span_of(certificate, 32)};
    assert_true(dane_fingerprint(&chain, wanted, 2));
    assert_false(dane_fingerprint(&chain, wanted, 1));
    wanted[1] = base_span_of(key, 32);
    assert_true(dane_fingerprint(&chain, wanted, 2));
    wanted[1] = base_span_of(key, 31);
    assert_false(dane_fingerprint(&chain, wanted, 2));
    /* of an issuer: not the server's */
    assert_int_equal(EVP_Digest(middle.der, middle.len, certificate, NULL, EVP_sha256(), NULL), 1);
    wanted[1] = base_span_of(certificate, 32);
    assert_false(dane_fingerprint(&chain, wanted, 2));
    chain.cnt = 0;
    assert_false(dane_fingerprint(&chain, wanted, 2));
}

static void shown(void **state)
{
    struct dane_chain chain = chain_of(1, &leaf);
    struct dane_shown s;

    (void)state;
    assert_true(dane_shown_read(&s, &chain));
    assert_string_equal(s.names, HOST);
    assert_string_equal(s.issuer, "middle");
    assert_int_equal(s.not_before_s, NOW_S - 10 * DAY_S);
    assert_int_equal(s.not_after_s, NOW_S + 10 * DAY_S);
    chain = chain_of(1, &many);
    assert_true(dane_shown_read(&s, &chain));
    assert_string_equal(s.names, "one.example.org, two.example.org, three.example.org, four.ex...");
    chain = chain_of(1, &address); /* no name in it: its CN */
    assert_true(dane_shown_read(&s, &chain));
    assert_string_equal(s.names, "192.0.2.9");
    chain = chain_of(1, &stranger);
    assert_true(dane_shown_read(&s, &chain));
    assert_string_equal(s.issuer, "Root One");
    chain.der[0].len = 5;
    assert_false(dane_shown_read(&s, &chain));
}

/* O9, D58: any difference is another digest: connections are shared by it. */
static void digests(void **state)
{
    static const uint8_t key[16] = {1}, other_key[16] = {2};
    const char *one[] = {"a", "b"}, *joined[] = {"ab"};
    uint8_t data[2][32] = {{1}, {2}};
    struct base_span prints[] = {base_span_of(data[0], 32), base_span_of(data[1], 32)};
    struct dane_record records[] = {{3, 1, 1, base_span_of(data[0], 32)},
                                    {3, 1, 2, base_span_of(data[0], 32)},
                                    {2, 1, 1, base_span_of(data[0], 32)},
                                    {3, 1, 1, base_span_of(data[1], 32)}};
    struct dane_requirement r[] = {
        {.level = DANE_LEVEL_MAY},
        {.level = DANE_LEVEL_ENCRYPT},
        {.proof = DANE_PROOF_ENCRYPTED},
        {.trusted_only = true},
        {.sni = ""},
        {.sni = "a"},
        {.sni = "b"},
        {.names = one, .name_cnt = 1},
        {.names = one, .name_cnt = 2},
        {.names = joined, .name_cnt = 1},
        {.records = records, .record_cnt = 1},
        {.records = records + 1, .record_cnt = 1},
        {.records = records + 2, .record_cnt = 1},
        {.records = records + 3, .record_cnt = 1},
        {.records = records, .record_cnt = 2},
        {.fingerprints = prints, .fingerprint_cnt = 1},
        {.fingerprints = prints + 1, .fingerprint_cnt = 1},
        {.fingerprints = prints, .fingerprint_cnt = 2},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(r); i++) {
        uint64_t own = dane_requirement_digest(&r[i], key);
        assert_true(own == dane_requirement_digest(&r[i], key));
        assert_true(own != dane_requirement_digest(&r[i], other_key));
        for (size_t j = 0; j < i; j++)
            if (own == dane_requirement_digest(&r[j], key))
                fail_msg("rows %zu and %zu have one digest", i, j);
    }
}

/* RFC 2181 section 5: the records of a set have no order, and resolvers turn them round. */
static void no_order(void **state)
{
    static const uint8_t key[16] = {1};
    uint8_t data[2][32] = {{1}, {2}};
    struct dane_record there[] = {{3, 1, 1, base_span_of(data[0], 32)},
                                  {2, 0, 1, base_span_of(data[1], 32)},
                                  {3, 1, 1, base_span_of(data[1], 32)}};
    struct dane_record turned[] = {there[2], there[0], there[1]};
    struct dane_record crossed[] = {{2, 0, 1, there[0].data}, {3, 1, 1, there[1].data}, there[2]};
    struct dane_requirement a = {.records = there, .record_cnt = 3},
                            b = {.records = turned, .record_cnt = 3},
                            c = {.records = crossed, .record_cnt = 3};

    (void)state;
    assert_true(dane_requirement_digest(&a, key) == dane_requirement_digest(&b, key));
    assert_true(dane_requirement_digest(&a, key) != dane_requirement_digest(&c, key));
    b.record_cnt = 2;
    assert_true(dane_requirement_digest(&a, key) != dane_requirement_digest(&b, key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_store), cmocka_unit_test(chains), cmocka_unit_test(stores),
        cmocka_unit_test(fingerprints),    cmocka_unit_test(shown),  cmocka_unit_test(digests),
        cmocka_unit_test(no_order),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
