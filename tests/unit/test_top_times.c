/* app/sluicectl: what sluicectl top tells of histograms, and of lanes, by two looks. */
#include "unit.h"

#include "top_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define OVER UINT64_MAX

static struct top_times times_of(const char *text)
{
    struct top_times t = {0};

    if (text != NULL)
        assert_true(top_times_read(&t, text));
    return t;
}

/* Bounds of 1024, 2048 and 4096 ns, and what is over them. */
static void test_bounds(void **state)
{
    static const struct {
        const char *what, *before, *now;
        uint64_t cnt, p50, p99;
    } rows[] = {
        {"unknown", NULL, NULL, 0, 0, 0},
        {"empty", NULL, "10 0,0,0,0\n", 0, 0, 0},
        {"nothing since", "10 1,2,3,4", "10 1,2,3,4", 0, 0, 0},
        {"one value", NULL, "10 0,1,0,0", 1, 2048, 2048},
        {"one bucket", NULL, "10 0,0,700,0", 700, 4096, 4096},
        {"all over the last", NULL, "10 0,0,0,5", 5, OVER, OVER},
        {"half", NULL, "10 1,1,0,0", 2, 1024, 2048},
        {"just more than half", NULL, "10 2,3,0,0", 5, 2048, 2048},
        {"99 of 100", NULL, "10 99,0,0,1", 100, 1024, 1024},
        {"98 of 100", NULL, "10 98,0,1,1", 100, 1024, 4096},
        {"1 of 99 over", NULL, "10 98,0,0,1", 99, 1024, OVER},
        {"the difference alone", "10 1000,0,0,0", "10 1000,0,3,0", 3, 4096, 4096},
        {"from unknown", NULL, "10 4,0,0,0", 4, 1024, 1024},
        {"a restart: fewer", "10 9,9,9,9", "10 0,1,0,0", 1, 2048, 2048},
        {"a restart: fewer in one", "10 9,0,0,0", "10 8,0,90,0", 98, 4096, 4096},
        {"other bounds", "11 1,1,1,1", "10 1,1,1,1", 4, 2048, OVER},
        {"more bounds", "10 1,1,1", "10 1,1,1,1", 4, 2048, OVER},
        {"many", NULL, "10 9000000000000000000,0,0,0", 9000000000000000000U, 1024, 1024},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct top_times before = times_of(rows[i].before), now = times_of(rows[i].now);
        struct top_times t = top_times_since(&before, &now);
        if (top_times_cnt(&t) != rows[i].cnt || top_times_bound_ns(&t, 500) != rows[i].p50 ||
            top_times_bound_ns(&t, 990) != rows[i].p99)
            fail_msg("%s: %" PRIu64 " values, p50 %" PRIu64 ", p99 %" PRIu64, rows[i].what,
                     top_times_cnt(&t), top_times_bound_ns(&t, 500), top_times_bound_ns(&t, 990));
    }
}

static void test_words(void **state)
{
    static const struct {
        const char *text, *words;
    } rows[] = {
        {"10 0,0", "none"},      {"10 1,0", "<= 1.1 us"}, /* 1,024 ns: up */
        {"10 0,1", "> 1.0 us"},                           /* and down */
        {"9 1,0", "<= 0.6 us"},  {"0 1,0", "<= 0.1 us"},  {"16 1,0", "<= 65.6 us"},
        {"20 1,0", "<= 1.1 ms"}, {"21 1,0", "<= 2.1 ms"}, {"29 1,0", "<= 536.9 ms"},
        {"30 1,0", "<= 1.1 s"},  {"35 0,1", "> 34.3 s"},  {"40 0,1", "> 1099.5 s"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        char words[TOP_TIME_CAP];
        struct top_times t = times_of(rows[i].text);
        top_times_tell(words, &t, 500);
        assert_string_equal(words, rows[i].words);
    }
}

static void test_bad(void **state)
{
    static const char *const rows[] = {
        "",
        "\n",
        "10",
        "10 ",
        "10 1",
        "10 1\n",
        "41 1,2",
        "-1 1,2",
        "10 1,",
        "10 1,\n",
        "10 1,2 ",
        "10 1,x",
        "10 1,-2",
        "10  1,2",
        "10 \n1,2",
        "10,1,2",
        "10 1,\n2,3\n",
        "10 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", /* 26 */
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct top_times t = {.shift = 7};
        assert_false(top_times_read(&t, rows[i]));
        assert_int_equal(t.shift, 7);
    }
    struct top_times most = times_of("40 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1\n");
    assert_int_equal(most.bound_cnt, STATS_BOUND_MAX);
    assert_true(top_times_bound_ns(&most, 960) == UINT64_C(1) << 63);
    assert_true(top_times_bound_ns(&most, 1000) == OVER);
}

/* The whole screen: p50 and p99 of what lies between, a lane by its cycles; a restart counts from
 * the start of the new run, whatever was before. */
static void test_screen(void **state)
{
    static const char first[] = "hostname mx\nstarted 1000000000\ncycles_per_s 1000\n"
                                "now_ns 3000000000\nlanes 1\nlane 0 lane/cycles_busy 500\n"
                                "histogram conn/store_time 20 5,0,0\n";
    static const char second[] = "hostname mx\nstarted 1000000000\ncycles_per_s 1000\n"
                                 "now_ns 5000000000\nlanes 1\nlane 0 lane/cycles_busy 1000\n"
                                 "histogram conn/store_time 20 5,3,0\n";
    static const char again[] = "hostname mx\nstarted 6000000000\ncycles_per_s 1000\n"
                                "now_ns 7000000000\nlanes 1\nlane 0 lane/cycles_busy 2000\n"
                                "histogram conn/store_time 20 9,9,0\n";
    static struct top_look a, b, c;
    static char lines[TOP_LINE_MAX][TOP_LINE_CAP];
    char *json = NULL;
    size_t len;

    (void)state;
    top_read_counters(&a, first);
    top_read_counters(&b, second);
    top_read_counters(&c, again);
    assert_true(top_lines(lines, &a, &b) > 9);
    assert_string_equal(lines[5], "handshake    none");
    assert_string_equal(lines[6], "durable 250  p50 <= 2.1 ms    p99 <= 2.1 ms    of 3");
    assert_string_equal(lines[7], "delivery     none");
    assert_memory_equal(lines[10], "   0    25.0", 12); /* 500 cycles of 2,000 */
    top_lines(lines, &b, &c);
    assert_string_equal(lines[6], "durable 250  p50 <= 1.1 ms    p99 <= 2.1 ms    of 18");
    assert_memory_equal(lines[10], "   0   100.0", 12);

    FILE *out = open_memstream(&json, &len);
    assert_non_null(out);
    top_json(out, &a, &b);
    fclose(out);
    assert_non_null(strstr(json, "\"times\":{\"handshake\":{\"count\":0,\"p50_at_most_us\":null,"
                                 "\"p99_at_most_us\":null},\"durable\":{\"count\":3,"
                                 "\"p50_at_most_us\":2097.152,\"p99_at_most_us\":2097.152},"));
    free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_screen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
