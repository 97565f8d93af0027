#include "conn_message.h"
#include "base_siphash.h"
#include "lane.h"
#include "policy_ascii.h"

#include <stdio.h>

/* The numbers of the spool's format are the session's. */
_Static_assert((int)SMTP_RET_FULL == (int)SPOOL_ENVELOPE_RET_FULL &&
                   (int)SMTP_RET_HDRS == (int)SPOOL_ENVELOPE_RET_HDRS &&
                   (int)SMTP_NOTIFY_NEVER == (int)SPOOL_ENVELOPE_NOTIFY_NEVER &&
                   (int)SMTP_NOTIFY_SUCCESS == (int)SPOOL_ENVELOPE_NOTIFY_SUCCESS &&
                   (int)SMTP_NOTIFY_FAILURE == (int)SPOOL_ENVELOPE_NOTIFY_FAILURE &&
                   (int)SMTP_NOTIFY_DELAY == (int)SPOOL_ENVELOPE_NOTIFY_DELAY &&
                   SMTP_ENVID_MAX == SPOOL_ENVELOPE_ENVID_MAX &&
                   SMTP_ORCPT_MAX == SPOOL_ENVELOPE_ORCPT_MAX,
               "lib/smtp and lib/spool agree");

/* Most bytes of the fields that are put at once: those of a recipient, or all of MAIL's. */
#define FIELDS_MAX 1280
_Static_assert(5 * 3 + 1 + 2 * SMTP_ADDRESS_MAX + SMTP_ORCPT_MAX <= FIELDS_MAX, "a recipient");
_Static_assert(10 * 3 + SMTP_ADDRESS_MAX + 8 + 18 + SMTP_DOMAIN_MAX + 8 + 1 + SMTP_ENVID_MAX <=
                   FIELDS_MAX,
               "the fields of MAIL");

/* Buffers that stay free for bodies already begun. */
#define BUF_RESERVE(l) ((l)->bufs.buf_cnt / 8)

static void push(struct conn *c, enum spool_op op, enum spool_part part, const uint8_t *p,
                 uint32_t len, struct spool_buf *buf)
{
    struct spool_entry e = {.id = c->in.txn.id,
                            .op = (uint8_t)op,
                            .part = (uint8_t)part,
                            .p = p,
                            .len = len,
                            .buf = buf};

    if (op == SPOOL_COMMIT) {
        e.cookie = c;
        c->awaited++;
    }
    lane_spool_push(c->lane, &e);
}

void conn_message_drop(struct conn *c)
{
    struct conn_transaction *t = &c->in.txn;

    if (!t->open)
        return;
    if (t->body != NULL && t->body != t->held_last)
        spool_buf_put(&c->lane->bufs, t->body);
    while (t->held != NULL) {
        struct spool_buf *b = t->held;
        t->held = b->next;
        if (t->begun) /* the spooler may still read from it: it comes home by the ring */
            push(c, SPOOL_ABORT, 0, NULL, 0, b);
        else
            spool_buf_put(&c->lane->bufs, b);
    }
    c->lane->transaction_cnt--;
    *t = (struct conn_transaction){0};
}

bool conn_message_room(const struct conn *c)
{
    /* The rest is for a body buffer or two, COMMIT, and a held buffer that one step may add. */
    return !c->in.txn.open || lane_spool_room(c->lane, &c->in.txn.id, 2 * c->in.txn.held_cnt + 16);
}

struct spool_buf *conn_message_hold(struct conn *c, struct spool_buf *after)
{
    struct conn_transaction *t = &c->in.txn;
    bool may = t->held_cnt < CONN_MESSAGE_HELD_MAX && c->lane->bufs.free_cnt > BUF_RESERVE(c->lane);
    struct spool_buf *b = may ? spool_buf_get(&c->lane->bufs) : NULL;

    if (b == NULL)
        return NULL;
    t->held_cnt++;
    b->next = after != NULL ? after->next : t->held;
    b->hold_cnt = 0;
    if (after != NULL)
        after->next = b;
    else
        t->held = b;
    if (after == t->held_last)
        t->held_last = b;
    return b;
}

/* One more buffer at the end; false when there is none to spare. */
static bool hold_more(struct conn *c)
{
    return conn_message_hold(c, c->in.txn.held_last) != NULL;
}

/* Adds whole fields to the envelope, all of them in one buffer. */
static bool put_fields(struct conn *c, struct base_span fields)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        struct spool_buf *b = c->in.txn.held_last;
        if (b != NULL) {
            struct base_buf out = {.p = b->data, .len = b->len, .cap = SPOOL_BUF_BYTES};
            if (base_buf_put_span(&out, fields) == 0) {
                b->len = (uint32_t)out.len;
                b->hold_cnt = (uint16_t)out.len;
                return true;
            }
        }
        if (!hold_more(c))
            return false;
    }
    return false;
}

static void add(struct base_buf *out, enum spool_envelope_type type, const void *p, size_t len)
{
    int failed = spool_envelope_put(out, type, base_span_of(p, len));
    base_assert(failed == 0);
}

struct base_span conn_message_sender(const struct conn *c)
{
    const struct spool_buf *b = c->in.txn.held;
    struct spool_envelope_field f;

    while (b->hold_cnt == 0) /* header bytes alone */
        b = b->next;
    struct base_span rest = base_span_of(b->data, b->hold_cnt);
    int got = spool_envelope_next(&rest, &f);
    base_assert(got == 1 && f.type == SPOOL_ENVELOPE_SENDER);
    return f.value;
}

static bool put_recipient(struct conn *c, struct base_span mailbox,
                          const struct spool_envelope_recipient *r)
{
    uint8_t bytes[FIELDS_MAX];
    struct base_buf fields = {.p = bytes, .cap = sizeof(bytes)};

    add(&fields, SPOOL_ENVELOPE_RECIPIENT, mailbox.p, mailbox.len);
    if (r->notify != 0)
        add(&fields, SPOOL_ENVELOPE_NOTIFY, &r->notify, 1);
    if (r->orcpt.len > 0)
        add(&fields, SPOOL_ENVELOPE_ORCPT, r->orcpt.p, r->orcpt.len);
    if (r->from.len > 0)
        add(&fields, SPOOL_ENVELOPE_FROM, r->from.p, r->from.len);
    if (r->expanded)
        add(&fields, SPOOL_ENVELOPE_EXPANDED, NULL, 0);
    return put_fields(c, base_buf_span(&fields));
}

static void put_endpoint(uint8_t to[18], const struct net_endpoint *e)
{
    memcpy(to, e->addr.b, 16);
    base_put_le16(to + 16, e->port);
}

/* Of the recipient whose other fields stand next: nothing is delivered to it. */
static bool is_expanded(struct base_span rest)
{
    return spool_envelope_recipient_read(rest).expanded;
}

/* A hash of a recipient in lower case: its place in a set. */
static uint64_t recipient_hash(struct base_span mailbox)
{
    static const uint8_t key[16] = "recipients twice";
    uint8_t lower[SPOOL_ENVELOPE_VALUE_MAX];
    size_t len = mailbox.len < sizeof(lower) ? mailbox.len : sizeof(lower);

    for (size_t i = 0; i < len; i++) {
        uint8_t c = mailbox.p[i];
        lower[i] = (uint8_t)(c - 'A') < 26 ? (uint8_t)(c | 0x20) : c;
    }
    return base_siphash(key, lower, len);
}

/* Puts the recipient in. Returns false when it was there. */
static bool set_add(struct base_span *set, struct base_span mailbox)
{
    uint32_t i = (uint32_t)recipient_hash(mailbox) & (LANE_RECIPIENT_SLOTS - 1);

    while (set[i].len > 0 && !base_span_caseeq(set[i], mailbox))
        i = (i + 1) & (LANE_RECIPIENT_SLOTS - 1);
    if (set[i].len > 0)
        return false;
    set[i] = mailbox;
    return true;
}

/* Fills the set with the recipients of the message. Returns false when they are too many for it. */
static bool set_fill(const struct conn *c, struct base_span *set, uint32_t *cnt)
{
    memset(set, 0, LANE_RECIPIENT_SLOTS * sizeof(set[0]));
    *cnt = 0;
    for (const struct spool_buf *b = c->in.txn.held; b != NULL; b = b->next) {
        struct base_span rest = base_span_of(b->data, b->hold_cnt);
        struct spool_envelope_field f;
        while (spool_envelope_next(&rest, &f) == 1) {
            if (f.type != SPOOL_ENVELOPE_RECIPIENT || is_expanded(rest))
                continue;
            if (++*cnt > CONN_MESSAGE_EXPANDED_MAX)
                return false;
            (void)set_add(set, f.value);
        }
    }
    return true;
}

/* Whether the message has that recipient. */
static bool has_recipient(const struct conn *c, struct base_span mailbox)
{
    for (const struct spool_buf *b = c->in.txn.held; b != NULL; b = b->next) {
        struct base_span rest = base_span_of(b->data, b->hold_cnt);
        struct spool_envelope_field f;
        while (spool_envelope_next(&rest, &f) == 1)
            if (f.type == SPOOL_ENVELOPE_RECIPIENT && base_span_caseeq(f.value, mailbox) &&
                !is_expanded(rest))
                return true;
    }
    return false;
}

bool conn_message_recipient(struct conn *c, struct base_span mailbox)
{
    if (c->in.txn.expanded && has_recipient(c, mailbox))
        return true;
    return put_recipient(c, mailbox,
                         &(struct spool_envelope_recipient){.notify = c->in.smtp.rcpt.notify,
                                                            .orcpt = c->in.smtp.rcpt.orcpt});
}

/* The address as an ORCPT parameter: RFC 3461 section 4.2, RFC 6533 section 3 beyond ASCII. Empty
 * when it would be too long. */
static struct base_span make_orcpt(struct base_buf *out, struct base_span address)
{
    bool ascii = true, ok;

    for (size_t i = 0; i < address.len; i++)
        ascii = ascii && address.p[i] < 0x80;
    ok = base_buf_puts(out, ascii ? "rfc822;" : "utf-8;") == 0;
    for (size_t i = 0; i < address.len && ok; i++) {
        uint8_t c = address.p[i];
        char escape[7];
        int n = snprintf(escape, sizeof(escape), ascii ? "+%02X" : "\\x{%02X}", c);
        bool plain = c >= 0x80 || (c > 0x20 && c < 0x7f && c != '+' && c != '=' && c != '\\');
        ok = (plain ? base_buf_put(out, &c, 1) : base_buf_put(out, escape, (size_t)n)) == 0;
    }
    return ok && smtp_orcpt_valid(base_buf_span(out), !ascii) ? base_buf_span(out)
                                                              : base_span_of(NULL, 0);
}

/* Takes back what was put behind that place. */
static void take_back(struct conn *c, struct spool_buf *last, uint32_t len)
{
    struct conn_transaction *t = &c->in.txn;

    while (last->next != NULL) {
        struct spool_buf *b = last->next;
        last->next = b->next;
        spool_buf_put(&c->lane->bufs, b);
        t->held_cnt--;
    }
    t->held_last = last;
    last->len = len;
    last->hold_cnt = (uint16_t)len;
}

/* What several targets get of NOTIFY: success has been told by then. */
static uint8_t notify_of_targets(uint8_t notify)
{
    if ((notify & SPOOL_ENVELOPE_NOTIFY_SUCCESS) == 0)
        return notify;
    notify &= (uint8_t)~SPOOL_ENVELOPE_NOTIFY_SUCCESS;
    return notify != 0 ? notify : SPOOL_ENVELOPE_NOTIFY_NEVER;
}

enum conn_message_expanded conn_message_expansion(struct conn *c, struct conn_message_alias *a)
{
    struct conn_transaction *t = &c->in.txn;
    struct spool_buf *last = t->held_last;
    uint32_t len = last->len, cnt;
    uint8_t bytes[SMTP_ORCPT_MAX];
    struct base_buf made = {.p = bytes, .cap = sizeof(bytes)};
    struct spool_envelope_recipient r = {.notify = c->in.smtp.rcpt.notify,
                                         .orcpt = c->in.smtp.rcpt.orcpt};
    struct base_span *set = c->lane->recipients;
    enum conn_message_expanded result = CONN_MESSAGE_EXPANDED;

    a->double_cnt = 0;
    if (!set_fill(c, set, &cnt))
        return CONN_MESSAGE_TOO_MANY;
    if (r.orcpt.len == 0)
        r.orcpt = make_orcpt(&made, a->address);
    if (a->target_cnt > 1 && (r.notify & SPOOL_ENVELOPE_NOTIFY_SUCCESS) != 0) {
        struct spool_envelope_recipient list = {.notify = SPOOL_ENVELOPE_NOTIFY_SUCCESS,
                                                .orcpt = c->in.smtp.rcpt.orcpt,
                                                .expanded = true};
        if (!put_recipient(c, a->address, &list))
            result = CONN_MESSAGE_NO_BUFFER;
        r.notify = notify_of_targets(r.notify);
    }
    for (uint32_t i = 0; i < a->target_cnt && result == CONN_MESSAGE_EXPANDED; i++) {
        bool away = a->forward_from.len > 0 && a->forwarded(a->user, a->targets[i]);
        r.from = away ? a->forward_from : base_span_of(NULL, 0);
        if (!set_add(set, a->targets[i]))
            a->double_cnt++;
        else if (++cnt > CONN_MESSAGE_EXPANDED_MAX)
            result = CONN_MESSAGE_TOO_MANY;
        else if (!put_recipient(c, a->targets[i], &r))
            result = CONN_MESSAGE_NO_BUFFER;
    }
    if (result != CONN_MESSAGE_EXPANDED)
        take_back(c, last, len);
    else
        t->expanded = true;
    return result;
}

void conn_message_header(const struct conn *c, struct policy_from *f)
{
    for (const struct spool_buf *b = c->in.txn.held; b != NULL; b = b->next)
        policy_from_push(f, base_span_of(b->data + b->hold_cnt, b->len - b->hold_cnt));
}

/* What MAIL said, with whom and when. */
static void add_mail(struct conn *c, struct base_buf *fields)
{
    const struct smtp_server *s = &c->in.smtp;
    const struct smtp_mail_params *params = &s->mail;
    uint8_t client[18], destination[18], arrival[8], size[8];

    put_endpoint(client, &c->remote);
    put_endpoint(destination, &c->local);
    base_put_le64(arrival, c->lane->wall_ns);
    base_put_le64(size, params->size_bytes);
    add(fields, SPOOL_ENVELOPE_SENDER, s->address.mailbox.p, s->address.mailbox.len);
    add(fields, SPOOL_ENVELOPE_ARRIVAL, arrival, sizeof(arrival));
    add(fields, SPOOL_ENVELOPE_CLIENT_ADDRESS, client, sizeof(client));
    add(fields, SPOOL_ENVELOPE_CLIENT_DESTINATION, destination, sizeof(destination));
    add(fields, SPOOL_ENVELOPE_HELO, s->helo, s->helo_len);
    if (params->body_8bit)
        add(fields, SPOOL_ENVELOPE_BODY_8BIT, NULL, 0);
    if (params->size_bytes > 0)
        add(fields, SPOOL_ENVELOPE_SIZE, size, sizeof(size));
    if (params->smtputf8)
        add(fields, SPOOL_ENVELOPE_SMTPUTF8, NULL, 0);
    if (params->requiretls)
        add(fields, SPOOL_ENVELOPE_REQUIRETLS, NULL, 0);
    if (params->ret != SMTP_RET_NONE)
        add(fields, SPOOL_ENVELOPE_RET, &params->ret, 1);
    if (params->envid.len > 0)
        add(fields, SPOOL_ENVELOPE_ENVID, params->envid.p, params->envid.len);
}

uint32_t conn_message_max(const struct lane *l)
{
    return l->bufs.buf_cnt / 4;
}

bool conn_message_begin(struct conn *c, uint32_t spool)
{
    struct conn_transaction *t = &c->in.txn;
    struct lane *l = c->lane;
    uint8_t bytes[FIELDS_MAX];
    struct base_buf fields = {.p = bytes, .cap = sizeof(bytes)};

    lane_busy_settle(c, true);
    if (l->transaction_cnt >= conn_message_max(l)) {
        stats_inc(l->stats, STATS_CONN_REFUSED_BUFFERS);
        return false;
    }
    *t = (struct conn_transaction){.open = true};
    l->transaction_cnt++;
    t->id = spool_id_make(l->wall_ns, l->topology->spool[spool].number, (uint8_t)l->number,
                          l->id_counter++);
    add_mail(c, &fields);
    if (put_fields(c, base_buf_span(&fields)))
        return true;
    conn_message_drop(c);
    stats_inc(l->stats, STATS_CONN_REFUSED_BUFFERS);
    return false;
}

bool conn_message_received(struct conn *c)
{
    struct conn_transaction *t = &c->in.txn;
    struct smtp_server *s = &c->in.smtp;
    char id[SPOOL_ID_TEXT_LEN + 1], client[NET_ADDR_TEXT_CAP];
    struct base_span recipient = {0};
    /* In ASCII or not at all: else no next hop without SMTPUTF8 could be given the message, whoever
     * its recipient is in the end. */
    uint8_t mailbox[SMTP_ADDRESS_MAX];
    struct base_buf ascii = {.p = mailbox, .cap = sizeof(mailbox)};

    if (SPOOL_BUF_BYTES - t->held_last->len < SMTP_RECEIVED_MAX && !hold_more(c))
        return false;
    if (s->recipient_cnt == 1 && !t->expanded) { /* who is behind an alias is not told */
        struct base_span rest = base_span_of(t->held->data, t->held->hold_cnt);
        struct spool_envelope_field f;
        while (spool_envelope_next(&rest, &f) == 1)
            if (f.type == SPOOL_ENVELOPE_RECIPIENT && policy_ascii_mailbox(&ascii, f.value) == 0)
                recipient = base_buf_span(&ascii);
    }
    spool_id_format(id, &t->id);
    net_addr_format(client, &c->remote.addr);
    struct smtp_received r = {
        .helo = base_span_of(s->helo, s->helo_len),
        .client_address = client,
        .hostname = c->lane->settings->smtp.hostname,
        .id = id,
        .recipient = recipient,
        .wall_ns = c->lane->wall_ns,
        .extended = s->extended,
        .authenticated = s->authenticated,
        .smtputf8 = s->mail.smtputf8,
    };
    if (c->lane->settings->conf->smtp.received_login)
        r.login = c->in.login;
    if (c->tls != NULL) {
        struct tls_facts f;
        tls_conn_facts(c->tls, &f);
        r.tls_version = f.version;
        r.tls_cipher = f.cipher;
        r.tls_suite = f.suite;
        r.tls_group = f.group;
        r.tls_bits = f.cipher_bits;
    }
    struct spool_buf *b = t->held_last;
    struct base_buf out = {.p = b->data, .len = b->len, .cap = SPOOL_BUF_BYTES};
    if (smtp_received_write(&out, &r) != 0)
        return false;
    b->len = (uint32_t)out.len;
    t->header = b;
    t->header_from = b->len;
    return true;
}

/* BEGIN and the envelope; once, before the first other entry of the message. */
static void push_envelope(struct conn *c)
{
    struct conn_transaction *t = &c->in.txn;

    if (t->begun)
        return;
    t->begun = true;
    push(c, SPOOL_BEGIN, SPOOL_PART_ENVELOPE, t->held->data, t->held->hold_cnt, NULL);
    for (struct spool_buf *b = t->held->next; b != NULL && b->hold_cnt > 0; b = b->next)
        push(c, SPOOL_CHUNK, SPOOL_PART_ENVELOPE, b->data, b->hold_cnt, NULL);
}

/* Sends the body bytes gathered so far; the buffer goes with them unless it also holds others. */
static void push_body(struct conn *c)
{
    struct conn_transaction *t = &c->in.txn;
    struct spool_buf *b = t->body;

    if (b == NULL)
        return;
    t->body = NULL;
    if (b->len > t->body_from) {
        push_envelope(c);
        push(c, SPOOL_CHUNK, SPOOL_PART_BODY, b->data + t->body_from, b->len - t->body_from,
             b == t->held_last ? NULL : b);
    } else if (b != t->held_last) {
        spool_buf_put(&c->lane->bufs, b);
    }
}

void conn_message_commit(struct conn *c)
{
    struct conn_transaction *t = &c->in.txn;

    push_envelope(c);
    push_body(c);
    while (t->held != NULL) {
        struct spool_buf *b = t->held;
        uint32_t end = b == t->held_last && t->header_end > 0 ? t->header_end : b->len;
        t->held = b->next;
        push(c, SPOOL_CHUNK, SPOOL_PART_HEADER, b->data + b->hold_cnt, end - b->hold_cnt, b);
    }
    t->held_last = NULL;
    push(c, SPOOL_COMMIT, 0, NULL, 0, NULL);
    t->open = false;
    t->committing = true;
    c->lane->transaction_cnt--;
    c->lane->commit_cnt++;
}

struct spool_buf *conn_message_target(struct conn *c, bool *full)
{
    struct conn_transaction *t = &c->in.txn;

    *full = false;
    if (c->in.smtp.refusal != SMTP_REFUSAL_NONE)
        return t->held_last; /* nothing will be written to it */
    if (t->header_end == 0) {
        *full = t->held_last->len == SPOOL_BUF_BYTES && !hold_more(c);
        return t->held_last;
    }
    if (t->body != NULL && t->body->len == SPOOL_BUF_BYTES)
        push_body(c);
    if (t->body == NULL) {
        t->body = spool_buf_get(&c->lane->bufs);
        t->body_from = 0;
    }
    return t->body;
}

void conn_message_headers_end(struct conn *c)
{
    struct conn_transaction *t = &c->in.txn;

    t->body = t->held_last;
    t->header_end = t->held_last->len;
    t->body_from = t->header_end;
}
