#include "spool_envelope.h"

#include <errno.h>

int spool_envelope_put(struct base_buf *out, enum spool_envelope_type type, struct base_span value)
{
    if (value.len > SPOOL_ENVELOPE_VALUE_MAX)
        return -EINVAL;
    if (out->cap - out->len < 3 + value.len)
        return -ENOSPC;
    out->p[out->len] = (uint8_t)type;
    base_put_le16(out->p + out->len + 1, (uint16_t)value.len);
    if (value.len > 0)
        memcpy(out->p + out->len + 3, value.p, value.len);
    out->len += 3 + value.len;
    return 0;
}

int spool_envelope_next(struct base_span *rest, struct spool_envelope_field *out)
{
    if (rest->len == 0)
        return 0;
    if (rest->len < 3)
        return -EINVAL;
    size_t len = base_le16(rest->p + 1);
    if (len > SPOOL_ENVELOPE_VALUE_MAX || len > rest->len - 3)
        return -EINVAL;
    out->type = rest->p[0];
    out->value = base_span_of(rest->p + 3, len);
    rest->p += 3 + len;
    rest->len -= 3 + len;
    return 1;
}

static bool value_fits(const struct spool_envelope_field *f)
{
    switch (f->type) {
    case SPOOL_ENVELOPE_RECIPIENT:
        return f->value.len > 0;
    case SPOOL_ENVELOPE_ARRIVAL:
        return f->value.len == 8;
    case SPOOL_ENVELOPE_BODY_8BIT:
        return f->value.len == 0;
    case SPOOL_ENVELOPE_CLIENT_ADDRESS:
        return f->value.len == 18;
    default:
        return f->type != 0;
    }
}

int spool_envelope_check(struct base_span envelope)
{
    struct spool_envelope_field f;
    int recipient_cnt = 0;
    bool first = true;
    int got;
    while ((got = spool_envelope_next(&envelope, &f)) == 1) {
        if (first != (f.type == SPOOL_ENVELOPE_SENDER) || !value_fits(&f))
            return -EINVAL;
        first = false;
        recipient_cnt += f.type == SPOOL_ENVELOPE_RECIPIENT;
    }
    return got < 0 || recipient_cnt == 0 ? -EINVAL : recipient_cnt;
}
