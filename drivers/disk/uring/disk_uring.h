/*
 * The disk driver of production: segment files in a folder, io_uring, O_DIRECT | O_DSYNC, so that a
 * completed write is on stable storage and no page cache tells a different story.
 *
 * In the folder: `seg/00000001.seg`, ..., `quarantine/` with damaged ones, and `lock`, which the
 * process holds (flock) so that a second one is refused. Where the file system has no O_DIRECT
 * (tmpfs), files are opened with O_DSYNC alone: disk_uring_buffered tells so, for the caller to
 * warn.
 *
 * Threads: one at a time, from disk_uring_open on; the first submit may come from another than the
 * one that opened. Memory: the ring (queue_depth entries), a table of descriptors.
 */
#ifndef DISK_URING_H
#define DISK_URING_H

#include "spool_disk.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct disk_uring_config {
    int dir_fd;           /* of the spool's folder; borrowed for life */
    uint32_t queue_depth; /* requests under way, 1..4096 */
    uint32_t segment_max; /* file numbers reach to 2 * segment_max + 64 */
};

/* Returns 0; -EBUSY when another process has the lock; or a negative error. err gets a sentence. */
int disk_uring_open(struct spool_disk *out, const struct disk_uring_config *config, char *err,
                    size_t err_cap) BASE_WARN_UNUSED;

/* Nothing may be under way: spool_close sees to that. */
void disk_uring_close(struct spool_disk *disk);

/* True when a file was opened without O_DIRECT. */
bool disk_uring_buffered(const struct spool_disk *disk);

/* True when the ring takes no operation but reading and writing, of registered files alone where it
 * could register them (IORING_REGISTER_RESTRICTIONS). */
bool disk_uring_restricted(const struct spool_disk *disk);

/* Gives the folders of segment files to the user that the process becomes, who makes and removes
 * files there. The files that there are stay root's: they are open. Returns 0 or a negative error.
 */
int disk_uring_give(const struct spool_disk *disk, uid_t uid, gid_t gid) BASE_WARN_UNUSED;

#endif
