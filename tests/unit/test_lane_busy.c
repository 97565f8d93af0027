/* When a lane turns away who connects, and when it no longer does. */
#include "unit.h"

#include "base_time.h"
#include "conn.h"
#include "lane.h"
#include "settings.h"

#include <stdlib.h>
#include <string.h>

#define BUFFERS 2048
#define ROOM    (BUFFERS / 4) /* for messages under way */
#define MANY    (BUFFERS / 8 * 3 + 1)
#define ENDED   (BUFFERS / 16 + 1)
#define BURST   LANE_BURST

static const char waits[] = "busy: frames wait", shortage[] = "busy: few spool buffers are left",
                  full[] = "busy: no room for another message";
static struct lane *lane;
static struct stats_block stats;

static int setup(void **state)
{
    (void)state;
    lane = calloc(1, sizeof(*lane));
    assert_non_null(lane);
    memset(&stats, 0, sizeof(stats));
    lane->stats = &stats;
    lane->bufs.buf_cnt = BUFFERS;
    lane->bufs.free_cnt = BUFFERS;
    lane->now_ns = 1000 * BASE_NS_S;
    lane->busy.pass_ns = lane->now_ns;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(lane);
    return 0;
}

/* Passes that find the same, each so long after the last one. */
struct load {
    const char *what;
    uint32_t pass_cnt;
    uint64_t gap_ns;
    uint32_t frames, messages, commits, free_cnt;
    const char *why; /* behind the last pass */
};

static void pass(const struct load *load)
{
    lane->now_ns += load->gap_ns;
    lane->transaction_cnt = load->messages;
    lane->commit_cnt = load->commits;
    lane->bufs.free_cnt = load->free_cnt;
    lane_busy_burst(&lane->busy, load->frames);
    lane_busy_burst(&lane->busy, 0); /* another port, which has nothing */
    lane_busy_pass(lane);
}

static void play(const struct load *load)
{
    for (uint32_t i = 0; i < load->pass_cnt; i++)
        pass(load);
    if (load->why == NULL ? lane->busy.why != NULL
                          : lane->busy.why == NULL || strcmp(lane->busy.why, load->why) != 0)
        fail_msg("%s: %s", load->what, lane->busy.why != NULL ? lane->busy.why : "not busy");
    assert_int_equal(stats_get(&stats, STATS_CONN_BUSY), load->why != NULL);
    /* A lane that sleeps looks often enough. */
    uint64_t next_ns = lane_busy_deadline(lane);
    if (load->free_cnt < BUFFERS / 4)
        assert_in_range(next_ns, lane->now_ns + 1, lane->now_ns + LANE_BUSY_LOOK_NS);
    else if (load->free_cnt >= BUFFERS / 8 * 3)
        assert_true(!lane->busy.waited ? next_ns == BASE_NS_NONE
                                       : next_ns == lane->now_ns + lane->busy.waits_ns);
}

#define US UINT64_C(1000)

/* Each on a lane that has done nothing yet. */
static void test_table(void **state)
{
    static const struct load table[] = {
        {"nothing to do", 100000, 50 * US, 0, 0, 0, BUFFERS, NULL},
        {"frames wait for 20 ms", 401, 50 * US, BURST, MANY, 0, 1900, waits},
        {"messages that wait for the disk count", 401, 50 * US, BURST, 0, MANY, 1900, waits},
        {"both together", 401, 50 * US, BURST, MANY / 2, MANY / 2 + 1, 1900, waits},
        {"not yet 20 ms", 399, 50 * US, BURST, MANY / 2, MANY / 2 + 1, 1900, NULL},
        {"bursts that are not whole", 100000, 50 * US, BURST - 1, MANY, 0, 1900, NULL},
        {"a flood without mail", 100000, 50 * US, BURST, 0, 0, BUFFERS, NULL},
        {"a few large messages", 100000, 50 * US, BURST, ROOM - 1, 0, 1000, NULL},
        {"the core was lost for a second", 1, BASE_NS_S, BURST, MANY - 2, 9, 1900, NULL},
        {"again and again", 19, BASE_NS_S, BURST, ROOM - 1, 2, 1900, NULL},
        {"no room, but nothing waits", 100000, 50 * US, BURST - 1, ROOM, 0, 1900, NULL},
        {"no room, and frames wait", 401, 50 * US, BURST, ROOM, 0, 1900, full},
        {"no room, and a burst", 399, 50 * US, BURST, ROOM, 0, 1900, NULL},
        {"room for one more", 399, 50 * US, BURST, ROOM - 1, 300, 1900, NULL},
        {"passes that take long, as many", 20, 5 * BASE_NS_MS, BURST, MANY, 0, 1900, waits},
        {"buffers are short for a second", 1001, BASE_NS_MS, 0, 0, ENDED, 500, shortage},
        {"both", 1001, BASE_NS_MS, BURST, 0, MANY, 500, shortage},
        {"and the lane sleeps", 21, 50 * BASE_NS_MS, 0, 0, ENDED, 500, shortage},
        {"the machine stood still, the disk waits", 9, BASE_NS_S, 0, 0, ENDED, 500, NULL},
        {"the disk pauses for less", 998, BASE_NS_MS, 0, 0, ENDED, 500, NULL},
        {"a quarter is free", 100000, BASE_NS_MS, 0, 0, ENDED, 512, NULL},
        {"clients fall silent in the middle", 100000, BASE_NS_MS, 0, ROOM, 8, 100, NULL},
        {"a few large messages on a slow disk", 100000, BASE_NS_MS, 0, 8, 8, 260, NULL},
        {"the machine stood still", 2, 3600 * BASE_NS_S, BURST, MANY - 2, 9, 100, NULL},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        setup(state);
        play(&table[i]);
        assert_int_equal(stats_get(&stats, STATS_CONN_BUSY_BEGUN), table[i].why != NULL);
        teardown(state);
    }
}

/* One behind the other. */
static void test_turns(void **state)
{
    static const struct load turns[] = {
        {"frames wait", 1000, 50 * US, BURST, MANY, 0, 1900, waits},
        {"fewer messages, but not much", 1, 50 * US, BURST, 0, 576 + 1, 1900, waits},
        {"a quarter less", 1, 50 * US, BURST, 0, 576, 1900, NULL},
        {"more, but not many", 100, 50 * US, BURST, ROOM - 1, 1, 1900, NULL},
        {"many again, frames still wait", 1, 50 * US, BURST, MANY, 0, 1900, waits},
        {"the port is empty for a while", 799, 50 * US, BURST - 1, MANY, 0, 1900, waits},
        {"and for as long as it was full", 1, 50 * US, BURST - 1, MANY, 0, 1900, NULL},
        {"from anew", 399, 50 * US, BURST, ROOM - 1, MANY - ROOM + 1, 1900, NULL},
        {"20 ms", 2, 50 * US, BURST, ROOM - 1, MANY - ROOM + 1, 1900, waits},
        {"the lane sleeps", 1, 100 * BASE_NS_MS, 0, ROOM - 1, MANY - ROOM + 1, 1900, NULL},
        {"buffers too", 1001, BASE_NS_MS, BURST, 0, MANY, 511, shortage},
        {"more than a quarter is free", 40, BASE_NS_MS, 0, 0, MANY, 767, shortage},
        {"three eighths", 1, BASE_NS_MS, 0, 0, MANY, 768, NULL},
        {"less, not yet short", 2000, BASE_NS_MS, 0, 0, MANY, 512, NULL},
        {"nothing", 1, BASE_NS_MS, 0, 0, 0, BUFFERS, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++)
        play(&turns[i]);
    assert_int_equal(stats_get(&stats, STATS_CONN_BUSY_BEGUN), 4);
}

/* Who was let in counts until it begins a message, ends, or was in for some time, as far as others
 * did bring mail. */
static void test_let_in(void **state)
{
    static const struct load
        waiting = {"frames wait", 401, 50 * US, BURST, 0, 0, 1900, NULL},
        flood = {"none of them brings mail", 1, 50 * US, BURST, 0, 0, 1900, NULL},
        settled = {"they have begun", 1, 50 * US, BURST, 0, 0, 1900, NULL},
        again = {"again", 1, 50 * US, BURST, 0, 0, 1900, waits},
        later = {"one slot later", 1, LANE_BUSY_YOUNG_NS, BURST, 0, 0, 1900, waits},
        aged = {"and three", 3, LANE_BUSY_YOUNG_NS, BURST, 0, 0, 1900, NULL},
        forgotten = {"long ago", 1, 10 * BASE_NS_S, 0, 0, 0, 1900, NULL};
    const uint32_t cnt = 2 * MANY + 16;
    struct conn *c = calloc(cnt, sizeof(*c));

    (void)state;
    assert_non_null(c);
    for (uint32_t i = 0; i < cnt; i++)
        c[i].lane = lane;
    play(&waiting);
    for (uint32_t i = 0; i < cnt; i++)
        lane_busy_admit(&c[i]);
    play(&flood);
    for (uint32_t i = 0; i < cnt; i++)
        lane_busy_settle(&c[i], false);
    play(&forgotten);
    play(&waiting);
    for (uint32_t i = 0; i < cnt; i++) {
        lane_busy_admit(&c[i]);
        lane_busy_settle(&c[i], true);
        lane_busy_settle(&c[i], true); /* a second message */
        lane_busy_settle(&c[i], false);
    }
    play(&settled);
    for (uint32_t i = 0; i < cnt; i++) /* half of all have begun: as many are counted */
        lane_busy_admit(&c[i]);
    play(&again);
    play(&later);
    play(&aged);
    for (uint32_t i = 0; i < cnt; i++) /* young no more: nobody else's place is given back */
        lane_busy_settle(&c[i], false);
    assert_int_equal(lane->busy.young_cnt, 0);
    free(c);
}

/* Servers come again; a user would see an error. */
static void test_listeners(void **state)
{
    static const struct load busy = {"", 1000, 50 * US, BURST, MANY, 0, 1900, waits};
    static const struct {
        enum conf_kind kind;
        bool refused;
    } table[] = {
        {CONF_KIND_MX, true}, {CONF_KIND_SUBMISSION, false}, {CONF_KIND_SUBMISSIONS, false}};

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct conf_listener conf = {.kind = table[i].kind};
        struct settings_listener listener = {.conf = &conf};
        struct conn *c = calloc(1, sizeof(*c));
        assert_non_null(c);
        c->lane = lane;
        c->listener = &listener;
        lane->busy = (struct lane_busy){0};
        assert_null(lane_busy_refuses(c));
        play(&busy);
        assert_int_equal(lane_busy_refuses(c) != NULL, table[i].refused);
        free(c);
    }
    assert_int_equal(stats_get(&stats, STATS_CONN_REFUSED_BUSY), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test_setup_teardown(test_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_let_in, setup, teardown),
        cmocka_unit_test_setup_teardown(test_listeners, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
