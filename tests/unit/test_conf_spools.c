/* Blocks of spools: as many as wanted, one of which needs no name, or none. */
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
    {"spool { }\nspool main { path = /x; }\n" REST, "t:2: spool main: given twice, first at t:1\n"},
    {"spool { }\nspool { path = /x; }\n" REST, "t:2: spool: given twice, first at t:1\n"},
    {"spool { }\nspool b { size = 1M; path = /b; }\n" REST,
     "t:2: spool b: size: must be 4M to 64T, not 1M\n"},
    {"spool { }\nspool b { size = 100M; path = /b; }\n" REST,
     "t:2: spool b: size: must be at least 4 segments\n"},
    {"spool a { }\nspool b { }\n" REST, "t:2: spool b: path: is that of spool a, too\n"},
    {"spool { size = 16M; segment_size = 4M; }\nspool b { path = /b; }\n" REST,
     "t:1: smtp: message_size: does not fit into every spool, which is its size less 2 "
     "segments\n"},
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

static struct conf *parse_good(const char *text)
{
    char *errors;
    struct conf *c = parse(text, &errors);

    assert_string_equal(errors, "");
    free(errors);
    return c;
}

static void test_errors(void **state)
{
    char text[CONF_SPOOL_MAX * 64 + 512] = REST "\n", *errors;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(golden); i++) {
        assert_null(parse(golden[i].text, &errors));
        assert_string_equal(errors, golden[i].errors);
        free(errors);
    }
    for (int i = 0; i <= CONF_SPOOL_MAX; i++)
        sprintf(text + strlen(text), "spool s%d { path = /s%d; }\n", i, i);
    assert_null(parse(text, &errors));
    assert_string_equal(errors, "t:18: spool s16: more than 16 spools\n");
    free(errors);
}

static void test_blocks(void **state)
{
    struct conf *c = parse_good("spool { path = /x; size = 2G; } spool b { path = /b; }" REST);

    (void)state;
    assert_int_equal(c->spool_cnt, 2);
    assert_string_equal(c->spool[0].name, "main");
    assert_string_equal(c->spool[0].path, "/x");
    assert_int_equal(c->spool[0].size_bytes, UINT64_C(2) << 30);
    assert_string_equal(c->spool[1].name, "b");
    assert_int_equal(c->spool[1].size_bytes, 1 << 30);
    conf_free(c);
    c = parse_good(REST);
    assert_int_equal(c->spool_cnt, 1);
    assert_string_equal(c->spool[0].path, "/var/spool/sluice");
    struct conf *two = parse_good("spool { } spool b { path = /b; }" REST);
    const struct conf_setting *changed[4];
    assert_int_equal(conf_compare(c, two, changed, 4), 1);
    assert_string_equal(changed[0]->key, "path");
    conf_free(c);
    conf_free(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_errors),
                                       cmocka_unit_test(test_blocks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
