#include "courier_log.h"
#include "base_time.h"
#include "delivery_tls.h"

#include <stdio.h>

#define DELAYS_CAP 96
#define HOST_MAX   128

/* When MAIL was accepted: the id begins with it (spool_id.h). */
static uint64_t mail_wall_ns(const struct spool_id *id)
{
    uint64_t ns = 0;

    for (uint32_t i = 0; i < 8; i++)
        ns = ns << 8 | id->b[i];
    return ns;
}

void courier_log_queued(struct courier *c, const struct spool_id *id,
                        const struct spool_arrival *arrival)
{
    struct base_span envelope = base_span_of(arrival->envelope, arrival->envelope_len);
    struct spool_envelope_field f;
    struct stats_log_record r;

    if (mail_wall_ns(id) < c->started_wall_ns)
        return;
    stats_log_begin(&r, STATS_LOG_QUEUED, c->wall_ns);
    memcpy(r.id, id->b, sizeof(r.id));
    r.n = arrival->content_bytes;
    r.m = arrival->recipient_cnt;
    while (spool_envelope_next(&envelope, &f) == 1)
        if (f.type == SPOOL_ENVELOPE_SENDER) {
            stats_log_text(&r, f.value);
            break;
        }
    stats_log_push(&c->log, &r);
}

static size_t put_seconds(char *p, size_t cap, uint64_t ns)
{
    uint64_t hundredths = ns / (BASE_NS_S / 100);
    int n = snprintf(p, cap, "%llu.%02llu", (unsigned long long)(hundredths / 100),
                     (unsigned long long)(hundredths % 100));

    return (size_t)n;
}

static uint64_t since(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? to_ns - from_ns : 0;
}

/* As Postfix's delays=a/b/c/d: until it was in the queue, until this attempt, connection, transfer;
 * the last two are one here. */
static size_t put_delays(char out[DELAYS_CAP], const struct courier *c, const struct delivery *d)
{
    uint64_t attempt_ns = since(d->sent_ns, c->now_ns);
    uint64_t arrival_ns = d->job.arrival_wall_ns;
    size_t n = put_seconds(out, DELAYS_CAP, since(mail_wall_ns(&d->job.id), arrival_ns));

    out[n++] = '/';
    n += put_seconds(out + n, DELAYS_CAP - n, since(arrival_ns + attempt_ns, c->wall_ns));
    n += (size_t)snprintf(out + n, DELAYS_CAP - n, "/0/");
    return n + put_seconds(out + n, DELAYS_CAP - n, attempt_ns);
}

/* "dane/verified" */
static struct base_span tls_of(char out[64], const struct delivery *d)
{
    enum dane_level level =
        d->requirement != NULL ? (enum dane_level)d->requirement->level : DANE_LEVEL_NONE;

    if (d->tls == DELIVERY_TLS_NOTHING)
        return base_span_of(NULL, 0);
    snprintf(out, 64, "%s/%s", delivery_tls_level_name(level),
             delivery_tls_name((enum delivery_tls)d->tls));
    return base_span_str(out);
}

/* What was said; to: none where it is of all recipients. */
static void put_outcome(struct courier *c, struct stats_log_record *log, const struct delivery *d,
                        const struct delivery_result *r, struct base_span to)
{
    char delays[DELAYS_CAP], tls[64];
    const char *source = courier_source_name(c, d);
    bool socket = d->stream != NULL && d->stream->path[0] != 0;
    char host[NET_STREAM_PATH_CAP + 8] = "";
    struct base_span level = tls_of(tls, d);
    size_t delays_len = put_delays(delays, c, d);
    size_t fixed = to.len + level.len + delays_len + sizeof(r->enhanced) + strlen(source) + 8;
    size_t room = fixed < STATS_LOG_TEXT_CAP ? STATS_LOG_TEXT_CAP - fixed : 0;

    log->n = r->code;
    log->port = d->host.port;
    memcpy(log->id, d->job.id.b, sizeof(log->id));
    memcpy(log->address, d->host.addr.b, sizeof(log->address));
    /* The words are what may be cut, then the host. */
    stats_log_text(log, base_span_of(r->text, r->text_len < room ? r->text_len : room));
    log->cut = r->text_len > room;
    room -= log->text_len;
    if (to.len > 0)
        stats_log_part(log, 1, to, STATS_LOG_TEXT_CAP);
    if (socket)
        snprintf(host, sizeof(host), "unix:%s", d->stream->path);
    struct base_span name = base_span_str(socket || d->host_name == NULL ? host : d->host_name);
    if (name.len > 0)
        stats_log_part(log, 2, name, room < HOST_MAX ? room : HOST_MAX);
    log->path = socket;
    if (level.len > 0)
        stats_log_part(log, 3, level, STATS_LOG_TEXT_CAP);
    /* A server's words begin with its own code. */
    if (r->code == 0 && r->enhanced[0] != 0)
        stats_log_part(log, 4, base_span_str(r->enhanced), STATS_LOG_TEXT_CAP);
    stats_log_part(log, 5, base_span_of(delays, delays_len), STATS_LOG_TEXT_CAP);
    if (source[0] != 0)
        stats_log_part(log, 6, base_span_str(source), STATS_LOG_TEXT_CAP);
    /* Whether the next hop was told of REQUIRETLS, where that was asked for. */
    if (d->job.requiretls && d->tls != DELIVERY_TLS_NOTHING)
        stats_log_part(log, 7, base_span_str(d->requiretls_passed ? "yes" : "no"),
                       STATS_LOG_TEXT_CAP);
}

void courier_log_result(struct courier *c, const struct delivery *d, uint32_t i,
                        const struct spool_outcome *outcome)
{
    static const enum stats_log_event event[] = {
        [SPOOL_OUTCOME_DEFERRED] = STATS_LOG_DEFERRED,
        [SPOOL_OUTCOME_DELIVERED] = STATS_LOG_DELIVERED,
        [SPOOL_OUTCOME_FAILED] = STATS_LOG_FAILED,
    };
    struct stats_log_record log;

    stats_log_begin(&log, event[outcome->state], c->wall_ns);
    put_outcome(c, &log, d, &d->result[i], queue_recipient(d->job.message, d->job.recipients[i]));
    if (outcome->state == SPOOL_OUTCOME_DEFERRED && outcome->next_wall_ns > c->wall_ns)
        log.m = (uint32_t)((outcome->next_wall_ns - c->wall_ns) / BASE_NS_S);
    stats_log_push(&c->log, &log);
}

void courier_log_host(struct courier *c, const struct delivery *d)
{
    struct stats_log_record log;

    stats_log_begin(&log, STATS_LOG_NEXT_HOST, c->wall_ns);
    put_outcome(c, &log, d, &d->result[0], base_span_of(NULL, 0));
    stats_log_push(&c->log, &log);
}
