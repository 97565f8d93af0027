#include "lane.h"

#include "base_time.h"
#include "flood.h"
#include "mode.h"
#include "secure.h"
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
    [LANE_HANDSHAKES] = "handshakes",
    [LANE_RESUMED] = "resumed",
    [LANE_STANDING] = "standing",
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
    [LANE_FAIL_TLS] = "failed_tls",
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
    base_list_init(&l->waiting);
    base_wheel_init(&l->wheel, l->now_ns);
    if (error == 0)
        error = base_pool_init(&l->sessions, l->session_max + 1, session_bytes(l->options), 64, 0);
    return error;
}

/* sink@example.org, or where there are several sink0@example.org and so on. */
static void name_recipients(struct lane *l, const struct options *o)
{
    const char *at = strrchr(o->recipient, '@');

    for (uint32_t i = 0; i < o->recipient_cnt; i++)
        if (o->recipient_cnt == 1 || at == NULL)
            snprintf(l->recipient[i], sizeof(l->recipient[i]), "%s", o->recipient);
        else
            snprintf(l->recipient[i], sizeof(l->recipient[i]), "%.*s%u%s", (int)(at - o->recipient),
                     o->recipient, i, at);
}

int lane_load(struct lane *l, const struct options *o, const struct message *message,
              struct ledger *ledger)
{
    l->options = o;
    l->message = message;
    l->ledger = ledger;
    l->message_next = l->number;
    l->session_max = (uint32_t)share(l, o->connection_cnt);
    l->units_left = o->mode == NULL ? 0 : o->unit_max > 0 ? share(l, o->unit_max) : UINT64_MAX;
    l->interval_ns = o->rate > 0 ? BASE_NS_S * o->lane_cnt / o->rate : 0;
    l->unit_interval_ns = o->message_rate > 0 ? BASE_NS_S * o->lane_cnt / o->message_rate : 0;
    l->ending = false;
    histogram_clear(&l->latency);
    histogram_clear(&l->handshake);
    histogram_clear(&l->refused);
    for (int i = 0; i < LANE_COUNTER_CNT; i++)
        atomic_store_explicit(&l->counter[i], 0, memory_order_relaxed);
    atomic_store_explicit(&l->begin_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&l->end_ns, 0, memory_order_relaxed);
    if (l->stack != NULL)
        stack_load(l);
    name_recipients(l, o);
    if (o->user != NULL)
        l->credentials = (struct smtp_credentials){.user = base_span_str(o->user),
                                                   .password = base_span_str(o->password),
                                                   .mechanisms = 1 << SMTP_SASL_CLIENT_PLAIN,
                                                   .cleartext = true};
    secure_close(l); /* of the load before */
    return o->tls == OPTIONS_TLS_NONE || o->mode == NULL ? 0 : secure_open(l);
}

void lane_free(struct lane *l)
{
    if (l == NULL)
        return;
    secure_close(l);
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
    if (l->interval_ns == 0)
        return l->now_ns;
    return l->next_ns < l->last_ns ? l->next_ns : BASE_NS_NONE;
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

static uint64_t sooner(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

static uint64_t wait_ns(const struct lane *l, uint64_t until_ns)
{
    if (l->ending && !base_list_empty(&l->waiting))
        return 0;
    uint64_t due_ns = sooner(sooner(start_ns(l), base_wheel_next(&l->wheel)), until_ns);

    if (l->unit_interval_ns > 0 && !base_list_empty(&l->waiting))
        due_ns = sooner(due_ns, l->unit_next_ns);
    if (due_ns <= l->now_ns)
        return 0;
    return due_ns - l->now_ns < WAIT_MAX_NS ? due_ns - l->now_ns : WAIT_MAX_NS;
}

/* Whoever waits for a unit that is due, or for the end. */
static void wake(struct lane *l)
{
    for (int i = 0; i < START_MAX && !base_list_empty(&l->waiting); i++) {
        if (!l->ending && (l->unit_interval_ns == 0 || l->unit_next_ns > l->now_ns))
            return;
        struct session *s =
            base_container_of(base_list_pop_front(&l->waiting), struct session, wait);
        s->woken = true;
        l->link->wake(l, s);
    }
}

static void pass(struct lane *l, uint64_t until_ns)
{
    struct base_timer *t;

    l->link->begin(l, wait_ns(l, until_ns));
    while ((t = base_wheel_pop(&l->wheel, l->now_ns)) != NULL)
        session_timer(l, t);
    start(l);
    wake(l);
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
    if (l->link->prepare(l, stop) != 0) {
        if (l->secure != NULL)
            secure_leave(l);
        return -1;
    }
    uint64_t begin_ns = l->now_ns, end_ns = begin_ns + o->duration_ns;
    atomic_store_explicit(&l->begin_ns, begin_ns, memory_order_release);
    l->next_ns = l->unit_next_ns = begin_ns;
    l->last_ns = end_ns;
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
    if (l->secure != NULL)
        secure_leave(l);
    return 0;
}
