/*
 * A disk in memory that forgets, tears and fails, for simulations: by a seed and by plan.
 *
 * A write is on stable storage when its completion is polled, not before (O_DSYNC). One that fails
 * says so itself: any of its sectors may have changed, or (where files are read through a cache, as
 * after a sync that failed) what is read looks written and clean, until the power fails or the file
 * is opened again. Completions come in any order, each after a random number of polls.
 * disk_sim_crash keeps, loses or tears what was under way: each sector by itself. Names of files
 * are durable at once, as the ops promise.
 *
 * Threads: one. Memory: segments are allocated as they are made (sparse until written).
 */
#ifndef DISK_SIM_H
#define DISK_SIM_H

#include "spool_disk.h"

#include <stdbool.h>

struct disk_sim_config {
    uint64_t seed;
    uint64_t capacity_bytes; /* of all files; 0: no limit */
    uint32_t delay_max;      /* polls until a completion: 0..delay_max */
    uint32_t queue_depth;    /* 1..256; submit says -EAGAIN beyond */
    uint32_t sector_bytes;   /* what is written whole in a crash: 512 or 4096 */
    /* Chances, of a million operations */
    uint32_t write_error_ppm; /* EIO, ENOSPC, EAGAIN, EINTR; any sectors may have been written */
    uint32_t write_ghost_ppm; /* EIO; reads see it written, and nothing is stable */
    uint32_t write_short_ppm;
    uint32_t read_error_ppm;
    uint32_t read_flip_ppm; /* one bit of what is read; the disk itself stays right */
    uint32_t again_ppm;     /* submit says -EAGAIN */
};

/* Returns 0 or -ENOMEM. */
int disk_sim_open(struct spool_disk *out, const struct disk_sim_config *config) BASE_WARN_UNUSED;
void disk_sim_close(struct spool_disk *disk);

/* Power fails: what is under way is kept, lost or torn, and nothing works (-EIO) until restart.
 * Call it while the buffers of requests still are there. */
void disk_sim_crash(struct spool_disk *disk);
void disk_sim_restart(struct spool_disk *disk);
/* Crashes by itself with the op_cnt-th operation from now that changes what a crash would leave. */
void disk_sim_crash_in(struct spool_disk *disk, uint64_t op_cnt);
/* It crashed and was not restarted. */
bool disk_sim_dead(const struct spool_disk *disk);

/* Changes the chances and the capacity; seed, depth and delays stay. */
void disk_sim_configure(struct spool_disk *disk, const struct disk_sim_config *config);

/* Fails cnt writes with error, beginning with the nth from now (0: the next one). */
void disk_sim_fail_writes(struct spool_disk *disk, uint64_t nth, uint64_t cnt, int error);

/* From now on writes hang: no completion, no error, and nothing of them is stable; until it is
 * ended, then they complete as usual. */
void disk_sim_hang(struct spool_disk *disk, bool hang);

/*
 * Many crashes at one moment of a run: the watcher is called after each operation that changes what
 * a crash would leave (a write submitted, a write completed, a file made or gone). In it, the disk
 * may be put aside (snapshot), crashed, restarted, used by another spool, and taken back (restore):
 * then nothing of that has happened. What is changed meanwhile is kept for it, no more. The watcher
 * is not called between the two. Requests of the other spool must have been polled by then.
 */
void disk_sim_watch(struct spool_disk *disk, void (*watcher)(void *arg), void *arg);
void disk_sim_snapshot(struct spool_disk *disk);
void disk_sim_restore(struct spool_disk *disk);
/* Bytes of the nth write under way; 0: there are no more. */
uint32_t disk_sim_under_way(const struct spool_disk *disk, uint32_t nth);
/* As disk_sim_crash; keep decides of each sector of each write under way. */
void disk_sim_crash_keep(struct spool_disk *disk, uint32_t sector_bytes,
                         bool (*keep)(void *arg, uint32_t nth, uint32_t sector), void *arg);
/* Rot: one bit of what is stable is wrong from now on (or until restore). */
void disk_sim_flip(struct spool_disk *disk, uint32_t segment, uint64_t bit);

/* Operations submitted so far: for "crash at operation n". */
uint64_t disk_sim_op_cnt(const struct spool_disk *disk);

/* The stable bytes of a segment file, for tests that damage them; NULL when there is none. */
uint8_t *disk_sim_data(struct spool_disk *disk, uint32_t segment, uint64_t *bytes);

#endif
