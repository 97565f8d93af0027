/* The part for humans: what happened to whom, what the other server said, what happens next. */
#include "mail_dsn_internal.h"

#define INDENT "    "

static void words(struct mail_dsn *dsn, const char *text, const char *indent)
{
    mail_dsn_put_words(dsn, base_span_str(text), indent, false);
}

static void paragraph(struct mail_dsn *dsn, const char *text)
{
    words(dsn, text, "");
    mail_dsn_puts(dsn, "\r\n\r\n");
}

void mail_dsn_text_head(struct mail_dsn *dsn)
{
    mail_dsn_puts(dsn, dsn->delimiter);
    mail_dsn_puts(dsn, "\r\nContent-Description: Notification\r\n");
    if (dsn->report->utf8)
        mail_dsn_puts(dsn, "Content-Type: text/plain; charset=utf-8\r\n"
                           "Content-Transfer-Encoding: 8bit\r\n\r\n");
    else
        mail_dsn_puts(dsn, "Content-Type: text/plain; charset=us-ascii\r\n\r\n");
    words(dsn, "This is the mail system at", "");
    mail_dsn_put_words(dsn, dsn->report->hostname, "", false);
    mail_dsn_puts(dsn, ".\r\n\r\n");
}

void mail_dsn_text_kind(struct mail_dsn *dsn)
{
    static const char *const what[MAIL_DSN_KIND_CNT] = {
        [MAIL_DSN_FAILED] = "Your message could not be delivered to the addresses below. It will "
                            "not be tried again for them; if the cause can be removed, please "
                            "send it once more.",
        [MAIL_DSN_DELAYED] =
            "Your message has not been delivered to the addresses below yet. "
            "This is a warning only: delivery goes on being tried, you need not send it again.",
        [MAIL_DSN_DELIVERED] = "Your message was delivered to the addresses below. You asked to "
                               "be told.",
        [MAIL_DSN_RELAYED] = "Your message was handed to the next mail server for the addresses "
                             "below. You asked to be told of its delivery; that server does not "
                             "promise to, so this may be the last you hear of it.",
        [MAIL_DSN_EXPANDED] =
            "Your message was sent on to the members of the lists below. You asked "
            "to be told of its delivery; of single members you hear no more.",
    };

    paragraph(dsn, what[dsn->kind]);
}

/* The address that the sender knows, where it is another. */
static void text_original(struct mail_dsn *dsn, const struct mail_dsn_recipient *r)
{
    uint8_t address[MAIL_DSN_ADDRESS_MAX];
    struct base_span type;
    size_t len;

    if (!mail_dsn_orcpt(r->orcpt, &type, address, &len))
        return;
    if (base_span_caseeq(type, base_span_str("utf-8")))
        mail_dsn_unitext(address, &len);
    if (base_span_caseeq(base_span_of(address, len), r->address))
        return;
    mail_dsn_puts(dsn, INDENT "You sent it to: ");
    mail_dsn_put_address(dsn, base_span_of(address, len), MAIL_DSN_ADDRESS_PLAIN);
    mail_dsn_puts(dsn, "\r\n");
}

void mail_dsn_text_recipient(struct mail_dsn *dsn, const struct mail_dsn_recipient *r)
{
    mail_dsn_puts(dsn, "<");
    mail_dsn_put_address(dsn, r->address, MAIL_DSN_ADDRESS_PLAIN);
    mail_dsn_puts(dsn, ">\r\n");
    text_original(dsn, r);
}

void mail_dsn_text_detail(struct mail_dsn *dsn, const struct mail_dsn_recipient *r)
{
    struct base_span server = mail_dsn_server(r);
    bool utf8 = dsn->report->utf8, named = mail_dsn_has_words(server);

    if (mail_dsn_has_words(r->diagnostic)) {
        words(dsn, named ? "The mail server" : "The other mail server", INDENT);
        if (named)
            mail_dsn_put_words(dsn, server, INDENT, utf8);
        words(dsn, "said:", INDENT);
        mail_dsn_puts(dsn, "\r\n");
        mail_dsn_put_words(dsn, r->diagnostic, INDENT, utf8);
        mail_dsn_puts(dsn, "\r\n");
    } else if (named) {
        words(dsn, "Mail server:", INDENT);
        mail_dsn_put_words(dsn, server, INDENT, utf8);
        mail_dsn_puts(dsn, "\r\n");
    }
    if (mail_dsn_has_words(r->reason)) {
        mail_dsn_put_words(dsn, r->reason, INDENT, utf8);
        mail_dsn_puts(dsn, "\r\n");
    } else if (r->kind == MAIL_DSN_FAILED && !mail_dsn_has_words(r->diagnostic)) {
        words(dsn, "The reason is not known.", INDENT);
        mail_dsn_puts(dsn, "\r\n");
    }
    if (r->kind == MAIL_DSN_DELAYED && r->retry_until_wall_ns != 0)
        mail_dsn_put_date(dsn, INDENT "It will be tried until", r->retry_until_wall_ns);
    mail_dsn_puts(dsn, "\r\n");
}

void mail_dsn_text_end(struct mail_dsn *dsn)
{
    bool large = dsn->report->original_bytes > dsn->report->quote_max_bytes;

    switch (dsn->report->content) {
    case MAIL_DSN_RETURN_NONE:
        break;
    case MAIL_DSN_RETURN_HEADERS:
    case MAIL_DSN_RETURN_FULL:
        paragraph(dsn, dsn->full ? "Your message is attached, behind a report for programs."
                                 : "The header of your message is attached, behind a report for "
                                   "programs.");
        if (dsn->report->content == MAIL_DSN_RETURN_FULL && large)
            paragraph(dsn, "The whole of it is too large to be sent back.");
    }
}
