#include "courier_control.h"
#include "base_time.h"
#include "courier_cat.h"
#include "courier_command.h"
#include "courier_explain.h"
#include "courier_list.h"
#include "courier_tlsrpt.h"
#include "courier_shape_list.h"
#include "courier_suspend.h"

#include <rte_ring.h>

void courier_control_answer(struct courier *c, struct courier_request *r)
{
    struct rte_ring *ring = topology_ring(c->topology, TOPOLOGY_COURIER_CONTROL, 0);

    /* Control has fewer clients than the ring has places. */
    base_assert(rte_ring_sp_enqueue(ring, r) == 0);
    doorbell_ring(&c->topology->control_bell);
}

static void take(struct courier *c, struct courier_request *r)
{
    r->text_len = 0;
    r->error = NULL;
    r->more = false;
    switch (r->kind) {
    case COURIER_QUEUE_LIST:
        courier_list_messages(c, r);
        break;
    case COURIER_QUEUE_SHOW:
        courier_list_show(c, r);
        break;
    case COURIER_QUEUE_STAT:
        courier_list_stat(c, r);
        break;
    case COURIER_SOURCES:
        courier_source_list(c, r);
        break;
    case COURIER_SOURCES_RELEASE:
        courier_source_release(c, r);
        break;
    case COURIER_PROVIDERS:
        courier_shape_list_providers(c, r);
        break;
    case COURIER_QUEUE_DESTINATIONS:
        courier_shape_list_destinations(c, r);
        break;
    case COURIER_STS_SHOW:
        courier_sts_show(c, r);
        break;
    case COURIER_STS_REFRESH:
        if (courier_sts_refresh(c, r))
            return;
        break;
    case COURIER_SUSPEND:
        return courier_suspend_request(c, r);
    case COURIER_RESUME:
        return courier_suspend_resume(c, r);
    case COURIER_EXPLAIN:
    case COURIER_PROBE:
        return courier_explain_start(c, r);
    case COURIER_TLSRPT_TAKE:
        courier_tlsrpt_take(c, r);
        break;
    case COURIER_TLSRPT_POST:
        return courier_tlsrpt_post(c, r);
    case COURIER_QUEUE_CAT:
        courier_request_push(&c->cat.requests, r);
        return;
    case COURIER_QUEUE_FLUSH:
    case COURIER_QUEUE_HOLD:
    case COURIER_QUEUE_RELEASE:
    case COURIER_QUEUE_REQUEUE:
    case COURIER_QUEUE_DELETE:
        courier_request_push(&c->changes.requests, r);
        return;
    }
    courier_control_answer(c, r);
}

uint32_t courier_control_run(struct courier *c)
{
    struct rte_ring *in = topology_ring(c->topology, TOPOLOGY_CONTROL_COURIER, 0);
    struct courier_request *r;
    uint32_t n = 0;

    for (; rte_ring_sc_dequeue(in, (void **)&r) == 0; n++)
        take(c, r);
    return n + courier_command_run(c) + courier_cat_run(c);
}

uint64_t courier_control_deadline(const struct courier *c)
{
    uint64_t t = courier_command_deadline(c);

    /* The spooler's ring was full, or no buffer was left. */
    if (c->cat.requests.head != NULL && c->cat.buf == NULL && c->now_ns + BASE_NS_MS < t)
        t = c->now_ns + BASE_NS_MS;
    return t;
}
