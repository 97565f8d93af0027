/* Memory on cache lines that nobody else has: what one thread writes does not slow down the reads
 * of another, which has its own beside it. Any thread. */
#ifndef BASE_LINES_H
#define BASE_LINES_H

#include <stdlib.h>
#include <string.h>

#define BASE_LINE_BYTES 64

/* Zeroes; NULL when memory is short. free() frees it. */
static inline void *base_lines_new(size_t bytes)
{
    size_t whole = (bytes + BASE_LINE_BYTES - 1) & ~(size_t)(BASE_LINE_BYTES - 1);
    void *p = aligned_alloc(BASE_LINE_BYTES, whole);

    return p != NULL ? memset(p, 0, whole) : NULL;
}

#endif
