/*
 * What control asks of the courier about the queue. A request goes there and back through two
 * rings, one piece of the answer each time; whoever has it last owns it.
 */
#ifndef COURIER_REQUEST_H
#define COURIER_REQUEST_H

#include "queue_filter.h"

enum courier_request_kind {
    COURIER_QUEUE_LIST,
    COURIER_QUEUE_SHOW,
    COURIER_QUEUE_STAT,
    COURIER_QUEUE_CAT,
    COURIER_EXPLAIN,
    COURIER_PROBE,
    COURIER_SOURCES,
    COURIER_SOURCES_RELEASE,
    COURIER_TLSRPT_TAKE, /* courier_tlsrpt.h; not by a client */
    COURIER_TLSRPT_POST,
    COURIER_PROVIDERS,
    COURIER_QUEUE_DESTINATIONS,
    COURIER_STS_SHOW,
    COURIER_STS_REFRESH,
    /* changes, from here on */
    COURIER_QUEUE_FLUSH,
    COURIER_QUEUE_HOLD,
    COURIER_QUEUE_RELEASE,
    COURIER_QUEUE_REQUEUE,
    COURIER_QUEUE_DELETE,
    COURIER_SUSPEND,
    COURIER_RESUME
};

/* STAT: undelivered recipients of one destination. */
#define COURIER_TALLY_MAX 128 /* destinations told apart; the rest is counted together */
enum {
    COURIER_TALLY_QUEUED,
    COURIER_TALLY_DEFERRED,
    COURIER_TALLY_FAILED,
    COURIER_TALLY_HELD,
    COURIER_TALLY_CNT
};
struct courier_tally {
    uint8_t domain[64]; /* cut there */
    uint32_t len;
    uint32_t cnt[COURIER_TALLY_CNT];
};

struct courier_request {
    struct courier_request *next; /* the courier's: those that wait */
    enum courier_request_kind kind;
    struct queue_filter filter;   /* views of control's line */
    struct base_span word;        /* EXPLAIN: the recipient; PROBE: that, a domain or a host;
                                     SOURCES_RELEASE: which; a view of control's line */
    uint32_t uid;                 /* who asks */
    struct tlsrpt_counts *tlsrpt; /* TLSRPT_TAKE */
    uint64_t wall_ns;
    struct base_span reason; /* SUSPEND */
    uint64_t for_ns;         /* SUSPEND; 0: until it is resumed */
    /* How far it has come, over all pieces: */
    struct spool_id after;       /* only messages behind it */
    uint32_t recipient_at;       /* SHOW: the next one; DESTINATIONS, PROVIDERS: the last number;
                                    STS_SHOW: as sts_cache_next */
    uint64_t offset;             /* CAT: the next byte */
    uint64_t done_cnt, busy_cnt; /* changed; left as they are, being delivered */
    struct courier_tally tally[COURIER_TALLY_MAX];
    uint32_t tally_cnt;
    /* The piece: */
    char *text; /* any bytes; room for text_cap */
    size_t text_cap, text_len;
    const char *error; /* static: the answer ends here, without being whole */
    bool more;         /* a bound of one piece ended it */
};

struct courier_request_list {
    struct courier_request *head, *tail;
};

static inline void courier_request_push(struct courier_request_list *l, struct courier_request *r)
{
    r->next = NULL;
    if (l->head == NULL)
        l->head = r;
    else
        l->tail->next = r;
    l->tail = r;
}

static inline struct courier_request *courier_request_pop(struct courier_request_list *l)
{
    struct courier_request *r = l->head;
    if (r != NULL)
        l->head = r->next;
    return r;
}

#endif
