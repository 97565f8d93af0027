/* drain and undrain: no new mail for a while, what is there is delivered. */
#include "control.h"

static void log_drain(struct control *c, const char *what)
{
    struct stats_log_record r = {.wall_ns = loop_wall_ns(), .event = STATS_LOG_NOTE};

    stats_log_text(&r, base_span_str(what));
    stats_log_push(&c->log, &r);
}

void control_drain(struct control *c, struct control_client *client, bool on)
{
    struct gateway *g = c->config.gateway;
    bool before = atomic_exchange_explicit(&g->topology.drained, on, memory_order_relaxed);

    if (on != before)
        log_drain(c, on ? "drained by the operator: no new mail is taken"
                        : "the operator has ended the drain: mail is taken");
    for (uint32_t i = 0; on != before && i < g->topology.lane_cnt; i++)
        doorbell_ring(&g->topology.lane_bell[i]);
    control_print(client, "drained %s\n", on ? "yes" : "no");
    control_print(client, "clients %llu\n", (unsigned long long)control_total(g, STATS_CONN_IN));
    control_print(client, "under_way %llu\n",
                  (unsigned long long)control_total(g, STATS_QUEUE_ACTIVE));
    control_print(client, "messages %llu\n",
                  (unsigned long long)control_total(g, STATS_QUEUE_MESSAGES));
    control_print(client, "waiting %llu\n",
                  (unsigned long long)control_total(g, STATS_QUEUE_DEFERRED));
}
