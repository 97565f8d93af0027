#include "gateway_spool.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUEUE_DEPTH 64

/* Puts before the sentence in err which spool it is about. */
static int fail_at(const struct conf_spool *c, int error, char *err, size_t err_cap)
{
    char why[GATEWAY_ERROR_CAP];

    snprintf(why, sizeof(why), "%s", err[0] != 0 ? err : strerror(-error));
    snprintf(err, err_cap, "spool %s: %s: %s", c->name, c->path, why);
    return error;
}

/* Two blocks may name one directory in two ways. */
static int check_same(const struct gateway *g, uint32_t index, char *err, size_t err_cap)
{
    struct stat own, other;

    if (fstat(g->spool[index].dir, &own) != 0)
        return -errno;
    for (uint32_t i = 0; i < index; i++)
        if (fstat(g->spool[i].dir, &other) == 0 && other.st_dev == own.st_dev &&
            other.st_ino == own.st_ino) {
            snprintf(err, err_cap, "is the directory of spool %s, too", g->topology.spool[i].name);
            return -EEXIST;
        }
    return 0;
}

static int open_disk(struct gateway *g, uint32_t index, const struct conf_spool *c,
                     struct opener *opener, char *err, size_t err_cap)
{
    struct gateway_spool *s = &g->spool[index];
    char path[OPENER_PATH_MAX];

    snprintf(path, sizeof(path), "%s/.", c->path);
    s->dir = opener_open(opener, path);
    if (s->dir < 0)
        return s->dir;
    s->dir_open = true;
    int error = check_same(g, index, err, err_cap);
    if (error != 0)
        return error;
    struct disk_uring_config d = {.dir_fd = s->dir,
                                  .queue_depth = QUEUE_DEPTH,
                                  .segment_max = (uint32_t)(c->size_bytes / c->segment_bytes)};
    error = disk_uring_open(&s->disk, &d, err, err_cap);
    if (error != 0)
        return error;
    s->disk_open = true;
    if (!disk_uring_restricted(&s->disk))
        fprintf(stderr,
                "sluiced: warning: spool %s: this kernel cannot restrict io_uring's ring to "
                "reading and writing (Linux 5.10 can)\n",
                c->name);
    if (disk_uring_buffered(&s->disk))
        fprintf(stderr,
                "sluiced: warning: spool: path: %s has no O_DIRECT: slower, and a failed "
                "write may go unseen in the page cache\n",
                c->path);
    return 0;
}

/* Told on standard error too: the log may be a file, and who started is here. */
static void warn_damage(const struct conf_spool *c, const struct stats_block *stats,
                        const char *first)
{
    uint64_t cnt = stats_get(stats, STATS_SPOOL_CORRUPT);

    if (cnt == 0)
        return;
    fprintf(stderr,
            "sluiced: warning: spool %s: %s: started past damage in %" PRIu64
            " places, the first: %s; each is in the log, damaged segments go to %s/quarantine, and "
            "messages that lost bytes are given up\n",
            c->name, c->path, cnt, first, c->path);
}

static int open_spool(struct gateway *g, uint32_t index, const struct conf_spool *c, char *err,
                      size_t err_cap)
{
    struct gateway_spool *s = &g->spool[index];
    /* A batch lies in one segment, beside the segment's header. */
    uint64_t batch_bytes = c->batch_bytes == c->segment_bytes ? c->batch_bytes / 2 : c->batch_bytes;
    struct spool_config config = {
        .disk = s->disk,
        .name = c->name,
        .segment_bytes = c->segment_bytes,
        .segment_max = (uint32_t)(c->size_bytes / c->segment_bytes),
        .reserve_segments = 2,
        .commit_max = (uint32_t)c->commits,
        .batch_bytes_max = (uint32_t)batch_bytes,
        .memory_bytes = c->memory_bytes,
        .write_timeout_ns = c->write_timeout_ns,
        .accept_corruption = g->accept_corruption,
        .stats = topology_stats(&g->topology, TOPOLOGY_SPOOLER, index),
        .log = &s->log,
    };

    s->log = topology_log(&g->topology, TOPOLOGY_SPOOLER, index);
    if (getrandom(&config.seed, sizeof(config.seed), 0) != sizeof(config.seed))
        return -EIO;
    int error = spool_open(&s->spool, &config, loop_now_ns(), err, err_cap);
    if (error == 0)
        warn_damage(c, config.stats, err);
    else if (error == -EBADMSG) {
        size_t len = strlen(err);
        snprintf(err + len, err_cap - len,
                 "; nothing was changed. sluicectl spool check %s tells all of it, sluiced "
                 "--accept-corruption starts past it",
                 c->path);
    }
    return error;
}

/* Numbers of new spools are taken at random: one that is away for a while is not likely to find its
 * number taken when it comes back. */
static int number_new(struct gateway *g, uint32_t cnt)
{
    bool taken[256] = {false};
    uint8_t number;

    for (uint32_t i = 0; i < cnt; i++)
        if (spool_is_numbered(g->spool[i].spool))
            taken[spool_number(g->spool[i].spool)] = true;
    for (uint32_t i = 0; i < cnt; i++) {
        if (spool_is_numbered(g->spool[i].spool))
            continue;
        do {
            if (getrandom(&number, sizeof(number), 0) != sizeof(number))
                return -EIO;
        } while (taken[number]);
        taken[number] = true;
        spool_set_number(g->spool[i].spool, number);
    }
    return 0;
}

/* Who has the number that this one has, too. */
static void tell_twin(const struct gateway *g, uint32_t index, char *err, size_t err_cap)
{
    const struct spool *own = g->spool[index].spool;

    for (uint32_t i = 0; i < index; i++) {
        const struct spool *other = g->spool[i].spool;
        if (spool_number(other) != spool_number(own))
            continue;
        if (memcmp(spool_uuid(other), spool_uuid(own), 16) == 0)
            snprintf(err, err_cap, "is a copy of spool %s: one of the two must go",
                     g->topology.spool[i].name);
        else
            snprintf(err, err_cap,
                     "has the number of spool %s, %u, in the ids of its messages: run a gateway "
                     "with one of the two alone until it is empty, and then remove its segments",
                     g->topology.spool[i].name, spool_number(own));
    }
}

int gateway_spools_open(struct gateway *g, const struct conf *conf, struct opener *opener,
                        char *err, size_t err_cap)
{
    int error = 0;

    for (uint32_t i = 0; i < conf->spool_cnt; i++) {
        const struct conf_spool *c = &conf->spool[i];
        g->topology.spool[i].name = c->name;
        err[0] = 0;
        error = open_disk(g, i, c, opener, err, err_cap);
        if (error == 0)
            error = open_spool(g, i, c, err, err_cap);
        if (error != 0)
            return fail_at(c, error, err, err_cap);
    }
    error = number_new(g, conf->spool_cnt);
    if (error != 0)
        snprintf(err, err_cap, "no random bytes (%s)", strerror(-error));
    for (uint32_t i = 0; i < conf->spool_cnt && error == 0; i++) {
        error = spooler_init(&g->spool[i].spooler, &g->topology, i, g->spool[i].spool);
        err[0] = 0;
        if (error == -EEXIST)
            tell_twin(g, i, err, err_cap);
        if (error != 0)
            return fail_at(&conf->spool[i], error, err, err_cap);
        if (!conf->spool[i].accept)
            spooler_close(&g->spool[i].spooler);
    }
    return error;
}

int gateway_give_spool(struct gateway *g, const char *user, char *err, size_t err_cap)
{
    const struct passwd *p = getpwnam(user);
    int error = 0;

    if (p == NULL) {
        snprintf(err, err_cap, "gateway: user: there is no user '%s'", user);
        return -ENOENT;
    }
    if (geteuid() != 0)
        return 0; /* nothing that we could give */
    for (uint32_t i = 0; i < g->topology.spool_cnt && error == 0; i++) {
        if (fchown(g->spool[i].dir, p->pw_uid, p->pw_gid) != 0)
            error = -errno;
        if (error == 0)
            error = disk_uring_give(&g->spool[i].disk, p->pw_uid, p->pw_gid);
        if (error != 0)
            snprintf(err, err_cap, "spool %s: path: cannot be given to gateway: user %s (%s)",
                     g->topology.spool[i].name, user, strerror(-error));
    }
    return error;
}

void gateway_spools_finish(struct gateway *g)
{
    for (uint32_t i = 0; i < TOPOLOGY_SPOOL_MAX; i++) {
        if (g->spool[i].spool != NULL)
            spool_close(g->spool[i].spool);
        g->spool[i].spool = NULL;
    }
}

void gateway_spools_close(struct gateway *g)
{
    for (uint32_t i = 0; i < TOPOLOGY_SPOOL_MAX; i++) {
        struct gateway_spool *s = &g->spool[i];
        if (s->spooler.source != NULL)
            spooler_fini(&s->spooler);
        if (s->disk_open)
            disk_uring_close(&s->disk);
        if (s->dir_open)
            close(s->dir);
    }
}
