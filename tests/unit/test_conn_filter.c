/* Words of an operator's command about connections: which are filters, and what each hits. */
#include "unit.h"

#include "base_time.h"
#include "conn_filter.h"

#include <errno.h>

static struct conn_known known(void)
{
    struct conn_known c = {
        .number = 17,
        .serial = 4,
        .inbound = true,
        .tcp_state = "ESTABLISHED",
        .state = "rcpt",
        .listener = "mx",
        .user = base_span_str("alice"),
        .age_ns = 90 * BASE_NS_S,
    };

    assert_int_equal(net_addr_parse(&c.remote, base_span_str("192.0.2.7")), 0);
    assert_int_equal(net_addr_parse(&c.proxy, base_span_str("2001:db8::9")), 0);
    return c;
}

static void test_matches(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        bool narrows, hits;
    } rows[] = {
        {"", false, true},
        {"--json", false, true},
        {"--all --json", false, true},
        {"17.4", true, true},
        {"17.5", true, false},
        {"18.4", true, false},
        {"--in", true, true},
        {"--out", true, false},
        {"--state rcpt", true, true},
        {"--state RCPT", true, true},
        {"--state established", true, true},
        {"--state mail", true, false},
        {"--listener mx", true, true},
        {"--listener MX", true, true},
        {"--listener m", true, false},
        {"--user alice", true, true},
        {"--user Alice", true, false},
        {"--user ''", true, false},
        {"--older 90s", true, true},
        {"--older 91s", true, false},
        {"--older 1h", true, false},
        {"--address 192.0.2.7", true, true},
        {"--address 192.0.2.0/24", true, true},
        {"--address 192.0.2.8", true, false},
        {"--address 2001:db8::/32", true, true},
        {"--address 2001:db8::8", true, false},
        {"17.4 --in --state rcpt --user \"alice\" --older 1m --address 192.0.2.0/24", true, true},
        {"17.4 --in --state rcpt --user alice --older 1m --address 192.0.3.0/24", true, false},
    };
    struct conn_known c = known();

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct conn_filter f;
        struct base_span bad;
        if (conn_filter_parse(&f, base_span_str(rows[i].words), &bad) != 0 ||
            conn_filter_narrows(&f) != rows[i].narrows || conn_filter_match(&f, &c) != rows[i].hits)
            fail_msg("%s", rows[i].words);
    }
}

/* What is refused, and the word that is told. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *words, *bad;
    } rows[] = {
        {"17", "17"},
        {"17.", "17."},
        {".4", ".4"},
        {"17.4.2", "17.4.2"},
        {"0.4", "0.4"},
        {"17.0", "17.0"},
        {"17.4294967296", "17.4294967296"},
        {"99999999999.1", "99999999999.1"},
        {"17.4 17.4", "17.4"},
        {"'17.4'", "17.4"},
        {"x", "x"},
        {"--states x", "--states"},
        {"--state", "--state"},
        {"--state ''", "--state"},
        {"--state a --state b", "b"},
        {"--in --out", "--out"},
        {"--in --in", "--in"},
        {"--older 5", "5"},
        {"--older 0s", "0s"},
        {"--older 1s --older 2s", "2s"},
        {"--older", "--older"},
        {"--address 192.0.2.1/24", "192.0.2.1/24"},
        {"--address x", "x"},
        {"--address 192.0.2.1 --address 192.0.2.2", "192.0.2.2"},
        {"--user 'a", "--user"},
        {"--user a --user a", "a"},
        {"--listener ''", "--listener"},
        {"--in x'y", "x'y"},
    };

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct conn_filter f;
        struct base_span bad;
        if (conn_filter_parse(&f, base_span_str(rows[i].words), &bad) != -EINVAL ||
            !base_span_eq(bad, base_span_str(rows[i].bad)))
            fail_msg("%s: %.*s", rows[i].words, (int)bad.len, (const char *)bad.p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
