#include "courier_trace.h"
#include "delivery_tls.h"

#include <stdio.h>

static void push(struct courier *c, const uint8_t id[16], uint32_t bits,
                 const struct net_endpoint *peer, const char *text)
{
    struct stats_log_record r;

    stats_log_begin(&r, STATS_LOG_TRACE, c->wall_ns);
    r.n = bits;
    memcpy(r.id, id, sizeof(r.id));
    if (peer != NULL) {
        r.port = peer->port;
        memcpy(r.address, peer->addr.b, sizeof(r.address));
    }
    stats_log_text(&r, base_span_str("courier"));
    stats_log_part(&r, 1, base_span_str(text), STATS_LOG_TEXT_CAP);
    stats_log_push(&c->log, &r);
}

void courier_trace_job(struct courier *c, const struct queue_job *job)
{
    struct trace *t = &c->topology->trace;
    char text[STATS_LOG_TEXT_CAP];

    if (trace_on(t) == 0)
        return;
    uint32_t bits = trace_of_domain(t, job->domain) | trace_of_mailbox(t, job->sender);
    if (bits != 0)
        trace_note_id(t, job->id.b, bits);
    bits |= trace_of_id(t, job->id.b);
    if (bits == 0)
        return;
    snprintf(text, sizeof(text), "an attempt for %u recipients at %.*s begins", job->recipient_cnt,
             (int)(job->domain.len < 255 ? job->domain.len : 255), (const char *)job->domain.p);
    push(c, job->id.b, bits, NULL, text);
}

void courier_trace_send(struct courier *c, const struct delivery *d)
{
    static const char *const proofs[] = {
        [DANE_PROOF_CLEAR] = "no TLS",
        [DANE_PROOF_OPTIONAL] = "TLS if it is offered",
        [DANE_PROOF_ENCRYPTED] = "TLS",
        [DANE_PROOF_RECORDS] = "TLS, proved by TLSA records",
        [DANE_PROOF_NAMES] = "TLS, proved by a certificate",
        [DANE_PROOF_FINGERPRINTS] = "TLS, proved by a fingerprint",
    };
    const struct dane_requirement *r = d->requirement;
    uint32_t bits =
        d->verify == NULL && !d->probe ? trace_of_id(&c->topology->trace, d->job.id.b) : 0;
    char text[STATS_LOG_TEXT_CAP], source[NET_ADDR_TEXT_CAP] = "";

    if (bits == 0)
        return;
    if (!net_addr_is_none(&d->source))
        net_addr_format(source, &d->source);
    snprintf(text, sizeof(text), "goes to %s%.*s, next hop %u of %u; level %s: %s; %s%s%slane %u",
             d->lmtp ? "LMTP " : "", 200,
             d->stream != NULL && d->stream->path[0] != 0 ? d->stream->path
             : d->host_name != NULL                       ? d->host_name
                                                          : "the address of the route",
             d->plan_try + 1, d->order != NULL ? d->order->target_cnt : 0,
             delivery_tls_level_name(r != NULL ? (enum dane_level)r->level : DANE_LEVEL_NONE),
             proofs[r != NULL ? r->proof : DANE_PROOF_CLEAR], source[0] != 0 ? "from " : "", source,
             source[0] != 0 ? ", " : "", d->lane);
    push(c, d->job.id.b, bits, &d->host, text);
}
