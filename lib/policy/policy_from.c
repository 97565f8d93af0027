#include "policy_from.h"

enum state {
    STATE_LINE,  /* at the first byte of a line */
    STATE_NAME,  /* in a field's name */
    STATE_COLON, /* blanks between name and colon */
    STATE_VALUE,
    STATE_EMPTY, /* CR at the start of a line */
};

void policy_from_init(struct policy_from *f)
{
    f->state = STATE_LINE;
    f->name_len = 0;
    f->named = f->collect = f->invalid = f->ended = false;
    f->field_cnt = f->len = 0;
}

static void keep(struct policy_from *f, uint8_t c)
{
    if (f->len == sizeof(f->value))
        f->invalid = true;
    else
        f->value[f->len++] = c;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static void colon(struct policy_from *f)
{
    f->state = STATE_VALUE;
    f->collect = false;
    if (f->name_len == 0)
        f->invalid = true;
    if (!f->named || f->name_len != 4)
        return;
    f->collect = f->field_cnt++ == 0;
}

static void name(struct policy_from *f, uint8_t c)
{
    static const char from[] = "from";

    if (c == ':')
        return colon(f);
    if (is_blank(c)) {
        f->state = STATE_COLON;
        return;
    }
    if (c <= 0x20 || c >= 0x7f) { /* a line that ends here is no field */
        f->invalid = true;
        f->state = c == '\n' ? STATE_LINE : STATE_VALUE;
        f->collect = false;
        return;
    }
    f->named = f->named && f->name_len < 4 && (c | 0x20) == from[f->name_len];
    f->name_len = (uint8_t)(f->name_len < 255 ? f->name_len + 1 : 255);
}

static void line(struct policy_from *f, uint8_t c)
{
    if (c == '\r') {
        f->state = STATE_EMPTY;
    } else if (c == '\n') {
        f->ended = true;
    } else if (is_blank(c)) { /* goes on with the field before */
        f->state = STATE_VALUE;
        if (f->name_len == 0)
            f->invalid = true;
        if (f->collect)
            keep(f, c);
    } else {
        f->state = STATE_NAME;
        f->name_len = 0;
        f->named = true;
        f->collect = false;
        name(f, c);
    }
}

void policy_from_push(struct policy_from *f, struct base_span bytes)
{
    for (size_t i = 0; i < bytes.len && !f->ended; i++) {
        uint8_t c = bytes.p[i];
        switch (f->state) {
        case STATE_LINE:
            line(f, c);
            break;
        case STATE_NAME:
            name(f, c);
            break;
        case STATE_COLON:
            if (c == ':') {
                colon(f);
            } else if (!is_blank(c)) {
                f->invalid = true;
                f->collect = false;
                f->state = c == '\n' ? STATE_LINE : STATE_VALUE;
            }
            break;
        case STATE_EMPTY:
            f->ended = true;
            f->invalid |= c != '\n';
            break;
        case STATE_VALUE:
            if (c == '\n')
                f->state = STATE_LINE;
            else if (f->collect && c != '\r')
                keep(f, c);
        }
    }
}

enum policy_from_result policy_from_end(const struct policy_from *f)
{
    if (f->field_cnt > 1)
        return POLICY_FROM_MANY;
    if (f->invalid || f->state == STATE_NAME || f->state == STATE_COLON)
        return POLICY_FROM_INVALID;
    return f->field_cnt == 0 ? POLICY_FROM_NONE : POLICY_FROM_OK;
}
