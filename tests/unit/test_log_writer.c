/*
 * The log's writer as a thread, beside a lane and a courier that make records as fast as they can
 * and a reader that is slow (also under the thread sanitizer): nothing that may not be lost is,
 * each thread's records come in their order, a lane's record of a message before the courier's, and
 * what was lost is told of, to the last line.
 */
#include "unit.h"

#include "dpdk_eal.h"
#include "log_writer.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MESSAGES 6000

static struct topology t;
static struct log_writer writer;
static _Atomic uint64_t told; /* messages that the lane has told of: the courier follows */
static char *text;            /* all that the reader has got */
static size_t text_len;

static void push(struct stats_log *log, enum stats_log_event event, uint64_t n, bool reserved)
{
    struct stats_log_record r;

    stats_log_begin(&r, event, 1);
    r.n = n;
    if (reserved)
        stats_log_push_reserved(log, &r);
    else
        stats_log_push(log, &r);
}

static void *lane_main(void *arg)
{
    struct stats_log log = topology_log(&t, TOPOLOGY_LANE, 0);

    (void)arg;
    log.unattended = false; /* the map is of a simulation, which has no bells */
    for (uint64_t i = 0; i < MESSAGES;) {
        push(&log, STATS_LOG_CONNECT, i, false);
        if (!stats_log_reserve(&log, 1)) {
            sched_yield();
            continue;
        }
        push(&log, STATS_LOG_ACCEPTED, i++, true);
        atomic_store_explicit(&told, i, memory_order_release);
    }
    return NULL;
}

static void *courier_main(void *arg)
{
    struct stats_log log = topology_log(&t, TOPOLOGY_COURIER, 0);

    (void)arg;
    log.unattended = false;
    log.keep = true;
    for (uint64_t i = 0; i < MESSAGES || stats_log_waits(&log);) {
        stats_log_flush(&log);
        if (i == MESSAGES || atomic_load_explicit(&told, memory_order_acquire) <= i) {
            sched_yield();
            continue;
        }
        push(&log, STATS_LOG_DELIVERED, i, false);
        push(&log, STATS_LOG_BOUNCED, i++, false);
    }
    stats_log_free(&log);
    return NULL;
}

static void *reader_main(void *arg)
{
    const int *fd = arg;
    size_t cap = 32 << 20;

    text = malloc(cap);
    assert_non_null(text);
    for (ssize_t n;
         (n = read(*fd, text + text_len, 4096 < cap - text_len ? 4096 : cap - text_len)) > 0;
         text_len += (size_t)n)
        sched_yield();
    return NULL;
}

/* What a line says, one after the other. */
struct seen {
    uint64_t accepted, delivered, bounced, connects, lost;
};

static void look(struct seen *s, const char *line)
{
    unsigned long long n;

    if (sscanf(line, "%*s %*s accepted id=- client=- bytes=%llu", &n) == 1) {
        assert_int_equal(n, s->accepted++);
    } else if (sscanf(line, "%*s %*s delivered id=- relay=- code=%llu", &n) == 1) {
        assert_int_equal(n, s->delivered++);
        assert_true(s->accepted > n);
    } else if (sscanf(line, "%*s %*s bounced id=- recipients=%llu", &n) == 1) {
        assert_int_equal(n, s->bounced++);
        assert_int_equal(s->delivered, s->bounced);
    } else if (sscanf(line, "%*s %*s lost lines=%llu kind=connect", &n) == 1) {
        s->lost += n;
    } else {
        assert_int_equal(sscanf(line, "%*s %*s connect client=- lane=%llu", &n), 1);
        s->connects++;
    }
}

static void test_threads(void **state)
{
    struct log_config config = {.level = STATS_LOG_INFO,
                                .keep = true,
                                .style = {.ident = "", .id_format = log_writer_id_format}};
    static struct stats_log_record tail[LOG_TAIL_CNT];
    pthread_t reader, lane, courier;
    struct seen seen = {0};
    struct log *log;
    int ends[2];

    (void)state;
    assert_int_equal(topology_init(&t, 1, 1, "lw", true), 0);
    config.stats = topology_stats(&t, TOPOLOGY_LOG, 0);
    config.lost = &t.lost[config.stats - t.stats];
    assert_int_equal(log_open(&log, &config), 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    log_set_fd(log, ends[1]);
    assert_int_equal(log_writer_start(&writer, log, STATS_LOG_INFO, &t, NULL), 0);
    assert_int_equal(pthread_create(&reader, NULL, reader_main, &ends[0]), 0);
    assert_int_equal(pthread_create(&courier, NULL, courier_main, NULL), 0);
    assert_int_equal(pthread_create(&lane, NULL, lane_main, NULL), 0);
    for (int i = 0; i < 200; i++) {
        assert_true(log_writer_tail(&writer, tail, LOG_TAIL_CNT) <= LOG_TAIL_CNT);
        sched_yield();
    }
    pthread_join(lane, NULL);
    pthread_join(courier, NULL);
    assert_int_equal(log_writer_stop(&writer, 60 * UINT64_C(1000000000)), 0);
    log_close(log);
    pthread_join(reader, NULL);
    close(ends[0]);
    for (char *p = text, *end; p < text + text_len; p = end + 1) {
        end = memchr(p, '\n', (size_t)(text + text_len - p));
        assert_non_null(end);
        *end = 0;
        look(&seen, p);
    }
    assert_int_equal(seen.accepted, MESSAGES);
    assert_int_equal(seen.delivered, MESSAGES);
    assert_int_equal(seen.bounced, MESSAGES);
    assert_true(seen.connects > 0 && seen.connects + seen.lost >= MESSAGES);
    assert_int_equal(seen.lost, stats_get(topology_stats(&t, TOPOLOGY_LANE, 0), STATS_LOG_DROPPED));
    free(text);
    topology_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};

    dpdk_eal_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
