/*
 * The command metrics: all counters and histograms of all threads, for programs. One line each,
 * its fields divided by tabs:
 *
 *   sluice-metrics 1                       the form's version
 *   cycles_per_second N
 *   thread NAME                            each, in their order
 *   spool NAME                             likewise: spooler_NAME is its thread, or spooler if
 *                                          there is one spool only
 *   listener NAME                          likewise
 *   counter GROUP NAME UNIT HELP VALUES    likewise gauge
 *   histogram GROUP NAME UNIT HELP SHIFT BOUNDS VALUES
 *   listener_counter GROUP NAME UNIT HELP VALUES
 *   end
 *
 * VALUES of a listener_counter are LISTENER=N. Others are THREAD=N, divided by blanks, of the
 * threads that have other than 0; those of a histogram THREAD=SUM:C,C,... with one count more than
 * bounds, which are 2^SHIFT, 2^(SHIFT+1)...
 */
#include "control.h"
#include "gateway_gauges.h"

#include <inttypes.h>

#include <rte_cycles.h>

#define LINE_ROOM 40000 /* for one line: a histogram of 64 lanes */
#define ROW_CNT   (STATS_CNT + STATS_HISTOGRAM_CNT + STATS_LISTENER_CNT)

static void print_value(struct control_client *client, const struct topology *t, uint32_t thread,
                        uint64_t value)
{
    char name[TOPOLOGY_NAME_CAP];

    topology_thread_name(t, thread, name, sizeof(name));
    control_print(client, " %s=%" PRIu64, name, value);
}

static void print_row(struct control_client *client, const struct topology *t, enum stats_id id)
{
    const struct stats_row *row = &stats_rows[id];

    control_print(client, "%s\t%s\t%s\t%s\t%s\t", stats_is_gauge(row) ? "gauge" : "counter",
                  row->group, row->name, row->unit, row->help);
    for (uint32_t i = 0; i < t->stats_cnt; i++) {
        uint64_t v = stats_get(&t->stats[i], id);
        if (v != 0)
            print_value(client, t, i, v);
    }
    control_print(client, "\n");
}

static void print_histogram(struct control_client *client, const struct topology *t, uint32_t id)
{
    const struct stats_histogram_row *row = &stats_histogram_rows[id];

    control_print(client, "histogram\t%s\t%s\t%s\t%s\t%u\t%u\t", row->row.group, row->row.name,
                  row->row.unit, row->row.help, row->shift, row->bound_cnt);
    for (uint32_t i = 0; i < t->stats_cnt; i++) {
        const struct stats_histogram *h = &t->stats[i].h[id];
        uint64_t cnt[STATS_BOUND_MAX + 1] = {0}, any = 0;
        for (uint32_t k = 0; k <= row->bound_cnt; k++)
            any |= cnt[k] = atomic_load_explicit(&h->cnt[k], memory_order_relaxed);
        if (any == 0)
            continue;
        print_value(client, t, i, atomic_load_explicit(&h->sum, memory_order_relaxed));
        for (uint32_t k = 0; k <= row->bound_cnt; k++)
            control_print(client, "%c%" PRIu64, k == 0 ? ':' : ',', cnt[k]);
    }
    control_print(client, "\n");
}

static void print_head(struct control_client *client, const struct topology *t)
{
    char name[TOPOLOGY_NAME_CAP];

    control_print(client, "sluice-metrics\t1\ncycles_per_second\t%" PRIu64 "\n", rte_get_tsc_hz());
    for (uint32_t i = 0; i < t->stats_cnt; i++) {
        topology_thread_name(t, i, name, sizeof(name));
        control_print(client, "thread\t%s\n", name);
    }
    for (uint32_t i = 0; i < t->spool_cnt; i++)
        control_print(client, "spool\t%s\n", t->spool[i].name);
    for (uint32_t i = 0; i < t->listener_cnt; i++)
        control_print(client, "listener\t%s\n", t->listener[i].name);
}

static void print_listener_row(struct control_client *client, const struct topology *t,
                               enum stats_listener_id id)
{
    const struct stats_row *row = &stats_listener_rows[id];

    control_print(client, "listener_counter\t%s\t%s\t%s\t%s\t", row->group, row->name, row->unit,
                  row->help);
    for (uint32_t i = 0; i < t->listener_cnt; i++) {
        uint64_t v = topology_listener_total(t, i, id);
        if (v != 0)
            control_print(client, " %s=%" PRIu64, t->listener[i].name, v);
    }
    control_print(client, "\n");
}

void control_metrics(struct control *c, struct control_client *client)
{
    const struct topology *t = &c->config.gateway->topology;
    uint64_t at = client->more ? client->request.offset : 0;

    if (!client->more) {
        gateway_gauges_read(c->config.gateway);
        print_head(client, t);
    }
    for (; at < ROW_CNT; at++) {
        if (client->body_len + LINE_ROOM > CONTROL_BODY_CAP)
            break;
        if (at < STATS_CNT)
            print_row(client, t, (enum stats_id)at);
        else if (at < STATS_CNT + STATS_HISTOGRAM_CNT)
            print_histogram(client, t, (uint32_t)(at - STATS_CNT));
        else
            print_listener_row(client, t,
                               (enum stats_listener_id)(at - STATS_CNT - STATS_HISTOGRAM_CNT));
    }
    client->request.offset = at;
    client->more = at < ROW_CNT;
    if (!client->more)
        control_print(client, "end\n");
}
