#include "keyop_pool.h"

#include "base_fence.h"
#include "base_lines.h"
#include "keyop_key.h"
#include "tls_memory.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <rte_ring.h>

#define BURST    8    /* taken from one lane before the next has its turn */
#define IDLE_MAX 2000 /* empty looks at the rings, some tens of microseconds, before it sleeps */

struct pool_key {
    struct keyop_key here;    /* for execute, in the lane */
    struct keyop_key there[]; /* by thread */
};

struct worker {
    struct keyop_pool *pool;
    OSSL_LIB_CTX *libctx;
    pthread_t thread;
    bool started;
    uint32_t index;
    int fd; /* eventfd: written when it sleeps */
    /* Written by the worker before and after a sleep, and by the lane that wakes it; each submit
     * reads it. */
    _Atomic uint32_t asleep BASE_CACHE_ALIGNED;
};

/* One lane with one worker: both read it. */
struct link {
    struct rte_ring *to;   /* lane -> worker */
    struct rte_ring *from; /* worker -> lane */
};

/* What the workers read in each look at the rings, and on lines of its own what the lane writes. */
struct lane {
    struct keyop_pool *pool;
    OSSL_LIB_CTX *libctx;
    struct link *links;                        /* by worker */
    uint32_t next BASE_CACHE_ALIGNED;          /* worker to begin with */
    uint32_t under_way[KEYOP_POOL_THREAD_MAX]; /* by worker */
};
base_static_assert(sizeof(struct lane) % BASE_LINE_BYTES == 0 &&
                       offsetof(struct lane, next) == BASE_LINE_BYTES &&
                       sizeof(struct worker) % BASE_LINE_BYTES == 0 &&
                       offsetof(struct worker, asleep) == BASE_LINE_BYTES,
                   "no two lanes write to a line");

struct keyop_pool {
    struct keyop_pool_settings settings;
    struct lane *lanes;
    struct worker *workers;
    _Atomic bool stop;
};

/* ---- the threads ---- */

static uint32_t serve(struct worker *w)
{
    struct keyop_pool *pool = w->pool;
    uint32_t total = 0;

    for (uint32_t i = 0; i < pool->settings.lane_cnt; i++) {
        struct link *link = &pool->lanes[i].links[w->index];
        struct tls_keyop *ops[BURST];
        uint32_t n = rte_ring_sc_dequeue_burst(link->to, (void **)ops, BURST, NULL);
        for (uint32_t j = 0; j < n; j++) {
            struct pool_key *key = ops[j]->key;
            keyop_key_sign(&key->there[w->index], ops[j]);
            /* There is room: no more are under way than the ring holds. */
            base_assert(rte_ring_sp_enqueue(link->from, ops[j]) == 0);
        }
        if (n > 0 && pool->settings.wake != NULL)
            pool->settings.wake(pool->settings.wake_arg, i);
        total += n;
    }
    if (total > 0 && pool->settings.stats != NULL)
        stats_add(&pool->settings.stats[w->index], STATS_TLS_KEYOP_SIGNED, total);
    return total;
}

/* An operation that came before the lane could see the worker asleep is seen by the second look:
 * the fence here and the one in wake_worker are ordered. */
static void sleep_until_woken(struct worker *w)
{
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    uint64_t count;

    atomic_store_explicit(&w->asleep, 1, memory_order_relaxed);
    base_fence(&w->asleep);
    if (serve(w) == 0 && !atomic_load_explicit(&w->pool->stop, memory_order_acquire)) {
        if (w->pool->settings.stats != NULL)
            stats_inc(&w->pool->settings.stats[w->index], STATS_LANE_SLEEPS);
        while (poll(&p, 1, -1) < 0 && errno == EINTR)
            ;
    }
    atomic_store_explicit(&w->asleep, 0, memory_order_relaxed);
    while (read(w->fd, &count, sizeof(count)) < 0 && errno == EINTR)
        ;
}

static void wake_worker(struct worker *w)
{
    static const uint64_t one = 1;

    /* All lanes only read it while the worker is awake: else its line went from core to core in
     * each submit. Of those that find it asleep one wakes it. */
    base_fence(&w->asleep);
    if (atomic_load_explicit(&w->asleep, memory_order_relaxed) == 0 ||
        atomic_exchange_explicit(&w->asleep, 0, memory_order_relaxed) == 0)
        return;
    while (write(w->fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

static void *run(void *arg)
{
    struct worker *w = arg;
    uint32_t idle = 0;

    while (!atomic_load_explicit(&w->pool->stop, memory_order_acquire)) {
        if (serve(w) > 0)
            idle = 0;
        else if (++idle > IDLE_MAX)
            sleep_until_woken(w);
        else
            __builtin_ia32_pause();
    }
    OPENSSL_thread_stop_ex(w->libctx);
    tls_memory_trim();
    return NULL;
}

/* ---- opening and closing ---- */

static struct rte_ring *ring_new(uint32_t entries)
{
    uint32_t cnt = 2;
    struct rte_ring *r;
    ssize_t bytes;

    while (cnt <= entries)
        cnt *= 2;
    bytes = rte_ring_get_memsize(cnt);
    r = bytes > 0 ? base_lines_new((size_t)bytes) : NULL;
    if (r != NULL && rte_ring_init(r, "keyop", cnt, RING_F_SP_ENQ | RING_F_SC_DEQ) == 0)
        return r;
    free(r);
    return NULL;
}

static bool open_lane(struct keyop_pool *pool, uint32_t index)
{
    const struct keyop_pool_settings *s = &pool->settings;
    struct lane *l = &pool->lanes[index];

    l->pool = pool;
    l->libctx = OSSL_LIB_CTX_new();
    l->links = base_lines_new(s->thread_cnt * sizeof(l->links[0]));
    if (l->libctx == NULL || l->links == NULL)
        return false;
    for (uint32_t i = 0; i < s->thread_cnt; i++) {
        struct link *link = &l->links[i];
        link->to = s->to != NULL ? s->to[index * s->thread_cnt + i] : ring_new(s->queue_max);
        link->from = s->from != NULL ? s->from[i * s->lane_cnt + index] : ring_new(s->queue_max);
        if (link->to == NULL || link->from == NULL)
            return false;
        base_assert(rte_ring_get_capacity(link->to) >= s->queue_max &&
                    rte_ring_get_capacity(link->from) >= s->queue_max);
    }
    return true;
}

static bool open_worker(struct keyop_pool *pool, uint32_t index)
{
    struct worker *w = &pool->workers[index];
    cpu_set_t cpus;

    w->pool = pool;
    w->index = index;
    w->libctx = OSSL_LIB_CTX_new();
    w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->libctx == NULL || w->fd < 0 || pthread_create(&w->thread, NULL, run, w) != 0)
        return false;
    w->started = true;
    /* Not the mask of the thread that made it, which may be a lane's core. */
    memset(&cpus, pool->settings.cpus != NULL ? 0 : 0xff, sizeof(cpus));
    if (pool->settings.cpus != NULL)
        CPU_SET(pool->settings.cpus[index], &cpus);
    return pthread_setaffinity_np(w->thread, sizeof(cpus), &cpus) == 0;
}

struct keyop_pool *keyop_pool_open(const struct keyop_pool_settings *s)
{
    struct keyop_pool *pool = calloc(1, sizeof(*pool));

    if (pool == NULL)
        return NULL;
    base_assert(s->lane_cnt > 0 && s->thread_cnt > 0 && s->thread_cnt <= KEYOP_POOL_THREAD_MAX);
    pool->settings = *s;
    pool->lanes = base_lines_new(s->lane_cnt * sizeof(pool->lanes[0]));
    pool->workers = base_lines_new(s->thread_cnt * sizeof(pool->workers[0]));
    if (pool->lanes == NULL || pool->workers == NULL)
        goto failed;
    for (uint32_t i = 0; i < s->thread_cnt; i++)
        pool->workers[i].fd = -1;
    for (uint32_t i = 0; i < s->lane_cnt; i++)
        if (!open_lane(pool, i))
            goto failed;
    for (uint32_t i = 0; i < s->thread_cnt; i++)
        if (!open_worker(pool, i))
            goto failed;
    return pool;
failed:
    keyop_pool_close(pool);
    return NULL;
}

static void close_worker(struct worker *w)
{
    if (w->started) {
        wake_worker(w);
        pthread_join(w->thread, NULL);
    }
    if (w->fd >= 0)
        close(w->fd);
    OSSL_LIB_CTX_free(w->libctx);
}

void keyop_pool_close(struct keyop_pool *pool)
{
    const struct keyop_pool_settings *s = &pool->settings;

    atomic_store_explicit(&pool->stop, true, memory_order_seq_cst);
    for (uint32_t i = 0; pool->workers != NULL && i < s->thread_cnt; i++)
        close_worker(&pool->workers[i]);
    for (uint32_t i = 0; pool->lanes != NULL && i < s->lane_cnt; i++) {
        struct lane *l = &pool->lanes[i];
        for (uint32_t j = 0; l->links != NULL && j < s->thread_cnt; j++) {
            base_assert(l->under_way[j] == 0);
            if (s->to == NULL)
                free(l->links[j].to);
            if (s->from == NULL)
                free(l->links[j].from);
        }
        free(l->links);
        OSSL_LIB_CTX_free(l->libctx);
    }
    free(pool->workers);
    free(pool->lanes);
    free(pool);
}

void *keyop_pool_lane(struct keyop_pool *pool, uint32_t lane)
{
    base_assert(lane < pool->settings.lane_cnt);
    return &pool->lanes[lane];
}

/* ---- a lane's driver ---- */

static void key_close(void *state, void *handle)
{
    struct lane *l = state;
    struct pool_key *key = handle;

    keyop_key_close(&key->here);
    for (uint32_t i = 0; i < l->pool->settings.thread_cnt; i++)
        keyop_key_close(&key->there[i]);
    free(key);
}

static void *key_open(void *state, struct base_span pkcs8)
{
    struct lane *l = state;
    uint32_t cnt = l->pool->settings.thread_cnt;
    struct pool_key *key = calloc(1, sizeof(*key) + cnt * sizeof(key->there[0]));

    if (key == NULL)
        return NULL;
    bool ok = keyop_key_open(&key->here, l->libctx, pkcs8) == 0;
    for (uint32_t i = 0; ok && i < cnt; i++)
        ok = keyop_key_open(&key->there[i], l->pool->workers[i].libctx, pkcs8) == 0;
    if (ok)
        return key;
    key_close(state, key);
    return NULL;
}

/* Each to the worker that has the fewest of this lane's. */
static uint32_t submit(void *state, struct tls_keyop **ops, uint32_t cnt)
{
    struct lane *l = state;
    const struct keyop_pool_settings *s = &l->pool->settings;
    uint64_t touched = 0;
    uint32_t n;

    for (n = 0; n < cnt; n++) {
        uint32_t best = l->next;
        for (uint32_t i = 0; i < s->thread_cnt; i++)
            if (l->under_way[i] < l->under_way[best])
                best = i;
        if (l->under_way[best] >= s->queue_max)
            break;
        base_assert(rte_ring_sp_enqueue(l->links[best].to, ops[n]) == 0);
        l->under_way[best]++;
        l->next = (best + 1) % s->thread_cnt;
        touched |= UINT64_C(1) << best;
    }
    for (uint32_t i = 0; i < s->thread_cnt; i++)
        if (touched & UINT64_C(1) << i)
            wake_worker(&l->pool->workers[i]);
    return n;
}

static uint32_t poll_done(void *state, struct tls_keyop **ops, uint32_t cap)
{
    struct lane *l = state;
    uint32_t n = 0;

    for (uint32_t i = 0; i < l->pool->settings.thread_cnt && n < cap; i++) {
        uint32_t got =
            rte_ring_sc_dequeue_burst(l->links[i].from, (void **)(ops + n), cap - n, NULL);
        l->under_way[i] -= got;
        n += got;
    }
    return n;
}

static void execute(void *state, struct tls_keyop *op)
{
    struct pool_key *key = op->key;

    (void)state;
    keyop_key_sign(&key->here, op);
}

static void leave(void *state)
{
    OPENSSL_thread_stop_ex(((struct lane *)state)->libctx);
}

static bool deferred(void *state)
{
    (void)state;
    return true;
}

const struct tls_keyop_ops keyop_pool_ops = {
    .name = "pool",
    .key_open = key_open,
    .key_close = key_close,
    .submit = submit,
    .poll = poll_done,
    .execute = execute,
    .leave = leave,
    .deferred = deferred,
};
