/*
 * TCP of one lane: RFC 9293 (1122, 5961), 5681, 6298, 6582, 6928, 3042, 7323, 6528, 6056, 6191,
 * 2018, 2883, 6675, 6937, 8985, 3522, 9438, 3168, 4987 (cookies), 1191, 8201, 5927. Segments, calls
 * and time in; segments, events and in-order bytes out.
 *
 * Left out: fragments, which lib/net drops; steering between lanes, which is the lanes'; Nagle's
 * algorithm: what one flush finds goes out at once; Fast Open, path probes by larger segments (RFC
 * 4821). Urgent data is taken as ordinary data.
 *
 * Driving it: the stack is socket calls + packets in and out + a clock that is the caller's. It
 * never waits, reads no clock and starts no thread, so that a lane, a simulation, a fuzzer or a
 * packet script (tests/script) drives it by the same few calls, each pass in this order:
 *
 *     tcp_push(s, segments, cnt, now)   what has arrived, from the TCP header on
 *     tcp_run(s, now)                   what is due: retransmission, probes, delayed ACKs, ends
 *     tcp_poll(s, events, cap)          news; socket calls are the answers to it: tcp_recv_view,
 *                                       tcp_recv_consume, tcp_send, tcp_shutdown, tcp_close
 *     tcp_flush(s, now)                 the data and ACKs that all this made due leave
 *     tcp_deadline(s)                   sleep, or move a virtual clock, until then or an arrival
 *
 * Below it stand four functions of lib/net and nothing else: net_output takes each segment (from
 * tcp_push, tcp_run, tcp_flush, tcp_close and tcp_abort), net_source, net_segment_max and
 * net_large_max answer about routes. A test defines these four instead of linking lib/net
 * (tests/common/tcp_lab.c) and has every segment in its hands. The same config, calls and times
 * give the same segments.
 *
 * Threads: one (its lane). Memory: all of it at tcp_init, from the limits in the config; mbufs come
 * from the two pools and go back. Time: now_ns, monotonic, > 0.
 * Nothing from the network asserts; each dropped segment is counted (stats TCP_DROP_*).
 */
#ifndef TCP_H
#define TCP_H

#include "net.h"

struct tcp_stack;
struct tcp_conn;

enum tcp_congestion { TCP_CUBIC, TCP_NEWRENO };

/* Congestion notification (RFC 3168); with peers that take SACK only. */
enum tcp_ecn { TCP_ECN_ANSWER, TCP_ECN_ASK, TCP_ECN_OFF };

struct tcp_config {
    struct net *net;               /* borrowed */
    struct rte_mempool *data_pool; /* borrowed: payload that we send */
    struct rte_mempool
        *ctrl_pool; /* borrowed: SYNs, ACKs, RSTs; a reserve that data never takes (but
                       on ports without chains, where lib/net makes one piece) */
    /* borrowed: headers of data and references to it, copies of small early data: room for 512
     * bytes is enough. NULL takes data_pool, and nothing is copied. */
    struct rte_mempool *frame_pool;
    /* Payloads up to this many bytes are copied behind their header, where that has the room, in
     * place of references: cheaper where the port copies them anyway. 0: 256. */
    uint32_t copy_max_bytes;
    struct stats_block *stats; /* borrowed */
    uint32_t conn_max;         /* connections in all states but TIME_WAIT and SYN-RECEIVED */
    uint32_t syn_max;          /* half-open passive connections; beyond: SYN cookies */
    uint32_t time_wait_max;
    uint32_t listen_max;
    uint16_t port_min; /* ephemeral ports of active opens, inclusive */
    uint16_t port_max;
    /* Whether one of them may be taken for a connection to remote: the answers come back to this
     * lane. May be NULL: all may. */
    bool (*port_fits)(void *arg, const struct net_endpoint *local,
                      const struct net_endpoint *remote);
    void *port_fits_arg;
    uint32_t recv_window_bytes;       /* largest receive window of a connection */
    uint32_t recv_window_start_bytes; /* what it begins with; it grows with what the path can
                                         carry. 0: it is recv_window_bytes from the start */
    uint32_t send_buffer_bytes;       /* most bytes a connection holds unsent and unacknowledged */
    /* Memory. Passing the marks (percent of the two bounds; 0 takes 50, 70, 85): offered windows
     * shrink and send queues stay short; early data is not kept; SYNs are dropped. At the bound
     * itself payload is dropped. All ends by itself when the caller consumes and peers
     * acknowledge. */
    uint32_t recv_mbuf_max; /* mbufs of the port's RX pool that all connections may hold: the pool
                               less what the port needs to go on receiving. 0: any number */
    uint32_t send_mbuf_max; /* mbufs of data_pool, likewise */
    uint8_t memory_shrink_pct;
    uint8_t memory_early_pct;
    uint8_t memory_refuse_pct;
    uint64_t rto_min_ns;   /* RFC 6298 (2.4); 0 takes 200 ms */
    uint64_t msl_ns;       /* TIME_WAIT lasts twice this; 0 takes 30 s */
    uint64_t keepalive_ns; /* idle time before the first probe; 0: no keepalive */
    uint64_t keepalive_interval_ns;
    uint32_t keepalive_cnt;   /* unanswered probes before the connection is given up */
    uint64_t syn_timeout_ns;  /* for an active open to be answered; 0 takes 30 s */
    uint64_t user_timeout_ns; /* RFC 9293 section 3.9.1, 5482: nothing acknowledged for so long, a
                                 closed window included: give up; 0 takes 5 min */
    uint64_t fin_timeout_ns;  /* orphans (closed by us, peer silent); 0 takes 60 s */
    uint32_t orphan_max;      /* of them; beyond, one of the stalest gets a RST. 0: conn_max / 4 */
    enum tcp_congestion congestion;
    enum tcp_ecn ecn;    /* whether our SYNs ask for it, or only those of peers */
    bool timestamps_off; /* neither offered nor taken: RFC 7323 */
    bool sack_off;       /* likewise: RFC 2018 */

    /*
     * A segment that belongs to no connection and opens none, before it is refused. frame begins at
     * its Ethernet header again, as it came. listened: its local end is a listener's, so no other
     * machine's. Returns true when it took the frame; then nothing is answered. May be NULL. It may
     * not call this stack.
     */
    bool (*stray)(void *arg, struct rte_mbuf *frame, const struct net_endpoint *local,
                  const struct net_endpoint *remote, bool listened);
    void *stray_arg;

    /* For an operator who follows connections, while tcp_watch has it on: that a peer opens one,
     * each change of state (was: static text of the one before, "" at first), and what is sent
     * again. user: of the connection's caller, by tcp_connect() or tcp_set_user(); NULL where it
     * has none yet, or none any more. May be NULL. It may not call this stack. */
    void (*watch)(void *arg, void *user, const struct net_endpoint *local,
                  const struct net_endpoint *remote, const char *what, const char *was);
    void *watch_arg;

    uint8_t secret[16]; /* ISNs (RFC 6528), ports (RFC 6056), timestamps (RFC 7323), table hash */
};

/* Returns 0 and the stack, or -ENOMEM, -EINVAL. */
int tcp_init(struct tcp_stack **out, const struct tcp_config *config,
             uint64_t now_ns) BASE_WARN_UNUSED;

/* Drops all connections without a word on the wire and frees everything. */
void tcp_fini(struct tcp_stack *s);

/* Takes cnt segments (net_input's), all of them. */
void tcp_push(struct tcp_stack *s, struct net_segment *segments, uint32_t cnt, uint64_t now_ns);

/*
 * ICMP about a segment of ours from src to dst, as net_config's too_big and unreachable tell it;
 * quoted are the first quoted_len >= 8 bytes of that segment. It is judged here whether to believe
 * it (RFC 5927). The first lowers the path's MTU (RFC 1191, 8201), the second ends nothing: an
 * active open tells of it when its time is over. Both may be called amid net_input. False when this
 * stack has nothing with these ports: another lane's may have.
 */
bool tcp_too_big(struct tcp_stack *s, const struct net_addr *src, const struct net_addr *dst,
                 uint16_t mtu, const uint8_t *quoted, uint32_t quoted_len, uint64_t now_ns);
bool tcp_unreachable(struct tcp_stack *s, const struct net_addr *src, const struct net_addr *dst,
                     const uint8_t *quoted, uint32_t quoted_len, uint64_t now_ns);

/* Timers. */
void tcp_run(struct tcp_stack *s, uint64_t now_ns);

/* Sends what the calls and segments since the last flush made due: data that the windows allow,
 * ACKs (one a connection and burst). Then net_flush is the caller's. */
void tcp_flush(struct tcp_stack *s, uint64_t now_ns);

/* The next time at which tcp_run has work; BASE_NS_NONE when never. */
uint64_t tcp_deadline(const struct tcp_stack *s);

/* From now on config.watch is told, or is not. */
void tcp_watch(struct tcp_stack *s, bool on);

/* ---- events ---- */

enum tcp_event_flag {
    TCP_EVENT_ACCEPTED = 1,     /* a new passive connection; user is the listener's */
    TCP_EVENT_CONNECTED = 2,    /* an active open has succeeded */
    TCP_EVENT_READABLE = 4,     /* in-order bytes wait */
    TCP_EVENT_WRITABLE = 8,     /* a quarter of the send buffer is free again, after tcp_send left
                                   less than half or took less than all */
    TCP_EVENT_PEER_CLOSED = 16, /* the peer's FIN is in order: no byte follows those that wait */
    TCP_EVENT_FAILED = 32,      /* tcp_error tells why; no further event will come */
};

struct tcp_event {
    struct tcp_conn *conn;
    void *user;
    uint32_t flags;
};

/*
 * Writes up to cap events, one for each connection with news; flags of several causes are joined.
 * READABLE and PEER_CLOSED are edges: they come once for each arrival. A connection that was
 * closed or aborted gives no event. Returns how many; fewer than cap means there are no more.
 */
uint32_t tcp_poll(struct tcp_stack *s, struct tcp_event *events, uint32_t cap);

/* ---- socket calls ---- */

/* Listens on local (any of our addresses when its address is none). Returns 0, -EADDRINUSE, or
 * -ENOSPC when listen_max are taken. */
int tcp_listen(struct tcp_stack *s, const struct net_endpoint *local, void *user) BASE_WARN_UNUSED;

/* Stops listening; half-open connections of it are dropped, accepted ones stay. */
void tcp_unlisten(struct tcp_stack *s, const struct net_endpoint *local);

/* Starts an active open from local (address none: chosen by net_source; port 0: chosen by
 * RFC 6056). Returns 0 and the connection (CONNECTED or FAILED follows as an event), -EHOSTUNREACH,
 * -EADDRNOTAVAIL (no port left), -ENFILE (conn_max). */
int tcp_connect(struct tcp_stack *s, const struct net_endpoint *local,
                const struct net_endpoint *remote, void *user, struct tcp_conn **out,
                uint64_t now_ns) BASE_WARN_UNUSED;

/* The handle stays valid until tcp_close or tcp_abort, exactly one of which the caller owes each
 * connection, FAILED ones included. */
void tcp_set_user(struct tcp_conn *c, void *user);

/*
 * A view of the in-order bytes that wait: up to cap spans, oldest first, borrowed until the next
 * tcp_recv_consume on this connection or the next tcp_push (which may move nothing but adds).
 * Returns the number of spans; 0 when no byte waits.
 */
uint32_t tcp_recv_view(const struct tcp_conn *c, struct base_span *spans, uint32_t cap);

/* Bytes that wait. */
uint32_t tcp_recv_len(const struct tcp_conn *c);

/* Gives back the first n bytes, n <= tcp_recv_len; opens the window (RFC 9293 section 3.8.6.2.2).
 * A caller that does not consume closes the window: that is the backpressure. */
void tcp_recv_consume(struct tcp_stack *s, struct tcp_conn *c, uint32_t n);

/* What has come gets no answer from above: it is acknowledged in the next flush, not later. For a
 * peer that sends more only then (Nagle's algorithm, RFC 9293 section 3.7.4). */
void tcp_recv_acknowledge(struct tcp_stack *s, struct tcp_conn *c);

/* True when the peer's FIN has come and all bytes before it were consumed. */
bool tcp_recv_ended(const struct tcp_conn *c);

/* Copies up to len bytes into the send buffer. Returns how many it took, 0..len (buffer or pool
 * full: WRITABLE follows), or -EPIPE when the connection is failed or shut down. */
int64_t tcp_send(struct tcp_stack *s, struct tcp_conn *c, const void *p,
                 size_t len) BASE_WARN_UNUSED;

/* Room in the send buffer, bytes. */
uint32_t tcp_send_space(const struct tcp_conn *c);

/* Sent or waiting, and not acknowledged, bytes. */
uint32_t tcp_send_pending(const struct tcp_conn *c);

/* FIN after what is in the send buffer; receiving goes on. */
void tcp_shutdown(struct tcp_stack *s, struct tcp_conn *c);

/* Ends the caller's interest: FIN after what is in the send buffer, or RST when received bytes were
 * not consumed (RFC 2525 section 2.17). The handle is dead after it. */
void tcp_close(struct tcp_stack *s, struct tcp_conn *c);

/* RST, everything queued is dropped. The handle is dead after it. */
void tcp_abort(struct tcp_stack *s, struct tcp_conn *c);

/* ---- facts about a connection ---- */

enum tcp_error {
    TCP_OK,
    TCP_ERROR_REFUSED,     /* RST to our SYN */
    TCP_ERROR_RESET,       /* RST later */
    TCP_ERROR_TIMEOUT,     /* SYN, data or keepalive probes unanswered */
    TCP_ERROR_UNREACHABLE, /* no neighbor, no route */
    TCP_ERROR_NO_BUFFERS,
};

enum tcp_error tcp_error(const struct tcp_conn *c);
const char *tcp_error_name(enum tcp_error e); /* "reset", "timeout", ... */
void tcp_local(const struct tcp_conn *c, struct net_endpoint *out);
void tcp_remote(const struct tcp_conn *c, struct net_endpoint *out);

/* What an operator sees of it: as it is now, no promise of the next segment. state is static text
 * ("ESTABLISHED"). */
struct tcp_facts {
    const char *state;
    uint32_t srtt_us, min_rtt_us; /* 0: no sample yet */
    uint32_t cwnd_bytes;
    uint32_t mss_bytes;
    uint32_t send_window_bytes; /* the peer's */
    uint32_t unacked_bytes;
    uint32_t queued_bytes; /* in the send buffer, these included */
    uint32_t unread_bytes;
    bool timestamps, sack, ecn; /* agreed on */
};
void tcp_facts(const struct tcp_conn *c, struct tcp_facts *out);

/* What is in use now: all zero when nothing is left, mbufs included. */
struct tcp_usage {
    uint32_t conn_cnt;
    uint32_t syn_cnt;
    uint32_t time_wait_cnt;
    uint32_t mbuf_cnt; /* held in receive, out-of-order and send queues */
};
void tcp_usage(const struct tcp_stack *s, struct tcp_usage *out);

#endif
