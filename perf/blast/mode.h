/*
 * A mode is what a connection of blast is for. Its functions are called by session.c: start before
 * the connection is opened, run at each of its news once it stands.
 */
#ifndef MODE_H
#define MODE_H

#include <stdbool.h>
#include <stdint.h>

struct lane;
struct session;

struct mode {
    const char *name;
    const char *unit; /* what is counted and timed: "messages", ... */
    /* What the options are when they are not given. */
    uint32_t connection_cnt, per_connection;
    uint32_t size_bytes;
    bool sends;     /* messages, by lib/smtp's client */
    bool paced;     /* there can be a rate of units */
    bool needs_tls; /* it makes no sense without */
    bool holds;     /* what counts at the end is how many stand */
    void (*start)(struct lane *l, struct session *s);
    void (*run)(struct lane *l, struct session *s);
};

extern const struct mode mode_connect, mode_handshake, mode_pingpong, mode_reject, mode_hold,
    mode_smtp, mode_bulk;

/* All of them, ended by NULL. */
extern const struct mode *const modes[];

#endif
