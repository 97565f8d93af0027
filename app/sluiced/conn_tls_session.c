#include "conn_tls_session.h"
#include "lane.h"

#include <stdio.h>

static void set(const struct conn *c, struct delivery *d, enum tlsrpt_result result,
                const char *why)
{
    struct net_endpoint local = {0};

    if (c->link != NULL && c->link_ops == &conn_link_tcp)
        tcp_local(c->link, &local);
    d->tls_session = (uint8_t)result;
    d->tls_source = local.addr;
    snprintf(d->tls_reason, sizeof(d->tls_reason), "%s", why);
}

void conn_tls_session_stands(const struct conn *c)
{
    struct delivery *d = c->out.delivery;

    if (d == NULL || d->tls_session > TLSRPT_SUCCESS)
        return;
    set(c, d, TLSRPT_SUCCESS, "");
    if (d->tls_success_cnt < UINT8_MAX)
        d->tls_success_cnt++;
}

void conn_tls_session_failed(const struct conn *c, enum tlsrpt_result result, const char *why)
{
    if (c->out.delivery != NULL && c->out.delivery->tls_session <= TLSRPT_SUCCESS)
        set(c, c->out.delivery, result, why);
}

void conn_tls_session_judged(const struct conn *c, const struct dane_requirement *r,
                             enum dane_result result, const char *why)
{
    static const uint8_t of_result[DANE_RESULT_CNT] = {
        [DANE_MATCH_EE] = TLSRPT_SUCCESS,
        [DANE_MATCH_TA] = TLSRPT_SUCCESS,
        [DANE_NO_MATCH] = TLSRPT_CERTIFICATE_NOT_TRUSTED,
        [DANE_NOT_VALID] = TLSRPT_CERTIFICATE_NOT_TRUSTED,
        [DANE_EXPIRED] = TLSRPT_CERTIFICATE_EXPIRED,
        [DANE_NAME_MISMATCH] = TLSRPT_CERTIFICATE_HOST_MISMATCH,
        [DANE_NO_CERTIFICATE] = TLSRPT_VALIDATION_FAILURE,
    };
    enum tlsrpt_result of = (enum tlsrpt_result)of_result[result];

    if (c->out.delivery == NULL || of == TLSRPT_SUCCESS)
        return;
    if (result == DANE_NO_MATCH && r->proof == DANE_PROOF_RECORDS)
        of = TLSRPT_VALIDATION_FAILURE;
    if (r->proof == DANE_PROOF_FINGERPRINTS) { /* ours, and nothing that was published */
        if (!c->out.delivery->tls_lenient)     /* else it goes on, and is counted then */
            conn_tls_session_stands(c);
        return;
    }
    set(c, c->out.delivery, of, why);
}

void conn_tls_session_end(const struct conn *c, struct delivery *d)
{
    const struct smtp_client *s = &c->out.smtp;
    bool broken = d->job.recipient_cnt > 0 && strcmp(d->result[0].enhanced, "4.7.5") == 0;

    if (d->tls_session != TLSRPT_NOTHING || c->out.job_cnt != 1 || s->tls == SMTP_CLIENT_TLS_OFF ||
        s->encrypted)
        return;
    if (s->tls_refused && broken)
        set(c, d, TLSRPT_VALIDATION_FAILURE, "bytes in clear behind the reply to STARTTLS");
    else if (s->tls_refused || s->agreed)
        set(c, d, TLSRPT_STARTTLS_NOT_SUPPORTED, "");
}
