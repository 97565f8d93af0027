#include "mail_repair.h"
#include "base_time.h"

#include <errno.h>

enum state {
    STATE_LINE,  /* at the first byte of a line */
    STATE_NAME,  /* in a field's name */
    STATE_COLON, /* blanks between name and colon: obsolete, and read by all */
    STATE_VALUE,
    STATE_END, /* the empty line has begun: what follows is not looked at */
};

void mail_repair_init(struct mail_repair *r)
{
    *r = (struct mail_repair){.state = STATE_LINE};
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static bool name_is(const struct mail_repair *r, const char *name)
{
    return base_span_eq(base_span_of(r->name, r->name_len), base_span_str(name));
}

static void name_add(struct mail_repair *r, uint8_t c)
{
    if (r->name_len == MAIL_REPAIR_NAME_CAP)
        return; /* longer than any that is looked for */
    r->name[r->name_len++] = (uint8_t)(c - 'A') < 26 ? (uint8_t)(c | 0x20) : c;
}

/* The name is whole: whether its field stays. */
static void judge(struct mail_repair *r)
{
    r->has_date |= name_is(r, "date");
    r->has_message_id |= name_is(r, "message-id");
    r->dropping = name_is(r, "bcc") || name_is(r, "resent-bcc");
    r->dropped_cnt += r->dropping;
}

static void begin_line(struct mail_repair *r, uint8_t c)
{
    if (is_blank(c)) { /* goes on with the field before, and goes with it */
        r->state = STATE_VALUE;
        return;
    }
    r->dropping = false;
    r->name_len = 0;
    r->before_bytes = 0;
    r->state = c == '\r' || c == '\n' ? STATE_END : c == ':' ? STATE_VALUE : STATE_NAME;
    if (r->state == STATE_NAME)
        name_add(r, c);
}

/* In a name or behind it. */
static void name(struct mail_repair *r, uint8_t c)
{
    if (c == ':') {
        judge(r);
        r->state = STATE_VALUE;
    } else if (is_blank(c)) {
        r->state = STATE_COLON;
    } else if (c <= 0x20 || c == 0x7f || r->state == STATE_COLON) { /* no field */
        r->state = c == '\n' ? STATE_LINE : STATE_VALUE;
    } else {
        name_add(r, c);
    }
}

size_t mail_repair_push(struct mail_repair *r, uint8_t *p, size_t len, size_t *undo)
{
    size_t kept = 0, field = 0; /* where the present field begins, of what is kept */

    *undo = 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = p[i];
        bool named = r->state == STATE_NAME || r->state == STATE_COLON;

        if (r->state == STATE_END) {
            if (kept != i)
                memmove(p + kept, p + i, len - i);
            return kept + (len - i);
        }
        if (r->state == STATE_LINE) {
            field = kept;
            begin_line(r, c);
        } else if (named) {
            name(r, c);
        } else if (c == '\n') {
            r->state = STATE_LINE;
        }
        if (named && r->dropping) { /* it was the colon that told */
            *undo += r->before_bytes;
            r->before_bytes = 0;
            kept = field;
        }
        if (!r->dropping)
            p[kept++] = c;
    }
    if (r->state == STATE_NAME || r->state == STATE_COLON)
        r->before_bytes += kept - field;
    return kept;
}

int mail_repair_fields(struct base_buf *out, const struct mail_repair *r, uint64_t wall_ns,
                       struct base_span id, struct base_span hostname)
{
    char date[BASE_TIME_RFC5322_CAP];
    size_t start = out->len;
    int failed = 0;

    if (!r->has_date) {
        base_time_rfc5322(date, wall_ns);
        failed |=
            base_buf_puts(out, "Date: ") | base_buf_puts(out, date) | base_buf_puts(out, "\r\n");
    }
    if (!r->has_message_id) {
        failed |= base_buf_puts(out, "Message-ID: <") | base_buf_put_span(out, id) |
                  base_buf_puts(out, "@") | base_buf_put_span(out, hostname) |
                  base_buf_puts(out, ">\r\n");
    }
    if (failed == 0)
        return 0;
    out->len = start;
    return -ENOSPC;
}
