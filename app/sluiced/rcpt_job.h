/*
 * A recipient whose reply has to wait: for the answers of DNS lists about its client, or for what
 * the next hop says about the recipient (recipient: verify). It keeps what RCPT said, because the
 * session's views into the input do not outlive the wait. For the second it travels to the courier
 * and back (courier_verify.h).
 *
 * Memory: the lane's pool. Threads: whoever has it; conn and away are the lane's at all times.
 */
#ifndef RCPT_JOB_H
#define RCPT_JOB_H

#include "base_list.h"
#include "delivery.h"
#include "policy_key.h"
#include "smtp_params.h"

struct conn;

/* What became of a question to the next hop. */
enum rcpt_answer {
    RCPT_ANSWER_NONE,          /* not asked yet */
    RCPT_ANSWER_DELIVERABLE,   /* 2xx */
    RCPT_ANSWER_UNDELIVERABLE, /* 5xx */
    RCPT_ANSWER_UNDECIDED,     /* 4xx, or no answer */
    RCPT_ANSWER_BUSY,          /* too many questions are under way */
};

struct rcpt_job {
    struct base_list place; /* the lane's, of those that wait for a client's lists; else the
                               courier's, of those that wait for an address */
    struct conn *conn;      /* NULL: gone, nobody waits */
    bool away;              /* with the courier */
    bool listed;            /* the lists have been asked, and let it pass */
    uint8_t verdict;        /* enum policy_verdict, of policy_rcpt */
    uint8_t lane;
    uint8_t answer; /* enum rcpt_answer */
    /* The next hop's words, or ours. */
    uint16_t code;
    uint8_t words_len;
    char enhanced[10];
    char words[DELIVERY_TEXT_MAX];
    struct policy_key key; /* the address in the one form in which it is compared */
    /* What RCPT said. */
    uint16_t mailbox_len, orcpt_len;
    uint8_t mailbox[SMTP_ADDRESS_MAX];
    uint8_t orcpt[SMTP_ORCPT_MAX];
};

#endif
