/* Patterns of hosts, rates, rules on replies, and how the pace falls and grows. */
#include "unit.h"

#include "shape.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define S BASE_NS_S
#define M (60 * S)

static void hosts(void **state)
{
    static const struct {
        const char *pattern, *host;
        bool fits;
    } rows[] = {
        {"*.google.com", "aspmx.l.google.com", true},
        {"*.google.com", "ASPMX.L.Google.COM.", true},
        {"*.google.com", "google.com", false},
        {"*.google.com", "evilgoogle.com", false},
        {"*.google.com", "a.google.com.evil.example", false},
        {"*google.com", "evilgoogle.com", true},
        {"mx.example", "mx.example", true},
        {"mx.example", "mx.example.", true},
        {"mx.example", "amx.example", false},
        {"mx*.yahoodns.net", "mx-1.am0.yahoodns.net", true},
        {"*.a.*.b", "x.a.y.a.z.b", true},
        {"*.a.*.b", "x.a.b", false},
        {"*", "x", true},
        {"a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
        {"a", "", false},
    };
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++)
        if (shape_host_match(rows[i].pattern, rows[i].host) != rows[i].fits)
            fail_msg("%s %s", rows[i].pattern, rows[i].host);
    assert_true(shape_host_check("*.google.com") && shape_host_check("mx-1_a.example"));
    assert_false(shape_host_check("*") || shape_host_check("") || shape_host_check("*.*") ||
                 shape_host_check("a b") || shape_host_check("[a]"));
}

static void rates(void **state)
{
    static const struct {
        const char *text;
        uint64_t gap_ns; /* 1: refused */
        const char *again;
    } rows[] = {
        {"20/s", S / 20, "20/s"},
        {"100/m", M / 100, "100/m"},
        {"100/min", M / 100, "100/m"},
        {"1/s", S, "1/s"},
        {"60/m", S, "1/s"},
        {"7/h", 60 * M / 7, "7/h"},
        {"1000/h", 3600 * S / 1000, "17/m"},
        {"50/d", 86400 * S / 50, "2/h"},
        {"0", 0, NULL},
        {"0/s", 1, NULL},
        {"20", 1, NULL},
        {"/s", 1, NULL},
        {"20/", 1, NULL},
        {"-1/s", 1, NULL},
        {"20/w", 1, NULL},
        {"99999999/s", 1, NULL},
        {"20 /s", 1, NULL},
        {"", 1, NULL},
    };
    char text[SHAPE_RATE_TEXT_CAP];
    uint64_t gap, ns;
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        bool good = shape_rate_parse(&gap, rows[i].text);
        if (good != (rows[i].gap_ns != 1) || (good && gap != rows[i].gap_ns))
            fail_msg("%s: %d %llu", rows[i].text, good, (unsigned long long)gap);
        if (rows[i].again == NULL)
            continue;
        shape_rate_format(text, gap);
        assert_string_equal(text, rows[i].again);
    }
    assert_true(shape_time_parse(&ns, base_span_str("30s")) && ns == 30 * S);
    assert_true(shape_time_parse(&ns, base_span_str("2h")) && ns == 120 * M);
    assert_true(shape_time_parse(&ns, base_span_str("1w")) && ns == 7 * 1440 * M);
    assert_false(
        shape_time_parse(&ns, base_span_str("8d")) || shape_time_parse(&ns, base_span_str("0s")) ||
        shape_time_parse(&ns, base_span_str("5")) || shape_time_parse(&ns, base_span_str("s")) ||
        shape_time_parse(&ns, base_span_str("5x")) ||
        shape_time_parse(&ns, base_span_str("99999999999999999999s")));
}

static void rules_are_read(void **state)
{
    static const char *const bad[] = {"",
                                      "421",
                                      "wait=5m",
                                      "521 wait=5m",
                                      "42 wait=5m",
                                      "4xx 4.7 wait=5m",
                                      "4xx 4.7.28.1 wait=1m",
                                      "421 wait=",
                                      "421 wait=0s",
                                      "421 wait=9d",
                                      "421 connections=0",
                                      "421 connections=x",
                                      "421 connections=",
                                      "421 rate=2",
                                      "421 /(/ wait=5m",
                                      "421 /x wait=5m",
                                      "421 stop",
                                      "421 4..7 wait=1m",
                                      "421 suspend=5",
                                      "421 .4.7.1 wait=1m"};
    static const char *const good[] = {
        "421 connections=1 wait=30s", "4xx 4.7.28 rate=half", "4xx 4.x.x /a b\\/c/ retry",
        "  /x/   suspend=2h  ", "451 4.7.65* wait=5m connections=half rate=half retry suspend=1d"};
    struct shape_rule r;
    char why[SHAPE_WHY_CAP];
    bool everyone;
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(bad); i++) {
        why[0] = 0;
        if (shape_rule_parse(&r, bad[i], why) != -EINVAL || why[0] == 0)
            fail_msg("%s", bad[i]);
    }
    for (size_t i = 0; i < BASE_ARRAY_CNT(good); i++) {
        if (shape_rule_parse(&r, good[i], why) != 0)
            fail_msg("%s: %s", good[i], why);
        shape_rule_fini(&r);
    }
    for (uint32_t i = 0; shape_rule_builtin(i, &everyone) != NULL; i++) {
        if (shape_rule_parse(&r, shape_rule_builtin(i, &everyone), why) != 0)
            fail_msg("%s: %s", shape_rule_builtin(i, &everyone), why);
        shape_rule_fini(&r);
    }
}

static bool fits(const char *rule, uint16_t code, const char *enhanced, const char *text)
{
    struct shape_reply reply = {.code = code, .enhanced = enhanced, .text = base_span_str(text)};
    struct shape_rule r;
    char why[SHAPE_WHY_CAP];
    assert_int_equal(shape_rule_parse(&r, rule, why), 0);
    bool yes = shape_rule_fits(&r, &reply);
    shape_rule_fini(&r);
    return yes;
}

static void rules_fit(void **state)
{
    (void)state;
    assert_true(fits("421 retry", 421, "", ""));
    assert_false(fits("421 retry", 420, "", "") || fits("421 retry", 0, "", ""));
    assert_true(fits("4xx retry", 450, "", "") && !fits("4xx retry", 550, "", ""));
    assert_true(fits("45x retry", 459, "", "") && !fits("45x retry", 421, "", ""));
    assert_true(fits("4.7.x retry", 451, "4.7.28", "") && fits("4.7.x retry", 451, "4.7.0", ""));
    assert_false(fits("4.7.x retry", 451, "4.6.28", "") || fits("4.7.x retry", 451, "", ""));
    assert_true(fits("4.7.65* retry", 451, "4.7.650", "") &&
                fits("4.7.65* retry", 451, "4.7.65", ""));
    assert_false(fits("4.7.65* retry", 451, "4.7.6", "") || fits("4.7.2 retry", 451, "4.7.28", ""));
    assert_true(fits("4.7.5xx retry", 451, "4.7.500", "") &&
                !fits("4.7.5xx retry", 451, "4.7.50", "") &&
                !fits("4.7.5xx retry", 451, "4.7.5000", ""));
    assert_true(fits("/too MANY/ retry", 421, "", "4.7.0 Too many of you"));
    assert_false(fits("/too many/ retry", 421, "", "") || fits("/^x/ retry", 421, "", "yx"));
    assert_false(fits("/(a+)+$/ retry", 421, "",
                      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"));
}

/* The number of the built-in rule that the reply meets first; -1: none. */
static int builtin_of(uint16_t code, const char *enhanced, const char *text, bool provider)
{
    bool everyone;
    for (uint32_t i = 0; shape_rule_builtin(i, &everyone) != NULL; i++)
        if ((provider || everyone) && fits(shape_rule_builtin(i, &everyone), code, enhanced, text))
            return (int)i;
    return -1;
}

static void builtin_rules(void **state)
{
    static const struct {
        uint16_t code;
        const char *enhanced, *text, *does; /* NULL: nothing */
        bool alone;                         /* also where there is no provider */
    } rows[] = {
        {421, "4.7.28", "unusual rate of mail from your network", "wait=5m", true},
        {450, "4.2.1", "the user is receiving mail at a rate that prevents", "rate=half", true},
        {450, "4.2.1", "mailbox is not available", NULL, true},
        {421, "4.7.0", "[TSS04] Messages from 192.0.2.1 temporarily deferred", "wait=15m", true},
        {421, "4.7.0", "[TS01] Messages temporarily deferred", "wait=15m", true},
        {451, "4.7.650", "The mail server [192.0.2.1] has been limited", "connections=1", true},
        {421, "", "RP-001 The mail server IP has exceeded the rate", "connections=1", true},
        {421, "4.7.0", "mx.example Error: too many connections from 192.0.2.1", "wait=10s", true},
        {450, "4.7.1", "Error: too much mail from 192.0.2.1", "rate=half", true},
        {450, "4.7.1", "Error: too many recipients from 192.0.2.1", "rate=half", true},
        {421, "4.7.0", "Try again later, closing connection", "connections=1", false},
        {421, "", "going down", "connections=1", false},
        {451, "4.7.500", "Server busy", "wait=1m", false},
        {450, "4.1.1", "greylisted, try again in 300 seconds", NULL, true},
        {452, "4.2.2", "mailbox full", NULL, true},
        {451, "4.3.0", "internal error", NULL, true},
    };
    bool everyone;
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        int at = builtin_of(rows[i].code, rows[i].enhanced, rows[i].text, true);
        int alone = builtin_of(rows[i].code, rows[i].enhanced, rows[i].text, false);
        if ((at >= 0) != (rows[i].does != NULL) || (alone >= 0) != (at >= 0 && rows[i].alone))
            fail_msg("%u %s %s: %d %d", rows[i].code, rows[i].enhanced, rows[i].text, at, alone);
        const char *rule = at >= 0 ? shape_rule_builtin((uint32_t)at, &everyone) : NULL;
        if (rule != NULL && rows[i].does != NULL && strstr(rule, rows[i].does) == NULL)
            fail_msg("%s: rule %d", rows[i].text, at);
    }
}

static struct shape_rule rule(const char *text)
{
    struct shape_rule r;
    char why[SHAPE_WHY_CAP];
    assert_int_equal(shape_rule_parse(&r, text, why), 0);
    return r;
}

/* Connections fall to what the rule says, and come back one by one. */
static void connections_fall_and_grow(void **state)
{
    struct shape_state s = {0};
    struct shape_rule one = rule("421 connections=1 wait=30s");
    uint64_t now = 100 * S;
    (void)state;
    shape_state_set(&s, &(struct shape_limits){.connections = 4});
    assert_int_equal(shape_state_deadline(&s), BASE_NS_NONE);
    assert_true(shape_state_hit(&s, &one, 4, now - 1, now));
    assert_true(s.low && s.now.connections == 1 && s.until_ns == now + 30 * S && s.hit_cnt == 1);
    /* The other connections hear the same: it is one cause. */
    assert_false(shape_state_hit(&s, &one, 3, now - 5, now + S));
    assert_true(s.until_ns == now + 30 * S && s.hit_cnt == 2);
    now += 31 * S; /* again, by what began behind it: twice as long */
    assert_true(shape_state_hit(&s, &one, 1, now, now + S));
    assert_int_equal(s.until_ns, now + S + 60 * S);
    for (uint32_t n = 2; n <= 4; n++) {
        now = shape_state_deadline(&s);
        assert_false(shape_state_step(&s, now - 1));
        assert_false(shape_state_step(&s, now)); /* nothing was taken */
        shape_state_taken(&s);
        now = shape_state_deadline(&s);
        assert_true(shape_state_step(&s, now));
        assert_int_equal(s.now.connections, n);
    }
    assert_false(s.low);
    for (int i = 0; i < 3; i++)
        shape_state_step(&s, shape_state_deadline(&s));
    assert_int_equal(shape_state_deadline(&s), BASE_NS_NONE);
}

/* Where nothing is set, what there was is what it grows to; then there is no limit again. */
static void rate_falls_and_grows(void **state)
{
    struct shape_state s = {0};
    struct shape_rule half = rule("4xx rate=half");
    uint64_t now = 1000 * S, last;
    uint32_t steps = 0;
    (void)state;
    for (int i = 0; i < 200; i++, now += S / 10)
        shape_state_begun(&s, now); /* 10 a second */
    assert_true(shape_state_hit(&s, &half, 5, now, now));
    assert_in_range(s.now.gap_ns, 190 * BASE_NS_MS, 215 * BASE_NS_MS);
    assert_int_equal(s.now.connections, 0);
    assert_true(shape_state_hit(&s, &half, 5, now + S, now + S));
    assert_in_range(s.now.gap_ns, 380 * BASE_NS_MS, 430 * BASE_NS_MS);
    for (last = s.now.gap_ns; s.low; steps++) {
        shape_state_taken(&s);
        assert_true(shape_state_step(&s, shape_state_deadline(&s)));
        assert_true(s.now.gap_ns < last);
        last = s.now.gap_ns;
        assert_true(steps < 12);
    }
    assert_in_range(steps, 6, 9); /* from a quarter, by a tenth each */
    assert_int_equal(s.now.gap_ns, 0);
}

static void bounds(void **state)
{
    struct shape_state s = {0};
    struct shape_rule all = rule("4xx rate=half connections=half wait=1h suspend=6h");
    uint64_t now = S;
    (void)state;
    shape_state_set(&s, &(struct shape_limits){.connections = 20, .gap_ns = S});
    for (int i = 0; i < 40; i++, now += S) {
        assert_true(shape_state_hit(&s, &all, 20, now + 1, now + 1));
        assert_true(s.until_ns <= now + 1 + 6 * 3600 * S && s.now.connections >= 1);
        assert_true(s.now.gap_ns <= 600 * S);
    }
    shape_state_set(&s, &(struct shape_limits){.connections = 2, .gap_ns = S / 2});
    assert_true(s.low && s.now.connections == 1 && s.was.connections == 2);
    shape_state_forget(&s);
    assert_true(!s.low && s.now.connections == 2 && s.now.gap_ns == S / 2 && s.until_ns == 0);
    struct shape_rule again = rule("4xx retry");
    assert_false(shape_state_hit(&s, &again, 2, now, now));
    assert_false(s.low);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts),
        cmocka_unit_test(rates),
        cmocka_unit_test(rules_are_read),
        cmocka_unit_test(rules_fit),
        cmocka_unit_test(builtin_rules),
        cmocka_unit_test(connections_fall_and_grow),
        cmocka_unit_test(rate_falls_and_grows),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
