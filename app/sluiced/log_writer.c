#include "log_writer.h"
#include "base_time.h"
#include "loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <rte_ring.h>

#define IDLE_MS  10  /* between two looks at empty rings */
#define ROOM_MS  100 /* a target that takes nothing is asked again, room or not */
#define RETRY_MS 200 /* one that fails, too */
#define TELL_NS  BASE_NS_S

/* ---- rings ---- */

/* All log rings in the order in which they are written: a lane's record of a message before what
 * the courier tells of it. */
static const struct {
    enum topology_link_id link;
    enum topology_thread of;
} links[] = {
    {TOPOLOGY_LANE_LOG, TOPOLOGY_LANE},         {TOPOLOGY_SPOOLER_LOG, TOPOLOGY_SPOOLER},
    {TOPOLOGY_RESOLVER_LOG, TOPOLOGY_RESOLVER}, {TOPOLOGY_AUTH_LOG, TOPOLOGY_AUTH},
    {TOPOLOGY_CONTROL_LOG, TOPOLOGY_CONTROL},   {TOPOLOGY_COURIER_LOG, TOPOLOGY_COURIER},
};

static uint32_t list_rings(struct log_writer *w, const struct topology *t)
{
    uint32_t n = 0;

    for (size_t i = 0; i < BASE_ARRAY_CNT(links); i++) {
        uint32_t cnt = links[i].of == TOPOLOGY_LANE      ? t->lane_cnt
                       : links[i].of == TOPOLOGY_SPOOLER ? t->spool_cnt
                                                         : 1;
        for (uint32_t j = 0; j < cnt; j++)
            w->ring[n++].ring = topology_ring(t, links[i].link, j);
    }
    return n;
}

/* What there is now. The last ring is looked at first: what was pushed into another one before its
 * records is seen then. */
static void begin_round(struct log_writer *w)
{
    for (uint32_t i = w->ring_cnt; i-- > 0;) {
        w->ring[i].left = stats_log_cells(w->ring[i].ring);
        atomic_thread_fence(memory_order_acquire);
    }
    w->at = 0;
}

static uint32_t gather_round(struct log_writer *w, struct stats_log_record *records)
{
    uint32_t n = 0;

    while (w->at < w->ring_cnt && n < LOG_BATCH_MAX) {
        n += stats_log_pop_cells(w->ring[w->at].ring, records + n, LOG_BATCH_MAX - n,
                                 &w->ring[w->at].left);
        w->at += w->ring[w->at].left == 0;
    }
    return n;
}

/* A batch of what there is. */
static uint32_t gather(struct log_writer *w, struct stats_log_record *records, uint64_t wall_ns)
{
    uint32_t n = gather_round(w, records);

    if (n == 0) {
        begin_round(w);
        n = gather_round(w, records);
    }
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

static bool is_refusal(uint16_t event)
{
    return event == STATS_LOG_REFUSED || event == STATS_LOG_AUTH_FAILED ||
           event == STATS_LOG_TLS_FAILED || event == STATS_LOG_PROXY_REFUSED ||
           event == STATS_LOG_NOT_STORED;
}

static void keep_tail(struct log_writer *w, const struct stats_log_record *records, uint32_t cnt)
{
    pthread_mutex_lock(&w->tail_lock);
    for (uint32_t i = 0; i < cnt; i++) {
        if (stats_log_rows[records[i].event].level <= w->level_now)
            stats_log_copy(&w->tail[w->tail_cnt++ % LOG_TAIL_CNT], &records[i]);
        if (is_refusal(records[i].event))
            stats_log_copy(&w->refusal[w->refusal_cnt++ % LOG_REFUSAL_CNT], &records[i]);
    }
    pthread_mutex_unlock(&w->tail_lock);
}

static void put_tap(struct log_tap *t, const struct stats_log_record *r)
{
    if (t->record == NULL)
        return;
    if (t->put_cnt - t->taken_cnt == t->cap)
        t->missed_cnt++;
    else
        stats_log_copy(&t->record[t->put_cnt++ % t->cap], r);
}

/* Sets aside what somebody follows. Returns how many records are left for the log, in order. */
static uint32_t take_traced(struct log_writer *w, struct stats_log_record *records, uint32_t cnt)
{
    const struct trace *trace = &w->topology->trace;
    uint32_t on = trace_on(trace), left = 0;

    for (uint32_t i = 0; i < cnt; i++) {
        bool traced = records[i].event == STATS_LOG_TRACE;
        uint32_t bits = 0;
        if (traced)
            bits = (uint32_t)records[i].n & on;
        else if (on != 0 && stats_log_kept((enum stats_log_event)records[i].event))
            bits = trace_of_id(trace, records[i].id);
        if (bits != 0) {
            pthread_mutex_lock(&w->tail_lock);
            for (uint32_t k = 0; k < TRACE_CNT; k++)
                if ((bits >> k & 1) != 0)
                    put_tap(&w->tap[k], &records[i]);
            pthread_mutex_unlock(&w->tail_lock);
        }
        if (traced)
            continue;
        if (left != i)
            stats_log_copy(&records[left], &records[i]);
        left++;
    }
    return left;
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
    if (n == 0) {
        log_caught_up(w->log);
        return 0;
    }
    uint32_t left = take_traced(w, records, n);
    keep_tail(w, records, left);
    error = left > 0 ? log_write(w->log, records, left) : 0;
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
    w->ring_cnt = list_rings(w, topology);
    w->at = w->ring_cnt;
    w->told_ns = 0;
    w->tail_cnt = 0;
    w->refusal_cnt = 0;
    w->unwritten_cnt = 0;
    memset(w->told, 0, sizeof(w->told));
    memset(w->tap, 0, sizeof(w->tap));
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

enum stats_log_level log_writer_level(const struct log_writer *w)
{
    return (enum stats_log_level)atomic_load_explicit(&w->level, memory_order_acquire);
}

/* The last of a memory with room for cap, which has had so many. */
static uint32_t copy_last(struct log_writer *w, struct stats_log_record *out, uint32_t cnt,
                          const struct stats_log_record *kept, const uint64_t *had, uint32_t cap)
{
    pthread_mutex_lock(&w->tail_lock);
    uint64_t n = *had < cap ? *had : cap;
    n = n < cnt ? n : cnt;
    for (uint64_t i = 0; i < n; i++)
        out[i] = kept[(*had - n + i) % cap];
    pthread_mutex_unlock(&w->tail_lock);
    return (uint32_t)n;
}

uint32_t log_writer_tail(struct log_writer *w, struct stats_log_record *out, uint32_t cnt)
{
    return copy_last(w, out, cnt, w->tail, &w->tail_cnt, LOG_TAIL_CNT);
}

uint32_t log_writer_refusals(struct log_writer *w, struct stats_log_record *out)
{
    return copy_last(w, out, LOG_REFUSAL_CNT, w->refusal, &w->refusal_cnt, LOG_REFUSAL_CNT);
}

void log_writer_tap(struct log_writer *w, uint32_t wish, struct stats_log_record *record,
                    uint32_t cap)
{
    pthread_mutex_lock(&w->tail_lock);
    w->tap[wish] = (struct log_tap){.record = record, .cap = cap};
    pthread_mutex_unlock(&w->tail_lock);
}

uint32_t log_writer_tapped(struct log_writer *w, uint32_t wish, struct stats_log_record *out,
                           uint32_t cnt, uint64_t *missed)
{
    struct log_tap *t = &w->tap[wish];
    uint32_t n = 0;

    pthread_mutex_lock(&w->tail_lock);
    for (; n < cnt && t->taken_cnt < t->put_cnt; n++)
        out[n] = t->record[t->taken_cnt++ % t->cap];
    *missed += t->missed_cnt;
    t->missed_cnt = 0;
    pthread_mutex_unlock(&w->tail_lock);
    return n;
}

void log_writer_id_format(char out[LOG_ID_CAP], const uint8_t id[16])
{
    base_static_assert(LOG_ID_CAP == SPOOL_ID_TEXT_LEN + 1, "the log prints whole ids");
    struct spool_id i;

    memcpy(i.b, id, sizeof(i.b));
    spool_id_format(out, &i);
}
