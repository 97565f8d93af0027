#include "lane.h"

#include "base_time.h"
#include "flood.h"
#include "mode.h"
#include "session.h"
#include "sockets.h"
#include "stack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define START_MAX   64                /* connections a pass */
#define WAIT_MAX_NS (50 * BASE_NS_MS) /* that a stop may take to be seen */

const char *const lane_counter_names[LANE_COUNTER_CNT] = {
    [LANE_STARTED] = "started",
    [LANE_CONNECTIONS] = "connections",
    [LANE_UNITS] = "units",
    [LANE_BYTES] = "bytes",
    [LANE_FLOOD_SENT] = "flood_sent",
    [LANE_FLOOD_FULL] = "flood_port_full",
    [LANE_FLOOD_NO_MBUF] = "flood_no_buffer",
    [LANE_FLOOD_ARP] = "flood_arp",
    [LANE_FAIL_NO_PORT] = "failed_no_port",
    [LANE_FAIL_REFUSED] = "failed_refused",
    [LANE_FAIL_RESET] = "failed_reset",
    [LANE_FAIL_TIMEOUT] = "failed_timeout",
    [LANE_FAIL_UNREACHABLE] = "failed_unreachable",
    [LANE_FAIL_NO_BUFFERS] = "failed_no_buffers",
    [LANE_FAIL_SILENT] = "failed_silent",
    [LANE_FAIL_CLOSED] = "failed_closed",
    [LANE_FAIL_REPLY] = "failed_reply",
    [LANE_FAIL_UNFINISHED] = "failed_unfinished",
    [LANE_REFUSED_4XX] = "refused_4xx",
    [LANE_REFUSED_5XX] = "refused_5xx",
};

/* ---- start and end ---- */

/* A share of n for this lane; the first lanes take what is left over. */
static uint64_t share(const struct lane *l, uint64_t n)
{
    return n / l->options->lane_cnt + (l->number < n % l->options->lane_cnt ? 1 : 0);
}

struct net_addr lane_address(const struct lane *l, uint32_t i)
{
    return options_from(l->options, l->stack != NULL ? l->number + i * l->options->lane_cnt : i);
}

static void *zeroed(size_t bytes)
{
    size_t whole = (bytes + 63) & ~(size_t)63;
    void *p = aligned_alloc(64, whole);

    return p != NULL ? memset(p, 0, whole) : NULL;
}

struct lane *lane_new(const struct options *o, uint32_t number)
{
    struct lane *l = zeroed(sizeof(struct lane));

    if (l == NULL)
        return NULL;
    l->options = o;
    l->number = number;
    l->session_max = (uint32_t)share(l, o->connection_cnt);
    l->address_cnt = o->from_cnt;
    if (o->kernel) {
        l->link = &link_kernel;
        l->sockets = zeroed(sizeof(struct sockets));
    } else {
        l->link = &link_stack;
        l->stack = zeroed(sizeof(struct stack));
        l->address_cnt = (uint32_t)share(l, o->from_cnt);
    }
    if (l->stack != NULL || l->sockets != NULL)
        return l;
    lane_free(l);
    return NULL;
}

int lane_open(struct lane *l)
{
    int error = l->stack != NULL ? stack_open(l) : sockets_open(l);

    base_list_init(&l->open);
    base_wheel_init(&l->wheel, l->now_ns);
    if (error == 0)
        error = base_pool_init(&l->sessions, l->session_max + 1, sizeof(struct session), 64, 0);
    return error;
}

void lane_load(struct lane *l, const struct options *o, struct base_span message)
{
    l->options = o;
    l->message = message.p;
    l->message_bytes = message.len;
    l->session_max = (uint32_t)share(l, o->connection_cnt);
    l->units_left = o->mode == NULL ? 0 : o->unit_max > 0 ? share(l, o->unit_max) : UINT64_MAX;
    l->interval_ns = o->rate > 0 ? BASE_NS_S * o->lane_cnt / o->rate : 0;
    l->next_ns = 0;
    l->ending = false;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKET_CNT; i++)
        atomic_store_explicit(&l->latency.bucket[i], 0, memory_order_relaxed);
    for (int i = 0; i < LANE_COUNTER_CNT; i++)
        atomic_store_explicit(&l->counter[i], 0, memory_order_relaxed);
    atomic_store_explicit(&l->begin_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&l->end_ns, 0, memory_order_relaxed);
    if (l->stack != NULL)
        stack_load(l);
}

void lane_free(struct lane *l)
{
    if (l == NULL)
        return;
    if (l->stack != NULL)
        stack_close(l->stack);
    if (l->sockets != NULL)
        sockets_close(l->sockets);
    if (l->sessions.memory != NULL)
        base_pool_fini(&l->sessions);
    free(l->stack);
    free(l->sockets);
    free(l);
}

/* ---- a pass ---- */

/* When the next connection is due; now, as soon as one of those that are open ends. */
static uint64_t start_ns(const struct lane *l)
{
    if (l->ending || l->open_cnt >= l->session_max || l->units_left == 0)
        return BASE_NS_NONE;
    return l->interval_ns == 0 || l->next_ns == 0 ? l->now_ns : l->next_ns;
}

/* Starts the connections that are due. */
static void start(struct lane *l)
{
    for (int i = 0; i < START_MAX; i++) {
        uint64_t due_ns = start_ns(l);
        if (due_ns > l->now_ns)
            return;
        session_start(l, due_ns);
        if (l->interval_ns > 0)
            l->next_ns = due_ns + l->interval_ns;
    }
}

static uint64_t wait_ns(const struct lane *l, uint64_t until_ns)
{
    uint64_t due_ns = start_ns(l), timer_ns = base_wheel_next(&l->wheel);

    due_ns = timer_ns < due_ns ? timer_ns : due_ns;
    due_ns = until_ns < due_ns ? until_ns : due_ns;
    if (due_ns <= l->now_ns)
        return 0;
    return due_ns - l->now_ns < WAIT_MAX_NS ? due_ns - l->now_ns : WAIT_MAX_NS;
}

static void pass(struct lane *l, uint64_t until_ns)
{
    struct base_timer *t;

    l->link->begin(l, wait_ns(l, until_ns));
    while ((t = base_wheel_pop(&l->wheel, l->now_ns)) != NULL)
        session_timer(l, t);
    start(l);
    l->link->end(l);
}

/* ---- the whole load ---- */

/* Rates are of what was counted until here; what is under way may still succeed. */
static void end_rates(struct lane *l)
{
    if (atomic_load_explicit(&l->end_ns, memory_order_relaxed) != 0)
        return;
    for (int i = 0; i < LANE_COUNTER_CNT; i++)
        atomic_store_explicit(&l->at_end[i], lane_get(l, (enum lane_counter)i),
                              memory_order_relaxed);
    atomic_store_explicit(&l->end_ns, l->now_ns, memory_order_release);
}

static void give_up_rest(struct lane *l)
{
    base_list_each (node, &l->open)
        session_fail(l, base_container_of(node, struct session, place), LANE_FAIL_UNFINISHED);
    /* What was closed or aborted just now leaves the port, and the peer's answers are taken. */
    for (uint64_t end_ns = l->now_ns + 50 * BASE_NS_MS; l->stack != NULL && l->now_ns < end_ns;)
        pass(l, end_ns);
}

int lane_run(struct lane *l, const _Atomic bool *stop)
{
    const struct options *o = l->options;

    l->now_ns = l->link->clock(l);
    if (l->link->prepare(l, stop) != 0)
        return -1;
    uint64_t begin_ns = l->now_ns, end_ns = begin_ns + o->duration_ns;
    atomic_store_explicit(&l->begin_ns, begin_ns, memory_order_release);
    for (bool flooding = true; !l->ending;) {
        pass(l, end_ns);
        flooding = flooding && l->stack != NULL && flood_run(l);
        if (l->now_ns >= end_ns || atomic_load_explicit(stop, memory_order_relaxed))
            l->ending = true;
        if (!flooding && l->units_left == 0 && l->open_cnt == 0)
            l->ending = true;
    }
    end_rates(l);
    end_ns = l->now_ns + o->timeout_ns;
    while (l->open_cnt > 0 && l->now_ns < end_ns &&
           !atomic_load_explicit(stop, memory_order_relaxed))
        pass(l, end_ns);
    give_up_rest(l);
    return 0;
}
