#include "log_writer.h"
#include "base_time.h"
#include "loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#define IDLE_MS  10  /* between two looks at empty rings */
#define ROOM_MS  100 /* a target that takes nothing is asked again, room or not */
#define RETRY_MS 200 /* one that fails, too */
#define TELL_NS  BASE_NS_S

/* ---- rings ---- */

static const enum topology_link_id links[] = {TOPOLOGY_CONTROL_LOG,  TOPOLOGY_COURIER_LOG,
                                              TOPOLOGY_RESOLVER_LOG, TOPOLOGY_AUTH_LOG,
                                              TOPOLOGY_SPOOLER_LOG,  TOPOLOGY_LANE_LOG};

static uint32_t ring_cnt(const struct topology *t)
{
    return (uint32_t)BASE_ARRAY_CNT(links) - 2 + t->spool_cnt + t->lane_cnt;
}

/* All log rings in a row, by number. */
static struct rte_ring *ring_of(const struct topology *t, uint32_t number)
{
    uint32_t single = (uint32_t)BASE_ARRAY_CNT(links) - 2;

    if (number < single)
        return topology_ring(t, links[number], 0);
    number -= single;
    return number < t->spool_cnt ? topology_ring(t, TOPOLOGY_SPOOLER_LOG, number)
                                 : topology_ring(t, TOPOLOGY_LANE_LOG, number - t->spool_cnt);
}

/* A batch of what there is, from another ring first each time. */
static uint32_t gather(struct log_writer *w, struct stats_log_record *records, uint64_t wall_ns)
{
    uint32_t n = 0, rings = ring_cnt(w->topology);

    for (uint32_t i = 0; i < rings && n < LOG_BATCH_MAX; i++)
        n += stats_log_pop(ring_of(w->topology, (w->turn + i) % rings), records + n,
                           LOG_BATCH_MAX - n);
    w->turn = (w->turn + 1) % rings;
    for (uint32_t i = 0; i < n; i++)
        if (records[i].wall_ns == 0) /* engines without a clock leave the time open */
            records[i].wall_ns = wall_ns;
    return n;
}

/* What is still there at the end. */
static uint32_t left_kept_cnt(struct log_writer *w)
{
    struct stats_log_record records[LOG_BATCH_MAX];
    uint32_t left = log_pending_kept_cnt(w->log), n;

    while ((n = gather(w, records, 0)) > 0)
        for (uint32_t i = 0; i < n; i++)
            left += stats_log_kept((enum stats_log_event)records[i].event);
    return left;
}

/* ---- losses ---- */

static uint64_t lost_cnt(const struct topology *t, uint32_t event)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < t->stats_cnt; i++)
        sum += atomic_load_explicit(&t->lost[i].cnt[event], memory_order_relaxed);
    return sum;
}

/* Records that tell of what was lost since they were last told of. */
static uint32_t tell(struct log_writer *w, struct stats_log_record *records, uint64_t wall_ns)
{
    uint32_t n = 0;

    for (uint32_t event = 0; event < STATS_LOG_EVENT_CNT && n < LOG_BATCH_MAX; event++) {
        uint64_t cnt = lost_cnt(w->topology, event);
        if (cnt == w->told[event])
            continue;
        records[n] = (struct stats_log_record){
            .wall_ns = wall_ns, .event = STATS_LOG_GAP, .n = cnt - w->told[event]};
        stats_log_text(&records[n++], base_span_str(stats_log_rows[event].name));
        w->told[event] = cnt;
    }
    return n;
}

/* ---- the thread ---- */

static void take_orders(struct log_writer *w)
{
    enum stats_log_level level =
        (enum stats_log_level)atomic_load_explicit(&w->level, memory_order_acquire);
    int fd = atomic_exchange_explicit(&w->fd, -1, memory_order_acq_rel);

    if (level != w->level_now)
        log_set_level(w->log, level);
    w->level_now = level;
    if (fd >= 0)
        log_set_fd(w->log, fd);
}

static void keep_tail(struct log_writer *w, const struct stats_log_record *records, uint32_t cnt)
{
    pthread_mutex_lock(&w->tail_lock);
    for (uint32_t i = 0; i < cnt; i++)
        if (stats_log_rows[records[i].event].level <= w->level_now)
            w->tail[w->tail_cnt++ % LOG_TAIL_CNT] = records[i];
    pthread_mutex_unlock(&w->tail_lock);
}

int log_writer_pass(struct log_writer *w, uint64_t now_ns, uint64_t wall_ns)
{
    struct stats_log_record records[LOG_BATCH_MAX];
    uint32_t n = 0;

    take_orders(w);
    int error = log_pending(w->log) ? log_flush(w->log) : 0;
    if (error != 0)
        return error;
    if (now_ns - w->told_ns >= TELL_NS) {
        n = tell(w, records, wall_ns);
        w->told_ns = now_ns;
    }
    if (n == 0)
        n = gather(w, records, wall_ns);
    if (n == 0)
        return 0;
    keep_tail(w, records, n);
    error = log_write(w->log, records, n);
    return error != 0 ? error : (int)n;
}

static void rest(const struct log_writer *w, int result)
{
    struct pollfd p = {.fd = log_fd(w->log), .events = POLLOUT};

    if (result > 0)
        return;
    if (result == -EAGAIN)
        poll(&p, 1, ROOM_MS);
    else
        usleep((result < 0 ? RETRY_MS : IDLE_MS) * 1000);
}

static void *writer_main(void *arg)
{
    struct log_writer *w = arg;
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    if (w->begin != NULL)
        w->begin();
    for (;;) {
        uint64_t now_ns = loop_now_ns();
        uint64_t stop_ns = atomic_load_explicit(&w->stop_ns, memory_order_acquire);
        if (stop_ns != 0) /* nothing more comes: what was lost is told now */
            w->told_ns = 0;
        int result = log_writer_pass(w, now_ns, loop_wall_ns());
        if (stop_ns != 0 && ((result == 0 && !log_pending(w->log)) || now_ns >= stop_ns))
            break;
        rest(w, result);
    }
    w->unwritten_cnt = left_kept_cnt(w);
    return NULL;
}

/* ---- control's side ---- */

int log_writer_start(struct log_writer *w, struct log *log, enum stats_log_level level,
                     struct topology *topology, void (*begin)(void))
{
    w->begin = begin;
    w->topology = topology;
    w->log = log;
    w->level_now = level;
    w->turn = 0;
    w->told_ns = 0;
    w->tail_cnt = 0;
    w->unwritten_cnt = 0;
    memset(w->told, 0, sizeof(w->told));
    atomic_init(&w->level, (int)level);
    atomic_init(&w->fd, -1);
    atomic_init(&w->stop_ns, 0);
    pthread_mutex_init(&w->tail_lock, NULL);
    int error = pthread_create(&w->pthread, NULL, writer_main, w);
    w->started = error == 0;
    return -error;
}

uint32_t log_writer_stop(struct log_writer *w, uint64_t wait_ns)
{
    if (!w->started)
        return 0;
    atomic_store_explicit(&w->stop_ns, loop_now_ns() + wait_ns, memory_order_release);
    pthread_join(w->pthread, NULL);
    w->started = false;
    int fd = atomic_exchange_explicit(&w->fd, -1, memory_order_acq_rel);
    if (fd >= 0)
        close(fd);
    pthread_mutex_destroy(&w->tail_lock);
    return w->unwritten_cnt;
}

void log_writer_set_level(struct log_writer *w, enum stats_log_level level)
{
    atomic_store_explicit(&w->level, (int)level, memory_order_release);
}

void log_writer_set_fd(struct log_writer *w, int fd)
{
    int old = atomic_exchange_explicit(&w->fd, fd, memory_order_acq_rel);

    if (old >= 0)
        close(old);
}

uint32_t log_writer_tail(struct log_writer *w, struct stats_log_record *out, uint32_t cnt,
                         uint64_t from, uint64_t *first)
{
    pthread_mutex_lock(&w->tail_lock);
    uint64_t end = from < w->tail_cnt ? from : w->tail_cnt;
    uint64_t oldest = w->tail_cnt > LOG_TAIL_CNT ? w->tail_cnt - LOG_TAIL_CNT : 0;
    uint64_t begin = end > cnt ? end - cnt : 0;
    begin = begin > oldest ? begin : oldest;
    uint32_t n = end > begin ? (uint32_t)(end - begin) : 0;
    for (uint32_t i = 0; i < n; i++)
        out[i] = w->tail[(begin + i) % LOG_TAIL_CNT];
    *first = begin;
    pthread_mutex_unlock(&w->tail_lock);
    return n;
}
