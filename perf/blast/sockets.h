/*
 * What a lane has for connections over the kernel's sockets (link_kernel.c): an epoll, the buffers
 * of the connection that it is at, and a few more for what a connection leaves behind: the
 * beginning of a line, or what its socket had no room for. All of it is taken at sockets_open.
 *
 * Threads: the lane's while it runs, else main's.
 */
#ifndef SOCKETS_H
#define SOCKETS_H

#include "base_bytes.h"
#include "base_pool.h"

#define SOCKETS_IN_BYTES   65536 /* of one read */
#define SOCKETS_KEEP_BYTES 16384 /* what a connection can leave behind, each way */

struct session;

/* A connection's part. */
struct socket_conn {
    int fd;
    uint32_t in_len;  /* bytes that were read and not consumed */
    uint32_t out_len; /* bytes that wait for room in the socket */
    uint32_t out_at;
    uint8_t *in, *out; /* of the pool, while there are any */
};

struct sockets {
    int epoll;
    /* The connection that is being told of news; NULL: none. Its input is a view into what was
     * read, and what it sends is gathered until it is done, so that it takes one call. */
    struct session *at;
    struct base_span input;
    size_t output_len;
    struct base_pool keeps;
    uint8_t output[SOCKETS_KEEP_BYTES];
    uint8_t read[SOCKETS_KEEP_BYTES + SOCKETS_IN_BYTES]; /* what was kept goes before what comes */
};

struct lane;

/* As many open files as the connections need. Returns 0, or -1 with a line in err. */
int sockets_raise_limit(uint32_t connection_cnt, char *err, size_t cap);

/* l->sockets. Returns 0, or a negative error. */
int sockets_open(struct lane *l) BASE_WARN_UNUSED;

void sockets_close(struct sockets *s);

#endif
