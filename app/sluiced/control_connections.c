/* sluicectl connections: each lane is asked in turn, piece by piece (lane_watch.h). */
#include "base_json.h"
#include "base_time.h"
#include "base_utf8.h"
#include "control.h"
#include "log_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_ring.h>

/* What one piece's rows take at most, all bytes of texts being escaped. */
#define ROWS      40
#define ROW_BYTES 1600
base_static_assert(ROWS *ROW_BYTES <= CONTROL_BODY_CAP, "a piece fits");

void control_print_json(struct control_client *client, const char *text)
{
    struct base_span rest = base_span_str(text);
    char escape[BASE_JSON_ESCAPE_CAP];

    control_print(client, "\"");
    while (rest.len > 0) {
        struct base_span piece = base_json_take(&rest, escape);
        control_print(client, "%.*s", (int)piece.len, (const char *)piece.p);
    }
    control_print(client, "\"");
}

/* As it is, but for what would break the line or a terminal. */
static void print_text(struct control_client *client, const char *name, const char *text)
{
    struct base_span rest = base_span_str(text);
    char escape[BASE_UTF8_ESCAPE_CAP];

    if (rest.len > 0)
        control_print(client, " %s=", name);
    while (rest.len > 0) {
        struct base_span piece = base_utf8_take(&rest, escape);
        control_print(client, "%.*s", (int)piece.len, (const char *)piece.p);
    }
}

static bool has_id(const struct conn_row *r)
{
    static const uint8_t none[sizeof(r->id)];

    return memcmp(r->id, none, sizeof(none)) != 0;
}

static void print_row(struct control_client *client, const struct conn_row *r, uint32_t lane)
{
    char remote[NET_ENDPOINT_TEXT_CAP], local[NET_ENDPOINT_TEXT_CAP], id[LOG_ID_CAP];
    char proxy[NET_ENDPOINT_TEXT_CAP] = "";

    net_endpoint_format(remote, &r->remote);
    net_endpoint_format(local, &r->local);
    if (r->proxy.port != 0)
        net_endpoint_format(proxy, &r->proxy);
    control_print(client, "%s %s id=%u.%u lane=%u state=%s", r->inbound ? "in " : "out",
                  r->remote.port != 0 ? remote : "-", r->number, r->serial, lane, r->state);
    print_text(client, "tcp", r->tcp_state);
    print_text(client, "listener", r->listener);
    if (r->local.port != 0)
        print_text(client, "local", local);
    print_text(client, "proxy", proxy);
    print_text(client, r->inbound ? "helo" : "host", r->peer);
    print_text(client, "user", r->user);
    if (r->tls_version[0] != 0)
        control_print(client, " tls=%s/%s", r->tls_version, r->tls_cipher);
    control_print(client,
                  " age_s=%" PRIu64 " in_bytes=%" PRIu64 " out_bytes=%" PRIu64 " messages=%" PRIu64,
                  r->age_ns / BASE_NS_S, r->in_bytes, r->out_bytes, r->message_cnt);
    if (r->srtt_us != 0)
        control_print(client, " rtt_us=%u", r->srtt_us);
    if (has_id(r)) {
        log_writer_id_format(id, r->id);
        control_print(client, " message=%s", id);
    }
    control_print(client, "\n");
}

/* A name and its text, where there is one. */
static void json_text(struct control_client *client, const char *name, const char *text)
{
    if (text[0] == 0)
        return;
    control_print(client, ",\"%s\":", name);
    control_print_json(client, text);
}

static void print_json(struct control_client *client, const struct conn_row *r, uint32_t lane)
{
    char remote[NET_ENDPOINT_TEXT_CAP], local[NET_ENDPOINT_TEXT_CAP], id[LOG_ID_CAP];
    char proxy[NET_ENDPOINT_TEXT_CAP] = "";

    net_endpoint_format(remote, &r->remote);
    net_endpoint_format(local, &r->local);
    if (r->proxy.port != 0)
        net_endpoint_format(proxy, &r->proxy);
    control_print(client, "{\"id\":\"%u.%u\",\"direction\":\"%s\",\"lane\":%u", r->number,
                  r->serial, r->inbound ? "in" : "out", lane);
    json_text(client, "state", r->state);
    json_text(client, "tcp", r->tcp_state);
    json_text(client, "remote", r->remote.port != 0 ? remote : "");
    json_text(client, "local", r->local.port != 0 ? local : "");
    json_text(client, "proxy", proxy);
    json_text(client, "listener", r->listener);
    json_text(client, r->inbound ? "helo" : "host", r->peer);
    json_text(client, "user", r->user);
    json_text(client, "tls", r->tls_version);
    json_text(client, "cipher", r->tls_cipher);
    control_print(client,
                  ",\"age_ms\":%" PRIu64 ",\"in_bytes\":%" PRIu64 ",\"out_bytes\":%" PRIu64
                  ",\"messages\":%" PRIu64 ",\"rtt_us\":%u",
                  r->age_ns / BASE_NS_MS, r->in_bytes, r->out_bytes, r->message_cnt, r->srtt_us);
    if (has_id(r)) {
        log_writer_id_format(id, r->id);
        json_text(client, "message", id);
    }
    control_print(client, "}\n");
}

/* What the lane has answered; then the next lane, or the end. */
static void take_answer(struct control *c, struct control_client *client)
{
    struct lane_ask *ask = client->ask;
    bool json = client->command.connections.json;

    for (uint32_t i = 0; i < ask->row_cnt; i++)
        if (json)
            print_json(client, &ask->row[i], client->ask_lane);
        else
            print_row(client, &ask->row[i], client->ask_lane);
    ask->row_cnt = 0;
    if (!ask->more) {
        ask->slot = 0;
        client->ask_lane++;
    }
    client->more = client->ask_lane < c->config.gateway->topology.lane_cnt;
    if (client->more || ask->kind != LANE_ASK_KICK)
        return;
    if (json)
        control_print(client, "{\"closed\":%" PRIu64 ",\"spared\":%" PRIu64 "}\n", ask->closed_cnt,
                      ask->spared_cnt);
    else
        control_print(client, "closed %" PRIu64 "\n", ask->closed_cnt);
    if (!json && ask->spared_cnt > 0)
        control_print(client,
                      "left %" PRIu64 ": the next hop has a whole message and has not answered "
                      "yet; closed now, it would get it twice\n",
                      ask->spared_cnt);
}

static bool ask_make(struct control_client *client)
{
    if (client->ask != NULL)
        return true;
    client->ask = calloc(1, sizeof(*client->ask) + ROWS * sizeof(struct conn_row));
    if (client->ask == NULL)
        return false;
    *client->ask = (struct lane_ask){
        .kind = client->command.verb == CONTROL_CONNECTIONS_KICK ? LANE_ASK_KICK : LANE_ASK_LIST,
        .filter = client->command.connections,
        .row = (struct conn_row *)(void *)(client->ask + 1),
        .row_cap = ROWS,
        .user = client,
    };
    return true;
}

void control_connections(struct control *c, struct control_client *client)
{
    struct topology *t = &c->config.gateway->topology;

    if (!ask_make(client))
        return control_refuse(client, CONTROL_NO_MEMORY);
    /* The ring has more places than control has clients. */
    base_assert(rte_ring_sp_enqueue(topology_ring(t, TOPOLOGY_CONTROL_LANE, client->ask_lane),
                                    client->ask) == 0);
    client->asking = true;
    doorbell_ring(&t->lane_bell[client->ask_lane]);
}

struct control_client *control_connections_answered(struct control *c)
{
    struct topology *t = &c->config.gateway->topology;
    struct lane_ask *ask;

    for (uint32_t i = 0; i < t->lane_cnt; i++)
        while (rte_ring_sc_dequeue(topology_ring(t, TOPOLOGY_LANE_CONTROL, i), (void **)&ask) ==
               0) {
            if (ask->kind == LANE_ASK_CAPTURE) {
                control_capture_answered(c, ask);
                continue;
            }
            struct control_client *client = ask->user;
            take_answer(c, client);
            return client;
        }
    return NULL;
}
