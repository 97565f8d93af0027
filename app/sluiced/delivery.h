/*
 * One delivery attempt on its way: the courier makes it, a lane carries it out and fills in the
 * results, the courier journals them. Owned by whoever holds the pointer; the two rings move it.
 * What job points to belongs to the queue and does not change while the job is out.
 */
#ifndef DELIVERY_H
#define DELIVERY_H

#include "delivery_tls.h"
#include "net_stream.h"
#include "queue.h"
#include "source_ledger.h"
#include "tlsrpt_words.h"

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
struct plan_order;
struct courier_request;

struct delivery {
    struct delivery *next; /* the courier's free list, and what waits for a plan */
    /* The courier's: where it may go, and how far it has come. */
    struct courier_plan *plan;
    const struct plan_order *order; /* of the plan, or of another one of its orders */
    uint32_t plan_start, plan_try;
    struct {
        bool any; /* a host before this one could not take it for now: what it said */
        struct net_endpoint host;
        const char *name;
        uint8_t tls;
        struct delivery_result result;
    } earlier;
    const char *host_name; /* of the plan; NULL: the route has an address */
    bool fatal;            /* nobody was asked, and it fails for good (no such domain) */
    bool unasked; /* likewise, because none may be for this message: it says nothing of them */
    struct courier_request *request; /* probe: who waits for it */
    bool probe; /* without a message and recipients: the connection and what it proves, result[0]
                   tells of it, 250: it would be accepted */
    struct queue_job job;
    struct net_endpoint host; /* all 0: a unix socket */
    /* Not NULL: not by the lane's TCP, but by the kernel's sockets. Of the plan. */
    const struct net_stream_target *stream;
    bool lmtp;
    bool return_path, delivered_to; /* fields before the message, on final delivery */
    uint64_t sent_ns;               /* the courier's: to the lane */
    uint64_t policy; /* of all that a connection begins with: requirement->digest, tls_begin,
                        tls_lenient, the PROXY header, LMTP, the socket. One is shared only by
                        deliveries with the same host and policy */
    /* What the next hop must prove; NULL: nothing, the connection is in clear. The courier's. */
    const struct dane_requirement *requirement;
    /* What the message asks for (courier_requiretls.h): it fails where the requirement can not be
     * had, and then where REQUIRETLS is not offered; or it is passed on where it is; or
     * "TLS-Required: no" has left less of it. */
    bool kept, kept_whole, keeps_offered, waived;
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
    /* The source (courier_source.h): the address to connect from, none: where the next hop leads;
     * and the name in EHLO, "": the gateway's. Part of policy. */
    struct net_addr source;
    char ehlo[256];
    uint32_t source_no;              /* 1 and its number in the ledger; 0: none */
    uint32_t source_day, source_cnt; /* recipients that were counted on that day */
    char source_site[SOURCE_SITE_CAP];
    uint64_t login;       /* settings_login that the next hop wants, 0: none. Part of policy */
    uint8_t auth_trouble; /* enum smtp_client_auth_trouble */
    uint8_t open[QUEUE_JOB_RCPT_MAX]; /* the lane's: positions that the session's job is about */
    uint32_t lane;                    /* that carries it out */
    uint64_t until_ns;                /* the lane's: the next hop has no longer than this */
    /* Of the provider that it goes to (courier_shape.h): */
    uint16_t group;               /* 0: none */
    uint32_t group_connections;   /* that may be open to it at a time; 0: any number */
    uint32_t connection_messages; /* that one of them may carry; 0: as the settings say */
    uint64_t begun_ns;
    uint64_t shape_wait_ns; /* a rule's: until the next try; 0: the back-off */
    bool shape_retried;     /* it has gone out once more already, by a rule */
    uint8_t tls_try;        /* the lane's: enum conn_tls_try */
    bool waits;             /* it was not tried because no source may be used now */
    bool unattempted;       /* the lane could not even try: not an attempt, without results */
    bool refused;           /* the next hop took no mail at all for now (4xx before MAIL) */
    bool next_host;         /* this address heard nothing of the message, and what it says is about
                               itself: another one of the same destination may take it at once. With a
                               code of 5xx it fails for good where no other one may take it */
    bool requiretls_passed; /* REQUIRETLS was said to it */
    uint8_t tls;            /* enum delivery_tls */
    /* For reports of TLS: what the connections that were opened for it came to. */
    uint8_t tls_session;     /* enum tlsrpt_result; NOTHING: to no session of TLS */
    uint8_t tls_success_cnt; /* of more than one, where the next hop's LIMITS made it go on */
    struct net_addr tls_source;
    char tls_reason[64];
    bool dsn_passed_on;  /* the next hop offers DSN: it answers for what it took (RFC 3461 section
                            5.2.1); else a success that was to be notified is ours to tell */
    uint32_t result_cnt; /* told; recipients not told count as
                            deferred without a code */
    struct delivery_result result[QUEUE_JOB_RCPT_MAX]; /* by position in job.recipients */
};

#endif
