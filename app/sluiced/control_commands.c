#include "base_time.h"
#include "control.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <rte_ring.h>

void control_print(struct control_client *client, const char *format, ...)
{
    va_list args;
    size_t room = CONTROL_OUT_CAP - client->out_len;

    va_start(args, format);
    int n = vsnprintf(client->out + client->out_len, room, format, args);
    va_end(args);
    if (n > 0)
        client->out_len += (size_t)n < room ? (size_t)n : room - 1;
}

static uint64_t total(const struct gateway *g, enum stats_id id)
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
        client, " records_per_commit=%.2f amplification=%.2f accepting=%s%s\n",
        ratio(stats_get(s, STATS_SPOOL_RECORDS), stats_get(s, STATS_SPOOL_BATCHES)),
        ratio(stats_get(s, STATS_SPOOL_WRITTEN_BYTES), stats_get(s, STATS_SPOOL_TAKEN_BYTES)),
        why == NULL ? "yes" : "no: ", why == NULL ? "" : why);
}

static void status_spools(const struct gateway *g, struct control_client *client)
{
    const char *why;

    if (topology_choose_spool(&g->topology, 0, &why) != TOPOLOGY_SPOOL_NONE)
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

    control_print(client, "ok\n");
    control_print(client, "hostname %s\n", s->conf->gateway.hostname);
    control_print(client, "uptime_s %" PRIu64 "\n", (loop_now_ns() - c->started_ns) / BASE_NS_S);
    control_print(client, "lanes %u\n", g->topology.lane_cnt);
    control_print(client, "settings_generation %" PRIu64 "\n", s->generation);
    control_print(client, "opener_restarts %u\n", c->config.opener->restart_cnt);
    status_spools(g, client);
    for (int id = 0; id < STATS_CNT; id++) {
        uint64_t v = total(g, (enum stats_id)id);
        if (v > 0)
            control_print(client, "%s/%s %" PRIu64 "\n", stats_rows[id].group, stats_rows[id].name,
                          v);
    }
}

/* ---- queue ---- */

static void ask_courier(struct control *c, struct control_client *client,
                        enum courier_request_kind kind)
{
    struct topology *t = &c->config.gateway->topology;
    struct courier_request *r = &client->request;

    r->kind = kind;
    r->text = client->out + client->out_len;
    r->text_cap = CONTROL_OUT_CAP - client->out_len;
    if (rte_ring_sp_enqueue(topology_ring(t, TOPOLOGY_CONTROL_COURIER, 0), r) != 0) {
        control_print(client, "error: too many requests at a time, try again\n");
        return;
    }
    client->asking = true;
    doorbell_ring(&t->courier_bell);
}

/* The words after the command's two. */
static struct base_span words_of(const struct control_client *client)
{
    const char *p = strchr(client->line, ' ');

    p = p != NULL ? strchr(p + 1, ' ') : NULL;
    return base_span_str(p != NULL ? p : "");
}

/* The first piece of a request reads the words; later ones go on. Returns false after an error. */
static bool request_begin(struct control_client *client)
{
    struct courier_request *r = &client->request;
    struct base_span bad = base_span_str("");
    struct ucred peer = {.uid = UINT32_MAX};
    socklen_t len = sizeof(peer);

    if (client->more)
        return true;
    if (queue_filter_parse(&r->filter, words_of(client), &bad) != 0) {
        control_print(client,
                      "error: '%.*s' is no message id, --sender ADDR, --domain DOMAIN, --older "
                      "SECONDS, --state deferred|failed|held, --all or --json\n",
                      (int)bad.len, (const char *)bad.p);
        return false;
    }
    if (getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
        r->uid = peer.uid;
    r->after = queue_filter_start(&r->filter);
    return true;
}

static void queue_look(struct control *c, struct control_client *client,
                       enum courier_request_kind kind)
{
    if (!request_begin(client))
        return;
    if (!client->more)
        control_print(client, "ok\n");
    ask_courier(c, client, kind);
}

static void queue_list(struct control *c, struct control_client *client)
{
    queue_look(c, client, COURIER_QUEUE_LIST);
}

static void queue_show(struct control *c, struct control_client *client)
{
    if (!request_begin(client))
        return;
    if (!client->request.filter.by_id)
        control_print(client, "error: queue show needs the id of a message\n");
    else
        queue_look(c, client, COURIER_QUEUE_LIST);
}

static void queue_stat(struct control *c, struct control_client *client)
{
    queue_look(c, client, COURIER_QUEUE_STAT);
}

static void queue_flush_some(struct control *c, struct control_client *client)
{
    queue_look(c, client, COURIER_QUEUE_FLUSH);
}

/* A slip of the pen is not to hit the whole queue. */
static void queue_change(struct control *c, struct control_client *client,
                         enum courier_request_kind kind)
{
    if (!request_begin(client))
        return;
    if (!queue_filter_narrows(&client->request.filter) && !client->request.filter.all)
        control_print(client, "error: which ones? give an id, a filter or --all\n");
    else
        queue_look(c, client, kind);
}

static void queue_hold_some(struct control *c, struct control_client *client)
{
    queue_change(c, client, COURIER_QUEUE_HOLD);
}

static void queue_release_some(struct control *c, struct control_client *client)
{
    queue_change(c, client, COURIER_QUEUE_RELEASE);
}

static void queue_delete_some(struct control *c, struct control_client *client)
{
    queue_change(c, client, COURIER_QUEUE_DELETE);
}

/* ---- reload ---- */

static void log_reload(struct control *c, uint64_t generation, const char *what)
{
    struct stats_log_record r = {
        .wall_ns = loop_wall_ns(), .event = STATS_LOG_RELOAD, .n = generation};

    stats_log_text(&r, base_span_str(what));
    log_write(c->config.log, &r, 1);
}

static int open_by_opener(void *user, const char *path)
{
    return opener_open(user, path);
}

void control_reload(struct control *c, struct control_client *client)
{
    const struct conf_setting *changed[32];
    struct gateway *g = c->config.gateway;
    struct conf_errors *errors = calloc(1, sizeof(*errors));

    base_assert(errors != NULL);
    struct conf *conf =
        config_load(c->config.config_path, open_by_opener, c->config.opener, errors);
    if (conf == NULL) {
        if (client != NULL)
            control_print(client, "error: the configuration has errors; the old one stays\n");
        for (uint32_t i = 0; i < errors->cnt && client != NULL; i++)
            control_print(client, "%s:%u: %s%s%s\n", errors->error[i].file, errors->error[i].line,
                          errors->error[i].key, errors->error[i].key[0] != 0 ? ": " : "",
                          errors->error[i].why);
        log_reload(c, g->hub.generation, "refused: the configuration has errors");
        conf_errors_free(errors);
        free(errors);
        return;
    }
    conf_errors_free(errors);
    free(errors);
    uint32_t restart_cnt =
        conf_compare(g->hub.started->conf, conf, changed, BASE_ARRAY_CNT(changed));
    struct settings *next = settings_make(conf);
    if (next == NULL) {
        if (client != NULL)
            control_print(client, "error: no memory; the old configuration stays\n");
        return log_reload(c, g->hub.generation, "refused: no memory");
    }
    log_set_level(c->config.log, (enum stats_log_level)next->conf->log.level);
    settings_publish(&g->hub, next);
    if (client != NULL) {
        control_print(client, "ok\nsettings_generation %" PRIu64 "\n", g->hub.generation);
        for (uint32_t i = 0; i < restart_cnt && i < BASE_ARRAY_CNT(changed); i++)
            control_print(client, "needs a restart: %s.%s\n", changed[i]->block, changed[i]->key);
    }
    log_reload(c, g->hub.generation,
               restart_cnt > 0 ? "published; some changed keys need a restart" : "published");
}

static void reload(struct control *c, struct control_client *client)
{
    control_reload(c, client);
}

static void stop(struct control *c, struct control_client *client)
{
    control_print(client, "ok\n");
    c->stop = true;
}

/* ---- the table ---- */

static const struct command {
    const char *line;
    enum control_right right;
    bool takes_words;
    void (*run)(struct control *c, struct control_client *client);
} commands[] = {
    {"status", CONTROL_LOOK, false, status},
    {"queue list", CONTROL_LOOK, true, queue_list},
    {"queue show", CONTROL_LOOK, true, queue_show},
    {"queue stat", CONTROL_LOOK, true, queue_stat},
    {"queue flush", CONTROL_CHANGE, true, queue_flush_some},
    {"queue hold", CONTROL_CHANGE, true, queue_hold_some},
    {"queue release", CONTROL_CHANGE, true, queue_release_some},
    {"queue delete", CONTROL_CHANGE, true, queue_delete_some},
    {"reload", CONTROL_CHANGE, false, reload},
    {"stop", CONTROL_CHANGE, false, stop},
};

static bool is_command(const struct command *k, const char *line)
{
    size_t len = strlen(k->line);

    return strncmp(k->line, line, len) == 0 &&
           (line[len] == 0 || (k->takes_words && line[len] == ' '));
}

void control_command(struct control *c, struct control_client *client)
{
    client->answering = true;
    for (size_t i = 0; i < BASE_ARRAY_CNT(commands); i++) {
        if (!is_command(&commands[i], client->line))
            continue;
        if (client->right < commands[i].right)
            control_print(client, "error: not permitted: only root and the gateway's user may %s\n",
                          commands[i].line);
        else
            commands[i].run(c, client);
        return;
    }
    control_print(client, "error: there is no command '%.100s'; there are:", client->line);
    for (size_t i = 0; i < BASE_ARRAY_CNT(commands); i++)
        control_print(client, "%s %s", i > 0 ? "," : "", commands[i].line);
    control_print(client, "\n");
}
