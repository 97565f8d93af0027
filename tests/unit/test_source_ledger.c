/* What is remembered of sources: counts by day and site, what is set aside, and its text; whose
 * next hops are; and which sources the settings choose. */
#include "unit.h"

#include "base_time.h"
#include "settings.h"
#include "source_ledger.h"
#include "source_site.h"

#include <stdlib.h>

#define NOW  (1000 * BASE_NS_S)
#define WALL (UINT64_C(1700000000) * BASE_NS_S)
#define MIN  (900 * BASE_NS_S)
#define MAX  (14400 * BASE_NS_S)

static struct source_ledger ledger;

static int open_ledger(void **state)
{
    (void)state;
    assert_int_equal(source_ledger_init(&ledger), 0);
    assert_int_equal(source_ledger_use(&ledger, "a"), 0);
    assert_int_equal(source_ledger_use(&ledger, "b"), 1);
    assert_int_equal(source_ledger_use(&ledger, "a"), 0);
    return 0;
}

static int close_ledger(void **state)
{
    (void)state;
    source_ledger_fini(&ledger);
    return 0;
}

static void counts(void **state)
{
    (void)state;
    source_ledger_take(&ledger, 0, "x.example", 100, 3);
    source_ledger_take(&ledger, 0, "y.example", 100, 4);
    source_ledger_take(&ledger, 1, "x.example", 100, 5);
    assert_int_equal(source_ledger_count(&ledger, 0, NULL, 100), 7);
    assert_int_equal(source_ledger_count(&ledger, 0, "x.example", 100), 3);
    assert_int_equal(source_ledger_count(&ledger, 1, "x.example", 100), 5);
    assert_int_equal(source_ledger_count(&ledger, 1, "y.example", 100), 0);
    source_ledger_give(&ledger, 0, "x.example", 100, 2);
    assert_int_equal(source_ledger_count(&ledger, 0, NULL, 100), 5);
    assert_int_equal(source_ledger_count(&ledger, 0, "x.example", 100), 1);
    source_ledger_give(&ledger, 0, "x.example", 100, 9); /* never below nothing */
    assert_int_equal(source_ledger_count(&ledger, 0, "x.example", 100), 0);
}

/* The clock goes to another day and back: what was counted is there. */
static void clock_jumps(void **state)
{
    (void)state;
    source_ledger_take(&ledger, 0, "x.example", 100, 3);
    source_ledger_take(&ledger, 0, "x.example", 465, 1); /* a year ahead */
    assert_int_equal(source_ledger_count(&ledger, 0, NULL, 465), 1);
    assert_int_equal(source_ledger_count(&ledger, 0, "x.example", 100), 3);
    source_ledger_take(&ledger, 0, "x.example", 100, 1);
    source_ledger_take(&ledger, 0, "x.example", 101, 2); /* in place of the day to come */
    assert_int_equal(source_ledger_count(&ledger, 0, NULL, 100), 4);
    assert_int_equal(source_ledger_count(&ledger, 0, NULL, 101), 2);
    source_ledger_take(&ledger, 0, "x.example", 102, 1); /* in place of the older one */
    assert_int_equal(source_ledger_count(&ledger, 0, NULL, 101), 2);
    assert_int_equal(source_ledger_count(&ledger, 0, NULL, 100), 0);
}

/* More sites than there are places: nobody has more than what was counted, whoever shares. */
static void sites_that_find_no_place(void **state)
{
    uint32_t cnt = 2 * SOURCE_SITE_MAX;
    char site[32];

    (void)state;
    for (uint32_t i = 0; i < cnt; i++) {
        snprintf(site, sizeof(site), "s%u.example", i);
        source_ledger_take(&ledger, 0, site, 100, 1);
    }
    for (uint32_t i = 0; i < cnt; i++) {
        snprintf(site, sizeof(site), "s%u.example", i);
        assert_true(source_ledger_count(&ledger, 0, site, 100) >= 1);
    }
    assert_int_equal(source_ledger_count(&ledger, 0, NULL, 100), cnt);
    /* Days later there is room again. */
    source_ledger_take(&ledger, 0, "fresh.example", 103, 1);
    assert_int_equal(source_ledger_count(&ledger, 0, "fresh.example", 103), 1);
}

static void set_aside(void **state)
{
    struct base_span why = base_span_str("421 no\r\n");
    uint64_t now = NOW, ns = MIN;

    (void)state;
    assert_null(source_ledger_aside(&ledger, 0, "x.example", now));
    for (int i = 0; i < 8; i++) { /* doubled up to the most */
        assert_int_equal(source_ledger_set_aside(&ledger, 0, "x.example", why, MIN, MAX, now), ns);
        const struct source_aside *a = source_ledger_aside(&ledger, 0, "x.example", now);
        assert_non_null(a);
        assert_string_equal(a->why, "421 no??");
        assert_int_equal(a->step, i + 1);
        assert_null(source_ledger_aside(&ledger, 0, "y.example", now));
        assert_null(source_ledger_aside(&ledger, 1, "x.example", now));
        /* Once more, of what was under way: nothing changes. */
        assert_int_equal(source_ledger_set_aside(&ledger, 0, "x.example", why, MIN, MAX, now + 1),
                         ns - 1);
        source_ledger_took(&ledger, 0, "x.example", now + 1);
        assert_non_null(source_ledger_aside(&ledger, 0, "x.example", now + ns - 1));
        now += ns;
        assert_null(source_ledger_aside(&ledger, 0, "x.example", now));
        ns = 2 * ns < MAX ? 2 * ns : MAX;
    }
    source_ledger_took(&ledger, 0, "x.example", now);
    assert_int_equal(source_ledger_set_aside(&ledger, 0, "x.example", why, MIN, MAX, now), MIN);
}

static void released(void **state)
{
    struct base_span why = base_span_str("554 no");

    (void)state;
    for (uint32_t s = 0; s < 2; s++) {
        source_ledger_set_aside(&ledger, s, "x.example", why, MIN, MAX, NOW);
        source_ledger_set_aside(&ledger, s, "y.example", why, MIN, MAX, NOW);
    }
    assert_int_equal(source_ledger_release(&ledger, 0, "x.example", NOW), 1);
    assert_null(source_ledger_aside(&ledger, 0, "x.example", NOW));
    assert_non_null(source_ledger_aside(&ledger, 0, "y.example", NOW));
    assert_int_equal(source_ledger_release(&ledger, 1, NULL, NOW), 2);
    assert_int_equal(source_ledger_release(&ledger, 1, NULL, NOW), 0);
    assert_int_equal(source_ledger_release(&ledger, 0, "z.example", NOW), 0);
    assert_int_equal(source_ledger_release(&ledger, 0, NULL, NOW), 1);
    assert_int_equal(ledger.aside_cnt, 0);
}

/* Of too many the one that ends first makes room. */
static void asides_without_room(void **state)
{
    char site[32];

    (void)state;
    for (uint32_t i = 0; i <= SOURCE_ASIDE_MAX; i++) {
        snprintf(site, sizeof(site), "s%u.example", i);
        source_ledger_set_aside(&ledger, 0, site, base_span_str("no"), MIN, MAX, NOW + i);
    }
    assert_int_equal(ledger.aside_cnt, SOURCE_ASIDE_MAX);
    assert_null(source_ledger_aside(&ledger, 0, "s0.example", NOW));
    assert_non_null(source_ledger_aside(&ledger, 0, site, NOW));
}

static char *text_of(struct source_ledger *l, uint64_t now_ns, uint64_t wall_ns)
{
    size_t cap = source_ledger_bytes(l);
    char *text = malloc(cap + 1);
    struct base_buf out = {.p = (uint8_t *)text, .cap = cap};

    assert_non_null(text);
    assert_true(source_ledger_write(l, &out, now_ns, wall_ns));
    text[out.len] = 0;
    return text;
}

static void over_a_restart(void **state)
{
    struct source_ledger next;

    (void)state;
    assert_int_equal(source_ledger_use(&ledger, "idle"), 2);
    source_ledger_take(&ledger, 0, "x.example", 99, 2);
    source_ledger_take(&ledger, 0, "x.example", 100, 3);
    source_ledger_take(&ledger, 1, "y.example", 100, 7);
    source_ledger_set_aside(&ledger, 1, "y.example", base_span_str("421 4.7.28 too much"), MIN, MAX,
                            NOW);
    assert_true(ledger.changed);
    char *text = text_of(&ledger, NOW, WALL);
    assert_false(ledger.changed);
    assert_int_equal(source_ledger_init(&next), 0);
    /* 300 s later by the wall clock; its own time is another. */
    uint64_t now = 7 * BASE_NS_S;
    assert_int_equal(
        source_ledger_read(&next, base_span_str(text), MAX, now, WALL + 300 * BASE_NS_S), 0);
    assert_int_equal(source_ledger_use(&next, "b"), 1);
    assert_int_equal(source_ledger_use(&next, "a"), 0);
    assert_int_equal(source_ledger_count(&next, 0, NULL, 100), 3);
    assert_int_equal(source_ledger_count(&next, 0, "x.example", 99), 2);
    assert_int_equal(source_ledger_count(&next, 1, "y.example", 100), 7);
    const struct source_aside *a = source_ledger_aside(&next, 1, "y.example", now);
    assert_non_null(a);
    assert_string_equal(a->why, "421 4.7.28 too much");
    assert_true(a->until_ns - now <= 600 * BASE_NS_S && a->until_ns - now > 598 * BASE_NS_S);
    source_ledger_fini(&next);
    /* The wall clock stood years before: not longer than the most. */
    assert_int_equal(source_ledger_init(&next), 0);
    assert_int_equal(source_ledger_read(&next, base_span_str(text), MAX, now, WALL / 2), 0);
    a = source_ledger_aside(&next, 1, "y.example", now);
    assert_true(a != NULL && a->until_ns == now + MAX);
    source_ledger_fini(&next);
    free(text);
}

static void damaged_text(void **state)
{
    static const struct {
        const char *text;
        uint32_t bad_cnt;
    } rows[] = {
        {"", 0},
        {"sluice-sources 1\n", 0},
        {"sluice-sources 2\nsource a 1 1 0 0\n", 1},
        {"something else", 1},
        {"sluice-sources 1\nsource a 1 1\n", 1},
        {"sluice-sources 1\nsource a 1 1 1 1\nsource b 1 1 2 1\n", 1},
        {"sluice-sources 1\nsite 12 1 1 2 1\nsite 13 1 1 2 1\nsite zz 1 1 2 1\n", 2},
        {"sluice-sources 1\naside a x.example 1 0 why\n", 1},
        {"sluice-sources 1\naside a x.example 99999999999999999999 1 why\n", 1},
        {"sluice-sources 1\naside a x.example 1 1 why", 1}, /* no line end */
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct source_ledger l;
        assert_int_equal(source_ledger_init(&l), 0);
        assert_int_equal(source_ledger_read(&l, base_span_str(rows[i].text), MAX, NOW, WALL),
                         rows[i].bad_cnt);
        source_ledger_fini(&l);
    }
}

/* Names come and go with the settings: those gone make room. */
static void names(void **state)
{
    char name[SOURCE_NAME_CAP];

    (void)state;
    source_ledger_take(&ledger, 0, "x.example", 100, 3);
    source_ledger_set_aside(&ledger, 0, "x.example", base_span_str("no"), MIN, MAX, NOW);
    for (uint32_t i = 2; i < SOURCE_LEDGER_MAX; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        assert_int_equal(source_ledger_use(&ledger, name), i);
    }
    assert_int_equal(source_ledger_use(&ledger, "more"), UINT32_MAX);
    source_ledger_unuse(&ledger);
    assert_int_equal(source_ledger_use(&ledger, "b"), 1);
    assert_int_equal(source_ledger_use(&ledger, "more"), 0);
    assert_int_equal(source_ledger_count(&ledger, 0, NULL, 100), 0);
    assert_null(source_ledger_aside(&ledger, 0, "x.example", NOW));
}

static void sites(void **state)
{
    static const char *const rows[][2] = {
        {"aspmx.l.google.com", "google.com"},
        {"google.com", "google.com"},
        {"mx.shop.co.uk", "shop.co.uk"},
        {"a.b.shop.co.uk", "shop.co.uk"},
        {"shop.co.uk", "shop.co.uk"},
        {"co.uk", "co.uk"},
        {"mx.web.de", "mx.web.de"}, /* taken for a suffix: too fine, not too coarse */
        {"mx00.kundenserver.de", "kundenserver.de"},
        {"in1.smtp.messagingengine.com", "messagingengine.com"},
        {"mail.ministere.gouv.fr", "ministere.gouv.fr"},
        {"localhost", "localhost"},
        {"192.0.2.7", "192.0.2.7"},
        {"2001:db8::7", "2001:db8::7"},
        {"a b.example\x7f", "a?b.example?"},
        {"", "-"},
    };
    char out[SOURCE_SITE_CAP], longest[200];

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        source_site(out, rows[i][0]);
        assert_string_equal(out, rows[i][1]);
    }
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = 0;
    memcpy(longest + 190, ".example", 8);
    source_site(out, longest);
    assert_int_equal(strlen(out), SOURCE_SITE_CAP - 1);
}

/* ---- the settings' side ---- */

static const char text[] =
    "gateway { hostname = gw.example; run_dir = /run/x; }\n"
    "port p { device = \"net_x\"; address = { 10.0.0.1/24, 10.0.0.2/24, 10.0.0.3/24, fd00::1/64 }; "
    "}\n"
    "listener mx { port = p; tcp_port = 25; }\n"
    "spool { path = /spool; size = 256M; segment_size = 1M; }\n"
    "route host.example { host = 10.0.0.9:25; }\n"
    "route none.example { sources = none; }\n"
    "route one.example { sources = b; }\n"
    "route both.example { host = 10.0.0.9; sources = { a, c }; }\n"
    "source a { address = 10.0.0.1; ehlo = a.example; }\n"
    "source b { address = 10.0.0.2; address6 = fd00::1; ehlo = b.example; warm_up_start = "
    "2026-11-20;\n"
    "           warm_up = { 50, 100 }; warm_up_destination = { 5 }; }\n"
    "source c { address = 10.0.0.3; ehlo = c.example;\n"
    "           sender_domains = { news.example, .lists.example, xn--mller-kva.example }; }\n";

static struct settings *settings_of(const char *config)
{
    struct conf_errors *errors = calloc(1, sizeof(*errors));
    struct conf *conf = conf_parse("t", base_span_str(config), NULL, NULL, errors);

    if (conf == NULL)
        fail_msg("%s %s", errors->error[0].key, errors->error[0].why);
    conf_errors_free(errors);
    free(errors);
    struct settings *s = settings_make(conf);
    assert_non_null(s);
    return s;
}

static void candidates(void **state)
{
    enum { A = 1, B = 2, C = 4 };
    static const struct {
        const char *to, *from;
        uint64_t want;
    } rows[] = {
        {"any.example", "x.example", A | B},        {"any.example", "", A | B},
        {"any.example", "news.example", C},         {"any.example", "NEWS.Example", C},
        {"any.example", "sub.news.example", A | B}, {"any.example", "lists.example", A | B},
        {"any.example", "a.b.lists.example", C},    {"any.example", "m\xc3\xbcller.example", C},
        {"host.example", "x.example", 0},           {"host.example", "news.example", 0},
        {"none.example", "news.example", 0},        {"one.example", "x.example", B},
        {"one.example", "news.example", B}, /* the route does not know their own */
        {"both.example", "x.example", A},           {"both.example", "news.example", C},
    };
    struct settings *s = settings_of(text);

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        const struct settings_route *route = settings_route_find(s, base_span_str(rows[i].to));
        uint64_t got = settings_source_candidates(s, route, base_span_str(rows[i].from));
        if (got != rows[i].want)
            fail_msg("%s from %s: %lx", rows[i].to, rows[i].from, (unsigned long)got);
    }
    settings_free(s);
}

static void limits(void **state)
{
    struct settings *s = settings_of(text);
    uint32_t day;

    (void)state;
    assert_true(conf_day_parse(&day, "2026-11-20"));
    assert_int_equal(settings_source_limit(&s->sources[0], day), UINT32_MAX);
    assert_int_equal(settings_source_limit(&s->sources[1], day - 1), 0);
    assert_int_equal(settings_source_limit(&s->sources[1], day), 50);
    assert_int_equal(settings_source_limit(&s->sources[1], day + 1), 100);
    assert_int_equal(settings_source_limit(&s->sources[1], day + 2), UINT32_MAX);
    assert_int_equal(settings_source_site_limit(&s->sources[1], day), 5);
    assert_int_equal(settings_source_site_limit(&s->sources[1], day + 1), UINT32_MAX);
    settings_free(s);
}

static void refusals(void **state)
{
    static const struct {
        uint16_t code;
        const char *enhanced, *words;
        bool want;
    } rows[] = {
        {421, "4.7.28", "Our system has detected an unusual rate of unsolicited mail", true},
        {421, "4.7.0", "[TSS04] Messages from 192.0.2.1 temporarily deferred", true},
        {554, "5.7.1",
         "Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", true},
        {550, "5.7.1",
         "Unfortunately, messages from [192.0.2.1] weren't sent. part of their network is on our "
         "block list (S3140).",
         true},
        {451, "4.7.650",
         "The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation",
         true},
        {550, "5.7.606", "Access denied, banned sending IP [192.0.2.1]", true},
        {550, "5.7.25", "no PTR record", true},
        {550, "5.1.1", "no such user", false},
        {550, "5.7.1", "relaying denied", false},
        {550, "5.7.1", "message content rejected", false},
        {451, "4.7.1", "greylisted", false},
        {452, "4.2.2", "mailbox full", false},
    };
    struct settings *s = settings_of(text);

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++)
        if (settings_source_refused(s, rows[i].code, rows[i].enhanced,
                                    base_span_str(rows[i].words)) != rows[i].want)
            fail_msg("%u %s %s", rows[i].code, rows[i].enhanced, rows[i].words);
    settings_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counts, open_ledger, close_ledger),
        cmocka_unit_test_setup_teardown(clock_jumps, open_ledger, close_ledger),
        cmocka_unit_test_setup_teardown(sites_that_find_no_place, open_ledger, close_ledger),
        cmocka_unit_test_setup_teardown(set_aside, open_ledger, close_ledger),
        cmocka_unit_test_setup_teardown(released, open_ledger, close_ledger),
        cmocka_unit_test_setup_teardown(asides_without_room, open_ledger, close_ledger),
        cmocka_unit_test_setup_teardown(over_a_restart, open_ledger, close_ledger),
        cmocka_unit_test(damaged_text),
        cmocka_unit_test_setup_teardown(names, open_ledger, close_ledger),
        cmocka_unit_test(sites),
        cmocka_unit_test(candidates),
        cmocka_unit_test(limits),
        cmocka_unit_test(refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
