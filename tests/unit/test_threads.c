/*
 * What crosses threads: rings with their doorbells, buffers that move from lane to spooler and
 * home, settings that are published while they are read. Under the thread sanitizer, too (suite
 * tsan).
 */
#include "unit.h"

#include "base_time.h"
#include "courier.h"
#include "disk_sim.h"
#include "dpdk_eal.h"
#include "gateway_tls.h"
#include "keyop_pool.h"
#include "loop.h"
#include "settings.h"
#include "spooler.h"
#include "tls_kit.h"

#include <openssl/x509.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

#define LANES    2
#define MESSAGES 400

static const char config_text[] = "gateway { hostname = gw.example; run_dir = /run/x; }\n"
                                  "port p { device = \"net_x\"; address = { 10.0.0.1/24 }; }\n"
                                  "listener mx { kind = mx; port = p; tcp_port = 25; }\n"
                                  "spool { path = /spool; size = 256M; segment_size = 1M; }\n"
                                  "smtp { message_size = 1M; recipients = %u; }\n"
                                  "relay { domains = { example.org, .example.org }; }\n"
                                  "route default { host = 10.0.0.2:2525; }\n";

static struct settings *make_settings(uint32_t recipients)
{
    char text[sizeof(config_text) + 16];
    struct conf_errors *errors = calloc(1, sizeof(*errors));

    snprintf(text, sizeof(text), config_text, recipients);
    struct conf *conf = conf_parse("test", base_span_str(text), NULL, NULL, errors);
    conf_errors_free(errors);
    free(errors);
    assert_non_null(conf);
    struct settings *s = settings_make(conf);
    assert_non_null(s);
    return s;
}

/* ---- lanes, spooler and courier over their rings ---- */

struct pipeline {
    struct topology topology;
    struct spool_disk disk;
    struct spool *spool;
    struct spooler spooler;
    _Atomic bool stop;
    _Atomic uint32_t freed;
};

struct lane_side {
    struct pipeline *p;
    uint32_t number;
    uint32_t durable;
    uint32_t sleeps;
    struct spool_buf_pool bufs;
    struct loop loop;
};

static void push(struct lane_side *l, struct spool_entry *e)
{
    struct rte_ring *ring = topology_ring(&l->p->topology, TOPOLOGY_LANE_SPOOLER, l->number);

    e->from = (uint16_t)l->number;
    while (rte_ring_sp_enqueue_elem(ring, e, sizeof(*e)) != 0)
        ;
    doorbell_ring(&l->p->topology.spool[0].bell);
}

/* Envelope and body in one buffer, which goes with the last piece. */
static void send_message(struct lane_side *l, struct spool_buf *b, uint32_t i)
{
    struct spool_id id = spool_id_make(1000, 0, (uint8_t)l->number, i);
    struct base_buf out = {.p = b->data, .cap = SPOOL_BUF_BYTES};

    assert_int_equal(spool_envelope_put(&out, SPOOL_ENVELOPE_SENDER, base_span_str("a@b")), 0);
    assert_int_equal(spool_envelope_put(&out, SPOOL_ENVELOPE_RECIPIENT, base_span_str("c@d")), 0);
    uint32_t envelope_len = (uint32_t)out.len;
    memset(b->data + envelope_len, (int)('a' + i % 26), 1000);
    struct spool_entry begin = {.id = id,
                                .op = SPOOL_BEGIN,
                                .part = SPOOL_PART_ENVELOPE,
                                .p = b->data,
                                .len = envelope_len};
    struct spool_entry chunk = {.id = id,
                                .op = SPOOL_CHUNK,
                                .part = SPOOL_PART_BODY,
                                .p = b->data + envelope_len,
                                .len = 1000,
                                .buf = b};
    struct spool_entry commit = {.id = id, .op = SPOOL_COMMIT, .cookie = l};
    push(l, &begin);
    push(l, &chunk);
    push(l, &commit);
}

static uint32_t take_done(struct lane_side *l)
{
    struct spool_done done;
    uint32_t n = 0;

    while (
        rte_ring_sc_dequeue_elem(topology_ring(&l->p->topology, TOPOLOGY_SPOOLER_LANE, l->number),
                                 &done, sizeof(done)) == 0) {
        n++;
        if (done.buf != NULL) {
            memset(done.buf->data, 0, 64); /* ours again: the sanitizer watches */
            spool_buf_put(&l->bufs, done.buf);
        }
        if (done.op == SPOOL_COMMIT) {
            assert_int_equal(done.status, 0);
            assert_ptr_equal(done.cookie, l);
            l->durable++;
        }
    }
    return n;
}

static void *lane_side_main(void *arg)
{
    struct lane_side *l = arg;

    for (uint32_t sent = 0; l->durable < MESSAGES;) {
        struct spool_buf *b = sent < MESSAGES ? spool_buf_get(&l->bufs) : NULL;
        if (b != NULL)
            send_message(l, b, sent++);
        if (take_done(l) > 0 || b != NULL)
            continue;
        doorbell_arm(l->loop.bell);
        uint64_t now_ns = loop_now_ns();
        if (take_done(l) == 0) {
            loop_sleep(&l->loop, now_ns, now_ns + 10 * BASE_NS_S);
            l->sleeps++;
        }
        doorbell_disarm(l->loop.bell);
    }
    return NULL;
}

static void *spooler_side_main(void *arg)
{
    struct pipeline *p = arg;
    struct loop loop;

    assert_int_equal(loop_init(&loop, &p->topology.spool[0].bell, NULL, 0, true,
                               topology_stats(&p->topology, TOPOLOGY_SPOOLER, 0)),
                     0);
    while (!atomic_load_explicit(&p->stop, memory_order_acquire)) {
        if (spooler_pass(&p->spooler, loop_now_ns()) || !spooler_idle(&p->spooler))
            continue; /* the simulated disk works in passes */
        doorbell_arm(loop.bell);
        uint64_t now_ns = loop_now_ns();
        if (!spooler_pass(&p->spooler, now_ns) && spooler_idle(&p->spooler))
            loop_sleep(&loop, now_ns, spooler_deadline(&p->spooler));
        doorbell_disarm(loop.bell);
    }
    loop_fini(&loop);
    return NULL;
}

/* Frees each message as it arrives. */
static void *courier_side_main(void *arg)
{
    struct pipeline *p = arg;
    struct rte_ring *from = topology_ring(&p->topology, TOPOLOGY_SPOOLER_COURIER, 0);
    struct rte_ring *to = topology_ring(&p->topology, TOPOLOGY_COURIER_SPOOLER, 0);
    struct spool_done done;

    while (atomic_load(&p->freed) < LANES * MESSAGES) {
        if (rte_ring_sc_dequeue_elem(from, &done, sizeof(done)) != 0)
            continue;
        if (done.op == SPOOL_FREE) {
            assert_int_equal(done.status, 0);
            atomic_fetch_add(&p->freed, 1);
            continue;
        }
        assert_int_equal(done.op, SPOOL_ARRIVED);
        assert_int_equal(done.arrival->recipient_cnt, 1);
        assert_int_equal(done.arrival->content_bytes, 1000);
        spool_arrival_free(done.arrival);
        struct spool_entry e = {.id = done.id, .op = SPOOL_FREE, .from = SPOOL_TO_COURIER};
        while (rte_ring_sp_enqueue_elem(to, &e, sizeof(e)) != 0)
            ;
        doorbell_ring(&p->topology.spool[0].bell);
    }
    return NULL;
}

static void buffers_and_entries_cross(void **state)
{
    struct pipeline *p = aligned_alloc(64, (sizeof(*p) + 63) & ~(size_t)63);
    struct lane_side lane[LANES];
    pthread_t thread[LANES + 2];
    char err[256];

    (void)state;
    memset(p, 0, sizeof(*p));
    memset(lane, 0, sizeof(lane));
    assert_int_equal(topology_init(&p->topology, LANES, 1, "thr", false), 0);
    struct disk_sim_config d = {.seed = 1, .delay_max = 3, .queue_depth = 16, .sector_bytes = 512};
    assert_int_equal(disk_sim_open(&p->disk, &d), 0);
    struct spool_config sc = {.disk = p->disk,
                              .segment_bytes = 1 << 20,
                              .segment_max = 16,
                              .reserve_segments = 2,
                              .commit_max = 2,
                              .batch_bytes_max = 65536,
                              .stats = topology_stats(&p->topology, TOPOLOGY_SPOOLER, 0),
                              .seed = 1};
    assert_int_equal(spool_open(&p->spool, &sc, loop_now_ns(), err, sizeof(err)), 0);
    assert_int_equal(spooler_init(&p->spooler, &p->topology, 0, p->spool), 0);
    for (uint32_t i = 0; i < LANES; i++) {
        lane[i].p = p;
        lane[i].number = i;
        assert_int_equal(spool_buf_pool_init(&lane[i].bufs, 16, (uint16_t)i), 0);
        assert_int_equal(loop_init(&lane[i].loop, &p->topology.lane_bell[i], NULL, 0, true,
                                   topology_stats(&p->topology, TOPOLOGY_LANE, i)),
                         0);
    }
    assert_int_equal(pthread_create(&thread[LANES], NULL, spooler_side_main, p), 0);
    assert_int_equal(pthread_create(&thread[LANES + 1], NULL, courier_side_main, p), 0);
    for (uint32_t i = 0; i < LANES; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, lane_side_main, &lane[i]), 0);
    for (uint32_t i = 0; i < LANES; i++)
        pthread_join(thread[i], NULL);
    pthread_join(thread[LANES + 1], NULL);
    atomic_store_explicit(&p->stop, true, memory_order_release);
    doorbell_wake(&p->topology.spool[0].bell);
    pthread_join(thread[LANES], NULL);
    struct spool_usage u;
    spool_usage(p->spool, &u);
    assert_int_equal(u.message_cnt, 0);
    spool_close(p->spool);
    spooler_fini(&p->spooler);
    for (uint32_t i = 0; i < LANES; i++) {
        assert_int_equal(lane[i].durable, MESSAGES);
        take_done(&lane[i]);
        spool_buf_pool_fini(&lane[i].bufs); /* asserts that all are home */
        loop_fini(&lane[i].loop);
    }
    disk_sim_close(&p->disk);
    topology_fini(&p->topology);
    free(p);
}

/* ---- a bell is never missed ---- */

#define RINGS 20000

struct bell_test {
    struct topology *topology;
    struct rte_ring *ring;
    _Atomic uint32_t taken;
};

static void *ringer_main(void *arg)
{
    struct bell_test *t = arg;

    for (uintptr_t i = 1; i <= RINGS; i++) {
        while (rte_ring_sp_enqueue(t->ring, (void *)i) != 0)
            ;
        doorbell_ring(&t->topology->courier_bell);
        if (i % 8 == 0) /* let it fall asleep now and then */
            while (atomic_load(&t->taken) < i)
                ;
    }
    return NULL;
}

/* Sleeps without a deadline: a lost ring would hang for the loop's longest sleep, each time. */
static void no_ring_is_lost(void **state)
{
    struct topology topology;
    struct bell_test t = {.topology = &topology};
    struct loop loop;
    pthread_t ringer;
    uint64_t slept_long = 0;

    (void)state;
    assert_int_equal(topology_init(&topology, 1, 1, "bell", false), 0);
    t.ring = topology_ring(&topology, TOPOLOGY_LANE_COURIER, 0);
    assert_int_equal(loop_init(&loop, &topology.courier_bell, NULL, 0, true,
                               topology_stats(&topology, TOPOLOGY_COURIER, 0)),
                     0);
    assert_int_equal(pthread_create(&ringer, NULL, ringer_main, &t), 0);
    for (uintptr_t want = 1; want <= RINGS;) {
        void *got;
        if (rte_ring_sc_dequeue(t.ring, &got) == 0) {
            assert_int_equal((uintptr_t)got, want);
            atomic_store(&t.taken, (uint32_t)want++);
            continue;
        }
        doorbell_arm(loop.bell);
        if (rte_ring_count(t.ring) == 0) {
            uint64_t now_ns = loop_now_ns();
            loop_sleep(&loop, now_ns, BASE_NS_NONE);
            /* Woken by its time-out while an entry waited: the bell was lost. */
            slept_long += loop_now_ns() - now_ns >= BASE_NS_S && rte_ring_count(t.ring) > 0;
        }
        doorbell_disarm(loop.bell);
    }
    pthread_join(ringer, NULL);
    assert_int_equal(slept_long, 0);
    loop_fini(&loop);
    topology_fini(&topology);
}

/* ---- settings ---- */

#define READERS   2
#define PUBLISHED 300

struct reader {
    struct settings_hub *hub;
    uint32_t number;
    _Atomic bool *stop;
    _Atomic uint32_t seen; /* changes that it noticed */
};

static void *reader_main(void *arg)
{
    struct reader *r = arg;
    uint64_t last = 0;

    settings_online(r->hub, r->number);
    while (!atomic_load_explicit(r->stop, memory_order_acquire)) {
        const struct settings *s = settings_current(r->hub);
        assert_true(s->generation >= last);
        /* Of one piece: the number was written with the generation's config. */
        assert_int_equal(s->smtp.recipient_max, s->conf->smtp.recipients);
        assert_string_equal(s->smtp.hostname, "gw.example");
        assert_int_equal(s->policy.relay_domain_cnt, 2);
        r->seen += s->generation != last;
        last = s->generation;
        settings_quiescent(r->hub, r->number);
        if (r->seen % 16 == 0) { /* asleep for a moment */
            settings_offline(r->hub, r->number);
            settings_online(r->hub, r->number);
        }
    }
    settings_offline(r->hub, r->number);
    return NULL;
}

static void settings_change_under_readers(void **state)
{
    struct settings_hub hub;
    struct reader reader[READERS];
    pthread_t thread[READERS];
    _Atomic bool stop = false;

    (void)state;
    assert_int_equal(settings_hub_init(&hub, make_settings(100), READERS), 0);
    for (uint32_t i = 0; i < READERS; i++) {
        reader[i] = (struct reader){.hub = &hub, .number = i, .stop = &stop};
        assert_int_equal(pthread_create(&thread[i], NULL, reader_main, &reader[i]), 0);
    }
    for (uint32_t i = 0; i < PUBLISHED; i++) {
        settings_publish(&hub, make_settings(101 + i));
        settings_reclaim(&hub);
    }
    assert_int_equal(hub.generation, PUBLISHED + 1);
    while (settings_reclaim(&hub) > 0) /* readers go on: all old ones become free */
        ;
    while (reader[0].seen == 0 || reader[1].seen == 0) /* one that had no core until now */
        sched_yield();
    atomic_store_explicit(&stop, true, memory_order_release);
    for (uint32_t i = 0; i < READERS; i++)
        pthread_join(thread[i], NULL);
    settings_hub_fini(&hub);
}

/* ---- maps of addresses ---- */

/* Tables whose two files say the same number. */
static struct policy_tables *make_tables(uint32_t number)
{
    static const uint8_t seed[16] = {1};
    struct policy_tables *t = policy_tables_make();
    struct policy_notes notes;
    char text[64];

    assert_non_null(t);
    for (int role = POLICY_ROLE_ALIASES; role <= POLICY_ROLE_OWNERS; role++) {
        snprintf(text, sizeof(text), "a@b.example n%u@b.example\n", number);
        struct policy_map *m =
            policy_map_read("map", POLICY_FORM_TEXT, (enum policy_role)role, base_span_str(text),
                            base_span_of(NULL, 0), seed, &notes);
        assert_non_null(m);
        assert_int_equal(policy_tables_add(t, (enum policy_role)role, m), 0);
    }
    return t;
}

static void *tables_reader_main(void *arg)
{
    struct reader *r = arg;
    struct policy_work *work = policy_work_open();
    const struct policy_tables *last = NULL;
    struct policy_reading reading = {0};
    struct policy_key sender, target, owner;
    static _Thread_local struct policy_expansion e;

    assert_non_null(work);
    assert_int_equal(policy_key_text(&sender, base_span_str("a@b.example")), 0);
    settings_online(r->hub, r->number);
    while (!atomic_load_explicit(r->stop, memory_order_acquire)) {
        const struct policy_tables *t = settings_tables(r->hub);
        struct policy_hit hit;
        struct base_span item;
        uint32_t from = 0;
        assert_int_equal(policy_expand(t, &reading, work, &sender, 10, &e), POLICY_EXPANSION_OTHER);
        assert_int_equal(policy_key_text(&target, e.target[0]), 0);
        assert_true(policy_find_owners(t, &reading, work, &sender, &from, &hit));
        assert_true(policy_items_next(&hit.items, &item));
        assert_int_equal(policy_key_text(&owner, item), 0);
        assert_true(policy_key_eq(&target, &owner)); /* of one snapshot */
        r->seen += t != last;
        last = t;
        settings_quiescent(r->hub, r->number);
    }
    settings_offline(r->hub, r->number);
    policy_work_close(work);
    return NULL;
}

static void tables_change_under_readers(void **state)
{
    struct settings_hub hub;
    struct reader reader[READERS];
    pthread_t thread[READERS];
    _Atomic bool stop = false;

    (void)state;
    assert_int_equal(settings_hub_init(&hub, make_settings(100), READERS), 0);
    settings_publish_tables(&hub, make_tables(0));
    for (uint32_t i = 0; i < READERS; i++) {
        reader[i] = (struct reader){.hub = &hub, .number = i, .stop = &stop};
        assert_int_equal(pthread_create(&thread[i], NULL, tables_reader_main, &reader[i]), 0);
    }
    for (uint32_t i = 1; i < PUBLISHED; i++) {
        settings_publish_tables(&hub, make_tables(i));
        settings_reclaim(&hub);
    }
    while (settings_reclaim(&hub) > 0)
        ;
    while (reader[0].seen == 0 || reader[1].seen == 0)
        sched_yield();
    atomic_store_explicit(&stop, true, memory_order_release);
    for (uint32_t i = 0; i < READERS; i++)
        pthread_join(thread[i], NULL);
    settings_hub_fini(&hub);
}

/* ---- TLS ---- */

#define UPDATES 20000

struct taker {
    struct lane_tls *tls;
    _Atomic bool *stop;
    _Atomic uint32_t taken;
};

static void *taker_main(void *arg)
{
    struct taker *t = arg;

    while (!atomic_load_explicit(t->stop, memory_order_acquire)) {
        bool waits = atomic_load_explicit(&t->tls->next, memory_order_relaxed) != NULL;
        lane_tls_take(t->tls);
        if (waits)
            atomic_fetch_add_explicit(&t->taken, 1, memory_order_relaxed);
    }
    return NULL;
}

/* Control posts updates faster than a lane takes them: some are taken back, none is lost or freed
 * while the lane looks at it. */
static void tls_updates_under_a_lane(void **state)
{
    const uint64_t later_ns = 3600 * BASE_NS_S;
    struct settings *s = make_settings(100);
    _Atomic bool stop = false;
    struct gateway_tls tls;
    struct topology topology;
    pthread_t thread;

    (void)state;
    assert_int_equal(topology_init(&topology, 1, 1, "tu", true), 0);
    assert_int_equal(gateway_tls_init(&tls, s, &topology), 0);
    assert_int_equal(tls.lane_cnt, 1);
    struct taker t = {.tls = tls.lane[0], .stop = &stop};
    assert_int_equal(pthread_create(&thread, NULL, taker_main, &t), 0);
    uint64_t now_ns = loop_now_ns();
    for (uint32_t i = 0; i < UPDATES; i++)
        gateway_tls_tend(&tls, now_ns += later_ns);
    while (tls.posted[0]) { /* the last one is taken, at the latest when there is a core */
        sched_yield();
        gateway_tls_tend(&tls, now_ns);
    }
    assert_true(atomic_load_explicit(&t.taken, memory_order_relaxed) > 0);
    atomic_store_explicit(&stop, true, memory_order_release);
    pthread_join(thread, NULL);
    gateway_tls_fini(&tls);
    topology_fini(&topology);
    settings_free(s);
}

/* ---- threads for keys ---- */

#define SIGNATURES 400

static void *open_key(void *state)
{
    static const char *const names[] = {"gw.example"};
    struct kit_certificate c;
    uint8_t *der = NULL;

    kit_certificate_make(&c, "EC", names, 1, -1, 90);
    PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(c.key);
    int len = i2d_PKCS8_PRIV_KEY_INFO(p8, &der);
    void *key = keyop_pool_ops.key_open(state, base_span_of(der, (size_t)len));
    OPENSSL_free(der);
    PKCS8_PRIV_KEY_INFO_free(p8);
    kit_certificate_free(&c);
    return key;
}

/* Over the topology's rings, and a lane that sleeps with nothing but its bell to wake it. */
static void key_threads_wake_a_lane(void **state)
{
    struct settings *s = make_settings(100);
    struct gateway_tls tls;
    struct topology topology;
    struct loop loop;
    uint64_t slept_long = 0;

    (void)state;
    assert_int_equal(topology_init_keyop(&topology, 1, 1, 2, "kt", false), 0);
    assert_int_equal(gateway_tls_init(&tls, s, &topology), 0);
    assert_non_null(tls.pool);
    void *lane = keyop_pool_lane(tls.pool, 0);
    void *key = open_key(lane);
    assert_non_null(key);
    assert_int_equal(loop_init(&loop, &topology.lane_bell[0], NULL, 0, true,
                               topology_stats(&topology, TOPOLOGY_LANE, 0)),
                     0);
    for (uint32_t i = 0; i < SIGNATURES; i++) {
        struct tls_keyop op = {
            .key = key, .algorithm = TLS_KEYOP_ECDSA, .digest = TLS_KEYOP_SHA256, .input_len = 32};
        struct tls_keyop *one = &op;
        if (i % 50 == 0)
            usleep(2000); /* the threads go to sleep, too */
        assert_int_equal(keyop_pool_ops.submit(lane, &one, 1), 1);
        for (uint32_t n = 0; n == 0;) {
            doorbell_arm(loop.bell);
            n = keyop_pool_ops.poll(lane, &one, 1);
            uint64_t now_ns = loop_now_ns();
            if (n == 0)
                loop_sleep(&loop, now_ns, BASE_NS_NONE);
            doorbell_disarm(loop.bell);
            if (n == 0 && loop_now_ns() - now_ns >= BASE_NS_S) {
                n = keyop_pool_ops.poll(lane, &one, 1);
                slept_long += n; /* it lay there, and nobody rang */
                assert_true(slept_long < 3);
            }
        }
        assert_int_equal(op.status, TLS_KEYOP_OK);
    }
    assert_int_equal(slept_long, 0);
    keyop_pool_ops.leave(lane);
    keyop_pool_ops.key_close(lane, key);
    gateway_tls_fini(&tls);
    assert_int_equal(
        stats_get(topology_stats(&topology, TOPOLOGY_KEYOP, 0), STATS_TLS_KEYOP_SIGNED) +
            stats_get(topology_stats(&topology, TOPOLOGY_KEYOP, 1), STATS_TLS_KEYOP_SIGNED),
        SIGNATURES);
    loop_fini(&loop);
    topology_fini(&topology);
    settings_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffers_and_entries_cross),
        cmocka_unit_test(no_ring_is_lost),
        cmocka_unit_test(settings_change_under_readers),
        cmocka_unit_test(tables_change_under_readers),
        cmocka_unit_test(tls_updates_under_a_lane),
        cmocka_unit_test(key_threads_wake_a_lane),
    };

    dpdk_eal_init();
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
