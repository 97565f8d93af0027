/* lib/conf: bad texts and the exact lines they are answered with, good texts and their values, the
 * ends of every range, the default file. */
#include "unit.h"

#include "conf_golden.h"
#include "conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int include(void *user, const char *path, struct base_span *out)
{
    uint32_t *calls = user;

    (*calls)++;
    if (strcmp(path, "self.conf") == 0)
        *out = base_span_str("\ninclude \"self.conf\";\n");
    else if (strcmp(path, "bad.conf") == 0)
        *out = base_span_str("log {\n level = loud;\n}\n");
    else if (strcmp(path, "good.conf") == 0)
        *out = base_span_str("\xef\xbb\xbflog { level = debug; }\r\nsmtp { hops = 7; }");
    else if (path[0] == 'n') /* "n0", "n1": each includes the next */
    {
        static const char *const deep[] = {
            "include n1;",  "include n2;",  "include n3;",  "include n4;",  "include n5;",
            "include n6;",  "include n7;",  "include n8;",  "include n9;",  "include n10;",
            "include n11;", "include n12;", "include n13;", "include n14;", "include n15;",
            "include n16;", "include n17;"};
        *out = base_span_str(deep[atoi(path + 1)]);
    } else if (path[0] == 'e') {
        *out = base_span_str("");
    } else {
        return -ENOENT;
    }
    return 0;
}

/* Parses; the errors as one text, from malloc. */
static struct conf *parse(struct base_span text, char **errors)
{
    struct conf_errors e;
    uint32_t calls = 0;
    size_t size;
    struct conf *c = conf_parse("t", text, include, &calls, &e);
    FILE *out = open_memstream(errors, &size);

    conf_write_errors(out, &e);
    fclose(out);
    assert_true((c == NULL) == (e.cnt > 0));
    conf_errors_free(&e);
    return c;
}

static void expect(struct base_span text, const char *wanted)
{
    char *errors;
    struct conf *c = parse(text, &errors);

    if (strcmp(errors, wanted) != 0)
        print_error("text: %.*s\n", (int)text.len, (const char *)text.p);
    assert_string_equal(errors, wanted);
    assert_true((c != NULL) == (wanted[0] == 0));
    conf_free(c);
    free(errors);
}

static struct conf *parse_good(const char *text)
{
    char *errors;
    struct conf *c = parse(base_span_str(text), &errors);

    assert_string_equal(errors, "");
    assert_non_null(c);
    free(errors);
    return c;
}

static void test_golden(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++)
        expect(base_span_str(golden[i].text), golden[i].errors);
}

/* What no C string can hold, and the limits. */
static void test_bytes_and_bounds(void **state)
{
    static const char nul[] = "log { level = in\0fo; }\n" REST;
    static char big[1024 * 1024 + 2];
    char *p = big;

    (void)state;
    expect(base_span_of(nul, sizeof(nul) - 1), "t:1: log: NUL byte\n");
    expect(base_span_of("\0", 1), "t:1: NUL byte\nt:1: gateway: hostname: is required\n"
                                  "t:1: port: at least one is required\n"
                                  "t:1: listener: at least one is required\n");
    expect(base_span_str("\xef\xbb\xbf" REST "\r\n# a comment\r\n"), "");
    expect(base_span_str("include good.conf;" REST), "");
    expect(base_span_str("include e;\ninclude e;" REST), "");
    expect(base_span_str("include n0;" REST),
           "n15:1: include: n16: includes nest deeper than 16\n");
    memset(big, '#', sizeof(big));
    expect(base_span_of(big, sizeof(big)), "t:1: longer than 1048576 bytes\n"
                                           "t:1: gateway: hostname: is required\n"
                                           "t:1: port: at least one is required\n"
                                           "t:1: listener: at least one is required\n");
    p += sprintf(p, "gateway { eal_args = { x");
    for (int i = 1; i < CONF_LIST_MAX; i++)
        p += sprintf(p, ",x");
    sprintf(p, "};}" REST);
    expect(base_span_str(big), "");
    sprintf(p, ",x};}" REST);
    expect(base_span_str(big), "t:1: gateway: eal_args: more than 4096 items\n");
    p = big;
    for (int i = 0; i < CONF_BLOCK_MAX - 1; i++)
        p += sprintf(p, "route d%d { host = 10.9.0.2:25; }\n", i);
    sprintf(p, REST);
    expect(base_span_str(big), "");
    sprintf(p, "route over { host = 10.9.0.2:25; }\n" REST);
    expect(base_span_str(big), "t:1025: route default: more than 1024 blocks of this kind\n");
    p = big + sprintf(big, "log { file = \"/");
    memset(p, 'x', 4095);
    sprintf(p + 4095, "\"; }" REST);
    expect(base_span_str(big), "");
    sprintf(p + 4095, "x\"; }" REST);
    expect(base_span_str(big), "t:1: log: longer than 4096 bytes\n");
    memset(p - 1, 'x', 4097);
    p[-2] = ' ';
    sprintf(p + 4096, "; }" REST);
    expect(base_span_str(big), "t:1: log: longer than 4096 bytes\n");
    p = big;
    for (int i = 0; i < 257; i++)
        p += sprintf(p, "include e;\n");
    sprintf(p, REST);
    expect(base_span_str(big), "t:257: include: e: more than 256 includes\n");
}

static void test_too_many_errors(void **state)
{
    static char text[4096];
    struct conf_errors e;
    char *p = text;

    (void)state;
    for (int i = 0; i < 200; i++)
        p += sprintf(p, "log { x = 1; }\n");
    assert_null(conf_parse("t", base_span_str(text), NULL, NULL, &e));
    assert_int_equal(e.cnt, CONF_ERROR_MAX);
    for (uint32_t i = 0; i < CONF_ERROR_MAX - 1; i++) {
        assert_int_equal(e.error[i].line, i + 1);
        assert_string_equal(e.error[i].key, "log: x");
    }
    assert_string_equal(e.error[CONF_ERROR_MAX - 1].why, "too many errors");
    conf_errors_free(&e);
    assert_null(conf_parse("t", base_span_str("include x;" REST), NULL, NULL, &e));
    assert_string_equal(e.error[0].why, "x: is not possible here");
    conf_errors_free(&e);
}

static void test_values(void **state)
{
    struct conf *c = parse_good(
        "gateway { hostname = MX.Example.org; user = \"a\\\"b\\\\c\\x41\\n\\t\"; lanes = 2;\n"
        "  lane_cpus = { 3, 1, }; idle = poll; huge_pages = no; memory = 128M; sandbox = no; }\n"
        "port net0 { device = \"net_tap0,iface=gw0\"; address = { 10.9.0.1/24, 2001:db8::1/64 };\n"
        "  gateway = 10.9.0.2; mtu = 9000; }\n"
        "port net1 { device = 0000:01:00.0; address = 10.8.0.1/8; gateway = \"\"; };\n"
        "listener mx { port = net0; address = 2001:db8:0::1; }\n"
        "listener other { port = net0; address = 10.9.0.1; kind = submission; }\n"
        "listener sub { kind = submissions; port = net1; tcp_port = 465; }\n"
        "smtp { message_size = 1048576; command_timeout = 1500ms; }\n"
        "tcp { congestion = newreno; ecn = ask; timestamps = no; sack = no; keepalive = 1h;\n"
        "  keepalive_probes = 3; keepalive_interval = 10s; user_timeout = 90s; rto_min = 50ms;\n"
        "  close_timeout = 20s; }\n"
        "queue { lifetime = 2w; } queue { backoff_min = 2m; }\n"
        "relay { domains = { Example.ORG, .example.org }; networks = { 10.0.0.0/8, ::1, 0.0.0.0/0 "
        "}; }\n"
        "route Example.com { host = { [2001:db8::2]:2525, Relay.example.net, [mx.Example.net]:587 "
        "}; }\n"
        "route .Example.com { via = mx; private_networks = { 10.0.0.0/8 }; }\n"
        "route default { host = 10.9.0.2:25; }\n"
        "include good.conf;\n"
        "certificate a { chain = /a.pem; key = /a.key; }\n"
        "listener own { port = net1; tcp_port = 466; tls = none; tls_min = 1.3; tls_tickets = 1; "
        "}\n");

    (void)state;
    assert_string_equal(c->gateway.hostname, "mx.example.org");
    assert_string_equal(c->gateway.user, "a\"b\\cA\n\t");
    assert_int_equal(c->gateway.lanes, 2);
    assert_int_equal(c->gateway.lane_cpus.cnt, 2);
    assert_string_equal(c->gateway.lane_cpus.item[1], "1");
    assert_int_equal(c->gateway.idle, CONF_IDLE_POLL);
    assert_int_equal(c->gateway.huge_pages, CONF_HUGE_NO);
    assert_int_equal(c->gateway.memory_bytes, 128 << 20);
    assert_false(c->gateway.sandbox);
    assert_int_equal(c->port_cnt, 2);
    assert_string_equal(c->port[0].name, "net0");
    assert_string_equal(c->port[0].device, "net_tap0,iface=gw0");
    assert_int_equal(c->port[0].address.cnt, 2);
    assert_string_equal(c->port[0].address.item[1], "2001:db8::1/64");
    assert_int_equal(c->port[0].line, 3);
    assert_string_equal(c->port[0].file, "t");
    assert_int_equal(c->port[0].mtu, 9000);
    assert_null(c->port[1].gateway);
    assert_int_equal(c->port[1].mtu, 1500);
    assert_int_equal(c->listener_cnt, 4);
    assert_int_equal(c->listener[1].kind, CONF_KIND_SUBMISSION);
    assert_int_equal(c->listener[2].kind, CONF_KIND_SUBMISSIONS);
    assert_null(c->listener[2].address);
    assert_int_equal(c->listener[2].tcp_port, 465);
    assert_int_equal(c->smtp.message_bytes, 1048576);
    assert_int_equal(c->smtp.command_timeout_ns, 1500000000);
    assert_int_equal(c->tcp.congestion, CONF_CONGESTION_NEWRENO);
    assert_int_equal(c->tcp.ecn, CONF_ECN_ASK);
    assert_false(c->tcp.timestamps);
    assert_false(c->tcp.sack);
    assert_int_equal(c->tcp.keepalive_ns, UINT64_C(3600) * 1000000000);
    assert_int_equal(c->tcp.keepalive_probes, 3);
    assert_int_equal(c->tcp.keepalive_interval_ns, UINT64_C(10) * 1000000000);
    assert_int_equal(c->tcp.user_timeout_ns, UINT64_C(90) * 1000000000);
    assert_int_equal(c->tcp.close_timeout_ns, UINT64_C(20) * 1000000000);
    assert_int_equal(c->tcp.rto_min_ns, 50000000);
    assert_int_equal(c->queue.lifetime_ns, UINT64_C(14) * 86400 * 1000000000);
    assert_int_equal(c->queue.backoff_min_ns, UINT64_C(120) * 1000000000);
    assert_int_equal(c->relay.domains.cnt, 2);
    assert_string_equal(c->relay.domains.item[0], "example.org");
    assert_int_equal(c->relay.networks.cnt, 3);
    assert_int_equal(c->route_cnt, 3);
    assert_string_equal(c->route[0].name, "example.com");
    assert_string_equal(c->route[1].name, ".example.com");
    assert_int_equal(c->route[1].via, CONF_VIA_MX);
    assert_true(conf_route_same(&c->route[0], &c->route[0]));
    assert_false(conf_route_same(&c->route[0], &c->route[1]));
    assert_int_equal(c->route[0].host.cnt, 3);
    assert_string_equal(c->route[0].host.item[0], "[2001:db8::2]:2525");
    assert_int_equal(c->log.level, CONF_LEVEL_DEBUG);
    assert_int_equal(c->smtp.hops, 7);
    conf_free(c);
}

static void test_defaults(void **state)
{
    struct conf *c = parse_good(REST);

    (void)state;
    assert_null(c->gateway.user);
    assert_string_equal(c->gateway.run_dir, "/run/sluice");
    assert_int_equal(c->gateway.idle, CONF_IDLE_ADAPTIVE);
    assert_int_equal(c->gateway.lane_cpus.cnt, 0);
    assert_true(c->gateway.sandbox);
    assert_int_equal(c->spool_cnt, 1);
    assert_string_equal(c->spool[0].name, "main");
    assert_int_equal(c->spool[0].size_bytes, 1 << 30);
    assert_int_equal(c->gateway.stop_timeout_ns, UINT64_C(10) * 1000000000);
    assert_int_equal(c->smtp.message_bytes, 50 << 20);
    assert_int_equal(c->smtp.command_timeout_ns, UINT64_C(300) * 1000000000);
    assert_int_equal(c->queue.backoff_max_ns, UINT64_C(4000) * 1000000000);
    assert_int_equal(c->tcp.congestion, CONF_CONGESTION_CUBIC);
    assert_int_equal(c->tcp.ecn, CONF_ECN_ANSWER);
    assert_true(c->tcp.timestamps);
    assert_true(c->tcp.sack);
    assert_int_equal(c->tcp.keepalive_probes, 9);
    assert_int_equal(c->tcp.user_timeout_ns, UINT64_C(300) * 1000000000);
    assert_int_equal(c->listener[0].tcp_port, 25);
    assert_string_equal(c->control.socket, "/run/sluice/control.sock");
    assert_string_equal(c->log.file, "stderr");
    assert_int_equal(c->log.level, CONF_LEVEL_INFO);
    conf_free(c);
}

static const char *const named_open[][2] = {
    {"port", "port net9 { device = x; address = 10.99.0.1/24;"},
    {"listener", "listener far { port = net0; tcp_port = 99;"},
    {"source", "source a { address = 10.1.0.1; ehlo = a.b;"},
    {"provider", "provider p { mx = mx.example.org;"},
};

/* A text with one number set; relations with other settings may refuse it. */
static char *parse_number(const struct conf_setting *s, uint64_t v, const char *unit)
{
    char text[1024], open[128], *errors;

    snprintf(open, sizeof(open), "%s {", s->block);
    for (size_t i = 0; i < BASE_ARRAY_CNT(named_open); i++)
        if (strcmp(s->block, named_open[i][0]) == 0)
            snprintf(open, sizeof(open), "%s", named_open[i][1]);
    if (strcmp(s->key, "tcp_port") == 0)
        snprintf(open, sizeof(open), "listener far { port = net0;");
    snprintf(text, sizeof(text), "%s %s = %llu%s; }\n" REST, open, s->key, (unsigned long long)v,
             unit);
    conf_free(parse(base_span_str(text), &errors));
    return errors;
}

static void test_ranges(void **state)
{
    uint32_t tried = 0;

    (void)state;
    for (const struct conf_setting *s = conf_settings; s->block != NULL; s++) {
        bool duration = s->type == CONF_TYPE_DURATION;
        uint64_t scale = duration ? 1000000 : 1;
        if (!duration && s->type != CONF_TYPE_NUMBER && s->type != CONF_TYPE_SIZE)
            continue;
        assert_true(s->min < s->max && s->min % scale == 0 && s->max % scale == 0);
        const struct {
            uint64_t v;
            bool good;
        } rows[] = {{s->min / scale, true},
                    {s->max / scale, true},
                    {s->min / scale - 1, false},
                    {s->max / scale + 1, false}};
        for (size_t i = 0; i < 4; i++) {
            if (rows[i].v == UINT64_MAX)
                continue; /* nothing is below 0 */
            char *errors = parse_number(s, rows[i].v, duration ? "ms" : "");
            char *refused = strstr(errors, "must be ");
            bool in_range = refused == NULL || strstr(refused, " to ") == NULL;
            if (in_range != rows[i].good)
                print_error("%s.%s = %llu: %s\n", s->block, s->key, (unsigned long long)rows[i].v,
                            errors);
            assert_true(in_range == rows[i].good);
            free(errors);
            tried++;
        }
    }
    assert_true(tried > 100);
}

static char *default_file(void)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    conf_write_default(out);
    fclose(out);
    return text;
}

/* Each setting that is shown as a comment is the default: taking the # away changes nothing. */
static void test_default_file(void **state)
{
    const struct conf_setting *changed[8];
    char *text = default_file();
    struct conf *as_is = parse_good(text), *bare;

    (void)state;
    for (char *p = text; (p = strstr(p, "\n    #")) != NULL; p += 6)
        if (p[6] != ' ')
            p[5] = ' ';
    for (char *p = text; (p = strstr(p, "\n#")) != NULL; p += 2) /* optional blocks, whole */
        if (p[2] != ' ' && p[2] != '\n')
            p[1] = ' ';
    bare = parse_good(text);
    assert_int_equal(conf_compare(as_is, bare, changed, 8), 0);
    assert_int_equal(memcmp(&as_is->smtp, &bare->smtp, sizeof(bare->smtp)), 0);
    assert_int_equal(memcmp(&as_is->queue, &bare->queue, sizeof(bare->queue)), 0);
    assert_int_equal(as_is->log.level, bare->log.level);
    conf_free(as_is);
    conf_free(bare);
    free(text);
}

static void test_file_is_written_from_table(void **state)
{
    char *text = default_file(), *file = calloc(1, 1 << 20);
    FILE *in = fopen(SOURCE_DIR "/conf/sluice.conf", "r");

    (void)state;
    assert_non_null(in);
    size_t len = fread(file, 1, (1 << 20) - 1, in);
    fclose(in);
    assert_int_equal(len, strlen(file));
    assert_string_equal(file, text); /* differs: write it anew with sluiced --default */
    free(text);
    free(file);
}

static void test_compare(void **state)
{
    static const struct {
        const char *text;
        const char *changed;
    } rows[] = {
        {REST, ""},
        {"smtp { hops = 3; } relay { domains = x; } queue { lifetime = 1d; } log { level = warn; "
         "}" REST,
         ""},
        {"route a { host = 10.9.0.3:25; }" REST, ""},
        {"gateway{hostname=x;}port net0{device=d;address=10.9.0.1/24;}listener mx{port=net0;}"
         "route default{host=10.9.0.9:25;}",
         ""},
        {"gateway { lanes = 2; user = u; }" REST, "gateway.user gateway.lanes "},
        {"gateway { lane_cpus = 0; sandbox = no; idle = poll; }" REST,
         "gateway.idle gateway.lane_cpus gateway.sandbox "},
        {"tcp { ecn = off; congestion = newreno; sack = no; timestamps = no; user_timeout = 1m; "
         "keepalive_probes = 2; }" REST,
         "tcp.keepalive_probes tcp.user_timeout tcp.congestion tcp.ecn tcp.timestamps tcp.sack "},
        {"tcp { msl = 1s; } spool { path = /x; } log { file = /x; }" REST,
         "spool.path tcp.msl log.file "},
        {"spool { } gateway { stop_timeout = 1s; }" REST, ""},
        {"port net1 { device = x; address = 10.8.0.1/8; }" REST, "port.device "},
        {"listener a { port = net0; tcp_port = 26; }" REST, "listener.kind "},
        {"gateway{hostname=h;}port net1{device=d;address=10.9.0.1/24;}listener mx{port=net1;}"
         "route default{host=10.9.0.2:25;}",
         "port.device listener.port "},
        {"gateway{hostname=h;}port net0{device=d;address={10.9.0.1/24,10.9.0.3/24};mtu=1400;}"
         "listener mx{port=net0;address=10.9.0.3;}route default{host=10.9.0.2:25;}",
         "port.address port.mtu listener.address "},
    };
    struct conf *running = parse_good(REST);

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct conf_setting *changed[8];
        char names[512] = "";
        struct conf *wanted = parse_good(rows[i].text);
        uint32_t n = conf_compare(running, wanted, changed, 8);
        for (uint32_t j = 0; j < n; j++)
            sprintf(names + strlen(names), "%s.%s ", changed[j]->block, changed[j]->key);
        assert_string_equal(names, rows[i].changed);
        assert_int_equal(conf_compare(wanted, running, changed, 0), n);
        conf_free(wanted);
    }
    conf_free(running);
}

static void test_help(void **state)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    conf_write_help(out);
    fclose(out);
    uint32_t lines = 0;
    for (const char *p = text; *p != 0; p++)
        lines += *p == '\n';
    for (const struct conf_setting *s = conf_settings; s->block != NULL; s++, lines--) {
        char name[64];
        snprintf(name, sizeof(name), "%s.%s ", s->block, s->key);
        assert_non_null(strstr(text, name));
    }
    assert_int_equal(lines, 0);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),          cmocka_unit_test(test_bytes_and_bounds),
        cmocka_unit_test(test_too_many_errors), cmocka_unit_test(test_values),
        cmocka_unit_test(test_defaults),        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_default_file),    cmocka_unit_test(test_file_is_written_from_table),
        cmocka_unit_test(test_compare),         cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
