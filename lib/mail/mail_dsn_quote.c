/*
 * The third part: the message, or its header section. It passes as it is, but for what would make
 * the report something else than lines of mail: bare CR and LF become CRLF, NUL "?", octets over
 * 127 "?" where none were announced; lines of over 998 octets are broken (folded in the header
 * section); a line that starts like our boundary gets a space in front.
 *
 * That last one needs to look ahead up to the boundary's length. What has matched so far is held
 * back as a count: the octets are those of the boundary.
 */
#include "mail_dsn_internal.h"

void mail_dsn_quote_head(struct mail_dsn *dsn)
{
    const struct mail_dsn_report *report = dsn->report;

    mail_dsn_puts(dsn, "\r\n");
    mail_dsn_puts(dsn, dsn->delimiter);
    if (dsn->full) {
        mail_dsn_puts(dsn, "\r\nContent-Description: Undelivered message\r\nContent-Type: ");
        mail_dsn_puts(dsn, report->utf8 ? "message/global\r\n" : "message/rfc822\r\n");
    } else {
        mail_dsn_puts(dsn, "\r\nContent-Description: Message header\r\nContent-Type: ");
        mail_dsn_puts(dsn, report->utf8 ? "message/global-headers\r\n" : "text/rfc822-headers\r\n");
    }
    if (mail_dsn_is_8bit(report))
        mail_dsn_puts(dsn, "Content-Transfer-Encoding: 8bit\r\n");
    mail_dsn_puts(dsn, "\r\n");
    dsn->quote.matching = true;
}

/* Octets of a line, without a look at what they are. */
static void put_line(struct mail_dsn *dsn, const void *octets, size_t n)
{
    memcpy(dsn->stage + dsn->stage_len, octets, n);
    dsn->stage_len += (uint32_t)n;
    dsn->column += (uint32_t)n;
}

static void put_line_end(struct mail_dsn *dsn)
{
    memcpy(dsn->stage + dsn->stage_len, "\r\n", 2);
    dsn->stage_len += 2;
    dsn->column = 0;
    dsn->quote.matching = true;
    dsn->quote.matched = 0;
}

/* The line's start is not the boundary's, or the line ends here: what was held back goes out. */
static void release(struct mail_dsn *dsn)
{
    if (dsn->quote.matching)
        put_line(dsn, dsn->delimiter, dsn->quote.matched);
    dsn->quote.matching = false;
    dsn->quote.matched = 0;
}

static bool enough(const struct mail_dsn *dsn)
{
    return dsn->quote.taken_bytes > dsn->report->quote_max_bytes;
}

/* An octet that ends no line. Returns true when it and all that follows are left out. */
static bool quote_octet(struct mail_dsn *dsn, uint8_t c)
{
    if (c == 0 || (c > 127 && !mail_dsn_is_8bit(dsn->report)))
        c = '?';
    /* A line is broken, but not within a character of UTF-8. */
    if (dsn->column == MAIL_DSN_LINE_MAX ||
        (dsn->column > MAIL_DSN_LINE_MAX - 4 && (c & 0xc0) == 0xc0)) {
        put_line_end(dsn);
        if (enough(dsn))
            return true;
        if (!dsn->quote.body) {
            dsn->quote.matching = false;
            put_line(dsn, " ", 1);
        }
    }
    if (dsn->quote.matching && c == (uint8_t)dsn->delimiter[dsn->quote.matched]) {
        if (++dsn->quote.matched < dsn->delimiter_len)
            return false;
        put_line(dsn, " ", 1);
        release(dsn);
        return false;
    }
    release(dsn);
    put_line(dsn, &c, 1);
    return false;
}

/* Ends a line. Returns true when nothing of the original is to follow. */
static bool quote_line_end(struct mail_dsn *dsn)
{
    bool empty = dsn->column == 0 && dsn->quote.matched == 0;

    if (empty && !dsn->full)
        return true;
    dsn->quote.body |= empty;
    release(dsn);
    put_line_end(dsn);
    return enough(dsn);
}

bool mail_dsn_quote(struct mail_dsn *dsn, struct base_span *original, bool original_ends)
{
    /* The most that one octet makes: a line's end, and what was held back. */
    const uint32_t most = 2 * sizeof(dsn->delimiter);

    while (original->len > 0) {
        if (dsn->stage_len + most > MAIL_DSN_STAGE_BYTES)
            return false;
        uint8_t c = original->p[0];
        bool second = c == '\n' && dsn->quote.after_cr;
        original->p++;
        original->len--;
        dsn->quote.taken_bytes++;
        dsn->quote.after_cr = c == '\r';
        if (second)
            continue;
        if (c == '\r' || c == '\n' ? quote_line_end(dsn) : quote_octet(dsn, c))
            return true;
    }
    if (!original_ends || dsn->stage_len + most > MAIL_DSN_STAGE_BYTES)
        return false;
    release(dsn);
    if (dsn->column > 0)
        put_line_end(dsn);
    return true;
}
