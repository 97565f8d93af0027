/*
 * DNS lists (RFC 5782) on a lane: clients are looked up as soon as they connect, all lists at once,
 * and the answer is awaited at RCPT at the latest. What the lists say of a client is kept for as
 * long as they say (a minute to an hour). A list that fails or is late weighs nothing; a client
 * about whom it could not be asked is let in. Once a client stands in a list that weighs against
 * it, the list is asked for its reason (TXT), which the reply quotes.
 *
 * Left out: lists of names (RFC 5782 section 2.2).
 *
 * Threads: the lane's. Memory: one array of clients, in sets of four, and a pool of questions, both
 * taken at the lane's start; a question that is out is the resolver's (resolver.h).
 */
#ifndef CLIENT_LISTS_H
#define CLIENT_LISTS_H

#include "base_assert.h"
#include "base_list.h"
#include "base_pool.h"
#include "net_addr.h"
#include "policy.h"

struct conn;
struct lane;
struct rcpt_job;

#define CLIENT_LISTS_TEXT_MAX 160 /* of a list's reason that is kept */

/* What is known of a client. */
struct client_lists_row {
    struct net_addr client;
    uint64_t until_ns;   /* 0: the row is free */
    uint64_t generation; /* of the settings whose lists were asked */
    struct base_list waiters;
    uint16_t pending, listed; /* bits, by list */
    uint8_t reason_list;      /* whose words text is */
    uint8_t text_len;
    char text[CLIENT_LISTS_TEXT_MAX];
};

/* Of a lane. */
struct client_lists {
    struct client_lists_row *rows;
    uint32_t set_cnt; /* of 4 rows; a power of two */
    uint8_t key[16];
    struct base_pool questions;
};

/* Returns 0 or -ENOMEM. */
int client_lists_init(struct lane *l, const uint8_t secret[16]) BASE_WARN_UNUSED;
/* The resolver has stopped. */
void client_lists_fini(struct lane *l);

/* A session begins: its client is looked up, unless it is let in anyway or is known. */
void client_lists_begin(struct conn *c);

enum client_lists_verdict { CLIENT_LISTS_PASS, CLIENT_LISTS_WAIT, CLIENT_LISTS_REFUSED };

/* A recipient of the client. WAIT: the job is in the list of those that wait, and conn_rcpt_wake is
 * called with it when all answers are there; REFUSED: with the reply, whose text stands in text. */
enum client_lists_verdict client_lists_judge(struct conn *c, struct rcpt_job *job,
                                             struct smtp_reply *reply, char text[POLICY_TEXT_CAP]);

/* Whether the client has to be looked up. */
bool client_lists_wanted(const struct conn *c);

#endif
