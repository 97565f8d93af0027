/* The part for programs: message/delivery-status, RFC 3464 section 2. */
#include "mail_dsn_internal.h"
#include "base_utf8.h"

void mail_dsn_status_message(struct mail_dsn *dsn)
{
    const struct mail_dsn_report *report = dsn->report;
    uint8_t envid[MAIL_DSN_ADDRESS_MAX];
    size_t len;

    mail_dsn_puts(dsn, "\r\n");
    mail_dsn_puts(dsn, dsn->delimiter);
    mail_dsn_puts(dsn, "\r\nContent-Description: Delivery report\r\n");
    if (report->utf8)
        mail_dsn_puts(dsn, "Content-Type: message/global-delivery-status\r\n"
                           "Content-Transfer-Encoding: 8bit\r\n\r\n");
    else
        mail_dsn_puts(dsn, "Content-Type: message/delivery-status\r\n\r\n");
    mail_dsn_puts(dsn, "Reporting-MTA: dns; ");
    mail_dsn_put_span(dsn, report->hostname);
    mail_dsn_puts(dsn, "\r\n");
    if (mail_dsn_xtext(report->envid, envid, &len) &&
        mail_dsn_has_words(base_span_of(envid, len))) {
        mail_dsn_puts(dsn, "Original-Envelope-Id:");
        mail_dsn_put_words(dsn, base_span_of(envid, len), " ", report->utf8);
        mail_dsn_puts(dsn, "\r\n");
    }
    mail_dsn_put_date(dsn, "Arrival-Date", report->arrival_wall_ns);
}

void mail_dsn_status_original(struct mail_dsn *dsn, const struct mail_dsn_recipient *r)
{
    uint8_t address[MAIL_DSN_ADDRESS_MAX];
    struct base_span type;
    size_t len;

    mail_dsn_puts(dsn, "\r\n");
    if (!mail_dsn_orcpt(r->orcpt, &type, address, &len))
        return;
    bool utf8 = base_span_caseeq(type, base_span_str("utf-8"));
    mail_dsn_puts(dsn, "Original-Recipient: ");
    mail_dsn_put_span(dsn, type);
    mail_dsn_puts(dsn, "; ");
    mail_dsn_put_address(dsn, base_span_of(address, len),
                         utf8 ? MAIL_DSN_ADDRESS_UNITEXT : MAIL_DSN_ADDRESS_PLAIN);
    mail_dsn_puts(dsn, "\r\n");
}

void mail_dsn_status_final(struct mail_dsn *dsn, const struct mail_dsn_recipient *r)
{
    bool ascii = base_utf8_ascii(r->address);

    mail_dsn_puts(dsn, ascii ? "Final-Recipient: rfc822; " : "Final-Recipient: utf-8; ");
    mail_dsn_put_address(dsn, r->address,
                         ascii ? MAIL_DSN_ADDRESS_PLAIN : MAIL_DSN_ADDRESS_ENCODED);
    mail_dsn_puts(dsn, "\r\n");
}

/* Digits of a number of at most three at the start of text; 0 for none, more, or a needless 0. */
static size_t number(struct base_span text)
{
    size_t i = 0;

    while (i < text.len && (uint8_t)(text.p[i] - '0') < 10)
        i++;
    return i > 3 || (i > 1 && text.p[0] == '0') ? 0 : i;
}

/* RFC 3463 section 2. A failure may be of class 4: what did not pass in time. */
static bool status_fits(struct base_span s, enum mail_dsn_kind kind)
{
    if (s.len < 5 || s.p[1] != '.')
        return false;
    switch (kind) {
    case MAIL_DSN_FAILED:
        if (s.p[0] != '5' && s.p[0] != '4')
            return false;
        break;
    case MAIL_DSN_DELAYED:
        if (s.p[0] != '4')
            return false;
        break;
    default:
        if (s.p[0] != '2')
            return false;
    }
    size_t subject = number(base_span_of(s.p + 2, s.len - 2));
    if (subject == 0 || 2 + subject + 1 >= s.len || s.p[2 + subject] != '.')
        return false;
    size_t at = 2 + subject + 1, detail = number(base_span_of(s.p + at, s.len - at));
    return detail > 0 && at + detail == s.len;
}

static void put_text(struct mail_dsn *dsn, const char *name, struct base_span text)
{
    mail_dsn_puts(dsn, name);
    mail_dsn_put_words(dsn, text, " ", dsn->report->utf8);
    mail_dsn_puts(dsn, "\r\n");
}

void mail_dsn_status_detail(struct mail_dsn *dsn, const struct mail_dsn_recipient *r)
{
    static const char *const actions[MAIL_DSN_KIND_CNT] = {"failed", "delayed", "delivered",
                                                           "relayed", "expanded"};
    static const char *const statuses[MAIL_DSN_KIND_CNT] = {"5.0.0", "4.0.0", "2.0.0", "2.0.0",
                                                            "2.0.0"};

    mail_dsn_puts(dsn, "Action: ");
    mail_dsn_puts(dsn, actions[r->kind]);
    mail_dsn_puts(dsn, "\r\nStatus: ");
    mail_dsn_put_span(dsn, status_fits(r->status, r->kind) ? r->status
                                                           : base_span_str(statuses[r->kind]));
    mail_dsn_puts(dsn, "\r\n");
    if (mail_dsn_has_words(mail_dsn_server(r)))
        put_text(dsn, "Remote-MTA: dns;", mail_dsn_server(r));
    if (mail_dsn_has_words(r->diagnostic))
        put_text(dsn, "Diagnostic-Code: smtp;", r->diagnostic);
    else if (mail_dsn_has_words(r->reason))
        put_text(dsn, "Diagnostic-Code: X-Sluice;", r->reason);
    mail_dsn_put_date(dsn, "Last-Attempt-Date", r->last_attempt_wall_ns);
    if (r->kind == MAIL_DSN_DELAYED)
        mail_dsn_put_date(dsn, "Will-Retry-Until", r->retry_until_wall_ns);
}
