/* A configuration that is shown: the text parses to the same again, what differs from the running
 * one is told, and the JSON is what programs expect. */
#include "unit.h"

#include "conf.h"

#include <stdio.h>
#include <stdlib.h>

#define REST                                                                                       \
    "gateway { hostname = h; }\nport net0 { device = \"d,a=b\"; address = 10.9.0.1/24; }\n"        \
    "listener mx { port = net0; }\n"

static struct conf *parse(const char *text)
{
    struct conf_errors e;
    struct conf *c = conf_parse("t", base_span_str(text), NULL, NULL, &e);

    if (c == NULL)
        conf_write_errors(stderr, &e);
    conf_errors_free(&e);
    assert_non_null(c);
    return c;
}

static char *shown(const struct conf *c, const struct conf *in_use, bool changed, bool json)
{
    const struct conf_show show = {c, in_use, changed};
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (json)
        conf_write_show_json(out, &show);
    else
        conf_write_show(out, &show);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void check_again(const char *text)
{
    struct conf *first = parse(text);
    char *whole = shown(first, NULL, false, false), *changed = shown(first, NULL, true, false);
    struct conf *second = parse(whole), *third = parse(changed);
    char *again = shown(second, NULL, false, false), *more = shown(third, NULL, false, false);

    assert_string_equal(again, whole);
    assert_string_equal(more, whole);
    assert_true(strlen(changed) < strlen(whole));
    free(whole);
    free(changed);
    free(again);
    free(more);
    conf_free(first);
    conf_free(second);
    conf_free(third);
}

static void test_same_again(void **state)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    conf_write_default(out);
    assert_int_equal(fclose(out), 0);
    check_again(text);
    free(text);
    check_again(REST "route \"a.example\" { host = \"[10.9.0.2]:26\"; }\nlog { level = debug; }\n"
                     "dns_list a { zone = x.example; weight = -3; answers = \"127.0.0.[2..4]\"; }\n"
                     "limits { early_commands = refuse; }\nqueue { backoff_min = 90s; }\n"
                     "gateway { run_dir = \"/a \\\"b\\\" \\\\ \\x01\"; }\n");
}

static void test_changed(void **state)
{
    struct conf *c = parse(REST "queue { backoff_min = 90s; }\n");
    char *text = shown(c, NULL, true, false);

    (void)state;
    assert_string_equal(
        text, "gateway {\n    hostname = h;\n}\n\n"
              "port net0 {\n    device = \"d,a=b\";\n    address = { 10.9.0.1/24 };\n}\n\n"
              "listener mx {\n    port = net0;\n}\n\n"
              "spool main {\n}\n\n"
              "queue {\n    backoff_min = 90s;\n}\n");
    free(text);
    conf_free(c);
}

static void test_restart(void **state)
{
    struct conf *old = parse(REST "listener b { port = net0; tcp_port = 26; }\n");
    struct conf *wanted = parse("gateway { hostname = x; lanes = 2; }\n"
                                "port net0 { device = d; address = 10.9.0.1/24; }\n"
                                "listener mx { port = net0; }\n"
                                "listener c { port = net0; tcp_port = 27; }\n");
    char *text = shown(wanted, old, true, false);

    (void)state;
    assert_string_equal(
        text, "gateway {\n    hostname = x;\n    lanes = 2; # until a restart: 1\n}\n\n"
              "port net0 {\n    device = d; # until a restart: \"d,a=b\"\n"
              "    address = { 10.9.0.1/24 };\n}\n\n"
              "listener mx {\n    port = net0;\n}\n\n"
              "listener c { # only after a restart\n    port = net0;\n    tcp_port = 27;\n}\n"
              "# until a restart: listener b\n\n"
              "spool main {\n}\n");
    free(text);
    conf_free(old);
    conf_free(wanted);
}

static void test_json(void **state)
{
    struct conf *old = parse(REST), *c = parse(REST "gateway { lanes = 2; lane_cpus = { 1, 2 }; }\n"
                                                    "dns_list a { zone = x.y; weight = -3; }\n");
    char *text = shown(c, old, true, true);

    (void)state;
    assert_non_null(strstr(text, "{\"gateway\":{\"hostname\":\"h\",\"lanes\":2,"
                                 "\"lane_cpus\":[\"1\",\"2\"]},\"port\":{\"net0\":{\"device\":"
                                 "\"d,a=b\",\"address\":[\"10.9.0.1/24\"]}},\"listener\":{"));
    assert_non_null(strstr(text, "\"dns_list\":{\"a\":{\"zone\":\"x.y\",\"weight\":-3}}"));
    assert_non_null(strstr(text, "\"needs_restart\":[\"gateway.lanes\",\"gateway.lane_cpus\"]}\n"));
    free(text);
    text = shown(c, old, false, true);
    assert_non_null(strstr(text, "\"sandbox\":true"));
    assert_non_null(strstr(text, "\"idle\":\"adaptive\""));
    free(text);
    conf_free(c);
    conf_free(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_again),
        cmocka_unit_test(test_changed),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
