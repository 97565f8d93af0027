/*
 * Questions about recipients from several lanes to the courier, and back: each comes back once, to
 * who asked, with the answer of its own address. Under the thread sanitizer, too (suite tsan).
 */
#include "unit.h"

#include "base_time.h"
#include "courier.h"
#include "dpdk_eal.h"
#include "rcpt_job.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_ring.h>

#define LANES     3
#define JOBS      64
#define QUESTIONS 3000
#define NAMES     100

static struct topology topology;
static struct settings_hub hub;
static struct courier courier;
static _Atomic bool stop;

static const char config_text[] = "gateway { hostname = gw.example; run_dir = /run/x; }\n"
                                  "port p { device = \"net_wire\"; address = { 10.0.0.1/24 }; }\n"
                                  "listener mx { kind = mx; port = p; tcp_port = 25; }\n"
                                  "recipient { verify = next_hop; verify_cache = 1000; }\n"
                                  "route default { host = 10.0.0.2:2525; }\n";

struct lane_side {
    uint32_t number, out_cnt, back_cnt;
    struct rcpt_job job[JOBS];
    bool used[JOBS];
    uint32_t name[JOBS];
};

/* In the cache: every third one is good, of the others every second one bad; of the rest nothing is
 * known, and no probe can be made while the courier drains. */
static enum rcpt_answer answer_of(uint32_t name)
{
    return name % 3 == 0   ? RCPT_ANSWER_DELIVERABLE
           : name % 2 == 0 ? RCPT_ANSWER_UNDELIVERABLE
                           : RCPT_ANSWER_BUSY;
}

static void ask(struct lane_side *l, uint32_t i, uint32_t name)
{
    struct rcpt_job *job = &l->job[i];
    char text[32];
    int n = snprintf(text, sizeof(text), "n%u@b.example", name);

    memset(job, 0, sizeof(*job));
    base_list_init(&job->place);
    job->lane = (uint8_t)l->number;
    job->mailbox_len = (uint16_t)n;
    memcpy(job->mailbox, text, (size_t)n);
    base_assert(policy_key_text(&job->key, base_span_of(text, (size_t)n)) == 0);
    l->used[i] = true;
    l->name[i] = name;
    l->out_cnt++;
    base_assert(
        rte_ring_sp_enqueue(topology_ring(&topology, TOPOLOGY_LANE_VERIFY, l->number), job) == 0);
}

static void *lane_main(void *arg)
{
    struct lane_side *l = arg;
    struct rte_ring *from = topology_ring(&topology, TOPOLOGY_VERIFY_LANE, l->number);
    void *entry;

    while (l->back_cnt < QUESTIONS) {
        for (uint32_t i = 0; i < JOBS && l->out_cnt < QUESTIONS; i++)
            if (!l->used[i])
                ask(l, i, (l->out_cnt * 7 + l->number) % NAMES);
        bool any = false;
        while (rte_ring_sc_dequeue(from, &entry) == 0) {
            struct rcpt_job *job = entry;
            uint32_t i = (uint32_t)(job - l->job);
            base_assert(i < JOBS && l->used[i] && job->answer == answer_of(l->name[i]));
            base_assert(job->answer == RCPT_ANSWER_BUSY || job->code == l->name[i] + 200);
            l->used[i] = false;
            l->back_cnt++;
            any = true;
        }
        if (!any)
            sched_yield();
    }
    return NULL;
}

static void *courier_main(void *arg)
{
    uint64_t now_ns = BASE_NS_S;

    (void)arg;
    while (!atomic_load(&stop)) {
        courier.now_ns = now_ns += 1000;
        courier.settings = settings_current(&hub);
        if (courier_verify_pass(&courier) == 0)
            sched_yield();
    }
    return NULL;
}

static void fill(void)
{
    const struct policy_verify_times times = {.positive_expire_ns = 1000 * BASE_NS_S,
                                              .positive_refresh_ns = 500 * BASE_NS_S,
                                              .negative_expire_ns = 1000 * BASE_NS_S,
                                              .negative_refresh_ns = 500 * BASE_NS_S};
    char text[32];

    for (uint32_t name = 0; name < NAMES; name++) {
        struct policy_verify_said said = {.code = (uint16_t)(name + 200)};
        if (answer_of(name) == RCPT_ANSWER_BUSY)
            continue;
        said.answer =
            answer_of(name) == RCPT_ANSWER_DELIVERABLE ? POLICY_VERIFY_GOOD : POLICY_VERIFY_BAD;
        snprintf(text, sizeof(text), "n%u@b.example", name);
        struct policy_verify_entry *e = policy_verify_get(
            &courier.verify.cache, base_span_str(text), base_span_str(text), BASE_NS_S);
        assert_non_null(e);
        policy_verify_note(e, &said, &times, BASE_NS_S);
    }
}

static void threads(void **state)
{
    static struct lane_side lanes[LANES];
    struct conf_errors *errors = calloc(1, sizeof(*errors));
    pthread_t thread[LANES], other;

    (void)state;
    struct conf *conf = conf_parse("t", base_span_str(config_text), NULL, NULL, errors);
    assert_non_null(conf);
    conf_errors_free(errors);
    free(errors);
    assert_int_equal(settings_hub_init(&hub, settings_make(conf), 1), 0);
    assert_int_equal(topology_init(&topology, LANES, 1, "vr", true), 0);
    assert_int_equal(courier_init(&courier, &topology, &hub, (const uint8_t[16]){1}), 0);
    courier.draining = true;
    fill();
    assert_int_equal(pthread_create(&other, NULL, courier_main, NULL), 0);
    for (uint32_t i = 0; i < LANES; i++) {
        lanes[i].number = i;
        assert_int_equal(pthread_create(&thread[i], NULL, lane_main, &lanes[i]), 0);
    }
    for (uint32_t i = 0; i < LANES; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(lanes[i].back_cnt, QUESTIONS);
    }
    atomic_store(&stop, true);
    pthread_join(other, NULL);
    assert_int_equal(stats_get(courier.stats, STATS_VERIFY_ASKED), LANES * QUESTIONS);
    courier_fini(&courier);
    topology_fini(&topology);
    settings_hub_fini(&hub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads)};

    dpdk_eal_init();
    return cmocka_run_group_tests_name("verify_rings", tests, NULL, NULL);
}
