#include "courier_report.h"
#include "base_siphash.h"
#include "policy_ascii.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define LATE "It could not be delivered in time. The last attempt: "
/* A code and the server's words; or LATE and ours. */
#define WORDS_MAX (DELIVERY_TEXT_MAX + 64)

base_static_assert(MAIL_DSN_RANDOM_LEN % 8 == 0, "made of hashes");
base_static_assert(sizeof(LATE) <= 64, "what WORDS_MAX adds");

uint8_t courier_report_wanted(const struct delivery *d, uint32_t i)
{
    struct spool_envelope_recipient p =
        queue_recipient_params(d->job.message, d->job.recipients[i]);
    enum mail_dsn_kind kind;

    switch (d->result[i].state) {
    case SPOOL_OUTCOME_FAILED:
        kind = MAIL_DSN_FAILED;
        break;
    case SPOOL_OUTCOME_DELIVERED:
        if (d->job.expanded) {
            kind = MAIL_DSN_EXPANDED;
            break;
        }
        /* RFC 3461 section 5.2.2: nobody behind a server without DSN would tell. */
        if (d->dsn_passed_on)
            return 0;
        kind = d->lmtp ? MAIL_DSN_DELIVERED : MAIL_DSN_RELAYED;
        break;
    default:
        if (!d->job.warn)
            return 0;
        kind = MAIL_DSN_DELAYED;
    }
    return mail_dsn_wanted(d->job.sender, p.notify, kind) ? (uint8_t)(1 + kind) : 0;
}

enum mail_dsn_return courier_report_content(const struct delivery *d)
{
    if (d->job.requiretls)
        return MAIL_DSN_RETURN_NONE;
    return d->job.ret == SPOOL_ENVELOPE_RET_HDRS ? MAIL_DSN_RETURN_HEADERS : MAIL_DSN_RETURN_FULL;
}

/* Sets what was said: text has room for WORDS_MAX. */
static void words_fill(struct mail_dsn_recipient *to, const struct delivery_result *r, char *text,
                       struct base_span remote)
{
    struct base_span words = base_span_of(r->text, r->text_len);
    int n;

    if (r->code != 0)
        n = snprintf(text, WORDS_MAX, "%u ", r->code); /* the words begin with the enhanced one */
    else
        n = snprintf(text, WORDS_MAX, "%s", r->expired ? LATE : "");
    base_assert(n >= 0 && (size_t)n + words.len <= WORDS_MAX);
    if (words.len > 0)
        memcpy(text + n, words.p, words.len);
    words = base_span_of(text, (size_t)n + words.len);
    if (r->code != 0) {
        to->diagnostic = words;
        to->remote_mta = remote;
        to->reason = base_span_str(r->expired ? "It could not be delivered in time." : "");
    } else {
        to->reason = words;
    }
}

static uint64_t retry_until(const struct courier *c, const struct delivery *d)
{
    return d->job.arrival_wall_ns + c->settings->conf->queue.lifetime_ns;
}

static void recipient_fill(struct courier *c, struct courier_report *t, const struct delivery *d,
                           uint32_t i, char *text)
{
    struct spool_envelope_recipient p =
        queue_recipient_params(d->job.message, d->job.recipients[i]);
    const struct delivery_result *r = &d->result[i];
    struct mail_dsn_recipient *to = &t->recipients[t->report.recipient_cnt++];

    *to = (struct mail_dsn_recipient){
        .kind = (enum mail_dsn_kind)(r->report - 1),
        .address = queue_recipient(d->job.message, d->job.recipients[i]),
        .orcpt = p.orcpt,
        .status = base_span_of(r->enhanced, strnlen(r->enhanced, sizeof(r->enhanced))),
        .last_attempt_wall_ns = c->wall_ns,
        .retry_until_wall_ns = r->state == SPOOL_OUTCOME_DEFERRED ? retry_until(c, d) : 0,
    };
    if (to->kind == MAIL_DSN_EXPANDED)
        to->reason = base_span_str("It stands for several addresses.");
    else
        words_fill(to, r, text, base_span_str(t->remote));
    /* RFC 3463: delivery time expired; no answer that could be told. */
    if (to->status.len == 0 && r->expired)
        to->status = base_span_str("4.4.7");
    else if (to->status.len == 0 && r->code == 0 && to->kind == MAIL_DSN_DELAYED)
        to->status = base_span_str("4.4.0");
}

static bool in_job(const struct delivery *d, uint32_t recipient)
{
    for (uint32_t i = 0; i < d->job.recipient_cnt; i++)
        if (d->job.recipients[i] == recipient)
            return true;
    return false;
}

/* The next recipient from *at on that is not of this job, waits too, and is to be told of. */
static bool other_next(const struct courier *c, const struct delivery *d, uint32_t *at)
{
    for (; *at < queue_recipient_cnt(d->job.message); (*at)++) {
        struct spool_outcome o = queue_outcome(c->queue, d->job.message, *at);
        struct spool_envelope_recipient p = queue_recipient_params(d->job.message, *at);
        if (o.state == SPOOL_OUTCOME_DEFERRED && !in_job(d, *at) &&
            mail_dsn_wanted(d->job.sender, p.notify, MAIL_DSN_DELAYED))
            return true;
    }
    return false;
}

bool courier_report_others(const struct courier *c, const struct delivery *d)
{
    uint32_t at = 0;

    return other_next(c, d, &at);
}

static void others_fill(struct courier *c, struct courier_report *t, const struct delivery *d,
                        uint32_t max)
{
    for (uint32_t at = 0; max > 0 && other_next(c, d, &at); at++, max--)
        t->recipients[t->report.recipient_cnt++] = (struct mail_dsn_recipient){
            .kind = MAIL_DSN_DELAYED,
            .address = queue_recipient(d->job.message, at),
            .orcpt = queue_recipient_params(d->job.message, at).orcpt,
            .reason = base_span_str("It was tried before, without success."),
            .retry_until_wall_ns = retry_until(c, d),
        };
}

static void put(struct base_buf *out, enum spool_envelope_type type, const void *p, size_t len)
{
    int failed = spool_envelope_put(out, type, base_span_of(p, len));
    base_assert(failed == 0); /* a sender that mail_dsn_open took fits */
}

static void envelope_write(struct courier_report *t)
{
    struct base_buf out = {.p = t->envelope, .cap = sizeof(t->envelope)};
    uint8_t arrival[8];

    base_put_le64(arrival, t->report.wall_ns);
    put(&out, SPOOL_ENVELOPE_SENDER, "", 0);
    put(&out, SPOOL_ENVELOPE_ARRIVAL, arrival, sizeof(arrival));
    if (mail_dsn_is_8bit(&t->report))
        put(&out, SPOOL_ENVELOPE_BODY_8BIT, NULL, 0);
    if (t->report.utf8)
        put(&out, SPOOL_ENVELOPE_SMTPUTF8, NULL, 0);
    if (t->report.tls_optional)
        put(&out, SPOOL_ENVELOPE_TLS_OPTIONAL, NULL, 0);
    put(&out, SPOOL_ENVELOPE_RECIPIENT, t->report.sender.p, t->report.sender.len);
    t->envelope_len = (uint32_t)out.len;
}

/* To whom the report goes. A domain beyond ASCII behind a local part that is not has A-labels: so
 * that the report's header section asks for SMTPUTF8 only where its recipient does. */
static struct base_span address_of(struct courier_report *t, struct base_span sender)
{
    struct base_buf out = {.p = t->sender, .cap = sizeof(t->sender)};

    return policy_ascii_mailbox(&out, sender) == 0 ? base_buf_span(&out) : sender;
}

int courier_report_open(struct courier_report **out, struct courier *c, const struct delivery *d,
                        const struct spool_id *id, enum mail_dsn_return content)
{
    uint32_t cnt = 0, other_cnt = 0;
    bool warning = false;

    for (uint32_t i = 0; i < d->job.recipient_cnt; i++) {
        uint8_t report = d->result[i].report;
        cnt += report != 0 && report != COURIER_REPORT_CARRIER ? 1 : 0;
        warning |= report == COURIER_REPORT_DELAYED || report == COURIER_REPORT_CARRIER;
    }
    for (uint32_t at = 0; warning && other_cnt < COURIER_REPORT_OTHERS_MAX; at++, other_cnt++)
        if (!other_next(c, d, &at))
            break;
    struct courier_report *t =
        calloc(1, sizeof(*t) + (cnt + other_cnt) * sizeof(struct mail_dsn_recipient) +
                      (size_t)cnt * WORDS_MAX);
    if (t == NULL)
        return -ENOMEM;
    char *texts = (char *)(t->recipients + cnt + other_cnt);
    spool_id_format(t->id, id);
    if (!net_addr_is_none(&d->host.addr))
        net_addr_format(t->remote, &d->host.addr);
    snprintf(t->hostname, sizeof(t->hostname), "%s", c->settings->smtp.hostname);
    t->report = (struct mail_dsn_report){
        .hostname = base_span_str(t->hostname),
        .sender = address_of(t, d->job.sender),
        .id = base_span_str(t->id),
        .envid = d->job.envid,
        .wall_ns = c->wall_ns,
        .arrival_wall_ns = d->job.arrival_wall_ns,
        .recipients = t->recipients,
        .content = content,
        .original_bytes = d->job.content_bytes,
        .quote_max_bytes = c->settings->conf->queue.dsn_quote_bytes,
        .eightbit = d->job.body_8bit || d->job.smtputf8,
        .utf8 = d->job.smtputf8,
        .tls_optional = d->job.tls_optional,
    };
    for (size_t i = 0; i < MAIL_DSN_RANDOM_LEN; i += 8, c->random_cnt++)
        base_put_le64(t->report.random + i,
                      base_siphash(c->secret, &c->random_cnt, sizeof(c->random_cnt)));
    for (uint32_t i = 0; i < d->job.recipient_cnt; i++)
        if (d->result[i].report != 0 && d->result[i].report != COURIER_REPORT_CARRIER)
            recipient_fill(c, t, d, i, texts + (size_t)t->report.recipient_cnt * WORDS_MAX);
    others_fill(c, t, d, other_cnt);
    int rc = mail_dsn_open(&t->dsn, &t->report);
    if (rc != 0) {
        courier_report_free(t);
        return rc;
    }
    envelope_write(t);
    *out = t;
    return 0;
}

void courier_report_free(struct courier_report *r)
{
    free(r);
}
