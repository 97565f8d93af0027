#include "https_wire.h"
#include "base_bytes.h"

#include <errno.h>

#define MAGIC_0      'H'
#define MAGIC_1      's'
#define VERSION      1
#define HEAD_BYTES   8
#define ASK_BYTES    20
#define ANSWER_BYTES 10
#define ADDR_BYTES   16

/* ---- writing ---- */

static int put_head(struct base_buf *out, enum https_wire_kind kind, uint32_t id)
{
    uint8_t head[HEAD_BYTES] = {MAGIC_0, MAGIC_1, VERSION, (uint8_t)kind};

    base_put_le32(head + 4, id);
    return base_buf_put(out, head, sizeof(head)) != 0 ? -EINVAL : 0;
}

static bool printable(struct base_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] < ' ' || text.p[i] > '~')
            return false;
    return true;
}

int https_wire_put_start(struct base_buf *out)
{
    return put_head(out, HTTPS_WIRE_START, 0);
}

int https_wire_put_ready(struct base_buf *out)
{
    return put_head(out, HTTPS_WIRE_READY, 0);
}

int https_wire_put_refused(struct base_buf *out, const char *why)
{
    struct base_span text = base_span_str(why);

    if (text.len > HTTPS_WIRE_TEXT_MAX || !printable(text))
        return -EINVAL;
    return put_head(out, HTTPS_WIRE_REFUSED, 0) != 0 || base_buf_put_span(out, text) != 0 ? -EINVAL
                                                                                          : 0;
}

static bool ask_valid(const struct https_request *r, uint32_t timeout_ms)
{
    struct base_span type = base_span_str(r->type);

    return dns_name_valid(base_span_str(r->host)) && https_path_valid(base_span_str(r->path)) &&
           r->port > 0 && r->method <= HTTPS_POST && timeout_ms > 0 && r->address_cnt > 0 &&
           r->address_cnt <= HTTPS_ADDRESS_MAX && r->room_cap <= HTTPS_ROOM_MAX &&
           r->body.len <= HTTPS_POST_MAX && printable(type) &&
           (r->method == HTTPS_POST || (r->body.len == 0 && type.len == 0));
}

int https_wire_put_ask(struct base_buf *out, uint32_t id, const struct https_request *r,
                       uint32_t timeout_ms)
{
    size_t host_len = strlen(r->host), path_len = strlen(r->path), type_len = strlen(r->type);
    uint8_t fixed[ASK_BYTES] = {r->method, r->any_certificate, (uint8_t)host_len,
                                (uint8_t)type_len};

    if (!ask_valid(r, timeout_ms))
        return -EINVAL;
    base_put_le16(fixed + 4, r->port);
    base_put_le16(fixed + 6, (uint16_t)path_len);
    base_put_le32(fixed + 8, timeout_ms);
    base_put_le32(fixed + 12, r->room_cap);
    base_put_le32(fixed + 16, r->address_cnt);
    if (put_head(out, HTTPS_WIRE_ASK, id) != 0 || base_buf_put(out, fixed, sizeof(fixed)) != 0)
        return -EINVAL;
    for (uint32_t i = 0; i < r->address_cnt; i++)
        if (base_buf_put(out, r->address[i].b, ADDR_BYTES) != 0)
            return -EINVAL;
    if (base_buf_put(out, r->host, host_len) != 0 || base_buf_put(out, r->path, path_len) != 0 ||
        base_buf_put(out, r->type, type_len) != 0 || base_buf_put_span(out, r->body) != 0)
        return -EINVAL;
    return 0;
}

static int put_printable(struct base_buf *out, const char *text)
{
    for (; *text != 0; text++) {
        char c = *text >= ' ' && *text <= '~' ? *text : '?';
        if (base_buf_put(out, &c, 1) != 0)
            return -EINVAL;
    }
    return 0;
}

int https_wire_put_answer(struct base_buf *out, const struct https_wire_message *m)
{
    size_t type_len = strlen(m->type), why_len = strlen(m->why);
    uint8_t fixed[ANSWER_BYTES] = {m->result, 0, (uint8_t)type_len, (uint8_t)why_len};

    base_put_le16(fixed + 4, m->status);
    base_put_le32(fixed + 6, (uint32_t)m->body.len);
    if (m->body.len > HTTPS_ROOM_MAX || put_head(out, HTTPS_WIRE_ANSWER, m->id) != 0 ||
        base_buf_put(out, fixed, sizeof(fixed)) != 0 || put_printable(out, m->type) != 0 ||
        put_printable(out, m->why) != 0)
        return -EINVAL;
    return base_buf_put_span(out, m->body) != 0 ? -EINVAL : 0;
}

/* ---- reading ---- */

/* Takes len bytes from the front of in. */
static bool take(struct base_span *in, size_t len, struct base_span *out)
{
    if (in->len < len)
        return false;
    *out = base_span_of(in->p, len);
    *in = base_span_of(in->p + len, in->len - len);
    return true;
}

/* A text of len bytes into room for cap with its end. */
static bool take_text(struct base_span *in, size_t len, char *out, size_t cap)
{
    struct base_span text;

    if (len >= cap || !take(in, len, &text) || !printable(text))
        return false;
    memcpy(out, text.p, len);
    out[len] = 0;
    return true;
}

static int read_ask(struct https_wire_message *m, struct base_span body)
{
    struct base_span fixed, host, address;

    if (!take(&body, ASK_BYTES, &fixed) || fixed.p[0] > HTTPS_POST || fixed.p[1] > 1)
        return -EINVAL;
    m->method = fixed.p[0];
    m->any_certificate = fixed.p[1] == 1;
    m->port = base_le16(fixed.p + 4);
    m->timeout_ms = base_le32(fixed.p + 8);
    m->room_cap = base_le32(fixed.p + 12);
    m->address_cnt = base_le32(fixed.p + 16);
    if (m->port == 0 || m->timeout_ms == 0 || m->room_cap > HTTPS_ROOM_MAX || m->address_cnt == 0 ||
        m->address_cnt > HTTPS_ADDRESS_MAX)
        return -EINVAL;
    for (uint32_t i = 0; i < m->address_cnt; i++) {
        if (!take(&body, ADDR_BYTES, &address))
            return -EINVAL;
        memcpy(m->address[i].b, address.p, ADDR_BYTES);
    }
    if (!take(&body, fixed.p[2], &host) || !dns_name_valid(host) ||
        dns_name_copy(m->host, host) != 0 ||
        !take_text(&body, base_le16(fixed.p + 6), m->path, sizeof(m->path)) ||
        !https_path_valid(base_span_str(m->path)) ||
        !take_text(&body, fixed.p[3], m->type, sizeof(m->type)))
        return -EINVAL;
    m->body = body;
    return body.len <= (m->method == HTTPS_POST ? HTTPS_POST_MAX : 0) &&
                   (m->method == HTTPS_POST || m->type[0] == 0)
               ? 0
               : -EINVAL;
}

/* What each result may come with. */
static bool agrees(const struct https_wire_message *m)
{
    switch ((enum https_result)m->result) {
    case HTTPS_OK:
        return m->status >= 200 && m->status <= 299;
    case HTTPS_REDIRECT:
        return m->status >= 300 && m->status <= 399 && m->body.len == 0;
    case HTTPS_STATUS:
        return (m->status >= 100 && m->status <= 199) || (m->status >= 400 && m->status <= 999);
    default:
        return m->result < HTTPS_RESULT_CNT && m->status == 0 && m->body.len == 0;
    }
}

static int read_answer(struct https_wire_message *m, struct base_span body)
{
    struct base_span fixed;

    if (!take(&body, ANSWER_BYTES, &fixed) || fixed.p[1] != 0)
        return -EINVAL;
    m->result = fixed.p[0];
    m->status = base_le16(fixed.p + 4);
    if (!take_text(&body, fixed.p[2], m->type, sizeof(m->type)) ||
        !take_text(&body, fixed.p[3], m->why, sizeof(m->why)))
        return -EINVAL;
    m->body = body;
    if (body.len > HTTPS_ROOM_MAX || body.len != base_le32(fixed.p + 6))
        return -EINVAL;
    return agrees(m) ? 0 : -EINVAL;
}

int https_wire_read(struct https_wire_message *m, struct base_span in)
{
    struct base_span head;

    memset(m, 0, sizeof(*m));
    if (!take(&in, HEAD_BYTES, &head) || head.p[0] != MAGIC_0 || head.p[1] != MAGIC_1 ||
        head.p[2] != VERSION)
        return -EINVAL;
    m->kind = head.p[3];
    m->id = base_le32(head.p + 4);
    switch (m->kind) {
    case HTTPS_WIRE_ASK:
        return read_ask(m, in);
    case HTTPS_WIRE_ANSWER:
        return read_answer(m, in);
    case HTTPS_WIRE_REFUSED:
        m->text = in;
        return in.len <= HTTPS_WIRE_TEXT_MAX && printable(in) ? 0 : -EINVAL;
    case HTTPS_WIRE_START:
    case HTTPS_WIRE_READY:
        return in.len == 0 ? 0 : -EINVAL;
    default:
        return -EINVAL;
    }
}

void https_wire_answer(const struct https_wire_message *m, struct https_request *r)
{
    https_request_fail(r, (enum https_result)m->result, m->why);
    if (m->body.len > r->room_cap)
        return https_request_fail(r, HTTPS_TOO_LARGE, NULL);
    r->status = m->status;
    memcpy(r->answer_type, m->type, sizeof(r->answer_type));
    if (m->body.len > 0)
        memcpy(r->room, m->body.p, m->body.len);
    r->len = (uint32_t)m->body.len;
}
