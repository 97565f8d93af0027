#include "metrics_text.h"

#include <string.h>

/* Rows of a group whose names begin alike are one metric with a label, which has the rest of the
 * name. By the first that fits. */
static const struct {
    const char *group, *prefix, *name, *label, *help;
} families[] = {
    {"net", "drop_tx_", "net_tx_drops", "reason", "Packets that were not sent, by reason"},
    {"net", "drop_", "net_drops", "reason", "Packets that were dropped, by reason"},
    {"tcp", "drop_", "tcp_drops", "reason", "Segments that were dropped, by reason"},
    {"tcp", "to_", "tcp_transitions", "state", "Changes of TCP connections to a state"},
    {"tls", "failed_", "tls_failures", "reason", "Connections on which TLS failed, by reason"},
    {"tls", "refused_", "tls_refusals", "reason", "Connections that were refused TLS, by reason"},
    {"tls", "version_", "tls_version_handshakes", "version", "TLS handshakes done, by version"},
    {"tls", "cipher_", "tls_cipher_handshakes", "cipher", "TLS handshakes done, by cipher"},
    {"tls", "key_", "tls_key_handshakes", "key",
     "TLS handshakes done, by the kind of the server's key, ours or the next hop's"},
    {"smtp", "cmd_", "smtp_commands", "command", "SMTP commands of clients"},
    {"smtp", "refused_", "smtp_refusals", "reason",
     "Commands, messages and sessions of clients that were refused, by reason"},
    {"smtp_client", "reply_", "smtp_client_replies", "class", "Replies of next hops, by class"},
    {"policy", "refused_", "policy_refusals", "reason", "Recipients that policy refused"},
    {"proxy", "refused_", "proxy_refusals", "reason",
     "Connections that were dropped for their PROXY header, by reason"},
    {"conn", "in_closed_", "conn_in_closed", "how",
     "Connections from clients that ended, by who ended them"},
    {"conn", "out_closed_", "conn_out_closed", "how",
     "Connections to next hops that ended, by who ended them"},
    {"conn", "refused_", "conn_refusals", "reason",
     "Connections and transactions that were refused for want of room, by what is short"},
    {"queue", "age_", "queue_age_messages", "age", "Messages in the queue, by age"},
    {"memory", "allocator_", "memory_allocator_bytes", "kind", "Memory, by jemalloc's count"},
};

/* Rows with a name and a unit of their own outside. */
static const struct {
    const char *group, *name, *as, *unit;
    double factor; /* 0: by cycles_per_s */
} renamed[] = {
    {"lane", "cycles_busy", "lane_busy_seconds", "seconds", 0},
    {"lane", "cycles_idle", "lane_idle_seconds", "seconds", 0},
    {"tls", "expiry_days", "tls_certificate_expiry_seconds", "seconds", 86400},
    {"queue", "bytes", "queue_memory_bytes", "bytes", 1},
    {"spool", "summary_bytes", "spool_segment_ends_bytes", "bytes", 1},
    {"courier", "delivered_age", "courier_delivered_age_seconds", "seconds", 1e-9},
};

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);

    return n >= k && strcmp(text + n - k, end) == 0;
}

static void cut_end(char *text, const char *end)
{
    if (ends_with(text, end))
        text[strlen(text) - strlen(end)] = 0;
}

/* Bytes, seconds and the like stand at the end of the name. */
static void put_unit(struct metrics_name *n, const char *unit)
{
    size_t len = strlen(n->name);

    n->unit = unit;
    if (!ends_with(n->name, unit))
        snprintf(n->name + len, sizeof(n->name) - len, "_%s", unit);
}

/* Level and what the connection had: "dane_only_verified". */
static bool name_delivery(struct metrics_name *n, const struct metrics_row *row)
{
    const char *last = strrchr(row->name, '_');

    if (strcmp(row->group, "tls_out") != 0 || last == NULL)
        return false;
    snprintf(n->name, sizeof(n->name), "delivery_tls");
    n->help = "Delivery attempts by the TLS level they went by and what was had of it";
    n->label[0] = "level";
    n->label[1] = "outcome";
    snprintf(n->value[0], sizeof(n->value[0]), "%.*s", (int)(last - row->name), row->name);
    snprintf(n->value[1], sizeof(n->value[1]), "%s", last + 1);
    return true;
}

static bool name_family(struct metrics_name *n, const struct metrics_row *row)
{
    for (size_t i = 0; i < BASE_ARRAY_CNT(families); i++) {
        size_t len = strlen(families[i].prefix);
        if (strcmp(row->group, families[i].group) != 0 ||
            strncmp(row->name, families[i].prefix, len) != 0)
            continue;
        snprintf(n->name, sizeof(n->name), "%s", families[i].name);
        n->help = families[i].help;
        n->label[0] = families[i].label;
        const char *rest = row->name + len;
        if (strcmp(n->label[0], "version") == 0 && strlen(rest) == 2)
            snprintf(n->value[0], sizeof(n->value[0]), "%c.%c", rest[0], rest[1]);
        else
            snprintf(n->value[0], sizeof(n->value[0]), "%s", rest);
        n->unit = ends_with(n->name, "_bytes") ? "bytes" : NULL;
        return true;
    }
    return false;
}

void metrics_name_row(struct metrics_name *out, const struct metrics *m,
                      const struct metrics_row *row)
{
    *out = (struct metrics_name){.help = row->help, .factor = 1};
    if (row->kind != METRICS_HISTOGRAM && (name_delivery(out, row) || name_family(out, row)))
        return;
    for (size_t i = 0; i < BASE_ARRAY_CNT(renamed); i++)
        if (strcmp(row->group, renamed[i].group) == 0 && strcmp(row->name, renamed[i].name) == 0) {
            snprintf(out->name, sizeof(out->name), "%s", renamed[i].as);
            out->unit = renamed[i].unit;
            out->factor = renamed[i].factor;
            if (out->factor <= 0)
                out->factor = m->cycles_per_s > 0 ? 1 / (double)m->cycles_per_s : 0;
            return;
        }
    snprintf(out->name, sizeof(out->name), "%s_%s", row->group, row->name);
    cut_end(out->name, "_now");
    if (strncmp(row->unit, "nanoseconds", 11) == 0) {
        cut_end(out->name, "_time");
        put_unit(out, "seconds");
        out->factor = 1e-9;
    } else if (strncmp(row->unit, "seconds", 7) == 0) {
        put_unit(out, "seconds");
    } else if (strncmp(row->unit, "bytes", 5) == 0) {
        put_unit(out, "bytes");
    } else if (row->kind == METRICS_HISTOGRAM) {
        put_unit(out, row->unit);
    }
}

enum metrics_spread metrics_spread_of(const struct metrics_row *row)
{
    static const char *const by_lane[] = {"lane", "net", "tcp", "conn"};

    if (row->by_listener)
        return METRICS_BY_LISTENER;
    for (size_t i = 0; i < BASE_ARRAY_CNT(by_lane); i++)
        if (strcmp(row->group, by_lane[i]) == 0)
            return METRICS_BY_LANE;
    return strcmp(row->group, "spool") == 0 ? METRICS_BY_SPOOL : METRICS_SUM;
}
