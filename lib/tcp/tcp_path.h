/* What is known of the ways to destinations (RFC 1191, 8201): tcp_path.c, tcp_icmp.c. Not for
 * others than lib/tcp. */
#ifndef TCP_PATH_H
#define TCP_PATH_H

#include "net_addr.h"

struct tcp_stack;
struct tcp_conn;
struct tcp_key;

#define TCP_PATH_WAYS 4
#define TCP_PATH_SETS 256 /* a power of two */

/* A destination that takes less than our own link. */
struct tcp_path {
    struct net_addr dst;
    uint16_t segment_max; /* bytes, TCP header included; 0: the entry is free */
    uint64_t expires_ns;
};
base_static_assert(sizeof(struct tcp_path) == 32, "a set of four in two cache lines");

struct tcp_paths {
    struct tcp_path *entry; /* owned: TCP_PATH_SETS sets of TCP_PATH_WAYS */
    uint32_t cnt;           /* in use, though some of them may have expired */
};

int tcp_path_init(struct tcp_paths *p) BASE_WARN_UNUSED;
void tcp_path_fini(struct tcp_paths *p);

/* The largest segment, header included, that is known to reach the connection's remote end. */
uint16_t tcp_path_segment_max(struct tcp_stack *s, const struct tcp_key *key);
/* From now on, and for ten minutes. */
void tcp_path_note(struct tcp_stack *s, const struct net_addr *dst, uint16_t segment_max);

/* The payload of a full segment that is segment_max long with its header. */
uint16_t tcp_path_mss(const struct tcp_conn *c, uint16_t segment_max);
/* The handshake is done, mss is what the two ends take: lowered to what the path takes. */
void tcp_path_begin(struct tcp_stack *s, struct tcp_conn *c);
/* Sends segments of mss bytes from now on; what waits in the queue is cut. */
void tcp_path_lower(struct tcp_stack *s, struct tcp_conn *c, uint16_t mss);
/* Of a connection with TCP_CONN_PATH: when what made it small has expired, it tries again. */
void tcp_path_retry(struct tcp_stack *s, struct tcp_conn *c);
/* What is in flight did not get through for its size: it goes out again, from the byte seq on and
 * all that is longer than a segment now is. No congestion (RFC 1191 section 6.5). */
void tcp_path_resend(struct tcp_stack *s, struct tcp_conn *c, uint32_t seq);
/* The retransmission timer has fired. True when a message that was waiting for that is the reason:
 * then all is done. */
bool tcp_path_timeout(struct tcp_stack *s, struct tcp_conn *c);

#endif
