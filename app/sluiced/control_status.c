/* status: is it well? And the answers that are made whole before they are sent. */
#include "base_json.h"
#include "base_time.h"
#include "control.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- whole answers ---- */

void control_text_piece(struct control_client *client)
{
    if (client->text == NULL) {
        client->more = false;
        return control_refuse(client, CONTROL_NO_MEMORY);
    }
    size_t left = client->text_len - client->text_at;
    size_t n = left < CONTROL_BODY_CAP ? left : CONTROL_BODY_CAP;
    memcpy(client->out + CONTROL_HEAD_CAP, client->text + client->text_at, n);
    client->body_len = n;
    client->text_at += n;
    client->more = client->text_at < client->text_len;
}

static void write_string(FILE *out, const char *key, const char *text)
{
    fprintf(out, "\"%s\":", key);
    base_json_print(out, base_span_str(text));
}

void control_json_lines(struct control_client *client, const char *members)
{
    char *text = client->out + CONTROL_HEAD_CAP, *made = NULL;
    size_t len = client->body_len, made_len = 0;
    FILE *out = open_memstream(&made, &made_len);

    client->body_len = 0;
    if (out == NULL)
        return control_refuse(client, CONTROL_NO_MEMORY);
    fprintf(out, "{%s\"lines\":[", members);
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end != NULL ? (size_t)(end - text) - at : len - at;
        fputs(at > 0 ? "," : "", out);
        base_json_print(out, base_span_of(text + at, n));
        at += n + 1;
    }
    fputs("]}\n", out);
    bool fits = fclose(out) == 0 && made_len <= CONTROL_BODY_CAP;
    if (fits) {
        memcpy(text, made, made_len);
        client->body_len = made_len;
    }
    free(made);
    if (!fits)
        control_refuse(client, "the answer is too long for one JSON object: ask without --json\n");
}

/* ---- status ---- */

/* Bytes written for each byte taken in, and the like: two digits are enough. */
static double ratio(uint64_t a, uint64_t b)
{
    return b == 0 ? 0 : (double)a / (double)b;
}

/* Why no mail is taken; NULL: it is. */
static const char *refusal_of(const struct gateway *g)
{
    const char *why;

    if (atomic_load_explicit(&g->topology.drained, memory_order_relaxed))
        return "drained by the operator";
    return topology_choose_spool(&g->topology, 0, &why) != TOPOLOGY_SPOOL_NONE ? NULL : why;
}

struct spool_state {
    const char *key;
    uint64_t value;
};

static void write_spool(FILE *out, const struct gateway *g, uint32_t i, bool json)
{
    const struct stats_block *s = topology_stats(&g->topology, TOPOLOGY_SPOOLER, i);
    const char *why = topology_spool_refusal(&g->topology, i);
    const struct spool_state states[] = {
        {"number", g->topology.spool[i].number},
        {"messages", stats_get(s, STATS_SPOOL_MESSAGES_NOW)},
        {"live_bytes", stats_get(s, STATS_SPOOL_LIVE_BYTES_NOW)},
        {"segments", stats_get(s, STATS_SPOOL_SEGMENTS_NOW)},
        {"ready", stats_get(s, STATS_SPOOL_READY_NOW)},
        {"commits", stats_get(s, STATS_SPOOL_BATCHES)},
        {"damaged", stats_get(s, STATS_SPOOL_DAMAGED)},
        {"undeliverable",
         stats_get(s, STATS_SPOOL_ENVELOPES_LOST) + stats_get(s, STATS_SPOOL_ENVELOPES_UNREAD)},
        {"quarantined", stats_get(s, STATS_SPOOL_SET_ASIDE)},
    };
    double per_commit = ratio(stats_get(s, STATS_SPOOL_RECORDS), stats_get(s, STATS_SPOOL_BATCHES));
    double amplification =
        ratio(stats_get(s, STATS_SPOOL_WRITTEN_BYTES), stats_get(s, STATS_SPOOL_TAKEN_BYTES));

    if (json) {
        fputs(i > 0 ? ",{" : "{", out);
        write_string(out, "name", g->topology.spool[i].name);
    } else {
        fprintf(out, "spool %s", g->topology.spool[i].name);
    }
    for (size_t n = 0; n < BASE_ARRAY_CNT(states); n++)
        fprintf(out, json ? ",\"%s\":%" PRIu64 : " %s=%" PRIu64, states[n].key, states[n].value);
    fprintf(out,
            json ? ",\"records_per_commit\":%.2f,\"amplification\":%.2f,\"accepting\":%s"
                 : " records_per_commit=%.2f amplification=%.2f accepting=%s",
            per_commit, amplification,
            json ? (why == NULL ? "true" : "false") : (why == NULL ? "yes" : "no: "));
    if (json && why != NULL) {
        fputc(',', out);
        write_string(out, "why", why);
    }
    if (json)
        fputc('}', out);
    else
        fprintf(out, "%s\n", why != NULL ? why : "");
}

static void write_certificates(struct control *c, FILE *out, bool json)
{
    const struct gateway_tls *t = &c->config.gateway->tls;
    const struct conf *conf = settings_current(&c->config.gateway->hub)->conf;
    const struct tls_certificate_info *info;
    int64_t now_s = (int64_t)(loop_wall_ns() / BASE_NS_S);

    for (uint32_t i = 0; (info = gateway_tls_certificate(t, i)) != NULL; i++) {
        const char *name = i < conf->certificate_cnt ? conf->certificate[i].name : "-";
        if (!json) {
            fprintf(out, "certificate %s key=%s days=%" PRIu64 " tlsa=%s names=%u %s\n", name,
                    info->key, gateway_tls_days(info, now_s), control_tlsa_word(c, i),
                    info->name_cnt, info->name_cnt > 0 ? info->name[0] : "-");
            continue;
        }
        fputs(i > 0 ? ",{" : "{", out);
        write_string(out, "name", name);
        fprintf(out, ",\"key\":\"%s\",\"days\":%" PRIu64 ",\"tlsa\":\"%s\",\"names\":[", info->key,
                gateway_tls_days(info, now_s), control_tlsa_word(c, i));
        for (uint32_t n = 0; n < info->name_cnt; n++) {
            fputs(n > 0 ? "," : "", out);
            base_json_print(out, base_span_str(info->name[n]));
        }
        fputs("]}", out);
    }
}

static void write_maps(struct control *c, FILE *out, bool json)
{
    static const char *const names[POLICY_ROLE_CNT] = {"accounts", "aliases", "owners",
                                                       "recipients"};
    const struct policy_tables *t = settings_tables(&c->config.gateway->hub);
    uint32_t cnt = 0;

    for (int role = 0; role < POLICY_ROLE_CNT; role++)
        for (uint32_t i = 0; t != NULL && i < t->cnt[role]; i++, cnt++) {
            const struct policy_map *m = t->map[role][i];
            const char *what = policy_map_has_patterns(m) ? "patterns" : "keys";
            if (!json) {
                fprintf(out, "map %s %s %s=%u bytes=%zu\n", names[role], policy_map_name(m), what,
                        policy_map_count(m), policy_map_bytes(m));
                continue;
            }
            fprintf(out, "%s{\"role\":\"%s\",", cnt > 0 ? "," : "", names[role]);
            write_string(out, "file", policy_map_name(m));
            fprintf(out, ",\"%s\":%u,\"bytes\":%zu}", what, policy_map_count(m),
                    policy_map_bytes(m));
        }
}

/* As text those that have counted something, as JSON all. */
static void write_counters(const struct gateway *g, FILE *out, bool json)
{
    for (int id = 0; id < STATS_CNT; id++) {
        uint64_t v = control_total(g, (enum stats_id)id);
        if (json)
            fprintf(out, "%s\"%s/%s\":%" PRIu64, id > 0 ? "," : "", stats_rows[id].group,
                    stats_rows[id].name, v);
        else if (v > 0)
            fprintf(out, "%s/%s %" PRIu64 "\n", stats_rows[id].group, stats_rows[id].name, v);
    }
}

static void write_text(struct control *c, FILE *out)
{
    const struct gateway *g = c->config.gateway;
    const struct settings *s = settings_current(&c->config.gateway->hub);
    const char *why = refusal_of(g);

    fprintf(out, "hostname %s\n", s->conf->gateway.hostname);
    fprintf(out, "uptime_s %" PRIu64 "\n", (loop_now_ns() - c->started_ns) / BASE_NS_S);
    fprintf(out, "lanes %u\n", g->topology.lane_cnt);
    fprintf(out, "settings_generation %" PRIu64 "\n", s->generation);
    fprintf(out, "opener_restarts %u\n", c->config.opener->restart_cnt);
    if (g->auth.auth.conf != NULL)
        fprintf(out, "auth_restarts %u\n", g->auth.restart_cnt);
    fprintf(out, "accepting %s%s\n", why == NULL ? "yes" : "no: ", why == NULL ? "" : why);
    for (uint32_t i = 0; i < g->topology.spool_cnt; i++)
        write_spool(out, g, i, false);
    write_certificates(c, out, false);
    write_maps(c, out, false);
    write_counters(g, out, false);
}

static void write_object(struct control *c, const struct control_client *client, FILE *out)
{
    const struct gateway *g = c->config.gateway;
    const struct settings *s = settings_current(&c->config.gateway->hub);
    const char *why = refusal_of(g);

    fputc('{', out);
    write_string(out, "hostname", s->conf->gateway.hostname);
    fprintf(out, ",\"uptime_s\":%" PRIu64 ",\"lanes\":%u,\"settings_generation\":%" PRIu64,
            (loop_now_ns() - c->started_ns) / BASE_NS_S, g->topology.lane_cnt, s->generation);
    fprintf(out, ",\"may_change\":%s", client->right >= CONTROL_CHANGE ? "true" : "false");
    fprintf(out, ",\"opener_restarts\":%u", c->config.opener->restart_cnt);
    if (g->auth.auth.conf != NULL)
        fprintf(out, ",\"auth_restarts\":%u", g->auth.restart_cnt);
    fprintf(out, ",\"accepting\":%s,", why == NULL ? "true" : "false");
    if (why != NULL) {
        write_string(out, "why", why);
        fputc(',', out);
    }
    fputs("\"spools\":[", out);
    for (uint32_t i = 0; i < g->topology.spool_cnt; i++)
        write_spool(out, g, i, true);
    fputs("],\"certificates\":[", out);
    write_certificates(c, out, true);
    fputs("],\"maps\":[", out);
    write_maps(c, out, true);
    fputs("],\"counters\":{", out);
    write_counters(g, out, true);
    fputs("}}\n", out);
}

void control_status(struct control *c, struct control_client *client)
{
    if (client->text == NULL) {
        FILE *out = open_memstream(&client->text, &client->text_len);
        client->text_at = 0;
        if (out != NULL && client->command.filter.json)
            write_object(c, client, out);
        else if (out != NULL)
            write_text(c, out);
        if (out != NULL && fclose(out) != 0) {
            free(client->text);
            client->text = NULL;
        }
    }
    control_text_piece(client);
}
