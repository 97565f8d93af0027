/*
 * "TLS-Required: no" (RFC 8689): the SMTP server has seen such a field while the header section
 * came (smtp_server.tls_required), so that other mail costs nothing. What it says is read here,
 * from the buffers that hold the section, and noted in the envelope.
 */
#include "conn_message.h"
#include "lane.h"
#include "mail_tls_required.h"

bool conn_message_note_tls(struct conn *c)
{
    struct conn_transaction *t = &c->in.txn;
    struct mail_tls_required field;

    /* Section 4.1: with REQUIRETLS it means nothing. */
    if (!c->in.smtp.tls_required || c->in.smtp.mail.requiretls)
        return true;
    mail_tls_required_init(&field);
    for (const struct spool_buf *b = t->held; b != NULL; b = b->next)
        mail_tls_required_push(&field, base_span_of(b->data + b->hold_cnt, b->len - b->hold_cnt));
    if (!mail_tls_required_no(&field))
        return true;
    /* Fields of the envelope stand in front of each buffer. The first one has the sender's; all of
     * a recipient are in one. */
    struct spool_buf *b = conn_message_hold(c, t->held);
    if (b == NULL)
        return false;
    struct base_buf out = {.p = b->data, .cap = SPOOL_BUF_BYTES};
    int failed = spool_envelope_put(&out, SPOOL_ENVELOPE_TLS_OPTIONAL, base_span_of(NULL, 0));
    base_assert(failed == 0);
    b->len = (uint32_t)out.len;
    b->hold_cnt = (uint16_t)out.len;
    stats_inc(c->lane->stats, STATS_CONN_TLS_OPTIONAL);
    return true;
}
