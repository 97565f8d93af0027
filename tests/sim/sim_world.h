/*
 * The world around a simulated gateway: one host at the other end of the link, with clients that
 * send mail and a next hop that takes it, both on our own engines. It keeps the ledger: which
 * message was acknowledged, what of it arrived. Everything by seed, in virtual time; one thread.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "base_rand.h"
#include "net.h"
#include "sim_bounce.h"
#include "smtp_client.h"
#include "smtp_server.h"
#include "tcp.h"

struct rte_mempool;

#define WORLD_RCPT_MAX    4
#define WORLD_CLIENT_MAX  8
#define WORLD_SINK_MAX    64
#define WORLD_MESSAGE_MAX 64

struct world_message {
    uint8_t *bytes;
    size_t len;
    uint32_t rcpt_cnt;
    bool acked;
    bool refused;                       /* for good */
    uint32_t delivered[WORLD_RCPT_MAX]; /* times, by recipient */
    struct bounce_ledger bounce;
};

struct world_config {
    struct net_port *port;
    struct rte_mempool *data_pool, *ctrl_pool;
    uint64_t seed;
    uint32_t client_cnt;
    uint32_t message_cnt;
    uint32_t size_max;           /* of a body */
    uint32_t sink_defer_percent; /* 451 at RCPT or end of data, or the connection cut */
    uint32_t sink_leave_percent; /* after a message: the session ended where that costs nothing */
    uint32_t
        source_refuse_percent; /* of what comes from source_refused: refused for that address */
    struct net_addr source_refused;
    uint64_t *source_refused_cnt; /* grows by each; borrowed */
    uint32_t sink_connection_max; /* 421 to those over it; 0: none */
    bool bounce;                  /* the next hop refuses recipients for good, too: sim_bounce.h */
    bool no_dsn;                  /* the next hop does not offer DSN */
};

struct world;

/* sim_lmtp_config's take; user: the world. */
void world_take_lmtp(void *user, struct base_span sender, struct base_span recipient,
                     struct base_span content);

struct world *world_open(const struct world_config *config, uint64_t now_ns);
void world_close(struct world *w);

/* Receives, lets everybody act, sends. Returns true when something happened. */
bool world_pass(struct world *w, uint64_t now_ns);
uint64_t world_next(const struct world *w);

/* All messages have their final word from the gateway. */
bool world_sent(const struct world *w);
/* All recipients of acknowledged messages have theirs. */
bool world_delivered(const struct world *w);
/* At the end: NULL, or what is wrong with the reports to senders (bounce_check). */
const char *world_bounced(const struct world *w, uint32_t extra, bool exact, bool timely);
/* Reports that came, and recipients that they told had failed. */
void world_count_bounces(const struct world *w, uint64_t *report_cnt, uint64_t *failed_cnt);
/* Deliveries beyond the first, of all recipients. */
uint32_t world_duplicates(const struct world *w);
uint32_t world_acked(const struct world *w);
/* No connection is left. */
bool world_idle(const struct world *w);

/* Connections that the next hop had at a time at most; those that it refused. */
void world_sink_seen(const struct world *w, uint32_t *most, uint32_t *refused);

/* Makes the next hop refuse nothing more, so that the run ends. */
void world_calm(struct world *w);

#endif
