/* Inside of stack_host: see stack_host.c. */
#ifndef STACK_HOST_H
#define STACK_HOST_H

#include "base_rand.h"
#include "net.h"
#include "tcp.h"

#include <openssl/evp.h>

#define HOST_FLOW_MAX    64
#define HOST_CHUNK_BYTES 65536

/* What one connection does. */
struct host_flow {
    uint32_t number; /* never the same again; its slot is the rest by HOST_FLOW_MAX */
    bool used;
    bool up;      /* connected */
    bool reads;   /* else what arrives waits, and the window closes */
    bool echoes;  /* sends back what it reads */
    bool stays;   /* ends by command alone */
    bool fin_due; /* FIN behind what is to be sent */
    bool fin_sent;
    bool peer_closed;
    uint64_t to_send; /* seeded bytes still to be made */
    uint64_t received, sent;
    struct base_rand rand;
    EVP_MD_CTX *received_sha, *sent_sha;
    struct tcp_conn *conn;
    uint32_t chunk_len, chunk_at; /* made and not yet taken by the stack */
    uint8_t chunk[HOST_CHUNK_BYTES];
};

struct host_listener {
    uint16_t port;
    char mode[128]; /* of what it accepts */
};

struct host {
    struct net_port port;
    struct net *net;
    struct tcp_stack *tcp;
    struct rte_mempool *rx_pool, *data_pool, *ctrl_pool;
    struct stats_block stats;
    uint64_t now_ns;
    struct host_listener listener[8];
    uint32_t listener_cnt;
    struct host_flow *flow[HOST_FLOW_MAX]; /* by slot, made when first used */
    char line[512];                        /* of standard input, as far as it has come */
    size_t line_len;
};

/* Words of a mode, see stack_host.c. False when one is none. */
bool host_flow_parse(struct host_flow *f, char *words);

/* A flow that is free, cleared, or NULL. */
struct host_flow *host_flow_open(struct host *h);

/* News of the stack, and what is to be done about them. */
void host_flow_event(struct host *h, struct host_flow *f, uint32_t flags);

/* Reads, sends and ends as far as it goes. */
void host_flow_go(struct host *h, struct host_flow *f);

/* "tell": its state as a line. */
void host_flow_tell(const struct host_flow *f);

/* tcp_close, or tcp_abort; prints the line that ends a flow. */
void host_flow_end(struct host *h, struct host_flow *f, bool abort_it);

#endif
