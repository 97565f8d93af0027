#include "base_time.h"
#include "settings_logins.h"
#include "control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <rte_ring.h>

__attribute__((format(printf, 2, 0))) static void print(struct control_client *client,
                                                        const char *format, va_list args)
{
    size_t room = CONTROL_BODY_CAP - client->body_len;
    int n = vsnprintf(client->out + CONTROL_HEAD_CAP + client->body_len, room, format, args);

    if (n > 0)
        client->body_len += (size_t)n < room ? (size_t)n : room - 1;
}

void control_print(struct control_client *client, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print(client, format, args);
    va_end(args);
}

void control_refuse(struct control_client *client, const char *format, ...)
{
    va_list args;

    client->refused = true;
    control_print(client, "error: ");
    va_start(args, format);
    print(client, format, args);
    va_end(args);
}

uint64_t control_total(const struct gateway *g, enum stats_id id)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < g->topology.stats_cnt; i++)
        sum += stats_get(&g->topology.stats[i], id);
    return sum;
}

/* ---- status ---- */

/* Bytes written for each byte taken in, and the like: two digits are enough. */
static double ratio(uint64_t a, uint64_t b)
{
    return b == 0 ? 0 : (double)a / (double)b;
}

static void status_spool(const struct gateway *g, struct control_client *client, uint32_t i)
{
    const struct stats_block *s = topology_stats(&g->topology, TOPOLOGY_SPOOLER, i);
    const char *why = topology_spool_refusal(&g->topology, i);

    control_print(client, "spool %s number=%u messages=%" PRIu64, g->topology.spool[i].name,
                  g->topology.spool[i].number, stats_get(s, STATS_SPOOL_MESSAGES_NOW));
    control_print(client,
                  " live_bytes=%" PRIu64 " segments=%" PRIu64 " ready=%" PRIu64 " commits=%" PRIu64,
                  stats_get(s, STATS_SPOOL_LIVE_BYTES_NOW), stats_get(s, STATS_SPOOL_SEGMENTS_NOW),
                  stats_get(s, STATS_SPOOL_READY_NOW), stats_get(s, STATS_SPOOL_BATCHES));
    control_print(
        client,
        " damaged=%" PRIu64 " undeliverable=%" PRIu64 " quarantined=%" PRIu64
        " records_per_commit=%.2f amplification=%.2f accepting=%s%s\n",
        stats_get(s, STATS_SPOOL_DAMAGED),
        stats_get(s, STATS_SPOOL_ENVELOPES_LOST) + stats_get(s, STATS_SPOOL_ENVELOPES_UNREAD),
        stats_get(s, STATS_SPOOL_SET_ASIDE),
        ratio(stats_get(s, STATS_SPOOL_RECORDS), stats_get(s, STATS_SPOOL_BATCHES)),
        ratio(stats_get(s, STATS_SPOOL_WRITTEN_BYTES), stats_get(s, STATS_SPOOL_TAKEN_BYTES)),
        why == NULL ? "yes" : "no: ", why == NULL ? "" : why);
}

static void status_spools(const struct gateway *g, struct control_client *client)
{
    const char *why;

    if (atomic_load_explicit(&g->topology.drained, memory_order_relaxed))
        control_print(client, "accepting no: drained by the operator\n");
    else if (topology_choose_spool(&g->topology, 0, &why) != TOPOLOGY_SPOOL_NONE)
        control_print(client, "accepting yes\n");
    else
        control_print(client, "accepting no: %s\n", why);
    for (uint32_t i = 0; i < g->topology.spool_cnt; i++)
        status_spool(g, client, i);
}

static void status(struct control *c, struct control_client *client)
{
    const struct gateway *g = c->config.gateway;
    const struct settings *s = settings_current(&c->config.gateway->hub);

    control_print(client, "hostname %s\n", s->conf->gateway.hostname);
    control_print(client, "uptime_s %" PRIu64 "\n", (loop_now_ns() - c->started_ns) / BASE_NS_S);
    control_print(client, "lanes %u\n", g->topology.lane_cnt);
    control_print(client, "settings_generation %" PRIu64 "\n", s->generation);
    control_print(client, "opener_restarts %u\n", c->config.opener->restart_cnt);
    if (g->auth.auth.conf != NULL)
        control_print(client, "auth_restarts %u\n", g->auth.restart_cnt);
    status_spools(g, client);
    control_tls_status(c, client);
    control_maps_status(c, client);
    for (int id = 0; id < STATS_CNT; id++) {
        uint64_t v = control_total(g, (enum stats_id)id);
        if (v > 0)
            control_print(client, "%s/%s %" PRIu64 "\n", stats_rows[id].group, stats_rows[id].name,
                          v);
    }
}

/* ---- queue ---- */

static void ask_courier(struct control *c, struct control_client *client)
{
    static const enum courier_request_kind kind[CONTROL_VERB_CNT] = {
        [CONTROL_QUEUE_LIST] = COURIER_QUEUE_LIST,
        [CONTROL_QUEUE_SHOW] = COURIER_QUEUE_SHOW,
        [CONTROL_QUEUE_STAT] = COURIER_QUEUE_STAT,
        [CONTROL_QUEUE_CAT] = COURIER_QUEUE_CAT,
        [CONTROL_QUEUE_DESTINATIONS] = COURIER_QUEUE_DESTINATIONS,
        [CONTROL_PROVIDERS] = COURIER_PROVIDERS,
        [CONTROL_SUSPEND] = COURIER_SUSPEND,
        [CONTROL_RESUME] = COURIER_RESUME,
        [CONTROL_QUEUE_FLUSH] = COURIER_QUEUE_FLUSH,
        [CONTROL_QUEUE_HOLD] = COURIER_QUEUE_HOLD,
        [CONTROL_QUEUE_RELEASE] = COURIER_QUEUE_RELEASE,
        [CONTROL_QUEUE_REQUEUE] = COURIER_QUEUE_REQUEUE,
        [CONTROL_QUEUE_DELETE] = COURIER_QUEUE_DELETE,
        [CONTROL_EXPLAIN] = COURIER_EXPLAIN,
        [CONTROL_PROBE] = COURIER_PROBE,
        [CONTROL_SOURCES] = COURIER_SOURCES,
        [CONTROL_SOURCES_RELEASE] = COURIER_SOURCES_RELEASE,
    };
    struct topology *t = &c->config.gateway->topology;
    struct courier_request *r = &client->request;

    if (!client->more) {
        struct ucred peer = {.uid = UINT32_MAX};
        socklen_t len = sizeof(peer);
        r->kind = kind[client->command.verb];
        r->filter = client->command.filter;
        r->word = client->command.word[0];
        r->reason = client->command.reason;
        r->for_ns = client->command.for_ns;
        r->after = queue_filter_start(&r->filter);
        if (getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
            r->uid = peer.uid;
    }
    r->text = client->out + CONTROL_HEAD_CAP;
    r->text_cap = CONTROL_BODY_CAP;
    r->text_len = 0;
    if (rte_ring_sp_enqueue(topology_ring(t, TOPOLOGY_CONTROL_COURIER, 0), r) != 0) {
        r->error = "too many requests at a time, try again";
        client->more = false;
        return;
    }
    client->asking = true;
    doorbell_ring(&t->courier_bell);
}

/* ---- the line ---- */

static void refuse_words(struct control_client *client, struct base_span bad)
{
    control_refuse(client,
                   "'%.*s' is no message id, --sender ADDR, --domain DOMAIN, --older SECONDS, "
                   "--state deferred|failed|held, --reason TEXT, --code 4xx|4.7.1, --all or "
                   "--json\n",
                   (int)(bad.len < 100 ? bad.len : 100), (const char *)bad.p);
}

static void refuse_unknown(struct control_client *client, struct base_span line)
{
    control_refuse(client,
                   "there is no command '%.*s'; there are:", (int)(line.len < 100 ? line.len : 100),
                   (const char *)line.p);
    for (int v = 0; v < CONTROL_VERB_CNT; v++)
        control_print(client, "%s %s", v > 0 ? "," : "", control_rows[v].text);
    control_print(client, "\n");
}

void control_command(struct control *c, struct control_client *client, size_t len)
{
    struct base_span line = base_span_of(client->line, len), bad;
    int rc = control_line_parse(&client->command, line, &bad);

    if (rc == -EILSEQ)
        return control_refuse(client, "the command has a control character\n");
    if (rc == -ENOENT)
        return refuse_unknown(client, line);
    const struct control_row *row = &control_rows[client->command.verb];
    if (client->right < row->right)
        control_refuse(client, "not permitted: only root and the gateway's user may %s\n",
                       row->text);
    else if (rc != 0 && row->words == CONTROL_WORDS_SUSPEND)
        control_refuse(client,
                       "%s needs a destination or a provider; and may have --for TIME (30s, 5m, "
                       "2h, 1d) and --reason TEXT\n",
                       row->text);
    else if (rc == -EINVAL)
        refuse_words(client, bad);
    else if (rc != 0 && client->command.verb == CONTROL_SOURCES_RELEASE)
        control_refuse(client, "%s needs a source, source@destination, or all\n", row->text);
    else if (rc != 0 && row->words == CONTROL_WORDS_TWO)
        control_refuse(client, "%s needs a login and an address\n", row->text);
    else if (rc != 0 && (row->words == CONTROL_WORDS_ONE || row->words == CONTROL_WORDS_JSON))
        control_refuse(client, "%s needs %s\n", row->text,
                       client->command.verb == CONTROL_RESUME ? "a destination or a provider"
                                                              : "an address");
    else if (rc != 0 && row->words == CONTROL_WORDS_SHOW)
        control_refuse(client, "%s takes --changed and --json, nothing else\n", row->text);
    else if (rc != 0 && row->words == CONTROL_WORDS_OPTION)
        control_refuse(client, "%s takes --json alone\n", row->text);
    else if (rc != 0 && row->words == CONTROL_WORDS_MAYBE)
        control_refuse(client, "%s takes one word or none\n", row->text);
    else if (rc != 0 && row->words == CONTROL_WORDS_ID)
        control_refuse(client, "%s needs the id of a message\n", row->text);
    else if (rc != 0)
        control_refuse(client, "which ones? give an id, a filter or --all\n");
    else
        control_continue(c, client);
}

void control_continue(struct control *c, struct control_client *client)
{
    switch (client->command.verb) {
    case CONTROL_STATUS:
        status(c, client);
        break;
    case CONTROL_METRICS:
        control_metrics(c, client);
        break;
    case CONTROL_CONFIG_SHOW:
        control_config_show(c, client);
        break;
    case CONTROL_RELOAD:
        control_reload(c, client);
        break;
    case CONTROL_SENDER_CHECK:
        control_maps_check_sender(c, client);
        break;
    case CONTROL_RECIPIENT_CHECK:
        control_maps_check_recipient(c, client);
        break;
    case CONTROL_DRAIN:
        control_drain(c, client, true);
        break;
    case CONTROL_UNDRAIN:
        control_drain(c, client, false);
        break;
    case CONTROL_TLSRPT:
        control_tlsrpt_list(c, client);
        break;
    case CONTROL_TLSRPT_SHOW:
        control_tlsrpt_show(c, client);
        break;
    case CONTROL_TLSRPT_SENT:
        control_tlsrpt_sent(c, client);
        break;
    case CONTROL_LOG_REOPEN:
        control_log_reopen(c, client);
        break;
    case CONTROL_LOG_LEVEL:
        control_log_level(c, client);
        break;
    case CONTROL_LOG_TAIL:
        control_log_tail(c, client);
        break;
    case CONTROL_STOP:
        c->stop = true;
        break;
    default:
        ask_courier(c, client);
    }
}
