/*
 * TLS reports on control's side: what the courier has counted is fetched each few seconds and kept
 * in a file (gateway: state_dir), and the reports of closed days are sent (tlsrpt_sender.h), by the
 * courier's HTTPS. With tlsrpt: enable = no nothing of this is there.
 *
 * A kill of the gateway loses the sessions of the last CONTROL_TLSRPT_TAKE_NS, a power failure
 * those that the kernel had not written yet; that a report was begun, or sent, is synced.
 *
 * Threads: control's; control_tlsrpt_stop when the courier's thread has ended.
 */
#ifndef CONTROL_TLSRPT_H
#define CONTROL_TLSRPT_H

#include "courier_tlsrpt.h"
#include "tlsrpt_sender.h"

struct control;
struct control_client;

#define CONTROL_TLSRPT_TAKE_NS (3 * BASE_NS_S)
#define CONTROL_TLSRPT_FILE    "reports"
#define CONTROL_TLSRPT_SUB     "tlsrpt" /* directory below state_dir */
#define CONTROL_TLSRPT_TXT_MAX 8

struct control_tlsrpt_question {
    struct control *control;
    struct dns_query query;
    uint32_t slot;
    uint8_t room[8192];
};

struct control_tlsrpt {
    bool on;
    struct tlsrpt_sender sender;
    int dir, file; /* -1: not open */
    uint8_t key[16];
    struct courier_request take;
    bool taking;
    uint64_t take_ns, run_ns; /* when next */
    char contact[300];
    struct control_tlsrpt_question question[TLSRPT_SLOTS];
    struct courier_tlsrpt_post post[TLSRPT_SLOTS];
};

/* Once, when the log is there. */
void control_tlsrpt_start(struct control *c);
/* In each round. */
void control_tlsrpt_tend(struct control *c);
/* Takes back a request that is its own. Returns false when it is a client's. */
bool control_tlsrpt_answered(struct control *c, struct courier_request *r);
/* Takes the rest from the courier, which no longer runs, and writes it down. */
void control_tlsrpt_stop(struct control *c);

/* Commands (control_tlsrpt_show.c). */
void control_tlsrpt_list(struct control *c, struct control_client *client);
void control_tlsrpt_show(struct control *c, struct control_client *client);
void control_tlsrpt_sent(struct control *c, struct control_client *client);

#endif
