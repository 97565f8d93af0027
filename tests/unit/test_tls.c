/* The TLS engine against plain OpenSSL: every combination of version, key, driver and cut; what a
 * peer can do wrong; how it ends. */
#include "tls_rig.h"

#include "tls_memory.h"

static struct kit_certificate ec, rsa;
static struct rig rig;
static struct rig_link link;

static const struct tls_policy_spec policies[] = {
    {.label = "mx", .version_min = TLS_VERSION_12},
    {.label = "submission", .version_min = TLS_VERSION_13, .ask_certificate = true},
    {.label = "lenient", .version_min = TLS_VERSION_12, .alpn = TLS_ALPN_IGNORE},
    {.label = "out", .version_min = TLS_VERSION_12, .client = true},
};
enum { MX, SUBMISSION, LENIENT, OUT };

static struct tls_domain *make_domain(const struct kit_certificate *key)
{
    struct tls_certificate_spec c = kit_spec(key, "file");

    return rig_domain(&rig, &c, 1, policies, BASE_ARRAY_CNT(policies));
}

static uint64_t counted(enum stats_id id)
{
    return stats_get(&rig.stats, id);
}

/* ---- every combination ---- */

static void one_handshake(struct tls_domain *d, int version, const char *key, size_t chunk,
                          size_t room)
{
    SSL_CTX *client = kit_client_context(version);
    struct tls_facts facts;

    if (room == 100) /* the other hash, too */
        SSL_CTX_set_ciphersuites(client, "TLS_AES_256_GCM_SHA384");
    rig_accept(&link, &rig, d, MX, client, "mx.example.org");
    link.chunk = chunk;
    link.out_room = room;
    assert_int_equal(rig_handshake(&link), TLS_OPEN);
    tls_conn_facts(link.conn, &facts);
    assert_string_equal(facts.version, version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3");
    if (version == TLS1_3_VERSION)
        assert_string_equal(facts.cipher,
                            room == 100 ? "TLS_AES_256_GCM_SHA384" : "TLS_AES_128_GCM_SHA256");
    assert_string_equal(facts.signature, key);
    assert_string_equal(facts.group, "x25519");
    assert_string_equal(facts.server_name, "mx.example.org");
    assert_string_equal(facts.alpn, "");
    assert_false(facts.resumed);
    assert_false(facts.peer_certificate);
    link.out_room = RIG_PIPE;
    rig_talk(&link);
    rig_end(&link);
    SSL_CTX_free(client);
}

static void handshakes(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    static const size_t chunks[] = {1, 7, RIG_PIPE};

    (void)state;
    for (int driver = 0; driver < RIG_DRIVER_CNT; driver++) {
        rig_open(&rig, driver);
        for (int key = 0; key < 2; key++) {
            struct tls_domain *d = make_domain(key == 0 ? &ec : &rsa);
            for (size_t v = 0; v < BASE_ARRAY_CNT(versions); v++) {
                for (size_t i = 0; i < BASE_ARRAY_CNT(chunks); i++) {
                    one_handshake(d, versions[v], key == 0 ? "EC" : "RSA", chunks[i], RIG_PIPE);
                    one_handshake(d, versions[v], key == 0 ? "EC" : "RSA", chunks[i], 100);
                }
            }
            rig_domain_drop(d);
        }
        assert_int_equal(counted(STATS_TLS_ACCEPTED), 24);
        assert_int_equal(counted(STATS_TLS_VERSION_12), 12);
        assert_int_equal(counted(STATS_TLS_KEYOPS), 24);
        assert_int_equal(counted(STATS_TLS_CONNECTIONS), 0);
        assert_int_equal(counted(STATS_TLS_HANDSHAKING), 0);
        assert_int_equal(counted(STATS_TLS_PARKS), driver == RIG_INLINE ? 0 : 24);
        rig_close(&rig);
    }
}

/* Our side connects. */
static void clients(void **state)
{
    struct tls_domain *d;
    struct tls_facts facts;

    (void)state;
    rig_open(&rig, RIG_DEFERRED);
    d = make_domain(&ec);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        for (size_t chunk = 1; chunk <= RIG_PIPE; chunk *= 256) {
            SSL_CTX *server = kit_server_context(version, &rsa);
            rig_connect(&link, &rig, d, OUT, server, "far.example.net");
            link.chunk = chunk;
            assert_int_equal(rig_handshake(&link), TLS_OPEN);
            tls_conn_facts(link.conn, &facts);
            assert_string_equal(facts.version, SSL_get_version(link.peer.ssl));
            assert_string_equal(facts.signature, "RSA");
            assert_int_equal(facts.signature_bits, 2048);
            assert_string_equal(SSL_get_servername(link.peer.ssl, TLSEXT_NAMETYPE_host_name),
                                "far.example.net");
            assert_true(facts.peer_certificate);
            rig_talk(&link);
            rig_end(&link);
            SSL_CTX_free(server);
        }
    }
    assert_int_equal(counted(STATS_TLS_CONNECTED), 6);
    assert_int_equal(counted(STATS_TLS_KEYOPS), 0);
    rig_domain_drop(d);
    rig_close(&rig);
}

static void other_groups(void **state)
{
    static const char *const groups[] = {"P-256", "P-384"}, *const told[] = {"secp256r1",
                                                                             "secp384r1"};
    struct tls_domain *d;
    struct tls_facts facts;

    (void)state;
    rig_open(&rig, RIG_INLINE);
    d = make_domain(&ec);
    for (int i = 0; i < 4; i++) {
        SSL_CTX *client = kit_client_context(i < 2 ? TLS1_3_VERSION : TLS1_2_VERSION);
        char list[16], both[32];
        snprintf(list, sizeof(list), "%s", groups[i % 2]);
        snprintf(both, sizeof(both), "%s:P-256", list);
        assert_int_equal(SSL_CTX_ctrl(client, SSL_CTRL_SET_GROUPS_LIST, 0, i % 2 ? both : list), 1);
        rig_accept(&link, &rig, d, MX, client, NULL);
        assert_int_equal(rig_handshake(&link), TLS_OPEN);
        tls_conn_facts(link.conn, &facts);
        /* Ours is the order that counts: P-256 first, but for a key share that is there. */
        assert_true(strcmp(facts.group, told[i % 2]) == 0 || strcmp(facts.group, told[0]) == 0);
        rig_talk(&link);
        rig_end(&link);
        SSL_CTX_free(client);
    }
    rig_domain_drop(d);
    rig_close(&rig);
}

/* Suites whose MACs and key derivations go different ways. */
static void suites(void **state)
{
    static const struct {
        const char *name;
        bool plain_mac; /* without encrypt-then-MAC: RFC 7366 */
    } rows[] = {
        {"ECDHE-ECDSA-AES128-GCM-SHA256", false}, {"ECDHE-ECDSA-AES256-GCM-SHA384", false},
        {"ECDHE-ECDSA-CHACHA20-POLY1305", false}, {"ECDHE-ECDSA-AES128-SHA", false},
        {"ECDHE-ECDSA-AES128-SHA", true},         {"ECDHE-ECDSA-AES128-SHA256", false},
        {"ECDHE-ECDSA-AES128-SHA256", true},      {"ECDHE-ECDSA-AES256-SHA384", false},
        {"ECDHE-ECDSA-AES256-SHA384", true},
    };
    static const struct tls_policy_spec all = {
        .label = "all", .version_min = TLS_VERSION_12, .ciphers = "ECDHE:!aNULL"};
    struct tls_certificate_spec c = kit_spec(&ec, "file");
    struct tls_domain *d;
    struct tls_facts facts;

    (void)state;
    rig_open(&rig, RIG_DEFERRED);
    d = rig_domain(&rig, &c, 1, &all, 1);
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        SSL_CTX *client = kit_client_context(TLS1_2_VERSION);
        assert_int_equal(SSL_CTX_set_cipher_list(client, rows[i].name), 1);
        if (rows[i].plain_mac)
            SSL_CTX_set_options(client, SSL_OP_NO_ENCRYPT_THEN_MAC);
        rig_accept(&link, &rig, d, 0, client, NULL);
        assert_int_equal(rig_handshake(&link), TLS_OPEN);
        tls_conn_facts(link.conn, &facts);
        assert_string_equal(facts.cipher, rows[i].name);
        for (int j = 0; j < 3; j++)
            rig_talk(&link);
        /* A wrong MAC is found. */
        assert_int_equal(SSL_write(link.peer.ssl, "DATA\r\n", 6), 6);
        rig_peer(&link);
        link.to_conn[link.to_conn_len - 18] ^= 1;
        rig_decode(&link);
        assert_int_equal(tls_conn_reason(link.conn), TLS_REASON_PROTOCOL);
        rig_end(&link);
        SSL_CTX_free(client);
    }
    rig_domain_drop(d);
    rig_close(&rig);
}

/* ---- what a peer can do wrong ---- */

static void bad_bytes(const char *bytes, size_t len, enum tls_reason reason)
{
    struct base_buf plain = {link.plain, 0, RIG_PIPE}, out = {link.to_peer, 0, RIG_PIPE};
    struct tls_domain *d = make_domain(&ec);
    SSL_CTX *client = kit_client_context(0);
    size_t consumed;

    rig_accept(&link, &rig, d, MX, client, NULL);
    assert_int_equal(tls_conn_decode(link.conn, base_span_of(bytes, len), &consumed, &plain, &out),
                     TLS_FAILED);
    assert_int_equal(tls_conn_reason(link.conn), reason);
    assert_int_equal(consumed, len);
    assert_int_equal(plain.len, 0);
    assert_int_equal(tls_conn_wants(link.conn), TLS_WANT_NOTHING);
    /* It stays so, and takes everything. */
    assert_int_equal(tls_conn_decode(link.conn, base_span_str("QUIT\r\n"), &consumed, &plain, &out),
                     TLS_FAILED);
    assert_int_equal(consumed, 6);
    assert_int_equal(plain.len, 0);
    rig_end(&link);
    SSL_CTX_free(client);
    rig_domain_drop(d);
}

static void not_tls(void **state)
{
    static const char version_11[] = "\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x02"
                                     "0123456789abcdef0123456789abcdef\x00\x00\x02\xc0\x0a\x01\x00";
    static const char huge[] = "\x16\x03\x01\xff\xff";

    (void)state;
    rig_open(&rig, RIG_INLINE);
    bad_bytes("EHLO client.example.org\r\n", 25, TLS_REASON_NOT_TLS);
    bad_bytes("GET / HTTP/1.0\r\n\r\n", 18, TLS_REASON_NOT_TLS);
    bad_bytes("\r\n\r\n\r\n\r\n\r\n", 10, TLS_REASON_NOT_TLS);
    bad_bytes("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 12, TLS_REASON_NOT_TLS);
    bad_bytes(huge, 5, TLS_REASON_PROTOCOL);
    bad_bytes("\x17\x03\x03\x00\x05hello", 10, TLS_REASON_PROTOCOL);
    bad_bytes(version_11, sizeof(version_11) - 1, TLS_REASON_VERSION);
    assert_int_equal(counted(STATS_TLS_FAILED_NOT_TLS), 4);
    assert_int_equal(counted(STATS_TLS_FAILED_PROTOCOL), 2);
    assert_int_equal(counted(STATS_TLS_FAILED_VERSION), 1);
    rig_close(&rig);
}

/* What waited in clear text before the ClientHello is not skipped. */
static void left_over(void **state)
{
    struct tls_domain *d;
    SSL_CTX *client = kit_client_context(0);

    (void)state;
    rig_open(&rig, RIG_INLINE);
    d = make_domain(&ec);
    rig_accept(&link, &rig, d, MX, client, NULL);
    memcpy(link.to_conn, "RSET\r\n", 6);
    link.to_conn_len = 6;
    assert_int_equal(rig_handshake(&link), TLS_FAILED);
    assert_int_equal(tls_conn_reason(link.conn), TLS_REASON_NOT_TLS);
    rig_end(&link);
    /* Behind the Finished it is data, of the same call. */
    rig_accept(&link, &rig, d, MX, client, NULL);
    rig_pass(&link);
    kit_peer_give(&link.peer, link.to_peer, link.to_peer_len);
    link.to_peer_len = 0;
    assert_int_equal(kit_peer_step(&link.peer), 1);
    assert_int_equal(SSL_write(link.peer.ssl, "EHLO x\r\n", 8), 8);
    rig_peer(&link);
    rig_decode(&link);
    assert_int_equal(tls_conn_state(link.conn), TLS_OPEN);
    assert_int_equal(link.plain_len, 8);
    assert_memory_equal(link.plain, "EHLO x\r\n", 8);
    rig_end(&link);
    SSL_CTX_free(client);
    rig_domain_drop(d);
    rig_close(&rig);
}

static void expect_failure(struct tls_domain *d, uint32_t policy, SSL_CTX *client,
                           enum tls_reason reason, const char *alert)
{
    rig_accept(&link, &rig, d, policy, client, NULL);
    assert_int_equal(rig_handshake(&link), TLS_FAILED);
    assert_string_equal(tls_reason_name(tls_conn_reason(link.conn)), tls_reason_name(reason));
    assert_string_equal(tls_conn_alert(link.conn), alert);
    assert_int_equal(link.peer_done, -1); /* it was told */
    rig_end(&link);
    SSL_CTX_free(client);
}

static void disagreements(void **state)
{
    struct tls_domain *d;
    SSL_CTX *client;

    (void)state;
    rig_open(&rig, RIG_DEFERRED);
    d = make_domain(&ec);
    client = kit_client_context(TLS1_2_VERSION);
    expect_failure(d, SUBMISSION, client, TLS_REASON_VERSION, "");
    client = kit_client_context(TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(client, "AES128-GCM-SHA256"); /* RSA key exchange */
    expect_failure(d, MX, client, TLS_REASON_CIPHER, "");
    client = kit_client_context(TLS1_3_VERSION);
    char ffdhe[] = "ffdhe2048";
    SSL_CTX_ctrl(client, SSL_CTRL_SET_GROUPS_LIST, 0, ffdhe);
    expect_failure(d, MX, client, TLS_REASON_CIPHER, "");
    client = kit_client_context(0);
    SSL_CTX_set_verify(client, SSL_VERIFY_PEER, NULL); /* knows no root */
    expect_failure(d, MX, client, TLS_REASON_ALERT, "unknown CA");
    rig_domain_drop(d);
    rig_close(&rig);
}

static void protocols(void **state)
{
    static const struct {
        const char *list;
        uint32_t policy;
        const char *chosen; /* NULL: refused */
    } rows[] = {
        {"\4smtp", MX, "smtp"}, {"\2h2\5esmtp", MX, "esmtp"},     {"\2h2\10http/1.1", MX, NULL},
        {"\5smtps", MX, NULL},  {"\2h2\10http/1.1", LENIENT, ""}, {"\4smtp", LENIENT, "smtp"},
    };
    struct tls_domain *d;
    struct tls_facts facts;

    (void)state;
    rig_open(&rig, RIG_INLINE);
    d = make_domain(&ec);
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        SSL_CTX *client = kit_client_context(0);
        SSL_CTX_set_alpn_protos(client, (const unsigned char *)rows[i].list,
                                (unsigned)strlen(rows[i].list));
        if (rows[i].chosen == NULL) {
            expect_failure(d, rows[i].policy, client, TLS_REASON_ALPN, "");
            continue;
        }
        rig_accept(&link, &rig, d, rows[i].policy, client, NULL);
        assert_int_equal(rig_handshake(&link), TLS_OPEN);
        tls_conn_facts(link.conn, &facts);
        assert_string_equal(facts.alpn, rows[i].chosen);
        rig_end(&link);
        SSL_CTX_free(client);
    }
    assert_int_equal(counted(STATS_TLS_FAILED_ALPN), 2);
    rig_domain_drop(d);
    rig_close(&rig);
}

static void client_certificate(void **state)
{
    struct tls_domain *d;
    struct tls_facts facts;

    (void)state;
    rig_open(&rig, RIG_INLINE);
    d = make_domain(&ec);
    for (int shown = 0; shown < 2; shown++) {
        SSL_CTX *client = kit_client_context(TLS1_3_VERSION);
        if (shown)
            assert_true(SSL_CTX_use_certificate(client, rsa.leaf) &&
                        SSL_CTX_use_PrivateKey(client, rsa.key));
        rig_accept(&link, &rig, d, SUBMISSION, client, NULL);
        assert_int_equal(rig_handshake(&link), TLS_OPEN);
        tls_conn_facts(link.conn, &facts);
        assert_int_equal(facts.peer_certificate, shown);
        rig_talk(&link);
        rig_end(&link);
        SSL_CTX_free(client);
    }
    rig_domain_drop(d);
    rig_close(&rig);
}

/* ---- after the handshake ---- */

static struct tls_domain *open_link(SSL_CTX **client, int version)
{
    struct tls_domain *d = make_domain(&ec);

    *client = kit_client_context(version);
    rig_accept(&link, &rig, d, MX, *client, NULL);
    assert_int_equal(rig_handshake(&link), TLS_OPEN);
    return d;
}

static void shut_link(struct tls_domain *d, SSL_CTX *client)
{
    rig_end(&link);
    SSL_CTX_free(client);
    rig_domain_drop(d);
}

static void damaged(void **state)
{
    SSL_CTX *client;

    (void)state;
    rig_open(&rig, RIG_INLINE);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_domain *d = open_link(&client, version);
        assert_int_equal(SSL_write(link.peer.ssl, "DATA\r\n", 6), 6);
        rig_peer(&link);
        link.to_conn[link.to_conn_len - 3] ^= 1;
        rig_decode(&link);
        assert_int_equal(tls_conn_state(link.conn), TLS_FAILED);
        assert_int_equal(tls_conn_reason(link.conn), TLS_REASON_PROTOCOL);
        assert_int_equal(link.plain_len, 0);
        assert_true(link.to_peer_len > 0); /* an alert */
        shut_link(d, client);
    }
    rig_close(&rig);
}

/* The peer ends TLS and goes on in clear text. */
static void close_notify(void **state)
{
    SSL_CTX *client;
    size_t consumed;

    (void)state;
    rig_open(&rig, RIG_INLINE);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_domain *d = open_link(&client, version);
        struct base_buf out = {link.to_peer, 0, RIG_PIPE};
        assert_int_equal(SSL_write(link.peer.ssl, "half a li", 9), 9);
        SSL_shutdown(link.peer.ssl);
        rig_peer(&link);
        memcpy(link.to_conn + link.to_conn_len, "ne\r\n.\r\n", 7);
        link.to_conn_len += 7;
        rig_decode(&link);
        assert_int_equal(tls_conn_state(link.conn), TLS_CLOSED);
        assert_int_equal(link.plain_len, 9);
        assert_int_equal(link.to_conn_len, 0);
        assert_int_equal(tls_conn_ended(link.conn), TLS_CLOSED);
        /* Our direction is still open. */
        assert_int_equal(tls_conn_encode(link.conn, base_span_str("421 bye\r\n"), &consumed, &out),
                         TLS_CLOSED);
        assert_int_equal(consumed, 9);
        tls_conn_shutdown(link.conn, &out);
        tls_conn_shutdown(link.conn, &out); /* once */
        link.to_peer_len = out.len;
        rig_peer(&link);
        char text[16];
        assert_int_equal(SSL_read(link.peer.ssl, text, sizeof(text)), 9);
        assert_int_equal(SSL_read(link.peer.ssl, text, sizeof(text)), 0);
        assert_int_equal(SSL_get_error(link.peer.ssl, 0), SSL_ERROR_ZERO_RETURN);
        shut_link(d, client);
    }
    assert_int_equal(counted(STATS_TLS_CLOSE_NOTIFIES), 2);
    rig_close(&rig);
}

static void ends(void **state)
{
    struct base_buf out = {link.to_peer, 0, RIG_PIPE};
    struct tls_domain *d;
    SSL_CTX *client;

    (void)state;
    rig_open(&rig, RIG_INLINE);
    d = open_link(&client, 0);
    assert_int_equal(tls_conn_ended(link.conn), TLS_FAILED);
    assert_int_equal(tls_conn_reason(link.conn), TLS_REASON_TRUNCATED);
    shut_link(d, client);
    d = open_link(&client, 0);
    tls_conn_shutdown(link.conn, &out);
    assert_int_equal(tls_conn_state(link.conn), TLS_CLOSING);
    assert_int_equal(tls_conn_ended(link.conn), TLS_CLOSED);
    shut_link(d, client);
    client = kit_client_context(0);
    d = make_domain(&ec);
    rig_accept(&link, &rig, d, MX, client, NULL);
    tls_conn_shutdown(link.conn, &out); /* nothing to be said yet */
    assert_int_equal(tls_conn_ended(link.conn), TLS_FAILED);
    shut_link(d, client);
    assert_int_equal(counted(STATS_TLS_FAILED_TRUNCATED), 2);
    rig_close(&rig);
}

/* Little room for plaintext: nothing is lost, and wants says so. */
static void small_rooms(void **state)
{
    uint8_t small[10], back[64];
    size_t consumed, got = 0, n;
    struct tls_domain *d;
    SSL_CTX *client;

    (void)state;
    rig_open(&rig, RIG_INLINE);
    d = open_link(&client, 0);
    assert_int_equal(SSL_write(link.peer.ssl, "0123456789abcdefghijklmnopqrstuvwxyz", 36), 36);
    rig_peer(&link);
    for (int i = 0; i < 4; i++) {
        struct base_buf plain = {small, 0, 10}, out = {link.to_peer, 0, RIG_PIPE};
        tls_conn_decode(link.conn, base_span_of(link.to_conn, link.to_conn_len), &consumed, &plain,
                        &out);
        link.to_conn_len -= consumed;
        assert_int_equal(link.to_conn_len, 0);
        assert_int_equal(plain.len, i < 3 ? 10 : 6);
        assert_int_equal(small[0], "0aku"[i]);
        assert_int_equal(tls_conn_wants(link.conn), i < 3 ? TLS_WANT_ROOM : TLS_WANT_INPUT);
    }
    /* Room for one record with three bytes, then none. */
    struct base_buf out = {link.to_peer, 0, TLS_RECORD_OVERHEAD + 3};
    assert_int_equal(tls_conn_encode(link.conn, base_span_str("250 ok\r\n"), &consumed, &out),
                     TLS_OPEN);
    assert_int_equal(consumed, 3);
    link.to_peer_len = out.len;
    rig_peer(&link);
    while (SSL_read_ex(link.peer.ssl, back + got, sizeof(back) - got, &n) == 1)
        got += n;
    assert_int_equal(got, 3);
    shut_link(d, client);
    rig_close(&rig);
}

static void renegotiation(void **state)
{
    struct tls_domain *d;
    SSL_CTX *client;
    char byte;

    (void)state;
    rig_open(&rig, RIG_INLINE);
    d = open_link(&client, TLS1_2_VERSION);
    for (int i = 0; i < 40 && tls_conn_state(link.conn) == TLS_OPEN; i++) {
        assert_int_equal(SSL_renegotiate(link.peer.ssl), 1);
        (void)SSL_do_handshake(link.peer.ssl);
        (void)SSL_read(link.peer.ssl, &byte, 1);
        rig_peer(&link);
        rig_decode(&link);
    }
    /* Refused each time: no second handshake; OpenSSL's client gives up at the first refusal. */
    assert_int_equal(counted(STATS_TLS_ACCEPTED), 1);
    assert_int_equal(counted(STATS_TLS_KEYOPS), 1);
    assert_true(tls_conn_state(link.conn) == TLS_OPEN || tls_conn_state(link.conn) == TLS_FAILED);
    kit_peer_give(&link.peer, link.to_peer, link.to_peer_len);
    assert_true(SSL_read(link.peer.ssl, &byte, 1) <= 0);
    shut_link(d, client);
    rig_close(&rig);
}

static void key_updates(void **state)
{
    struct tls_domain *d;
    SSL_CTX *client;
    int i;

    (void)state;
    rig_open(&rig, RIG_INLINE);
    d = open_link(&client, TLS1_3_VERSION);
    for (i = 0; i < 200 && tls_conn_state(link.conn) == TLS_OPEN; i++) {
        assert_int_equal(SSL_key_update(link.peer.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_write(link.peer.ssl, "x", 1), 1);
        rig_peer(&link);
        rig_decode(&link);
        if (i == 5)
            rig_talk(&link);
    }
    assert_in_range(i, 20, 60);
    assert_int_equal(tls_conn_reason(link.conn), TLS_REASON_FLOOD);
    assert_int_equal(counted(STATS_TLS_FAILED_FLOOD), 1);
    shut_link(d, client);
    rig_close(&rig);
}

static int setup(void **state)
{
    static const char *const names[] = {"mx.example.org", "*.example.net"};

    (void)state;
    kit_certificate_make(&ec, "EC", names, 2, -1, 90);
    kit_certificate_make(&rsa, "RSA", names, 2, -1, 90);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_certificate_free(&ec);
    kit_certificate_free(&rsa);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshakes),
        cmocka_unit_test(clients),
        cmocka_unit_test(other_groups),
        cmocka_unit_test(suites),
        cmocka_unit_test(not_tls),
        cmocka_unit_test(left_over),
        cmocka_unit_test(disagreements),
        cmocka_unit_test(protocols),
        cmocka_unit_test(client_certificate),
        cmocka_unit_test(damaged),
        cmocka_unit_test(close_notify),
        cmocka_unit_test(ends),
        cmocka_unit_test(small_rooms),
        cmocka_unit_test(renegotiation),
        cmocka_unit_test(key_updates),
    };

    if (!tls_memory_use())
        return 1;
    return cmocka_run_group_tests(tests, setup, teardown);
}
