/*
 * A lane: one core's whole pipeline, run to completion. Owns one queue pair of each port, a TCP
 * stack, its connections, its pools, its counters; nothing in it is shared. lane_pass does one
 * round:
 *
 *   RX burst -> net -> tcp -> completions from rings -> timers -> ready connections -> TX flush
 *
 * Threads: lane_pass by its own thread only; lane_init and lane_fini by control while it does not
 * run.
 */
#ifndef LANE_H
#define LANE_H

#include "base_pool.h"
#include "conn.h"
#include "conn_auth.h"
#include "conn_cache.h"
#include "conn_group.h"
#include "conn_rcpt.h"
#include "client_lists.h"
#include "conn_eightbit.h"
#include "conn_login.h"
#include "lane_busy.h"
#include "lane_cycles.h"
#include "lane_stream.h"
#include "lane_tls.h"
#include "lane_watch.h"
#include "net_rss.h"
#include "settings.h"
#include "spool.h"
#include "topology.h"

#define LANE_OUT_BYTES 16384 /* scratch for replies and message bytes on their way out */
#define LANE_BURST     64
/* Pieces of messages for which a spooler is woken at once: nobody waits for them before the COMMIT,
 * and each wake-up costs the lane as much as a few packets. */
#define LANE_PIECES_EACH 8

struct lane_config {
    struct topology *topology;
    struct settings_hub *hub;
    struct net_port *port; /* as many as the settings have port blocks, in their order. Borrowed */
    struct rte_mempool *data_pool;
    struct rte_mempool *ctrl_pool;
    struct rte_mempool *frame_pool; /* NULL: data_pool */
    struct lane_tls *tls;           /* NULL: there is no TLS */
    struct policy_limits *limits;   /* of all lanes; NULL: clients are not counted */
    uint32_t number;
    uint8_t secret[16];
    /* How the first port spreads segments, and the others; NULL: nobody knows. Borrowed. */
    const struct net_rss *rss;
    const struct net_rss *more_rss[NET_JOIN_MAX - 1];
    uint16_t port_min, port_max; /* ephemeral ports of all lanes; 0: LANE_PORT_MIN, LANE_PORT_MAX */
    /* Stacks the layers of a new connection (conn_push_layer) before its first byte; NULL: none.
     * Which layers a listener or a route has is decided here and nowhere else. */
    void (*push_layers)(struct conn *c, bool outbound);
};

#define LANE_RECIPIENT_SLOTS 8192 /* twice CONN_MESSAGE_EXPANDED_MAX */

/* One of its ports. */
struct lane_port {
    struct lane *lane;
    struct net_port *port;
    struct net *net;
    const struct net_rss *rss; /* NULL: each lane has a slice of the ephemeral ports */
    uint32_t number;           /* the block's place; with several ports it stands in each frame */
};

struct lane {
    /* Read each pass. */
    uint64_t now_ns;
    uint64_t wall_ns;
    const struct settings *settings; /* of this pass */
    uint32_t tracing;                /* trace_on, of this pass */
    struct lane_cycles cycles;
    const struct policy_tables *tables; /* likewise; NULL: none */
    struct net *net;                    /* of the first port: the others are joined to it */
    struct tcp_stack *tcp;
    uint32_t port_cnt;
    struct lane_port ports[NET_JOIN_MAX];
    struct lane_tls *tls;         /* NULL: none */
    struct policy_limits *limits; /* shared by all lanes; NULL: none */
    struct topology *topology;
    struct settings_hub *hub;
    /* By spool. */
    struct rte_ring *to_spooler[TOPOLOGY_SPOOL_MAX], *from_spooler[TOPOLOGY_SPOOL_MAX];
    struct rte_ring *to_courier, *from_courier;
    struct rte_ring *to_host, *host_free, *from_host; /* NULL: the machine has nothing here */
    const struct lane_port *host_port;                /* that it shares */
    struct stats_block *stats;
    struct base_list open;    /* all connections */
    struct base_list stalled; /* connections that wait for buffers, ring room or the spool */
    uint32_t number;
    uint32_t id_counter;
    uint32_t transaction_cnt; /* open in all connections */
    uint32_t commit_cnt;      /* ended, and waiting to be durable */
    uint32_t in_cnt, out_cnt; /* connections */
    uint32_t proxy_cnt;       /* of in_cnt, those that wait for their PROXY header */
    uint32_t shorten_cnt;     /* connections still to be looked at, since stress began */
    uint32_t spool_turn;      /* which one the next message is offered to first */
    uint32_t spoolers_rung;   /* pushed something this pass: ring once at its end; bits, by spool */
    uint32_t spoolers_owed; /* pushed pieces of messages alone since it was rung; bits, by spool */
    uint8_t pieces[TOPOLOGY_SPOOL_MAX]; /* how many those are, < LANE_PIECES_EACH */
    bool courier_rung;
    bool host_rung;
    bool draining; /* going down: nothing new in either direction */
    bool refusing; /* take no new mail: going down, or drained by the operator */
    bool told;     /* idle clients have been told so */
    bool stress;   /* connections are nearly all taken: see client_limits.h */
    struct lane_busy busy;
    struct stats_log log;
    struct base_wheel wheel;
    struct base_pool conns;
    struct lane_streams streams;
    struct lane_watch watch;
    struct conn_cache idle; /* connections to next hops that wait for a message */
    struct conn_groups groups;
    struct spool_buf_pool bufs;
    struct policy_work *policy_work;
    struct lane_auth auth;
    struct lane_rcpt rcpt;
    struct client_lists lists;
    struct conn_login login;       /* at next hops */
    struct conn_eightbit eightbit; /* messages that are being converted */
    void (*push_layers)(struct conn *c, bool outbound);
    uint32_t lane_cnt;
    bool rss_known;        /* of a port at least */
    uint32_t port_min;     /* the first ephemeral port of lane 0 */
    uint32_t steer_stride; /* ephemeral ports a lane */
    /* Scratch of one call; nothing lives here between calls. */
    uint8_t line[SMTP_LINE_MAX * 2];
    uint8_t out[LANE_OUT_BYTES];
    uint8_t layer_in[2][LANE_OUT_BYTES];
    uint8_t layer_out[2][LANE_OUT_BYTES];
    struct policy_from from;
    struct policy_expansion expansion;
    struct base_span recipients[LANE_RECIPIENT_SLOTS]; /* a set of a message's */
};

/* What ARP told one lane, for the others: answers come to one queue only. */
struct lane_neighbor {
    struct net_addr addr;
    uint8_t mac[6];
    uint8_t answer;
    uint8_t port; /* its number: links are apart */
};

/* ICMP about a segment of ours, which may have come to another lane than the connection's. */
struct lane_icmp {
    struct net_addr src, dst; /* of our segment */
    uint8_t quoted[8];        /* ports and sequence number */
    uint16_t mtu;             /* 0: not too big, but not delivered for another reason */
    uint16_t pad;
};

/* Ephemeral ports of all lanes. Where it is not known how the port spreads segments, each lane has
 * an equal slice, so that a reply on the wrong lane names the right one. Where the machine's kernel
 * shares our addresses, less those that it takes. */
#define LANE_PORT_MIN 16384
#define LANE_PORT_MAX 65535

/* Opens the stack and the listeners of the settings. Returns 0, or a negative error with a sentence
 * in err. */
int lane_init(struct lane **out, const struct lane_config *config, uint64_t now_ns, char *err,
              size_t err_cap) BASE_WARN_UNUSED;

/* Everything is dropped; what has no 250 yet was never accepted. */
void lane_fini(struct lane *l);

/* One round. Returns true when it did something. */
bool lane_pass(struct lane *l, uint64_t now_ns, uint64_t wall_ns);

/* When the next timer is due; BASE_NS_NONE when none runs. */
uint64_t lane_deadline(const struct lane *l);

/* From now on 421 for new connections and idle ones. */
void lane_drain(struct lane *l);

/* ---- for its connections ---- */

/* Its number among those of today, from 1: what the log and operators call it. */
static inline uint32_t lane_conn_number(const struct conn *c)
{
    const struct lane *l = c->lane;

    return base_pool_index(&l->conns, c) * l->lane_cnt + l->number + 1;
}

/* A spool for a new message; TOPOLOGY_SPOOL_NONE and why when none takes any. */
uint32_t lane_choose_spool(struct lane *l, const char **why);
/* Room for n entries in the ring to the spooler of that message. */
bool lane_spool_room(const struct lane *l, const struct spool_id *id, uint32_t n);
/* To the spooler that the entry's id names. There must be room. The entry's from is filled in. */
void lane_spool_push(struct lane *l, struct spool_entry *entry);
/* Hands a delivery back; the ring always has room (as many as there are deliveries). */
void lane_deliver_back(struct lane *l, struct delivery *d);

/* That has the address; the first where none has. */
const struct lane_port *lane_port_of(const struct lane *l, const struct net_addr *addr);

/* net_config's heard, of a port: tells the other lanes. */
void lane_heard(void *arg, const struct net_addr *addr, const uint8_t mac[6], bool answer);
/* net_config's too_big and unreachable: to the lane whose connection it is about. */
void lane_too_big(void *arg, const struct net_addr *src, const struct net_addr *dst, uint16_t mtu,
                  const uint8_t *quoted, uint32_t quoted_len);
void lane_unreachable(void *arg, const struct net_addr *src, const struct net_addr *dst,
                      const uint8_t *quoted, uint32_t quoted_len);
/* Takes what the other lanes have told. */
void lane_hear(struct lane *l);

/* Frames of other lanes, of a port of which it is not known how it spreads them: those in pkts are
 * sorted out, the rest is moved to the front. Returns how many are left. */
uint32_t lane_steer(struct lane *l, struct rte_mbuf **pkts, uint32_t cnt);
/* Frees the frames that other lanes have passed to l. No lane passes any more. */
void lane_steer_fini(struct lane *l);

/* The machine's own traffic (host.h): whether the port has it, which is one at most. */
bool lane_host_wanted(const struct conf_port *port);
void lane_host_init(struct lane *l, const struct conf *conf);
void lane_host_fini(struct lane *l);
/* net_config's other: for the kernel. Takes frame. */
void lane_host_give(void *arg, struct rte_mbuf *frame);
/* Sends what the kernel has sent; returns how many frames. */
uint32_t lane_host_pass(struct lane *l);

/* tcp_config's port_fits and stray. */
bool lane_port_fits(void *arg, const struct net_endpoint *local, const struct net_endpoint *remote);
bool lane_stray(void *arg, struct rte_mbuf *frame, const struct net_endpoint *local,
                const struct net_endpoint *remote, bool listened);

#endif
