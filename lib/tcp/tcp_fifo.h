/* Lists of pool objects by index (half the size of pointers). Not for others than lib/tcp. */
#ifndef TCP_FIFO_H
#define TCP_FIFO_H

#include "base_pool.h"

struct tcp_links {
    uint32_t next;
    uint32_t prev;
};

struct tcp_fifo {
    struct base_pool *pool;
    uint32_t links_offset; /* of the struct tcp_links in an object */
    uint32_t head;
    uint32_t tail;
};

void tcp_fifo_init(struct tcp_fifo *f, struct base_pool *pool, uint32_t links_offset);
void tcp_fifo_push(struct tcp_fifo *f, void *object);
void tcp_fifo_remove(struct tcp_fifo *f, void *object);
void *tcp_fifo_first(const struct tcp_fifo *f); /* NULL when empty */

#endif
