#include "mail_dsn_internal.h"
#include "base_utf8.h"

#include <errno.h>

base_static_assert(sizeof(struct mail_dsn) <= 5120, "what the header promises");
/* The largest steps. An octet of an address becomes at most six, "\x{2B}"; without such three and
 * a half. Words get at most a sixth longer when they are folded. */
base_static_assert(6 * MAIL_DSN_ADDRESS_MAX + 128 < MAIL_DSN_STAGE_BYTES, "a status field fits");
base_static_assert(7 * MAIL_DSN_ADDRESS_MAX + 128 < MAIL_DSN_STAGE_BYTES, "two addresses fit");
base_static_assert((2 * MAIL_DSN_TEXT_MAX + MAIL_DSN_NAME_MAX) * 7 / 6 + 512 < MAIL_DSN_STAGE_BYTES,
                   "the details fit");

bool mail_dsn_wanted(struct base_span sender, unsigned notify, enum mail_dsn_kind kind)
{
    if (sender.len == 0 || (notify & MAIL_DSN_NOTIFY_NEVER) != 0)
        return false;
    switch (kind) {
    case MAIL_DSN_FAILED:
        return notify == 0 || (notify & MAIL_DSN_NOTIFY_FAILURE) != 0;
    case MAIL_DSN_DELAYED:
        return notify == 0 || (notify & MAIL_DSN_NOTIFY_DELAY) != 0;
    case MAIL_DSN_DELIVERED:
    case MAIL_DSN_RELAYED:
    case MAIL_DSN_EXPANDED:
        return (notify & MAIL_DSN_NOTIFY_SUCCESS) != 0;
    case MAIL_DSN_KIND_CNT:
        break;
    }
    return false;
}

bool mail_dsn_is_8bit(const struct mail_dsn_report *report)
{
    return report->utf8 || (report->eightbit && report->content != MAIL_DSN_RETURN_NONE);
}

/* A name or an address literal: printable ASCII without what would end it in a header field. */
static bool name_valid(struct base_span name, size_t max)
{
    if (name.len == 0 || name.len > max)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.p[i] <= ' ' || name.p[i] > '~' || strchr("<>()@,;\"\\", name.p[i]) != NULL)
            return false;
    return true;
}

static bool dot_atom_valid(struct base_span id)
{
    if (!name_valid(id, MAIL_DSN_ID_MAX) || id.p[0] == '.' || id.p[id.len - 1] == '.')
        return false;
    for (size_t i = 0; i < id.len; i++)
        if (strchr("[]:", id.p[i]) != NULL || (id.p[i] == '.' && id.p[i + 1] == '.'))
            return false;
    return true;
}

static bool recipients_valid(const struct mail_dsn_report *report)
{
    if (report->recipient_cnt == 0)
        return false;
    for (uint32_t i = 0; i < report->recipient_cnt; i++) {
        const struct mail_dsn_recipient *r = &report->recipients[i];
        if (r->address.len == 0 || r->address.len > MAIL_DSN_ADDRESS_MAX)
            return false;
        base_assert(r->kind < MAIL_DSN_KIND_CNT);
    }
    return true;
}

static bool any_of(const struct mail_dsn *dsn, enum mail_dsn_kind kind)
{
    for (uint32_t i = 0; i < dsn->report->recipient_cnt; i++)
        if (dsn->report->recipients[i].kind == kind)
            return true;
    return false;
}

int mail_dsn_open(struct mail_dsn *dsn, const struct mail_dsn_report *report)
{
    static const char hex[] = "0123456789abcdef";

    if (!recipients_valid(report) || !name_valid(report->hostname, MAIL_DSN_NAME_MAX) ||
        !dot_atom_valid(report->id) || report->sender.len == 0 ||
        report->sender.len > MAIL_DSN_ADDRESS_MAX ||
        (!report->utf8 && !base_utf8_ascii(report->sender)))
        return -EINVAL;
    memset(dsn, 0, offsetof(struct mail_dsn, stage));
    dsn->report = report;
    dsn->step = MAIL_DSN_STEP_HEADER;
    dsn->full = report->content == MAIL_DSN_RETURN_FULL && any_of(dsn, MAIL_DSN_FAILED) &&
                report->original_bytes <= report->quote_max_bytes;
    /* "=_" is in no text that is quoted-printable or base64. */
    memcpy(dsn->delimiter, "--=_", 4);
    dsn->delimiter_len = 4;
    for (size_t i = 0; i < MAIL_DSN_RANDOM_LEN; i++) {
        dsn->delimiter[dsn->delimiter_len++] = hex[report->random[i] >> 4];
        dsn->delimiter[dsn->delimiter_len++] = hex[report->random[i] & 15];
    }
    base_assert(dsn->delimiter_len < sizeof(dsn->delimiter));
    return 0;
}

static const char *subject(const struct mail_dsn *dsn)
{
    if (any_of(dsn, MAIL_DSN_FAILED))
        return "Your message could not be delivered";
    if (any_of(dsn, MAIL_DSN_DELAYED))
        return "Your message is delayed";
    return any_of(dsn, MAIL_DSN_RELAYED)    ? "Your message was handed on"
           : any_of(dsn, MAIL_DSN_EXPANDED) ? "Your message was sent on to a list"
                                            : "Your message was delivered";
}

static void header(struct mail_dsn *dsn)
{
    const struct mail_dsn_report *report = dsn->report;

    mail_dsn_put_date(dsn, "Date", report->wall_ns);
    mail_dsn_puts(dsn, "From: Mail Delivery System <MAILER-DAEMON@");
    mail_dsn_put_span(dsn, report->hostname);
    mail_dsn_puts(dsn, ">\r\nTo: <");
    mail_dsn_put_address(dsn, report->sender, MAIL_DSN_ADDRESS_PLAIN);
    mail_dsn_puts(dsn, ">\r\nSubject: ");
    mail_dsn_puts(dsn, subject(dsn));
    mail_dsn_puts(dsn, "\r\nMessage-ID: <");
    mail_dsn_put_span(dsn, report->id);
    mail_dsn_puts(dsn, "@");
    mail_dsn_put_span(dsn, report->hostname);
    mail_dsn_puts(dsn, ">\r\nAuto-Submitted: auto-replied\r\n" /* RFC 3834 section 5 */
                       "MIME-Version: 1.0\r\n"
                       "Content-Type: multipart/report; report-type=delivery-status;\r\n"
                       "\tboundary=\"");
    mail_dsn_puts(dsn, dsn->delimiter + 2);
    mail_dsn_puts(dsn, "\"\r\n");
    if (mail_dsn_is_8bit(report))
        mail_dsn_puts(dsn, "Content-Transfer-Encoding: 8bit\r\n");
    if (report->tls_optional)
        mail_dsn_puts(dsn, "TLS-Required: No\r\n");
    mail_dsn_puts(dsn, "\r\n");
}

/* Moves dsn->index to the next recipient of dsn->kind; returns false when there is none. */
static bool find_recipient(struct mail_dsn *dsn)
{
    while (dsn->index < dsn->report->recipient_cnt &&
           dsn->report->recipients[dsn->index].kind != dsn->kind)
        dsn->index++;
    return dsn->index < dsn->report->recipient_cnt;
}

/* Goes on with the next recipient of the kind, or with the next kind. */
static void text_next(struct mail_dsn *dsn)
{
    if (find_recipient(dsn)) {
        dsn->step = MAIL_DSN_STEP_TEXT_RECIPIENT;
        return;
    }
    dsn->index = 0;
    dsn->kind++;
    dsn->step = MAIL_DSN_STEP_TEXT_KIND;
}

static void text_kind(struct mail_dsn *dsn)
{
    if (dsn->kind == MAIL_DSN_KIND_CNT) {
        dsn->step = MAIL_DSN_STEP_TEXT_END;
        return;
    }
    if (find_recipient(dsn))
        mail_dsn_text_kind(dsn);
    text_next(dsn);
}

static void status_next(struct mail_dsn *dsn)
{
    if (dsn->index < dsn->report->recipient_cnt)
        dsn->step = MAIL_DSN_STEP_STATUS_ORIGINAL;
    else if (dsn->report->content == MAIL_DSN_RETURN_NONE)
        dsn->step = MAIL_DSN_STEP_END;
    else
        dsn->step = MAIL_DSN_STEP_QUOTE_HEAD;
}

/* Makes the text of one step but MAIL_DSN_STEP_QUOTE and DONE, and goes to the next. */
static void make(struct mail_dsn *dsn)
{
    const struct mail_dsn_recipient *r = &dsn->report->recipients[dsn->index];

    switch ((enum mail_dsn_step)dsn->step++) {
    case MAIL_DSN_STEP_HEADER:
        header(dsn);
        break;
    case MAIL_DSN_STEP_TEXT_HEAD:
        mail_dsn_text_head(dsn);
        break;
    case MAIL_DSN_STEP_TEXT_KIND:
        text_kind(dsn);
        break;
    case MAIL_DSN_STEP_TEXT_RECIPIENT:
        mail_dsn_text_recipient(dsn, r);
        break;
    case MAIL_DSN_STEP_TEXT_DETAIL:
        mail_dsn_text_detail(dsn, r);
        dsn->index++;
        text_next(dsn);
        break;
    case MAIL_DSN_STEP_TEXT_END:
        mail_dsn_text_end(dsn);
        break;
    case MAIL_DSN_STEP_STATUS_MESSAGE:
        mail_dsn_status_message(dsn);
        dsn->index = 0;
        break;
    case MAIL_DSN_STEP_STATUS_ORIGINAL:
        mail_dsn_status_original(dsn, r);
        break;
    case MAIL_DSN_STEP_STATUS_FINAL:
        mail_dsn_status_final(dsn, r);
        break;
    case MAIL_DSN_STEP_STATUS_DETAIL:
        mail_dsn_status_detail(dsn, r);
        dsn->index++;
        status_next(dsn);
        break;
    case MAIL_DSN_STEP_QUOTE_HEAD:
        mail_dsn_quote_head(dsn);
        break;
    case MAIL_DSN_STEP_END:
        mail_dsn_puts(dsn, "\r\n");
        mail_dsn_puts(dsn, dsn->delimiter);
        mail_dsn_puts(dsn, "--\r\n");
        break;
    case MAIL_DSN_STEP_QUOTE:
    case MAIL_DSN_STEP_DONE:
        base_assert(false); /* steps of their own: mail_dsn_write */
    }
}

/* Moves from the stage to out as much as fits. Returns true when the stage is empty. */
static bool drain(struct mail_dsn *dsn, struct base_buf *out)
{
    size_t n = dsn->stage_len - dsn->stage_sent, room = out->cap - out->len;

    n = n < room ? n : room;
    int failed = base_buf_put(out, dsn->stage + dsn->stage_sent, n);
    base_assert(failed == 0);
    dsn->stage_sent += (uint32_t)n;
    if (dsn->stage_sent < dsn->stage_len)
        return false;
    dsn->stage_len = 0;
    dsn->stage_sent = 0;
    return true;
}

enum mail_dsn_next mail_dsn_write(struct mail_dsn *dsn, struct base_buf *out,
                                  struct base_span *original, bool original_ends)
{
    for (;;) {
        if (!drain(dsn, out))
            return MAIL_DSN_ROOM;
        if (dsn->step == MAIL_DSN_STEP_DONE)
            return MAIL_DSN_DONE;
        if (dsn->step != MAIL_DSN_STEP_QUOTE) {
            make(dsn);
            continue;
        }
        if (mail_dsn_quote(dsn, original, original_ends))
            dsn->step++;
        else if (dsn->stage_len == 0)
            return MAIL_DSN_INPUT;
    }
}
