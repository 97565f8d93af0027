/* Limits that fell, as they are kept over a restart: what is written is read again, with its ages;
 * what is damaged is passed over. */
#include "unit.h"

#include "base_time.h"
#include "shape_store.h"

#include <errno.h>
#include <stdio.h>

#define NOW  (1000 * BASE_NS_S)
#define WALL (UINT64_C(1700000000) * BASE_NS_S)
#define HEAD "sluice limits 1\n"

static uint8_t bytes[4 * SHAPE_STORE_LINE_MAX];

static struct shape_stored fallen(void)
{
    struct shape_stored s = {.name = "big provider",
                             .configured = true,
                             .rule = "421 4.7.28 connections=half wait=1m",
                             .cause = "421 too much: 100%",
                             .cause_wall_ns = WALL - 7 * BASE_NS_S};

    s.state = (struct shape_state){.now = {3, 40 * BASE_NS_MS},
                                   .was = {10, 10 * BASE_NS_MS},
                                   .low = true,
                                   .fell_ns = NOW - 5 * BASE_NS_S,
                                   .step_ns = NOW + 90 * BASE_NS_S,
                                   .until_ns = NOW + 30 * BASE_NS_S,
                                   .fall_cnt = 2,
                                   .hit_cnt = 17};
    return s;
}

static struct base_span written(const struct shape_stored *s, uint64_t now_ns, uint64_t wall_ns)
{
    struct base_buf out = {.p = bytes, .cap = sizeof(bytes)};

    assert_true(shape_store_begin(&out));
    assert_true(shape_store_put(&out, s, now_ns, wall_ns));
    return base_buf_span(&out);
}

static struct shape_stored read_one(struct base_span text, uint64_t now_ns, uint64_t wall_ns)
{
    struct shape_stored s, more;
    bool begun = false;

    assert_int_equal(shape_store_get(&s, &text, &begun, now_ns, wall_ns), 1);
    assert_int_equal(shape_store_get(&more, &text, &begun, now_ns, wall_ns), 0);
    return s;
}

static void is_kept(void **state)
{
    struct shape_stored was = fallen(), s;

    (void)state;
    /* The machine was up for less time, ten seconds later. */
    s = read_one(written(&was, NOW, WALL), 50 * BASE_NS_S, WALL + 10 * BASE_NS_S);
    assert_string_equal(s.name, was.name);
    assert_string_equal(s.rule, was.rule);
    assert_string_equal(s.cause, was.cause);
    assert_true(s.configured && s.state.low);
    assert_int_equal(s.cause_wall_ns, was.cause_wall_ns);
    assert_int_equal(s.state.now.connections, 3);
    assert_int_equal(s.state.now.gap_ns, 40 * BASE_NS_MS);
    assert_int_equal(s.state.was.connections, 10);
    assert_int_equal(s.state.fall_cnt, 2);
    assert_int_equal(s.state.hit_cnt, 17);
    assert_int_equal(s.state.until_ns, 70 * BASE_NS_S); /* 20 s are left */
    assert_int_equal(s.state.step_ns, 130 * BASE_NS_S);
    /* What begins from now on counts again. */
    assert_true(s.state.fell_ns < 50 * BASE_NS_S && s.state.fell_ns > 0);
    struct shape_limits set = {.connections = 10};
    shape_state_set(&s.state, &set);
    assert_int_equal(s.state.now.connections, 3);
    for (uint64_t now = s.state.step_ns; s.state.low; now += SHAPE_STEP_NS) {
        assert_true(now < 3600 * BASE_NS_S);
        shape_state_taken(&s.state);
        (void)shape_state_step(&s.state, now);
    }
    assert_int_equal(s.state.now.connections, 10);
}

static void clocks_jump(void **state)
{
    struct shape_stored was = fallen(), s;

    (void)state;
    was.state.until_ns = NOW + SHAPE_TIME_MAX_NS;
    s = read_one(written(&was, NOW, WALL), NOW, WALL - 400 * 86400 * BASE_NS_S);
    assert_int_equal(s.state.until_ns, NOW + SHAPE_TIME_MAX_NS); /* no longer than ever */
    s = read_one(written(&was, NOW, WALL), NOW, WALL + 400 * 86400 * BASE_NS_S);
    assert_int_equal(s.state.until_ns, 0);
    assert_int_equal(s.state.step_ns, NOW);
    assert_int_equal(s.state.now.connections, 3); /* nothing has shown that more will do */
}

static void only_what_matters(void **state)
{
    struct shape_state s = {.hit_cnt = 4, .until_ns = NOW};

    (void)state;
    assert_false(shape_store_wanted(&s, NOW));
    s.until_ns = NOW + 1;
    assert_true(shape_store_wanted(&s, NOW));
    s = (struct shape_state){.fall_cnt = 1};
    assert_true(shape_store_wanted(&s, NOW));
    s = (struct shape_state){.low = true};
    assert_true(shape_store_wanted(&s, NOW));
}

/* The longest words, of bytes that need the most room, and none at all. */
static void words(void **state)
{
    struct shape_stored was = fallen(), s;

    (void)state;
    memset(was.name, 0xff, sizeof(was.name) - 1);
    memset(was.rule, '\n', sizeof(was.rule) - 1);
    memset(was.cause, '%', sizeof(was.cause) - 1);
    s = read_one(written(&was, NOW, WALL), NOW, WALL);
    assert_string_equal(s.name, was.name);
    assert_string_equal(s.rule, was.rule);
    assert_string_equal(s.cause, was.cause);
    was = fallen();
    snprintf(was.name, sizeof(was.name), "-");
    was.rule[0] = was.cause[0] = 0;
    s = read_one(written(&was, NOW, WALL), NOW, WALL);
    assert_string_equal(s.name, "-");
    assert_string_equal(s.rule, "");
    assert_string_equal(s.cause, "");
}

static void damaged(void **state)
{
    static const char good[] =
        "group a 0 now 1 2 was 3 4 falls 1 low 1 fell 5 step 6 until 7 hits 8 "
        "cause 9 r c\n";
    static const char *const bad[] = {
        "group a 0 now 1 2\n",
        "group a 2 now 1 2 was 3 4 falls 1 low 1 fell 5 step 6 until 7 hits 8 cause 9 r c\n",
        "group - 0 now 1 2 was 3 4 falls 1 low 1 fell 5 step 6 until 7 hits 8 cause 9 r c\n",
        "group a% 0 now 1 2 was 3 4 falls 1 low 1 fell 5 step 6 until 7 hits 8 cause 9 r c\n",
        "group a%00 0 now 1 2 was 3 4 falls 1 low 1 fell 5 step 6 until 7 hits 8 cause 9 r c\n",
        ("group a 0 now 1 9999999999999 was 3 4 falls 1 low 1 fell 5 step 6 until 7 hits 8 cause 9 "
         "r c\n"),
        "group a 0 now 1 2 was 3 4 falls 1 low 1 fell 5 step 6 until 7 hits 8 cause 9 r c d\n",
        "\n",
        "group a 0 now 1 2 was 3 4 falls 1 low 1 fell 5 step 6 until 7 hits 8 cause 9 r c",
    };
    struct shape_stored s;
    char text[512];

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(bad); i++) {
        bool begun = false;
        snprintf(text, sizeof(text), "%s%s%s", HEAD, good, bad[i]);
        struct base_span rest = base_span_str(text);
        assert_int_equal(shape_store_get(&s, &rest, &begun, NOW, WALL), 1);
        if (shape_store_get(&s, &rest, &begun, NOW, WALL) != -EINVAL)
            fail_msg("%s", bad[i]);
        assert_int_equal(shape_store_get(&s, &rest, &begun, NOW, WALL), 0);
    }
    struct base_span rest = base_span_str("another thing\ngroup\n");
    bool begun = false;
    assert_int_equal(shape_store_get(&s, &rest, &begun, NOW, WALL), -EINVAL);
    assert_int_equal(shape_store_get(&s, &rest, &begun, NOW, WALL), 0);
    rest = base_span_of(NULL, 0);
    begun = false;
    assert_int_equal(shape_store_get(&s, &rest, &begun, NOW, WALL), 0);
    /* Limits that never fell are none. */
    snprintf(text, sizeof(text),
             "%sgroup a 0 now 1 2 was 3 4 falls 99 low 0 fell 5 step 6 until 7 "
             "hits 8 cause 9 r c\n",
             HEAD);
    s = read_one(base_span_str(text), NOW, WALL);
    assert_int_equal(s.state.now.connections, 0);
    assert_int_equal(s.state.fall_cnt, SHAPE_FALLS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_kept),           cmocka_unit_test(clocks_jump),
        cmocka_unit_test(only_what_matters), cmocka_unit_test(words),
        cmocka_unit_test(damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
