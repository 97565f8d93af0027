/*
 * Questions from several threads to the one that has the resolver, and back: each comes back once,
 * to who asked, with its own answer; also when an asker looks away for long. Under the thread
 * sanitizer, too (suite tsan).
 */
#include "unit.h"

#include "base_time.h"
#include "dpdk_eal.h"
#include "resolver.h"
#include "resolver_table.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define LANES     2
#define ASKERS    (LANES + 2)
#define QUESTIONS 2000
#define WINDOW    64 /* more than control's ring has room for */

static struct topology topology;
static struct resolver service;
static struct resolver_table *table;
static _Atomic bool stop;

struct question {
    struct dns_query q;
    uint8_t room[32];
    struct asker *asker;
    uint32_t number;
};

struct asker {
    enum topology_thread thread;
    uint32_t number, open_cnt, back_cnt;
    struct question question[WINDOW];
    bool used[WINDOW];
};

/* The name n.example has the address 10.0.x.y of its number, one in seven is not there. */
static void done(struct dns_query *q)
{
    struct question *x = base_container_of(q, struct question, q);
    struct asker *a = x->asker;
    uint32_t name = x->number % 100;
    struct base_span rdata;
    size_t at = 0;

    base_assert(q->user == a);
    if (name % 7 == 0) {
        base_assert(q->answer.status == DNS_NXDOMAIN);
    } else {
        base_assert(q->answer.status == DNS_OK && dns_answer_next(&q->answer, &at, &rdata));
        base_assert(rdata.len == 4 && rdata.p[3] == name);
    }
    a->used[x - a->question] = false;
    a->open_cnt--;
    a->back_cnt++;
}

static bool ask(struct asker *a, uint32_t number)
{
    char name[32];
    uint32_t i = 0;

    while (i < WINDOW && a->used[i])
        i++;
    if (i == WINDOW)
        return false;
    struct question *x = &a->question[i];
    snprintf(name, sizeof(name), "n%u.example", number % 100);
    int failed = dns_query_init(&x->q, base_span_str(name), DNS_TYPE_A, 60 * BASE_NS_S, x->room,
                                sizeof(x->room));
    base_assert(failed == 0);
    x->q.done = done;
    x->q.user = a;
    x->asker = a;
    x->number = number;
    if (!resolver_ask(&topology, a->thread, a->number, &x->q))
        return false;
    a->used[i] = true;
    a->open_cnt++;
    return true;
}

static void *asker_main(void *arg)
{
    struct asker *a = arg;
    uint32_t asked = 0;

    while (a->back_cnt < QUESTIONS) {
        while (asked < QUESTIONS && ask(a, asked))
            asked++;
        if (resolver_answers(&topology, a->thread, a->number) == 0)
            sched_yield();
    }
    return NULL;
}

static void *resolver_thread(void *arg)
{
    uint64_t now_ns = BASE_NS_S;

    (void)arg;
    while (!atomic_load(&stop)) {
        now_ns += 1000;
        if (!resolver_pass(&service, now_ns))
            sched_yield();
    }
    return NULL;
}

static struct asker *make_asker(uint32_t i)
{
    struct asker *a = calloc(1, sizeof(*a));

    assert_non_null(a);
    a->thread = i < LANES ? TOPOLOGY_LANE : i == LANES ? TOPOLOGY_COURIER : TOPOLOGY_CONTROL;
    a->number = i < LANES ? i : 0;
    return a;
}

static int setup(void **state)
{
    char name[32];

    (void)state;
    assert_int_equal(topology_init(&topology, LANES, 1, "rr", true), 0);
    table = resolver_table_open(false);
    assert_non_null(table);
    for (uint32_t n = 0; n < 100; n++) {
        const uint8_t address[4] = {10, 0, 0, (uint8_t)n};
        struct resolver_table_entry e = {.name = name,
                                         .type = DNS_TYPE_A,
                                         .status = DNS_OK,
                                         .record = {{address, 4}},
                                         .delay_ns = n % 5 * 1000};
        snprintf(name, sizeof(name), "n%u.example", n);
        if (n % 7 != 0)
            assert_int_equal(resolver_table_put(table, &e), 0);
    }
    resolver_init(&service, &topology, resolver_table_driver(table));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    resolver_table_close(table);
    topology_fini(&topology);
    return 0;
}

static void threads(void **state)
{
    struct asker *a[ASKERS];
    pthread_t thread[ASKERS], resolver;

    (void)state;
    atomic_store(&stop, false);
    assert_int_equal(pthread_create(&resolver, NULL, resolver_thread, NULL), 0);
    for (uint32_t i = 0; i < ASKERS; i++) {
        a[i] = make_asker(i);
        assert_int_equal(pthread_create(&thread[i], NULL, asker_main, a[i]), 0);
    }
    for (uint32_t i = 0; i < ASKERS; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(a[i]->open_cnt, 0);
        free(a[i]);
    }
    atomic_store(&stop, true);
    pthread_join(resolver, NULL);
    const struct stats_block *s = topology_stats(&topology, TOPOLOGY_RESOLVER, 0);
    assert_int_equal(stats_get(s, STATS_DNS_QUERIES), ASKERS * QUESTIONS);
    assert_int_equal(stats_get(s, STATS_DNS_INSECURE), ASKERS * QUESTIONS);
}

/* Control takes nothing back for a while: what does not fit into its ring waits, others are served,
 * and nothing is lost. */
static void one_looks_away(void **state)
{
    struct asker *control = make_asker(ASKERS - 1), *lane = make_asker(0);
    uint64_t now_ns = BASE_NS_S;
    uint32_t asked = 0;

    (void)state;
    for (int pass = 0; pass < 20; pass++) {
        while (ask(control, asked))
            asked++;
        now_ns += BASE_NS_S;
        (void)resolver_pass(&service, now_ns);
    }
    assert_int_equal(asked, WINDOW);
    assert_true(service.back_cnt > 0);
    assert_true(resolver_deadline(&service, now_ns) <= now_ns + BASE_NS_MS);
    assert_true(ask(lane, 1));
    for (int pass = 0; pass < 3; pass++) {
        now_ns += BASE_NS_S;
        (void)resolver_pass(&service, now_ns);
        (void)resolver_answers(&topology, TOPOLOGY_LANE, 0);
    }
    assert_int_equal(lane->back_cnt, 1);
    for (int pass = 0; pass < 20; pass++) {
        (void)resolver_answers(&topology, TOPOLOGY_CONTROL, 0);
        (void)resolver_pass(&service, now_ns);
    }
    assert_int_equal(control->back_cnt, WINDOW);
    assert_int_equal(service.back_cnt, 0);
    assert_int_equal(resolver_deadline(&service, now_ns), BASE_NS_NONE);
    free(control);
    free(lane);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(threads, setup, teardown),
        cmocka_unit_test_setup_teardown(one_looks_away, setup, teardown),
    };

    dpdk_eal_init();
    return cmocka_run_group_tests_name("resolver_rings", tests, NULL, NULL);
}
