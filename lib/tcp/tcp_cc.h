/*
 * What a congestion control decides: the size of the window. When a loss is detected and what is
 * sent again is not its business (tcp_ack.c: RFC 6582, tcp_recover.c: RFC 6675).
 */
#ifndef TCP_CC_H
#define TCP_CC_H

#include <stdint.h>

struct tcp_conn;
struct tcp_stack;

#define TCP_CWND_MAX (UINT32_C(1) << 30)

struct tcp_cc_ops {
    const char *name;
    /* the handshake is done: first window */
    void (*open)(const struct tcp_stack *s, struct tcp_conn *c);
    /* new data acknowledged, no recovery, and the window was in use */
    void (*acked)(const struct tcp_stack *s, struct tcp_conn *c, uint32_t bytes);
    /* recovery begins, or the network marks: sets ssthresh */
    void (*lost)(const struct tcp_stack *s, struct tcp_conn *c, uint32_t in_flight);
    /* the first timeout of a segment */
    void (*timeout)(const struct tcp_stack *s, struct tcp_conn *c, uint32_t in_flight);
    /* sending again after a pause */
    void (*idle)(const struct tcp_stack *s, struct tcp_conn *c);
};

/* What the network carried, of in_flight unacknowledged bytes. After a recovery these count, too,
 * what the peer holds already and what was sent in its stead: no more than the window was under way
 * (RFC 9438 section 4.6, RFC 6675 section 5.1's aim). */
uint32_t tcp_cc_load(const struct tcp_conn *c, uint32_t in_flight);

extern const struct tcp_cc_ops tcp_cc_newreno; /* RFC 5681 */
extern const struct tcp_cc_ops tcp_cc_cubic;   /* RFC 9438 */

/* Parts of CUBIC, for its test. */
uint32_t tcp_cubic_k_ms(uint32_t w_max, uint32_t cwnd, uint32_t mss);
uint32_t tcp_cubic_window(uint32_t w_max, uint32_t k_ms, uint32_t t_ms, uint32_t mss);

#endif
