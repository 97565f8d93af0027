/* What is kept of a connection in each stage of its life: struct tcp_syn, tcp_conn, tcp_time_wait.
 * Not for others than lib/tcp. */
#ifndef TCP_CONN_H
#define TCP_CONN_H

#include "net_addr.h"
#include "tcp_fifo.h"

#include "base_assert.h"
#include "base_wheel.h"

/* The 4-tuple, hashed as bytes: no padding. */
struct tcp_key {
    struct net_addr local;
    struct net_addr remote;
    uint16_t local_port; /* host order */
    uint16_t remote_port;
};
base_static_assert(sizeof(struct tcp_key) == 36, "hashed as bytes");

#define TCP_KEY_V4_BYTES 12

/* The bytes of a key that differ from those of others: an IPv4 address is four. Returns how many,
 * which differs by family, too. */
static inline uint32_t tcp_key_pack(uint8_t out[sizeof(struct tcp_key)], const struct tcp_key *key)
{
    if (!net_addr_is_v4(&key->remote)) {
        memcpy(out, key, sizeof(*key));
        return sizeof(*key);
    }
    memcpy(out, key->local.b + 12, 4);
    memcpy(out + 4, key->remote.b + 12, 4);
    memcpy(out + 8, &key->local_port, 4); /* both ports */
    return TCP_KEY_V4_BYTES;
}

enum tcp_conn_flag {
    TCP_CONN_IN_TABLE = 1 << 0,
    TCP_CONN_READY = 1 << 1,  /* in the set of what tcp_flush looks at */
    TCP_CONN_EVENT = 1 << 2,  /* in the set of what tcp_poll gives out */
    TCP_CONN_ORPHAN = 1 << 3, /* the caller's handle is gone */
    TCP_CONN_FIN_QUEUED = 1 << 4,
    TCP_CONN_FIN_ACKED = 1 << 5,
    TCP_CONN_PEER_FIN = 1 << 6, /* received in order: rcv_nxt counts it */
    TCP_CONN_ACK_NOW = 1 << 7,
    TCP_CONN_WANT_WRITE = 1 << 8,
    TCP_CONN_RTT_TIMED = 1 << 9, /* our SYN, or an mbuf of the send queue, gives the next sample */
    TCP_CONN_RECOVERY = 1 << 10, /* RFC 6582 fast recovery */
    TCP_CONN_SYN_LOST = 1 << 11, /* our SYN was sent more than once */
    TCP_CONN_TRIED = 1 << 12,    /* a pool was empty: try again when the timer fires */
    TCP_CONN_PARTIAL = 1 << 13,  /* this recovery has seen a partial ACK */
    TCP_CONN_TIMESTAMPS = 1 << 14,  /* RFC 7323: Snd.TS.OK */
    TCP_CONN_SACK = 1 << 15,        /* RFC 2018: both ends take it */
    TCP_CONN_LOSS = 1 << 16,        /* a timeout's losses are being sent again, by their marks */
    TCP_CONN_REORDERED = 1 << 17,   /* RFC 8985: the path has been seen to reorder */
    TCP_CONN_DSACKED = 1 << 18,     /* this recovery was needless in part */
    TCP_CONN_PROBE_DUE = 1 << 19,   /* retransmit_ms is that of the tail loss probe */
    TCP_CONN_PROBED = 1 << 20,      /* one is on its way; recover is its end */
    TCP_CONN_PROBE_AGAIN = 1 << 21, /* and was nothing new */
    TCP_CONN_ECN = 1 << 22,         /* RFC 3168: both ends take part */
    TCP_CONN_ECN_ECHO = 1 << 23,    /* CE came; the peer has not reduced yet */
    TCP_CONN_ECN_CWR = 1 << 24,     /* the next new data tells that we have */
    TCP_CONN_ECN_CUT = 1 << 25,     /* and up to recover, no loss counts again */
    TCP_CONN_PATH = 1 << 26,        /* mss is below mss_max, for the path */
    TCP_CONN_FULL_ACKED = 1 << 27,  /* a segment of mss bytes has got through (RFC 5927) */
    TCP_CONN_UNREACHABLE = 1 << 28, /* ICMP said so while it was opening */
    TCP_CONN_OWNED = 1 << 29,       /* user is of who has the connection, not of its listener */
};

struct tcp_conn {
    /* Who it is, and what every segment looks at. */
    struct tcp_key key;
    uint8_t state;  /* enum tcp_state */
    uint8_t error;  /* enum tcp_error */
    uint8_t events; /* enum tcp_event_flag, not yet given out */
    uint8_t wscale; /* low half: of the windows we send, high half: of those that we get */
    uint32_t flags; /* enum tcp_conn_flag */
    uint16_t mss;   /* payload bytes of a full segment that we send */
    uint8_t unacked_segments; /* received since our last ACK, up to 255 */
    uint8_t challenge_epoch;  /* the second of the budget below */
    void *user;

    /* Sequence space (RFC 9293 section 3.3.1) and congestion. */
    uint32_t snd_una;
    uint32_t snd_nxt; /* goes back to snd_una on a timeout */
    uint32_t snd_max; /* the highest snd_nxt so far */
    uint32_t snd_wnd;
    uint32_t snd_wl1;     /* SND.WL2 is not kept: only ACKs >= snd_una get as far as to need it */
    uint32_t snd_wnd_max; /* the largest window ever offered */
    uint32_t snd_len;     /* bytes in the send queue, from snd_una on */
    uint32_t snd_cap;     /* most bytes of it */
    uint32_t rcv_nxt;
    uint32_t rcv_adv; /* the right edge that we have offered; never goes back */
    uint32_t rcv_len; /* bytes in the receive queue */
    uint32_t cwnd;
    uint32_t ssthresh;
    uint32_t recovery;    /* 1 + index of its struct tcp_recovery; 0: it has none */
    uint32_t recover;     /* RFC 6582: snd_max when the last recovery or timeout began */
    uint32_t received_ms; /* the last segment */

    /* Timers. */
    struct base_timer timer; /* at the first deadline: tcp_timer_arm */
    uint32_t retransmit_ms;  /* SYN, data, zero-window probe or a retry: what is due is seen then */
    uint32_t ack_ms;         /* delayed ACK */
    uint32_t life_ms;        /* open timeout, keepalive, orphan timeout */
    uint32_t min_rtt_us;     /* 0: no sample yet */
    uint32_t ts_offset;      /* of our timestamps against now_ms */
    uint32_t ts_recent;      /* RFC 7323 TS.Recent */
    uint32_t srtt_us;        /* 0: no sample yet */
    uint32_t rttvar_us;      /* while there is none: when our SYN was sent */
    uint8_t backoff;
    uint8_t dup_acks;
    uint8_t probes; /* keepalive probes unanswered */
    uint8_t challenge_left;
    uint32_t progress_ms; /* snd_una moved, or sending began */

    /* Queues: mbufs linked by next, each on its own (pkt_len and nb_segs mean nothing). */
    struct rte_mbuf *rcv_head;
    struct rte_mbuf *ooo_head; /* sorted, without overlap; see tcp_recv.c */
    struct rte_mbuf *snd_head; /* its first byte is snd_una (or the one after our SYN) */
    struct rte_mbuf *snd_next; /* where snd_nxt is; NULL only when the queue is empty */
    uint16_t snd_next_offset;  /* 0..data_len of it */
    uint16_t ooo_cnt;
    uint32_t cc_acked; /* the congestion control's own, from here on */
    uint32_t cubic_w_max;
    uint32_t cubic_w_est;
    uint32_t cubic_epoch_ms; /* 0: none */
    uint32_t cubic_k_ms;
    uint8_t reorder; /* RFC 8985 reo_wnd_mult less 1 and, in the high half, reo_wnd_persist */
    uint8_t recv_doublings; /* of the receive window, and its present round: tcp_tune.c */
    uint16_t mss_max;       /* what mss is on a path that takes all that the two ends do */
    uint16_t round_end;
    uint16_t round_ms;
} BASE_CACHE_ALIGNED;
base_static_assert(sizeof(struct tcp_conn) == 256, "budget: four cache lines");

/* A half-open passive connection. */
struct tcp_syn {
    struct tcp_key key;
    uint32_t irs;
    uint32_t iss;
    uint16_t mss;
    uint16_t listener; /* index */
    uint8_t retry_cnt;
    uint8_t peer_wscale;
    bool has_wscale : 1;
    bool has_timestamp : 1;
    bool has_sack : 1;
    bool has_ecn : 1;
    bool is_cookie : 1;     /* it is kept nowhere */
    struct tcp_links links; /* oldest first */
    uint32_t ts_recent;
    struct base_timer timer;
};
base_static_assert(sizeof(struct tcp_syn) <= 96, "budget");

struct tcp_time_wait {
    struct tcp_key key;
    uint32_t snd_nxt;
    uint32_t rcv_nxt;
    uint32_t ts_recent;     /* 0: no timestamps (a peer whose last one was 0 loses little) */
    struct tcp_links links; /* first to expire first */
    uint64_t expires_ns;
};
base_static_assert(sizeof(struct tcp_time_wait) <= 64, "budget");

#endif
