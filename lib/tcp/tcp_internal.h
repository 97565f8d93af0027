/*
 * What the files of lib/tcp share. Not for others.
 *
 * Objects: a connection (struct tcp_conn, 256 B), a half-open passive one (struct tcp_syn, 96 B)
 * and one in TIME-WAIT (struct tcp_time_wait, 64 B) each come from a pool; one table finds all
 * three by their 4-tuple. LISTEN is a struct tcp_listener.
 *
 * Times inside connections are 32-bit milliseconds of the stack's clock (deadlines: 0 is "not
 * set"), compared by their difference, so a span over 24 days is not representable: spans
 * from the config are cut at TCP_SPAN_MAX_MS.
 */
#ifndef TCP_INTERNAL_H
#define TCP_INTERNAL_H

#include "tcp.h"
#include "tcp_conn.h"
#include "tcp_fifo.h"
#include "tcp_mbuf.h"
#include "tcp_memory.h"
#include "tcp_option.h"
#include "tcp_path.h"
#include "tcp_recover.h"
#include "tcp_seq.h"
#include "tcp_set.h"
#include "tcp_state.h"
#include "tcp_table.h"

#include "base_pool.h"
#include "base_rand.h"
#include "base_time.h"
#include "base_wheel.h"

#include <rte_mbuf.h>

#define TCP_HEADER_BYTES     20
#define TCP_HEADER_MAX_BYTES 60
#define TCP_BURST_MAX        64

#define TCP_MSS_DEFAULT        536  /* RFC 9293 section 3.7.1: no option came */
#define TCP_MSS_MIN            216  /* smaller offers are raised to it: CVE-2019-11479 */
#define TCP_MSS_ETHERNET       1460 /* of a link with 1500 bytes; what we hold in an mbuf, too */
#define TCP_RTO_INITIAL_US     1000000U  /* RFC 6298 (2.1) */
#define TCP_RTO_SYN_LOST_US    3000000U  /* RFC 6298 (5.7) */
#define TCP_RTO_MAX_US         60000000U /* RFC 6298 (2.5) */
#define TCP_BACKOFF_MAX        16
#define TCP_DELAYED_ACK_MS     40
#define TCP_RETRY_MS           10 /* after a pool was empty */
#define TCP_SYN_RETRY_MAX      5  /* SYN-ACKs sent again: gives up after 63 s */
#define TCP_DUP_ACK_THRESHOLD  3
#define TCP_OOO_CONN_MAX       512  /* out-of-order mbufs of one connection */
#define TCP_OOO_SMALL_MAX      64   /* this many may be of any size; with more, they must hold */
#define TCP_OOO_MEAN_BYTES     256  /* so much each on average: holes of a byte pin no pool */
#define TCP_OOO_STACK_MAX      8192 /* and of all */
#define TCP_OOO_COPY_MAX_BYTES 256  /* early pieces up to this are copied into small mbufs */
#define TCP_COPY_MAX_BYTES     256  /* what tcp_config.copy_max_bytes 0 stands for */
#define TCP_JOIN_MAX_BYTES     512  /* and received ones are joined to those before */
/* Segments of one connection in one flush: fewer than any port's ring holds, and others get their
 * turn. */
#define TCP_FLUSH_MAX      64
#define TCP_CHALLENGE_MIN  5 /* challenge ACKs a second and connection: 5..12, at random */
#define TCP_RST_RATE_PER_S 10000U
#define TCP_RST_BURST      1000U
#define TCP_SPAN_MAX_MS    (UINT32_C(1) << 30)
#define TCP_PAWS_IDLE_MS   (24U * 24 * 3600 * 1000) /* RFC 7323 section 5.5 */
#define TCP_NIL            UINT32_MAX

enum tcp_flag {
    TCP_FLAG_FIN = 1,
    TCP_FLAG_SYN = 2,
    TCP_FLAG_RST = 4,
    TCP_FLAG_PSH = 8,
    TCP_FLAG_ACK = 16,
    TCP_FLAG_ECE = 64,
    TCP_FLAG_CWR = 128,
};

/* Code points in the IP header (RFC 3168 section 5). */
enum tcp_ect { TCP_NOT_ECT = 0, TCP_ECT_0 = 2, TCP_ECT_CE = 3 };

/* A segment that was parsed. Whoever keeps the mbuf sets it to NULL. */
struct tcp_segment {
    struct rte_mbuf *mbuf; /* data starts at the payload */
    struct tcp_key key;
    uint32_t seq;
    uint32_t ack;
    uint32_t len;    /* payload bytes */
    uint16_t window; /* as on the wire */
    uint8_t flags;
    uint8_t ecn;          /* enum tcp_ect */
    uint16_t frame_bytes; /* before the payload, in the same mbuf: its frame; 0: not known */
    struct tcp_options options;
    uint64_t hash;
};

struct tcp_listener {
    struct net_endpoint local;
    void *user;
    struct tcp_listener *next; /* of its bucket */
    bool used;
};

#define TCP_LISTEN_BUCKETS 64 /* by the low bits of the port */

/* ---- the stack ---- */

struct tcp_cc_ops;

struct tcp_stack {
    struct tcp_config config; /* defaults filled in */
    bool watched;             /* config.watch is to be told */
    uint64_t now_ns;
    uint32_t now_ms;
    uint32_t now_us;
    uint8_t recv_wscale;       /* that we offer */
    uint32_t recv_start_bytes; /* the receive window of a new connection */
    uint32_t rto_min_us;
    uint32_t keepalive_ms;
    uint32_t keepalive_interval_ms;
    uint32_t syn_timeout_ms;
    uint32_t user_timeout_ms;
    uint32_t fin_timeout_ms;
    const struct tcp_cc_ops *cc;
    struct stats_block *stats;
    struct net *net;
    struct base_rand rand;   /* for what need not be secret */
    uint32_t ephemeral_next; /* RFC 6056 algorithm 3 */
    uint32_t mbuf_cnt;       /* in all queues */
    uint32_t ooo_cnt;
    uint32_t ooo_stamp; /* counts early mbufs as they come */
    bool has_duplicate; /* the segment at hand brought bytes we had: duplicate */
    struct tcp_sack_block duplicate;
    uint32_t cookie_ms; /* until then ACKs of cookies may come; 0: none was sent lately */
    uint32_t rst_tokens;
    uint64_t rst_filled_ns;

    struct tcp_memory memory;
    struct tcp_table table;
    struct tcp_paths paths;
    struct base_pool conn_pool;
    struct base_pool syn_pool;
    struct base_pool time_wait_pool;
    struct base_pool recovery_pool;
    uint32_t delivered_bytes; /* that the ACK at hand tells of for the first time */
    bool has_echo;            /* the ACK at hand has a timestamp of ours, echo_age_ms old */
    uint32_t echo_age_ms;
    uint64_t *conn_used; /* a bit a connection */
    struct tcp_listener *listener;
    struct tcp_listener *listener_of[TCP_LISTEN_BUCKETS];
    struct tcp_set ready; /* connections, by index */
    struct tcp_set events;
    uint32_t event_next; /* where tcp_poll goes on */
    struct tcp_fifo syns;
    struct tcp_fifo time_waits;
    struct base_timer time_wait_timer; /* for the first of them */
    struct base_wheel wheel;
};

static inline uint32_t tcp_conn_index(const struct tcp_stack *s, const struct tcp_conn *c)
{
    return base_pool_index(&s->conn_pool, c);
}

static inline struct tcp_recovery *tcp_recovery_of(const struct tcp_stack *s,
                                                   const struct tcp_conn *c)
{
    return c->recovery == 0 ? NULL : base_pool_at(&s->recovery_pool, c->recovery - 1);
}

/* Our SYN is not acknowledged yet. */
static inline bool tcp_conn_is_opening(const struct tcp_conn *c)
{
    return c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECEIVED;
}

/* Our FIN, sent or not, is not acknowledged yet; it comes after the send queue. */
static inline bool tcp_conn_owes_fin(const struct tcp_conn *c)
{
    return (c->flags & (TCP_CONN_FIN_QUEUED | TCP_CONN_FIN_ACKED)) == TCP_CONN_FIN_QUEUED;
}

/* tcp_facts.c */
void tcp_watch_tell(struct tcp_stack *s, const struct tcp_key *key, void *user, const char *what,
                    const char *was);
static inline void tcp_watch_conn(struct tcp_stack *s, const struct tcp_conn *c, const char *what,
                                  const char *was)
{
    if (s->watched)
        tcp_watch_tell(s, &c->key, c->flags & TCP_CONN_OWNED ? c->user : NULL, what, was);
}
static inline void tcp_watch_again(struct tcp_stack *s, const struct tcp_conn *c, const char *what)
{
    tcp_watch_conn(s, c, what, "");
}

static inline void tcp_count(struct tcp_stack *s, enum stats_id id)
{
    stats_inc(s->stats, id);
}

/* tcp_stack.c */
void tcp_set_now(struct tcp_stack *s, uint64_t now_ns); /* never back */

/* tcp_table.c */
int tcp_table_init(struct tcp_table *t, uint32_t entry_max) BASE_WARN_UNUSED;
void tcp_table_fini(struct tcp_table *t);
uint64_t tcp_hash(const struct tcp_stack *s, const struct tcp_key *key);
tcp_ref tcp_table_find(const struct tcp_stack *s, const struct tcp_key *key, uint64_t hash);
void tcp_table_add(struct tcp_stack *s, tcp_ref ref, uint64_t hash); /* hash: of its key */
void tcp_table_remove(struct tcp_stack *s, tcp_ref ref);
/* to has the same key, and from keeps its own until then. */
void tcp_table_replace(struct tcp_stack *s, tcp_ref from, tcp_ref to, uint64_t hash);

/* tcp_conn.c */
/* In the table, in the place of old, an entry with the same key (0: there is none). NULL: none is
 * left. */
struct tcp_conn *tcp_conn_new(struct tcp_stack *s, const struct tcp_key *key, uint64_t hash,
                              tcp_ref old);
void tcp_conn_free(struct tcp_stack *s, struct tcp_conn *c);
/* Leaves the table and the timers, drops what was to be sent; an orphan is freed, another stays
 * for its caller, with FAILED when why is not TCP_OK. c may be gone after it. */
void tcp_conn_end(struct tcp_stack *s, struct tcp_conn *c, enum tcp_error why);
void tcp_conn_ready(struct tcp_stack *s, struct tcp_conn *c);
void tcp_conn_event(struct tcp_stack *s, struct tcp_conn *c, uint8_t events);
void tcp_conn_established(struct tcp_stack *s, struct tcp_conn *c, uint8_t event);
void tcp_conn_check(const struct tcp_stack *s, const struct tcp_conn *c);

/* tcp_icmp.c: segments to this peer have segment_max bytes at most, which is less than mss says;
 * what is in flight from seq on has not got through. */
void tcp_icmp_honour(struct tcp_stack *s, struct tcp_conn *c, uint16_t segment_max, uint32_t seq);

/* tcp_input.c */
void tcp_conn_input(struct tcp_stack *s, struct tcp_conn *c, struct tcp_segment *seg);

/* tcp_ack.c: false when the segment (or the connection) is done with. */
bool tcp_ack_input(struct tcp_stack *s, struct tcp_conn *c, const struct tcp_segment *seg);
void tcp_ack_window(struct tcp_stack *s, struct tcp_conn *c, const struct tcp_segment *seg);
uint32_t tcp_rto_us(const struct tcp_stack *s, const struct tcp_conn *c);
void tcp_rtt_sample(struct tcp_conn *c, uint32_t rtt_us);
void tcp_rtt_echo(const struct tcp_stack *s, struct tcp_conn *c, const struct tcp_segment *seg);

/* tcp_recv.c */
uint32_t tcp_recv_max(const struct tcp_stack *s, const struct tcp_conn *c);  /* for now */
uint32_t tcp_recv_most(const struct tcp_stack *s, const struct tcp_conn *c); /* at any time */
uint32_t tcp_recv_window(struct tcp_stack *s, struct tcp_conn *c); /* to offer now; moves rcv_adv */
void tcp_recv_data(struct tcp_stack *s, struct tcp_conn *c, struct tcp_segment *seg);
void tcp_recv_fin(struct tcp_stack *s, struct tcp_conn *c);
void tcp_recv_drop_ooo(struct tcp_stack *s, struct tcp_conn *c);
void tcp_recv_drop(struct tcp_stack *s, struct tcp_conn *c);

/* tcp_sack.c: of the segment at hand, [left, right) was there already; our next ACK tells. */
void tcp_sack_duplicate(struct tcp_stack *s, const struct tcp_conn *c, uint32_t left,
                        uint32_t right);
/* Whether the first block tells of a duplicate (RFC 2883 section 4). */
bool tcp_sack_is_duplicate(const struct tcp_options *options, uint32_t ack);
void tcp_sack_write(struct tcp_stack *s, const struct tcp_conn *c, struct tcp_options *options);

/* tcp_mbuf.c */
struct rte_mbuf *tcp_mbuf_cut_head(struct rte_mbuf *m, uint32_t n);
void tcp_mbuf_cut_tail(struct rte_mbuf *m, uint32_t len);

/* tcp_send.c */
void tcp_send_acked(struct tcp_stack *s, struct tcp_conn *c, uint32_t n);
void tcp_send_rewind(struct tcp_conn *c);
void tcp_send_drop(struct tcp_stack *s, struct tcp_conn *c);

/* tcp_output.c */
void tcp_output(struct tcp_stack *s, struct tcp_conn *c);
/* Sends the first unacknowledged segment again, whatever the windows say; the bytes of sequence
 * space sent, 0 when a pool was empty. */
uint32_t tcp_output_first(struct tcp_stack *s, struct tcp_conn *c);
/* With force, sends less than the sender's SWS rules would (their override timeout). */
bool tcp_output_next(struct tcp_stack *s, struct tcp_conn *c, bool force);
/* One segment of new data, past the congestion window but inside the peer's; false: none went. */
bool tcp_output_beyond(struct tcp_stack *s, struct tcp_conn *c);
/* The last segment that was sent, again. */
bool tcp_output_last(struct tcp_stack *s, struct tcp_conn *c);
void tcp_output_ack(struct tcp_stack *s, struct tcp_conn *c);
void tcp_output_probe(struct tcp_stack *s, struct tcp_conn *c);
void tcp_output_rst(struct tcp_stack *s, struct tcp_conn *c);
bool tcp_output_syn(struct tcp_stack *s, struct tcp_conn *c);
/* A challenge ACK (RFC 5961 section 7), within the connection's budget. */
void tcp_output_challenge(struct tcp_stack *s, struct tcp_conn *c);

/* tcp_segment.c */
bool tcp_segment_parse(struct tcp_stack *s, const struct net_segment *in, struct tcp_segment *out);
struct rte_mbuf *tcp_segment_new(struct tcp_stack *s, const struct tcp_key *key, uint32_t seq,
                                 uint32_t ack, uint8_t flags, uint32_t window,
                                 const struct tcp_options *options);
/* The same from frame_pool: what data goes behind. The reserve is not for data. */
struct rte_mbuf *tcp_segment_new_data(struct tcp_stack *s, const struct tcp_key *key, uint32_t seq,
                                      uint32_t ack, uint8_t flags, uint32_t window,
                                      const struct tcp_options *options);
int tcp_segment_send(struct tcp_stack *s, const struct tcp_key *key, struct rte_mbuf *m,
                     enum tcp_ect ecn);
/* The answer to a segment that belongs to nothing, within the stack's budget. */
void tcp_segment_refuse(struct tcp_stack *s, const struct tcp_segment *seg);
/* Offers a segment that belongs to nothing to config.stray. True: it took the mbuf. */
bool tcp_segment_stray(struct tcp_stack *s, struct tcp_segment *seg, bool listened);
/* Takes one of the stack's budget for answers outside connections. */
bool tcp_segment_allowed(struct tcp_stack *s);

/* tcp_listen.c */
struct tcp_listener *tcp_listen_find(const struct tcp_stack *s, const struct tcp_key *key);
void tcp_listen_input(struct tcp_stack *s, struct tcp_segment *seg, uint32_t iss_min, bool has_min);
bool tcp_listen_can_follow(struct tcp_stack *s, const struct tcp_segment *seg, uint32_t iss_min);
void tcp_syn_input(struct tcp_stack *s, struct tcp_syn *y, struct tcp_segment *seg);
void tcp_syn_complete(struct tcp_stack *s, struct tcp_syn *y, struct tcp_segment *seg);
void tcp_syn_timer(struct tcp_stack *s, struct tcp_syn *y);
void tcp_syn_free(struct tcp_stack *s, struct tcp_syn *y);
uint16_t tcp_mss_ours(const struct tcp_stack *s, const struct tcp_key *key);
uint16_t tcp_mss_effective(struct tcp_stack *s, const struct tcp_key *key,
                           const struct tcp_options *options);
bool tcp_timestamps_wanted(const struct tcp_stack *s, const struct tcp_options *options);
uint8_t tcp_wscale_peer(struct tcp_stack *s, const struct tcp_options *options);

/* tcp_connect.c */
uint32_t tcp_isn(const struct tcp_stack *s, const struct tcp_key *key);
uint32_t tcp_timestamp_offset(const struct tcp_stack *s, const struct tcp_key *key);

/* tcp_time_wait.c */
void tcp_time_wait_enter(struct tcp_stack *s, struct tcp_conn *c);
void tcp_time_wait_input(struct tcp_stack *s, struct tcp_time_wait *w, struct tcp_segment *seg);
void tcp_time_wait_run(struct tcp_stack *s);
void tcp_time_wait_free(struct tcp_stack *s, struct tcp_time_wait *w);

/* tcp_timer.c */
void tcp_timer_arm(struct tcp_stack *s, struct tcp_conn *c);
void tcp_timer_fire(struct tcp_stack *s, struct tcp_conn *c);
uint32_t tcp_timer_at(const struct tcp_stack *s, uint32_t span_ms); /* a deadline, never 0 */
uint32_t tcp_timer_at_us(const struct tcp_stack *s, uint32_t span_us);

/* Checks every connection; asserts. For tests. */
void tcp_check_invariants(const struct tcp_stack *s);

#endif
