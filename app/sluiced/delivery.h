/*
 * One delivery attempt on its way: the courier makes it, a lane carries it out and fills in the
 * results, the courier journals them. Owned by whoever holds the pointer; the two rings move it.
 * What job points to belongs to the queue and does not change while the job is out.
 */
#ifndef DELIVERY_H
#define DELIVERY_H

#include "delivery_tls.h"
#include "net_addr.h"
#include "queue.h"

struct policy_verify_entry;

#define DELIVERY_TEXT_MAX 120

struct delivery_result {
    uint16_t code; /* the server's; 0: none came */
    uint8_t text_len;
    char enhanced[10];
    char text[DELIVERY_TEXT_MAX]; /* raw bytes: the server's words, or ours when code is 0 */
    /* The courier's, of a delivery that has come back: */
    uint8_t state;  /* enum spool_outcome_state */
    uint8_t report; /* what the sender is to be told (courier_report.h); 0: nothing */
    bool expired;   /* it failed because its lifetime was over */
};

struct courier_plan;
struct courier_request;

struct delivery {
    struct delivery *next; /* the courier's free list, and what waits for a plan */
    /* The courier's: where it may go, and how far it has come. */
    struct courier_plan *plan;
    uint32_t plan_start, plan_try;
    const char *host_name;           /* of the plan; NULL: the route has an address */
    bool fatal;                      /* nobody was asked, and it fails for good (no such domain) */
    struct courier_request *request; /* probe: who waits for it */
    bool probe; /* without a message and recipients: the connection and what it proves, result[0]
                   tells of it, 250: it would be accepted */
    struct queue_job job;
    struct net_endpoint host;
    uint64_t sent_ns; /* the courier's: to the lane */
    uint64_t policy;  /* of all that a connection begins with: requirement->digest, tls_begin,
                         tls_lenient, the PROXY header. One is shared only by deliveries with the
                         same host and policy */
    /* What the next hop must prove; NULL: nothing, the connection is in clear. The courier's. */
    const struct dane_requirement *requirement;
    uint8_t tls_begin;    /* enum delivery_tls_begin */
    bool tls_lenient;     /* what can not be had of the requirement is told of and done without */
    bool tls_clear_after; /* clear text after a failed handshake, where TLS is optional */
    /* The PROXY header that the next hop gets: its version, 0: none, and its addresses, port and
     * all 0: there is no client (LOCAL, UNKNOWN). Part of policy. */
    uint8_t proxy;
    bool proxy_client;
    struct net_endpoint client, client_destination;
    /* Not NULL: no message is sent, the next hop is only asked for this recipient
     * (courier_verify.h); the job has no message. */
    struct policy_verify_entry *verify;
    struct base_span verify_mailbox;
    bool verify_answered; /* its result is what was said to RCPT */
    uint64_t login;       /* settings_login that the next hop wants, 0: none. Part of policy */
    uint8_t auth_trouble; /* enum smtp_client_auth_trouble */
    uint8_t open[QUEUE_JOB_RCPT_MAX]; /* the lane's: positions that the session's job is about */
    uint32_t lane;                    /* that carries it out */
    uint8_t tls_try;                  /* the lane's: enum conn_tls_try */
    bool unattempted;    /* the lane could not even try: not an attempt, without results */
    bool refused;        /* the next hop took no mail at all for now (4xx before MAIL) */
    bool next_host;      /* this address heard nothing of the message, and did not fail it for good:
                            another one of the same destination may take it at once */
    uint8_t tls;         /* enum delivery_tls */
    bool dsn_passed_on;  /* the next hop offers DSN: it answers for what it took (RFC 3461 section
                            5.2.1); else a success that was to be notified is ours to tell */
    uint32_t result_cnt; /* told; recipients not told count as
                            deferred without a code */
    struct delivery_result result[QUEUE_JOB_RCPT_MAX]; /* by position in job.recipients */
};

#endif
