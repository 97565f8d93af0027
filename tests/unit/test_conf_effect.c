/* lib/conf: warnings, what is left of a configuration with errors, and what differs between two. */
#include "unit.h"

#include "conf.h"

#include <stdio.h>
#include <stdlib.h>

#define REST                                                                                       \
    "gateway{hostname=h;}port net0{device=d;address=10.9.0.1/24;}"                                 \
    "listener mx{port=net0;}route default{host=10.9.0.2:25;}"

static struct conf *parse(const char *text, struct conf_errors *e)
{
    return conf_parse_partly("t", base_span_str(text), NULL, NULL, e);
}

static void expect_warnings(const char *text, const char *wanted)
{
    struct conf_errors e;
    struct conf *c = parse(text, &e);
    char *said;
    size_t size;
    FILE *out = open_memstream(&said, &size);

    assert_non_null(c);
    conf_write_warnings(out, c);
    fclose(out);
    assert_string_equal(said, wanted);
    conf_errors_free(&e);
    conf_free(c);
    free(said);
}

/* The rest stands in tests/e2e/test_config.py, with real files. */
static void test_warnings(void **state)
{
    static const struct {
        const char *text, *warnings;
    } rows[] = {
        {REST "relay{domains=a;}", ""},
        {REST,
         "t: relay: warning: no mail is taken: there are no domains, no networks and no users "
         "(auth: backend)\n"},
        /* A value that was refused has its error, and no warning beside. */
        {REST "relay{domains=a;}auth{workers=0;}", ""},
        {REST "relay{networks=0.0.0.0/33;}", ""},
        {REST "relay{domains=a;}auth{workers=2;}",
         "t:1: auth: workers: warning: has no effect without backend\n"},
        {REST "relay{domains=a;}auth{backend=dovecot;dovecot_socket=/s;workers=2;}",
         "t:1: auth: workers: warning: has no effect without backend = passwd\n"},
        {REST "relay{networks={10.0.0.0/8,::/0};}",
         "t:1: relay: networks: warning: ::/0 is everybody: an open relay\n"},
        {REST "relay{domains=a;}listener s{port=net0;tcp_port=465;}",
         "t:1: listener s: tcp_port: warning: clients begin TLS at once on port 465: kind = "
         "submissions\n"},
        {REST "relay{domains=a;}certificate a{chain=/a;key=/b;}listener "
              "s{port=net0;kind=submissions;tcp_port=465;greet_pause=2s;}",
         "t:1: listener s: greet_pause: warning: has no effect with tls = implicit\n"
         "t:1: listener s: kind: warning: nobody can send here: there are no users (auth: backend) "
         "and no relay: networks\n"},
        {"gateway{hostname=h;}port net0{device=d;address=10.9.0.1/24;}certificate "
         "a{chain=/a;key=/b;}listener mx{port=net0;tls=none;}relay{domains=a;}",
         "t:1: certificate a: chain: warning: has no effect: every listener has tls = none\n"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++)
        expect_warnings(rows[i].text, rows[i].warnings);
}

/* What could be read is there, what was refused or is missing is as by default or none, or 0. */
static void test_partly(void **state)
{
    struct conf_errors e;
    struct conf *c = parse("gateway { hostname = a_b; lanes = 3; }\nsmtp { hops = 0; }\n"
                           "certificate a { chain = /a; }\nrelay { domains = { ok, not ok }; }\n",
                           &e);

    (void)state;
    assert_non_null(c);
    assert_true(e.cnt > 0);
    assert_null(c->gateway.hostname);
    assert_int_equal(c->gateway.lanes, 3);
    assert_int_equal(c->smtp.hops, 0);
    assert_int_equal(c->certificate_cnt, 1);
    assert_string_equal(c->certificate[0].chain, "/a");
    assert_null(c->certificate[0].key);
    assert_int_equal(c->relay.domains.cnt, 0);
    struct conf_place p = conf_place_of(c, "smtp", "hops");
    assert_string_equal(p.file, "t");
    assert_int_equal(p.line, 2);
    assert_null(conf_place_of(c, "smtp", "errors").file);
    conf_errors_free(&e);
    conf_free(c);
    static const char *const utf16[] = {"\xff\xfeg", "\xfe\xffg"};
    for (size_t i = 0; i < 2; i++) {
        assert_null(conf_parse("t", base_span_str(utf16[i]), NULL, NULL, &e));
        assert_string_equal(e.error[0].why, "is UTF-16; store it as UTF-8 or ASCII");
        conf_errors_free(&e);
    }
}

/* All that differs, where conf_compare has what needs a restart alone. */
static void test_changes(void **state)
{
    static const struct {
        const char *more, *changes, *restart;
    } rows[] = {
        {"relay{domains=a;}", "", ""},
        {"relay{domains=b;}smtp{hops=3;}", "smtp.hops relay.domains ", ""},
        {"relay{domains=a;}gateway{lanes=2;}smtp{hops=3;}", "gateway.lanes smtp.hops ",
         "gateway.lanes "},
        {"relay{domains=a;}route x{host=10.9.0.9;}", "route.via ", ""},
        {"relay{domains=a;}listener x{port=net0;tcp_port=26;}", "listener.kind ", "listener.kind "},
        {"relay{domains=a;}tls{handshakes=5;certificate_check=5s;}",
         "tls.handshakes tls.certificate_check ", "tls.handshakes "},
    };
    struct conf_errors e;
    struct conf *before = parse(REST "relay{domains=a;}", &e);

    (void)state;
    conf_errors_free(&e);
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        const struct conf_setting *changed[8];
        char text[512], names[256] = "", late[256] = "";
        snprintf(text, sizeof(text), "%s%s", REST, rows[i].more);
        struct conf *after = parse(text, &e);
        assert_int_equal(e.cnt, 0);
        uint32_t n = conf_changes(before, after, changed, 8);
        for (uint32_t k = 0; k < n; k++)
            sprintf(names + strlen(names), "%s.%s ", changed[k]->block, changed[k]->key);
        n = conf_compare(before, after, changed, 8);
        for (uint32_t k = 0; k < n; k++)
            sprintf(late + strlen(late), "%s.%s ", changed[k]->block, changed[k]->key);
        assert_string_equal(names, rows[i].changes);
        assert_string_equal(late, rows[i].restart);
        assert_int_equal(conf_changes(after, before, changed, 0) > 0, rows[i].changes[0] != 0);
        conf_errors_free(&e);
        conf_free(after);
    }
    conf_free(before);
}

/* A block whose instances may come and go has no row that needs a restart: a reload that brings or
 * takes one could not say so. */
static void test_rows_of_reloadable_blocks(void **state)
{
    static const char *const blocks[] = {"certificate", "dns_list",    "route",
                                         "source",      "destination", "provider"};
    uint32_t seen = 0;

    (void)state;
    for (const struct conf_setting *s = conf_settings; s->block != NULL; s++)
        for (size_t i = 0; i < BASE_ARRAY_CNT(blocks); i++)
            if (strcmp(s->block, blocks[i]) == 0) {
                assert_true(s->reloadable);
                seen++;
            }
    assert_true(seen > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_partly),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_rows_of_reloadable_blocks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
