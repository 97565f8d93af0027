/* Sources: what is read of them, of days and of replies, and what is refused. */
#include "unit.h"

#include "conf.h"

#include <stdio.h>
#include <stdlib.h>

#define REST                                                                                       \
    "gateway{hostname=h;}port net0{device=d;address={10.9.0.1/24,10.9.0.3/24,fd00::1/64};}"        \
    "listener mx{port=net0;}route default{host=10.9.0.2:25;}"

static const struct {
    const char *text;
    const char *errors;
} golden[] = {
    {"source a { address = 10.9.0.1; ehlo = a.b; }\n" REST, ""},
    {"source a { address6 = fd00::1; ehlo = a.b; weight = 3; }\n" REST, ""},
    {"source a { address = 10.9.0.1; }\n" REST, "t:1: source a: ehlo: is required\n"},
    {"source a { ehlo = a.b; }\n" REST, "t:1: source a: address: or address6 is required\n"},
    {"source a { address = 10.9.0.2; ehlo = a.b; }\n" REST,
     "t:1: source a: address: 10.9.0.2 is on no port\n"},
    {"source a { address6 = fd00::2; ehlo = a.b; }\n" REST,
     "t:1: source a: address6: fd00::2 is on no port\n"},
    {"source a { address = fd00::1; ehlo = a.b; }\n" REST,
     "t:1: source a: address: fd00::1 is of the other family: IPv4 has address, IPv6 has "
     "address6\n"},
    {"source a { address6 = 10.9.0.1; ehlo = a.b; }\n" REST,
     "t:1: source a: address6: 10.9.0.1 is of the other family: IPv4 has address, IPv6 has "
     "address6\n"},
    {"source a { address = 10.9.0.1; ehlo = \"a b\"; }\n" REST,
     "t:1: source a: ehlo: must be a domain, not a b\n"},
    {"source a { address = 10.9.0.1; ehlo = a.b; weight = 0; }\n" REST,
     "t:1: source a: weight: must be 1 to 1000, not 0\n"},
    {"source none { address = 10.9.0.1; ehlo = a.b; }\n" REST,
     "t:1: source none: none means that there is none\n"},
    {"source a { address = 10.9.0.1; ehlo = a.b; }\nsource a { address = 10.9.0.3; ehlo = c.d; "
     "}\n" REST,
     "t:2: source a: given twice, first at t:1\n"},
    {"source a { address = 10.9.0.1; ehlo = a.b; warm_up_start = 2026-02-30; warm_up = 50; "
     "}\n" REST,
     "t:1: source a: warm_up_start: must be a day as 2026-01-31, not 2026-02-30\n"},
    {"source a { address = 10.9.0.1; ehlo = a.b; warm_up_start = 2026-02-28; }\n" REST,
     "t:1: source a: warm_up_start: has no effect without warm_up or warm_up_destination\n"},
    {"source a { address = 10.9.0.1; ehlo = a.b; warm_up = { 1, 2 }; }\n" REST,
     "t:1: source a: warm_up: needs warm_up_start\n"},
    {"source a { address = 10.9.0.1; ehlo = a.b; warm_up_start = 2026-02-28; warm_up = { 1, 2x }; "
     "}\n" REST,
     "t:1: source a: warm_up: must be numbers of recipients, not 2x\n"},
    {"source a { address = 10.9.0.1; ehlo = a.b; }\nroute x.y { sources = { a, b }; }\n" REST,
     "t:2: route x.y: sources: there is no source b; did you mean a?\n"},
    {"source out1 { address = 10.9.0.1; ehlo = a.b; }\nroute x.y { sources = out2; }\n" REST,
     "t:2: route x.y: sources: there is no source out2; did you mean out1?\n"},
    {"source a { address = 10.9.0.1; ehlo = a.b; }\nroute x.y { sources = { a, a }; }\n" REST,
     "t:2: route x.y: sources: a stands twice\n"},
    {"source a { address = 10.9.0.1; ehlo = a.b; }\nroute x.y { sources = { a, none }; }\n" REST,
     "t:2: route x.y: sources: none stands alone\n"},
    {"route x.y { sources = none; }\n" REST, ""},
    {"delivery { set_aside_min = 5h; }\n" REST,
     "t:1: delivery: set_aside_max: must not be under set_aside_min\n"},
    {"delivery { set_aside = { \"4.7\" }; }\n" REST, ""},
    {"delivery { set_aside = { ab }; }\n" REST,
     "t:1: delivery: set_aside: must be a reply: code, enhanced code, words (\"421 4.7.28\", "
     "\"5.7.1 blocked using\"), not ab\n"},
};

static void test_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(golden); i++) {
        struct conf_errors e;
        char *said;
        size_t size;
        FILE *out = open_memstream(&said, &size);
        struct conf *c = conf_parse("t", base_span_str(golden[i].text), NULL, NULL, &e);
        conf_write_errors(out, &e);
        fclose(out);
        if (strcmp(said, golden[i].errors) != 0)
            fail_msg("%s: %s", golden[i].text, said);
        conf_errors_free(&e);
        free(said);
        assert_int_equal(c != NULL, golden[i].errors[0] == 0);
        if (c != NULL)
            conf_free(c);
    }
}

static void test_days(void **state)
{
    static const struct {
        const char *text;
        int64_t day; /* -1: none */
    } rows[] = {
        {"1970-01-01", 0},
        {"1970-02-01", 31},
        {"1972-02-29", 789},
        {"1971-02-29", -1},
        {"2000-02-29", 11016},
        {"2100-02-29", -1},
        {"2026-11-23", 20780},
        {"2026-12-31", 20818},
        {"2026-13-01", -1},
        {"2026-00-01", -1},
        {"2026-01-00", -1},
        {"2026-01-32", -1},
        {"2026-1-01", -1},
        {"26-01-01", -1},
        {"2026-01-01x", -1},
        {"2026-01", -1},
        {"", -1},
        {"2026/01/01", -1},
        {"-", -1},
        {"99999-01-01", -1},
        {"1969-12-31", -1},
        {"2026-01-01-", -1},
        {"2026-001-1", -1},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        uint32_t day = 0;
        bool is = conf_day_parse(&day, rows[i].text);
        if (is != (rows[i].day >= 0) || (is && day != rows[i].day))
            fail_msg("%s: %d %u", rows[i].text, is, day);
    }
}

static void test_replies(void **state)
{
    static const struct {
        const char *pattern; /* none when code is 0 */
        uint16_t code;
        const char *enhanced, *text;
        bool match;
    } rows[] = {
        {"4.7.28", 421, "4.7.28", "rate", true},
        {"4.7.28", 421, "4.7.2", "4.7.28", false},
        {"4.7.28", 421, "", "4.7.28 rate", false},
        {"4.7.28", 450, "4.7.28", "", true},
        {"421 4.7.28", 450, "4.7.28", "", false},
        {"421 4.7.28", 421, "4.7.28", "", true},
        {"421", 421, "", "", true},
        {"4xx", 452, "4.2.2", "full", true},
        {"4xx", 552, "5.2.2", "full", false},
        {"x.7.1", 550, "5.7.1", "no", true},
        {"x.7.1", 451, "4.7.1", "no", true},
        {"x.7.x", 451, "4.7.99", "no", true},
        {"x.7.x", 451, "4.1.7", "no", false},
        {"5.7.1 blocked using", 554, "5.7.1", "Client host [192.0.2.1] BLOCKED Using zen", true},
        {"5.7.1 blocked using", 554, "5.7.1", "blocked", false},
        {"5xx   spamhaus", 554, "", "see SpamHaus.org", true},
        {"5xx spamhaus", 454, "", "see SpamHaus.org", false},
        {"421 4.7.0 [TSS04", 421, "4.7.0", "[TSS04] Messages", true},
        {"  550 5.7.1", 550, "5.7.1", "x", true},
        {"poor reputation", 554, "", "Poor Reputation", true},
        {"5", 0, "", "", false},
        {"ab", 0, "", "", false},
        {"", 0, "", "", false},
        {"2.7.1", 0, "", "", false},
        {"421 ab", 0, "", "", false},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct conf_reply r;
        bool is = conf_reply_parse(&r, rows[i].pattern);
        if (is != (rows[i].code != 0))
            fail_msg("%s: parsed %d", rows[i].pattern, is);
        if (is && conf_reply_match(&r, rows[i].code, rows[i].enhanced,
                                   base_span_str(rows[i].text)) != rows[i].match)
            fail_msg("%s against %u %s %s", rows[i].pattern, rows[i].code, rows[i].enhanced,
                     rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_days),
        cmocka_unit_test(test_replies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
