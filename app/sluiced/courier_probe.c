#include "courier_probe.h"
#include "courier.h"
#include "courier_control.h"
#include "courier_link.h"
#include "courier_print.h"
#include "courier_requirement.h"
#include "courier_shape.h"
#include "courier_start.h"

#include <rte_ring.h>

static void end(struct courier *c, struct delivery *d, const char *error)
{
    struct courier_request *r = d->request;

    d->request = NULL;
    courier_delivery_put(c, d);
    if (error != NULL)
        r->error = error;
    courier_control_answer(c, r);
}

/* To the address whose turn it is. Returns false when the lane has no room. */
static bool send(struct courier *c, struct delivery *d)
{
    const struct plan_target *target = &d->order->target[d->plan_try];
    const struct settings_route *route = courier_plan_route(c, d->plan);
    struct courier_source_refusal why;

    d->host = target->endpoint;
    d->host_name = target->host->name[0] != 0 ? target->host->name : NULL;
    d->requirement = &target->host->requirement;
    d->tls = DELIVERY_TLS_NOTHING;
    d->result[0] = (struct delivery_result){0};
    if (!courier_source_choose(c, d, route, target, &why)) { /* of no such family */
        d->source_no = 0;
        d->source = (struct net_addr){0};
        d->ehlo[0] = 0;
    }
    courier_requirement_fill(c, d, route);
    courier_link_fill(c, d, route, target);
    d->proxy = (uint8_t)route->proxy; /* of no client */
    d->proxy_client = false;
    courier_source_fill(c, d);
    courier_shape_fill(d);
    courier_lanes_take(&c->lanes, d);
    struct rte_ring *ring = topology_ring(c->topology, TOPOLOGY_COURIER_LANE, d->lane);
    if (rte_ring_sp_enqueue(ring, d) != 0) {
        d->unattempted = true;
        courier_lanes_put(&c->lanes, d);
        return false;
    }
    doorbell_ring(&c->topology->lane_bell[d->lane]);
    return true;
}

void courier_probe_start(struct courier *c, struct courier_plan *p, struct courier_request *r)
{
    if (p->order.target_cnt == 0)
        return courier_control_answer(c, r);
    if (!courier_may_start(c)) {
        r->error = "all deliveries are under way (queue: deliveries), try again";
        return courier_control_answer(c, r);
    }
    struct queue_job job = {.domain = base_span_str(p->domain)};
    struct delivery *d = courier_delivery_get(c, &job);
    d->probe = true;
    d->request = r;
    d->plan = p;
    d->order = &p->order;
    p->ref_cnt++;
    bool taken = courier_shape_begin(c, d); /* its connections count */
    base_assert(taken);
    if (!send(c, d))
        end(c, d, "the lane is busy, try again");
}

static const char *verdict_of(const struct delivery *d)
{
    return d->unattempted ? "not tried" : d->result[0].code / 100 == 2 ? "accepted" : "refused";
}

static void print(struct courier_request *r, const struct delivery *d)
{
    const struct delivery_result *result = &d->result[0];
    struct base_span words = base_span_of(result->text, result->text_len);
    const char *level = delivery_tls_level_name((enum dane_level)d->requirement->level);
    const char *tls = delivery_tls_name((enum delivery_tls)d->tls);
    char address[COURIER_LINK_TEXT_CAP];

    courier_link_format(address, &d->host, d->stream);
    if (r->filter.json) {
        courier_print(r, "{\"probe\":\"%s\",\"host\":\"%s\",\"is\":\"%s\",\"level\":\"%s\",",
                      address, d->host_name != NULL ? d->host_name : "", verdict_of(d), level);
        courier_print(r, "\"tls\":\"%s\",\"code\":%u,\"enhanced\":\"%s\",\"words\":", tls,
                      result->code, result->enhanced);
        courier_print_json(r, words);
        courier_print_text(r, "}\n");
        return;
    }
    courier_print(r, "probe address=%s host=%s is=%s tls=%s/%s", address,
                  d->host_name != NULL ? d->host_name : "-", verdict_of(d), level, tls);
    if (result->enhanced[0] != 0)
        courier_print(r, " enhanced=%s", result->enhanced);
    courier_print_text(r, ": ");
    courier_print_words(r, words);
    courier_print_text(r, "\n");
}

void courier_probe_done(struct courier *c, struct delivery *d)
{
    print(d->request, d);
    if (++d->plan_try >= d->order->target_cnt || c->draining)
        return end(c, d, NULL);
    d->unattempted = false;
    if (!send(c, d))
        end(c, d, "the lane is busy, try again");
}
