/* DNS lists with their weights and patterns, SRS, and what is asked of next hops: what is read and
 * what is refused. */
#include "unit.h"

#include "conf.h"

#include <stdio.h>
#include <stdlib.h>

#define REST                                                                                       \
    "gateway{hostname=h;}port net0{device=d;address=10.9.0.1/24;}"                                 \
    "listener mx{port=net0;}route default{host=10.9.0.2:25;}"

static const struct {
    const char *text;
    const char *errors;
} golden[] = {
    {"dns_list a { }\n" REST, "t:1: dns_list a: zone: is required\n"},
    {"dns_list { zone = a.b; }\n" REST, "t:1: dns_list: this block needs a name\n"},
    {"dns_list a { zone = a.b; weight = x; }\n" REST,
     "t:1: dns_list a: weight: must be a number, -1000 to 1000, not x\n"},
    {"dns_list a { zone = a.b; weight = -1001; }\n" REST,
     "t:1: dns_list a: weight: must be a number, -1000 to 1000, not -1001\n"},
    {"dns_list a { zone = a.b; weight = --1; }\n" REST,
     "t:1: dns_list a: weight: must be a number, -1000 to 1000, not --1\n"},
    {"dns_list a { zone = a.b; answers = 127.0.0.256; }\n" REST,
     "t:1: dns_list a: answers: must be an IPv4 address, with numbers and ranges in brackets: "
     "127.0.0.[2..11;14], not 127.0.0.256\n"},
    {"dns_list a { zone = a.b; }\ndns_list b { zone = A.b; }\n" REST,
     "t:2: dns_list b: zone: is that of dns_list a, too\n"},
    {"srs { domain = a.b; }\n" REST, "t:1: srs: secrets: is required for domain\n"},
    {"srs { secrets = /x; }\n" REST, "t:1: srs: domain: is required for secrets\n"},
    {"srs { domain = a.b; secrets = x; }\n" REST,
     "t:1: srs: secrets: must be an absolute path, not x\n"},
    {"srs { domain = a.b; secrets = { /1, /2, /3, /4, /5, /6, /7, /8, /9 }; }\n" REST,
     "t:1: srs: secrets: must be at most 8 files, not 9\n"},
    {"recipient { verify_positive_expire = 1h; }\n" REST,
     "t:1: recipient: verify_positive_refresh: must not be over verify_positive_expire\n"},
    {"recipient { verify_negative_refresh = 4d; }\n" REST,
     "t:1: recipient: verify_negative_refresh: must not be over verify_negative_expire\n"},
};

static struct conf *parse(const char *text, char **errors)
{
    struct conf_errors e;
    size_t size;
    FILE *out = open_memstream(errors, &size);
    struct conf *c = conf_parse("t", base_span_str(text), NULL, NULL, &e);

    conf_write_errors(out, &e);
    fclose(out);
    conf_errors_free(&e);
    return c;
}

static void test_errors(void **state)
{
    char text[4096] = "", *errors;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(golden); i++) {
        assert_null(parse(golden[i].text, &errors));
        assert_string_equal(errors, golden[i].errors);
        free(errors);
    }
    for (int i = 0; i <= CONF_DNS_LIST_MAX; i++)
        sprintf(text + strlen(text), "dns_list l%d { zone = l%d.b; }\n", i, i);
    assert_null(parse(strcat(text, REST), &errors));
    assert_string_equal(errors, "t:17: dns_list l16: more than 16 lists\n");
    free(errors);
}

static void test_values(void **state)
{
    static const char text[] =
        "dns_list a { zone = BL.Example; weight = -1000; answers = { 127.0.0.2, "
        "\"127.0.0.[4..7;10]\" }; }\n"
        "dns_list b { zone = bl.example; }\n"
        "srs { domain = SRS.example; secrets = { /a, /b }; max_age = 5d; }\n" REST;
    char *errors;
    struct conf *c = parse(text, &errors);

    (void)state;
    assert_string_equal(errors, "");
    assert_int_equal(c->dns_list_cnt, 2);
    assert_string_equal(c->dns_list[0].zone, "bl.example");
    assert_true(c->dns_list[0].weight == -1000 && c->dns_list[1].weight == 1);
    assert_int_equal(c->dns_list[0].answers.cnt, 2);
    assert_string_equal(c->srs.domain, "srs.example");
    assert_int_equal(c->srs.secrets.cnt, 2);
    conf_free(c);
    free(errors);
}

static void test_octets(void **state)
{
    static const struct {
        const char *pattern;
        uint8_t in[4], out[4];
    } good[] = {
        {"127.0.0.2", {127, 0, 0, 2}, {127, 0, 0, 3}},
        {"127.0.0.[2..11;14]", {127, 0, 0, 11}, {127, 0, 0, 12}},
        {"127.0.0.[2..11;14]", {127, 0, 0, 14}, {127, 0, 1, 14}},
        {"127.[0..255].[1].[0;255]", {127, 200, 1, 255}, {127, 200, 1, 254}},
        {"0.0.0.[64..64]", {0, 0, 0, 64}, {0, 0, 0, 63}},
    };
    static const char *const bad[] = {
        "",
        "127",
        "127.0.0",
        "127.0.0.",
        "127.0.0.2.",
        "127.0.0.1x",
        "127.0.0.1000",
        "127.0.0.[",
        "127.0.0.[]",
        "127.0.0.[1",
        "127.0.0.[1;",
        "127.0.0.[1;]",
        "127.0.0.[2..1]",
        "127.0.0.[1..]",
        "127.0.0.[1.2]",
        "[1..2",
        "127.0.0.[999]",
        "127.0.0.[1..256]",
        "127.0.0.[1]2",
        "127..0.1",
        "-1.0.0.1",
        "127.0.0.256",
        " 127.0.0.1",
    };
    struct conf_octets o;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(good); i++) {
        assert_true(conf_octets_parse(&o, good[i].pattern));
        assert_true(conf_octets_match(&o, good[i].in));
        assert_false(conf_octets_match(&o, good[i].out));
    }
    for (size_t i = 0; i < BASE_ARRAY_CNT(bad); i++)
        if (conf_octets_parse(&o, bad[i]))
            fail_msg("%s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_octets),
    };

    return cmocka_run_group_tests_name("conf_lists", tests, NULL, NULL);
}
