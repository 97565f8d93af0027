#include "control_tlsrpt.h"
#include "base_time.h"
#include "control.h"
#include "dns_rdata.h"
#include "resolver.h"
#include "state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include <rte_ring.h>

#define FILE_MAX      (1u << 30)
#define POST_NS       (60 * BASE_NS_S)
#define COURIER_BYTES (8u << 20) /* of what is counted between two takes */
#define BUCKETS       1024
#define RUN_NS        (500 * BASE_NS_MS)

static const struct conf *conf_of(const struct control *c)
{
    return settings_current(&c->config.gateway->hub)->conf;
}

static uint64_t wall_s(void)
{
    return loop_wall_ns() / BASE_NS_S;
}

static void say(struct control *c, bool warning, const char *text)
{
    struct stats_log_record r = {.wall_ns = loop_wall_ns(),
                                 .event = warning ? STATS_LOG_WARNING : STATS_LOG_NOTE};

    stats_log_text(&r, base_span_str(text));
    stats_log_push(&c->log, &r);
}

/* ---- the file ---- */

static int append(void *user, struct base_span bytes, bool sync)
{
    struct control_tlsrpt *t = &((struct control *)user)->tlsrpt;

    if (t->file < 0)
        t->file = openat(t->dir, CONTROL_TLSRPT_FILE, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (t->file < 0)
        return -errno;
    int error = state_file_write(t->file, bytes);
    if (error == 0 && sync && fdatasync(t->file) != 0)
        error = -errno;
    return error;
}

static int replace(void *user, struct base_span bytes)
{
    struct control_tlsrpt *t = &((struct control *)user)->tlsrpt;

    if (t->file >= 0)
        close(t->file);
    t->file = -1; /* the next append is to the new one */
    return state_file_replace(t->dir, CONTROL_TLSRPT_FILE, bytes);
}

/* ---- the DNS ---- */

static void answered(struct dns_query *q)
{
    struct control_tlsrpt_question *question = q->user;
    struct tlsrpt_sender *s = &question->control->tlsrpt.sender;
    struct base_span text[CONTROL_TLSRPT_TXT_MAX], rdata;
    uint8_t bytes[8192];
    struct base_buf out = {.p = bytes, .cap = sizeof(bytes)};
    uint32_t cnt = 0;
    size_t at = 0;

    if (dns_status_is_error(q->answer.status))
        return tlsrpt_sender_answer(s, question->slot, TLSRPT_ANSWER_UNKNOWN, NULL, 0,
                                    dns_status_name(q->answer.status), wall_s());
    while (q->answer.status == DNS_OK && cnt < CONTROL_TLSRPT_TXT_MAX &&
           dns_answer_next(&q->answer, &at, &rdata)) {
        size_t from = out.len;
        if (dns_read_txt(&out, rdata) == 0 &&
            tlsrpt_record_is(base_span_of(out.p + from, out.len - from)))
            text[cnt++] = base_span_of(out.p + from, out.len - from);
        else
            out.len = from;
    }
    tlsrpt_sender_answer(s, question->slot, cnt > 0 ? TLSRPT_ANSWER_RECORDS : TLSRPT_ANSWER_NONE,
                         text, cnt, "", wall_s());
}

static bool ask(void *user, uint32_t slot, const char *name)
{
    struct control *c = user;
    struct control_tlsrpt_question *q = &c->tlsrpt.question[slot];

    if (dns_query_init(&q->query, base_span_str(name), DNS_TYPE_TXT, conf_of(c)->dns.timeout_ns,
                       q->room, sizeof(q->room)) != 0)
        return false;
    q->control = c;
    q->slot = slot;
    q->query.done = answered;
    q->query.user = q;
    return resolver_ask(&c->config.gateway->topology, TOPOLOGY_CONTROL, 0, &q->query);
}

/* ---- the courier ---- */

static bool ask_courier(struct control *c, struct courier_request *r)
{
    struct topology *t = &c->config.gateway->topology;

    if (rte_ring_sp_enqueue(topology_ring(t, TOPOLOGY_CONTROL_COURIER, 0), r) != 0)
        return false;
    doorbell_ring(&t->courier_bell);
    return true;
}

static bool post(void *user, uint32_t slot, struct base_span uri, struct base_span body)
{
    struct control *c = user;
    struct courier_tlsrpt_post *p = &c->tlsrpt.post[slot];

    if (https_request_init(&p->https, base_span_str("host.invalid"), base_span_str("/"), POST_NS,
                           p->room, sizeof(p->room)) != 0 ||
        https_request_url(&p->https, uri) != 0)
        return false;
    snprintf(p->https.type, sizeof(p->https.type), "application/tlsrpt+gzip");
    p->https.method = HTTPS_POST;
    p->https.body = body;
    p->https.any_certificate = conf_of(c)->tlsrpt.any_certificate;
    p->slot = slot;
    p->request.kind = COURIER_TLSRPT_POST;
    return ask_courier(c, &p->request);
}

static void posted(struct control *c, struct courier_tlsrpt_post *p)
{
    const struct https_request *h = &p->https;
    bool status = h->result == HTTPS_OK || h->result == HTTPS_STATUS ||
                  h->result == HTTPS_REDIRECT || h->result == HTTPS_TOO_LARGE;
    char why[TLSRPT_WHY_CAP];

    snprintf(why, sizeof(why), "%s%s%.120s", https_result_name((enum https_result)h->result),
             h->why[0] != 0 ? ": " : "", h->why);
    tlsrpt_sender_posted(&c->tlsrpt.sender, p->slot, status ? h->status : 0, why, wall_s());
}

static struct tlsrpt_counts *make_table(const struct control_tlsrpt *t)
{
    struct tlsrpt_counts *table = malloc(sizeof(*table));

    if (table != NULL && tlsrpt_counts_init(table, BUCKETS, COURIER_BYTES, t->key) != 0) {
        free(table);
        table = NULL;
    }
    return table;
}

static void take_table(struct control *c, struct tlsrpt_counts *table, uint64_t taken_s)
{
    if (table == NULL) /* the first time */
        return;
    tlsrpt_sender_take(&c->tlsrpt.sender, table, taken_s);
    tlsrpt_counts_fini(table);
    free(table);
}

static void begin_take(struct control *c, uint64_t now_ns)
{
    struct control_tlsrpt *t = &c->tlsrpt;

    t->take_ns = now_ns + CONTROL_TLSRPT_TAKE_NS;
    t->take.kind = COURIER_TLSRPT_TAKE;
    t->take.tlsrpt = make_table(t);
    if (t->take.tlsrpt == NULL)
        return; /* what is counted stays where it is */
    t->taking = ask_courier(c, &t->take);
    if (!t->taking) {
        tlsrpt_counts_fini(t->take.tlsrpt);
        free(t->take.tlsrpt);
        t->take.tlsrpt = NULL;
    }
}

bool control_tlsrpt_answered(struct control *c, struct courier_request *r)
{
    if (r->kind == COURIER_TLSRPT_TAKE) {
        c->tlsrpt.taking = false;
        take_table(c, r->tlsrpt, r->wall_ns / BASE_NS_S);
        r->tlsrpt = NULL;
        return true;
    }
    if (r->kind == COURIER_TLSRPT_POST) {
        posted(c, base_container_of(r, struct courier_tlsrpt_post, request));
        return true;
    }
    return false;
}

/* ---- the beginning, each round, the end ---- */

static void log_text(void *user, bool warning, const char *text)
{
    say(user, warning, text);
}

static const struct tlsrpt_ops ops = {
    .ask = ask, .post = post, .append = append, .replace = replace, .log = log_text};

static struct tlsrpt_config config_of(struct control *c)
{
    const struct conf *conf = conf_of(c);
    const struct conf_tlsrpt *t = &conf->tlsrpt;
    const char *host = conf->gateway.hostname;

    snprintf(c->tlsrpt.contact, sizeof(c->tlsrpt.contact), "postmaster@%s", host);
    return (struct tlsrpt_config){
        .organization = t->organization != NULL && t->organization[0] != 0 ? t->organization : host,
        .contact = t->contact != NULL && t->contact[0] != 0 ? t->contact : c->tlsrpt.contact,
        .hostname = host,
        .spread_s = t->spread_ns / BASE_NS_S,
        .backoff_min_s = t->backoff_min_ns / BASE_NS_S,
    };
}

void control_tlsrpt_start(struct control *c)
{
    struct control_tlsrpt *t = &c->tlsrpt;
    const struct conf *conf = conf_of(c);
    char text[STATS_LOG_TEXT_CAP];
    uint8_t *data = NULL;
    size_t len = 0;

    t->dir = t->file = -1;
    if (!conf->tlsrpt.enable || getrandom(t->key, sizeof(t->key), 0) != sizeof(t->key))
        return;
    t->dir = state_dir_open(conf->gateway.state_dir, CONTROL_TLSRPT_SUB);
    int error =
        t->dir < 0 ? t->dir : state_file_read(t->dir, CONTROL_TLSRPT_FILE, FILE_MAX, &data, &len);
    if (error == -ENOENT && t->dir >= 0)
        error = 0;
    struct tlsrpt_config config = config_of(c);
    if (error == 0)
        error = tlsrpt_sender_init(&t->sender, &config, &ops, c, conf->tlsrpt.memory_bytes, t->key,
                                   base_span_of(data, len), wall_s());
    free(data);
    t->on = error == 0;
    if (t->on)
        return;
    snprintf(text, sizeof(text), "tlsrpt: no reports: what is kept of them cannot be read (%s)",
             strerror(-error));
    say(c, true, text);
}

static void count(struct control *c)
{
    struct stats_block *b = topology_stats(&c->config.gateway->topology, TOPOLOGY_CONTROL, 0);
    const struct tlsrpt_sender *s = &c->tlsrpt.sender;

    stats_set(b, STATS_TLSRPT_LOST, s->tally.lost_cnt);
    stats_set(b, STATS_TLSRPT_DOMAINS_NOW, s->counts.domain_cnt);
    stats_set(b, STATS_TLSRPT_SENT, s->tally.sent_cnt);
    stats_set(b, STATS_TLSRPT_ATTEMPTS_FAILED, s->tally.failed_cnt);
    stats_set(b, STATS_TLSRPT_GIVEN_UP, s->tally.given_up_cnt);
    stats_set(b, STATS_TLSRPT_UNWANTED, s->tally.none_cnt);
    stats_set(b, STATS_TLSRPT_MAILTO, s->tally.mailto_cnt);
    stats_set(b, STATS_TLSRPT_WRITE_FAILED, s->tally.write_failed_cnt);
}

void control_tlsrpt_tend(struct control *c)
{
    struct control_tlsrpt *t = &c->tlsrpt;
    uint64_t now_ns = loop_now_ns();

    if (!t->on)
        return;
    if (!t->taking && now_ns >= t->take_ns)
        begin_take(c, now_ns);
    if (now_ns < t->run_ns)
        return;
    t->run_ns = now_ns + RUN_NS;
    struct tlsrpt_config config = config_of(c); /* a reload frees what the last one had */
    tlsrpt_sender_configure(&t->sender, &config);
    tlsrpt_sender_run(&t->sender, wall_s());
    count(c);
}

void control_tlsrpt_stop(struct control *c)
{
    struct control_tlsrpt *t = &c->tlsrpt;
    struct gateway *g = c->config.gateway;
    struct rte_ring *ring = topology_ring(&g->topology, TOPOLOGY_COURIER_CONTROL, 0);
    struct courier_request *r;

    if (!t->on)
        return;
    while (rte_ring_sc_dequeue(ring, (void **)&r) == 0)
        (void)control_tlsrpt_answered(c, r);
    if (t->taking) { /* the courier has not come to it */
        tlsrpt_counts_fini(t->take.tlsrpt);
        free(t->take.tlsrpt);
    }
    take_table(c, g->courier.tlsrpt, wall_s());
    g->courier.tlsrpt = NULL;
    tlsrpt_sender_fini(&t->sender);
    if (t->file >= 0)
        close(t->file);
    close(t->dir);
    t->on = false;
}
