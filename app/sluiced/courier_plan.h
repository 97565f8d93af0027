/*
 * Where the mail of a destination goes: a plan is what the route and the DNS say about it, made
 * once for as long as the answers may be kept, and shared by all deliveries that go there.
 *
 *   route           what is asked
 *   via = mx        MX of the recipient's domain; the domain itself where it has none (RFC 5321
 *                   section 5.1); refused for good: a null MX (RFC 7505), no such domain
 *   host = name     likewise, of that name, with its port; what fails is a failure for now
 *   host = [name]   the addresses of that name
 *   host = address  nothing
 *   host = unix:    nothing; loopback addresses and unix sockets are reached by the kernel
 *
 * Hosts are in order of preference, those of one preference in an order of chance. Of each: A and
 * AAAA, as far as we have an address of the family, then what the chain of decision asks for
 * (dane_decide.h). On the public route (via = mx) hosts whose address or name is ours are dropped
 * with all that are no better (mail would come back, RFC 5321 section 5.1), and addresses that are
 * private are left out (net_addr_is_private). At most PLAN_HOST_MAX hosts are looked at, a few at a
 * time and only until PLAN_ADDRESS_MAX addresses are found.
 *
 * A plan is whole before its first delivery: every one that came meanwhile waits in it. Lookups
 * that fail are never taken for an answer, and such plans serve those that wait alone. Other
 * settings make all plans old; those being made then send what waits back to the queue. So does,
 * for those made, a resolver with another configuration, which comes a moment after the settings.
 *
 * Threads: the courier's; deliveries on lanes read plan->requirement's memory, which stays until
 * the last of them has put the plan back. Memory: malloc when a plan is made, none when one is
 * found; PLAN_MAX plans are kept besides those in use, each of at most PLAN_KEEP_BYTES;
 * PLAN_QUERY_MAX questions with room for their answers.
 */
#ifndef COURIER_PLAN_H
#define COURIER_PLAN_H

#include "base_list.h"
#include "base_rand.h"
#include "courier_requirement.h"
#include "dane_decide.h"
#include "delivery.h"
#include "dns_rdata.h"
#include "https_request.h"
#include "sts_cache.h"
#include "settings.h"

struct courier;

#define PLAN_MAX              4096
#define PLAN_KEEP_BYTES       32768
#define PLAN_QUERY_MAX        128
#define PLAN_HOST_MAX         50 /* O3: of an MX set */
#define PLAN_HOST_BATCH       5  /* looked at together */
#define PLAN_ADDRESS_MAX      5  /* tried by a delivery */
#define PLAN_HOST_ADDRESS_MAX 16 /* kept of a host; those of one family half of it */
#define PLAN_TTL_MAX_S        3600
#define PLAN_NAME_MAX         3

enum plan_question {
    PLAN_ASK_A,
    PLAN_ASK_AAAA,
    PLAN_ASK_CNAME,
    PLAN_ASK_EXPANDED, /* TLSA, in the order of DANE_EXPANDED and DANE_ORIGINAL */
    PLAN_ASK_ORIGINAL,
    PLAN_ASK_MX
};

/* Why a host is left out before its decision counts. */
enum plan_refusal {
    PLAN_HOST_TAKEN,
    PLAN_HOST_OWN,        /* it is us, or no better than us */
    PLAN_HOST_PRIVATE,    /* all its addresses are private */
    PLAN_HOST_IS_ADDRESS, /* an MX record with an address in place of a name */
    PLAN_HOST_UNASKED,    /* enough addresses were found before it */
};

struct plan_address {
    struct net_addr addr;
    bool own, is_private;
};

struct plan_tlsa {
    uint8_t *data;                 /* owned */
    struct dane_record *records;   /* those that count; owned */
    const struct dane_record *all; /* as they came; behind them */
    uint32_t cnt, select_cnt;
};

/* What the host is held to for a message that asks for it by itself (dane_requiretls.h). */
struct plan_proof {
    struct dane_decision decision;
    struct dane_requirement requirement;
    const char *names[PLAN_NAME_MAX];
};

struct plan_host {
    char name[DNS_NAME_CAP];        /* "": an address, or a path */
    char path[NET_STREAM_PATH_CAP]; /* of a unix socket; "": none */
    char canonical[DNS_NAME_CAP];   /* where aliases lead; "": it is none */
    uint16_t port, preference;
    uint32_t rank;             /* smaller ones first; hosts of one rank are as good */
    uint32_t source;           /* the next hop of the route that it is of; 0: by MX */
    uint8_t refusal, open_cnt; /* questions that are out */
    uint8_t asked;             /* A, AAAA: bits by enum plan_question */
    bool ended;                /* all that is to be known of it is known */
    bool leads_here;
    struct dane_facts facts;
    struct dane_decision decision;
    struct plan_address address[PLAN_HOST_ADDRESS_MAX];
    uint32_t address_cnt;
    struct plan_tlsa tlsa[2];     /* by DANE_EXPANDED, DANE_ORIGINAL */
    char why[DNS_WHY_CAP];        /* the resolver's words about what failed */
    char text[NET_ADDR_TEXT_CAP]; /* of an address without a name */
    const char *names[PLAN_NAME_MAX];
    struct dane_requirement requirement;
    struct plan_proof kept;   /* REQUIRETLS */
    struct plan_proof waived; /* TLS-Required: no; on the public route */
};

enum plan_outcome {
    PLAN_ASKING,
    PLAN_READY, /* there are addresses to try */
    PLAN_DEFER, /* none for now */
    PLAN_FAIL,  /* none, and there will be none */
    PLAN_OLD    /* the settings have changed while it was made */
};

/* A policy of MTA-STS, its own copy: of the recipients' domain, or of a next hop that the route
 * names (RFC 8461 section 3.4). */
enum plan_sts_state { PLAN_STS_UNASKED, PLAN_STS_ASKING, PLAN_STS_KNOWN };

struct plan_sts {
    uint8_t state;  /* enum plan_sts_state */
    uint8_t record; /* enum sts_record: what stands in the DNS now, and its id */
    char domain[DNS_NAME_CAP];
    char record_id[STS_ID_CAP];
    bool has_policy; /* one is in force */
    char id[STS_ID_CAP];
    struct sts_policy policy; /* mx owned */
    uint64_t fetched_s, expires_s;
    char why[STS_WHY_CAP]; /* there is none, or not the newest; "": nothing went wrong */
    uint8_t failure;       /* enum sts_failure: the policy of the record could not be had */
};

struct plan_target {
    struct net_endpoint endpoint; /* all 0: a unix socket */
    const struct plan_host *host;
    bool by_kernel; /* not by the lanes' TCP: stream */
    struct net_stream_target stream;
};

/* Addresses in the order in which they are tried; the first even_cnt are as good as each other. */
struct plan_order {
    struct plan_target target[PLAN_ADDRESS_MAX];
    uint32_t target_cnt, even_cnt;
};

struct courier_plan {
    struct base_list node; /* of those kept, the one used last at the end; or of those being made */
    struct courier_plan *hash_next;
    uint64_t hash, generation, expires_ns;
    uint64_t resolver_no; /* topology.resolver_config_no when it was begun */
    uint32_t ref_cnt;
    bool kept;       /* it is found by its name */
    bool explain;    /* for an operator: unusable records are remembered, too */
    uint8_t outcome; /* enum plan_outcome */
    uint8_t state;   /* of its making (courier_plan_make.c) */
    uint32_t open_cnt, source_at;
    uint32_t ttl_s;
    uint16_t group;           /* of its destination, by its name or its hosts (courier_shape.h) */
    bool grouped;             /* that was looked for */
    struct delivery *waiting; /* the one that came last first */
    struct courier_request *request; /* explain: who waits */
    struct settings_hop *named;      /* probe: the host that the operator names; owned */
    /* The MX set, of the last name that was asked for one: */
    struct dane_lookup mx;
    uint8_t mx_verdict;         /* enum dane_mx */
    char domain[DNS_NAME_CAP];  /* of the recipients; "" where it is no name */
    char mx_name[DNS_NAME_CAP]; /* whose MX was asked for */
    char mx_canonical[DNS_NAME_CAP];
    char why[DNS_WHY_CAP]; /* the resolver's words about what failed */
    bool literal;          /* the domain is an address */
    struct net_addr literal_addr;
    struct courier_requirement asked; /* by the operator */
    struct plan_sts *sts;             /* by plan_host.source; NULL: nothing was asked */
    uint32_t sts_cnt;
    struct plan_host *hosts;
    uint32_t host_cnt, host_cap, host_at, host_end; /* the batch being looked at */
    struct plan_order order;
    struct plan_order waived; /* TLS-Required: no; empty where that changes nothing */
    size_t bytes;             /* malloc'ed */
    /* DEFER, FAIL: */
    const char *enhanced;
    char words[DELIVERY_TEXT_MAX];
    uint32_t key_len;
    uint8_t key[]; /* the destination's name */
};

struct courier_query {
    struct dns_query q;
    struct courier_query *next;
    struct courier_plan *plan;
    uint32_t host;
    uint8_t kind; /* enum plan_question */
    uint8_t room[DNS_DATA_MAX];
};

struct courier_plans {
    struct courier_plan **by_name; /* hash table */
    struct base_list kept;
    struct base_list asking; /* being made, with something still to be asked */
    uint32_t kept_cnt, made_cnt;
    struct courier_query *queries, *free_query;
    uint32_t query_cnt; /* out */
    struct base_rand rand;
    uint8_t key[16];
    struct delivery *ready; /* their plan is made */
};

int courier_plans_init(struct courier_plans *p, const uint8_t secret[16]) BASE_WARN_UNUSED;
/* The resolver no longer runs: what is out is given up. */
void courier_plans_fini(struct courier_plans *p);

/* What the queue calls the destination of mail for the domain: by the route, or the domain in its
 * comparable form. Returns the length. */
size_t courier_plan_destination(const struct settings *s, struct base_span domain,
                                uint8_t out[QUEUE_DESTINATION_MAX]);

/* The plan for the domain of d->job, found or begun; d holds it until courier_plan_put. Returns
 * true when it is made; else d waits in it, and comes back in plans.ready, by d->next. */
bool courier_plan_take(struct courier *c, struct delivery *d);
void courier_plan_put(struct courier *c, struct delivery *d);

/* For https.h: the route of the domain that the policy host is of, or that host itself, allows this
 * private address. user: the courier. */
bool courier_plan_permits(void *user, const struct https_request *r, const struct net_addr *a);

/* Begins a plan that is not kept, for an operator, who is answered when it is made. A probe may be
 * of a next hop in place of a domain, as routes have them ("[host]:587"): no route is asked then,
 * nothing of one is used (no login, no PROXY header), and as with a route to hosts private
 * addresses are tried, too. TLS begins with the first byte at port 465. Returns 0, -EINVAL (no
 * mailbox) or -ENOMEM. */
int courier_plan_explain(struct courier *c, struct courier_request *r) BASE_WARN_UNUSED;

/* Asks what there was no room for. Returns how many questions went out. */
uint32_t courier_plans_run(struct courier *c);
/* When it wants to go on though nothing comes. */
uint64_t courier_plans_deadline(const struct courier *c);
/* The gateway goes down: what waits for a plan comes back in plans.ready, with one that is not
 * made.
 */
void courier_plans_flush(struct courier *c);

/* ---- between the parts of it ---- */

/* courier_plan_make.c: the next steps of a plan, as far as they go. */
void courier_plan_advance(struct courier *c, struct courier_plan *p);
/* The route that the plan is of. */
const struct settings_route *courier_plan_named_route(const struct settings_hop *hop);
const struct settings_route *courier_plan_route(const struct courier *c,
                                                const struct courier_plan *p);
/* courier_plan_end.c: what comes of the answers. */
void courier_plan_judge_addresses(struct courier *c, struct courier_plan *p, struct plan_host *h);
void courier_plan_decide_host(struct courier *c, struct courier_plan *p, struct plan_host *h);
uint32_t courier_plan_usable_cnt(const struct courier_plan *p);
void courier_plan_conclude(struct courier *c, struct courier_plan *p);
/* courier_plan_policy.c: sets what MTA-STS says about the host, where that matters. Returns false
 * while it is asked. */
bool courier_plan_policy(struct courier *c, struct courier_plan *p, struct plan_host *h);
/* The policy that the host is held to; NULL: none is known. */
const struct plan_sts *courier_plan_sts(const struct courier_plan *p, const struct plan_host *h);
void courier_plan_policy_fini(struct courier_plan *p);
/* courier_plan.c: it is made. */
void courier_plan_made(struct courier *c, struct courier_plan *p);
/* Gives up a hold. */
void courier_plan_release(struct courier *c, struct courier_plan *p);
/* At the end: what asked for it does not come back. */
void courier_plan_abandon(struct courier_plan *p);
/* What waits in it comes back in plans.ready. */
void courier_plan_wake(struct courier *c, struct courier_plan *p);
/* courier_plan_make.c: one more question may go out. */
bool courier_plan_may_ask(const struct courier *c);

#endif
