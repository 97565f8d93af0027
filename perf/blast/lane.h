/*
 * A lane of the generator: one thread with a queue pair of the port, a stack of our own (lib/net,
 * lib/tcp), its connections, its flood and its counters. Nothing in it is shared: lanes divide the
 * load among them. It takes all its memory at lane_open. Between two loads it stands still: nothing
 * is sent, and what arrives waits in the port.
 *
 * Threads: lane_run by the lane's own, until the load has come to its end; the others by main,
 * while it does not run. The counters and latencies may be read at any time by anyone.
 */
#ifndef LANE_H
#define LANE_H

#include "base_pool.h"
#include "base_wheel.h"
#include "flood.h"
#include "histogram.h"
#include "options.h"
#include "tcp.h"

#define LANE_BURST     NET_PORT_BURST_MAX
#define LANE_OUT_BYTES 16384

enum lane_counter {
    LANE_STARTED,     /* connections */
    LANE_CONNECTIONS, /* that came to their end as they should */
    LANE_UNITS,       /* messages acknowledged, round trips */
    LANE_BYTES,       /* payload sent */
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
    LANE_FAIL_REPLY,  /* a reply that was not the wanted one */
    LANE_FAIL_UNFINISHED,
    LANE_FAIL_END,
    /* Messages that the server refused, beside those. */
    LANE_REFUSED_4XX = LANE_FAIL_END,
    LANE_REFUSED_5XX,
    LANE_COUNTER_CNT
};

extern const char *const lane_counter_names[LANE_COUNTER_CNT];

struct session;

struct lane {
    /* Read each pass. */
    uint64_t now_ns;
    const struct options *options; /* of the load */
    struct net_port *port;
    struct net *net;
    struct tcp_stack *tcp;
    uint32_t number;
    bool ending;      /* nothing new is started */
    uint64_t next_ns; /* when the next connection is due, with a rate */
    uint64_t interval_ns;
    uint64_t units_left; /* to be given to connections */
    uint32_t session_max;
    uint32_t open_cnt;
    uint32_t address_next;
    uint32_t address_cnt;
    struct net_addr address[NET_ADDRESS_MAX];
    struct base_pool sessions;
    struct base_wheel wheel;
    struct base_list open;
    struct flood flood;
    const uint8_t *message; /* borrowed: header section and body */
    uint64_t message_bytes;
    uint64_t tsc_start;
    double ns_per_tick;
    uint8_t scratch[LANE_OUT_BYTES]; /* of one call */

    /* Written here, read by all. */
    struct histogram latency;
    _Atomic uint64_t counter[LANE_COUNTER_CNT];
    _Atomic uint64_t begin_ns; /* 0: the load has not begun */
    _Atomic uint64_t end_ns;   /* of the time that rates are of; 0: it goes on */
    _Atomic uint64_t at_end[LANE_COUNTER_CNT];
    struct stats_block stats; /* of the stack, over all loads */

    /* Main's. */
    struct rte_mempool *data_pool, *ctrl_pool;
    bool announced;
    uint64_t tx_before, rx_before, retransmits_before; /* the load */
    char error[128];                                   /* why lane_run returned -1 */
};

/* The port has a queue pair for each lane, which lane_open does not need yet. Returns 0, or a
 * negative error. */
int lane_open(struct lane *l, const struct options *o, struct net_port *port,
              uint32_t number) BASE_WARN_UNUSED;

/* The next load: all counters are zero. o is about the same port as that of lane_open, with as many
 * connections or fewer; it and message are borrowed until the next load. */
void lane_load(struct lane *l, const struct options *o, struct base_span message);

/* The whole load. Returns 0, or -1 with a sentence in error. stop may end it early. */
int lane_run(struct lane *l, const _Atomic bool *stop);

void lane_close(struct lane *l);

static inline void lane_add(struct lane *l, enum lane_counter id, uint64_t n)
{
    uint64_t v = atomic_load_explicit(&l->counter[id], memory_order_relaxed);
    atomic_store_explicit(&l->counter[id], v + n, memory_order_relaxed);
}

static inline uint64_t lane_get(const struct lane *l, enum lane_counter id)
{
    return atomic_load_explicit(&l->counter[id], memory_order_relaxed);
}

#endif
