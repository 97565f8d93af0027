/* What sluicectl top looks at: a line for each counter that is not 0, of each lane and of all
 * threads, and one for some histograms, of all threads; it makes rates of two looks. */
#include "base_time.h"
#include "control.h"

#include <inttypes.h>
#include <string.h>

#include <rte_cycles.h>

/* Of each lane alone: what it does, carries and has open. */
static const enum stats_id of_lane[] = {
    STATS_LANE_CYCLES_BUSY, STATS_NET_RX_PACKETS, STATS_NET_TX_PACKETS,
    STATS_TCP_CONNECTIONS,  STATS_CONN_IN,        STATS_CONN_OUT,
};

/* How long things take. */
static const enum stats_histogram_id of_time[] = {
    STATS_HISTOGRAM_TLS_ACCEPT,
    STATS_HISTOGRAM_CONN_STORE,
    STATS_HISTOGRAM_COURIER_ATTEMPT,
};

/* "histogram GROUP/NAME SHIFT C,C,...": one count more than there are bounds (stats.h). */
static void print_histogram(struct control_client *client, const struct topology *t,
                            enum stats_histogram_id id)
{
    const struct stats_histogram_row *row = &stats_histogram_rows[id];

    control_print(client, "histogram %s/%s %u ", row->row.group, row->row.name, row->shift);
    for (uint32_t k = 0; k <= row->bound_cnt; k++) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < t->stats_cnt; i++)
            sum += atomic_load_explicit(&t->stats[i].h[id].cnt[k], memory_order_relaxed);
        control_print(client, "%s%" PRIu64, k > 0 ? "," : "", sum);
    }
    control_print(client, "\n");
}

void control_top(struct control *c, struct control_client *client)
{
    const struct gateway *g = c->config.gateway;
    const struct topology *t = &g->topology;
    const char *why = NULL;

    control_print(client, "hostname %s\n",
                  settings_current(&c->config.gateway->hub)->conf->gateway.hostname);
    control_print(client, "started %" PRIu64 "\n", c->started_ns);
    control_print(client, "cycles_per_s %" PRIu64 "\n", rte_get_tsc_hz());
    control_print(client, "now_ns %" PRIu64 "\n", loop_now_ns());
    if (atomic_load_explicit(&t->drained, memory_order_relaxed))
        why = "drained by the operator";
    else if (topology_choose_spool(t, 0, &why) != TOPOLOGY_SPOOL_NONE)
        why = NULL;
    control_print(client, "accepting %s%s\n", why == NULL ? "yes" : "no: ", why == NULL ? "" : why);
    control_print(client, "lanes %u\n", t->lane_cnt);
    for (uint32_t i = 0; i < t->lane_cnt; i++)
        for (size_t k = 0; k < BASE_ARRAY_CNT(of_lane); k++)
            control_print(client, "lane %u %s/%s %" PRIu64 "\n", i, stats_rows[of_lane[k]].group,
                          stats_rows[of_lane[k]].name,
                          stats_get(topology_stats(t, TOPOLOGY_LANE, i), of_lane[k]));
    for (size_t k = 0; k < BASE_ARRAY_CNT(of_time); k++)
        print_histogram(client, t, of_time[k]);
    for (int id = 0; id < STATS_CNT; id++) {
        uint64_t v = control_total(g, (enum stats_id)id);
        if (v > 0)
            control_print(client, "total %s/%s %" PRIu64 "\n", stats_rows[id].group,
                          stats_rows[id].name, v);
    }
}
