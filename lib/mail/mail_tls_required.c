#include "mail_tls_required.h"

enum state {
    STATE_LINE,  /* at the first byte of a line */
    STATE_NAME,  /* in a name that is the one so far */
    STATE_COLON, /* blanks between name and colon: obsolete, and read by all */
    STATE_VALUE, /* before or in the value */
    STATE_BEHIND,
    STATE_FOLD, /* at the first byte of a line behind the field */
    STATE_OTHER,
    STATE_END
};

static const char wanted_name[] = "tls-required", wanted_value[] = "no";

void mail_tls_required_init(struct mail_tls_required *t)
{
    *t = (struct mail_tls_required){.state = STATE_LINE};
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static uint8_t lower(uint8_t c)
{
    return (uint8_t)(c - 'A') < 26 ? (uint8_t)(c | 0x20) : c;
}

static enum state begin_line(struct mail_tls_required *t, uint8_t c)
{
    t->match = 0;
    if (c == '\r' || c == '\n')
        return STATE_END;
    t->match = lower(c) == (uint8_t)wanted_name[0];
    return t->match == 1 ? STATE_NAME : STATE_OTHER;
}

static enum state in_name(struct mail_tls_required *t, uint8_t c)
{
    bool whole = wanted_name[t->match] == 0;

    if (!whole && t->state == STATE_NAME && lower(c) == (uint8_t)wanted_name[t->match]) {
        t->match++;
        return STATE_NAME;
    }
    if (whole && c == ':') {
        t->field_cnt++;
        t->match = 0;
        return STATE_VALUE;
    }
    return c == '\n' ? STATE_LINE : whole && is_blank(c) ? STATE_COLON : STATE_OTHER;
}

static void end_field(struct mail_tls_required *t)
{
    t->bad |= wanted_value[t->match] != 0;
}

/* In the field, or where it may go on. */
static enum state in_value(struct mail_tls_required *t, uint8_t c)
{
    if (t->state == STATE_FOLD && !(c == ' ' || c == '\t')) {
        end_field(t);
        return begin_line(t, c);
    }
    if (c == '\n')
        return STATE_FOLD;
    if (is_blank(c)) /* in the midst of the value, too: what comes then does not fit */
        return t->match > 0 ? STATE_BEHIND : STATE_VALUE;
    if (t->state == STATE_VALUE && wanted_value[t->match] != 0 &&
        lower(c) == (uint8_t)wanted_value[t->match]) {
        t->match++;
        return STATE_VALUE;
    }
    t->bad = true;
    return STATE_BEHIND;
}

void mail_tls_required_push(struct mail_tls_required *t, struct base_span bytes)
{
    for (size_t i = 0; i < bytes.len && t->state != STATE_END; i++) {
        uint8_t c = bytes.p[i];
        switch ((enum state)t->state) {
        case STATE_LINE:
            t->state = (uint8_t)begin_line(t, c);
            break;
        case STATE_NAME:
        case STATE_COLON:
            t->state = (uint8_t)in_name(t, c);
            break;
        case STATE_VALUE:
        case STATE_BEHIND:
        case STATE_FOLD:
            t->state = (uint8_t)in_value(t, c);
            break;
        case STATE_OTHER: {
            const uint8_t *lf = memchr(bytes.p + i, '\n', bytes.len - i);
            i = lf != NULL ? (size_t)(lf - bytes.p) : bytes.len;
            t->state = lf != NULL ? STATE_LINE : STATE_OTHER;
            break;
        }
        case STATE_END:
            break;
        }
    }
}

bool mail_tls_required_no(const struct mail_tls_required *t)
{
    bool open = t->state == STATE_VALUE || t->state == STATE_BEHIND || t->state == STATE_FOLD;

    return t->field_cnt == 1 && !t->bad && (!open || wanted_value[t->match] == 0);
}
