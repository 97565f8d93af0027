/*
 * What the two sides of sim_world.c share: the clients with the messages that they send, and the
 * next hop, which checks what comes against them. For these files alone.
 */
#ifndef SIM_WORLD_INTERNAL_H
#define SIM_WORLD_INTERNAL_H

#include "sim_world.h"

#include <stdio.h>
#include <stdlib.h>

#define SCRATCH    65536
#define SENDER_CAP 40

struct client {
    struct tcp_conn *tcp;
    struct smtp_client smtp;
    uint32_t message; /* the one under way; UINT32_MAX: none */
    size_t at;        /* of its bytes, sent so far */
    uint32_t failed_cnt, deferred_cnt;
    bool sending, done_mail, ready;
    char envid[16];
    char sender[SENDER_CAP];
    uint64_t not_before_ns;
};

struct sink {
    struct tcp_conn *tcp;
    struct smtp_server smtp;
    uint8_t *body;
    size_t len;
    char rcpt[WORLD_RCPT_MAX][64];
    uint32_t rcpt_cnt;
    /* How the session ends after this message, the client being free to go on with another. */
    enum leave {
        LEAVE_NOT,
        LEAVE_CLOSE,      /* at once */
        LEAVE_421,        /* says so first, unasked */
        LEAVE_LATER,      /* at leave_ns, unless MAIL comes before */
        LEAVE_MAIL_421,   /* in reply to the next MAIL */
        LEAVE_MAIL_RESET, /* instead of one */
        LEAVE_CNT
    } leave;
    uint64_t leave_ns;
    unsigned number; /* of the message, by its sender; of a report: by its recipient */
    bool report;     /* it has the null sender */
};

struct world {
    struct world_config config;
    struct net *net;
    struct tcp_stack *tcp;
    struct stats_block stats;
    struct base_rand rand;
    struct client client[WORLD_CLIENT_MAX];
    struct sink sink[WORLD_SINK_MAX];
    uint32_t sink_cnt, sink_most, sink_refused_cnt; /* open; at most */
    struct world_message message[WORLD_MESSAGE_MAX];
    uint32_t next_message;
    uint64_t now_ns;
    struct smtp_server_settings settings;
    uint8_t scratch[SCRATCH];
    uint8_t line[SMTP_LINE_MAX * 2];
};

#define SAY(what, index)                                                                           \
    do {                                                                                           \
        fprintf(stderr, "seed %lu: %s (%u)\n", (unsigned long)w->config.seed, what,                \
                (unsigned)(index));                                                                \
        abort();                                                                                   \
    } while (0)

/* ---- messages: sim_world_client.c ---- */

extern const char *const world_rcpt_name[WORLD_RCPT_MAX];
extern const uint8_t world_rcpt_notify[WORLD_RCPT_MAX];

/* Message i, from the world's seed. */
void world_make_message(struct world *w, uint32_t i);

/* What MAIL and RCPT say beside the addresses, by the numbers of message and recipient. */
struct smtp_mail_params world_mail_params(unsigned i, char envid[16]);
struct smtp_rcpt_params world_rcpt_params(void *user, uint32_t index);
struct base_span world_rcpt_text(void *user, uint32_t index);

/* The message whose sender the mailbox is. */
bool world_sender_number(struct base_span mailbox, unsigned *i);

/* ---- clients: sim_world_client.c ---- */

/* With the message under way, or the next; does nothing when there is none. */
void world_connect_client(struct world *w, struct client *c);
void world_client_event(struct world *w, struct client *c, uint32_t flags);

#endif
