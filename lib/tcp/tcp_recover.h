/* The scoreboard of losses (RFC 6675, 6937, 8985): tcp_recover.c, tcp_rack.c. Not for others than
 * lib/tcp. */
#ifndef TCP_RECOVER_H
#define TCP_RECOVER_H

#include "tcp_conn.h"

#include "tcp_option.h"

struct tcp_stack;
struct tcp_segment;

/* What a connection has while there are marks in its send queue: tcp_recover.c. */
struct tcp_recovery {
    uint32_t pipe;         /* bytes on the way (RFC 6675) */
    uint32_t sacked_bytes; /* that the peer holds beyond snd_una */
    uint32_t sacked_cnt;   /* mbufs of these */
    uint32_t lost_bytes;   /* lost and not sent again yet */
    uint32_t again_bytes;  /* sent again and not told to have arrived */
    uint32_t flight_bytes; /* RFC 6937 RecoverFS */
    uint32_t prr_delivered;
    uint32_t prr_out;
    uint32_t fack;    /* the highest number delivered */
    uint32_t rack_us; /* the latest transmission known to be delivered: when, its end and its RTT */
    uint32_t rack_end;
    uint32_t rack_rtt_us;
    uint32_t reorder_ms; /* deadline: what is not delivered until then is lost; 0: none */
    bool rack_valid;
    bool first; /* the first lost segment goes out whatever the window says */
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
/* The reordering deadline has passed. */
void tcp_recover_timer(struct tcp_stack *s, struct tcp_conn *c);
void tcp_recover_release(struct tcp_stack *s, struct tcp_conn *c);
void tcp_recover_check(const struct tcp_stack *s, const struct tcp_conn *c);

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
