/* Streams in memory (net_stream.h) for tests: what is at the other end the test plays, byte by
 * byte. Used by the thread that runs the stream service. */
#ifndef STREAM_MEMORY_H
#define STREAM_MEMORY_H

#include "net_stream.h"

#include <errno.h>

#define STREAM_MEMORY_CNT 128
#define STREAM_MEMORY_CAP 400000

struct stream_memory_end {
    bool open, ended; /* ended: the other end gives nothing more than is in in */
    struct net_stream_target target;
    uint8_t out[STREAM_MEMORY_CAP]; /* what was sent to it */
    size_t out_len;
    uint8_t in[STREAM_MEMORY_CAP]; /* what it has said, taken up to in_at */
    size_t in_len, in_at;
};

struct stream_memory {
    struct stream_memory_end end[STREAM_MEMORY_CNT];
    uint32_t opened_cnt, closed_cnt;
    int open_error; /* of the next opens; 0: none */
    int late_error; /* likewise, told when it would be connected */
    size_t piece;   /* bytes moved by a call, at most; 0: no bound */
    /* Called after each send; NULL: none. */
    void (*sent)(struct stream_memory *m, struct stream_memory_end *e);
};

static int memory_open(void *state, uint32_t number, const struct net_stream_target *target)
{
    struct stream_memory *m = state;
    struct stream_memory_end *e = &m->end[number];

    base_assert(number < STREAM_MEMORY_CNT && !e->open);
    if (m->open_error != 0)
        return m->open_error;
    e->open = true;
    e->ended = false;
    e->target = *target;
    e->out_len = e->in_len = e->in_at = 0;
    m->opened_cnt++;
    return 0;
}

static int memory_error(void *state, uint32_t number)
{
    (void)number;
    return ((struct stream_memory *)state)->late_error;
}

static size_t bounded(const struct stream_memory *m, size_t n)
{
    return m->piece != 0 && m->piece < n ? m->piece : n;
}

static ssize_t memory_send(void *state, uint32_t number, const void *p, size_t len)
{
    struct stream_memory *m = state;
    struct stream_memory_end *e = &m->end[number];

    base_assert(e->open);
    if (e->ended)
        return -EPIPE;
    size_t n = bounded(m, len);
    if (n > STREAM_MEMORY_CAP - e->out_len)
        return -EAGAIN;
    memcpy(e->out + e->out_len, p, n);
    e->out_len += n;
    if (m->sent != NULL)
        m->sent(m, e);
    return (ssize_t)n;
}

static ssize_t memory_recv(void *state, uint32_t number, void *p, size_t cap)
{
    struct stream_memory *m = state;
    struct stream_memory_end *e = &m->end[number];
    size_t n = bounded(m, cap < e->in_len - e->in_at ? cap : e->in_len - e->in_at);

    base_assert(e->open);
    if (n == 0)
        return e->ended ? 0 : -EAGAIN;
    memcpy(p, e->in + e->in_at, n);
    e->in_at += n;
    return (ssize_t)n;
}

static void memory_close(void *state, uint32_t number)
{
    struct stream_memory *m = state;

    base_assert(m->end[number].open);
    m->end[number].open = false;
    m->closed_cnt++;
}

/* More is told than has changed, which does no harm. */
static uint32_t memory_poll(void *state, struct net_stream_event *events, uint32_t cap)
{
    struct stream_memory *m = state;
    uint32_t n = 0;

    for (uint32_t i = 0; i < STREAM_MEMORY_CNT && n < cap; i++)
        if (m->end[i].open)
            events[n++] = (struct net_stream_event){
                .number = i, .flags = NET_STREAM_READABLE | NET_STREAM_WRITABLE};
    return n;
}

static int memory_wait_fd(void *state)
{
    (void)state;
    return -1;
}

static const struct net_stream_ops memory_ops = {
    .open = memory_open,
    .error = memory_error,
    .send = memory_send,
    .recv = memory_recv,
    .close = memory_close,
    .poll = memory_poll,
    .wait_fd = memory_wait_fd,
};

#endif
