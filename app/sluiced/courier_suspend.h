/*
 * Suspensions: an operator has mail to a destination, or to a provider's destinations, wait until a
 * time, or until it is resumed. Nothing of it is tried; its age counts on, so that who sent it
 * hears of the delay, and what is past its lifetime has one attempt when it is over.
 *
 * A suspension survives a restart as a message of the spool that is never delivered: its id has the
 * time 0, so that recovery tells of it before all mail; SPOOL_ENVELOPE_SUSPENSION says what it is.
 * FREE ends it. The first deliveries wait until each spool has told of what it has of them
 * (courier_suspend_known).
 *
 * Time: by running time; of the time between two runs as much as the wall clock says, and never
 * more is left than there was at first.
 *
 * Threads: the courier's. Memory: malloc, SUSPENSION_MAX.
 */
#ifndef COURIER_SUSPEND_H
#define COURIER_SUSPEND_H

#include "base_list.h"
#include "queue.h"

struct courier;
struct courier_request;
struct spool_done;

#define SUSPENSION_MAX        1024
#define SUSPENSION_REASON_MAX 120

enum suspension_state {
    SUSPENSION_NEW,     /* to be written */
    SUSPENSION_WRITING, /* with the spooler */
    SUSPENSION_DURABLE,
    SUSPENSION_UNWRITTEN, /* the spool did not take it: of this run alone */
    SUSPENSION_ENDING     /* its FREE is on its way; no longer in force */
};

struct courier_suspension {
    struct base_list node;
    struct spool_id id;
    uint8_t state;
    bool gone; /* ENDING, and nothing of it is on disk or on its way there */
    uint32_t uid;
    uint64_t until_ns, until_wall_ns, for_ns; /* 0: until it is resumed */
    char name[QUEUE_DESTINATION_MAX + 1];     /* of a provider, or a destination */
    char reason[SUSPENSION_REASON_MAX + 1];
    uint8_t envelope[512]; /* while it is written */
    uint32_t envelope_len;
    uint64_t give_up_ns;
    struct courier_request *request; /* who waits until it is durable, or gone */
};

struct courier_suspensions {
    struct base_list all;
    uint32_t cnt;
    uint64_t start_ns; /* of the courier's first pass */
    bool known;
    uint64_t told_cnt[16]; /* by spool: messages that came, until all suspensions are known */
    bool spool_known[16];
};

void courier_suspend_init(struct courier *c);
void courier_suspend_fini(struct courier *c);

/* Whether the id is of a suspension. */
bool courier_suspend_is(const struct spool_id *id);
/* A completion of one: ARRIVED, COMMIT, FREE, RELEASE, DAMAGED. */
void courier_suspend_done(struct courier *c, const struct spool_done *done);
/* A message came from the spool with that number of a place. */
void courier_suspend_told(struct courier *c, uint32_t spool);
/* What there was at the start is known: deliveries may begin. */
bool courier_suspend_known(struct courier *c);

/* Ends those whose time has come, writes what is to be written. Returns how many. */
uint32_t courier_suspend_pass(struct courier *c);
uint64_t courier_suspend_deadline(const struct courier *c);
/* The providers are others. */
void courier_suspend_apply(struct courier *c);

/* An operator's: takes the request, which is answered when it is on disk. */
void courier_suspend_request(struct courier *c, struct courier_request *r);
void courier_suspend_resume(struct courier *c, struct courier_request *r);

/* The one in force of that name; NULL: none. */
const struct courier_suspension *courier_suspend_find(const struct courier *c,
                                                      struct base_span name);
/* The one that a destination waits for, its own or its group's; NULL: none. */
const struct courier_suspension *courier_suspend_of(const struct courier *c, struct base_span name,
                                                    uint32_t group);

#endif
