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
        [CONTROL_STS_SHOW] = COURIER_STS_SHOW,
        [CONTROL_STS_REFRESH] = COURIER_STS_REFRESH,
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
        r->error = "too many requests at a time: try again in a moment";
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
                   "'%.*s' is no message id, --sender ADDR, --recipient ADDR, --domain DOMAIN, "
                   "--older SECONDS, --state deferred|failed|held, --reason TEXT, "
                   "--code 4xx|4.7.1, --all or --json; queue list has --limit N and --after ID, "
                   "too\n",
                   (int)(bad.len < 100 ? bad.len : 100), (const char *)bad.p);
}

static void refuse_connection_words(struct control_client *client, struct base_span bad)
{
    control_refuse(client,
                   "'%.*s' is no connection's id (17.4), --address NET, --state STATE, --listener "
                   "NAME, --user LOGIN, --older TIME (30s, 5m, 2h, 1d), --in, --out, --all or "
                   "--json, each once\n",
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
        return control_refuse(
            client, "the command has a control character: words are of printable characters\n");
    if (rc == -ENOENT)
        return refuse_unknown(client, line);
    const struct control_row *row = &control_rows[client->command.verb];
    if (client->right < row->right)
        control_refuse(
            client,
            "not permitted: only root, the gateway's user and control: change_group may %s\n",
            row->text);
    else if (rc != 0 && row->words == CONTROL_WORDS_SUSPEND)
        control_refuse(client,
                       "%s needs a destination or a provider; and may have --for TIME (30s, 5m, "
                       "2h, 1d) and --reason TEXT\n",
                       row->text);
    else if (rc == -EDOM && row->words == CONTROL_WORDS_CAPTURE)
        control_refuse(client, "which packets? give --address NET, --port N, or --all\n");
    else if (rc != 0 && row->words == CONTROL_WORDS_CAPTURE)
        control_refuse(client,
                       "'%.*s' is no --address NET, --port N, --all, --for TIME (30s, 5m, 1h at "
                       "most), --bytes N (100M) or --snap BYTES, each once\n",
                       (int)(bad.len < 100 ? bad.len : 100), (const char *)bad.p);
    else if (rc != 0 && row->words == CONTROL_WORDS_TRACE)
        control_refuse(client,
                       "%s needs a client's address or network, or a domain; and may have --for "
                       "TIME (30s, 5m, 1h at most), --count LINES and --json\n",
                       row->text);
    else if (rc == -EINVAL &&
             (row->words == CONTROL_WORDS_CONNECTIONS || row->words == CONTROL_WORDS_KICK))
        refuse_connection_words(client, bad);
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
        control_refuse(client, "%s takes one word or none, and --json\n", row->text);
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
        control_status(c, client);
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
    case CONTROL_CAPTURE:
        control_capture(c, client);
        break;
    case CONTROL_TOP:
        control_top(c, client);
        break;
    case CONTROL_TRACE:
        control_trace(c, client);
        break;
    case CONTROL_CONNECTIONS:
    case CONTROL_CONNECTIONS_KICK:
        control_connections(c, client);
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
    case CONTROL_REFUSALS:
        control_refusals(c, client);
        break;
    case CONTROL_STOP:
        c->stop = true;
        break;
    default:
        ask_courier(c, client);
    }
}
