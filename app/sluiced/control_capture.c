#include "base_time.h"
#include "control.h"
#include "pcapng.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_ring.h>

#define DEFAULT_NS    (60 * BASE_NS_S)
#define MAX_NS        (3600 * BASE_NS_S)
#define DEFAULT_BYTES (UINT64_C(100) << 20)
#define RINGS_BYTES   (UINT64_C(64) << 20) /* of all lanes together */
#define RING_MAX      (UINT64_C(8) << 20)
#define NAME_CAP      60 /* of a port, in the file */

enum lane_state { LANE_WITHOUT, LANE_GETS, LANE_HAS, LANE_GIVES };

struct capture_lane {
    uint8_t state; /* enum lane_state */
    struct lane_ask ask;
    struct capture_ring *ring; /* owned; the lane's, too, unless WITHOUT */
};

struct control_capture {
    struct control_stream stream;  /* the first: the client has no other name for it */
    struct control_client *client; /* NULL: it has gone */
    uint64_t begin_ns, end_ns;     /* by the wall; by the clock */
    uint64_t byte_max, byte_cnt;   /* of the file */
    uint64_t packet_cnt;
    uint64_t delivered[TOPOLOGY_LANE_MAX][CAPTURE_PORT_MAX];
    const char *why; /* it ends; NULL: it goes on */
    bool headed;
    bool full;
    char filter[PCAPNG_TEXT_MAX];
    uint32_t snap_bytes;
    uint32_t lane_cnt, port_cnt;
    struct capture_lane lane[];
};

/* ---- lanes ---- */

static void ask_lane(struct control *c, uint32_t i, bool has)
{
    struct topology *t = &c->config.gateway->topology;
    struct capture_lane *l = &c->capture->lane[i];

    l->state = has ? LANE_GETS : LANE_GIVES;
    l->ask = (struct lane_ask){
        .kind = LANE_ASK_CAPTURE, .capture = has ? l->ring : NULL, .user = (void *)(uintptr_t)i};
    /* The ring has more places than control has clients and captures. */
    base_assert(rte_ring_sp_enqueue(topology_ring(t, TOPOLOGY_CONTROL_LANE, i), &l->ask) == 0);
    doorbell_ring(&t->lane_bell[i]);
}

static void free_if_done(struct control *c)
{
    struct control_capture *k = c->capture;

    if (k->client != NULL)
        return;
    for (uint32_t i = 0; i < k->lane_cnt; i++)
        if (k->lane[i].state != LANE_WITHOUT)
            return;
    for (uint32_t i = 0; i < k->lane_cnt; i++)
        free(k->lane[i].ring);
    free(k);
    c->capture = NULL;
}

/* Takes back what lanes have. */
static void ask_back(struct control *c)
{
    for (uint32_t i = 0; i < c->capture->lane_cnt; i++)
        if (c->capture->lane[i].state == LANE_HAS)
            ask_lane(c, i, false);
}

void control_capture_answered(struct control *c, struct lane_ask *ask)
{
    struct control_capture *k = c->capture;
    uint32_t i = (uint32_t)(uintptr_t)ask->user;

    base_assert(k != NULL && i < k->lane_cnt);
    k->lane[i].state = k->lane[i].state == LANE_GETS ? LANE_HAS : LANE_WITHOUT;
    if (k->why != NULL || k->client == NULL)
        ask_back(c);
    free_if_done(c);
}

bool control_capture_pending(struct control *c)
{
    if (c->capture == NULL)
        return false;
    c->capture->client = NULL;
    ask_back(c);
    free_if_done(c);
    return c->capture != NULL;
}

void control_capture_fini(struct control *c)
{
    if (c->capture == NULL)
        return;
    for (uint32_t i = 0; i < c->capture->lane_cnt; i++)
        c->capture->lane[i].state = LANE_WITHOUT;
    c->capture->client = NULL;
    free_if_done(c);
}

/* ---- the file ---- */

static struct base_buf body_of(struct control_client *client)
{
    return (struct base_buf){.p = (uint8_t *)client->out + CONTROL_HEAD_CAP + client->body_len,
                             .cap = CONTROL_BODY_CAP - client->body_len};
}

static void put(struct control_client *client, const struct base_buf *b)
{
    struct control_capture *k = (struct control_capture *)(void *)client->stream;

    client->body_len += b->len;
    k->byte_cnt += b->len;
}

/* The section and an interface for each port of each lane: their number is lane * ports + port. */
static void print_head(struct control *c, struct control_client *client, struct control_capture *k)
{
    const struct conf *conf = c->config.gateway->hub.started->conf;
    struct base_buf b = body_of(client);
    char text[PCAPNG_TEXT_MAX];

    snprintf(text, sizeof(text), "packets of %.120s: %.60s", conf->gateway.hostname, k->filter);
    int failed = pcapng_put_section(&b, text, "sluice");
    for (uint32_t i = 0; i < k->lane_cnt; i++)
        for (uint32_t p = 0; p < k->port_cnt; p++) {
            char name[NAME_CAP];
            snprintf(name, sizeof(name), "%s", conf->port[p].name);
            snprintf(text, sizeof(text), "lane %u", i);
            failed |= pcapng_put_interface(
                &b, &(struct pcapng_interface){.name = name,
                                               .description = text,
                                               .filter = i + p == 0 ? k->filter : "",
                                               .snap_len = k->snap_bytes});
        }
    base_assert(failed == 0); /* LANE_MAX * PORT_MAX of them fit: see below */
    put(client, &b);
}
base_static_assert((TOPOLOGY_LANE_MAX * CAPTURE_PORT_MAX) * (NAME_CAP + 60) + 2 * PCAPNG_HEAD_MAX <=
                       CONTROL_BODY_CAP,
                   "the head fits");

/* Of all lanes the one whose next packet is the oldest. */
static struct capture_lane *oldest(struct control_capture *k, struct capture_record *record,
                                   struct base_span piece[2])
{
    struct capture_lane *best = NULL;

    for (uint32_t i = 0; i < k->lane_cnt; i++) {
        struct capture_record r;
        struct base_span p[2];
        if (!capture_ring_peek(k->lane[i].ring, &r, p) ||
            (best != NULL && r.wall_ns >= record->wall_ns))
            continue;
        best = &k->lane[i];
        *record = r;
        piece[0] = p[0];
        piece[1] = p[1];
    }
    return best;
}

/* Packets, as far as the body has room. Returns whether there are no more. */
static bool print_packets(struct control_client *client, struct control_capture *k)
{
    struct pcapng_packet packet;
    struct capture_record record;
    struct capture_lane *l;

    while (!k->full && (l = oldest(k, &record, packet.piece)) != NULL) {
        struct base_buf b = body_of(client);
        uint32_t lane = (uint32_t)(l - k->lane);
        packet.interface = lane * k->port_cnt + record.port;
        packet.wall_ns = record.wall_ns;
        packet.wire_len = record.wire_len;
        packet.outbound = record.outbound;
        if (k->byte_cnt + record.len + PCAPNG_PACKET_MAX > k->byte_max) {
            k->full = true;
            k->why = k->why != NULL ? k->why : "the file is as large as it may be";
            return true;
        }
        if (pcapng_put_packet(&b, &packet) != 0) {
            base_assert(client->body_len > 0); /* any packet fits an empty body */
            return false;
        }
        put(client, &b);
        capture_ring_drop(l->ring, &record);
        k->packet_cnt++;
        k->delivered[lane][record.port]++;
    }
    return true;
}
base_static_assert(CAPTURE_SNAP_MAX + PCAPNG_PACKET_MAX <= CONTROL_BODY_CAP, "any packet fits");

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void print_tail(struct control_client *client, struct control_capture *k)
{
    struct base_buf b = body_of(client);
    uint64_t matched = 0, dropped = 0;
    int failed = 0;

    for (uint32_t i = 0; i < k->lane_cnt; i++)
        for (uint32_t p = 0; p < k->port_cnt; p++) {
            const struct capture_ring *r = k->lane[i].ring;
            struct pcapng_statistics s = {.interface = i * k->port_cnt + p,
                                          .begin_ns = k->begin_ns,
                                          .end_ns = loop_wall_ns(),
                                          .matched = load(&r->lane.matched[p]),
                                          .dropped = load(&r->lane.dropped[p]),
                                          .delivered = k->delivered[i][p]};
            failed |= pcapng_put_statistics(&b, &s);
            matched += s.matched;
            dropped += s.dropped;
        }
    base_assert(failed == 0);
    put(client, &b);
    snprintf(client->note, sizeof(client->note),
             "%s: %" PRIu64 " packets written, %" PRIu64 " dropped for want of room, %" PRIu64
             " matched",
             k->why, k->packet_cnt, dropped, matched);
}

/* ---- the stream ---- */

static bool lanes_are_without(const struct control_capture *k)
{
    for (uint32_t i = 0; i < k->lane_cnt; i++)
        if (k->lane[i].state != LANE_WITHOUT)
            return false;
    return true;
}

static bool capture_more(struct control *c, struct control_client *client)
{
    struct control_capture *k = (struct control_capture *)(void *)client->stream;

    if (!k->headed)
        print_head(c, client, k);
    k->headed = true;
    if (k->why == NULL && client->leaving)
        k->why = "stopped";
    if (k->why == NULL && loop_now_ns() >= k->end_ns)
        k->why = "time is over";
    bool emptied = print_packets(client, k);
    if (k->why == NULL)
        return true;
    ask_back(c);
    if (!emptied || !lanes_are_without(k) ||
        CONTROL_BODY_CAP - client->body_len <
            (size_t)k->lane_cnt * k->port_cnt * PCAPNG_STATISTICS_BYTES)
        return true;
    print_tail(client, k);
    return false;
}

static void capture_end(struct control *c, struct control_client *client)
{
    (void)client;
    c->capture->client = NULL;
    ask_back(c);
    free_if_done(c);
}

static bool open_rings(struct control_capture *k, const struct capture_words *w)
{
    uint64_t cap = RING_MAX;

    while (cap * k->lane_cnt > RINGS_BYTES)
        cap /= 2;
    for (uint32_t i = 0; i < k->lane_cnt; i++) {
        k->lane[i].ring = capture_ring_open(cap, &w->filter, k->snap_bytes);
        if (k->lane[i].ring == NULL)
            return false;
    }
    return true;
}

void control_capture(struct control *c, struct control_client *client)
{
    const struct capture_words *w = &client->command.capture;
    struct gateway *g = c->config.gateway;
    uint32_t lane_cnt = g->topology.lane_cnt;

    if (c->capture != NULL)
        return control_refuse(
            client,
            "a capture runs already: wait for its end, or end the sluicectl that writes it\n");
    if (w->for_ns > MAX_NS)
        return control_refuse(
            client,
            "a capture ends after 1h at most: ask for --for 1h, and for another one then\n");
    struct control_capture *k = calloc(1, sizeof(*k) + lane_cnt * sizeof(struct capture_lane));
    if (k == NULL)
        return control_refuse(client, CONTROL_NO_MEMORY);
    k->stream = (struct control_stream){.more = capture_more, .end = capture_end};
    k->lane_cnt = lane_cnt;
    k->port_cnt = g->hub.started->conf->port_cnt;
    k->snap_bytes = w->snap_bytes != 0 ? w->snap_bytes : CAPTURE_SNAP_MAX;
    k->begin_ns = loop_wall_ns();
    k->end_ns = loop_now_ns() + (w->for_ns != 0 ? w->for_ns : DEFAULT_NS);
    k->byte_max = w->byte_max != 0 ? w->byte_max : DEFAULT_BYTES;
    snprintf(k->filter, sizeof(k->filter), "%.*s", (int)client->command.rest.len,
             (const char *)client->command.rest.p);
    if (!open_rings(k, w)) {
        for (uint32_t i = 0; i < lane_cnt; i++)
            free(k->lane[i].ring);
        free(k);
        return control_refuse(client, CONTROL_NO_MEMORY);
    }
    c->capture = k;
    k->client = client;
    client->stream = &k->stream;
    client->more = true;
    for (uint32_t i = 0; i < lane_cnt; i++)
        ask_lane(c, i, true);
}
