/*
 * A mode is what a connection of blast is for. Its functions are called by session.c: start before
 * the connection is opened, run at each of its news once it stands.
 */
#ifndef MODE_H
#define MODE_H

#include <stdint.h>

struct lane;
struct session;

struct mode {
    const char *name;
    const char *unit; /* what is counted and timed: "messages", ... */
    /* What the options are when they are not given. */
    uint32_t connection_cnt, per_connection;
    uint32_t size_bytes;
    void (*start)(struct lane *l, struct session *s);
    void (*run)(struct lane *l, struct session *s);
};

extern const struct mode mode_connect, mode_smtp, mode_bulk, mode_pingpong;

/* All of them, ended by NULL. */
extern const struct mode *const modes[];

#endif
