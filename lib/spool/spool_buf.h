/*
 * Buffers that carry message bytes between a lane and the spooler. Each belongs to a home pool (a
 * lane's); whoever holds the pointer owns it, and moves it on by a ring. The spooler sends it home
 * in a completion; only the home thread takes from and puts into its pool.
 */
#ifndef SPOOL_BUF_H
#define SPOOL_BUF_H

#include "base_assert.h"

#include <stdint.h>

#define SPOOL_BUF_BYTES 16384

struct spool_buf {
    uint8_t *data;          /* SPOOL_BUF_BYTES, 4 KiB aligned; constant */
    struct spool_buf *next; /* for the holder's lists */
    uint32_t len;           /* used, by the holder */
    uint16_t home;          /* the lane whose pool it is of */
    uint16_t hold_cnt;      /* for the holder */
};

struct spool_buf_pool {
    uint8_t *region; /* buf_cnt * SPOOL_BUF_BYTES, page aligned, one mapping */
    struct spool_buf *bufs;
    struct spool_buf *free;
    uint32_t buf_cnt;
    uint32_t free_cnt;
};

/* Returns 0, or -ENOMEM. */
int spool_buf_pool_init(struct spool_buf_pool *p, uint32_t buf_cnt, uint16_t home) BASE_WARN_UNUSED;
/* Every buffer must be home: asserted. */
void spool_buf_pool_fini(struct spool_buf_pool *p);
/* A buffer with len 0, or NULL when all are out. */
struct spool_buf *spool_buf_get(struct spool_buf_pool *p);
void spool_buf_put(struct spool_buf_pool *p, struct spool_buf *buf);

#endif
