#include "report.h"

#include "base_time.h"
#include "mode.h"
#include "stack.h"

#include <stdio.h>
#include <string.h>

static const struct {
    double share;
    const char *name;
} percentiles[] = {
    {0.5, "p50_us"}, {0.9, "p90_us"}, {0.99, "p99_us"}, {0.999, "p999_us"}, {1, "max_us"}};

void report_init(struct report *r, const struct options *o, struct lane *const *lane)
{
    memset(r, 0, sizeof(*r));
    r->options = o;
    r->lane = lane;
}

static uint64_t sum(const struct report *r, enum lane_counter id)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < r->options->lane_cnt; i++)
        n += lane_get(r->lane[i], id);
    return n;
}

static uint64_t sum_failed(const struct report *r)
{
    uint64_t n = 0;

    for (int id = LANE_FAIL_FIRST; id < LANE_FAIL_END; id++)
        n += sum(r, (enum lane_counter)id);
    return n;
}

static void join_latency(struct report *r)
{
    memset(&r->latency, 0, sizeof(r->latency));
    for (uint32_t i = 0; i < r->options->lane_cnt; i++)
        histogram_join(&r->latency, &r->lane[i]->latency);
}

static void join_handshake(struct report *r)
{
    memset(&r->latency, 0, sizeof(r->latency));
    for (uint32_t i = 0; i < r->options->lane_cnt; i++)
        histogram_join(&r->latency, &r->lane[i]->handshake);
}

static void join_refused(struct report *r)
{
    memset(&r->latency, 0, sizeof(r->latency));
    for (uint32_t i = 0; i < r->options->lane_cnt; i++)
        histogram_join(&r->latency, &r->lane[i]->refused);
}

/* Whether the unit is something else than the connection. */
static bool has_units(const struct mode *m)
{
    return m != &mode_connect && m != &mode_handshake;
}

static double us(const struct report *r, const struct histogram_sum *before, double share)
{
    return (double)histogram_percentile_ns(&r->latency, before, share) / 1e3;
}

/* ---- each second ---- */

static double per_s(struct report *r, enum lane_counter id, double seconds)
{
    uint64_t now = sum(r, id), n = now - r->before[id];

    r->before[id] = now;
    return (double)n / seconds;
}

void report_second(struct report *r, uint64_t now_ns)
{
    const struct mode *mode = r->options->mode;
    FILE *out = r->options->json ? stderr : stdout;
    double seconds = (double)(now_ns - r->last_ns) / 1e9;

    if (r->last_ns == 0 || seconds <= 0) {
        r->last_ns = now_ns;
        return;
    }
    r->last_ns = now_ns;
    fprintf(out, "%3u s", ++r->second);
    if (mode != NULL) {
        join_latency(r);
        fprintf(out, "  %8.0f connections/s", per_s(r, LANE_CONNECTIONS, seconds));
        if (mode->holds)
            fprintf(out, "  %lu standing", (unsigned long)sum(r, LANE_STANDING));
        else if (has_units(mode))
            fprintf(out, "  %8.0f %s/s", per_s(r, LANE_UNITS, seconds), mode->unit);
        fprintf(out, "  %7.1f MB/s  p50 %.0f us  p99 %.0f us  failed %lu",
                per_s(r, LANE_BYTES, seconds) / 1e6, us(r, &r->latency_before, 0.5),
                us(r, &r->latency_before, 0.99), (unsigned long)sum_failed(r));
        r->latency_before = r->latency;
    }
    if (r->options->flood != FLOOD_NONE)
        fprintf(out, "  flood %.0f/s", per_s(r, LANE_FLOOD_SENT, seconds));
    fputc('\n', out);
    fflush(out);
}

/* ---- at the end ---- */

static void figure(const struct report *r, const char *name, double value, const char *unit)
{
    if (r->options->json)
        printf("{\"case\": \"%s\", \"who\": \"%s\", \"metric\": \"%s\", \"value\": %.10g, "
               "\"unit\": \"%s\"}\n",
               r->options->case_name, r->options->who, name, value, unit);
    else
        printf("%s %.10g %s\n", name, value, unit);
}

/* By each lane's own time: they end one after the other. */
static double rate(const struct report *r, enum lane_counter id)
{
    double total = 0;

    for (uint32_t i = 0; i < r->options->lane_cnt; i++) {
        const struct lane *l = r->lane[i];
        uint64_t ns = atomic_load_explicit(&l->end_ns, memory_order_acquire) -
                      atomic_load_explicit(&l->begin_ns, memory_order_acquire);
        uint64_t n = atomic_load_explicit(&l->at_end[id], memory_order_relaxed);
        total += ns > 0 ? (double)n * 1e9 / (double)ns : 0;
    }
    return total;
}

static uint64_t at_end(const struct report *r, enum lane_counter id)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < r->options->lane_cnt; i++)
        n += atomic_load_explicit(&r->lane[i]->at_end[id], memory_order_relaxed);
    return n;
}

static void latency_figures(struct report *r, const char *prefix)
{
    char name[48];

    for (size_t i = 0; i < BASE_ARRAY_CNT(percentiles); i++) {
        snprintf(name, sizeof(name), "%s%s", prefix, percentiles[i].name);
        figure(r, name, us(r, NULL, percentiles[i].share), "us");
    }
}

static void handshake_figures(struct report *r)
{
    if (r->options->tls == OPTIONS_TLS_NONE)
        return;
    figure(r, "handshakes_per_s", rate(r, LANE_HANDSHAKES), "/s");
    figure(r, "handshakes", (double)sum(r, LANE_HANDSHAKES), "handshakes");
    figure(r, "resumed", (double)sum(r, LANE_RESUMED), "handshakes");
    join_handshake(r);
    latency_figures(r, "handshake_");
}

/* How long it took until a reply refused a message, or a connection. */
static void refused_figures(struct report *r)
{
    join_refused(r);
    if (us(r, NULL, 1) > 0)
        latency_figures(r, "refused_");
}

static void connection_figures(struct report *r)
{
    const struct mode *mode = r->options->mode;
    char name[48];

    figure(r, "connections_per_s", rate(r, LANE_CONNECTIONS), "/s");
    if (has_units(mode)) {
        snprintf(name, sizeof(name), "%s_per_s", mode->unit);
        figure(r, name, rate(r, LANE_UNITS), "/s");
    }
    figure(r, "bytes_per_s", rate(r, LANE_BYTES), "bytes/s");
    join_latency(r);
    latency_figures(r, "");
    handshake_figures(r);
    refused_figures(r);
    figure(r, "started", (double)sum(r, LANE_STARTED), "connections");
    figure(r, "connections", (double)sum(r, LANE_CONNECTIONS), "connections");
    if (has_units(mode))
        figure(r, mode->unit, (double)sum(r, LANE_UNITS), mode->unit);
    if (mode->holds)
        figure(r, "standing", (double)at_end(r, LANE_STANDING), "connections");
    figure(r, "failed", (double)sum_failed(r), "connections");
    for (int id = LANE_FAIL_FIRST; id < LANE_COUNTER_CNT; id++) {
        uint64_t n = sum(r, (enum lane_counter)id);
        if (n > 0)
            figure(r, lane_counter_names[id], (double)n,
                   id < LANE_FAIL_END ? "connections" : "messages");
    }
}

static void write_histogram(FILE *f, const struct histogram_sum *h)
{
    for (uint32_t i = 0; i < HISTOGRAM_BUCKET_CNT; i++)
        if (h->bucket[i] > 0)
            fprintf(f, "%.3f %lu\n", (double)histogram_top_ns(i) / 1e3,
                    (unsigned long)h->bucket[i]);
}

int report_histogram(struct report *r, const char *path)
{
    FILE *f = fopen(path, "w");

    if (f == NULL)
        return -1;
    join_latency(r);
    write_histogram(f, &r->latency);
    if (r->options->tls != OPTIONS_TLS_NONE) {
        join_handshake(r);
        fputc('\n', f);
        write_histogram(f, &r->latency);
    }
    return fclose(f) == 0 ? 0 : -1;
}

/* All that the port has taken of us, and given; nothing is sent between two loads. */
static void stack_figures(const struct report *r)
{
    uint64_t tx = sum(r, LANE_FLOOD_SENT) + sum(r, LANE_FLOOD_ARP), rx = 0, retransmits = 0;

    for (uint32_t i = 0; i < r->options->lane_cnt; i++) {
        const struct lane *l = r->lane[i];
        tx += stats_get(&l->stats, STATS_NET_TX_PACKETS) - l->stack->tx_before;
        rx += stats_get(&l->stats, STATS_NET_RX_PACKETS) - l->stack->rx_before;
        retransmits += stats_get(&l->stats, STATS_TCP_RETRANSMITS) - l->stack->retransmits_before;
    }
    figure(r, "tsc_per_s", 1e9 / r->lane[0]->stack->ns_per_tick,
           "ticks/s"); /* for cycles elsewhere */
    figure(r, "retransmits", (double)retransmits, "segments");
    figure(r, "tx_frames", (double)tx, "frames");
    figure(r, "rx_frames", (double)rx, "frames");
}

uint64_t report_end(struct report *r)
{
    const struct options *o = r->options;

    if (o->mode != NULL)
        connection_figures(r);
    if (o->flood != FLOOD_NONE) {
        figure(r, "flood_per_s", rate(r, LANE_FLOOD_SENT), "/s");
        for (int id = LANE_FLOOD_SENT; id < LANE_FAIL_FIRST; id++)
            figure(r, lane_counter_names[id], (double)sum(r, (enum lane_counter)id), "frames");
    }
    if (!o->kernel)
        stack_figures(r);
    fflush(stdout);
    return sum_failed(r) + sum(r, LANE_REFUSED_4XX) + sum(r, LANE_REFUSED_5XX);
}
