/* TLS contexts: what is refused with a sentence, names, several certificates, reload, tickets. */
#include "tls_rig.h"

#include "tls_memory.h"

#include <openssl/pem.h>

static struct kit_certificate ec, rsa, wild, other, old, weak, odd;
static struct rig rig;
static struct rig_link link;

static const struct tls_policy_spec mx = {.label = "mx", .version_min = TLS_VERSION_12};
static const struct tls_policy_spec resuming = {
    .label = "mx", .version_min = TLS_VERSION_12, .tickets = 1};

static char why[256];

static struct tls_domain *try_domain(const struct tls_certificate_spec *c, uint32_t cnt,
                                     const struct tls_policy_spec *policy, int64_t now_s)
{
    struct tls_domain_spec spec = {.certificates = c,
                                   .certificate_cnt = cnt,
                                   .policies = policy,
                                   .policy_cnt = 1,
                                   .now_s = now_s};

    return tls_domain_build(rig.lane, &spec, why, sizeof(why));
}

static void refused(struct tls_certificate_spec c, const char *sentence)
{
    struct tls_certificate_info info;
    bool chain = strstr(sentence, "holds") != NULL || strstr(sentence, "damaged") != NULL;
    char alone[160];

    assert_null(try_domain(&c, 1, &mx, 1));
    assert_string_equal(why, sentence);
    assert_int_equal(tls_check_certificate(&c, 0, &info, alone, sizeof(alone)),
                     chain ? TLS_CHECK_CHAIN : TLS_CHECK_KEY);
    assert_string_equal(alone, strstr(sentence, ": ") + 2);
}

static char *encrypted_key(void)
{
    BIO *b = BIO_new(BIO_s_mem());
    char *bytes, *copy;
    long len;

    PEM_write_bio_PKCS8PrivateKey(b, ec.key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL);
    len = BIO_get_mem_data(b, &bytes);
    copy = calloc(1, (size_t)len + 1);
    memcpy(copy, bytes, (size_t)len);
    BIO_free(b);
    return copy;
}

static void broken_pairs(void **state)
{
    struct tls_certificate_spec good = kit_spec(&ec, "/etc/mx.pem"), c;
    char *encrypted = encrypted_key(), *cut;

    (void)state;
    rig_open(&rig, RIG_INLINE);
    c = good;
    c.key_pem = base_span_str(rsa.key_pem);
    refused(c, "/etc/mx.pem: the key does not belong to the certificate");
    c.key_pem = base_span_str(other.key_pem);
    refused(c, "/etc/mx.pem: the key does not belong to the certificate");
    c.key_pem = base_span_str(encrypted);
    refused(c, "/etc/mx.pem: the key is encrypted");
    c.key_pem = base_span_str("no key");
    refused(c, "/etc/mx.pem: no private key could be read");
    c.key_pem = base_span_of(ec.key_pem, strlen(ec.key_pem) / 2);
    refused(c, "/etc/mx.pem: no private key could be read");
    c = good;
    c.chain_pem = base_span_str("");
    refused(c, "/etc/mx.pem: holds no certificate");
    c.chain_pem = base_span_str(ec.key_pem);
    refused(c, "/etc/mx.pem: holds no certificate");
    c.chain_pem = base_span_of(ec.chain_pem, 200);
    refused(c, "/etc/mx.pem: a certificate in it is damaged");
    cut = strdup(ec.chain_pem);
    memset(strrchr(cut, '-') - 60, '!', 20); /* in the second one */
    c.chain_pem = base_span_str(cut);
    refused(c, "/etc/mx.pem: a certificate in it is damaged");
    refused(kit_spec(&weak, "weak"), "weak: an RSA key must have 2048 to 4096 bits");
    refused(kit_spec(&odd, "odd"), "odd: the key must be an EC or an RSA key");
    assert_null(try_domain(NULL, 0, &mx, 1));
    assert_string_equal(why, "mx: there is no certificate");
    free(cut);
    free(encrypted);
    rig_close(&rig);
}

static void broken_policies(void **state)
{
    static const struct {
        struct tls_policy_spec policy;
        const char *sentence;
    } rows[] = {
        {{.label = "a", .version_min = 0x0301}, "a: the lowest version must be 1.2 or 1.3"},
        {{.label = "b", .version_min = TLS_VERSION_12, .ciphers = "NONSENSE"},
         "b: the list of ciphers names none that is known"},
        {{.label = "c", .version_min = TLS_VERSION_12, .ciphersuites = "NONSENSE"},
         "c: the list of TLS 1.3 cipher suites names an unknown one"},
        {{.label = "d", .version_min = TLS_VERSION_12, .groups = "X25519:P-257"},
         "d: the list of groups names an unknown one"},
        {{.label = "e", .version_min = TLS_VERSION_12, .tickets = 2},
         "e: there can be 0 or 1 tickets"},
    };
    struct tls_certificate_spec c = kit_spec(&ec, "file");

    (void)state;
    rig_open(&rig, RIG_INLINE);
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        assert_null(try_domain(&c, 1, &rows[i].policy, 1));
        assert_string_equal(why, rows[i].sentence);
        char alone[160];
        bool good = tls_check_policy(&rows[i].policy, alone, sizeof(alone));
        assert_int_equal(good, rows[i].policy.tickets > 1); /* of which it knows nothing */
        assert_string_equal(alone, good ? "" : rows[i].sentence + 3);
    }
    rig_close(&rig);
}

static void facts_and_warnings(void **state)
{
    static const char *const wrong[] = {"mail.example.com"};
    struct tls_certificate_spec c = kit_spec(&ec, "file");
    const struct tls_certificate_info *info;
    struct tls_domain *d;
    int64_t now_s;

    (void)state;
    rig_open(&rig, RIG_INLINE);
    d = rig_domain(&rig, &c, 1, &mx, 1);
    info = tls_domain_certificate(d, 0);
    assert_non_null(info);
    assert_null(tls_domain_certificate(d, 1));
    assert_string_equal(info->key, "EC P-256");
    assert_int_equal(info->chain_cnt, 2);
    assert_int_equal(info->name_cnt, 2);
    assert_string_equal(info->name[0], "mx.example.org");
    assert_string_equal(info->name[1], "*.example.net");
    assert_string_equal(info->warning, "");
    assert_int_equal(info->not_after_s - info->not_before_s, 91 * 86400);
    now_s = info->not_before_s;
    tls_domain_free(d);

    d = try_domain(&c, 1, &mx, now_s + 100 * 86400);
    assert_string_equal(tls_domain_certificate(d, 0)->warning, "the certificate has expired");
    tls_domain_free(d);
    d = try_domain(&c, 1, &mx, now_s - 100);
    assert_string_equal(tls_domain_certificate(d, 0)->warning, "the certificate is not valid yet");
    tls_domain_free(d);
    c.names = wrong;
    c.name_cnt = 1;
    d = try_domain(&c, 1, &mx, now_s + 100);
    assert_string_equal(tls_domain_certificate(d, 0)->warning,
                        "the certificate is not for mail.example.com");
    tls_domain_free(d);
    c = kit_spec(&old, "old");
    d = try_domain(&c, 1, &mx, now_s + 86400);
    assert_string_equal(tls_domain_certificate(d, 0)->warning, "the certificate has expired");
    tls_domain_free(d);
    rig_close(&rig);
}

/* Which certificate a client is shown. */
static X509 *shown(struct tls_domain *d, const char *name, const char *signatures)
{
    SSL_CTX *client = kit_client_context(0);
    X509 *x;
    char list[64];

    if (signatures != NULL) {
        snprintf(list, sizeof(list), "%s", signatures);
        SSL_CTX_ctrl(client, SSL_CTRL_SET_SIGALGS_LIST, 0, list);
    }
    rig_accept(&link, &rig, d, 0, client, name);
    assert_int_equal(rig_handshake(&link), TLS_OPEN);
    x = SSL_get1_peer_certificate(link.peer.ssl);
    rig_talk(&link);
    rig_end(&link);
    SSL_CTX_free(client);
    return x;
}

static void names(void **state)
{
    /* ec and rsa: mx.example.org, *.example.net; wild (EC): *.example.org; other (EC):
     * b.example.net */
    struct tls_certificate_spec c[] = {kit_spec(&ec, "ec"), kit_spec(&rsa, "rsa"),
                                       kit_spec(&wild, "wild"), kit_spec(&other, "other")};
    static const struct {
        const char *name;
        const struct kit_certificate *ec, *rsa; /* by what the client can check */
    } rows[] = {
        {"mx.example.org", &ec, &rsa},
        {"MX.Example.ORG", &ec, &rsa},
        {"mx.example.org.", &ec, &rsa},
        {"a.example.org", &wild, &rsa},
        {"a.b.example.org", &ec, &rsa},
        {"example.org", &ec, &rsa},
        {"a.example.net", &ec, &rsa},
        {"b.example.net", &other, &rsa},
        {"unknown", &ec, &rsa},
        {"*.example.org", &ec, &rsa},
        {"-", &ec, &rsa},
        {NULL, &ec, &rsa},
    };
    struct tls_domain *d;

    (void)state;
    rig_open(&rig, RIG_DEFERRED);
    d = rig_domain(&rig, c, BASE_ARRAY_CNT(c), &mx, 1);
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        X509 *x = shown(d, rows[i].name, "ECDSA+SHA256:ECDSA+SHA384");
        if (X509_cmp(x, rows[i].ec->leaf) != 0)
            fail_msg("%s, EC", rows[i].name);
        X509_free(x);
        x = shown(d, rows[i].name, "RSA-PSS+SHA256:RSA+SHA256");
        if (X509_cmp(x, rows[i].rsa->leaf) != 0)
            fail_msg("%s, RSA", rows[i].name);
        X509_free(x);
        x = shown(d, rows[i].name, NULL); /* may have either: the cheap one */
        assert_int_equal(X509_cmp(x, rows[i].ec->leaf), 0);
        X509_free(x);
    }
    rig_domain_drop(d);
    rig_close(&rig);
}

/* A new configuration: connections of the old one go on, one of them in the middle of its
 * handshake. */
static void reload(void **state)
{
    static struct rig_link half, fresh;
    struct tls_certificate_spec first = kit_spec(&ec, "first"), second = kit_spec(&rsa, "second");
    SSL_CTX *client = kit_client_context(0);
    struct tls_domain *before, *after;
    X509 *x;

    (void)state;
    rig_open(&rig, RIG_DEFERRED);
    before = rig_domain(&rig, &first, 1, &mx, 1);
    rig_accept(&link, &rig, before, 0, client, NULL);
    rig_accept(&half, &rig, before, 0, client, NULL);
    assert_int_equal(rig_handshake(&link), TLS_OPEN);
    rig_peer(&half);
    rig_decode_turn(&half);
    assert_int_equal(tls_conn_wants(half.conn), TLS_WANT_KEYOP);
    after = rig_domain(&rig, &second, 1, &mx, 1);
    tls_domain_retire(before);
    assert_false(tls_domain_released(before));
    rig_talk(&link);
    rig_accept(&fresh, &rig, after, 0, client, NULL);
    for (int i = 0; i < 8; i++) {
        struct tls_conn *ready[4];
        rig_peer(&half);
        rig_decode(&half);
        rig_peer(&fresh);
        rig_decode(&fresh);
        uint32_t n = tls_lane_run(rig.lane, ready, 4);
        while (n-- > 0)
            rig_decode(tls_conn_cookie(ready[n]));
    }
    rig_talk(&half);
    rig_talk(&fresh);
    x = SSL_get1_peer_certificate(half.peer.ssl);
    assert_int_equal(X509_cmp(x, ec.leaf), 0);
    X509_free(x);
    x = SSL_get1_peer_certificate(fresh.peer.ssl);
    assert_int_equal(X509_cmp(x, rsa.leaf), 0);
    X509_free(x);
    rig_end(&half);
    assert_false(tls_domain_released(before));
    rig_end(&link);
    assert_true(tls_domain_released(before));
    tls_domain_free(before);
    rig_talk(&fresh);
    rig_end(&fresh);
    rig_domain_drop(after);
    SSL_CTX_free(client);
    rig_close(&rig);
}

/* ---- tickets ---- */

static const struct tls_ticket_key key_a = {.name = "a", .cipher = {1}, .mac = {2}};
static const struct tls_ticket_key key_b = {.name = "b", .cipher = {3}, .mac = {4}};
static const struct tls_ticket_key key_c = {.name = "c", .cipher = {5}, .mac = {6}};

/* Connects, by the session when there is one; returns the new session, or NULL. */
static SSL_SESSION *visit(struct rig *r, struct tls_domain *d, int version, SSL_SESSION *session,
                          bool resumed)
{
    SSL_CTX *client = kit_client_context(version);
    SSL_SESSION *next = NULL;
    struct tls_facts facts;

    rig_accept(&link, r, d, 0, client, "mx.example.org");
    if (session != NULL)
        SSL_set_session(link.peer.ssl, session);
    assert_int_equal(rig_handshake(&link), TLS_OPEN);
    tls_conn_facts(link.conn, &facts);
    assert_int_equal(facts.resumed, resumed);
    assert_int_equal(SSL_session_reused(link.peer.ssl), resumed);
    rig_talk(&link);
    if (SSL_SESSION_is_resumable(SSL_get0_session(link.peer.ssl)))
        next = SSL_get1_session(link.peer.ssl);
    if (next != NULL) /* early data is not offered */
        assert_int_equal(SSL_SESSION_get_max_early_data(next), 0);
    SSL_shutdown(link.peer.ssl);
    rig_end(&link);
    SSL_CTX_free(client);
    return next;
}

static void tickets(void **state)
{
    static struct rig second;
    struct tls_certificate_spec c = kit_spec(&ec, "ec");

    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_SESSION *s, *t;
        struct tls_domain *here, *there;
        rig_open(&rig, RIG_DEFERRED);
        rig_open(&second, RIG_INLINE);
        here = rig_domain(&rig, &c, 1, &resuming, 1);
        there = rig_domain(&second, &c, 1, &resuming, 1);
        /* Without keys there are none. */
        s = visit(&rig, here, version, NULL, false);
        assert_true(s == NULL || !SSL_SESSION_has_ticket(s));
        SSL_SESSION_free(s);
        tls_lane_set_tickets(rig.lane, &key_a, NULL);
        tls_lane_set_tickets(second.lane, &key_a, NULL);
        s = visit(&rig, here, version, NULL, false);
        assert_true(s != NULL && SSL_SESSION_has_ticket(s));
        SSL_SESSION_free(visit(&rig, here, version, s, true));
        /* The other lane has the same keys. */
        SSL_SESSION_free(visit(&second, there, version, s, true));
        /* Rotated: the old key still reads. */
        tls_lane_set_tickets(rig.lane, &key_b, &key_a);
        SSL_SESSION_free(visit(&rig, here, version, s, true));
        t = visit(&rig, here, version, NULL, false);
        SSL_SESSION_free(visit(&rig, here, version, t, true));
        /* Gone, and one of strangers: a full handshake. */
        tls_lane_set_tickets(rig.lane, &key_c, &key_b);
        SSL_SESSION_free(visit(&rig, here, version, s, false));
        SSL_SESSION_free(visit(&second, there, version, t, false));
        assert_int_equal(stats_get(&rig.stats, STATS_TLS_RESUMED), 3);
        SSL_SESSION_free(s);
        SSL_SESSION_free(t);
        rig_domain_drop(here);
        rig_domain_drop(there);
        rig_close(&rig);
        rig_close(&second);
    }
}

/* A client that uses each ticket once is resumed every time: in TLS 1.3 each resumed handshake
 * gives one more, in TLS 1.2 the first stays good. Never more than one in a handshake. */
static int given_cnt;

static int count_given(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl, (void)session;
    given_cnt++;
    return 0;
}

static void tickets_in_a_row(void **state)
{
    struct tls_certificate_spec c = kit_spec(&ec, "ec");

    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *client = kit_client_context(version);
        SSL_SESSION *s = NULL;
        struct tls_domain *d;
        rig_open(&rig, RIG_DEFERRED);
        tls_lane_set_tickets(rig.lane, &key_a, NULL);
        d = rig_domain(&rig, &c, 1, &resuming, 1);
        SSL_CTX_set_session_cache_mode(client, SSL_SESS_CACHE_CLIENT);
        SSL_CTX_sess_set_new_cb(client, count_given);
        for (int i = 0; i < 5; i++) {
            given_cnt = 0;
            rig_accept(&link, &rig, d, 0, client, "mx.example.org");
            if (s != NULL)
                SSL_set_session(link.peer.ssl, s);
            assert_int_equal(rig_handshake(&link), TLS_OPEN);
            rig_talk(&link);
            assert_int_equal(SSL_session_reused(link.peer.ssl), i > 0);
            assert_int_equal(given_cnt, i == 0 || version == TLS1_3_VERSION);
            SSL_SESSION_free(s);
            s = SSL_get1_session(link.peer.ssl);
            assert_true(SSL_SESSION_is_resumable(s));
            SSL_shutdown(link.peer.ssl);
            rig_end(&link);
        }
        SSL_SESSION_free(s);
        SSL_CTX_free(client);
        rig_domain_drop(d);
        rig_close(&rig);
    }
}

/* A policy without tickets gives none and takes none, whatever keys there are. */
static void no_tickets(void **state)
{
    struct tls_certificate_spec c = kit_spec(&ec, "ec");

    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_domain *with, *without;
        SSL_SESSION *s, *t;
        rig_open(&rig, RIG_INLINE);
        tls_lane_set_tickets(rig.lane, &key_a, NULL);
        with = rig_domain(&rig, &c, 1, &resuming, 1);
        without = rig_domain(&rig, &c, 1, &mx, 1);
        s = visit(&rig, with, version, NULL, false);
        t = visit(&rig, without, version, s, false);
        assert_true(t == NULL || !SSL_SESSION_has_ticket(t));
        SSL_SESSION_free(t);
        SSL_SESSION_free(s);
        rig_domain_drop(with);
        rig_domain_drop(without);
        rig_close(&rig);
    }
}

/* ---- what is not there ---- */

/* A client that sends early data all the same (RFC 8446 section 4.2.10): it is resumed, and none of
 * these bytes is ever read. */
static void no_early_data(void **state)
{
    static const char early[] = "MAIL FROM:<early@b.example>\r\n";
    struct tls_certificate_spec c = kit_spec(&ec, "ec");
    SSL_CTX *client = kit_client_context(TLS1_3_VERSION);
    struct tls_domain *d;
    SSL_SESSION *s, *forged;
    size_t n;

    (void)state;
    rig_open(&rig, RIG_INLINE);
    tls_lane_set_tickets(rig.lane, &key_a, NULL);
    d = rig_domain(&rig, &c, 1, &resuming, 1);
    s = visit(&rig, d, TLS1_3_VERSION, NULL, false);
    assert_true(s != NULL && SSL_SESSION_has_ticket(s));
    forged = SSL_SESSION_dup(s);
    assert_int_equal(SSL_SESSION_set_max_early_data(forged, 1000), 1);
    rig_accept(&link, &rig, d, 0, client, "mx.example.org");
    assert_int_equal(SSL_set_session(link.peer.ssl, forged), 1);
    assert_int_equal(SSL_write_early_data(link.peer.ssl, early, sizeof(early) - 1, &n), 1);
    assert_int_equal(n, sizeof(early) - 1);
    assert_int_equal(rig_handshake(&link), TLS_OPEN);
    assert_int_equal(SSL_get_early_data_status(link.peer.ssl), SSL_EARLY_DATA_REJECTED);
    assert_int_equal(SSL_session_reused(link.peer.ssl), 1);
    assert_int_equal(link.plain_len, 0);
    rig_talk(&link); /* what is read is what it says afterwards, and nothing else */
    rig_end(&link);
    SSL_SESSION_free(forged);
    SSL_SESSION_free(s);
    rig_domain_drop(d);
    SSL_CTX_free(client);
    rig_close(&rig);
}

/* The place of compression_methods in a ClientHello's record (RFC 8446 section 4.1.2). */
static size_t compression_at(const uint8_t *hello, size_t len)
{
    size_t at = 5 + 4 + 2 + 32;

    at += 1U + hello[at];             /* session id */
    at += 2U + base_be16(hello + at); /* ciphers */
    assert_true(at + 2 < len && hello[at] == 1 && hello[at + 1] == 0);
    return at;
}

/* Puts DEFLATE (RFC 3749) in front of a ClientHello's null. */
static size_t offer_deflate(uint8_t *hello, size_t len)
{
    size_t at = compression_at(hello, len);

    memmove(hello + at + 2, hello + at + 1, len - at - 1);
    hello[at] = 2;
    hello[at + 1] = 1;
    base_put_be16(hello + 3, (uint16_t)(base_be16(hello + 3) + 1));
    base_put_be16(hello + 7, (uint16_t)(base_be16(hello + 7) + 1));
    return len + 1;
}

/* OpenSSL as Debian builds it does not offer compression, so that it is put into its words. TLS 1.2
 * chooses none; with TLS 1.3 to offer one is an error. */
static void no_compression(void **state)
{
    struct tls_certificate_spec c = kit_spec(&ec, "ec");
    struct tls_domain *d;

    (void)state;
    rig_open(&rig, RIG_INLINE);
    d = rig_domain(&rig, &c, 1, &mx, 1);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *client = kit_client_context(version);
        rig_accept(&link, &rig, d, 0, client, NULL);
        rig_peer(&link);
        link.to_conn_len = offer_deflate(link.to_conn, link.to_conn_len);
        rig_decode(&link);
        if (version == TLS1_3_VERSION) {
            assert_int_equal(tls_conn_state(link.conn), TLS_FAILED);
            assert_int_equal(tls_conn_reason(link.conn), TLS_REASON_PROTOCOL);
        } else {
            const uint8_t *hello = link.to_peer;
            assert_int_equal(tls_conn_state(link.conn), TLS_HANDSHAKE);
            assert_true(link.to_peer_len > 50 && hello[0] == 0x16 && hello[5] == 2);
            assert_int_equal(hello[5 + 4 + 2 + 32 + 1 + hello[43] + 2], 0);
        }
        rig_end(&link);
        SSL_CTX_free(client);
    }
    rig_domain_drop(d);
    rig_close(&rig);
}

static int setup(void **state)
{
    static const char *const both[] = {"mx.example.org", "*.example.net"},
                             *const stars[] = {"*.example.org"}, *const b[] = {"B.example.net"};

    (void)state;
    kit_certificate_make(&ec, "EC", both, 2, -1, 90);
    kit_certificate_make(&rsa, "RSA", both, 2, -1, 90);
    kit_certificate_make(&wild, "EC", stars, 1, -1, 90);
    kit_certificate_make(&other, "EC384", b, 1, -1, 90);
    kit_certificate_make(&old, "EC", both, 2, -20, -10);
    kit_certificate_make(&weak, "RSA1024", both, 2, -1, 90);
    kit_certificate_make(&odd, "ED25519", both, 2, -1, 90);
    return 0;
}

static int teardown(void **state)
{
    struct kit_certificate *all[] = {&ec, &rsa, &wild, &other, &old, &weak, &odd};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(all); i++)
        kit_certificate_free(all[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_pairs),
        cmocka_unit_test(broken_policies),
        cmocka_unit_test(facts_and_warnings),
        cmocka_unit_test(names),
        cmocka_unit_test(reload),
        cmocka_unit_test(tickets),
        cmocka_unit_test(tickets_in_a_row),
        cmocka_unit_test(no_tickets),
        cmocka_unit_test(no_early_data),
        cmocka_unit_test(no_compression),
    };

    if (!tls_memory_use())
        return 1;
    return cmocka_run_group_tests(tests, setup, teardown);
}
