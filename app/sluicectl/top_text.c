#include "top_text.h"
#include "base_json.h"

#include <inttypes.h>
#include <stdlib.h>

enum top_lane_value { BUSY, RX, TX, TCP, IN, OUT, LANE_VALUE_CNT };
static const char *const lane_names[LANE_VALUE_CNT] = {
    [BUSY] = "lane/cycles_busy", [RX] = "net/rx_packets", [TX] = "net/tx_packets",
    [TCP] = "tcp/connections",   [IN] = "conn/inbound",   [OUT] = "conn/outbound",
};

enum top_value {
    MESSAGES,
    ACCEPTED,
    OPENED,
    HANDSHAKES_IN,
    HANDSHAKES_OUT,
    DELIVERED,
    DEFERRED,
    FAILED,
    COMMITS,
    RECORDS,
    STORED,
    LIVE_BYTES,
    HALF_OPEN,
    RETRANSMITS,
    VALUE_CNT
};
static const struct {
    const char *name; /* the gateway's */
    const char *json;
    bool rate;
} values[VALUE_CNT] = {
    [MESSAGES] = {"conn/messages", "messages_per_s", true},
    [ACCEPTED] = {"conn/accepted", "connections_per_s", true},
    [OPENED] = {"conn/opened", "connections_out_per_s", true},
    [HANDSHAKES_IN] = {"tls/accepted", "handshakes_per_s", true},
    [HANDSHAKES_OUT] = {"tls/connected", "handshakes_out_per_s", true},
    [DELIVERED] = {"courier/delivered", "delivered_per_s", true},
    [DEFERRED] = {"courier/deferred", "deferred_per_s", true},
    [FAILED] = {"courier/failed", "failed_per_s", true},
    [COMMITS] = {"spool/batches", "commits_per_s", true},
    [RECORDS] = {"spool/records", "records_per_s", true},
    [STORED] = {"queue/messages", "queue_messages", false},
    [LIVE_BYTES] = {"queue/bytes", "queue_bytes", false},
    [HALF_OPEN] = {"tcp/half_open", "half_open", false},
    [RETRANSMITS] = {"tcp/retransmits", "retransmits_per_s", true},
};
/* Histograms, and what they are called in text and JSON. */
static const struct {
    const char *name, *text, *json;
} times[TOP_TIMES_MAX] = {
    {"tls/accept_time", "handshake", "handshake"},
    {"conn/store_time", "durable 250", "durable"},
    {"courier/attempt_time", "delivery", "delivery_attempt"},
};
_Static_assert(VALUE_CNT <= TOP_COUNTER_MAX && LANE_VALUE_CNT <= 8, "they fit");

/* ---- reading ---- */

/* The rest of a line behind its first word, if that is this one. */
static const char *after(const char *line, const char *word)
{
    size_t len = strlen(word);

    return strncmp(line, word, len) == 0 && line[len] == ' ' ? line + len + 1 : NULL;
}

/* A line's text, which ends at its end or at the cap. */
static void copy_line(char *to, size_t cap, const char *from)
{
    size_t len = strcspn(from, "\n");

    len = len < cap - 1 ? len : cap - 1;
    memcpy(to, from, len);
    to[len] = 0;
}

static void read_lane(struct top_look *look, const char *rest)
{
    char *end;
    unsigned long lane = strtoul(rest, &end, 10);

    if (lane >= TOP_LANE_MAX || *end != ' ')
        return;
    for (int i = 0; i < LANE_VALUE_CNT; i++) {
        const char *value = after(end + 1, lane_names[i]);
        if (value != NULL)
            look->lane[lane][i] = strtoull(value, NULL, 10);
    }
}

static void read_total(struct top_look *look, const char *rest)
{
    for (int i = 0; i < VALUE_CNT; i++) {
        const char *value = after(rest, values[i].name);
        if (value != NULL)
            look->total[i] = strtoull(value, NULL, 10);
    }
}

static void read_times(struct top_look *look, const char *rest)
{
    for (int i = 0; i < TOP_TIMES_MAX; i++) {
        const char *value = after(rest, times[i].name);
        if (value != NULL && !top_times_read(&look->times[i], value))
            look->times[i] = (struct top_times){0}; /* another version's: none is shown */
    }
}

void top_read_counters(struct top_look *look, const char *text)
{
    for (const char *p = text; p != NULL && *p != 0;) {
        const char *rest;
        if ((rest = after(p, "lane")) != NULL)
            read_lane(look, rest);
        else if ((rest = after(p, "total")) != NULL)
            read_total(look, rest);
        else if ((rest = after(p, "histogram")) != NULL)
            read_times(look, rest);
        else if ((rest = after(p, "hostname")) != NULL)
            copy_line(look->hostname, sizeof(look->hostname), rest);
        else if ((rest = after(p, "accepting")) != NULL)
            copy_line(look->accepting, sizeof(look->accepting), rest);
        else if ((rest = after(p, "started")) != NULL)
            look->started_ns = strtoull(rest, NULL, 10);
        else if ((rest = after(p, "now_ns")) != NULL)
            look->now_ns = strtoull(rest, NULL, 10);
        else if ((rest = after(p, "cycles_per_s")) != NULL)
            look->cycles_per_s = strtoull(rest, NULL, 10);
        else if ((rest = after(p, "lanes")) != NULL)
            look->lane_cnt = (uint32_t)strtoul(rest, NULL, 10);
        p = strchr(p, '\n');
        p = p != NULL ? p + 1 : NULL;
    }
    if (look->lane_cnt > TOP_LANE_MAX)
        look->lane_cnt = TOP_LANE_MAX;
}

/* The value of a key in an object on a line of its own, as it is written; quotes are left out. */
static bool json_value(const char *line, const char *key, char *out, size_t cap)
{
    const char *end = strchr(line, '\n');
    size_t line_len = end != NULL ? (size_t)(end - line) : strlen(line);
    char pattern[TOP_NAME_CAP];
    int n = snprintf(pattern, sizeof(pattern), "\"%s\":", key);
    const char *p = memmem(line, line_len, pattern, (size_t)n);

    if (p == NULL)
        return false;
    p += n;
    bool text = *p == '"';
    p += text;
    size_t len = strcspn(p, text ? "\"\n" : ",}\n");
    len = len < cap - 1 ? len : cap - 1;
    memcpy(out, p, len);
    out[len] = 0;
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct top_named *)a)->name, ((const struct top_named *)b)->name);
}

static int by_value(const void *a, const void *b)
{
    const struct top_named *x = a, *y = b;

    if (x->value != y->value)
        return x->value < y->value ? 1 : -1;
    return x->more != y->more ? x->more < y->more ? 1 : -1 : strcmp(x->name, y->name);
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* Makes one of those with the same name; returns how many there are. */
static uint32_t merge(struct top_named *all, uint32_t cnt)
{
    uint32_t n = 0;

    qsort(all, cnt, sizeof(all[0]), by_name);
    for (uint32_t i = 0; i < cnt; i++) {
        if (n > 0 && strcmp(all[n - 1].name, all[i].name) == 0) {
            all[n - 1].value += all[i].value;
            all[n - 1].more += all[i].more;
        } else {
            all[n++] = all[i];
        }
    }
    qsort(all, n, sizeof(all[0]), by_value);
    return n;
}

static uint32_t first_of(struct top_named *out, struct top_named *all, uint32_t cnt)
{
    uint32_t n = merge(all, cnt);

    n = n < TOP_LIST_MAX ? n : TOP_LIST_MAX;
    memcpy(out, all, n * sizeof(all[0]));
    return n;
}

void top_read_connections(struct top_look *look, const char *text, bool all)
{
    struct top_named *clients = calloc(TOP_SAMPLE_MAX, sizeof(clients[0]));
    uint32_t *rtt = calloc(TOP_SAMPLE_MAX, sizeof(rtt[0]));
    uint32_t cnt = 0, rtt_cnt = 0;
    char value[TOP_NAME_CAP];

    look->sampled_all = all;
    if (clients == NULL || rtt == NULL) {
        free(clients);
        free(rtt);
        return;
    }
    for (const char *p = text; p != NULL && *p != 0 && cnt < TOP_SAMPLE_MAX;) {
        if (json_value(p, "remote", clients[cnt].name, TOP_NAME_CAP)) {
            char *port = strrchr(clients[cnt].name, ':');
            if (port != NULL)
                *port = 0;
            clients[cnt].value = 1;
            if (json_value(p, "messages", value, sizeof(value)))
                clients[cnt].more = strtoull(value, NULL, 10);
            cnt++;
        }
        if (json_value(p, "rtt_us", value, sizeof(value)) && atoi(value) > 0)
            rtt[rtt_cnt++] = (uint32_t)atoi(value);
        p = strchr(p, '\n');
        p = p != NULL ? p + 1 : NULL;
    }
    qsort(rtt, rtt_cnt, sizeof(rtt[0]), by_number);
    look->rtt_us = rtt_cnt > 0 ? rtt[rtt_cnt / 2] : 0;
    look->sampled_cnt = cnt;
    look->client_cnt = first_of(look->client, clients, cnt);
    free(clients);
    free(rtt);
}

void top_read_destinations(struct top_look *look, const char *text)
{
    struct top_named *all = calloc(TOP_SAMPLE_MAX, sizeof(all[0]));
    char value[TOP_NAME_CAP];
    uint32_t cnt = 0;

    for (const char *p = text; all != NULL && p != NULL && *p != 0 && cnt < TOP_SAMPLE_MAX;) {
        if (json_value(p, "destination", all[cnt].name, TOP_NAME_CAP)) {
            if (json_value(p, "queued", value, sizeof(value)))
                all[cnt].value = strtoull(value, NULL, 10);
            if (json_value(p, "deferred", value, sizeof(value)))
                all[cnt].more = strtoull(value, NULL, 10);
            all[cnt].value += all[cnt].more;
            cnt++;
        }
        p = strchr(p, '\n');
        p = p != NULL ? p + 1 : NULL;
    }
    if (all != NULL)
        look->destination_cnt = first_of(look->destination, all, cnt);
    free(all);
}

/* ---- telling ---- */

/* Of the same run, and before. */
static bool same_run(const struct top_look *before, const struct top_look *now)
{
    return before->started_ns == now->started_ns && before->now_ns < now->now_ns;
}

static double seconds(const struct top_look *before, const struct top_look *now)
{
    uint64_t from = same_run(before, now) ? before->now_ns : now->started_ns;

    return now->now_ns > from ? (double)(now->now_ns - from) / 1e9 : 1;
}

static double rate(const struct top_look *before, const struct top_look *now, uint64_t was,
                   uint64_t is)
{
    if (!same_run(before, now) || was > is)
        was = 0;
    return (double)(is - was) / seconds(before, now);
}

static double value_of(const struct top_look *before, const struct top_look *now, enum top_value v)
{
    if (!values[v].rate)
        return (double)now->total[v];
    return rate(before, now, before->total[v], now->total[v]);
}

/* Of a core: its cycles in rounds that did something, by all that there were in that time. */
static double busy_pct(const struct top_look *before, const struct top_look *now, uint32_t lane)
{
    double busy = rate(before, now, before->lane[lane][BUSY], now->lane[lane][BUSY]);
    double pct = now->cycles_per_s > 0 ? 100 * busy / (double)now->cycles_per_s : 0;

    return pct < 100 ? pct : 100; /* the clock is read a little before the counters */
}

static struct top_times times_of(const struct top_look *before, const struct top_look *now, int i)
{
    return same_run(before, now) ? top_times_since(&before->times[i], &now->times[i])
                                 : now->times[i];
}

static void print_times(char line[TOP_LINE_CAP], const struct top_look *before,
                        const struct top_look *now, int i)
{
    struct top_times t = times_of(before, now, i);
    char p50[TOP_TIME_CAP], p99[TOP_TIME_CAP];

    top_times_tell(p50, &t, 500);
    top_times_tell(p99, &t, 990);
    if (top_times_cnt(&t) == 0)
        snprintf(line, TOP_LINE_CAP, "%-12s none", times[i].text);
    else
        snprintf(line, TOP_LINE_CAP, "%-12s p50 %-11s  p99 %-11s  of %" PRIu64, times[i].text, p50,
                 p99, top_times_cnt(&t));
}

static void print_lists(char lines[TOP_LINE_MAX][TOP_LINE_CAP], uint32_t *n,
                        const struct top_look *now)
{
    snprintf(lines[(*n)++], TOP_LINE_CAP, "%s%-28s %8s %8s   %-24s %8s %8s",
             now->sampled_all ? "" : "(some) ", "top clients", "open", "messages",
             "top destinations", "waiting", "deferred");
    for (uint32_t i = 0; i < TOP_LIST_MAX && (i < now->client_cnt || i < now->destination_cnt);
         i++) {
        char left[TOP_LINE_CAP / 2] = "", right[TOP_LINE_CAP / 2] = "";
        if (i < now->client_cnt)
            snprintf(left, sizeof(left), "%-28.40s %8" PRIu64 " %8" PRIu64, now->client[i].name,
                     now->client[i].value, now->client[i].more);
        if (i < now->destination_cnt)
            snprintf(right, sizeof(right), "%-24.50s %8" PRIu64 " %8" PRIu64,
                     now->destination[i].name, now->destination[i].value, now->destination[i].more);
        snprintf(lines[(*n)++], TOP_LINE_CAP, "%-46.100s   %.120s", left, right);
    }
}

uint32_t top_lines(char lines[TOP_LINE_MAX][TOP_LINE_CAP], const struct top_look *before,
                   const struct top_look *now)
{
    uint64_t up = now->now_ns > now->started_ns ? (now->now_ns - now->started_ns) / 1000000000 : 0;
    uint32_t n = 0;

#define RATE(v) value_of(before, now, v)
    snprintf(lines[n++], TOP_LINE_CAP,
             "sluice %.60s   up %" PRIu64 "d %02u:%02u:%02u   accepting %.100s", now->hostname,
             up / 86400, (unsigned)(up / 3600 % 24), (unsigned)(up / 60 % 60), (unsigned)(up % 60),
             now->accepting);
    snprintf(lines[n++], TOP_LINE_CAP,
             "in   per s: %.0f connections  %.0f handshakes  %.0f messages   %.0f half open",
             RATE(ACCEPTED), RATE(HANDSHAKES_IN), RATE(MESSAGES), RATE(HALF_OPEN));
    snprintf(
        lines[n++], TOP_LINE_CAP,
        "out  per s: %.0f connections  %.0f handshakes  %.0f delivered  %.0f deferred  %.0f failed",
        RATE(OPENED), RATE(HANDSHAKES_OUT), RATE(DELIVERED), RATE(DEFERRED), RATE(FAILED));
    snprintf(lines[n++], TOP_LINE_CAP,
             "disk per s: %.0f commits  %.0f records   queue: %.0f messages, %.1f MiB",
             RATE(COMMITS), RATE(RECORDS), RATE(STORED), RATE(LIVE_BYTES) / 1048576);
    snprintf(lines[n++], TOP_LINE_CAP, "path: median round trip %.1f ms   %.0f sent again per s",
             (double)now->rtt_us / 1000, RATE(RETRANSMITS));
#undef RATE
    for (int i = 0; i < TOP_TIMES_MAX; i++)
        print_times(lines[n++], before, now, i);
    snprintf(lines[n++], TOP_LINE_CAP, "%s", "");
    snprintf(lines[n++], TOP_LINE_CAP,
             "lane   busy%%       rx/s       tx/s        tcp         in        out");
    for (uint32_t i = 0; i < now->lane_cnt; i++)
        snprintf(lines[n++], TOP_LINE_CAP,
                 "%4u   %5.1f %10.0f %10.0f %10" PRIu64 " %10" PRIu64 " %10" PRIu64, i,
                 busy_pct(before, now, i), rate(before, now, before->lane[i][RX], now->lane[i][RX]),
                 rate(before, now, before->lane[i][TX], now->lane[i][TX]), now->lane[i][TCP],
                 now->lane[i][IN], now->lane[i][OUT]);
    snprintf(lines[n++], TOP_LINE_CAP, "%s", "");
    print_lists(lines, &n, now);
    return n;
}

static void json_list(FILE *out, const char *name, const struct top_named *list, uint32_t cnt,
                      const char *value, const char *more)
{
    fprintf(out, ",\"%s\":[", name);
    for (uint32_t i = 0; i < cnt; i++) {
        fprintf(out, "%s{\"name\":", i > 0 ? "," : "");
        base_json_print(out, base_span_str(list[i].name));
        fprintf(out, ",\"%s\":%" PRIu64 ",\"%s\":%" PRIu64 "}", value, list[i].value, more,
                list[i].more);
    }
    fputc(']', out);
}

/* A bound in microseconds; null: there are no values, or they exceeded the last one. */
static void json_bound(FILE *out, const char *key, const struct top_times *t, uint32_t permille)
{
    uint64_t ns = top_times_bound_ns(t, permille);

    if (ns == 0 || ns == UINT64_MAX)
        fprintf(out, ",\"%s\":null", key);
    else
        fprintf(out, ",\"%s\":%.3f", key, (double)ns / 1000);
}

static void json_times(FILE *out, const struct top_look *before, const struct top_look *now)
{
    fputs(",\"times\":{", out);
    for (int i = 0; i < TOP_TIMES_MAX; i++) {
        struct top_times t = times_of(before, now, i);
        fprintf(out, "%s\"%s\":{\"count\":%" PRIu64, i > 0 ? "," : "", times[i].json,
                top_times_cnt(&t));
        json_bound(out, "p50_at_most_us", &t, 500);
        json_bound(out, "p99_at_most_us", &t, 990);
        fputc('}', out);
    }
    fputc('}', out);
}

void top_json(FILE *out, const struct top_look *before, const struct top_look *now)
{
    fputs("{\"hostname\":", out);
    base_json_print(out, base_span_str(now->hostname));
    fputs(",\"accepting\":", out);
    base_json_print(out, base_span_str(now->accepting));
    fprintf(out, ",\"seconds\":%.3f,\"uptime_s\":%" PRIu64, seconds(before, now),
            (now->now_ns - now->started_ns) / 1000000000);
    for (int v = 0; v < VALUE_CNT; v++)
        fprintf(out, values[v].rate ? ",\"%s\":%.3f" : ",\"%s\":%.0f", values[v].json,
                value_of(before, now, (enum top_value)v));
    json_times(out, before, now);
    fprintf(out, ",\"rtt_median_us\":%" PRIu64 ",\"lanes\":[", now->rtt_us);
    for (uint32_t i = 0; i < now->lane_cnt; i++)
        fprintf(
            out,
            "%s{\"lane\":%u,\"busy_pct\":%.1f,\"rx_per_s\":%.3f,\"tx_per_s\":%.3f,\"tcp\":%" PRIu64
            ",\"in\":%" PRIu64 ",\"out\":%" PRIu64 "}",
            i > 0 ? "," : "", i, busy_pct(before, now, i),
            rate(before, now, before->lane[i][RX], now->lane[i][RX]),
            rate(before, now, before->lane[i][TX], now->lane[i][TX]), now->lane[i][TCP],
            now->lane[i][IN], now->lane[i][OUT]);
    fprintf(out, "],\"clients_of\":%u", now->sampled_cnt);
    json_list(out, "clients", now->client, now->client_cnt, "open", "messages");
    json_list(out, "destinations", now->destination, now->destination_cnt, "waiting", "deferred");
    fputs("}\n", out);
}
