/* lib/stats: the table, the counters, and the log's ring between two threads (also under the thread
 * sanitizer). */
#include "unit.h"

#include "stats.h"
#include "stats_log.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

#define RECORDS    64                              /* of the longest */
#define CELLS      (RECORDS * STATS_LOG_CELLS_MAX) /* one less has room */
#define RECORD_CNT 20000

static void test_table(void **state)
{
    (void)state;
    for (int i = 0; i < STATS_CNT; i++) {
        const struct stats_row *row = &stats_rows[i];
        assert_true(row->group[0] != 0 && row->name[0] != 0 && row->unit[0] != 0);
        assert_true(row->help[0] != 0);
        assert_int_equal(strspn(row->name, "abcdefghijklmnopqrstuvwxyz0123456789_"),
                         strlen(row->name));
        for (int j = 0; j < i; j++)
            assert_false(strcmp(row->group, stats_rows[j].group) == 0 &&
                         strcmp(row->name, stats_rows[j].name) == 0);
    }
}

/* A histogram's row likewise; its bounds fit. */
static void test_histogram_table(void **state)
{
    (void)state;
    for (int i = 0; i < STATS_HISTOGRAM_CNT; i++) {
        const struct stats_histogram_row *h = &stats_histogram_rows[i];
        const struct stats_row *row = &h->row;
        assert_true(row->group[0] != 0 && row->name[0] != 0 && row->unit[0] != 0);
        assert_true(row->help[0] != 0 && strpbrk(row->help, "\t\n") == NULL);
        assert_false(stats_is_gauge(row));
        assert_int_equal(strspn(row->name, "abcdefghijklmnopqrstuvwxyz0123456789_"),
                         strlen(row->name));
        assert_true(h->bound_cnt > 0 && h->bound_cnt <= STATS_BOUND_MAX);
        assert_true(h->shift + h->bound_cnt < 64);
        for (int j = 0; j < STATS_CNT; j++)
            assert_false(strcmp(row->group, stats_rows[j].group) == 0 &&
                         strcmp(row->name, stats_rows[j].name) == 0);
    }
}

/* No two rows of a group say the same, and a row that is set and not counted says so by its unit.
 */
static void test_helps(void **state)
{
    (void)state;
    for (int i = 0; i < STATS_CNT; i++) {
        const struct stats_row *row = &stats_rows[i];
        assert_null(strpbrk(row->help, "\t\n"));
        assert_null(strpbrk(row->unit, "\t\n"));
        size_t len = strlen(row->name);
        if (len > 4 && strcmp(row->name + len - 4, "_now") == 0)
            assert_true(stats_is_gauge(row));
        for (int j = 0; j < i; j++)
            if (strcmp(row->group, stats_rows[j].group) == 0 &&
                strcmp(row->help, stats_rows[j].help) == 0)
                fail_msg("%s/%s and %s have one help", row->group, row->name, stats_rows[j].name);
    }
}

/* Each value in the first count whose bound it does not exceed. */
static void test_buckets(void **state)
{
    const struct stats_histogram_row row = {.shift = 3, .bound_cnt = 4}; /* 8 16 32 64 */
    static struct stats_block block;

    (void)state;
    assert_int_equal(stats_bucket(&row, 0), 0);
    assert_int_equal(stats_bucket(&row, 1), 0);
    assert_int_equal(stats_bucket(&row, 8), 0);
    assert_int_equal(stats_bucket(&row, 9), 1);
    assert_int_equal(stats_bucket(&row, 16), 1);
    assert_int_equal(stats_bucket(&row, 17), 2);
    assert_int_equal(stats_bucket(&row, 64), 3);
    assert_int_equal(stats_bucket(&row, 65), 4);
    assert_int_equal(stats_bucket(&row, UINT64_MAX), 4);
    for (uint64_t i = 1; i <= 64; i++)
        stats_record(&block, STATS_HISTOGRAM_LANE_RX_BURST, i);
    const struct stats_histogram *h = &block.h[STATS_HISTOGRAM_LANE_RX_BURST];
    assert_int_equal(h->sum, 64 * 65 / 2);
    assert_int_equal(h->cnt[0], 1);
    assert_int_equal(h->cnt[1], 1);
    assert_int_equal(h->cnt[6], 32);
    assert_int_equal(h->cnt[7], 0);
}

static void test_counters(void **state)
{
    static struct stats_block block;

    (void)state;
    stats_inc(&block, STATS_NET_RX_PACKETS);
    stats_add(&block, STATS_NET_RX_PACKETS, 41);
    stats_set(&block, STATS_NET_RX_BYTES, 7);
    assert_int_equal(stats_get(&block, STATS_NET_RX_PACKETS), 42);
    assert_int_equal(stats_get(&block, STATS_NET_RX_BYTES), 7);
    assert_int_equal(stats_get(&block, STATS_NET_TX_PACKETS), 0);
}

/* Each event's format asks only for what a record has. */
static void test_log_formats(void **state)
{
    (void)state;
    for (int i = 0; i < STATS_LOG_EVENT_CNT; i++)
        for (const char *f = stats_log_rows[i].format; (f = strchr(f, '%')) != NULL; f++) {
            if (f[1] == '{') {
                f = strchr(f, '}');
                assert_non_null(f);
            }
            assert_true(f[1] != 0 && strchr("ianmestuvwxyz", f[1]) != NULL);
        }
}

/* A ring in memory of its own: no EAL. */
static struct rte_ring *new_ring(void)
{
    ssize_t bytes = rte_ring_get_memsize_elem(STATS_LOG_CELL_BYTES, CELLS);
    assert_true(bytes > 0);
    struct rte_ring *ring = aligned_alloc(64, ((size_t)bytes + 63) & ~(size_t)63);
    assert_non_null(ring);
    assert_int_equal(rte_ring_init(ring, "log", CELLS, RING_F_SP_ENQ | RING_F_SC_DEQ), 0);
    return ring;
}

/* Text of a record, and whether it has more parts than the first. */
static void fill(struct stats_log_record *r, enum stats_log_event event, uint64_t n, size_t len,
                 bool parts)
{
    uint8_t text[STATS_LOG_TEXT_CAP];

    for (size_t i = 0; i < len; i++)
        text[i] = (uint8_t)(n + i);
    stats_log_begin(r, event, 1);
    r->n = n;
    r->m = ~(uint32_t)n;
    stats_log_text(r, base_span_of(text, parts ? len / 2 : len));
    if (parts)
        stats_log_part(r, 2, base_span_of(text + len / 2, len - len / 2), len);
}

static void assert_filled(const struct stats_log_record *r)
{
    assert_true(r->m == ~(uint32_t)r->n);
    for (size_t i = 0; i < r->text_len; i++)
        assert_true(r->text[i] == (uint8_t)(r->n + i));
}

static void push_len(struct stats_log *log, enum stats_log_event event, uint64_t n, size_t len,
                     bool parts)
{
    struct stats_log_record r;

    fill(&r, event, n, len, parts);
    stats_log_push(log, &r);
}

static void push(struct stats_log *log, enum stats_log_event event, uint64_t n)
{
    push_len(log, event, n, STATS_LOG_TEXT_CAP, true);
}

/* A record takes the cells that its text needs, wherever in the ring it begins, and comes out as it
 * went in. */
static void test_log_cells(void **state)
{
    static const struct {
        uint16_t len;
        bool parts;
        uint32_t cells;
    } row[] = {
        {0, false, 1},   {1, false, 2},   {64, false, 2},  {65, false, 3}, {128, false, 3},
        {129, false, 4}, {384, false, 7}, {385, false, 8}, {0, true, 2},   {48, true, 2},
        {49, true, 3},   {112, true, 3},  {113, true, 4},  {432, true, 8}, {432, false, 8},
    };
    static struct stats_block block;
    struct stats_log log = {.ring = new_ring(), .stats = &block, .thread = 7};
    struct stats_log_record in, out[2];
    uint32_t begins = 0;

    (void)state;
    base_static_assert(STATS_LOG_TEXT_CAP == 432, "the rows with the longest text");
    for (uint32_t turn = 0; turn < CELLS; turn++)
        for (size_t i = 0; i < BASE_ARRAY_CNT(row); i++) {
            fill(&in, STATS_LOG_NOTE, turn + i, row[i].len, row[i].parts);
            in.cut = i == 4; /* which is told behind the first cell */
            stats_log_push(&log, &in);
            uint32_t cells = row[i].cells + (i == 4);
            assert_int_equal(stats_log_cells(log.ring), cells);
            assert_int_equal(stats_log_pop(log.ring, out, 2), 1);
            assert_memory_equal(&out[0], &in,
                                offsetof(struct stats_log_record, text) + in.text_len);
            assert_int_equal(out[0].thread, 7);
            assert_int_equal(stats_log_cells(log.ring), 0);
            begins += cells;
        }
    assert_true(begins > 8 * CELLS);
    assert_int_equal(stats_get(&block, STATS_LOG_DROPPED), 0);
    free(log.ring);
}

/* What came after the reader has looked is not taken; no more than there is room for either. */
static void test_log_pop(void **state)
{
    static struct stats_block block;
    struct stats_log log = {.ring = new_ring(), .stats = &block};
    struct stats_log_record out[8];

    (void)state;
    for (uint32_t i = 0; i < 5; i++)
        push_len(&log, STATS_LOG_NOTE, i, 100 * i, false);
    uint32_t cells = stats_log_cells(log.ring);
    push(&log, STATS_LOG_NOTE, 5);
    assert_int_equal(stats_log_pop_cells(log.ring, out, 2, &cells), 2);
    assert_int_equal(out[1].n, 1);
    assert_int_equal(stats_log_pop_cells(log.ring, out, 8, &cells), 3);
    assert_int_equal(out[2].n, 4);
    assert_int_equal(cells, 0);
    assert_int_equal(stats_log_pop_cells(log.ring, out, 8, &cells), 0);
    assert_int_equal(stats_log_pop(log.ring, out, 8), 1);
    assert_filled(&out[0]);
    free(log.ring);
}

/* The last quarter is for what may not be lost; the rest is counted by event. */
static void test_log_full(void **state)
{
    static struct stats_block block;
    static struct stats_log_lost lost;
    static struct stats_log_record out[CELLS];
    struct stats_log log = {.ring = new_ring(), .stats = &block, .lost = &lost, .thread = 3};
    const uint64_t cells = CELLS - 1, spare = cells / 4;
    const uint64_t others = (cells - spare) / STATS_LOG_CELLS_MAX;

    (void)state;
    for (uint64_t i = 0; i < RECORDS; i++)
        push(&log, STATS_LOG_WARNING, i);
    assert_int_equal(stats_get(&block, STATS_LOG_DROPPED), RECORDS - others);
    assert_int_equal(lost.cnt[STATS_LOG_WARNING], RECORDS - others);
    for (uint64_t i = others; i < RECORDS - 1; i++)
        push(&log, STATS_LOG_ACCEPTED, i);
    assert_int_equal(stats_get(&block, STATS_LOG_DROPPED), RECORDS - others);
    assert_false(stats_log_reserve(&log, 1));
    for (uint64_t i = RECORDS - 1; i < RECORDS + 6; i++) /* a short one has room still */
        push_len(&log, STATS_LOG_ACCEPTED, i, 0, false);
    assert_int_equal(stats_get(&block, STATS_LOG_DROPPED), RECORDS - others);
    push_len(&log, STATS_LOG_ACCEPTED, 0, 0, false);
    assert_int_equal(lost.cnt[STATS_LOG_ACCEPTED], 1);
    assert_int_equal(stats_log_pop(log.ring, out, CELLS), RECORDS + 6);
    for (uint64_t i = 0; i < RECORDS + 6; i++) {
        assert_int_equal(out[i].n, i);
        assert_int_equal(out[i].thread, 3);
        assert_int_equal(out[i].text_len, i < RECORDS - 1 ? STATS_LOG_TEXT_CAP : 0);
        assert_filled(&out[i]);
    }
    assert_int_equal(stats_log_pop(log.ring, out, CELLS), 0);
    free(log.ring);
    log.ring = NULL;
    push(&log, STATS_LOG_ACCEPTED, 0);
    assert_true(stats_log_reserve(&log, 1));
    stats_log_unreserve(&log, 1);
    assert_int_equal(lost.cnt[STATS_LOG_ACCEPTED], 1);
}

/* Places that are reserved are there when they are needed, however long the records are and
 * whatever else is pushed. */
static void test_log_reserved(void **state)
{
    static struct stats_block block;
    static struct stats_log_record out[CELLS];
    struct stats_log log = {.ring = new_ring(), .stats = &block};
    struct stats_log_record r;
    uint32_t cnt = 0;

    (void)state;
    assert_int_equal(stats_log_room(&log), RECORDS - 1);
    while (stats_log_reserve(&log, 2))
        cnt += 2;
    while (stats_log_reserve(&log, 1))
        cnt++;
    assert_int_equal(cnt, RECORDS - 1);
    assert_int_equal(stats_log_room(&log), 0);
    push_len(&log, STATS_LOG_NOTE, 1, 0, false);
    assert_int_equal(stats_get(&block, STATS_LOG_DROPPED), 1);
    for (uint32_t i = 0; i < cnt; i++) {
        fill(&r, i % 2 ? STATS_LOG_ACCEPTED : STATS_LOG_NOT_STORED, i, STATS_LOG_TEXT_CAP, true);
        stats_log_push_reserved(&log, &r);
    }
    assert_int_equal(stats_get(&block, STATS_LOG_DROPPED), 1);
    assert_int_equal(stats_log_pop(log.ring, out, CELLS), RECORDS - 1);
    assert_true(stats_log_reserve(&log, 1));
    stats_log_unreserve(&log, 1);
    free(log.ring);
}

/* What finds no room waits, in order, and others do not overtake it. */
static void test_log_waits(void **state)
{
    static struct stats_block block;
    static struct stats_log_record out[RECORDS];
    struct stats_log log = {.ring = new_ring(), .stats = &block, .keep = true};
    uint64_t pushed = 0, popped = 0;

    (void)state;
    for (; pushed < 500; pushed++)
        push(&log, STATS_LOG_DELIVERED, pushed);
    assert_int_equal(log.cnt, 500 - (RECORDS - 1));
    push_len(&log, STATS_LOG_DELIVERED, pushed++, 0, false); /* has room, and may not pass */
    assert_int_equal(log.cnt, 501 - (RECORDS - 1));
    while (popped < 2000) {
        uint32_t n = stats_log_pop(log.ring, out, (uint32_t)(popped % 7 + 1));
        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(out[i].n, popped++);
        for (uint32_t i = 0; i < 3 && pushed < 2000; i++, pushed++)
            push_len(&log, STATS_LOG_DELIVERED, pushed, pushed % STATS_LOG_TEXT_CAP, i == 0);
        stats_log_flush(&log);
    }
    assert_false(stats_log_waits(&log));
    assert_int_equal(stats_get(&block, STATS_LOG_DROPPED), 0);
    stats_log_free(&log);
    free(log.ring);
}

static void test_log_parts(void **state)
{
    struct stats_log_record r;
    char text[STATS_LOG_TEXT_CAP];

    (void)state;
    memset(text, 'x', sizeof(text));
    stats_log_begin(&r, STATS_LOG_DELIVERED, 1);
    stats_log_text(&r, base_span_str("first"));
    stats_log_part(&r, 1, base_span_str(""), 10);
    stats_log_part(&r, 3, base_span_str("third part"), 5);
    assert_true(base_span_eq(stats_log_part_of(&r, 0), base_span_str("first")));
    assert_non_null(stats_log_part_of(&r, 1).p);
    assert_int_equal(stats_log_part_of(&r, 1).len, 0);
    assert_null(stats_log_part_of(&r, 2).p);
    assert_true(base_span_eq(stats_log_part_of(&r, 3), base_span_str("third")));
    assert_true(r.cut);
    stats_log_part(&r, 5, base_span_of(text, sizeof(text)), sizeof(text));
    assert_int_equal(stats_log_part_of(&r, 5).len, STATS_LOG_TEXT_CAP - 10);
    assert_int_equal(r.text_len, STATS_LOG_TEXT_CAP);
}

static void test_log_text_is_cut(void **state)
{
    struct stats_log_record r = {0};
    char text[STATS_LOG_TEXT_CAP + 10];

    (void)state;
    memset(text, 'x', sizeof(text));
    stats_log_text(&r, base_span_of(text, sizeof(text)));
    assert_int_equal(r.text_len, STATS_LOG_TEXT_CAP);
}

static void *produce(void *arg)
{
    struct stats_log *log = arg;

    for (uint64_t i = 0; i < RECORD_CNT; i++) {
        push_len(log, STATS_LOG_NOTE, i, i * 37 % (STATS_LOG_TEXT_CAP + 1), i % 3 == 0);
        stats_inc(log->stats, STATS_NET_TX_PACKETS);
        if (i % RECORDS == 0)
            sched_yield();
    }
    return NULL;
}

/* Every record comes out whole, in order, or is counted as dropped. */
static void test_log_threads(void **state)
{
    static struct stats_block block;
    struct stats_log log = {.ring = new_ring(), .stats = &block, .thread = 1};
    struct stats_log_record out[16];
    pthread_t producer;
    uint64_t next = 0, popped = 0;
    bool over = false;

    (void)state;
    assert_int_equal(pthread_create(&producer, NULL, produce, &log), 0);
    for (;;) {
        uint32_t n = stats_log_pop(log.ring, out, 16);
        for (uint32_t i = 0; i < n; i++) {
            assert_true(out[i].n >= next);
            next = out[i].n + 1;
            assert_int_equal(out[i].text_len, out[i].n * 37 % (STATS_LOG_TEXT_CAP + 1));
            assert_int_equal(stats_log_part_of(&out[i], 2).p != NULL, out[i].n % 3 == 0);
            assert_filled(&out[i]);
        }
        popped += n;
        if (n == 0 && over)
            break;
        if (n == 0)
            sched_yield();
        over = stats_get(&block, STATS_NET_TX_PACKETS) == RECORD_CNT;
    }
    assert_int_equal(pthread_join(producer, NULL), 0);
    for (uint32_t n; (n = stats_log_pop(log.ring, out, 16)) > 0;)
        popped += n;
    assert_int_equal(popped + stats_get(&block, STATS_LOG_DROPPED), RECORD_CNT);
    assert_true(popped > 0);
    free(log.ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_cells),       cmocka_unit_test(test_log_pop),
        cmocka_unit_test(test_log_reserved),    cmocka_unit_test(test_log_waits),
        cmocka_unit_test(test_log_parts),       cmocka_unit_test(test_table),
        cmocka_unit_test(test_histogram_table), cmocka_unit_test(test_helps),
        cmocka_unit_test(test_buckets),         cmocka_unit_test(test_counters),
        cmocka_unit_test(test_log_formats),     cmocka_unit_test(test_log_full),
        cmocka_unit_test(test_log_text_is_cut), cmocka_unit_test(test_log_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
