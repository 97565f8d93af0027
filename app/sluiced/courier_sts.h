/*
 * Policies of MTA-STS for the courier (RFC 8461): a plan that may need one asks here, by domain.
 * The TXT record is asked for, and says by its id whether the cache has the policy; else it is
 * fetched by HTTPS (https.h), and the plan waits for that, for delivery: mta_sts_timeout at most. A
 * fetch that fails leaves the policy that was there in force until it lapses; without one the mail
 * goes as if there were none. Policies that mail has used lately are fetched anew before they
 * lapse, beside everything.
 *
 * On disk the cache is control's: whole images of it are handed over, at most one in
 * COURIER_STS_SAVE_NS.
 *
 * Threads: the courier's, but for courier_sts_image_take (control's) and what is called before it
 * runs or after it has stopped. Memory: a job for each plan that asks, 64 KiB more while a policy
 * is fetched; COURIER_STS_JOBS at a time ask, the others wait.
 */
#ifndef COURIER_STS_H
#define COURIER_STS_H

#include "https_request.h"
#include "kept.h"
#include "sts_cache.h"

struct courier;
struct courier_plan;
struct courier_request;

#define COURIER_STS_RECORD  "_mta-sts"
#define COURIER_STS_HOST    "mta-sts" /* shorter: its name fits where the record's does */
#define COURIER_STS_PATH    "/.well-known/mta-sts.txt"
#define COURIER_STS_JOBS    64
#define COURIER_STS_SAVE_NS (10 * BASE_NS_S)

struct courier_sts {
    struct sts_cache cache;
    struct base_list waiting, asking; /* jobs */
    uint32_t asking_cnt;
    uint32_t refresh_cnt; /* of these, for nobody who waits */
    uint32_t wanted_cnt;  /* by an operator, not begun: at most so many */
    uint64_t refresh_ns, saved_ns;
    struct kept image; /* to control */
};

/* Returns 0 or -ENOMEM. */
int courier_sts_init(struct courier *c) BASE_WARN_UNUSED;
/* Before courier_plans_fini. */
void courier_sts_fini(struct courier *c);

/* For plan->sts[source], whose domain is set: holds the plan, and advances it in a later pass, when
 * that is known. */
void courier_sts_ask(struct courier *c, struct courier_plan *p, uint32_t source);

uint32_t courier_sts_pass(struct courier *c);
uint64_t courier_sts_deadline(const struct courier *c);
/* As courier_plans_flush. */
void courier_sts_flush(struct courier *c);

/* ---- for the operator ---- */

/* What is kept (courier_sts_list.c): of r->word, or all. */
void courier_sts_show(struct courier *c, struct courier_request *r);
void courier_sts_print(const struct courier *c, struct courier_request *r, const char *domain,
                       const struct sts_entry *e);
/* "Example.ORG" as the cache has it. Returns false when it is no name. */
bool courier_sts_domain(char out[DNS_NAME_CAP], const struct courier *c, struct base_span word);
/* Asks for that domain's record and, where there is one, for its policy, known or not; or for all
 * that are kept, beside everything. Returns whether it answers later. */
bool courier_sts_refresh(struct courier *c, struct courier_request *r);

/* ---- on disk ---- */

/* What was kept, before the courier runs. Returns how many policies, or as sts_cache_read. */
int courier_sts_load(struct courier *c, struct base_span text, uint64_t wall_ns) BASE_WARN_UNUSED;
/* NULL: nothing is to be written. The caller frees it. */
struct kept_text *courier_sts_image_take(struct courier *c);
/* What is not handed over yet, when the courier has stopped. */
void courier_sts_image_make(struct courier *c);

#endif
