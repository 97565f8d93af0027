#include "disk_sim.h"

#include "base_rand.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUE_MAX = 256, FILE_MAX = 1024 };

struct sim_file {
    uint32_t segment;
    uint64_t bytes;
    uint8_t *data;
};

struct sim_request {
    struct spool_io io;
    uint64_t due; /* tick */
    int64_t result;
    bool partly; /* any of its sectors are written */
    bool ghost;  /* failed, and what is read looks written until the cache is dropped */
};

enum { GHOST_BYTES = 512 };

/* A sector of a file's data that is only in the cache: what is stable. */
struct sim_ghost {
    struct sim_ghost *next;
    uint32_t segment;
    uint64_t offset;
    uint8_t old[GHOST_BYTES];
};

/* What lay at target before; or with len 0: a file's memory, made since the snapshot. */
struct sim_undo {
    struct sim_undo *next;
    uint8_t *target;
    uint32_t len;
    uint8_t old[];
};

struct disk_sim {
    struct disk_sim_config config;
    struct base_rand rand;
    struct sim_file files[FILE_MAX]; /* ascending */
    uint32_t file_cnt;
    struct sim_request queue[QUEUE_MAX];
    uint32_t queue_cnt;
    uint64_t tick;
    bool hangs; /* writes do not complete */
    uint64_t op_cnt;
    uint64_t write_cnt;
    uint64_t fail_from; /* writes that fail by plan */
    uint64_t fail_cnt;
    int fail_error;
    bool dead;
    uint64_t die_in; /* operations; 0: not by itself */
    struct sim_ghost *ghosts;
    void (*watcher)(void *arg);
    void *watcher_arg;
    struct disk_sim *saved; /* by snapshot; all but what the files hold */
    struct sim_undo *undo;  /* newest first */
};

static struct sim_file *file_find(struct disk_sim *d, uint32_t segment)
{
    for (uint32_t i = 0; i < d->file_cnt; i++)
        if (d->files[i].segment == segment)
            return &d->files[i];
    return NULL;
}

static void undo_add(struct disk_sim *d, uint8_t *target, uint32_t len)
{
    if (d->saved == NULL)
        return;
    struct sim_undo *u = malloc(sizeof(*u) + len);
    base_assert(u != NULL);
    u->target = target;
    u->len = len;
    memcpy(u->old, target, len);
    u->next = d->undo;
    d->undo = u;
}

static void ghost_remove(struct disk_sim *d, struct sim_ghost **link)
{
    struct sim_ghost *ghost = *link;
    base_assert(d->saved == NULL); /* by then the cache is gone: see cache_drop */
    *link = ghost->next;
    free(ghost);
}

static void stable_write(struct disk_sim *d, struct sim_file *f, uint64_t offset,
                         const uint8_t *data, uint32_t len)
{
    for (struct sim_ghost **g = &d->ghosts; *g != NULL;)
        if ((*g)->segment == f->segment && (*g)->offset >= offset && (*g)->offset < offset + len)
            ghost_remove(d, g);
        else
            g = &(*g)->next;
    undo_add(d, f->data + offset, len);
    memcpy(f->data + offset, data, len);
}

/* The bytes are read from now on, and are not stable. */
static void cache_write(struct disk_sim *d, struct sim_file *f, uint64_t offset,
                        const uint8_t *data, uint32_t len)
{
    for (uint64_t at = offset; at < offset + len; at += GHOST_BYTES) {
        struct sim_ghost *g = d->ghosts;
        while (g != NULL && (g->segment != f->segment || g->offset != at))
            g = g->next;
        if (g == NULL) {
            g = malloc(sizeof(*g));
            base_assert(g != NULL && d->saved == NULL);
            *g = (struct sim_ghost){.next = d->ghosts, .segment = f->segment, .offset = at};
            memcpy(g->old, f->data + at, GHOST_BYTES);
            d->ghosts = g;
        }
    }
    memcpy(f->data + offset, data, len);
}

/* What is only in the cache is gone: of one file, or (0) of all. After a snapshot all goes at once.
 */
static void cache_drop(struct disk_sim *d, uint32_t segment)
{
    bool all = segment == 0 || d->saved != NULL;
    for (struct sim_ghost **g = &d->ghosts; *g != NULL;) {
        struct sim_file *f = file_find(d, (*g)->segment);
        if (!all && (*g)->segment != segment) {
            g = &(*g)->next;
            continue;
        }
        if (f != NULL) {
            undo_add(d, f->data + (*g)->offset, GHOST_BYTES);
            memcpy(f->data + (*g)->offset, (*g)->old, GHOST_BYTES);
        }
        if (d->saved == NULL)
            ghost_remove(d, g);
        else
            *g = (*g)->next; /* from the head on: the saved list still has them all */
    }
}

/* Something changed that a crash would leave. */
static void watched(struct disk_sim *d)
{
    if (d->die_in > 0 && --d->die_in == 0) {
        struct spool_disk self = {.state = d};
        disk_sim_crash(&self);
        return;
    }
    if (d->watcher != NULL && d->saved == NULL && !d->dead)
        d->watcher(d->watcher_arg);
}

static bool chance(struct disk_sim *d, uint32_t ppm)
{
    return ppm > 0 && base_rand_below(&d->rand, 1000000) < ppm;
}

static void write_plan(struct disk_sim *d, struct sim_request *q)
{
    uint64_t n = d->write_cnt++;
    if (n >= d->fail_from && n - d->fail_from < d->fail_cnt) {
        q->result = d->fail_error;
        q->partly = true;
    } else if (chance(d, d->config.write_error_ppm)) {
        static const int error[] = {EIO, EIO, ENOSPC, EAGAIN, EINTR};
        q->result = -error[base_rand_below(&d->rand, BASE_ARRAY_CNT(error))];
        q->partly = true;
    } else if (chance(d, d->config.write_ghost_ppm)) {
        q->result = -EIO;
        q->ghost = true;
    } else if (chance(d, d->config.write_short_ppm)) {
        q->result = (int64_t)base_rand_below(&d->rand, q->io.len) / 512 * 512;
        q->partly = true;
    }
}

static int sim_submit(void *disk, const struct spool_io *io)
{
    struct disk_sim *d = disk;
    if (d->dead)
        return -EIO;
    base_assert(io->offset % SPOOL_BLOCK_BYTES == 0 && io->len % SPOOL_BLOCK_BYTES == 0);
    base_assert((uintptr_t)io->data % SPOOL_BLOCK_BYTES == 0 && io->len > 0);
    if (d->queue_cnt >= d->config.queue_depth || chance(d, d->config.again_ppm))
        return -EAGAIN;
    const struct sim_file *f = file_find(d, io->segment);
    struct sim_request *q = &d->queue[d->queue_cnt++];
    *q = (struct sim_request){.io = *io, .result = io->len};
    q->due = d->tick + base_rand_below(&d->rand, d->config.delay_max + 1);
    d->op_cnt++;
    base_assert(f != NULL && io->offset + io->len <= f->bytes);
    if (io->op == SPOOL_IO_WRITE) {
        write_plan(d, q);
        watched(d);
    } else if (chance(d, d->config.read_error_ppm)) {
        q->result = -EIO;
    }
    return 0;
}

/* Writes each sector, or with a coin for each. */
static void write_apply(struct disk_sim *d, const struct sim_request *q, bool coin)
{
    struct sim_file *f = file_find(d, q->io.segment);
    if (f == NULL)
        return;
    if (q->ghost) {
        cache_write(d, f, q->io.offset, q->io.data, q->io.len);
        return;
    }
    if (!coin) {
        stable_write(d, f, q->io.offset, q->io.data, q->io.len);
        return;
    }
    /* All, nothing, a prefix and any subset are all likely. */
    uint64_t kind = base_rand_below(&d->rand, 4);
    uint64_t end = kind == 0 ? q->io.len : base_rand_below(&d->rand, q->io.len);
    for (uint32_t at = 0; at < q->io.len; at += d->config.sector_bytes) {
        bool keep = kind == 0 || (kind == 1 && at < end) ||
                    (kind == 2 && (base_rand_next(&d->rand) & 1) != 0);
        if (keep)
            stable_write(d, f, q->io.offset + at, (const uint8_t *)q->io.data + at,
                         d->config.sector_bytes);
    }
}

static void request_end(struct disk_sim *d, struct sim_request *q, struct spool_io_done *done)
{
    if (q->io.op == SPOOL_IO_WRITE) {
        write_apply(d, q, q->partly);
    } else if (q->result > 0) {
        const struct sim_file *f = file_find(d, q->io.segment);
        base_assert(f != NULL);
        memcpy(q->io.data, f->data + q->io.offset, q->io.len);
        if (chance(d, d->config.read_flip_ppm)) {
            uint64_t bit = base_rand_below(&d->rand, (uint64_t)q->io.len * 8);
            ((uint8_t *)q->io.data)[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        }
    }
    done->cookie = q->io.cookie;
    done->result = q->result;
    bool changed = q->io.op == SPOOL_IO_WRITE;
    *q = d->queue[--d->queue_cnt];
    if (changed)
        watched(d);
}

static uint32_t sim_poll(void *disk, struct spool_io_done *done, uint32_t cap)
{
    struct disk_sim *d = disk;
    uint32_t n = 0;
    if (d->dead || cap == 0)
        return 0;
    d->tick++;
    for (uint32_t i = 0; i < d->queue_cnt && n < cap;) {
        if (d->queue[i].due < d->tick && !(d->hangs && d->queue[i].io.op == SPOOL_IO_WRITE))
            request_end(d, &d->queue[i], &done[n++]);
        else
            i++;
    }
    return n;
}

static int sim_wait(void *disk)
{
    struct disk_sim *d = disk;
    if (d->dead || d->queue_cnt == 0)
        return -EIO;
    uint64_t due = UINT64_MAX;
    for (uint32_t i = 0; i < d->queue_cnt; i++)
        if (d->queue[i].due < due)
            due = d->queue[i].due;
    if (due > d->tick)
        d->tick = due;
    return 0;
}

static int sim_wait_fd(void *disk)
{
    (void)disk;
    return -1;
}

static int sim_segment_list(void *disk, uint32_t *numbers, uint32_t cap)
{
    const struct disk_sim *d = disk;
    for (uint32_t i = 0; i < d->file_cnt && i < cap; i++)
        numbers[i] = d->files[i].segment;
    return (int)d->file_cnt;
}

static int64_t bytes_free(const struct disk_sim *d)
{
    uint64_t used = 0;
    for (uint32_t i = 0; i < d->file_cnt; i++)
        used += d->files[i].bytes;
    if (d->config.capacity_bytes == 0)
        return INT64_MAX;
    return used > d->config.capacity_bytes ? 0 : (int64_t)(d->config.capacity_bytes - used);
}

static int sim_segment_create(void *disk, uint32_t segment, uint64_t bytes)
{
    struct disk_sim *d = disk;
    d->op_cnt++;
    if (d->dead)
        return -EIO;
    if (file_find(d, segment) != NULL)
        return -EEXIST;
    if (d->file_cnt == FILE_MAX || bytes_free(d) < (int64_t)bytes)
        return -ENOSPC;
    uint8_t *data = calloc(1, bytes);
    if (data == NULL)
        return -ENOSPC;
    uint32_t at = d->file_cnt++;
    for (; at > 0 && d->files[at - 1].segment > segment; at--)
        d->files[at] = d->files[at - 1];
    d->files[at] = (struct sim_file){.segment = segment, .bytes = bytes, .data = data};
    undo_add(d, data, 0);
    watched(d);
    return 0;
}

static int64_t sim_segment_open(void *disk, uint32_t segment)
{
    const struct sim_file *f = file_find(disk, segment);
    cache_drop(disk, segment);
    return f == NULL ? -ENOENT : (int64_t)f->bytes;
}

static int sim_segment_remove(void *disk, uint32_t segment)
{
    struct disk_sim *d = disk;
    struct sim_file *f = file_find(d, segment);
    if (d->dead)
        return -EIO;
    if (f == NULL)
        return -ENOENT;
    cache_drop(d, segment);
    if (d->saved == NULL)
        free(f->data); /* else restore wants it, or frees it */
    d->file_cnt--;
    for (; f < d->files + d->file_cnt; f++)
        *f = f[1];
    watched(d);
    return 0;
}

static int64_t sim_free_bytes(void *disk)
{
    return bytes_free(disk);
}

static const struct spool_disk_ops sim_ops = {
    .name = "sim",
    .submit = sim_submit,
    .poll = sim_poll,
    .wait = sim_wait,
    .wait_fd = sim_wait_fd,
    .segment_list = sim_segment_list,
    .segment_create = sim_segment_create,
    .segment_open = sim_segment_open,
    .segment_set_aside = sim_segment_remove, /* nobody looks at it there */
    .segment_remove = sim_segment_remove,
    .free_bytes = sim_free_bytes,
};

int disk_sim_open(struct spool_disk *out, const struct disk_sim_config *config)
{
    base_assert(config->queue_depth >= 1 && config->queue_depth <= QUEUE_MAX);
    base_assert(config->sector_bytes == 512 || config->sector_bytes == 4096);
    struct disk_sim *d = calloc(1, sizeof(*d));
    if (d == NULL)
        return -ENOMEM;
    d->config = *config;
    base_rand_init(&d->rand, config->seed);
    *out = (struct spool_disk){.ops = &sim_ops, .state = d};
    return 0;
}

void disk_sim_close(struct spool_disk *disk)
{
    struct disk_sim *d = disk->state;
    cache_drop(d, 0);
    for (uint32_t i = 0; i < d->file_cnt; i++)
        free(d->files[i].data);
    free(d);
    disk->state = NULL;
}

void disk_sim_crash(struct spool_disk *disk)
{
    struct disk_sim *d = disk->state;
    cache_drop(d, 0);
    for (uint32_t i = 0; i < d->queue_cnt; i++)
        if (d->queue[i].io.op == SPOOL_IO_WRITE && !d->queue[i].ghost)
            write_apply(d, &d->queue[i], true);
    d->queue_cnt = 0;
    d->dead = true;
}

void disk_sim_crash_keep(struct spool_disk *disk, uint32_t sector_bytes,
                         bool (*keep)(void *arg, uint32_t nth, uint32_t sector), void *arg)
{
    struct disk_sim *d = disk->state;
    uint32_t nth = 0;
    cache_drop(d, 0);
    for (uint32_t i = 0; i < d->queue_cnt; i++) {
        const struct spool_io *io = &d->queue[i].io;
        struct sim_file *f = file_find(d, io->segment);
        if (io->op != SPOOL_IO_WRITE)
            continue;
        for (uint32_t at = 0; f != NULL && at < io->len; at += sector_bytes)
            if (keep(arg, nth, at / sector_bytes))
                stable_write(d, f, io->offset + at, (const uint8_t *)io->data + at, sector_bytes);
        nth++;
    }
    d->queue_cnt = 0;
    d->dead = true;
}

uint32_t disk_sim_under_way(const struct spool_disk *disk, uint32_t nth)
{
    const struct disk_sim *d = disk->state;
    for (uint32_t i = 0; i < d->queue_cnt; i++)
        if (d->queue[i].io.op == SPOOL_IO_WRITE && nth-- == 0)
            return d->queue[i].io.len;
    return 0;
}

void disk_sim_watch(struct spool_disk *disk, void (*watcher)(void *arg), void *arg)
{
    struct disk_sim *d = disk->state;
    d->watcher = watcher;
    d->watcher_arg = arg;
}

void disk_sim_snapshot(struct spool_disk *disk)
{
    struct disk_sim *d = disk->state;
    struct disk_sim *saved = malloc(sizeof(*saved));
    base_assert(saved != NULL && d->saved == NULL);
    *saved = *d;
    d->saved = saved;
}

void disk_sim_restore(struct spool_disk *disk)
{
    struct disk_sim *d = disk->state;
    struct disk_sim *saved = d->saved;
    base_assert(saved != NULL && (d->queue_cnt == 0 || d->dead));
    for (struct sim_undo *u = d->undo, *next; u != NULL; u = next) {
        next = u->next;
        memcpy(u->target, u->old, u->len);
        if (u->len == 0)
            free(u->target);
        free(u);
    }
    *d = *saved; /* its undo is empty, and it has none saved */
    free(saved);
}

void disk_sim_flip(struct spool_disk *disk, uint32_t segment, uint64_t bit)
{
    struct sim_file *f = file_find(disk->state, segment);
    base_assert(f != NULL && bit / 8 < f->bytes);
    undo_add(disk->state, f->data + bit / 8, 1);
    f->data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
}

void disk_sim_restart(struct spool_disk *disk)
{
    struct disk_sim *d = disk->state;
    d->dead = false;
    d->die_in = 0;
}

void disk_sim_crash_in(struct spool_disk *disk, uint64_t op_cnt)
{
    struct disk_sim *d = disk->state;
    base_assert(op_cnt > 0);
    d->die_in = op_cnt;
}

bool disk_sim_dead(const struct spool_disk *disk)
{
    const struct disk_sim *d = disk->state;
    return d->dead;
}

void disk_sim_configure(struct spool_disk *disk, const struct disk_sim_config *config)
{
    struct disk_sim *d = disk->state;
    uint64_t seed = d->config.seed;
    d->config = *config;
    d->config.seed = seed;
}

void disk_sim_fail_writes(struct spool_disk *disk, uint64_t nth, uint64_t cnt, int error)
{
    struct disk_sim *d = disk->state;
    d->fail_from = d->write_cnt + nth;
    d->fail_cnt = cnt;
    d->fail_error = error;
}

void disk_sim_hang(struct spool_disk *disk, bool hang)
{
    struct disk_sim *d = disk->state;
    d->hangs = hang;
}

uint64_t disk_sim_op_cnt(const struct spool_disk *disk)
{
    const struct disk_sim *d = disk->state;
    return d->op_cnt;
}

uint8_t *disk_sim_data(struct spool_disk *disk, uint32_t segment, uint64_t *bytes)
{
    struct sim_file *f = file_find(disk->state, segment);
    if (f == NULL)
        return NULL;
    *bytes = f->bytes;
    return f->data;
}
