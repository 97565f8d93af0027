#include "telemetry.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_mempool.h>
#include <rte_telemetry.h>
#include <rte_version.h>

#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
#define add_u64 rte_tel_data_add_dict_uint
#else
#define add_u64 rte_tel_data_add_dict_u64
#endif

/* jemalloc's own, when it is linked in: sanitizer builds have another allocator. */
extern int mallctl(const char *name, void *old, size_t *old_len, void *new_value, size_t new_len)
    __attribute__((weak));

/* DPDK's callbacks have no argument of ours, and its thread goes on while the gateway ends: what
 * they show is looked at under the lock, NULL when there is nothing any more. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct topology *shown;

/* The thread that is meant: its number, or the name of the spool that it is of. */
static int find_thread(const char *word, uint32_t *thread)
{
    char *rest;

    for (uint32_t i = 0; i < shown->spool_cnt; i++)
        if (strcmp(shown->spool[i].name, word) == 0) {
            *thread = shown->lane_cnt + i;
            return 0;
        }
    unsigned long n = strtoul(word, &rest, 10);
    if (*rest != 0 || n >= shown->stats_cnt)
        return -EINVAL;
    *thread = (uint32_t)n;
    return 0;
}

/* Two digits behind the point: DPDK's telemetry has no fractions. */
static int add_ratio(struct rte_tel_data *d, const char *name, uint64_t a, uint64_t b)
{
    char text[32];

    snprintf(text, sizeof(text), "%.2f", b == 0 ? 0 : (double)a / (double)b);
    return rte_tel_data_add_dict_string(d, name, text);
}

/* Of one spool, what its counters come to. */
static int add_spool(struct rte_tel_data *d, uint32_t spool)
{
    const struct stats_block *s = topology_stats(shown, TOPOLOGY_SPOOLER, spool);
    const char *why = topology_spool_refusal(shown, spool);
    int error = rte_tel_data_add_dict_string(d, "name", shown->spool[spool].name);

    if (error == 0)
        error = add_u64(d, "number", shown->spool[spool].number);
    if (error == 0)
        error = rte_tel_data_add_dict_string(d, "accepting", why == NULL ? "yes" : why);
    if (error == 0)
        error = add_ratio(d, "amplification", stats_get(s, STATS_SPOOL_WRITTEN_BYTES),
                          stats_get(s, STATS_SPOOL_TAKEN_BYTES));
    if (error == 0)
        error = add_ratio(d, "records_per_commit", stats_get(s, STATS_SPOOL_RECORDS),
                          stats_get(s, STATS_SPOOL_BATCHES));
    return error;
}

/* The counters of one group: of one thread by number, of a spooler by its spool's name, or the sum
 * of all. */
static int show_group(const char *cmd, const char *params, struct rte_tel_data *d)
{
    const char *name = strrchr(cmd, '/') + 1;
    uint32_t first = 0, end = shown->stats_cnt;

    if (params != NULL && *params != 0) {
        if (find_thread(params, &first) != 0)
            return -EINVAL;
        end = first + 1;
    }
    rte_tel_data_start_dict(d);
    if (strcmp(name, "spool") == 0 && end == first + 1 && first >= shown->lane_cnt &&
        first < shown->lane_cnt + shown->spool_cnt && add_spool(d, first - shown->lane_cnt) != 0)
        return -ENOSPC;
    for (int id = 0; id < STATS_CNT; id++) {
        uint64_t sum = 0;
        if (strcmp(stats_rows[id].group, name) != 0)
            continue;
        for (uint32_t i = first; i < end; i++)
            sum += stats_get(&shown->stats[i], (enum stats_id)id);
        if (add_u64(d, stats_rows[id].name, sum) != 0)
            return -ENOSPC;
    }
    return 0;
}

/* Of all threads: one count, or the sum of the values for STATS_BOUND_MAX + 1. */
static uint64_t total(uint32_t id, uint32_t place)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < shown->stats_cnt; i++) {
        const struct stats_histogram *h = &shown->stats[i].h[id];
        n += atomic_load_explicit(place > STATS_BOUND_MAX ? &h->sum : &h->cnt[place],
                                  memory_order_relaxed);
    }
    return n;
}

/* The counts of one, by their bounds; each value is in one of them alone. */
static int show_buckets(uint32_t id, struct rte_tel_data *d)
{
    const struct stats_histogram_row *row = &stats_histogram_rows[id];
    char name[48];

    for (uint32_t i = 0; i <= row->bound_cnt; i++) {
        snprintf(name, sizeof(name), "to_%" PRIu64, UINT64_C(1) << (row->shift + i));
        if (i == row->bound_cnt)
            snprintf(name, sizeof(name), "above");
        if (add_u64(d, name, total(id, i)) != 0)
            return -ENOSPC;
    }
    return add_u64(d, "sum", total(id, STATS_BOUND_MAX + 1));
}

/* Without a parameter how many values each has, and their sum; else the counts of one. */
static int show_histograms(const char *cmd, const char *params, struct rte_tel_data *d)
{
    char name[80];

    (void)cmd;
    rte_tel_data_start_dict(d);
    for (uint32_t id = 0; id < STATS_HISTOGRAM_CNT; id++) {
        const struct stats_histogram_row *row = &stats_histogram_rows[id];
        uint64_t cnt = 0;
        snprintf(name, sizeof(name), "%s_%s", row->row.group, row->row.name);
        if (params != NULL && *params != 0) {
            if (strcmp(params, name) == 0)
                return show_buckets(id, d);
            continue;
        }
        for (uint32_t i = 0; i <= row->bound_cnt; i++)
            cnt += total(id, i);
        snprintf(name, sizeof(name), "%s_%s_count", row->row.group, row->row.name);
        if (add_u64(d, name, cnt) != 0)
            return -ENOSPC;
        snprintf(name, sizeof(name), "%s_%s_sum", row->row.group, row->row.name);
        if (add_u64(d, name, total(id, STATS_BOUND_MAX + 1)) != 0)
            return -ENOSPC;
    }
    return params != NULL && *params != 0 ? -EINVAL : 0;
}

static int show_threads(const char *cmd, const char *params, struct rte_tel_data *d)
{
    char name[32];

    (void)cmd;
    (void)params;
    rte_tel_data_start_dict(d);
    for (uint32_t i = 0; i < shown->stats_cnt; i++) {
        topology_thread_name(shown, i, name, sizeof(name));
        if (add_u64(d, name, i) != 0)
            return -ENOSPC;
    }
    return 0;
}

#define LISTENERS_SHOWN (256 / STATS_LISTENER_CNT) /* an answer has so many entries */

/* In names are letters, digits and underscores alone. */
static void make_name(char *p)
{
    for (; *p != 0; p++)
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", *p) == NULL)
            *p = '_';
}

/* Of the listener that is named, or of all, each counter behind its listener's name. */
static int show_listeners(const char *cmd, const char *params, struct rte_tel_data *d)
{
    bool one = params != NULL && *params != 0, found = !one;
    char name[64];

    (void)cmd;
    rte_tel_data_start_dict(d);
    for (uint32_t i = 0; i < shown->listener_cnt && (one || i < LISTENERS_SHOWN); i++) {
        if (one && strcmp(shown->listener[i].name, params) != 0)
            continue;
        found = true;
        for (int id = 0; id < STATS_LISTENER_CNT; id++) {
            snprintf(name, sizeof(name), "%.40s%s%s", one ? "" : shown->listener[i].name,
                     one ? "" : "_", stats_listener_rows[id].name);
            make_name(name);
            if (add_u64(d, name, topology_listener_total(shown, i, (enum stats_listener_id)id)) !=
                0)
                return -ENOSPC;
        }
    }
    return found ? 0 : -EINVAL;
}

/* Pools of one kind, the name without the lane's number: of 64 lanes there would be more pools than
 * an answer may have entries. */
#define POOL_KIND_MAX 16

struct pool_kinds {
    uint32_t cnt;
    struct {
        char name[RTE_MEMPOOL_NAMESIZE];
        uint64_t size, free_cnt;
    } kind[POOL_KIND_MAX];
};

static void count_pool(struct rte_mempool *pool, void *arg)
{
    struct pool_kinds *k = arg;
    char name[RTE_MEMPOOL_NAMESIZE];
    uint32_t i = 0;

    snprintf(name, sizeof(name), "%s", pool->name);
    for (size_t len = strlen(name); len > 0 && name[len - 1] >= '0' && name[len - 1] <= '9'; len--)
        name[len - 1] = 0;
    make_name(name);
    while (i < k->cnt && strcmp(k->kind[i].name, name) != 0)
        i++;
    if (i == POOL_KIND_MAX)
        return;
    if (i == k->cnt)
        snprintf(k->kind[k->cnt++].name, sizeof(k->kind[0].name), "%s", name);
    k->kind[i].size += pool->size;
    k->kind[i].free_cnt += rte_mempool_avail_count(pool);
}

static void add_pools(struct rte_tel_data *d)
{
    struct pool_kinds kinds = {0};
    char name[RTE_MEMPOOL_NAMESIZE + 16];

    rte_mempool_walk(count_pool, &kinds);
    for (uint32_t i = 0; i < kinds.cnt; i++) {
        snprintf(name, sizeof(name), "%s/size", kinds.kind[i].name);
        add_u64(d, name, kinds.kind[i].size);
        snprintf(name, sizeof(name), "%s/free", kinds.kind[i].name);
        add_u64(d, name, kinds.kind[i].free_cnt);
    }
}

static int show_memory(const char *cmd, const char *params, struct rte_tel_data *d)
{
    static const struct {
        const char *key, *name;
    } rows[] = {
        {"stats.allocated", "jemalloc/allocated_bytes"},
        {"stats.active", "jemalloc/active_bytes"},
        {"stats.metadata", "jemalloc/metadata_bytes"},
        {"stats.resident", "jemalloc/resident_bytes"},
        {"stats.mapped", "jemalloc/mapped_bytes"},
        {"stats.retained", "jemalloc/retained_bytes"},
    };
    uint64_t epoch = 1;
    unsigned arenas = 0;
    size_t len = sizeof(epoch);

    (void)cmd;
    (void)params;
    rte_tel_data_start_dict(d);
    add_pools(d);
    if (mallctl == NULL)
        return 0;
    mallctl("epoch", &epoch, &len, &epoch, len); /* refreshes the figures */
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        size_t value = 0;
        len = sizeof(value);
        if (mallctl(rows[i].key, &value, &len, NULL, 0) == 0)
            add_u64(d, rows[i].name, value);
    }
    len = sizeof(arenas);
    if (mallctl("arenas.narenas", &arenas, &len, NULL, 0) == 0)
        add_u64(d, "jemalloc/arenas", arenas);
    return 0;
}

static int locked(int (*show)(const char *cmd, const char *params, struct rte_tel_data *d),
                  const char *cmd, const char *params, struct rte_tel_data *d)
{
    pthread_mutex_lock(&lock);
    int error = shown != NULL ? show(cmd, params, d) : -ENODEV;
    pthread_mutex_unlock(&lock);
    return error;
}

static int group(const char *cmd, const char *params, struct rte_tel_data *d)
{
    return locked(show_group, cmd, params, d);
}

static int threads(const char *cmd, const char *params, struct rte_tel_data *d)
{
    return locked(show_threads, cmd, params, d);
}

static int histograms(const char *cmd, const char *params, struct rte_tel_data *d)
{
    return locked(show_histograms, cmd, params, d);
}

static int listeners(const char *cmd, const char *params, struct rte_tel_data *d)
{
    return locked(show_listeners, cmd, params, d);
}

static int memory(const char *cmd, const char *params, struct rte_tel_data *d)
{
    return locked(show_memory, cmd, params, d);
}

static void show(const struct topology *t)
{
    pthread_mutex_lock(&lock);
    shown = t;
    pthread_mutex_unlock(&lock);
}

/* Whether an earlier row has brought the command, or it is one of the others: DPDK takes a name
 * twice, and no more than 64 in all. */
static bool known_group(int id)
{
    bool known = strcmp(stats_rows[id].group, "memory") == 0;

    for (int i = 0; i < id && !known; i++)
        known = strcmp(stats_rows[i].group, stats_rows[id].group) == 0;
    return known;
}

int telemetry_start(const struct topology *t)
{
    char cmd[56];
    int error = rte_telemetry_register_cmd("/sluice/threads", threads,
                                           "Numbers of the threads, for the other commands");

    show(t);
    if (error == 0)
        error = rte_telemetry_register_cmd("/sluice/memory", memory, "Pools and the allocator");
    if (error == 0)
        error =
            rte_telemetry_register_cmd("/sluice/listeners", listeners,
                                       "What is counted by listener; parameter: the name of one");
    if (error == 0)
        error = rte_telemetry_register_cmd(
            "/sluice/histograms", histograms,
            "Number and sum of each histogram; parameter: one's name, for its counts");
    for (int id = 0; id < STATS_CNT && error == 0; id++) {
        if (known_group(id))
            continue;
        snprintf(cmd, sizeof(cmd), "/sluice/%s", stats_rows[id].group);
        error = rte_telemetry_register_cmd(
            cmd, group, "Counters of this group; parameter: thread, or name of a spool");
    }
    return error;
}

void telemetry_stop(void)
{
    show(NULL);
}

static int own(const char *path, gid_t gid, mode_t mode, char *err, size_t err_cap)
{
    if (chown(path, (uid_t)-1, gid) == 0 && chmod(path, mode) == 0)
        return 0;
    int error = errno;
    snprintf(
        err, err_cap,
        "telemetry: cannot set the group of %s: %s: start as root, or leave telemetry: group out",
        path, strerror(error));
    return -error;
}

int telemetry_permit(const struct conf *conf, char *err, size_t err_cap)
{
    const char *leaf = rte_eal_get_runtime_dir();
    char parent[256], socket[300];
    gid_t gid = 0;

    if (!conf->telemetry.enabled)
        return 0;
    if (conf->telemetry.group != NULL && conf->telemetry.group[0] != 0) {
        struct group *g = getgrnam(conf->telemetry.group);
        if (g == NULL) {
            snprintf(err, err_cap,
                     "telemetry: group: there is no group '%s': make it (groupadd --system %s), or "
                     "name another",
                     conf->telemetry.group, conf->telemetry.group);
            return -ENOENT;
        }
        gid = g->gr_gid;
    }
    bool named = gid != 0;
    snprintf(parent, sizeof(parent), "%s", leaf);
    char *slash = strrchr(parent, '/');
    if (slash != NULL && slash != parent)
        *slash = 0;
    snprintf(socket, sizeof(socket), "%s/dpdk_telemetry.v2", leaf);
    int error = 0;
    if (geteuid() != 0)
        gid = getegid();
    if (named) { /* the parent is shared by all DPDK programs: others may pass, not look */
        struct stat st;
        if (stat(parent, &st) == 0 && (st.st_mode & S_IXOTH) == 0 &&
            chmod(parent, (st.st_mode & 0777) | S_IXOTH | S_IXGRP) != 0)
            error = -errno;
        if (error != 0)
            snprintf(err, err_cap,
                     "telemetry: cannot let the group pass %s: %s: start as root, or leave "
                     "telemetry: group out",
                     parent, strerror(-error));
    }
    if (error == 0)
        error = own(leaf, gid, named ? 0750 : 0700, err, err_cap);
    if (error == 0)
        error = own(socket, gid, named ? 0660 : 0600, err, err_cap);
    return error;
}
