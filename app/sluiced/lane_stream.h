/*
 * A lane's streams: connections of its sessions that go to sockets of this machine's kernel
 * (stream.h), as links of conn.c. What TCP's events are, are found in each pass by looking at the
 * streams that are open; the stream thread rings the lane's bell.
 *
 * Threads: the lane's. Memory: in the lane; bytes in the topology's area. Bounded: STREAM_CNT.
 */
#ifndef LANE_STREAM_H
#define LANE_STREAM_H

#include "stream.h"

struct conn;
struct lane;
struct lane_streams;

#define LANE_STREAM_DENIED_CAP 112

/* The link of a connection. */
struct lane_stream {
    struct lane_streams *all;
    struct stream_slot *slot;
    struct conn *conn;
    uint32_t generation;
    uint32_t in_seen, out_seen; /* heads and tails that the connection has heard of */
    uint8_t phase;              /* likewise */
    const char *failure;        /* static text */
};

struct lane_streams {
    struct stream_area *area;
    uint64_t open, closing; /* slots, by bit */
    bool rung;              /* the thread has something to do */
    char denied[LANE_STREAM_DENIED_CAP];
    struct lane_stream stream[STREAM_CNT];
};

/* user: whom the process becomes, for the words about missing rights. */
void lane_stream_init(struct lane_streams *t, struct stream_area *area, const char *user);

/* Begins one for the connection, whose link it becomes. Returns NULL when all are in use. */
struct lane_stream *lane_stream_open(struct lane *l, const struct net_stream_target *target,
                                     struct conn *c) BASE_WARN_UNUSED;

/* What is new of a stream since the last time: TCP_EVENT_... */
uint32_t lane_stream_news(struct lane_stream *s);

/* Each pass: tells connections what is new. Returns how many heard something. */
uint32_t lane_stream_pass(struct lane *l);

#endif
