/*
 * Plans of where mail goes, made of a table's answers: order, fallback, loops, private addresses,
 * what is refused for good and what waits, how long a plan holds, and that no question and no
 * delivery is lost, whatever ends first.
 */
#include "unit.h"

#include "base_time.h"
#include "courier.h"
#include "courier_link.h"
#include "dpdk_eal.h"
#include "resolver.h"
#include "resolver_table.h"

#include <stdio.h>
#include <stdlib.h>

#define FIXED                                                                                      \
    "gateway { hostname = gw.example; run_dir = /run/x; public_addresses = 203.0.113.9; }\n"       \
    "port p { device = d; address = { 198.51.100.1/24, 2001:db8:1::1/64 }; }\n"                    \
    "listener mx { kind = mx; port = p; }\n"                                                       \
    "dns { timeout = 5s; }\n"

static struct rig {
    struct settings_hub hub;
    struct topology topology;
    struct courier courier;
    struct resolver resolver;
    struct resolver_table *table;
    uint64_t now_ns;
} rig;

static struct settings *settings_of(const char *routes)
{
    static char text[4096];
    struct conf_errors errors = {0};

    snprintf(text, sizeof(text), "%s%s", FIXED, routes);
    struct conf *conf = conf_parse("t", base_span_str(text), NULL, NULL, &errors);
    if (conf == NULL)
        fail_msg("%s: %s", errors.error[0].key, errors.error[0].why);
    conf_errors_free(&errors);
    conf->delivery.mta_sts = false; /* by hand, where a test is of it */
    struct settings *s = settings_make(conf);
    assert_non_null(s);
    return s;
}

static void begin(const char *routes)
{
    static unsigned number;
    uint8_t secret[16] = {(uint8_t)++number};
    char prefix[16];

    rig = (struct rig){.now_ns = BASE_NS_S};
    dpdk_eal_init();
    snprintf(prefix, sizeof(prefix), "plan%u", number);
    assert_int_equal(settings_hub_init(&rig.hub, settings_of(routes), 1), 0);
    assert_int_equal(topology_init(&rig.topology, 1, 1, prefix, true), 0);
    assert_int_equal(courier_init(&rig.courier, &rig.topology, &rig.hub, secret), 0);
    rig.table = resolver_table_open(true);
    resolver_init(&rig.resolver, &rig.topology, resolver_table_driver(rig.table));
    rig.courier.now_ns = rig.now_ns;
}

static void end(void)
{
    courier_fini(&rig.courier);
    resolver_table_close(rig.table);
    topology_fini(&rig.topology);
    settings_hub_fini(&rig.hub);
}

/* ---- the table ---- */

static size_t put_name(uint8_t *out, const char *name)
{
    size_t at = 0;

    while (*name != 0) {
        size_t len = strcspn(name, ".");
        out[at++] = (uint8_t)len;
        memcpy(out + at, name, len);
        at += len;
        name += len + (name[len] == '.');
    }
    out[at++] = 0;
    return at;
}

/* "10 mx1.example", up to 4 of them, parted by commas; a dot is the root. */
static void put_mx(const char *domain, const char *hosts, bool secure, uint32_t ttl_s)
{
    static uint8_t data[4][300];
    struct resolver_table_entry e = {
        .name = domain, .type = DNS_TYPE_MX, .status = DNS_OK, .secure = secure, .ttl_s = ttl_s};
    char text[512], *rest = text;

    snprintf(text, sizeof(text), "%s", hosts);
    for (uint32_t i = 0; rest != NULL && rest[0] != 0; i++) {
        char *one = strsep(&rest, ","), *name = strchr(one, ' ') + 1;
        base_put_be16(data[i], (uint16_t)atoi(one));
        size_t len = put_name(data[i] + 2, strcmp(name, ".") == 0 ? "" : name);
        e.record[i] = base_span_of(data[i], 2 + len);
    }
    assert_int_equal(resolver_table_put(rig.table, &e), 0);
}

static void put_address(const char *name, const char *address, const char *canonical)
{
    struct net_addr a;

    assert_int_equal(net_addr_parse(&a, base_span_str(address)), 0);
    bool v4 = net_addr_is_v4(&a);
    struct resolver_table_entry e = {
        .name = name,
        .type = v4 ? DNS_TYPE_A : DNS_TYPE_AAAA,
        .status = DNS_OK,
        .secure = true,
        .ttl_s = 60,
        .canonical = canonical,
        .record = {v4 ? base_span_of(a.b + 12, 4) : base_span_of(a.b, 16)}};
    assert_int_equal(resolver_table_put(rig.table, &e), 0);
}

static void put_status(const char *name, uint16_t type, enum dns_status status, uint64_t delay_ns)
{
    struct resolver_table_entry e = {
        .name = name, .type = type, .status = status, .secure = true, .delay_ns = delay_ns};

    assert_int_equal(resolver_table_put(rig.table, &e), 0);
}

/* ---- deliveries ---- */

static struct delivery *delivery_to(const char *domain)
{
    struct courier *c = &rig.courier;
    struct delivery *d = c->free;

    if (d != NULL)
        c->free = d->next;
    else
        d = &c->deliveries[c->delivery_cnt++];
    d->job = (struct queue_job){.domain = base_span_str(domain)};
    return d;
}

static void step(void)
{
    struct courier *c = &rig.courier;

    c->now_ns = rig.now_ns;
    c->settings = settings_current(c->hub);
    resolver_pass(&rig.resolver, rig.now_ns);
    resolver_answers(&rig.topology, TOPOLOGY_COURIER, 0);
    courier_plans_run(c);
}

static void put_back(struct delivery *d)
{
    courier_plan_put(&rig.courier, d);
    d->next = rig.courier.free;
    rig.courier.free = d;
}

/* Waits for its plan in virtual time. */
static const struct courier_plan *plan_of(struct delivery *d)
{
    struct courier *c = &rig.courier;

    c->settings = settings_current(c->hub);
    c->now_ns = rig.now_ns;
    if (courier_plan_take(c, d))
        return d->plan;
    for (int i = 0; c->plans.ready == NULL; i++) {
        assert_true(i < 1000);
        rig.now_ns += 100 * BASE_NS_MS;
        step();
    }
    assert_ptr_equal(c->plans.ready, d);
    c->plans.ready = d->next;
    return d->plan;
}

/* "198.51.100.2 198.51.100.3", with " by kernel" what the lanes' TCP does not reach; or the
 * enhanced code of what is said where there is none. */
static void expect(const char *domain, const char *want)
{
    struct delivery *d = delivery_to(domain);
    const struct courier_plan *p = plan_of(d);
    char got[512] = "", address[COURIER_LINK_TEXT_CAP];
    size_t len = 0;

    for (uint32_t i = 0; i < p->order.target_cnt; i++) {
        const struct plan_target *t = &p->order.target[i];
        courier_link_format(address, &t->endpoint, &t->stream);
        len += (size_t)snprintf(got + len, sizeof(got) - len, "%s%s%s", i > 0 ? " " : "", address,
                                t->by_kernel ? " by kernel" : "");
    }
    if (p->order.target_cnt == 0)
        snprintf(got, sizeof(got), "%s", p->enhanced);
    if (strcmp(got, want) != 0)
        fail_msg("%s: %s, not %s (%s)", domain, got, want, p->words);
    assert_true((p->outcome == PLAN_READY) == (p->order.target_cnt > 0));
    assert_true(p->outcome != PLAN_FAIL || p->enhanced[0] == '5');
    assert_true(p->outcome != PLAN_DEFER || p->enhanced[0] == '4');
    put_back(d);
}

#define A "198.51.100.2"
#define B "198.51.100.3"

static void put_world(void)
{
    put_address("a.example", A, NULL);
    put_address("b.example", B, NULL);
    put_address("gw.example", "198.51.100.1", NULL);
    put_address("front.example", "203.0.113.9", NULL);
    put_address("six.example", "2001:db8:1::5", NULL);
    put_address("alias.example", A, "a.example");
    put_address("inside.example", "10.0.0.1", NULL);
    put_address("mapped.example", "::ffff:127.0.0.1", NULL);
    put_status("fails.example", DNS_TYPE_A, DNS_SERVFAIL, 0);
    put_status("fails.example", DNS_TYPE_AAAA, DNS_BOGUS, 0);
}

static void test_where_mail_goes(void **state)
{
    static const struct {
        const char *domain, *mx, *want;
    } rows[] = {
        {"one", "10 a.example", A ":25"},
        {"order", "20 b.example,10 a.example", A ":25 " B ":25"},
        {"family", "10 six.example", "[2001:db8:1::5]:25"},
        {"twice", "10 a.example,20 a.example", A ":25"},
        {"null", "0 .", "5.1.10"},
        {"notnull", "0 .,5 a.example", A ":25"},
        {"own", "10 gw.example", "5.4.6"},
        {"front", "10 front.example", "5.4.6"},
        {"better", "10 a.example,20 gw.example,30 b.example", A ":25"},
        {"worse", "10 gw.example,20 a.example", "5.4.6"},
        {"even", "10 gw.example,10 a.example", "5.4.6"},
        {"private", "10 inside.example", "4.4.4"},
        {"mapped", "10 mapped.example", "4.4.4"},
        {"beside", "10 inside.example,20 b.example", B ":25"},
        {"nohost", "10 nosuch.example", "5.4.4"},
        {"address", "10 192.0.2.1", "5.4.4"},
        {"aside", "10 fails.example,20 b.example", B ":25"},
        {"fails", "10 fails.example,20 nosuch.example", "4.4.3"},
        {"loopfails", "10 fails.example,20 gw.example", "4.4.3"},
    };
    (void)state;

    begin("");
    put_world();
    put_address("implicit", B, NULL);
    put_status("empty", DNS_TYPE_MX, DNS_NODATA, 0);
    put_status("servfail", DNS_TYPE_MX, DNS_SERVFAIL, 0);
    put_status("bogus", DNS_TYPE_MX, DNS_BOGUS, 0);
    put_address("servfail", A, NULL);
    put_status("silent", DNS_TYPE_MX, DNS_NODATA, BASE_NS_NONE);
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        put_mx(rows[i].domain, rows[i].mx, true, 60);
        expect(rows[i].domain, rows[i].want);
    }
    expect("implicit", B ":25");
    expect("empty", "5.4.4");
    expect("nowhere", "5.1.2");
    expect("servfail", "4.4.3"); /* never its address */
    expect("bogus", "4.4.3");
    expect("silent", "4.4.3");
    expect("[198.51.100.2]", A ":25");
    expect("[IPv6:2001:db8:1::5]", "[2001:db8:1::5]:25");
    expect("[198.51.100.1]", "5.4.6");
    expect("[127.0.0.1]", "4.4.4");
    expect("", "5.1.2");
    expect("not..a..name", "5.1.2");
    assert_int_equal(resolver_table_open_cnt(rig.table), 0);
    end();
}

/* What a name server made of its records is no answer, and no host is tried for it. */
static void put_rdata(const char *name, uint16_t type, const char *rdata, size_t len)
{
    struct resolver_table_entry e = {
        .name = name, .type = type, .status = DNS_OK, .secure = true, .ttl_s = 60};

    e.record[0] = base_span_of(rdata, len);
    assert_int_equal(resolver_table_put(rig.table, &e), 0);
}

/* O5. */
static void test_malformed_records(void **state)
{
#define BYTES(text) text, sizeof(text) - 1
    (void)state;
    begin("");
    put_world();
    put_rdata("short", DNS_TYPE_MX, BYTES("\0"));
    put_rdata("cut", DNS_TYPE_MX, BYTES("\0\12\1a"));
    put_rdata("loop", DNS_TYPE_MX, BYTES("\0\12\300\2"));
    put_rdata("behind", DNS_TYPE_MX, BYTES("\0\12\1a\7example\0x"));
    put_rdata("v4.example", DNS_TYPE_A, BYTES("\1\2\3"));
    put_rdata("v6.example", DNS_TYPE_AAAA, BYTES("\1\2\3\4"));
    put_mx("a4", "10 v4.example", true, 60);
    put_mx("a6", "10 v6.example", true, 60);
    put_mx("next", "10 v4.example,20 b.example", true, 60);
    static const char *const names[] = {"short", "cut", "loop", "behind", "a4", "a6"};
    for (size_t i = 0; i < BASE_ARRAY_CNT(names); i++)
        expect(names[i], "4.4.3");
    expect("next", B ":25");
    end();
}

static void test_routes(void **state)
{
    (void)state;
    begin("route to.host { host = [a.example]:587; }\n"
          "route to.mx { host = mx.target:26; }\n"
          "route several { host = { 198.51.100.9, [nosuch.example], [b.example] }; }\n"
          "route .below { host = { [198.51.100.8]:24 }; }\n"
          "route lost { host = [nosuch.example]; }\n"
          "route inner { private_networks = 10.0.0.0/8; }\n"
          "route default { host = [gw.example]; }\n");
    put_world();
    put_mx("mx.target", "10 b.example,20 a.example", true, 60);
    put_mx("inner", "10 inside.example", true, 60);
    expect("to.host", A ":587");
    expect("to.mx", B ":26 " A ":26");
    expect("several", "198.51.100.9:25 " B ":25");
    expect("x.y.below", "198.51.100.8:24");
    expect("lost", "4.4.4"); /* an operator's mistake */
    expect("inner", "10.0.0.1:25");
    expect("below", "198.51.100.1:25"); /* the operator may name us */
    end();
}

/* LMTP asks for no MX records and has a port of its own; sockets of this machine are the kernel's.
 */
static void test_sockets(void **state)
{
    (void)state;
    begin(
        "route box { via = lmtp; host = { unix:/run/lmtp, a.example, [b.example]:2424 }; }\n"
        "route both { host = { lmtp:inet:198.51.100.9, lmtp:unix:/run/b }; }\n"
        "route filter { host = { 127.0.0.1:10025, [::1]:10026, inet:a.example:2525, unix:/f }; }\n"
        "route named { host = [here.example]; }\n");
    put_world();
    put_address("here.example", "127.0.0.1", NULL);
    put_mx("a.example", "10 b.example", true, 60);
    expect("box", "unix:/run/lmtp by kernel " A ":24 " B ":2424");
    expect("both", "198.51.100.9:24 unix:/run/b by kernel");
    expect("filter",
           "127.0.0.1:10025 by kernel [::1]:10026 by kernel " B ":2525 unix:/f by kernel");
    expect("named", "127.0.0.1:25 by kernel");
    end();
}

/* ---- what next hops must prove ---- */

static void put_tlsa(const char *name, uint8_t usage, enum dns_status status)
{
    static uint8_t data[35];
    struct resolver_table_entry e = {
        .name = name, .type = DNS_TYPE_TLSA, .status = status, .secure = true, .ttl_s = 60};

    memset(data, 0x5a, sizeof(data));
    data[0] = usage;
    data[1] = data[2] = 1;
    if (status == DNS_OK)
        e.record[0] = base_span_of(data, sizeof(data));
    assert_int_equal(resolver_table_put(rig.table, &e), 0);
}

/* "dane records trusted sni name,name", or the enhanced code. */
static void expect_proof(const char *domain, const char *want)
{
    struct delivery *d = delivery_to(domain);
    const struct courier_plan *p = plan_of(d);
    char got[512];

    snprintf(got, sizeof(got), "%s", p->enhanced);
    if (p->order.target_cnt > 0) {
        const struct dane_requirement *r = &p->order.target[0].host->requirement;
        size_t len = (size_t)snprintf(
            got, sizeof(got), "%s %s%s %s", dane_level_name((enum dane_level)r->level),
            dane_proof_name((enum dane_proof)r->proof), r->trusted_only ? " trusted" : "",
            r->sni != NULL ? r->sni : "-");
        for (uint32_t i = 0; i < r->name_cnt; i++)
            len += (size_t)snprintf(got + len, sizeof(got) - len, "%s%s", i == 0 ? " " : ",",
                                    r->names[i]);
        assert_int_equal(r->record_cnt, r->proof == DANE_PROOF_RECORDS);
        assert_true(r->digest != 0);
    }
    if (strcmp(got, want) != 0)
        fail_msg("%s: %s, not %s (%s)", domain, got, want, p->words);
    put_back(d);
}

static void test_proofs(void **state)
{
    static const struct {
        const char *domain, *mx;
        bool secure;
        const char *want;
    } rows[] = {
        {"ee.example", "10 good.example", true,
         "dane records good.example good.example,ee.example"},
        {"unsigned.example", "10 good.example", false,
         "dane records trusted good.example good.example"},
        {"alias2.example", "10 cname.example", true,
         "dane records good.example good.example,alias2.example"},
        {"none.example", "10 a.example", true, "may optional a.example"},
        {"lame.example", "10 b.example", true, "4.7.5"},
        {"other.example", "10 b.example,20 good.example", true,
         "dane records good.example good.example,other.example"},
        {"unusable.example", "10 six.example", true, "encrypt encrypted six.example"},
        {"torn.example", "10 torn.host", true, "encrypt encrypted torn.host"},
        {"only.example", "10 a.example", true, "4.7.5"},
        {"soft.example", "10 b.example", true, "may optional b.example"},
        {"clear.example", "10 good.example", true, "none clear good.example"},
        {"own.example", "10 a.example", true, "secure names own.example own.example"},
        {"listed.example", "10 a.example", true, "verify names x.example x.example,y.example"},
    };
    (void)state;

    begin("destination only.example { tls = dane-only; }\n"
          "destination soft.example { tls = dane-only; defer_on_tls_error = no; }\n"
          "destination clear.example { tls = none; }\n"
          "destination own.example { tls = secure; }\n"
          "destination listed.example { tls = verify; names = { x.example, y.example }; }\n"
          "route relay.example { host = [good.example]:587; }\n"
          "route verify.example { host = 198.51.100.9; verify = yes; }\n"
          "route first.example { host = 198.51.100.9:465; tls = implicit; }\n");
    put_world();
    put_address("good.example", A, NULL);
    put_address("cname.example", A, "good.example");
    put_tlsa("_25._tcp.good.example", 3, DNS_OK);
    put_tlsa("_587._tcp.good.example", 3, DNS_OK);
    put_tlsa("_25._tcp.b.example", 3, DNS_SERVFAIL);
    put_tlsa("_25._tcp.six.example", 1, DNS_OK);
    put_address("torn.host", A, NULL);
    put_rdata("_25._tcp.torn.host", DNS_TYPE_TLSA, "\3\1", 2); /* no TLSA record at all */
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        put_mx(rows[i].domain, rows[i].mx, rows[i].secure, 60);
        expect_proof(rows[i].domain, rows[i].want);
    }
    expect_proof("relay.example", "dane records good.example good.example"); /* a-priori secure */
    expect_proof("verify.example", "verify names - 198.51.100.9");
    expect_proof("first.example", "encrypt encrypted -");
    /* Other records, another digest: who was to prove something else shares nothing with it. */
    struct delivery *d = delivery_to("ee.example");
    uint64_t digest = plan_of(d)->order.target[0].host->requirement.digest;
    put_back(d);
    put_tlsa("_25._tcp.good.example", 2, DNS_OK);
    rig.now_ns += 100 * BASE_NS_S;
    d = delivery_to("ee.example");
    assert_true(plan_of(d)->order.target[0].host->requirement.digest != digest);
    put_back(d);
    end();
}

/* ---- names of destinations ---- */

static void expect_destination(const char *domain, const char *want)
{
    uint8_t out[QUEUE_DESTINATION_MAX];
    size_t len = courier_plan_destination(settings_current(&rig.hub), base_span_str(domain), out);

    if (len != strlen(want) || memcmp(out, want, len) != 0)
        fail_msg("%s: %.*s, not %s", domain, (int)len, (const char *)out, want);
}

static void test_destinations(void **state)
{
    (void)state;
    begin("route a { host = 198.51.100.9:25; }\nroute b { host = 198.51.100.9:25; }\n"
          "route c { host = 198.51.100.9:25; proxy = v1; }\nroute d { host = { x.example, "
          "[y.example]:26 "
          "}; }\nroute e { via = mx; }\n"
          "route .group { host = 198.51.100.9:25; }\nroute .secure { host = 198.51.100.9:25; }\n"
          "destination .group { tls = may; }\ndestination .secure { tls = secure; }\n"
          "route l { host = lmtp:198.51.100.9:25; }\nroute m { via = lmtp; host = lmtp:unix:/m; }\n"
          "route n { via = lmtp; host = unix:/m; delivered_to = no; }\nroute o { host = unix:/m; "
          "}\n");
    expect_destination("l", "lmtp:198.51.100.9:25");
    expect_destination("m", "lmtp:unix:/m");
    expect_destination("n", "lmtp:unix:/m route n");
    expect_destination("o", "unix:/m");
    expect_destination("a", "198.51.100.9:25");
    expect_destination("B", "198.51.100.9:25");
    expect_destination("c", "198.51.100.9:25 route c");
    expect_destination("d", "x.example:25,[y.example]:26");
    expect_destination("E", "e");
    expect_destination("a.group", "198.51.100.9:25 to .group");
    expect_destination("b.secure", "198.51.100.9:25 to b.secure");
    expect_destination("B\xc3\xbc"
                       "cher.example",
                       "xn--bcher-kva.example");
    end();
}

/* ---- time ---- */

static void test_time(void **state)
{
    struct delivery *d, *other;

    (void)state;
    begin("");
    put_world();
    put_mx("kept", "10 a.example", true, 30);
    expect("kept", A ":25");
    uint64_t asked = resolver_table_asked(rig.table);
    put_mx("kept", "10 b.example", true, 30);
    expect("kept", A ":25");
    assert_int_equal(resolver_table_asked(rig.table), asked);
    rig.now_ns += 31 * BASE_NS_S;
    expect("kept", B ":25");
    /* What another resolver had said, as after a reload, is asked anew within its TTL. */
    put_mx("kept", "10 a.example", true, 30);
    expect("kept", B ":25");
    atomic_fetch_add(&rig.topology.resolver_config_no, 1);
    expect("kept", A ":25");
    /* Those that use an old plan keep it; others get the new one. */
    put_mx("used", "10 a.example", true, 1);
    d = delivery_to("used");
    const struct courier_plan *p = plan_of(d);
    rig.now_ns += 2 * BASE_NS_S;
    rig.courier.now_ns = rig.now_ns;
    put_mx("used", "10 b.example", true, 1);
    other = delivery_to("used");
    assert_ptr_not_equal(plan_of(other), p);
    assert_string_equal(p->order.target[0].host->name, "a.example");
    put_back(d);
    put_back(other);
    /* A failure is asked again by the next one, what it said is gone. */
    put_status("flaky", DNS_TYPE_MX, DNS_SERVFAIL, 0);
    expect("flaky", "4.4.3");
    put_mx("flaky", "10 a.example", true, 30);
    expect("flaky", A ":25");
    end();
}

static void test_shared_and_even(void **state)
{
    struct delivery *d[40];
    uint32_t first[2] = {0};

    (void)state;
    begin("");
    put_world();
    put_mx("even", "10 a.example,10 b.example", true, 1);
    for (size_t i = 0; i < BASE_ARRAY_CNT(d); i++) {
        d[i] = delivery_to("even");
        assert_false(courier_plan_take(&rig.courier, d[i]));
    }
    for (int i = 0; i < 20; i++) {
        rig.now_ns += BASE_NS_MS;
        step();
    }
    uint32_t n = 0;
    for (struct delivery *at = rig.courier.plans.ready; at != NULL; at = at->next)
        n++;
    assert_int_equal(n, BASE_ARRAY_CNT(d));
    assert_int_equal(d[0]->plan->order.even_cnt, 2);
    assert_int_equal(resolver_table_asked(rig.table),
                     7); /* MX; of two hosts both families, and TLSA */
    rig.courier.plans.ready = NULL;
    for (size_t i = 0; i < BASE_ARRAY_CNT(d); i++)
        put_back(d[i]);
    for (int i = 0; i < 60; i++) { /* other plans, other orders */
        struct delivery *one = delivery_to("even");
        const struct courier_plan *p = plan_of(one);
        first[strcmp(p->order.target[0].host->name, "a.example") == 0]++;
        put_back(one);
        rig.now_ns += 2 * BASE_NS_S;
        rig.courier.now_ns = rig.now_ns;
    }
    assert_true(first[0] > 5 && first[1] > 5);
    end();
}

/* ---- ends ---- */

static void test_other_settings_meanwhile(void **state)
{
    struct courier *c = &rig.courier;

    (void)state;
    begin("");
    put_world();
    put_mx("late", "10 a.example", true, 60);
    struct delivery *d = delivery_to("late");
    assert_false(courier_plan_take(c, d));
    settings_publish(&rig.hub, settings_of("route late { host = 198.51.100.7; }\n"));
    settings_quiescent(&rig.hub, 0);
    for (int i = 0; i < 100 && c->plans.ready == NULL; i++) {
        rig.now_ns += 100 * BASE_NS_MS;
        step();
    }
    assert_ptr_equal(c->plans.ready, d);
    c->plans.ready = NULL;
    assert_int_equal(d->plan->outcome, PLAN_OLD);
    put_back(d);
    expect("late", "198.51.100.7:25");
    settings_reclaim(&rig.hub);
    end();
}

static void test_end_amid_questions(void **state)
{
    struct courier *c = &rig.courier;
    struct delivery *d[8];
    char name[32];

    (void)state;
    begin("");
    for (size_t i = 0; i < BASE_ARRAY_CNT(d); i++) {
        snprintf(name, sizeof(name), "silent%zu", i / 2);
        put_status(name, DNS_TYPE_MX, DNS_NODATA, BASE_NS_NONE);
        d[i] = delivery_to(name);
        d[i]->job.domain = base_span_str(strdup(name));
        assert_false(courier_plan_take(c, d[i]));
    }
    step();
    courier_plans_flush(c);
    uint32_t n = 0;
    for (struct delivery *at = c->plans.ready, *next; at != NULL; at = next, n++) {
        next = at->next;
        assert_int_equal(at->plan->outcome, PLAN_ASKING);
        put_back(at);
    }
    c->plans.ready = NULL;
    assert_int_equal(n, BASE_ARRAY_CNT(d));
    for (size_t i = 0; i < BASE_ARRAY_CNT(d); i++)
        free((void *)(uintptr_t)d[i]->job.domain.p);
    end(); /* the questions are still out; the sanitizer counts what is left */
}

/* More destinations than questions may be out, and than plans are kept: each is answered. */
static void test_many(void **state)
{
    struct courier *c = &rig.courier;
    enum { CNT = 300 };
    static struct delivery *d[CNT];
    static char name[CNT][16];

    (void)state;
    begin("queue { deliveries = 400; } route x.example { host = 10.0.0.1; }\n");
    put_world();
    for (int round = 0; round < 16; round++) {
        for (int i = 0; i < CNT; i++) {
            snprintf(name[i], sizeof(name[i]), "n%d.example", round * CNT + i);
            put_status(name[i], DNS_TYPE_MX, i % 3 == 0 ? DNS_NODATA : DNS_NXDOMAIN, 0);
            d[i] = delivery_to(name[i]);
            assert_false(courier_plan_take(c, d[i]));
        }
        assert_true(c->plans.query_cnt <= PLAN_QUERY_MAX && c->plans.query_cnt > 0);
        for (int i = 0; i < 2000 && resolver_table_open_cnt(rig.table) + c->plans.query_cnt > 0;
             i++) {
            rig.now_ns += BASE_NS_MS;
            step();
        }
        uint32_t n = 0;
        for (struct delivery *at = c->plans.ready; at != NULL; at = at->next)
            n++;
        assert_int_equal(n, CNT);
        c->plans.ready = NULL;
        for (int i = 0; i < CNT; i++) {
            assert_int_equal(d[i]->plan->outcome, PLAN_FAIL);
            put_back(d[i]);
        }
        assert_true(c->plans.kept_cnt <= PLAN_MAX);
    }
    assert_int_equal(c->plans.kept_cnt, PLAN_MAX);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where_mail_goes),
        cmocka_unit_test(test_malformed_records),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_sockets),
        cmocka_unit_test(test_proofs),
        cmocka_unit_test(test_destinations),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_shared_and_even),
        cmocka_unit_test(test_other_settings_meanwhile),
        cmocka_unit_test(test_end_amid_questions),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
