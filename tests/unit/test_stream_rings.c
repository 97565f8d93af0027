/*
 * Streams between lanes and the stream thread: every byte comes once and in order, both ways,
 * whoever ends a stream and when; slots are used again and again. Under the thread sanitizer, too
 * (suite tsan).
 */
#include "unit.h"

#include "base_rand.h"
#include "base_time.h"
#include "dpdk_eal.h"
#include "lane.h"
#include "stream_memory.h"
#include "stream_service.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#define LANES     2
#define AT_A_TIME 6
#define STREAMS   40
#define BYTES_MAX 60000

static struct topology topology;
static struct stream_memory memory;
static struct stream_service service;
static _Atomic bool stop;

struct use {
    struct lane_stream *stream;
    uint32_t number;           /* of all that the lane has had */
    uint32_t want, sent, back; /* bytes */
    bool fails, connected;
};

static uint8_t byte_of(uint32_t number, uint32_t at)
{
    return (uint8_t)(number * 31 + at * 7 + (at >> 8));
}

/* Gives back what comes. */
static void echo(struct stream_memory *m, struct stream_memory_end *e)
{
    (void)m;
    if (e->in_at == e->in_len)
        e->in_at = e->in_len = 0;
    base_assert(e->out_len <= STREAM_MEMORY_CAP - e->in_len);
    memcpy(e->in + e->in_len, e->out, e->out_len);
    e->in_len += e->out_len;
    e->out_len = 0;
}

static void *stream_thread(void *arg)
{
    uint64_t now_ns = BASE_NS_S;
    uint32_t pass = 0;

    (void)arg;
    while (!atomic_load(&stop)) {
        now_ns += 1000 * 1000;
        memory.open_error = ++pass % 5 == 0 ? -EAGAIN : 0;
        if (!stream_service_pass(&service, now_ns))
            sched_yield();
    }
    return NULL;
}

static void begin(struct lane *l, struct use *u, uint32_t number, struct base_rand *rand)
{
    struct net_stream_target to = {.path = "/echo"};

    *u = (struct use){.number = number, .want = 1 + (uint32_t)base_rand_below(rand, BYTES_MAX)};
    u->stream = lane_stream_open(l, &to, NULL);
}

static void push(struct lane *l, struct use *u, struct base_rand *rand)
{
    uint8_t bytes[900];
    uint32_t n = 1 + (uint32_t)base_rand_below(rand, sizeof(bytes));

    n = n < u->want - u->sent ? n : u->want - u->sent;
    for (uint32_t i = 0; i < n; i++)
        bytes[i] = byte_of(u->number, u->sent + i);
    int64_t took = conn_link_stream.send(l, u->stream, bytes, n);
    base_assert(took >= 0 && took <= n);
    u->sent += (uint32_t)took;
}

static uint32_t pull(struct lane *l, struct use *u, struct base_rand *rand)
{
    struct base_span spans[2];
    uint32_t cnt = conn_link_stream.recv_view(u->stream, spans, 2), len = 0;

    for (uint32_t s = 0; s < cnt; s++)
        for (size_t i = 0; i < spans[s].len; i++)
            base_assert(spans[s].p[i] == byte_of(u->number, u->back + len++));
    len = len > 0 ? 1 + (uint32_t)base_rand_below(rand, len) : 0;
    conn_link_stream.recv_consume(l, u->stream, len);
    u->back += len;
    base_assert(u->back <= u->sent);
    return len;
}

/* Returns whether it is over. */
static bool go_on(struct lane *l, struct use *u, struct base_rand *rand)
{
    uint32_t flags = lane_stream_news(u->stream);

    base_assert((flags & (TCP_EVENT_FAILED | TCP_EVENT_PEER_CLOSED)) == 0);
    u->connected |= (flags & TCP_EVENT_CONNECTED) != 0;
    if (u->sent < u->want)
        push(l, u, rand);
    pull(l, u, rand);
    bool whole = u->back == u->want;
    if (!(whole && u->connected) && base_rand_below(rand, 4000) != 0)
        return false;
    if (whole && base_rand_below(rand, 2) == 0)
        conn_link_stream.close(l, u->stream);
    else
        conn_link_stream.abort(l, u->stream);
    return true;
}

static void *lane_thread(void *arg)
{
    struct lane *l = arg;
    struct use use[AT_A_TIME] = {0};
    struct base_rand rand = {0};
    uint32_t begun = 0, over = 0;

    base_rand_init(&rand, 7 + l->number);
    while (over < STREAMS) {
        for (uint32_t i = 0; i < AT_A_TIME; i++) {
            if (use[i].stream == NULL && begun < STREAMS)
                begin(l, &use[i], begun++, &rand);
            if (use[i].stream == NULL)
                continue;
            if (go_on(l, &use[i], &rand)) {
                use[i].stream = NULL;
                over++;
            }
        }
        sched_yield();
    }
    while ((l->streams.open | l->streams.closing) != 0) {
        (void)lane_stream_pass(l);
        sched_yield();
    }
    return NULL;
}

static void bytes_both_ways(void **state)
{
    pthread_t thread[LANES + 1];
    struct lane *lane[LANES];

    (void)state;
    assert_int_equal(topology_init(&topology, LANES, 1, "str", true), 0);
    memory.sent = echo;
    memory.piece = 5000;
    struct net_stream_driver driver = {&memory_ops, &memory};
    assert_int_equal(stream_service_init(&service, &topology, driver), 0);
    assert_int_equal(pthread_create(&thread[LANES], NULL, stream_thread, NULL), 0);
    for (uint32_t i = 0; i < LANES; i++) {
        lane[i] = aligned_alloc(64, (sizeof(*lane[i]) + 63) & ~(size_t)63);
        assert_non_null(lane[i]);
        memset(lane[i], 0, sizeof(*lane[i]));
        lane[i]->number = i;
        lane_stream_init(&lane[i]->streams, &topology.streams[i], NULL);
        assert_int_equal(pthread_create(&thread[i], NULL, lane_thread, lane[i]), 0);
    }
    for (uint32_t i = 0; i < LANES; i++)
        pthread_join(thread[i], NULL);
    atomic_store(&stop, true);
    pthread_join(thread[LANES], NULL);
    assert_int_equal(memory.opened_cnt, memory.closed_cnt);
    assert_in_range(memory.opened_cnt, LANES * STREAMS / 2, LANES * STREAMS);
    stream_service_fini(&service);
    for (uint32_t i = 0; i < LANES; i++)
        free(lane[i]);
    topology_fini(&topology);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bytes_both_ways)};

    dpdk_eal_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
