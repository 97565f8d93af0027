#include "dns_wire.h"

#include <errno.h>
#include <stdio.h>

#define MAGIC_0    'D'
#define MAGIC_1    'r'
#define VERSION    1
#define HEAD_BYTES 8

/* ---- writing ---- */

static int put_head(struct base_buf *out, enum dns_wire_kind kind, uint32_t id)
{
    uint8_t head[HEAD_BYTES] = {MAGIC_0, MAGIC_1, VERSION, (uint8_t)kind};

    base_put_le32(head + 4, id);
    return base_buf_put(out, head, sizeof(head)) != 0 ? -EINVAL : 0;
}

static bool printable(struct base_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((text.p[i] < ' ' && text.p[i] != '\t') || text.p[i] > '~')
            return false;
    return true;
}

static int put_text(struct base_buf *out, struct base_span text)
{
    if (text.len > DNS_WIRE_TEXT_MAX || !printable(text))
        return -EINVAL;
    return base_buf_put_span(out, text) != 0 ? -EINVAL : 0;
}

int dns_wire_put_set(struct base_buf *out, enum dns_wire_key key, struct base_span text)
{
    uint8_t k = (uint8_t)key;

    if (put_head(out, DNS_WIRE_SET, 0) != 0 || base_buf_put(out, &k, 1) != 0)
        return -EINVAL;
    return text.len > 0 ? put_text(out, text) : -EINVAL;
}

int dns_wire_put_start(struct base_buf *out)
{
    return put_head(out, DNS_WIRE_START, 0);
}

int dns_wire_put_ask(struct base_buf *out, uint32_t id, const char *name, uint16_t type,
                     uint32_t timeout_ms)
{
    uint8_t fixed[6];

    base_put_le16(fixed, type);
    base_put_le32(fixed + 2, timeout_ms);
    if (!dns_name_valid(base_span_str(name)) || !dns_type_known(type) || timeout_ms == 0)
        return -EINVAL;
    if (put_head(out, DNS_WIRE_ASK, id) != 0 || base_buf_put(out, fixed, sizeof(fixed)) != 0)
        return -EINVAL;
    return base_buf_puts(out, name) != 0 ? -EINVAL : 0;
}

int dns_wire_put_ready(struct base_buf *out)
{
    return put_head(out, DNS_WIRE_READY, 0);
}

int dns_wire_put_refused(struct base_buf *out, const char *why)
{
    return put_head(out, DNS_WIRE_REFUSED, 0) != 0 ? -EINVAL : put_text(out, base_span_str(why));
}

int dns_wire_put_answer(struct base_buf *out, uint32_t id, const struct dns_answer *a)
{
    size_t canonical_len = strlen(a->canonical), why_len = strlen(a->why);
    uint8_t fixed[17] = {a->status, a->secure, a->rcode, (uint8_t)canonical_len, (uint8_t)why_len};

    base_put_le32(fixed + 5, a->ttl_s);
    base_put_le32(fixed + 9, a->record_cnt);
    base_put_le32(fixed + 13, a->data_len);
    if (put_head(out, DNS_WIRE_ANSWER, id) != 0 || base_buf_put(out, fixed, sizeof(fixed)) != 0 ||
        base_buf_put(out, a->canonical, canonical_len) != 0 ||
        base_buf_put(out, a->why, why_len) != 0 || base_buf_put(out, a->data, a->data_len) != 0)
        return -EINVAL;
    return 0;
}

/* ---- reading ---- */

static int read_set(struct dns_wire_message *m, struct base_span body)
{
    if (body.len < 2 || body.len > 1 + DNS_WIRE_TEXT_MAX)
        return -EINVAL;
    m->key = body.p[0];
    m->text = base_span_of(body.p + 1, body.len - 1);
    return m->key > 0 && m->key < DNS_WIRE_KEY_END && printable(m->text) ? 0 : -EINVAL;
}

static int read_text(struct dns_wire_message *m, struct base_span body)
{
    m->text = body;
    return body.len <= DNS_WIRE_TEXT_MAX && printable(body) ? 0 : -EINVAL;
}

static int read_ask(struct dns_wire_message *m, struct base_span body)
{
    if (body.len < 7)
        return -EINVAL;
    m->type = base_le16(body.p);
    m->timeout_ms = base_le32(body.p + 2);
    struct base_span name = base_span_of(body.p + 6, body.len - 6);
    if (!dns_name_valid(name) || dns_name_copy(m->name, name) != 0)
        return -EINVAL;
    return dns_type_known(m->type) && m->timeout_ms > 0 ? 0 : -EINVAL;
}

/* What each status may come with. */
static bool agrees(const struct dns_wire_message *m)
{
    if (m->status >= DNS_STATUS_CNT || (m->record_cnt > 0) != (m->status == DNS_OK))
        return false;
    return !m->secure || !dns_status_is_error(m->status);
}

static int read_answer(struct dns_wire_message *m, struct base_span body)
{
    if (body.len < 17 || body.p[1] > 1)
        return -EINVAL;
    m->status = body.p[0];
    m->secure = body.p[1] == 1;
    m->rcode = body.p[2];
    size_t canonical_len = body.p[3], why_len = body.p[4];
    m->ttl_s = base_le32(body.p + 5);
    m->record_cnt = base_le32(body.p + 9);
    size_t data_len = base_le32(body.p + 13);
    if (data_len > DNS_DATA_MAX || body.len != 17 + canonical_len + why_len + data_len ||
        canonical_len >= sizeof(m->canonical) || why_len >= sizeof(m->why))
        return -EINVAL;
    struct base_span canonical = base_span_of(body.p + 17, canonical_len);
    struct base_span why = base_span_of(canonical.p + canonical_len, why_len);
    m->data = base_span_of(why.p + why_len, data_len);
    if (canonical_len > 0 && (!dns_name_valid(canonical) || dns_name_copy(m->canonical, canonical)))
        return -EINVAL;
    if (!printable(why))
        return -EINVAL;
    memcpy(m->why, why.p, why_len);
    return agrees(m) && dns_records_valid(m->data, m->record_cnt) ? 0 : -EINVAL;
}

int dns_wire_read(struct dns_wire_message *m, struct base_span in)
{
    memset(m, 0, sizeof(*m));
    if (in.len < HEAD_BYTES || in.p[0] != MAGIC_0 || in.p[1] != MAGIC_1 || in.p[2] != VERSION)
        return -EINVAL;
    m->kind = in.p[3];
    m->id = base_le32(in.p + 4);
    struct base_span body = base_span_of(in.p + HEAD_BYTES, in.len - HEAD_BYTES);
    switch (m->kind) {
    case DNS_WIRE_SET:
        return read_set(m, body);
    case DNS_WIRE_ASK:
        return read_ask(m, body);
    case DNS_WIRE_REFUSED:
        return read_text(m, body);
    case DNS_WIRE_ANSWER:
        return read_answer(m, body);
    case DNS_WIRE_START:
    case DNS_WIRE_READY:
        return body.len == 0 ? 0 : -EINVAL;
    default:
        return -EINVAL;
    }
}

void dns_wire_answer(const struct dns_wire_message *m, struct dns_answer *a)
{
    dns_answer_set(a, m->status, m->why);
    a->secure = m->secure;
    a->rcode = m->rcode;
    a->ttl_s = m->ttl_s;
    memcpy(a->canonical, m->canonical, sizeof(a->canonical));
    dns_answer_fill(a, m->data, m->record_cnt);
}
