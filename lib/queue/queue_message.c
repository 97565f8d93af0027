#include "base_siphash.h"
#include "queue_internal.h"

#include <stdlib.h>

/*
 * Texts stand behind the items: sender, ENVID if there is one, the client's endpoints if there are
 * any, then of each recipient the mailbox and its parameters. A text is its length in 1 byte, below
 * LONG, or LONG and le16; a recipient's has the bits of what follows in another byte before it,
 * when there is something.
 */
#define TEXT_LONG      0xfe /* le16 length follows */
#define TEXT_PARAMS    0xff /* a byte of bits follows, then the text, then what the bits tell */
#define PARAM_NOTIFY   1    /* 1 byte */
#define PARAM_ORCPT    2    /* a text */
#define PARAM_FROM     4    /* a text */
#define PARAM_EXPANDED 8    /* nothing */
#define TEXT_BYTES_MAX 3

/* An endpoint as the envelope has it; where all are of IPv4, without what is the same in each. */
#define ENDPOINT_LEN 18
#define MAPPED_LEN   12
static const uint8_t mapped[MAPPED_LEN] = {[10] = 0xff, [11] = 0xff};

static uint8_t *text_put(uint8_t *at, struct base_span s)
{
    if (s.len < TEXT_LONG) {
        *at++ = (uint8_t)s.len;
    } else {
        *at++ = TEXT_LONG;
        base_put_le16(at, (uint16_t)s.len);
        at += 2;
    }
    if (s.len > 0)
        memcpy(at, s.p, s.len);
    return at + s.len;
}

static struct base_span text_read(const uint8_t **at)
{
    const uint8_t *p = *at;
    size_t len = *p++;
    if (len == TEXT_LONG) {
        len = base_le16(p);
        p += 2;
    }
    *at = p + len;
    return base_span_of(p, len);
}

static size_t text_bytes(struct base_span s)
{
    return s.len + (s.len < TEXT_LONG ? 1 : TEXT_BYTES_MAX);
}

static const uint8_t *texts_of(const struct queue_message *m)
{
    return (const uint8_t *)&m->items[m->recipient_cnt];
}

struct base_span queue_message_sender(const struct queue_message *m)
{
    const uint8_t *at = texts_of(m);
    return text_read(&at);
}

struct base_span queue_message_envid(const struct queue_message *m)
{
    const uint8_t *at = texts_of(m);
    text_read(&at);
    return m->has_envid ? text_read(&at) : base_span_of(at, 0);
}

uint32_t queue_client(const struct queue_message *m, uint8_t client[ENDPOINT_LEN],
                      uint8_t destination[ENDPOINT_LEN])
{
    const uint8_t *at = texts_of(m);
    struct base_span s = {0};

    memset(client, 0, ENDPOINT_LEN);
    memset(destination, 0, ENDPOINT_LEN);
    text_read(&at);
    if (m->has_envid)
        text_read(&at);
    if (m->has_client)
        s = text_read(&at);
    bool v4 = s.len % ENDPOINT_LEN != 0;
    size_t skip = v4 ? MAPPED_LEN : 0, len = ENDPOINT_LEN - skip;
    for (size_t i = 0; i < s.len / len; i++) {
        uint8_t *to = i == 0 ? client : destination;
        memcpy(to, mapped, skip);
        memcpy(to + skip, s.p + i * len, len);
    }
    return (uint32_t)(s.len / len);
}

struct base_span queue_recipient(const struct queue_message *m, uint32_t index)
{
    base_assert(index < m->recipient_cnt);
    const uint8_t *at = (const uint8_t *)m + m->items[index].text;
    if (*at == TEXT_PARAMS)
        at += 2;
    return text_read(&at);
}

uint32_t queue_recipient_cnt(const struct queue_message *m)
{
    return m->recipient_cnt;
}

struct spool_envelope_recipient queue_recipient_params(const struct queue_message *m,
                                                       uint32_t index)
{
    struct spool_envelope_recipient r = {0};
    base_assert(index < m->recipient_cnt);
    const uint8_t *at = (const uint8_t *)m + m->items[index].text;
    if (*at != TEXT_PARAMS)
        return r;
    uint8_t bits = at[1];
    at += 2;
    text_read(&at);
    if ((bits & PARAM_NOTIFY) != 0)
        r.notify = *at++;
    if ((bits & PARAM_ORCPT) != 0)
        r.orcpt = text_read(&at);
    if ((bits & PARAM_FROM) != 0)
        r.from = text_read(&at);
    r.expanded = (bits & PARAM_EXPANDED) != 0;
    return r;
}

/* ---- making one ---- */

/* Walks over an envelope's recipients with what is of each. */
struct reader {
    struct base_span rest;
    struct base_span mailbox;
    struct spool_envelope_recipient params;
};

static bool reader_next(struct reader *r)
{
    struct spool_envelope_field f;
    while (spool_envelope_next(&r->rest, &f) == 1)
        if (f.type == SPOOL_ENVELOPE_RECIPIENT) {
            r->mailbox = f.value;
            r->params = spool_envelope_recipient_read(r->rest);
            return true;
        }
    return false;
}

static uint8_t bits_of(const struct reader *r)
{
    return (uint8_t)((r->params.notify != 0 ? PARAM_NOTIFY : 0) |
                     (r->params.orcpt.len > 0 ? PARAM_ORCPT : 0) |
                     (r->params.from.len > 0 ? PARAM_FROM : 0) |
                     (r->params.expanded ? PARAM_EXPANDED : 0));
}

static size_t recipient_bytes(const struct reader *r)
{
    uint8_t bits = bits_of(r);
    return text_bytes(r->mailbox) + (bits != 0 ? 2U : 0U) + (r->params.notify != 0 ? 1U : 0U) +
           ((bits & PARAM_ORCPT) != 0 ? text_bytes(r->params.orcpt) : 0) +
           ((bits & PARAM_FROM) != 0 ? text_bytes(r->params.from) : 0);
}

static uint8_t *recipient_put(uint8_t *at, const struct reader *r)
{
    uint8_t bits = bits_of(r);
    if (bits != 0) {
        *at++ = TEXT_PARAMS;
        *at++ = bits;
    }
    at = text_put(at, r->mailbox);
    if ((bits & PARAM_NOTIFY) != 0)
        *at++ = r->params.notify;
    if ((bits & PARAM_ORCPT) != 0)
        at = text_put(at, r->params.orcpt);
    return (bits & PARAM_FROM) != 0 ? text_put(at, r->params.from) : at;
}

/* What is of the message itself. */
struct head {
    struct base_span sender, envid, client, destination;
    uint64_t arrival_wall_ns;
    uint8_t ret;
    bool body_8bit, smtputf8, requiretls, tls_optional;
};

static struct head head_read(struct base_span rest)
{
    struct head h = {.sender = base_span_str("")};
    struct spool_envelope_field f;
    while (spool_envelope_next(&rest, &f) == 1)
        switch (f.type) {
        case SPOOL_ENVELOPE_SENDER:
            h.sender = f.value;
            break;
        case SPOOL_ENVELOPE_ARRIVAL:
            h.arrival_wall_ns = base_le64(f.value.p);
            break;
        case SPOOL_ENVELOPE_CLIENT_ADDRESS:
            h.client = f.value;
            break;
        case SPOOL_ENVELOPE_CLIENT_DESTINATION:
            h.destination = f.value;
            break;
        case SPOOL_ENVELOPE_BODY_8BIT:
            h.body_8bit = true;
            break;
        case SPOOL_ENVELOPE_SMTPUTF8:
            h.smtputf8 = true;
            break;
        case SPOOL_ENVELOPE_REQUIRETLS:
            h.requiretls = true;
            break;
        case SPOOL_ENVELOPE_TLS_OPTIONAL:
            h.tls_optional = true;
            break;
        case SPOOL_ENVELOPE_RET:
            h.ret = f.value.p[0];
            break;
        case SPOOL_ENVELOPE_ENVID:
            h.envid = f.value;
            break;
        default:
            break;
        }
    return h;
}

/* The client's endpoints as a text in room; empty: there are none. */
static struct base_span client_of(const struct head *h, uint8_t room[2 * ENDPOINT_LEN])
{
    struct base_span from[2] = {h->client, h->destination};
    struct base_buf out = {.p = room, .cap = 2 * ENDPOINT_LEN};
    bool v4 = true;
    int failed = 0;

    if (h->client.len == 0)
        return base_span_of(room, 0);
    for (int i = 0; i < 2; i++)
        v4 = v4 && (from[i].len == 0 || memcmp(from[i].p, mapped, MAPPED_LEN) == 0);
    for (int i = 0; i < 2; i++)
        if (from[i].len > 0)
            failed |= base_buf_put(&out, from[i].p + (v4 ? MAPPED_LEN : 0),
                                   ENDPOINT_LEN - (v4 ? MAPPED_LEN : 0));
    base_assert(failed == 0);
    return base_buf_span(&out);
}

static void item_fill(struct queue *q, struct queue_message *m, uint32_t index, uint8_t *at,
                      const struct spool_outcome *o)
{
    struct queue_item *item = &m->items[index];
    *item = (struct queue_item){
        .destination = QUEUE_NO_DESTINATION,
        .text = (uint32_t)(at - (uint8_t *)m),
        .index = index & 0x3fffffU,
        .state = o->state & 3U,
        .attempt_cnt = o->attempt_cnt,
    };
    queue_status_set(q, item, o->code, o->enhanced);
    m->open_cnt += o->state == SPOOL_OUTCOME_QUEUED || o->state == SPOOL_OUTCOME_DEFERRED;
    if ((o->flags & SPOOL_OUTCOME_WARNED) != 0)
        m->warned = QUEUE_WARNED;
}

struct queue_message *queue_message_make(struct queue *q, const struct spool_id *id,
                                         const struct spool_arrival *a)
{
    struct base_span envelope = base_span_of(a->envelope, a->envelope_len);
    struct head h = head_read(envelope);
    uint8_t room[2 * ENDPOINT_LEN];
    struct base_span client = client_of(&h, room);
    struct reader r = {.rest = envelope};
    size_t bytes = sizeof(struct queue_message) + a->recipient_cnt * sizeof(struct queue_item) +
                   text_bytes(h.sender) + (h.envid.len > 0 ? text_bytes(h.envid) : 0) +
                   (client.len > 0 ? text_bytes(client) : 0);
    while (reader_next(&r))
        bytes += recipient_bytes(&r);
    uint32_t steps = queue_arena_steps(bytes);
    uint32_t handle = queue_arena_get(&q->arena, steps);
    if (handle == 0)
        return NULL;
    struct queue_message *m = queue_arena_at(&q->arena, handle);
    *m = (struct queue_message){
        .id = *id,
        .sender_hash = base_siphash13(q->hash_key, h.sender.p, h.sender.len),
        .arrival_wall_ns = h.arrival_wall_ns,
        .content_bytes = a->content_bytes,
        .recipient_cnt = a->recipient_cnt,
        .handle = handle,
        .steps = steps,
        .ret = h.ret & 3U,
        .body_8bit = h.body_8bit,
        .smtputf8 = h.smtputf8,
        .requiretls = h.requiretls,
        .tls_optional = h.tls_optional && !h.requiretls,
        .has_envid = h.envid.len > 0,
        .has_client = client.len > 0,
        .held = a->held,
    };
    uint8_t *at = text_put((uint8_t *)&m->items[m->recipient_cnt], h.sender);
    if (m->has_envid)
        at = text_put(at, h.envid);
    if (m->has_client)
        at = text_put(at, client);
    r.rest = envelope;
    for (uint32_t i = 0; reader_next(&r); i++) {
        item_fill(q, m, i, at, &a->outcomes[i]);
        at = recipient_put(at, &r);
    }
    base_assert((size_t)(at - (uint8_t *)m) == bytes);
    return m;
}

void queue_message_free(struct queue *q, struct queue_message *m)
{
    queue_words_drop(q, m);
    for (uint32_t i = 0; i < m->recipient_cnt; i++)
        queue_status_drop(q, &m->items[i]);
    queue_arena_put(&q->arena, m->handle, m->steps);
}
