#include "topology.h"
#include "lane.h"
#include "spool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

/* README's table of the way of one message; tests/lint compares the two. Steps of later versions
 * are not here until their code is. */
const struct topology_step topology_way[] = {
    {"NIC queue", "drivers/port/ethdev"},
    {"Ethernet, ARP and ND, IP, ICMP", "lib/net"},
    {"TCP", "lib/tcp"},
    {"one connection's layers, stacked", "app/sluiced/conn.c"},
    {"PROXY header", "app/sluiced/conn_proxy.c lib/proxy"},
    {"TLS records, handshake batch", "app/sluiced/conn_tls.c lib/tls"},
    {"SMTP server", "lib/smtp"},
    {"policy: relay, senders, recipients", "lib/policy"},
    {"the message's buffers and entries", "app/sluiced/conn_message.c"},
    {"hand-over", "app/sluiced/topology.c"},
    {"durable write, group commit", "lib/spool"},
    {"acceptance", "app/sluiced/conn_in.c"},
    {"choice: what is due, to where", "lib/queue"},
    {"route, MX, addresses, TLSA", "app/sluiced/courier_plan.c lib/dns lib/dane"},
    {"SMTP client over TLS over TCP on a lane", "app/sluiced/conn_out.c"},
    {"end", "app/sluiced/courier.c"},
};
const size_t topology_way_cnt = BASE_ARRAY_CNT(topology_way);

/* Element and depth of a ring for so many records, less one, of the longest: of those without text
 * it takes eight times as many. */
#define LOG_RECORDS(cnt) STATS_LOG_CELL_BYTES, STATS_LOG_CELLS_MAX *(cnt)

static const struct topology_link links[TOPOLOGY_LINK_CNT] = {
    [TOPOLOGY_LANE_SPOOLER] = {"ls", TOPOLOGY_LANE, TOPOLOGY_SPOOLER, sizeof(struct spool_entry),
                               4096},
    [TOPOLOGY_SPOOLER_LANE] = {"sl", TOPOLOGY_SPOOLER, TOPOLOGY_LANE, sizeof(struct spool_done),
                               8192},
    [TOPOLOGY_COURIER_SPOOLER] = {"cs", TOPOLOGY_COURIER, TOPOLOGY_SPOOLER,
                                  sizeof(struct spool_entry), 2048},
    [TOPOLOGY_SPOOLER_COURIER] = {"sc", TOPOLOGY_SPOOLER, TOPOLOGY_COURIER,
                                  sizeof(struct spool_done), 8192},
    [TOPOLOGY_COURIER_LANE] = {"cl", TOPOLOGY_COURIER, TOPOLOGY_LANE, sizeof(void *), 1024},
    /* Never full: room for queue: deliveries at its largest, all of them on one lane. */
    [TOPOLOGY_LANE_COURIER] = {"lc", TOPOLOGY_LANE, TOPOLOGY_COURIER, sizeof(void *),
                               2 * CONF_DELIVERIES_MAX},
    [TOPOLOGY_LANE_LANE] = {"ll", TOPOLOGY_LANE, TOPOLOGY_LANE, sizeof(void *), 1024},
    [TOPOLOGY_LANE_NEIGHBOR] = {"ln", TOPOLOGY_LANE, TOPOLOGY_LANE, sizeof(struct lane_neighbor),
                                256},
    [TOPOLOGY_LANE_ICMP] = {"li", TOPOLOGY_LANE, TOPOLOGY_LANE, sizeof(struct lane_icmp), 64},
    [TOPOLOGY_CONTROL_COURIER] = {"kc", TOPOLOGY_CONTROL, TOPOLOGY_COURIER, sizeof(void *), 16},
    [TOPOLOGY_COURIER_CONTROL] = {"ck", TOPOLOGY_COURIER, TOPOLOGY_CONTROL, sizeof(void *), 16},
    /* More than control has clients. */
    [TOPOLOGY_CONTROL_LANE] = {"wl", TOPOLOGY_CONTROL, TOPOLOGY_LANE, sizeof(void *), 16},
    [TOPOLOGY_LANE_CONTROL] = {"lw", TOPOLOGY_LANE, TOPOLOGY_CONTROL, sizeof(void *), 16},
    /* Not deep: what lies here is missing in the lane's receive pool. */
    [TOPOLOGY_LANE_HOST] = {"lh", TOPOLOGY_LANE, TOPOLOGY_HOST, sizeof(void *), 512},
    [TOPOLOGY_HOST_FREE] = {"hf", TOPOLOGY_HOST, TOPOLOGY_LANE, sizeof(void *), 512},
    [TOPOLOGY_HOST_LANE] = {"hl", TOPOLOGY_HOST, TOPOLOGY_LANE, sizeof(void *), 256},
    /* For as many as a lane may have at one thread (gateway_tls.c), both ways. */
    [TOPOLOGY_LANE_KEYOP] = {"lk", TOPOLOGY_LANE, TOPOLOGY_KEYOP, sizeof(void *), 128},
    [TOPOLOGY_KEYOP_LANE] = {"kl", TOPOLOGY_KEYOP, TOPOLOGY_LANE, sizeof(void *), 128},
    /* Those that come back and find no room wait at the resolver. */
    [TOPOLOGY_LANE_RESOLVER] = {"lr", TOPOLOGY_LANE, TOPOLOGY_RESOLVER, sizeof(void *), 1024},
    [TOPOLOGY_RESOLVER_LANE] = {"rl", TOPOLOGY_RESOLVER, TOPOLOGY_LANE, sizeof(void *), 1024},
    [TOPOLOGY_COURIER_RESOLVER] = {"cr", TOPOLOGY_COURIER, TOPOLOGY_RESOLVER, sizeof(void *), 1024},
    [TOPOLOGY_RESOLVER_COURIER] = {"rc", TOPOLOGY_RESOLVER, TOPOLOGY_COURIER, sizeof(void *), 1024},
    [TOPOLOGY_CONTROL_RESOLVER] = {"kr", TOPOLOGY_CONTROL, TOPOLOGY_RESOLVER, sizeof(void *), 16},
    [TOPOLOGY_RESOLVER_CONTROL] = {"rk", TOPOLOGY_RESOLVER, TOPOLOGY_CONTROL, sizeof(void *), 16},
    /* Never full: more than a lane has recipients that wait (conn_rcpt.c). */
    [TOPOLOGY_LANE_VERIFY] = {"lv", TOPOLOGY_LANE, TOPOLOGY_COURIER, sizeof(void *),
                              TOPOLOGY_VERIFY_DEPTH},
    [TOPOLOGY_VERIFY_LANE] = {"vl", TOPOLOGY_COURIER, TOPOLOGY_LANE, sizeof(void *),
                              TOPOLOGY_VERIFY_DEPTH},
    /* Never full: more than auth: exchanges at its largest. */
    [TOPOLOGY_LANE_AUTH] = {"la", TOPOLOGY_LANE, TOPOLOGY_AUTH, sizeof(void *), 4096},
    [TOPOLOGY_AUTH_LANE] = {"al", TOPOLOGY_AUTH, TOPOLOGY_LANE, sizeof(void *), 4096},
    [TOPOLOGY_LANE_LOG] = {"llog", TOPOLOGY_LANE, TOPOLOGY_LOG, LOG_RECORDS(4096)},
    [TOPOLOGY_SPOOLER_LOG] = {"slog", TOPOLOGY_SPOOLER, TOPOLOGY_LOG, LOG_RECORDS(1024)},
    [TOPOLOGY_COURIER_LOG] = {"clog", TOPOLOGY_COURIER, TOPOLOGY_LOG, LOG_RECORDS(8192)},
    [TOPOLOGY_RESOLVER_LOG] = {"rlog", TOPOLOGY_RESOLVER, TOPOLOGY_LOG, LOG_RECORDS(64)},
    [TOPOLOGY_AUTH_LOG] = {"alog", TOPOLOGY_AUTH, TOPOLOGY_LOG, LOG_RECORDS(256)},
    [TOPOLOGY_CONTROL_LOG] = {"klog", TOPOLOGY_CONTROL, TOPOLOGY_LOG, LOG_RECORDS(512)},
};

static uint32_t thread_cnt(const struct topology *t, enum topology_thread thread)
{
    switch (thread) {
    case TOPOLOGY_LANE:
        return t->lane_cnt;
    case TOPOLOGY_SPOOLER:
        return t->spool_cnt;
    case TOPOLOGY_KEYOP:
        return t->keyop_cnt;
    default:
        return 1;
    }
}

static uint32_t ring_cnt(const struct topology *t, const struct topology_link *l)
{
    return thread_cnt(t, l->from) * thread_cnt(t, l->to);
}

/* What has to hold of the map before anything runs on it. */
static bool link_valid(const struct topology_link *l)
{
    bool has_ends = l->name != NULL && l->from < TOPOLOGY_THREAD_CNT && l->to < TOPOLOGY_THREAD_CNT;
    bool is_lane_pair = l->from == TOPOLOGY_LANE && l->to == TOPOLOGY_LANE;

    return has_ends && (l->from != l->to || is_lane_pair) && l->element_bytes % 4 == 0 &&
           l->element_bytes > 0 && l->depth >= 16 && (l->depth & (l->depth - 1)) == 0;
}

static int make_rings(struct topology *t, enum topology_link_id id, const char *prefix)
{
    const struct topology_link *l = &links[id];
    uint32_t cnt = ring_cnt(t, l);
    char name[RTE_RING_NAMESIZE];

    if (cnt == 0)
        return 0;
    t->ring[id] = calloc(cnt, sizeof(struct rte_ring *));
    if (t->ring[id] == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < cnt; i++) {
        snprintf(name, sizeof(name), "%s_%s%u", prefix, l->name, i);
        t->ring[id][i] = rte_ring_create_elem(name, l->element_bytes, l->depth, SOCKET_ID_ANY,
                                              RING_F_SP_ENQ | RING_F_SC_DEQ);
        if (t->ring[id][i] == NULL)
            return -ENOMEM;
    }
    return 0;
}

static int make_bells(struct topology *t, bool silent)
{
    struct doorbell *single[] = {&t->courier_bell, &t->host_bell,   &t->resolver_bell,
                                 &t->auth_bell,    &t->stream_bell, &t->control_bell};
    int error = 0;

    for (uint32_t i = 0; i < BASE_ARRAY_CNT(single); i++) {
        doorbell_init_silent(single[i]);
        if (!silent && error == 0)
            error = doorbell_init(single[i]);
    }
    for (uint32_t i = 0; i < t->lane_cnt; i++) {
        doorbell_init_silent(&t->lane_bell[i]);
        if (!silent && error == 0)
            error = doorbell_init(&t->lane_bell[i]);
    }
    for (uint32_t i = 0; i < t->spool_cnt; i++) {
        doorbell_init_silent(&t->spool[i].bell);
        if (!silent && error == 0)
            error = doorbell_init(&t->spool[i].bell);
    }
    return error;
}

/* Pages of it are there once they are touched. */
static struct stream_area *make_streams(uint32_t lane_cnt)
{
    void *p = mmap(NULL, lane_cnt * sizeof(struct stream_area), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p != MAP_FAILED ? p : NULL;
}

static void free_streams(struct topology *t)
{
    if (t->streams != NULL)
        munmap(t->streams, t->lane_cnt * sizeof(struct stream_area));
}

int topology_init(struct topology *t, uint32_t lane_cnt, uint32_t spool_cnt, const char *prefix,
                  bool silent)
{
    return topology_init_keyop(t, lane_cnt, spool_cnt, 0, prefix, silent);
}

int topology_init_keyop(struct topology *t, uint32_t lane_cnt, uint32_t spool_cnt,
                        uint32_t keyop_cnt, const char *prefix, bool silent)
{
    *t = (struct topology){
        .lane_cnt = lane_cnt, .spool_cnt = spool_cnt, .keyop_cnt = keyop_cnt, .silent = silent};
    if (lane_cnt == 0 || lane_cnt > TOPOLOGY_LANE_MAX || spool_cnt == 0 ||
        spool_cnt > TOPOLOGY_SPOOL_MAX || keyop_cnt > TOPOLOGY_KEYOP_MAX)
        return -EINVAL;
    for (int id = 0; id < TOPOLOGY_LINK_CNT; id++)
        base_assert(link_valid(&links[id]));
    int error = make_bells(t, silent);
    t->stats_cnt = lane_cnt + spool_cnt + keyop_cnt + TOPOLOGY_THREAD_CNT - 3;
    t->stats = aligned_alloc(64, t->stats_cnt * sizeof(t->stats[0]));
    t->lost = calloc(t->stats_cnt, sizeof(t->lost[0]));
    if (t->stats == NULL || t->lost == NULL)
        error = -ENOMEM;
    else
        memset(t->stats, 0, t->stats_cnt * sizeof(t->stats[0]));
    t->streams = make_streams(lane_cnt);
    if (t->streams == NULL)
        error = -ENOMEM;
    for (int id = 0; id < TOPOLOGY_LINK_CNT && error == 0; id++)
        error = make_rings(t, id, prefix);
    if (error != 0)
        topology_fini(t);
    return error;
}

int topology_add_listeners(struct topology *t, uint32_t cnt)
{
    t->listener = calloc(cnt, sizeof(t->listener[0]));
    if (t->listener == NULL)
        return -ENOMEM;
    for (; t->listener_cnt < cnt; t->listener_cnt++) {
        size_t bytes = t->lane_cnt * sizeof(struct stats_listener);
        struct stats_listener *of_lane = aligned_alloc(64, bytes);
        if (of_lane == NULL)
            return -ENOMEM;
        memset(of_lane, 0, bytes);
        t->listener[t->listener_cnt].of_lane = of_lane;
    }
    return 0;
}

uint64_t topology_listener_total(const struct topology *t, uint32_t listener,
                                 enum stats_listener_id id)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < t->lane_cnt; i++)
        sum += atomic_load_explicit(&t->listener[listener].of_lane[i].v[id], memory_order_relaxed);
    return sum;
}

void topology_fini(struct topology *t)
{
    for (uint32_t i = 0; i < t->listener_cnt; i++)
        free(t->listener[i].of_lane);
    free(t->listener);
    for (int id = 0; id < TOPOLOGY_LINK_CNT; id++) {
        for (uint32_t i = 0; t->ring[id] != NULL && i < ring_cnt(t, &links[id]); i++)
            rte_ring_free(t->ring[id][i]);
        free(t->ring[id]);
    }
    for (uint32_t i = 0; i < t->lane_cnt; i++)
        doorbell_fini(&t->lane_bell[i]);
    for (uint32_t i = 0; i < t->spool_cnt; i++)
        doorbell_fini(&t->spool[i].bell);
    doorbell_fini(&t->courier_bell);
    doorbell_fini(&t->host_bell);
    doorbell_fini(&t->resolver_bell);
    doorbell_fini(&t->auth_bell);
    doorbell_fini(&t->stream_bell);
    doorbell_fini(&t->control_bell);
    free_streams(t);
    free(t->stats);
    free(t->lost);
    *t = (struct topology){0};
}

int topology_number_spool(struct topology *t, uint32_t spool, uint8_t number)
{
    if (t->spool_of[number] != 0)
        return -EEXIST;
    t->spool_of[number] = (uint8_t)(spool + 1);
    t->spool[spool].number = number;
    return 0;
}

uint32_t topology_choose_spool(const struct topology *t, uint32_t turn, const char **why)
{
    uint32_t cnt = t->spool_cnt, own = turn % cnt;

    *why = topology_spool_refusal(t, own);
    if (*why == NULL)
        return own;
    for (uint32_t i = 0; i + 1 < cnt; i++) {
        uint32_t other = (own + 1 + (turn / cnt + i) % (cnt - 1)) % cnt;
        if (topology_spool_refusal(t, other) == NULL)
            return other;
    }
    return TOPOLOGY_SPOOL_NONE;
}

struct stats_log topology_log(const struct topology *t, enum topology_thread thread,
                              uint32_t number)
{
    static const struct {
        uint16_t first;
        enum topology_link_id link;
    } ends[] = {[TOPOLOGY_LANE] = {0, TOPOLOGY_LANE_LOG},
                [TOPOLOGY_SPOOLER] = {0xfe00, TOPOLOGY_SPOOLER_LOG},
                [TOPOLOGY_COURIER] = {0xff00 + TOPOLOGY_COURIER, TOPOLOGY_COURIER_LOG},
                [TOPOLOGY_CONTROL] = {0xff00 + TOPOLOGY_CONTROL, TOPOLOGY_CONTROL_LOG},
                [TOPOLOGY_RESOLVER] = {0xff00 + TOPOLOGY_RESOLVER, TOPOLOGY_RESOLVER_LOG},
                [TOPOLOGY_AUTH] = {0xff00 + TOPOLOGY_AUTH, TOPOLOGY_AUTH_LOG}};
    struct stats_block *stats = topology_stats(t, thread, number);

    base_assert(thread < BASE_ARRAY_CNT(ends));
    return (struct stats_log){
        .ring = topology_ring(t, ends[thread].link, number),
        .stats = stats,
        .lost = &t->lost[stats - t->stats],
        .thread = (uint16_t)(ends[thread].first + number),
        .unattended = t->silent,
    };
}

void topology_thread_name(const struct topology *t, uint32_t i, char *out, size_t cap)
{
    static const char *const other[] = {"courier", "control", "host", "resolver",
                                        "auth",    "stream",  "log"};
    uint32_t threads_before = t->lane_cnt + t->spool_cnt;

    if (i < t->lane_cnt)
        snprintf(out, cap, "lane%u", i);
    else if (i < threads_before && t->spool_cnt == 1)
        snprintf(out, cap, "spooler");
    else if (i < threads_before)
        snprintf(out, cap, "spooler_%s", t->spool[i - t->lane_cnt].name);
    else if (i - threads_before < BASE_ARRAY_CNT(other))
        snprintf(out, cap, "%s", other[i - threads_before]);
    else
        snprintf(out, cap, "keyop%u", i - threads_before - (uint32_t)BASE_ARRAY_CNT(other));
}
