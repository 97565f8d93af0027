/* The TLS engine against plain OpenSSL: every combination of version, key, driver and cut. */
#include "tls_rig.h"

#include "tls_memory.h"

static struct kit_certificate ec, rsa;
static struct rig rig;
static struct rig_link link;

static struct tls_domain *make_domain(struct rig *r,
                                      const struct tls_certificate_spec *certificates, uint32_t cnt,
                                      const struct tls_policy_spec *policies, uint32_t policy_cnt)
{
    struct tls_domain_spec spec = {.certificates = certificates,
                                   .certificate_cnt = cnt,
                                   .policies = policies,
                                   .policy_cnt = policy_cnt,
                                   .now_s = 1};
    char why[256];
    struct tls_domain *d = tls_domain_build(r->lane, &spec, why, sizeof(why));

    if (d == NULL)
        fail_msg("%s", why);
    assert_string_equal(why, "");
    return d;
}

static void drop_domain(struct tls_domain *d)
{
    tls_domain_retire(d);
    assert_true(tls_domain_released(d));
    tls_domain_free(d);
}

static const struct tls_policy_spec plain_policy = {.label = "mx", .version_min = TLS_VERSION_12};

static void one_handshake(struct tls_domain *d, int version, const char *key, size_t chunk,
                          size_t room)
{
    SSL_CTX *client = kit_client_context(version);
    struct tls_facts facts;

    rig_accept(&link, &rig, d, 0, client, "mx.example.org");
    link.chunk = chunk;
    link.out_room = room;
    assert_int_equal(rig_handshake(&link), TLS_OPEN);
    tls_conn_facts(link.conn, &facts);
    assert_string_equal(facts.version, version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3");
    assert_string_equal(facts.signature, key);
    assert_string_equal(facts.group, "x25519");
    assert_string_equal(facts.server_name, "mx.example.org");
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
            struct tls_certificate_spec c = kit_spec(key == 0 ? &ec : &rsa, "file");
            struct tls_domain *d = make_domain(&rig, &c, 1, &plain_policy, 1);
            for (size_t v = 0; v < BASE_ARRAY_CNT(versions); v++) {
                for (size_t i = 0; i < BASE_ARRAY_CNT(chunks); i++) {
                    one_handshake(d, versions[v], key == 0 ? "EC" : "RSA", chunks[i], RIG_PIPE);
                    one_handshake(d, versions[v], key == 0 ? "EC" : "RSA", chunks[i], 100);
                }
            }
            drop_domain(d);
        }
        assert_int_equal(stats_get(&rig.stats, STATS_TLS_ACCEPTED), 24);
        assert_int_equal(stats_get(&rig.stats, STATS_TLS_VERSION_12), 12);
        assert_int_equal(stats_get(&rig.stats, STATS_TLS_KEYOPS), 24);
        assert_int_equal(stats_get(&rig.stats, STATS_TLS_CONNECTIONS), 0);
        if (RIG_PARKING)
            assert_int_equal(stats_get(&rig.stats, STATS_TLS_PARKS), driver == RIG_INLINE ? 0 : 24);
        rig_close(&rig);
    }
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
    };

    if (!tls_memory_use())
        return 1;
    return cmocka_run_group_tests(tests, setup, teardown);
}
