/* The scoreboard of losses (RFC 6675, 6937, 8985): tcp_recover.c, tcp_rack.c. Not for others than
 * lib/tcp. */
#ifndef TCP_RECOVER_H
#define TCP_RECOVER_H

#include "tcp_conn.h"

#include "tcp_option.h"

struct tcp_stack;
struct tcp_segment;

/* What a connection has while there are marks in its send queue, and for a round trip after. */
struct tcp_recovery {
    /* The marks and their sums: tcp_mark.c. */
    uint32_t pipe;               /* bytes on the way (RFC 6675) */
    uint32_t sacked_bytes;       /* that the peer holds beyond snd_una */
    uint32_t sacked_cnt;         /* mbufs of these */
    uint32_t lost_bytes;         /* lost and not sent again yet */
    uint32_t again_bytes;        /* sent again and not told to have arrived */
    struct rte_mbuf *judged;     /* all before it are SACKED or LOST; NULL: all are */
    struct rte_mbuf *lost_next;  /* no LOST one that waits is before it; NULL: none waits */
    struct rte_mbuf *again_head; /* RETRANSMITTED ones, the earliest first */
    struct rte_mbuf *again_tail;
    struct rte_mbuf *news; /* the last that was marked SACKED; NULL: none is known */
    struct tcp_sack_block block[TCP_SACK_BLOCK_MAX]; /* of the last ACK that had any */
    uint32_t block_cnt;

    /* RFC 6937. */
    uint32_t flight_bytes; /* RecoverFS */
    uint32_t prr_delivered;
    uint32_t prr_out;

    /* RFC 8985. */
    uint32_t fack;    /* the highest number delivered */
    uint32_t rack_us; /* the latest transmission known to be delivered: when, its end and its RTT */
    uint32_t rack_end;
    uint32_t rack_rtt_us;
    uint32_t reorder_ms; /* deadline: what is not delivered until then is lost; 0: none */
    bool rack_valid;
    bool first; /* the first lost segment goes out whatever the window says */

    /* What to come back to when nothing was lost: tcp_undo.c. */
    bool undo_valid;
    bool undo_timeout;        /* it was a timeout that reduced the window */
    uint32_t undo_from;       /* snd_una when it was reduced */
    uint32_t undo_until;      /* and snd_max when that was over: later news are late */
    uint32_t undo_probe;      /* end of a tail loss probe that was sent before; else undo_from */
    uint32_t undo_bytes;      /* sent again since */
    uint32_t undo_dsack_left; /* of these, not told to be duplicates */
    uint32_t undo_echo_left;  /* and not acknowledged by what was sent before */
    uint32_t undo_cwnd;
    uint32_t undo_ssthresh;
    uint32_t undo_cubic[5];
};

/* tcp_recover.c */
enum tcp_ack_kind {
    TCP_ACK_OTHER,
    TCP_ACK_NEW,       /* snd_una moved */
    TCP_ACK_DUPLICATE, /* RFC 5681 section 2 */
};
/* After snd_una has moved. False when this connection has no scoreboard (now). */
bool tcp_recover_input(struct tcp_stack *s, struct tcp_conn *c, const struct tcp_segment *seg,
                       enum tcp_ack_kind kind);
/* Takes all that the peer is not known to hold for lost; false when there is no scoreboard. */
bool tcp_recover_timeout(struct tcp_stack *s, struct tcp_conn *c);
/* What is in flight from seq on, or longer than a segment is now, did not fit the path: it is taken
 * for lost, but not for want of bandwidth. False when there is no scoreboard. */
bool tcp_recover_too_big(struct tcp_stack *s, struct tcp_conn *c, uint32_t seq);
void tcp_recover_delivered(struct tcp_stack *s, struct tcp_conn *c, const struct rte_mbuf *m,
                           uint32_t seq, uint32_t len);
/* Something is marked, or a recovery is under way. */
bool tcp_recover_is_busy(const struct tcp_stack *s, const struct tcp_conn *c);
/* A timeout is about to reduce the window. */
void tcp_recover_save(struct tcp_stack *s, struct tcp_conn *c);
/* The reordering deadline has passed. */
void tcp_recover_timer(struct tcp_stack *s, struct tcp_conn *c);
void tcp_recover_release(struct tcp_stack *s, struct tcp_conn *c);
void tcp_recover_check(const struct tcp_stack *s, const struct tcp_conn *c);

/* tcp_mark.c; r is the connection's. */
void tcp_mark_begin(const struct tcp_conn *c, struct tcp_recovery *r);
/* len bytes of m were sent for the first time. */
void tcp_mark_sent(struct tcp_recovery *r, struct rte_mbuf *m, uint32_t len);
/* m, which is LOST, was sent again. */
void tcp_mark_again(const struct tcp_conn *c, struct tcp_recovery *r, struct rte_mbuf *m);
/* The first len bytes of m, the queue's first, are acknowledged; with all of them, m goes. */
void tcp_mark_acked(const struct tcp_conn *c, struct tcp_recovery *r, struct rte_mbuf *m,
                    uint32_t len);
/* Marks what the blocks cover; true when they told something new. */
bool tcp_mark_sacked(struct tcp_stack *s, struct tcp_conn *c, struct tcp_recovery *r,
                     const struct tcp_sack_block *block, uint32_t cnt);
void tcp_mark_forget_sacked(struct tcp_conn *c, struct tcp_recovery *r);
/* Marks what is lost by now, and sets the time of the next look. */
void tcp_mark_lost_due(const struct tcp_stack *s, struct tcp_conn *c, struct tcp_recovery *r);
/* All that is in flight from seq on, or longer than a segment is now. */
void tcp_mark_lost_from(struct tcp_conn *c, struct tcp_recovery *r, uint32_t seq);
/* What waits to be sent again is on the way, after all. */
void tcp_mark_lost_none(struct tcp_conn *c, struct tcp_recovery *r);
/* Divides m, of the send queue, before offset; false when the pool is empty. What a port still
 * holds refers to bytes that stay where they are. */
bool tcp_mark_divide(struct tcp_stack *s, struct tcp_conn *c, struct rte_mbuf *m, uint32_t offset);
void tcp_mark_check(const struct tcp_conn *c, const struct tcp_recovery *r);

/* tcp_undo.c */
/* The window is about to be reduced. */
void tcp_undo_begin(const struct tcp_conn *c, struct tcp_recovery *r, bool timeout);
/* That is over; news are taken for a round trip more. */
void tcp_undo_end(const struct tcp_conn *c, struct tcp_recovery *r);
/* m has arrived, by what is acknowledged in order or by a block, and has its marks yet. */
void tcp_undo_acked(const struct tcp_stack *s, struct tcp_conn *c, struct tcp_recovery *r,
                    const struct rte_mbuf *m, uint32_t len, bool in_order);
void tcp_undo_duplicate(struct tcp_recovery *r, const struct tcp_sack_block *block);
/* Takes the reduction back when all that was sent again was needless. */
void tcp_undo_try(struct tcp_stack *s, struct tcp_conn *c, struct tcp_recovery *r);

/* tcp_rack.c */
void tcp_rack_delivered(struct tcp_stack *s, struct tcp_conn *c, struct tcp_recovery *r,
                        const struct rte_mbuf *m, uint32_t end);
uint32_t tcp_rack_window_us(const struct tcp_conn *c, const struct tcp_recovery *r);
bool tcp_rack_lost(const struct tcp_stack *s, const struct tcp_recovery *r,
                   const struct rte_mbuf *m, uint32_t end, uint32_t window_us, uint32_t *wait_us);
void tcp_rack_duplicate(struct tcp_conn *c);
void tcp_rack_recovered(struct tcp_conn *c);
void tcp_timer_retransmit(struct tcp_stack *s, struct tcp_conn *c);
void tcp_rack_probe(struct tcp_stack *s, struct tcp_conn *c);
void tcp_rack_probe_acked(struct tcp_stack *s, struct tcp_conn *c, const struct tcp_segment *seg,
                          bool duplicate);

#endif
