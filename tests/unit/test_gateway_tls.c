/*
 * Control's side of TLS with two lanes, in one thread: certificates out of files, contexts to both
 * lanes, ticket keys that both have and that change, and loads that fail.
 */
#include "unit.h"

#include "base_time.h"
#include "dpdk_eal.h"
#include "gateway_tls.h"
#include "loop.h"
#include "tls_kit.h"
#include "tls_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LANES     2
#define TICKET_NS (1800 * BASE_NS_S)
#define PIPE      65536

static char folder[64];
static struct kit_certificate ec, rsa, next;
static struct topology topology;
static struct settings *settings;
static struct gateway_tls tls;
static uint64_t now_ns;

/* In the place of the opener's: this test has no process of its own for it. */
int opener_open(struct opener *o, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    (void)o;
    return fd < 0 ? -errno : fd;
}

static void put_file(const char *name, const char *text)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static void put_pair(const char *name, const struct kit_certificate *c)
{
    char file[64];

    snprintf(file, sizeof(file), "%s.pem", name);
    put_file(file, c->chain_pem);
    snprintf(file, sizeof(file), "%s.key", name);
    put_file(file, c->key_pem);
}

/* A configuration with these certificates, by the names of their files. */
static struct conf *make_conf(const char *const *names, uint32_t cnt)
{
    static const char head[] = "gateway { hostname = gw.example; run_dir = /run/x; }\n"
                               "port p { device = \"net_x\"; address = { 10.0.0.1/24 }; }\n"
                               "listener mx { port = p; tcp_port = 25; tls_tickets = 1; }\n"
                               "spool { path = /spool; size = 256M; segment_size = 1M; }\n"
                               "relay { domains = { example.org }; }\n"
                               "route default { host = 10.0.0.2:2525; }\n";
    struct conf_errors *errors = calloc(1, sizeof(*errors));
    char text[2048];
    size_t len = (size_t)snprintf(text, sizeof(text), "%s", head);

    for (uint32_t i = 0; i < cnt; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len,
                                "certificate %s { chain = %s/%s.pem; key = %s/%s.key; }\n",
                                names[i], folder, names[i], folder, names[i]);
    struct conf *conf = conf_parse("test", base_span_str(text), NULL, NULL, errors);
    conf_errors_free(errors);
    free(errors);
    assert_non_null(conf);
    return conf;
}

/* Returns what the load returned; its sentence is in why. */
static char why[GATEWAY_TLS_WHY_CAP];

static int load(const char *const *names, uint32_t cnt)
{
    struct conf *conf = make_conf(names, cnt);
    int error = gateway_tls_load(&tls, conf, NULL, why);

    conf_free(conf);
    return error;
}

static const char *const both[] = {"ec", "rsa"};

/* Lanes take what was posted; control frees what they have given up. */
static void pass(void)
{
    for (uint32_t i = 0; i < LANES; i++)
        lane_tls_take(tls.lane[i]);
    gateway_tls_tend(&tls, now_ns);
}

static void later(uint64_t ns)
{
    gateway_tls_tend(&tls, now_ns += ns);
    pass();
}

static uint32_t domain_cnt(void)
{
    uint32_t n = 0;

    for (struct gateway_tls_domain *d = tls.domains; d != NULL; d = d->next)
        n++;
    return n;
}

/* ---- clients ---- */

struct visit {
    struct tls_conn *conn;
    struct kit_peer peer;
};

static void turn(struct visit *v, uint32_t lane)
{
    static uint8_t in[PIPE], out[PIPE], plain[PIPE];
    struct base_buf said = {out, 0, PIPE}, read = {plain, 0, PIPE};
    struct tls_conn *ready[4];
    size_t consumed, len, left;

    (void)kit_peer_step(&v->peer);
    len = kit_peer_take(&v->peer, in, PIPE);
    tls_conn_decode(v->conn, base_span_of(in, len), &consumed, &read, &said);
    if (tls_lane_run(tls.lane[lane]->engine, ready, 4) == 1) { /* it has waited for its turn */
        assert_ptr_equal(ready[0], v->conn);
        tls_conn_decode(v->conn, base_span_of(in + consumed, len - consumed), &left, &read, &said);
        consumed += left;
    }
    assert_int_equal(consumed, len);
    kit_peer_give(&v->peer, out, said.len);
}

/* A handshake on a lane with what that has now. */
static struct visit connect_to(uint32_t lane, SSL_CTX *client, SSL_SESSION *session)
{
    struct lane_tls *t = tls.lane[lane];
    struct visit v = {.conn = tls_conn_accept(t->engine, t->domain, 0, NULL)};
    char byte;

    assert_non_null(v.conn);
    kit_peer_open(&v.peer, client, true, "gw.example");
    if (session != NULL)
        assert_int_equal(SSL_set_session(v.peer.ssl, session), 1);
    for (int i = 0;
         i < 10 && !(tls_conn_state(v.conn) == TLS_OPEN && SSL_is_init_finished(v.peer.ssl)); i++)
        turn(&v, lane);
    assert_int_equal(tls_conn_state(v.conn), TLS_OPEN);
    (void)SSL_read(v.peer.ssl, &byte, 1); /* the ticket */
    return v;
}

static void hang_up(struct visit *v)
{
    (void)SSL_shutdown(v->peer.ssl);
    kit_peer_close(&v->peer);
    tls_conn_close(v->conn);
}

/* The session of a visit; whether it was resumed is as expected. */
static SSL_SESSION *ticket(uint32_t lane, SSL_SESSION *session, bool resumed)
{
    SSL_CTX *client = kit_client_context(TLS1_3_VERSION);
    struct visit v = connect_to(lane, client, session);
    SSL_SESSION *s = SSL_get1_session(v.peer.ssl);

    assert_int_equal(SSL_session_reused(v.peer.ssl), resumed);
    hang_up(&v);
    SSL_CTX_free(client);
    return s;
}

static bool shows(uint32_t lane, const struct kit_certificate *c)
{
    SSL_CTX *client = kit_client_context(0);
    struct visit v = connect_to(lane, client, NULL);
    X509 *x = SSL_get1_peer_certificate(v.peer.ssl);
    bool same = X509_cmp(x, c->leaf) == 0;

    X509_free(x);
    hang_up(&v);
    SSL_CTX_free(client);
    return same;
}

/* ---- tests ---- */

/* A ticket of one lane is good at the other, and after one change of keys, not after two. */
static void ticket_keys(void **state)
{
    (void)state;
    assert_int_equal(load(both, 2), 0);
    pass();
    SSL_SESSION *s = ticket(0, NULL, false);
    assert_true(SSL_SESSION_has_ticket(s));
    SSL_SESSION_free(ticket(0, s, true));
    SSL_SESSION_free(ticket(1, s, true));
    later(TICKET_NS - BASE_NS_S); /* not yet */
    struct tls_ticket_key first = tls.ticket[0];
    assert_int_equal(tls.ticket_cnt, 1);
    later(BASE_NS_S);
    assert_int_equal(tls.ticket_cnt, 2);
    assert_memory_equal(&tls.ticket[1], &first, sizeof(first));
    assert_memory_not_equal(&tls.ticket[0], &first, sizeof(first));
    SSL_SESSION_free(ticket(1, s, true));
    SSL_SESSION *t = ticket(1, NULL, false);
    SSL_SESSION_free(ticket(0, t, true));
    assert_int_equal(load(both, 2), 0); /* new contexts, the same keys */
    pass();
    SSL_SESSION_free(ticket(0, t, true));
    later(TICKET_NS);
    SSL_SESSION_free(ticket(0, s, false));
    SSL_SESSION_free(ticket(1, s, false));
    SSL_SESSION_free(ticket(0, t, true));
    SSL_SESSION_free(s);
    SSL_SESSION_free(t);
}

static void changed(bool wanted)
{
    struct conf *conf = make_conf(both, 2);

    assert_int_equal(gateway_tls_changed(&tls, conf, NULL), wanted);
    conf_free(conf);
}

/* Whatever is wrong with one file: a sentence that names it, and all goes on as it was. */
static void failed_loads(void **state)
{
    static const struct {
        const char *file, *text, *why;
    } rows[] = {
        {"rsa.pem", "rubbish", "rsa"},
        {"rsa.key", "rubbish", "rsa"},
        {"rsa.key", NULL, "cannot read"},
        {"rsa.pem", NULL, "cannot read"},
    };
    char path[128];

    (void)state;
    assert_int_equal(load(both, 2), 0);
    pass();
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        put_pair("ec", &next); /* that would have been a good one */
        changed(true);
        if (rows[i].text != NULL) {
            put_file(rows[i].file, rows[i].text);
        } else {
            snprintf(path, sizeof(path), "%s/%s", folder, rows[i].file);
            assert_int_equal(unlink(path), 0);
        }
        assert_true(load(both, 2) < 0);
        if (strstr(why, rows[i].why) == NULL || strstr(why, "rsa") == NULL)
            fail_msg("%s", why);
        pass();
        changed(false); /* it is told once */
        assert_true(shows(0, &ec) && shows(1, &ec));
        assert_true(base_span_eq(gateway_tls_chain(&tls, 0), base_span_str(ec.chain_pem)));
        assert_true(base_span_eq(gateway_tls_chain(&tls, 1), base_span_str(rsa.chain_pem)));
        assert_string_equal(gateway_tls_certificate(&tls, 1)->key, "RSA 2048");
        assert_int_equal(domain_cnt(), LANES);
        put_pair("ec", &ec);
        put_pair("rsa", &rsa);
    }
    /* A configuration with other files, which is refused: those in use have not changed by that. */
    static const char *const more[] = {"ec", "rsa", "absent"};
    assert_int_equal(load(both, 2), 0);
    assert_true(load(more, 3) < 0);
    changed(false);
    put_pair("ec", &rsa); /* whole, and of another kind */
    put_file("ec.key", ec.key_pem);
    assert_true(load(both, 2) < 0);
    assert_non_null(strstr(why, "belong"));
    put_pair("ec", &ec);
    assert_int_equal(load(both, 2), 0);
    pass();
    assert_true(shows(0, &ec) && shows(1, &ec));
}

/* Loads that lanes take late, or not at all: what no lane has seen is freed at once, what
 * connections are open by when they end. */
static void loads_in_a_row(void **state)
{
    SSL_CTX *client = kit_client_context(0);

    (void)state;
    assert_int_equal(load(both, 2), 0);
    pass();
    struct visit old = connect_to(0, client, NULL);
    put_pair("ec", &next);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(load(both, 2), 0);
        lane_tls_take(tls.lane[1]); /* the other sleeps */
    }
    gateway_tls_tend(&tls, now_ns);
    assert_int_equal(domain_cnt(), 3);
    assert_true(shows(0, &ec) && shows(1, &next));
    pass();
    assert_int_equal(domain_cnt(), 3); /* the first one of lane 0 has a connection */
    assert_true(shows(0, &next));
    hang_up(&old);
    pass();
    assert_int_equal(domain_cnt(), LANES);
    put_pair("ec", &ec);
    SSL_CTX_free(client);
}

/* Without a certificate the lane has contexts for next hops: nothing is ours to accept with. */
static void only_next_hops(uint32_t lane)
{
    const struct lane_tls *t = tls.lane[lane];

    assert_non_null(t->domain);
    assert_false(t->accepts);
    for (uint32_t small = 0; small < 2; small++) {
        struct tls_conn *c =
            tls_conn_connect(t->engine, t->domain, t->client_policy + small, NULL, NULL);
        assert_non_null(c);
        tls_conn_close(c);
    }
}

/* All certificates go, and come back. */
static void without_certificates(void **state)
{
    (void)state;
    assert_int_equal(load(both, 2), 0);
    pass();
    assert_int_equal(load(NULL, 0), 0);
    pass();
    for (uint32_t i = 0; i < LANES; i++)
        only_next_hops(i);
    assert_null(gateway_tls_certificate(&tls, 0));
    assert_int_equal(gateway_tls_chain(&tls, 0).len, 0);
    assert_int_equal(domain_cnt(), LANES);
    later(TICKET_NS);
    only_next_hops(0);
    assert_int_equal(load(both + 1, 1), 0);
    pass();
    assert_true(tls.lane[0]->accepts && tls.lane[0]->client_policy == 1);
    assert_true(shows(0, &rsa) && shows(1, &rsa));
}

static int open_gateway(void **state)
{
    struct conf *conf = make_conf(NULL, 0); /* it starts without any */

    (void)state;
    settings = settings_make(conf);
    assert_non_null(settings);
    assert_int_equal(topology_init(&topology, LANES, 1, "gtls", true), 0);
    assert_int_equal(gateway_tls_init(&tls, settings, &topology), 0);
    assert_int_equal(tls.lane_cnt, LANES);
    assert_int_equal(load(NULL, 0), 0);
    now_ns = loop_now_ns();
    pass();
    only_next_hops(0);
    return 0;
}

static int close_gateway(void **state)
{
    struct tls_conn *ready[4];

    (void)state;
    for (uint32_t i = 0; i < LANES; i++) { /* as lane_tls_leave, without a lane */
        while (tls_lane_under_way(tls.lane[i]->engine) > 0)
            (void)tls_lane_run(tls.lane[i]->engine, ready, 4);
        if (tls.lane[i]->domain != NULL)
            tls_domain_retire(tls.lane[i]->domain);
        tls.lane[i]->domain = NULL;
        tls_lane_leave(tls.lane[i]->engine);
    }
    gateway_tls_fini(&tls);
    topology_fini(&topology);
    settings_free(settings);
    return 0;
}

/* Some loads are never taken. */
static void end_while_posted(void **state)
{
    (void)state;
    assert_int_equal(load(both, 2), 0);
    pass();
    assert_int_equal(load(both, 2), 0);
    lane_tls_take(tls.lane[1]);
    assert_true(tls.posted[0] && tls.posted[1]);
}

static int setup(void **state)
{
    static const char *const names[] = {"gw.example"};

    (void)state;
    strcpy(folder, "/tmp/sluice-gateway-tls-XXXXXX");
    assert_non_null(mkdtemp(folder));
    kit_certificate_make(&ec, "EC", names, 1, -1, 90);
    kit_certificate_make(&next, "EC", names, 1, -1, 90);
    kit_certificate_make(&rsa, "RSA", names, 1, -1, 90);
    put_pair("ec", &ec);
    put_pair("rsa", &rsa);
    return 0;
}

static int teardown(void **state)
{
    char command[128];

    (void)state;
    kit_certificate_free(&ec);
    kit_certificate_free(&next);
    kit_certificate_free(&rsa);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_gateway, close_gateway)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ticket_keys),      TEST(failed_loads),         TEST(loads_in_a_row),
        TEST(end_while_posted), TEST(without_certificates),
    };

    if (!tls_memory_use())
        return 1;
    dpdk_eal_init();
    return cmocka_run_group_tests(tests, setup, teardown);
}
