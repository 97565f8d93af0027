/* The stack as a whole: start and end, the burst from the network, the timers, the flush. */
#include "tcp_cc.h"
#include "base_lines.h"
#include "tcp_internal.h"

#include <errno.h>
#include <stdlib.h>

#define DEFAULT_RTO_MIN_NS      (200 * BASE_NS_MS)
#define DEFAULT_MSL_NS          (30 * BASE_NS_S)
#define DEFAULT_SYN_TIMEOUT_NS  (30 * BASE_NS_S)
#define DEFAULT_USER_TIMEOUT_NS (300 * BASE_NS_S)
#define DEFAULT_FIN_TIMEOUT_NS  (60 * BASE_NS_S)
#define FRAME_ROOM_BYTES        512
#define POOL_MAX                (UINT32_C(1) << 28)

void tcp_set_now(struct tcp_stack *s, uint64_t now_ns)
{
    if (now_ns <= s->now_ns)
        return;
    s->now_ns = now_ns;
    s->now_ms = (uint32_t)(now_ns / BASE_NS_MS);
    s->now_us = (uint32_t)(now_ns / BASE_NS_US);
}

static uint32_t span_ms(uint64_t span_ns)
{
    uint64_t ms = (span_ns + BASE_NS_MS - 1) / BASE_NS_MS;

    return ms < TCP_SPAN_MAX_MS ? (uint32_t)ms : TCP_SPAN_MAX_MS;
}

static uint64_t or_default(uint64_t value, uint64_t fallback)
{
    return value != 0 ? value : fallback;
}

static void set_spans(struct tcp_stack *s)
{
    struct tcp_config *g = &s->config;

    g->msl_ns = or_default(g->msl_ns, DEFAULT_MSL_NS);
    s->rto_min_us = span_ms(or_default(g->rto_min_ns, DEFAULT_RTO_MIN_NS));
    s->rto_min_us = tcp_min(s->rto_min_us, TCP_RTO_MAX_US / 1000) * 1000;
    s->syn_timeout_ms = span_ms(or_default(g->syn_timeout_ns, DEFAULT_SYN_TIMEOUT_NS));
    s->user_timeout_ms = span_ms(or_default(g->user_timeout_ns, DEFAULT_USER_TIMEOUT_NS));
    s->fin_timeout_ms = span_ms(or_default(g->fin_timeout_ns, DEFAULT_FIN_TIMEOUT_NS));
    s->keepalive_ms = span_ms(g->keepalive_ns);
    s->keepalive_interval_ms = span_ms(g->keepalive_interval_ns);
}

/* The smallest scale with which the whole window can be offered. */
static uint8_t scale_for(uint32_t window_bytes)
{
    uint8_t scale = 0;

    while (scale < 14 && window_bytes >> scale > 0xffff)
        scale++;
    return scale;
}

static void set_memory(struct tcp_stack *s)
{
    struct tcp_config *g = &s->config;

    if (g->frame_pool == NULL)
        g->frame_pool = g->data_pool;
    if (g->copy_max_bytes == 0)
        g->copy_max_bytes = TCP_COPY_MAX_BYTES;
    if (g->orphan_max == 0)
        g->orphan_max = tcp_max(g->conn_max / 4, 1);
    s->recv_start_bytes = g->recv_window_start_bytes == 0
                              ? g->recv_window_bytes
                              : tcp_min(g->recv_window_start_bytes, g->recv_window_bytes);
    tcp_memory_init(&s->memory, g);
}

static int take_memory(struct tcp_stack *s)
{
    const struct tcp_config *g = &s->config;

    s->listener = base_lines_new(g->listen_max * sizeof(*s->listener));
    s->conn_used = base_lines_new((g->conn_max + 63) / 64 * sizeof(*s->conn_used));
    if (s->listener == NULL || s->conn_used == NULL || tcp_set_init(&s->ready, g->conn_max) < 0 ||
        tcp_set_init(&s->events, g->conn_max) < 0 ||
        base_pool_init(&s->conn_pool, g->conn_max, sizeof(struct tcp_conn), 64,
                       sizeof(struct tcp_conn)) < 0 ||
        base_pool_init(&s->syn_pool, g->syn_max, sizeof(struct tcp_syn), 8,
                       sizeof(struct tcp_syn)) < 0 ||
        base_pool_init(&s->recovery_pool, g->conn_max / 4 + 4, sizeof(struct tcp_recovery), 8,
                       sizeof(struct tcp_recovery)) < 0 ||
        base_pool_init(&s->time_wait_pool, g->time_wait_max, sizeof(struct tcp_time_wait), 64, 0) <
            0)
        return -ENOMEM;
    if (tcp_path_init(&s->paths) < 0)
        return -ENOMEM;
    return tcp_table_init(&s->table, g->conn_max + g->syn_max + g->time_wait_max);
}

static void give_memory(struct tcp_stack *s)
{
    if (s->conn_pool.memory != NULL)
        base_pool_fini(&s->conn_pool);
    if (s->syn_pool.memory != NULL)
        base_pool_fini(&s->syn_pool);
    if (s->time_wait_pool.memory != NULL)
        base_pool_fini(&s->time_wait_pool);
    if (s->recovery_pool.memory != NULL)
        base_pool_fini(&s->recovery_pool);
    tcp_table_fini(&s->table);
    tcp_path_fini(&s->paths);
    tcp_set_fini(&s->ready);
    tcp_set_fini(&s->events);
    free(s->listener);
    free(s->conn_used);
    free(s);
}

int tcp_init(struct tcp_stack **out, const struct tcp_config *config, uint64_t now_ns)
{
    uint64_t seed;

    if (config->conn_max == 0 || config->syn_max == 0 || config->time_wait_max == 0 ||
        config->listen_max == 0 || config->conn_max > POOL_MAX || config->syn_max > POOL_MAX ||
        config->time_wait_max > POOL_MAX || config->listen_max > UINT16_MAX ||
        config->port_min == 0 || config->port_min > config->port_max ||
        config->recv_window_bytes == 0 || config->recv_window_bytes > UINT32_C(1) << 30 ||
        config->send_buffer_bytes == 0 || config->send_buffer_bytes > UINT32_C(1) << 30 ||
        config->memory_shrink_pct > 100 || config->memory_early_pct > 100 ||
        config->memory_refuse_pct > 100 ||
        (config->frame_pool != NULL &&
         rte_pktmbuf_data_room_size(config->frame_pool) < RTE_PKTMBUF_HEADROOM + FRAME_ROOM_BYTES))
        return -EINVAL;
    struct tcp_stack *s = aligned_alloc(64, (sizeof(*s) + 63) / 64 * 64);
    if (s == NULL)
        return -ENOMEM;
    *s = (struct tcp_stack){.config = *config,
                            .stats = config->stats,
                            .net = config->net,
                            .cc =
                                config->congestion == TCP_NEWRENO ? &tcp_cc_newreno : &tcp_cc_cubic,
                            .recv_wscale = scale_for(config->recv_window_bytes),
                            .rst_tokens = TCP_RST_BURST,
                            .rst_filled_ns = now_ns};
    set_spans(s);
    set_memory(s);
    if (take_memory(s) < 0) {
        give_memory(s);
        return -ENOMEM;
    }
    memcpy(&seed, config->secret, sizeof(seed));
    base_rand_init(&s->rand, seed ^ now_ns);
    s->ephemeral_next = (uint32_t)base_rand_next(&s->rand);
    tcp_fifo_init(&s->syns, &s->syn_pool, offsetof(struct tcp_syn, links));
    tcp_fifo_init(&s->time_waits, &s->time_wait_pool, offsetof(struct tcp_time_wait, links));
    base_wheel_init(&s->wheel, now_ns);
    base_timer_init(&s->time_wait_timer);
    tcp_set_now(s, now_ns);
    *out = s;
    return 0;
}

void tcp_fini(struct tcp_stack *s)
{
    for (uint32_t i = 0; i < s->conn_pool.object_cnt; i++)
        if (s->conn_used[i / 64] >> i % 64 & 1)
            tcp_conn_free(s, base_pool_at(&s->conn_pool, i));
    while (tcp_fifo_first(&s->syns) != NULL)
        tcp_syn_free(s, tcp_fifo_first(&s->syns));
    while (tcp_fifo_first(&s->time_waits) != NULL)
        tcp_time_wait_free(s, tcp_fifo_first(&s->time_waits));
    base_assert(s->mbuf_cnt == 0 && s->ooo_cnt == 0);
    give_memory(s);
}

static void input(struct tcp_stack *s, struct tcp_segment *seg)
{
    tcp_ref ref = tcp_table_find(s, &seg->key, seg->hash);
    uint32_t index = tcp_ref_index(ref);

    switch (tcp_ref_kind(ref)) {
    case TCP_KIND_CONN:
        tcp_conn_input(s, base_pool_at(&s->conn_pool, index), seg);
        break;
    case TCP_KIND_SYN:
        tcp_syn_input(s, base_pool_at(&s->syn_pool, index), seg);
        break;
    case TCP_KIND_TIME_WAIT:
        tcp_time_wait_input(s, base_pool_at(&s->time_wait_pool, index), seg);
        break;
    case TCP_KIND_NONE:
        tcp_listen_input(s, seg, 0, false);
        break;
    }
    rte_pktmbuf_free(seg->mbuf); /* NULL when it was kept */
}

void tcp_push(struct tcp_stack *s, struct net_segment *segments, uint32_t cnt, uint64_t now_ns)
{
    struct tcp_segment seg[TCP_BURST_MAX];

    tcp_set_now(s, now_ns);
    stats_add(s->stats, STATS_TCP_RX_SEGMENTS, cnt);
    while (cnt > 0) {
        uint32_t burst_cnt = tcp_min(cnt, TCP_BURST_MAX), parsed_cnt = 0;
        /* First all headers and hashes, so that the table's lines come in while we parse. */
        for (uint32_t i = 0; i < burst_cnt; i++) {
            struct tcp_segment *g = &seg[parsed_cnt];
            if (!tcp_segment_parse(s, &segments[i], g)) {
                rte_pktmbuf_free(segments[i].mbuf);
                continue;
            }
            g->hash = tcp_hash(s, &g->key);
            __builtin_prefetch(&s->table.bucket[g->hash & s->table.mask]);
            parsed_cnt++;
        }
        for (uint32_t i = 0; i < parsed_cnt; i++)
            input(s, &seg[i]);
        segments += burst_cnt;
        cnt -= burst_cnt;
    }
}

static bool is_in(const struct base_pool *p, const void *object)
{
    uintptr_t at = (uintptr_t)object, from = (uintptr_t)p->memory;

    return at >= from && at < from + p->object_bytes * p->object_cnt;
}

void tcp_run(struct tcp_stack *s, uint64_t now_ns)
{
    struct base_timer *t;

    tcp_set_now(s, now_ns);
    while ((t = base_wheel_pop(&s->wheel, s->now_ns)) != NULL) {
        if (t == &s->time_wait_timer)
            tcp_time_wait_run(s);
        else if (is_in(&s->conn_pool, t))
            tcp_timer_fire(s, base_container_of(t, struct tcp_conn, timer));
        else
            tcp_syn_timer(s, base_container_of(t, struct tcp_syn, timer));
    }
}

void tcp_flush(struct tcp_stack *s, uint64_t now_ns)
{
    uint32_t at = 0;

    tcp_set_now(s, now_ns);
    while ((at = tcp_set_next(&s->ready, at)) != TCP_SET_NONE) {
        struct tcp_conn *c = base_pool_at(&s->conn_pool, at);
        tcp_set_remove(&s->ready, at++); /* if it comes back, it waits for the next flush */
        c->flags &= ~(uint32_t)TCP_CONN_READY;
        tcp_output(s, c);
    }
}

uint64_t tcp_deadline(const struct tcp_stack *s)
{
    /* A flush that was cut short goes on in the next pass, which is to come at once; so do events
     * that came after the poll: no route at the flush, say. */
    return !tcp_set_empty(&s->ready) || !tcp_set_empty(&s->events) ? s->now_ns
                                                                   : base_wheel_next(&s->wheel);
}

uint32_t tcp_poll(struct tcp_stack *s, struct tcp_event *events, uint32_t cap)
{
    uint32_t n = 0;

    while (n < cap && !tcp_set_empty(&s->events)) {
        uint32_t at = tcp_set_next(&s->events, s->event_next);
        if (at == TCP_SET_NONE) {
            s->event_next = 0;
            continue;
        }
        struct tcp_conn *c = base_pool_at(&s->conn_pool, at);
        tcp_set_remove(&s->events, at);
        s->event_next = at + 1;
        c->flags &= ~(uint32_t)TCP_CONN_EVENT;
        events[n++] = (struct tcp_event){.conn = c, .user = c->user, .flags = c->events};
        c->events = 0;
    }
    return n;
}

void tcp_usage(const struct tcp_stack *s, struct tcp_usage *out)
{
    *out = (struct tcp_usage){
        .conn_cnt = s->conn_pool.object_cnt - s->conn_pool.free_cnt,
        .syn_cnt = s->syn_pool.object_cnt - s->syn_pool.free_cnt,
        .time_wait_cnt = s->time_wait_pool.object_cnt - s->time_wait_pool.free_cnt,
        .mbuf_cnt = s->mbuf_cnt,
    };
}
