/*
 * The whole gateway in one thread, in virtual time: packets -> TCP -> SMTP -> spools on simulated
 * disks -> queue -> SMTP over TCP to the next hop, over a bad link, with a next hop that defers and
 * cuts, in every other seed with power failures of the gateway, and in most with disks in trouble.
 *
 * What must hold: each acknowledged message arrives at every recipient, unchanged, and no other
 * does; in half of the seeds the next hop refuses some recipients for good or for long, and then
 * their senders are told, each of what concerns him and of nothing else (sim_bounce.h); without a
 * power failure and without cut connections nothing arrives twice and nothing is deferred that the
 * next hop took, also where it ends its sessions between two messages; at the end nothing is left
 * in any pool, queue or ring. The gateway has one to three lanes; where it knows how its port
 * spreads segments, none of them ever comes to the wrong lane, and where it does not, or is wrong
 * about it, they find their way all the same.
 *
 * It has one to three spools, whose order changes with each start. With several, one of them fails
 * for good, for a while or at random, or is too small, or all fail for a while: the same must hold,
 * and with one that fails for good all mail goes through all the same.
 *
 * In some it has two sources, one of which the next hop refuses now and then, by replies that would
 * fail the recipient: all of its mail goes by the other.
 *
 * In a third of the seeds the next hop is a provider's, with limits: no more connections are open
 * there than there may be, on a good link, whatever is kept and on however many lanes; in another
 * third it says 421 to those over a limit of its own, and a rule makes do with fewer.
 *
 * In some seeds the wall clock jumps by hours to years both ways: no mail is given up for that.
 *
 * usage: sim_gateway [SEEDS [FIRST]]
 */
#include "sim_gateway.h"
#include "base_time.h"
#include "disk_sim.h"
#include "dpdk_eal.h"
#include "sim_lmtp.h"
#include "sim_names.h"
#include "sim_world.h"
#include "wire.h"

#include <errno.h>

#include <rte_mempool.h>

#define WALL_NS          (UINT64_C(1800000000) * BASE_NS_S)
#define LIMIT_NS         (3600 * BASE_NS_S)
#define BATCH            (64u << 10)
#define GATEWAY_POOL_CNT 3
#define PATIENCE         64 /* passes: more than a disk takes for a few writes */

static const char config_text[] =
    "gateway { hostname = gw.example; run_dir = /run/x; }\n"
    "port p { device = \"net_wire\"; address = { 10.0.0.1/24, 10.0.0.11/24, 10.0.0.12/24 }; }\n"
    "listener mx { kind = mx; port = p; tcp_port = 25; }\n"
    "smtp { message_size = 10M; client_idle = %s; client_reuse = %u; }\n"
    "tcp { connections = 256; half_open = 64; time_wait = 256; msl = 1s; receive_window = 64k; "
    "send_buffer = 64k; keepalive = 60s; }\n"
    "relay { networks = { 10.0.0.0/24 }; }\n"
    "queue { backoff_min = 1s; backoff_max = 4s; deliveries = 16; }\n"
    "dns { timeout = 2s; }\n";

/* Two sources, one of which the next hop does not want. What it says of the one is no word about
 * the recipient, so nobody is ever told of it. */
static const char source_text[] =
    "source a { address = 10.0.0.11; ehlo = a.gw.example; weight = 2; }\n"
    "source b { address = 10.0.0.12; ehlo = b.gw.example; }\n"
    "delivery { set_aside_min = 1s; set_aside_max = 4s; }\n";

static const char *const route_text[] = {
    "route default { host = 10.0.0.2:2525; sources = ",
    "route default { via = mx; private_networks = { 10.0.0.0/24 }; sources = ",
};

/* In some seeds: into mail boxes, each recipient alone or all together. */
static const char lmtp_text[] =
    "route third.example { via = lmtp; host = unix:/alone; }\n"
    "route example.org { host = lmtp:unix:/together; delivered_to = no; }\n";

/* ---- no allocation in a lane ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OWN_MALLOC 0
#endif
#endif
#ifndef OWN_MALLOC
#define OWN_MALLOC 1
#endif

static bool in_lane;
static uint64_t lane_allocations;

#if OWN_MALLOC
/* In place of the C library's, which the sanitizers need for themselves. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t cnt, size_t bytes);
void *__libc_realloc(void *p, size_t bytes);

void *malloc(size_t bytes)
{
    lane_allocations += in_lane;
    return __libc_malloc(bytes);
}

void *calloc(size_t cnt, size_t bytes)
{
    lane_allocations += in_lane;
    return __libc_calloc(cnt, bytes);
}

void *realloc(void *p, size_t bytes)
{
    lane_allocations += in_lane;
    return __libc_realloc(p, bytes);
}
#endif

/* Spool i lies on another disk at each start. */
static void open_spool(struct sim *s, uint32_t i, const struct conf_spool *conf)
{
    char err[256] = "";

    s->log[i] = topology_log(&s->topology, TOPOLOGY_SPOOLER, i);
    struct spool_config sc = {
        .disk = s->disk[(i + s->start_cnt) % s->spool_cnt],
        .segment_bytes = conf->segment_bytes,
        .segment_max = (uint32_t)(conf->size_bytes / conf->segment_bytes),
        .reserve_segments = 2,
        .commit_max = 2,
        .batch_bytes_max = BATCH,
        .stats = topology_stats(&s->topology, TOPOLOGY_SPOOLER, i),
        .log = &s->log[i],
        .seed = base_rand_next(&s->rand),
    };
    if (spool_open(&s->spool[i], &sc, s->now_ns, err, sizeof(err)) != 0)
        FAIL(s, "spool %u does not open after start %u: %s", i, s->start_cnt, err);
    uint8_t number = (uint8_t)(7 * ((i + s->start_cnt) % s->spool_cnt) + s->seed);
    if (!spool_is_numbered(s->spool[i]))
        spool_set_number(s->spool[i], number);
    else if (spool_number(s->spool[i]) != number)
        FAIL(s, "spool %u has another number after start %u", i, s->start_cnt);
    base_assert(spooler_init(&s->spooler[i], &s->topology, i, s->spool[i]) == 0);
}

static uint64_t wall_of(const struct sim *s)
{
    return WALL_NS + s->now_ns + (uint64_t)s->wall_off_ns;
}

static void start_gateway(struct sim *s)
{
    static const char *const idle[] = {"0", "200ms", "2s", "20s"};
    struct conf_errors *errors = calloc(1, sizeof(*errors));
    char err[256] = "", prefix[32], text[2048];
    int len = snprintf(text, sizeof(text), config_text, idle[s->seed % BASE_ARRAY_CNT(idle)],
                       s->seed % 5 == 0 ? 100u : (unsigned)(s->seed % 5));
    len += snprintf(text + len, sizeof(text) - (size_t)len, "%s%s; }\n%s%s", route_text[s->by_mx],
                    s->sources ? "{ a, b }" : "none", s->sources ? source_text : "",
                    s->lmtp != NULL ? lmtp_text : "");
    if (s->shaping == SHAPING_LIMIT)
        len += snprintf(text + len, sizeof(text) - (size_t)len,
                        "provider p { mx = { \"*e*\", \"10.0.0.*\" }; connections = %u; "
                        "messages_per_connection = %u; rate = %s; }\n",
                        s->shaping_max, (unsigned)(s->seed % 4), s->seed % 2 == 0 ? "20/s" : "0");

    for (uint32_t i = 0; i < s->spool_cnt; i++)
        len += snprintf(
            text + len, sizeof(text) - (size_t)len,
            "spool s%u { path = /s%u; size = 256M; segment_size = 1M; buffers = 64; }\n", i, i);
    struct conf *conf = conf_parse("sim", base_span_str(text), NULL, NULL, errors);

    if (conf == NULL)
        FAIL(s, "config: %s:%u: %s: %s", errors->error[0].file, errors->error[0].line,
             errors->error[0].key, errors->error[0].why);
    conf_errors_free(errors);
    free(errors);
    struct settings *first = settings_make(conf);
    base_assert(first != NULL);
    conf->queue.lifetime_ns = s->bounce ? BOUNCE_LIFETIME_NS : conf->queue.lifetime_ns;
    conf->queue.warn_after_ns = s->bounce ? BOUNCE_WARN_NS : conf->queue.warn_after_ns;
    conf->queue.dsn_quote_bytes = BOUNCE_QUOTE_BYTES;
    conf->delivery.mta_sts = s->sts != NULL;
    conf->delivery.mta_sts_timeout_ns = 2 * BASE_NS_S;
    base_assert(settings_hub_init(&s->hub, first, s->lane_cnt + 1) == 0);
    snprintf(prefix, sizeof(prefix), "s%lu_%u", (unsigned long)s->seed, s->start_cnt++);
    base_assert(topology_init(&s->topology, s->lane_cnt, s->spool_cnt, prefix, true) == 0);
    for (uint32_t i = 0; i < s->spool_cnt; i++)
        open_spool(s, i, &conf->spool[i]);
    struct lane_config lc = {.topology = &s->topology,
                             .hub = &s->hub,
                             .port = wire_port(s->wire, 0),
                             .data_pool = s->pool[0],
                             .ctrl_pool = s->pool[1],
                             .rss = s->spread != SPREAD_UNKNOWN ? &s->rss : NULL};
    base_put_le64(lc.secret, base_rand_next(&s->rand));
    base_put_le64(lc.secret + 8, base_rand_next(&s->rand));
    for (lc.number = 0; lc.number < s->lane_cnt; lc.number++)
        if (lane_init(&s->lane[lc.number], &lc, s->now_ns, err, sizeof(err)) != 0)
            FAIL(s, "lane %u: %s", lc.number, err);
    base_assert(courier_init(&s->courier, &s->topology, &s->hub, lc.secret) == 0);
    s->names = resolver_table_open(true);
    base_assert(s->names != NULL);
    sim_names_fill(s->names, &s->rand, s->names_bad);
    resolver_init(&s->resolver, &s->topology, resolver_table_driver(s->names));
    if (s->sts != NULL)
        sim_sts_start(s->sts, &s->courier, s->names, wall_of(s));
    if (s->lmtp != NULL)
        base_assert(stream_service_init(&s->streams, &s->topology, sim_lmtp_driver(s->lmtp)) == 0);
}

static void check_pools(struct sim *s, int cnt)
{
    for (int i = 0; i < cnt; i++)
        if (!dpdk_pool_full(s->pool[i]))
            FAIL(s, "%u mbufs are missing in pool %s after start %u",
                 rte_mempool_in_use_count(s->pool[i]), s->pool[i]->name, s->start_cnt);
}

static void end_gateway(struct sim *s)
{
    sim_count_steered(s);
    sim_count_faults(s);
    s->plan_cnt += s->by_mx ? stats_get(s->courier.stats, STATS_COURIER_PLANS) : 0;
    s->plan_deferred_cnt += stats_get(s->courier.stats, STATS_COURIER_PLAN_DEFERRED);
    s->source_aside_cnt += stats_get(s->courier.stats, STATS_COURIER_SOURCE_ASIDE);
    s->source_again_cnt += stats_get(s->courier.stats, STATS_COURIER_SOURCE_AGAIN);
    s->next_host_cnt += stats_get(s->courier.stats, STATS_COURIER_NEXT_HOST);
    for (uint32_t i = 0; i < s->lane_cnt; i++)
        s->refused_cnt[s->trouble.kind] += stats_get(s->lane[i]->stats, STATS_CONN_REFUSED_SPOOL) +
                                           stats_get(s->lane[i]->stats, STATS_CONN_NOT_STORED);
    sim_count_policies(s);
    for (uint32_t i = 0; i < s->spool_cnt; i++)
        spool_close(s->spool[i]);
    for (uint32_t i = 0; i < s->lane_cnt; i++)
        lane_fini(s->lane[i]);
    courier_fini(&s->courier);
    if (s->sts != NULL)
        sim_sts_end(s->sts);
    if (s->lmtp != NULL)
        stream_service_fini(&s->streams);
    resolver_table_close(s->names);
    for (uint32_t i = 0; i < s->spool_cnt; i++)
        spooler_fini(&s->spooler[i]);
    topology_fini(&s->topology);
    settings_hub_fini(&s->hub);
    /* Whenever it ends, also amid its work: the link copies, so what is away now is lost. */
    check_pools(s, GATEWAY_POOL_CNT);
}

/* Everything in memory is gone, the disk keeps what a disk keeps. */
static void power_failure(struct sim *s)
{
    for (uint32_t i = 0; i < s->spool_cnt; i++)
        disk_sim_crash(&s->disk[i]);
    end_gateway(s);
    for (uint32_t i = 0; i < s->spool_cnt; i++)
        disk_sim_restart(&s->disk[i]);
    start_gateway(s);
}

static bool pass(struct sim *s)
{
    uint64_t wall_ns = wall_of(s);
    bool worked = false;
    const char *why;

    in_lane = true;
    for (uint32_t i = 0; i < s->lane_cnt; i++)
        worked |= lane_pass(s->lane[i], s->now_ns, wall_ns);
    in_lane = false;
    for (uint32_t i = 0; i < s->spool_cnt; i++) {
        worked |= spooler_pass(&s->spooler[i], s->now_ns);
        if (!spool_accepting(s->spool[i], &why)) {
            s->full_cnt += strstr(why, "full") != NULL;
            s->broken_cnt += strstr(why, "cannot write") != NULL;
        }
    }
    worked |= courier_pass(&s->courier, s->now_ns, wall_ns);
    if (s->sts != NULL && (why = sim_sts_pass(s->sts, s->now_ns, wall_ns)) != NULL)
        FAIL(s, "%s", why);
    worked |= resolver_pass(&s->resolver, s->now_ns);
    if (s->lmtp != NULL)
        worked |= stream_service_pass(&s->streams, s->now_ns);
    worked |= world_pass(s->world, s->now_ns);
    struct stats_log_record r[16];
    for (int id = TOPOLOGY_LANE_LOG; id <= TOPOLOGY_COURIER_LOG; id++)
        for (uint32_t i = 0; i < (id == TOPOLOGY_LANE_LOG      ? s->lane_cnt
                                  : id == TOPOLOGY_SPOOLER_LOG ? s->spool_cnt
                                                               : 1);
             i++)
            while (stats_log_pop(topology_ring(&s->topology, id, i), r, 16) > 0)
                ;
    return worked;
}

static uint64_t earliest(struct sim *s)
{
    uint64_t t[] = {wire_next_ns(s->wire),
                    courier_deadline(&s->courier),
                    world_next(s->world),
                    resolver_deadline(&s->resolver, s->now_ns),
                    s->lmtp != NULL ? stream_service_deadline(&s->streams) : BASE_NS_NONE,
                    s->sts != NULL ? sim_sts_deadline(s->sts) : BASE_NS_NONE};
    uint64_t best = s->now_ns + BASE_NS_S;

    for (uint32_t i = 0; i < s->spool_cnt; i++)
        best = spooler_deadline(&s->spooler[i]) < best ? spooler_deadline(&s->spooler[i]) : best;

    for (uint32_t i = 0; i < s->lane_cnt; i++)
        best = lane_deadline(s->lane[i]) < best ? lane_deadline(s->lane[i]) : best;

    for (size_t i = 0; i < BASE_ARRAY_CNT(t); i++)
        best = t[i] < best ? t[i] : best;
    return best;
}

static bool spoolers_idle(const struct sim *s)
{
    for (uint32_t i = 0; i < s->spool_cnt; i++)
        if (!spooler_idle(&s->spooler[i]))
            return false;
    return true;
}

/* The wall clock is set to another time, hours to years away. */
static void jump(struct sim *s)
{
    uint64_t most_ns = (base_rand_below(&s->wall_rand, 2) == 0 ? 24 : 50000) * 3600 * BASE_NS_S;
    if (!s->wall_jumps || base_rand_below(&s->wall_rand, 100) != 0)
        return;
    s->wall_off_ns = (int64_t)base_rand_below(&s->wall_rand, 2 * most_ns) - (int64_t)most_ns;
    s->jump_cnt++;
}

/* Passes until nothing happens; then to the next event. The disk works in passes, so time stands
 * still while it is busy; but not for one that waits for its next try to write. */
static void advance(struct sim *s)
{
    for (int idle = 0; idle < (spoolers_idle(s) ? 3 : PATIENCE);)
        idle = pass(s) ? 0 : idle + 1;
    for (uint32_t i = 0; i < s->spool_cnt; i++)
        if (!spooler_idle(&s->spooler[i]) && spooler_deadline(&s->spooler[i]) <= s->now_ns)
            FAIL(s, "spooler %u would spin: it has nothing to do, and would not sleep", i);
    uint64_t next = earliest(s);
    s->now_ns = next > s->now_ns ? next : s->now_ns + 1000;
    jump(s);
    wire_advance(s->wire, s->now_ns);
}

static struct wire_faults faults(struct sim *s, bool bad)
{
    struct wire_faults f = {.delay_ns = (1 + base_rand_below(&s->rand, 30)) * BASE_NS_MS};

    if (bad) {
        f.jitter_ns = base_rand_below(&s->rand, 5) * BASE_NS_MS;
        f.loss_ppm = (uint32_t)base_rand_below(&s->rand, 50000);
        f.reorder_ppm = (uint32_t)base_rand_below(&s->rand, 50000);
        f.reorder_ns = 3 * BASE_NS_MS;
        f.duplicate_ppm = (uint32_t)base_rand_below(&s->rand, 20000);
        f.corrupt_ppm = (uint32_t)base_rand_below(&s->rand, 5000);
    }
    return f;
}

/* Whether the next hop ends sessions between messages. */
static bool leaves(const struct sim *s)
{
    return s->seed / 4 % 2 == 0;
}

static void open_world(struct sim *s, bool bad)
{
    struct wire_config w = {.seed = s->seed, .now_ns = s->now_ns};

    memcpy(w.end[0].mac, "\2\0\0\0\0\1", 6);
    memcpy(w.end[1].mac, "\2\0\0\0\0\2", 6);
    for (uint32_t i = 0; i < s->lane_cnt; i++)
        w.end[0].rx_pool[i] = s->pool[2];
    w.end[0].queue_cnt = (uint16_t)s->lane_cnt;
    w.end[0].rss = s->spread == SPREAD_KNOWN ? &s->rss : NULL;
    w.end[1].rx_pool[0] = s->pool[5];
    w.end[0].tx_multi_segs = base_rand_below(&s->rand, 2) != 0;
    w.end[1].tx_multi_segs = true;
    w.end[0].rx_split_bytes = base_rand_below(&s->rand, 4) == 0 ? 300 : 0;
    w.end[0].faults = faults(s, bad);
    w.end[1].faults = faults(s, bad);
    base_assert(wire_open(&s->wire, &w) == 0);
    for (uint32_t i = 0; i < s->spool_cnt; i++) {
        struct disk_sim_config d = sim_disk_config(s, i, s->trouble.kind == TROUBLE_SMALL);
        base_assert(disk_sim_open(&s->disk[i], &d) == 0);
    }
    struct world_config c = {
        .port = wire_port(s->wire, 1),
        .data_pool = s->pool[3],
        .ctrl_pool = s->pool[4],
        .seed = s->seed,
        .client_cnt = 1 + (uint32_t)base_rand_below(&s->rand, WORLD_CLIENT_MAX),
        .message_cnt = 4 + (uint32_t)base_rand_below(&s->rand, 20),
        .size_max = base_rand_below(&s->rand, 3) == 0 ? 400000 : 20000,
        .sink_defer_percent = bad ? (uint32_t)base_rand_below(&s->rand, 15) : 0,
        .sink_leave_percent = leaves(s) ? (uint32_t)base_rand_below(&s->rand, 60) : 0,
        .source_refuse_percent = s->sources ? 5 + (uint32_t)(s->seed % 60) : 0,
        .source_refused_cnt = &s->source_refused_cnt,
        .source_refused = net_addr_v4((uint8_t[]){10, 0, 0, 11}),
        .sink_connection_max = s->shaping == SHAPING_421 ? s->shaping_max : 0,
        .bounce = s->bounce,
        .no_dsn = s->seed / 5 % 2 == 1,
    };
    if (s->trouble.kind == TROUBLE_SMALL) { /* mail that does not leave at once */
        c.size_max = 400000;
        c.message_cnt = 24;
        c.sink_defer_percent = 40;
    }
    s->world = world_open(&c, s->now_ns);
    struct sim_lmtp_config l = {.seed = s->seed,
                                .trouble_percent = c.sink_defer_percent,
                                .take = world_take_lmtp,
                                .user = s->world};
    /* Reports of success are of the next hops by SMTP. */
    s->lmtp = !s->bounce && s->seed / 2 % 3 == 0 ? sim_lmtp_open(&l) : NULL;
}

static void calm(struct sim *s)
{
    world_calm(s->world);
    if (s->lmtp != NULL)
        sim_lmtp_calm(s->lmtp);
}

static bool gateway_idle(const struct sim *s)
{
    for (uint32_t i = 0; i < s->lane_cnt; i++) {
        const struct lane *l = s->lane[i];
        struct tcp_usage u;
        tcp_usage(l->tcp, &u);
        if (u.conn_cnt + u.syn_cnt + u.time_wait_cnt + u.mbuf_cnt + l->in_cnt + l->out_cnt > 0 ||
            (l->streams.open | l->streams.closing) != 0)
            return false;
    }
    return s->lmtp == NULL || sim_lmtp_idle(s->lmtp);
}

static bool finished(struct sim *s)
{
    struct queue_usage q;
    struct spool_usage u;

    queue_usage(s->courier.queue, &q);
    for (uint32_t i = 0; i < s->spool_cnt; i++) {
        spool_usage(s->spool[i], &u);
        if (u.message_cnt > 0)
            return false;
    }
    return world_sent(s->world) && world_delivered(s->world) && world_idle(s->world) &&
           q.message_cnt == 0 && courier_idle(&s->courier) && gateway_idle(s);
}

static void check_end(struct sim *s, bool bad, uint32_t crash_cnt)
{
    /* An attempt that a power failure cuts short may have been told of already, and is told of
     * again. */
    bool sound = s->fault == FAULT_NONE && s->trouble.kind == TROUBLE_NONE; /* the disk */
    /* While no spool takes anything nobody can be told. */
    bool timely = s->trouble.kind == TROUBLE_NONE && s->fault != FAULT_OUTAGE;
    const char *why = world_bounced(s->world, sound ? crash_cnt : 8, sound, timely);

    if (why != NULL)
        FAIL(s, "%s", why);
    world_count_bounces(s->world, &s->report_cnt, &s->told_cnt);
    if (!bad && crash_cnt == 0 && world_duplicates(s->world) > 0)
        FAIL(s, "%u deliveries twice without a reason", world_duplicates(s->world));
    uint32_t most, refused;
    world_sink_seen(s->world, &most, &refused);
    if (!bad && crash_cnt == 0 && s->shaping == SHAPING_LIMIT && most > s->shaping_max)
        FAIL(s, "%u connections open at the next hop, %u may be", most, s->shaping_max);
    s->shaping_refused += refused;
    for (uint32_t i = 0; i < s->lane_cnt; i++)
        s->shaping_waits += stats_get(s->lane[i]->stats, STATS_CONN_OUT_WAITED);
    if (!bad && !s->bounce && crash_cnt == 0 && s->shaping != SHAPING_421 &&
        stats_get(s->courier.stats, STATS_COURIER_DEFERRED) > 0)
        FAIL(s, "%lu recipients deferred without a reason",
             (unsigned long)stats_get(s->courier.stats, STATS_COURIER_DEFERRED));
    for (uint32_t i = 0; i < s->lane_cnt; i++) {
        const struct lane *l = s->lane[i];
        if (l->bufs.free_cnt != l->bufs.buf_cnt)
            FAIL(s, "lane %u: %u spool buffers are missing", i, l->bufs.buf_cnt - l->bufs.free_cnt);
        /* On a good link nobody has to be refused: each answer has found who asked. (What was sent
         * to a next hop that has just closed is answered with more than one RST.) */
        if (!bad && crash_cnt == 0 && !leaves(s) && stats_get(l->stats, STATS_TCP_DROP_UNKNOWN) > 0)
            FAIL(s, "lane %u: %lu segments of nobody's", i,
                 (unsigned long)stats_get(l->stats, STATS_TCP_DROP_UNKNOWN));
        if (l->conns.free_cnt != l->conns.object_cnt || l->transaction_cnt != 0)
            FAIL(s, "lane %u: connections are left", i);
    }
    if (lane_allocations > 0)
        FAIL(s, "%lu allocations in the lane", (unsigned long)lane_allocations);
    check_pools(s, POOL_CNT);
}

/* One lane in every other seed; the others go through all that a port may do. */
static void choose_lanes(struct sim *s)
{
    uint8_t key[NET_RSS_KEY_BYTES], queue[128];

    s->lane_cnt = s->seed / 2 % 2 == 0 ? 1 : 2 + (uint32_t)(s->seed / 4 % 2);
    s->spread = (enum spread)(s->seed / 3 % SPREAD_CNT);
    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)base_rand_next(&s->rand);
    for (size_t i = 0; i < sizeof(queue); i++)
        queue[i] = (uint8_t)(i % s->lane_cnt);
    base_assert(net_rss_init(&s->rss, key, queue, sizeof(queue)) == 0);
}

static void run(struct sim *s, uint64_t seed)
{
    bool bad = seed % 3 != 0;
    uint32_t crashes = seed % 2 != 0 ? 1 + (uint32_t)(seed % 3) : 0, crash_cnt = 0;
    uint64_t next_crash_ns = BASE_NS_NONE;

    s->seed = seed;
    s->start_cnt = 0;
    s->bounce = seed / 4 % 2 == 1;
    s->by_mx = seed / 8 % 2 == 1;
    s->sources = seed % 5 < 2;
    s->names_bad = s->by_mx && bad && !s->bounce; /* reports have seconds */
    s->now_ns = BASE_NS_S;
    s->shaping = s->bounce ? SHAPING_NONE : (enum shaping)(seed % 5 % 3); /* reports are in time */
    s->shaping_max = 1 + (uint32_t)(seed / 3 % 3);
    base_rand_init(&s->rand, seed);
    base_rand_init(&s->wall_rand, ~seed);
    s->wall_off_ns = 0;
    /* Reports come with lifetimes of seconds; and two starts may take a whole lifetime for
     * downtime, if the clock says so. */
    s->wall_jumps = !s->bounce && (seed % 2 == 0 || seed % 3 == 0);
    choose_lanes(s);
    sim_choose_spools(s);
    sim_choose_fault(s);
    bad |= s->trouble.kind == TROUBLE_SMALL;
    open_world(s, bad);
    s->sts = s->by_mx && !s->bounce ? sim_sts_open(seed, bad, s->wall_jumps) : NULL;
    start_gateway(s);
    if (crashes > 0)
        next_crash_ns = s->now_ns + base_rand_below(&s->rand, 3 * BASE_NS_S);
    while (!finished(s)) {
        uint32_t acked = world_acked(s->world);
        sim_run_trouble(s);
        advance(s);
        sim_count_moved(s, acked);
        if (s->now_ns > LIMIT_NS)
            FAIL(s, "not over after an hour: acked %u, sent %d, delivered %d, idle %d",
                 world_acked(s->world), world_sent(s->world), world_delivered(s->world),
                 world_idle(s->world));
        if (s->now_ns > 60 * BASE_NS_S)
            calm(s);
        if (s->names_bad && s->now_ns > 40 * BASE_NS_S) {
            s->names_bad = false;
            sim_names_fill(s->names, &s->rand, false);
        }
        if (s->sts != NULL && s->now_ns > 40 * BASE_NS_S)
            sim_sts_calm(s->sts);
        if (s->now_ns >= s->outage_ns) {
            disk_sim_fail_writes(&s->disk[0], 0, 4 + base_rand_below(&s->rand, 20), -EIO);
            s->outage_ns = BASE_NS_NONE;
        }
        if (s->now_ns >= next_crash_ns) {
            for (uint64_t n = base_rand_below(&s->rand, 30); n > 0; n--) /* amid the disk's work */
                pass(s);
            power_failure(s);
            next_crash_ns = ++crash_cnt < crashes
                                ? s->now_ns + base_rand_below(&s->rand, 5 * BASE_NS_S)
                                : BASE_NS_NONE;
        }
    }
    advance(s); /* what a restart has just queued goes out */
    check_end(s, bad, crash_cnt);
    end_gateway(s);
    if (s->sts != NULL)
        sim_sts_close(s->sts);
    s->sts = NULL;
    if (s->lmtp != NULL) {
        sim_lmtp_count(s->lmtp, &s->boxed_cnt, &s->cut_cnt);
        sim_lmtp_close(s->lmtp);
    }
    world_close(s->world);
    wire_close(s->wire);
    for (uint32_t i = 0; i < s->spool_cnt; i++)
        disk_sim_close(&s->disk[i]);
}

int main(int argc, char **argv)
{
    static const char *const name[POOL_CNT] = {"gw_data", "gw_ctrl", "gw_rx",
                                               "w_data",  "w_ctrl",  "w_rx"};
    uint64_t cnt = argc > 1 ? strtoull(argv[1], NULL, 10) : 100;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct sim *s = aligned_alloc(64, (sizeof(*s) + 63) & ~(size_t)63);

    memset(s, 0, sizeof(*s));
    dpdk_eal_init();
    for (int i = 0; i < POOL_CNT; i++)
        s->pool[i] = dpdk_pool(name[i], 4096, 0);
    for (uint64_t seed = first; seed < first + cnt; seed++)
        run(s, seed);
    /* A handful of seeds may have no connection out, or only lucky ones. */
    if (cnt >= 50)
        sim_check_all(s);
    sim_tell_faults(s, cnt);
    sim_tell_totals(s, cnt);
    free(s);
    return 0;
}
