/* sluicectl trace: what an operator follows (trace.h), as the log's writer has set it aside. */
#include "base_time.h"
#include "control.h"
#include "trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_NS  (60 * BASE_NS_S)
#define MAX_NS      (3600 * BASE_NS_S)
#define DEFAULT_CNT 10000
#define TAP_CNT     2048 /* records that wait for a slow reader */
#define BATCH       4
#define PIECE_BYTES (BATCH * LOG_LINE_CAP + 512) /* lines of one, and the end */

struct control_trace {
    struct control_stream stream; /* the first: the client has no other name for it */
    uint32_t wish;
    bool json;
    uint64_t end_ns;
    uint64_t left_cnt;
    uint64_t told_cnt, missed_cnt, lost_cnt;
    uint64_t lost_before; /* of all threads, when it began */
    struct stats_log_record tap[TAP_CNT];
    struct stats_log_record batch[BATCH];
};

/* Lines that found no room in a thread's ring. */
static uint64_t lost_cnt(const struct topology *t)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < t->stats_cnt; i++)
        sum += atomic_load_explicit(&t->lost[i].cnt[STATS_LOG_TRACE], memory_order_relaxed);
    return sum;
}

/* Lines that are missing from here on, since it was last told. */
static void print_lost(struct control *c, struct control_client *client, struct control_trace *t)
{
    uint64_t lost = t->missed_cnt + lost_cnt(&c->config.gateway->topology) - t->lost_before;

    if (lost == t->lost_cnt)
        return;
    control_print(client,
                  t->json ? "{\"event\":\"trace_lost\",\"lines\":%" PRIu64 "}\n"
                          : "trace lost lines: %" PRIu64 "\n",
                  lost - t->lost_cnt);
    t->lost_cnt = lost;
}

static void print_end(struct control_client *client, const struct control_trace *t, const char *why)
{
    if (t->json)
        control_print(client,
                      "{\"event\":\"trace_end\",\"lines\":%" PRIu64 ",\"lost\":%" PRIu64
                      ",\"why\":\"%s\"}\n",
                      t->told_cnt, t->lost_cnt, why);
    else
        control_print(client, "trace ends: %s; lines=%" PRIu64 " lost=%" PRIu64 "\n", why,
                      t->told_cnt, t->lost_cnt);
}

static void print_record(struct control_client *client, struct control_trace *t,
                         const struct stats_log_record *r)
{
    struct log_style style = {.form = t->json ? LOG_FORM_JSON : LOG_FORM_TEXT,
                              .id_format = log_writer_id_format,
                              .ident = ""};
    char line[LOG_LINE_CAP];
    size_t len = log_format(line, &style, r, 0);

    control_print(client, "%.*s", (int)len, line);
    t->told_cnt++;
    t->left_cnt--;
}

static bool trace_more(struct control *c, struct control_client *client)
{
    struct control_trace *t = (struct control_trace *)(void *)client->stream;
    uint32_t n = 1;

    while (n > 0 && t->left_cnt > 0 && CONTROL_BODY_CAP - client->body_len > PIECE_BYTES) {
        uint32_t most = t->left_cnt < BATCH ? (uint32_t)t->left_cnt : BATCH;
        n = log_writer_tapped(c->config.log, t->wish, t->batch, most, &t->missed_cnt);
        for (uint32_t i = 0; i < n; i++)
            print_record(client, t, &t->batch[i]);
    }
    print_lost(c, client, t);
    if (t->left_cnt > 0 && !client->leaving && (n > 0 || loop_now_ns() < t->end_ns))
        return true; /* also past its time: what is there is told before the end */
    print_end(client, t,
              t->left_cnt == 0  ? "as many lines as were asked for"
              : client->leaving ? "stopped"
                                : "time is over");
    return false;
}

static void trace_end_of(struct control *c, struct control_client *client)
{
    struct control_trace *t = (struct control_trace *)(void *)client->stream;

    trace_end(&c->config.gateway->topology.trace, t->wish);
    log_writer_tap(c->config.log, t->wish, NULL, 0);
    free(t);
}

void control_trace(struct control *c, struct control_client *client)
{
    struct topology *topology = &c->config.gateway->topology;
    const struct control_line *line = &client->command;
    struct trace_wish wish;

    if (trace_wish_parse(&wish, line->word[0]) != 0)
        return control_refuse(client,
                              "'%.*s' is no address, network or domain: give it as 192.0.2.7, "
                              "192.0.2.0/24 or example.org\n",
                              (int)(line->word[0].len < 100 ? line->word[0].len : 100),
                              (const char *)line->word[0].p);
    if (line->for_ns > MAX_NS)
        return control_refuse(client, "a trace ends after 1h at most; ask for another one then\n");
    struct control_trace *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return control_refuse(client, CONTROL_NO_MEMORY);
    int number = trace_begin(&topology->trace, &wish);
    if (number < 0) {
        free(t);
        return control_refuse(client, "%d traces run already: end one, or wait for its end\n",
                              TRACE_CNT);
    }
    t->stream = (struct control_stream){.more = trace_more, .end = trace_end_of};
    t->wish = (uint32_t)number;
    t->json = line->filter.json;
    t->end_ns = loop_now_ns() + (line->for_ns != 0 ? line->for_ns : DEFAULT_NS);
    t->left_cnt = line->cnt != 0 ? line->cnt : DEFAULT_CNT;
    t->lost_before = lost_cnt(topology);
    log_writer_tap(c->config.log, t->wish, t->tap, TAP_CNT);
    client->stream = &t->stream;
    client->more = true;
    if (t->json)
        control_print(client, "{\"event\":\"trace_begin\"}\n");
    else
        control_print(client, "trace begins: follows %.*s\n", (int)line->word[0].len,
                      (const char *)line->word[0].p);
}
