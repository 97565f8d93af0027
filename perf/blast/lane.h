/*
 * A lane of the generator: one thread with connections over a link of its own (link.h: a stack on a
 * queue pair of the port, or the kernel's sockets), and its counters. Nothing in it is shared:
 * lanes divide the load among them. It takes all its memory at lane_open.
 *
 * Threads: lane_run by the lane's own, until the load has come to its end; the others by main,
 * while it does not run. The counters and latencies may be read at any time by anyone.
 */
#ifndef LANE_H
#define LANE_H

#include "base_list.h"
#include "base_pool.h"
#include "base_wheel.h"
#include "histogram.h"
#include "link.h"
#include "options.h"
#include "smtp_client.h"
#include "stats.h"

#include <stdatomic.h>

#define LANE_BURST     64
#define LANE_OUT_BYTES 16384

enum lane_counter {
    LANE_STARTED,     /* connections */
    LANE_CONNECTIONS, /* that came to their end as they should */
    LANE_UNITS,       /* messages acknowledged, round trips */
    LANE_BYTES,       /* payload sent */
    LANE_HANDSHAKES,  /* of TLS that were done */
    LANE_RESUMED,     /* of these, by a session of an earlier connection */
    LANE_STANDING,    /* connections that are held now */
    LANE_FLOOD_SENT,
    LANE_FLOOD_FULL,    /* frames that the port did not take */
    LANE_FLOOD_NO_MBUF, /* or for which there was no buffer */
    LANE_FLOOD_ARP,     /* questions for the next hop */
    /* Connections that failed, by reason. */
    LANE_FAIL_FIRST,
    LANE_FAIL_NO_PORT = LANE_FAIL_FIRST, /* no port or no connection object for it */
    LANE_FAIL_REFUSED,
    LANE_FAIL_RESET,
    LANE_FAIL_TIMEOUT, /* given up by TCP */
    LANE_FAIL_UNREACHABLE,
    LANE_FAIL_NO_BUFFERS,
    LANE_FAIL_SILENT, /* no news for --timeout */
    LANE_FAIL_CLOSED, /* by the server, before the end */
    LANE_FAIL_TLS,
    LANE_FAIL_REPLY, /* a reply that was not the wanted one */
    LANE_FAIL_UNFINISHED,
    LANE_FAIL_END,
    /* Messages that the server refused, beside those. */
    LANE_REFUSED_4XX = LANE_FAIL_END,
    LANE_REFUSED_5XX,
    LANE_COUNTER_CNT
};

extern const char *const lane_counter_names[LANE_COUNTER_CNT];

struct session;
struct stack;
struct sockets;
struct secure;
struct message;
struct ledger;

struct lane {
    /* Read each pass. */
    uint64_t now_ns;
    const struct options *options; /* of the load */
    const struct link_ops *link;
    struct stack *stack;     /* NULL: over the kernel's sockets */
    struct sockets *sockets; /* NULL: over our own stack */
    struct secure *secure;   /* NULL: the load is in clear */
    uint32_t number;
    bool ending;      /* nothing new is started */
    uint64_t next_ns; /* when the next connection is due, with a rate */
    uint64_t interval_ns;
    uint64_t last_ns;    /* the end of the load: what is due from then on is not started */
    uint64_t units_left; /* to be given to connections */
    uint32_t session_max;
    uint32_t open_cnt;
    uint32_t address_next;
    uint32_t address_cnt; /* 0: the kernel chooses */
    struct base_pool sessions;
    struct base_wheel wheel;
    struct base_list open;
    /* With a rate of units: sessions that wait for one to be due, first come first served; and
     * those that are held until the end. */
    struct base_list waiting;
    uint64_t unit_next_ns; /* when the next unit is due */
    uint64_t unit_interval_ns;
    uint64_t message_next;         /* number of the next message */
    uint64_t client_next;          /* of PROXY headers */
    const struct message *message; /* borrowed */
    struct ledger *ledger;         /* borrowed; NULL: none is written */
    struct smtp_credentials credentials;
    uint8_t scratch[LANE_OUT_BYTES];                            /* of one call */
    char recipient[SMTP_CLIENT_RCPT_MAX][SMTP_ADDRESS_MAX + 8]; /* of a message */

    /* Written here, read by all. */
    struct histogram latency, handshake;
    struct histogram refused; /* messages and connections, by a reply */
    _Atomic uint64_t counter[LANE_COUNTER_CNT];
    _Atomic uint64_t begin_ns; /* 0: the load has not begun */
    _Atomic uint64_t end_ns;   /* of the time that rates are of; 0: it goes on */
    _Atomic uint64_t at_end[LANE_COUNTER_CNT];
    struct stats_block stats; /* of stack and protocol, over all loads */

    char error[128]; /* why lane_run returned -1 */
};

/* Makes a lane for a link as the options say; what the link needs before lane_open is main's to
 * fill in. Returns NULL when memory is short. */
struct lane *lane_new(const struct options *o, uint32_t number) BASE_WARN_UNUSED;

/* Takes what the load's connections need. Returns 0, or a negative error. */
int lane_open(struct lane *l) BASE_WARN_UNUSED;

/* The next load: all counters are zero. o is about the same link as that of lane_new, with as many
 * connections or fewer; it, message and ledger (which may be NULL) are borrowed until the next
 * load. Returns 0, or -1 with a sentence in error. */
int lane_load(struct lane *l, const struct options *o, const struct message *message,
              struct ledger *ledger) BASE_WARN_UNUSED;

/* The whole load. Returns 0, or -1 with a sentence in error. stop may end it early. */
int lane_run(struct lane *l, const _Atomic bool *stop);

/* Frees it, in any state; NULL is allowed. */
void lane_free(struct lane *l);

/* Own address i of the lane's, i < address_cnt. Each lane of our own stacks has addresses of its
 * own, so that what comes back is for its stack. */
struct net_addr lane_address(const struct lane *l, uint32_t i);

static inline void lane_add(struct lane *l, enum lane_counter id, uint64_t n)
{
    uint64_t v = atomic_load_explicit(&l->counter[id], memory_order_relaxed);
    atomic_store_explicit(&l->counter[id], v + n, memory_order_relaxed);
}

static inline void lane_take(struct lane *l, enum lane_counter id, uint64_t n)
{
    lane_add(l, id, -n);
}

static inline uint64_t lane_get(const struct lane *l, enum lane_counter id)
{
    return atomic_load_explicit(&l->counter[id], memory_order_relaxed);
}

#endif
