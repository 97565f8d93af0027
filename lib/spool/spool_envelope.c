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

static bool notify_fits(uint8_t bits)
{
    return bits == SPOOL_ENVELOPE_NOTIFY_NEVER ||
           (bits != 0 && (bits & ~(SPOOL_ENVELOPE_NOTIFY_SUCCESS | SPOOL_ENVELOPE_NOTIFY_FAILURE |
                                   SPOOL_ENVELOPE_NOTIFY_DELAY)) == 0);
}

static bool value_fits(const struct spool_envelope_field *f)
{
    size_t len = f->value.len;

    switch (f->type) {
    case SPOOL_ENVELOPE_RECIPIENT:
    case SPOOL_ENVELOPE_FROM:
        return len > 0;
    case SPOOL_ENVELOPE_ARRIVAL:
    case SPOOL_ENVELOPE_SIZE:
        return len == 8;
    case SPOOL_ENVELOPE_BODY_8BIT:
    case SPOOL_ENVELOPE_SMTPUTF8:
    case SPOOL_ENVELOPE_REQUIRETLS:
    case SPOOL_ENVELOPE_EXPANDED:
    case SPOOL_ENVELOPE_TLS_OPTIONAL:
        return len == 0;
    case SPOOL_ENVELOPE_CLIENT_ADDRESS:
    case SPOOL_ENVELOPE_CLIENT_DESTINATION:
        return len == 18;
    case SPOOL_ENVELOPE_RET:
        return len == 1 && (f->value.p[0] == SPOOL_ENVELOPE_RET_FULL ||
                            f->value.p[0] == SPOOL_ENVELOPE_RET_HDRS);
    case SPOOL_ENVELOPE_ENVID:
        return len > 0 && len <= SPOOL_ENVELOPE_ENVID_MAX;
    case SPOOL_ENVELOPE_NOTIFY:
        return len == 1 && notify_fits(f->value.p[0]);
    case SPOOL_ENVELOPE_ORCPT:
        return len > 0 && len <= SPOOL_ENVELOPE_ORCPT_MAX;
    default:
        return f->type != 0;
    }
}

#define RECIPIENT_FIELDS                                                                           \
    (1U << SPOOL_ENVELOPE_NOTIFY | 1U << SPOOL_ENVELOPE_ORCPT | 1U << SPOOL_ENVELOPE_FROM |        \
     1U << SPOOL_ENVELOPE_EXPANDED)

/* Whether a field may come here; notes it in *seen. Unknown types may come as they like. */
static bool place_fits(uint8_t type, uint32_t *seen)
{
    const uint32_t recipient = 1U << SPOOL_ENVELOPE_RECIPIENT;

    if (type > SPOOL_ENVELOPE_TLS_OPTIONAL)
        return true;
    uint32_t bit = 1U << type;
    if (type == SPOOL_ENVELOPE_RECIPIENT)
        *seen &= ~(recipient | RECIPIENT_FIELDS);
    if ((*seen & bit) != 0 || ((bit & RECIPIENT_FIELDS) != 0 && (*seen & recipient) == 0))
        return false;
    *seen |= bit;
    return true;
}

int spool_envelope_check(struct base_span envelope)
{
    struct spool_envelope_field f;
    int recipient_cnt = 0;
    uint32_t seen = 0;
    int got;
    while ((got = spool_envelope_next(&envelope, &f)) == 1) {
        bool first = seen == 0;
        if (first != (f.type == SPOOL_ENVELOPE_SENDER) || !value_fits(&f) ||
            !place_fits(f.type, &seen))
            return -EINVAL;
        recipient_cnt += f.type == SPOOL_ENVELOPE_RECIPIENT;
    }
    return got < 0 || recipient_cnt == 0 ? -EINVAL : recipient_cnt;
}

struct spool_envelope_recipient spool_envelope_recipient_read(struct base_span rest)
{
    struct spool_envelope_recipient r = {0};
    struct spool_envelope_field f;

    while (spool_envelope_next(&rest, &f) == 1 && f.type != SPOOL_ENVELOPE_RECIPIENT) {
        if (f.type == SPOOL_ENVELOPE_NOTIFY)
            r.notify = f.value.p[0];
        else if (f.type == SPOOL_ENVELOPE_ORCPT)
            r.orcpt = f.value;
        else if (f.type == SPOOL_ENVELOPE_FROM)
            r.from = f.value;
        else if (f.type == SPOOL_ENVELOPE_EXPANDED)
            r.expanded = true;
    }
    return r;
}
