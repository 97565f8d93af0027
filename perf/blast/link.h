/*
 * What stands below the connections of a lane: our own stack over a port of DPDK (link_stack.c), or
 * the kernel's sockets (link_kernel.c). Sessions and modes know neither of them.
 *
 * A link tells of news by session_event and session_fail, from begin alone, and of each connection
 * at most until it is closed or aborted. Threads: the lane's; open and close: main's, while it does
 * not run.
 */
#ifndef LINK_H
#define LINK_H

#include "base_assert.h"
#include "base_bytes.h"
#include "net_addr.h"

struct lane;
struct session;

struct link_ops {
    /* ---- the lane's ---- */
    /* The time: monotonic, > 0. */
    uint64_t (*clock)(const struct lane *l);
    /* Before a load, until the link can be used. Returns 0, or -1 with a sentence in l->error. */
    int (*prepare)(struct lane *l, const _Atomic bool *stop);
    /* Takes what has come since the last call, or waits for that for wait_ns at most (a link that
     * polls: a little, when nothing has come for a while), sets l->now_ns and tells the sessions.
     */
    void (*begin)(struct lane *l, uint64_t wait_ns);
    /* What this pass has sent leaves. */
    void (*end)(struct lane *l);

    /* ---- a connection's ---- */
    /* Begins to open one from the address (NULL: any) to where the options say. Returns 0, or the
     * enum lane_counter that tells why not; there is no connection then. */
    int (*open)(struct lane *l, struct session *s, const struct net_addr *from);
    /* The bytes that wait, oldest first, in up to cap pieces: how many pieces. Borrowed until
     * consume. */
    uint32_t (*view)(struct lane *l, struct session *s, struct base_span *spans, uint32_t cap);
    void (*consume)(struct lane *l, struct session *s, uint32_t n);
    /* How much send takes for certain. It is told of by session_event when there is room again. */
    uint32_t (*space)(struct lane *l, struct session *s);
    /* Takes len bytes, or fewer when there is no room. Returns how many; negative: the connection
     * is gone, which is told later. */
    int64_t (*send)(struct lane *l, struct session *s, const void *p, size_t len);
    /* Tells the session by session_event that it may go on, without any news of its own; not from
     * within such a call. */
    void (*wake)(struct lane *l, struct session *s);
    /* Ends it in order, or at once. */
    void (*close)(struct lane *l, struct session *s);
    void (*abort)(struct lane *l, struct session *s);
};

extern const struct link_ops link_stack, link_kernel;

#endif
