/*
 * What a disk driver (drivers/disk/...) offers to the spool: numbered segment files of one size,
 * read and written in aligned blocks. A write's completion means: on stable storage (O_DSYNC).
 *
 * Threads: the spooler's only. Memory: data of a request is borrowed until its completion is
 * polled, whatever its result.
 */
#ifndef SPOOL_DISK_H
#define SPOOL_DISK_H

#include "base_assert.h"

#include <stdint.h>

#define SPOOL_BLOCK_BYTES 4096 /* offsets, lengths and addresses are multiples of it */

enum spool_io_op { SPOOL_IO_READ, SPOOL_IO_WRITE };

struct spool_io {
    uint8_t op;
    uint32_t segment;
    uint64_t offset; /* bytes */
    void *data;
    uint32_t len;    /* bytes */
    uint64_t cookie; /* handed back */
    uint16_t buffer; /* data lies in this one of buffers_set, from 1 on; 0: anywhere */
};

/* Memory that requests will use again and again. */
struct spool_io_buffer {
    void *data;
    uint32_t len;
};

struct spool_io_done {
    uint64_t cookie;
    int64_t result; /* bytes, or negative error; fewer than asked is a failure to the spool */
};

struct spool_disk_ops {
    const char *name;
    /* Returns 0, or -EAGAIN when the queue is full: poll first. */
    int (*submit)(void *disk, const struct spool_io *io);
    /* Starts what was submitted and takes up to cap completions, in any order; never blocks. */
    uint32_t (*poll)(void *disk, struct spool_io_done *done, uint32_t cap);
    /* Blocks until at least one completion can be polled; only while starting and stopping. */
    int (*wait)(void *disk);
    /* A descriptor for epoll, readable when completions may wait, or -1. The driver owns it. */
    int (*wait_fd)(void *disk);
    /* Tells of memory that is used often, once, before the first request: the driver may keep it
     * pinned until it is closed. May be NULL. */
    void (*buffers_set)(void *disk, const struct spool_io_buffer *buffers, uint32_t cnt);
    /* The numbers of the segment files there are, ascending. Returns how many (may exceed cap). */
    int (*segment_list)(void *disk, uint32_t *numbers, uint32_t cap);
    /* Makes the file with its space allocated, opens it, makes its name durable. Its content is
     * undefined until the spool has written it over. Returns 0 or a negative error (-ENOSPC). */
    int (*segment_create)(void *disk, uint32_t segment, uint64_t bytes);
    /* Opens one that is there: what is read from it is what is on stable storage. Returns its size,
     * or a negative error. */
    int64_t (*segment_open)(void *disk, uint32_t segment);
    /* Closes and removes it, durably. */
    int (*segment_remove)(void *disk, uint32_t segment);
    /* Closes it and puts it where the operator finds it, out of the spool's way, durably. */
    int (*segment_set_aside)(void *disk, uint32_t segment);
    /* Free bytes of the file system, or a negative error. From any thread, while it is open. */
    int64_t (*free_bytes)(void *disk);
};

struct spool_disk {
    const struct spool_disk_ops *ops;
    void *state;
};

#endif
