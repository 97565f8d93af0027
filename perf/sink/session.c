#include "session.h"

#include <stdlib.h>

const char *const sink_counter_names[SINK_COUNTER_CNT] = {
    [SINK_CONNECTIONS] = "connections", [SINK_TLS] = "tls",
    [SINK_MESSAGES] = "messages",       [SINK_BYTES] = "bytes",
    [SINK_REJECTED] = "rejected",       [SINK_DAMAGED] = "damaged",
    [SINK_UNNAMED] = "unnamed",         [SINK_STRANGE] = "strange",
};

static const struct smtp_reply ok = {250, "2.0.0", "Ok"};
static const struct smtp_reply taken = {250, "2.0.0", "Ok: taken"};
static const struct smtp_reply rejected = {451, "4.3.0", "Not now, by --reject"};

void sink_init(struct sink *k, const char *hostname)
{
    base_list_init(&k->delayed);
    k->settings = (struct smtp_server_settings){
        .hostname = hostname,
        .message_size_max = UINT64_C(1) << 30,
        .recipient_max = 1000,
        .extensions = SMTP_EXTENSION_CHUNKING | SMTP_EXTENSION_SMTPUTF8 | SMTP_EXTENSION_DSN,
    };
}

void sink_fini(struct sink *k)
{
    SSL_CTX_free(k->tls);
    ledger_close(&k->ledger);
}

static void add(struct sink *k, enum sink_counter id, uint64_t n)
{
    atomic_store_explicit(&k->counter[id], sink_get(k, id) + n, memory_order_relaxed);
}

/* ---- out ---- */

static void send_records(struct session *s)
{
    BIO *bio = SSL_get_wbio(s->ssl);
    char *p;
    long len = BIO_get_mem_data(bio, &p);

    if (len > 0 && !s->sink->send(s, p, (size_t)len))
        s->ends = true;
    (void)BIO_reset(bio);
}

/* The replies of a burst leave together. */
static void flush(struct session *s)
{
    struct sink *k = s->sink;
    size_t len = k->out_len;

    k->out_len = 0;
    if (s->ssl != NULL) {
        if (len > 0 && SSL_write(s->ssl, k->out, (int)len) != (int)len)
            s->ends = true;
        send_records(s);
    } else if (len > 0 && !k->send(s, k->out, len)) {
        s->ends = true;
    }
}

static void answer(struct session *s, const struct smtp_reply *reply)
{
    struct sink *k = s->sink;
    struct base_buf out = {.p = k->out, .len = k->out_len, .cap = sizeof(k->out)};

    smtp_server_answer(&s->smtp, reply, &out);
    k->out_len = out.len;
}

/* ---- messages ---- */

static void note(struct session *s)
{
    struct sink *k = s->sink;
    bool whole = check_is_whole(&s->check), known = true;

    if (!s->check.named) {
        add(k, SINK_UNNAMED, 1);
        return;
    }
    add(k, SINK_DAMAGED, whole ? 0 : 1);
    if (k->ledger.head == NULL)
        return;
    for (uint32_t i = 0; i <= LEDGER_RECIPIENT_MAX; i++)
        if ((s->recipients[i / 64] >> i % 64 & 1) != 0)
            known = ledger_see(&k->ledger, &s->check.id, i, whole) && known;
    add(k, SINK_STRANGE, known ? 0 : 1);
}

/* The reply to a message, when its delay is over. */
static void finish(struct session *s)
{
    struct sink *k = s->sink;
    enum sink_fault fault = k->fault;

    if (k->fault_each == 0 || ++k->end_cnt % k->fault_each != 0)
        fault = SINK_FAULT_NONE;
    k->reject_part += k->reject_percent;
    if (k->reject_part >= 100) {
        k->reject_part -= 100;
        add(k, SINK_REJECTED, 1);
        answer(s, &rejected);
        return;
    }
    if (fault == SINK_FAULT_ALTER)
        check_feed(&s->check, (const uint8_t *)"x", 1);
    if (fault != SINK_FAULT_LOSE)
        note(s); /* before the 250: whatever was acknowledged stands there */
    add(k, SINK_MESSAGES, 1);
    add(k, SINK_BYTES, s->smtp.message_bytes);
    if (fault == SINK_FAULT_CUT)
        s->ends = true;
    else
        answer(s, &taken);
}

static void message(struct session *s)
{
    struct sink *k = s->sink;

    if (k->delay_ns == 0) {
        finish(s);
        return;
    }
    s->waits = true;
    s->due_ns = k->now_ns + k->delay_ns;
    base_list_push_back(&k->delayed, &s->place);
}

struct session *sink_due(struct sink *k)
{
    if (base_list_empty(&k->delayed))
        return NULL;
    struct session *s = base_container_of(k->delayed.next, struct session, place);
    return s->due_ns <= k->now_ns ? s : NULL;
}

/* ---- in ---- */

/* behind: there is input behind the command. Returns false when more input is needed. */
static bool event(struct session *s, enum smtp_server_event e, bool behind)
{
    static const struct smtp_reply ready = {220, "2.0.0", "Ready"};
    static const struct smtp_reply early = {554, "5.5.1", "Said before TLS"};

    switch (e) {
    case SMTP_SERVER_MAIL:
        s->recipients[0] = s->recipients[1] = 0;
        answer(s, &ok);
        return true;
    case SMTP_SERVER_RCPT: {
        uint32_t n = ledger_recipient(s->smtp.address.mailbox);
        s->recipients[n / 64] |= UINT64_C(1) << n % 64;
        answer(s, &ok);
        return true;
    }
    case SMTP_SERVER_DATA:
        check_begin(&s->check);
        answer(s, NULL);
        return true;
    case SMTP_SERVER_BODY:
        s->in_body = true;
        return true;
    case SMTP_SERVER_MESSAGE:
        message(s);
        return true;
    case SMTP_SERVER_STARTTLS:
        answer(s, behind ? &early : &ready);
        s->starts_tls = !behind;
        return true;
    case SMTP_SERVER_CLOSE:
        s->ends = true;
        return false;
    case SMTP_SERVER_MORE:
        return false;
    case SMTP_SERVER_AUTH:    /* not offered */
    case SMTP_SERVER_XCLIENT: /* likewise */
        base_assert(false);
        return false;
    case SMTP_SERVER_REFUSED:
    case SMTP_SERVER_RESET:
    case SMTP_SERVER_AUTH_END:
    case SMTP_SERVER_FLUSH:
        return true;
    }
    return false;
}

/* One call of the server. Returns false when it needs more input. */
static bool step(struct session *s, struct base_span in, size_t *used)
{
    struct sink *k = s->sink;
    struct base_buf body = {.p = k->body, .cap = sizeof(k->body)};
    enum smtp_server_event e = SMTP_SERVER_MORE;

    if (sizeof(k->out) - k->out_len < SMTP_OUT_MIN)
        flush(s);
    struct base_buf out = {.p = k->out, .len = k->out_len, .cap = sizeof(k->out)};
    if (!s->in_body) {
        e = smtp_server_push(&s->smtp, in, used, &out);
        k->out_len = out.len;
        return event(s, e, *used < in.len);
    }
    if (in.len == 0 && !smtp_server_body_due(&s->smtp))
        return false;
    enum smtp_body_state state = smtp_server_body(&s->smtp, in, used, &body, &out, &e);
    k->out_len = out.len;
    check_feed(&s->check, body.p, body.len);
    if (state == SMTP_BODY_END || state == SMTP_BODY_CHUNK)
        s->in_body = false;
    return state != SMTP_BODY_END || event(s, e, false);
}

/* Commands and bodies in clear; how many bytes of them were used. */
static size_t take(struct session *s, const uint8_t *p, size_t len)
{
    size_t at = 0, used = 0;

    for (bool more = true; more && !s->ends && !s->waits && !s->starts_tls; at += used) {
        used = 0;
        more = step(s, base_span_of(p + at, len - at), &used);
    }
    return at;
}

static void keep(struct session *s, const uint8_t *p, size_t len)
{
    if (len == 0)
        return;
    if (s->stash_len + len > s->stash_cap) {
        s->stash_cap = s->stash_len + len;
        s->stash = realloc(s->stash, s->stash_cap);
        if (s->stash == NULL)
            abort(); /* a tool on a machine without memory */
    }
    memcpy(s->stash + s->stash_len, p, len);
    s->stash_len += len;
}

/* Plaintext, behind what waits already. */
static void take_plain(struct session *s, const uint8_t *p, size_t len)
{
    if (s->stash_len > 0) {
        keep(s, p, len);
        size_t used = take(s, s->stash, s->stash_len);
        s->stash_len -= used;
        memmove(s->stash, s->stash + used, s->stash_len);
        return;
    }
    size_t used = take(s, p, len);
    keep(s, p + used, len - used);
}

/* What the records so far hold. */
static void take_records(struct session *s)
{
    struct sink *k = s->sink;

    while (!s->ends && !s->waits) {
        int n = SSL_read(s->ssl, k->plain, sizeof(k->plain));
        if (n > 0) {
            take_plain(s, k->plain, (size_t)n);
            continue;
        }
        s->ends = SSL_get_error(s->ssl, n) != SSL_ERROR_WANT_READ;
        break;
    }
}

static void start_tls(struct session *s)
{
    s->starts_tls = false;
    s->ssl = SSL_new(s->sink->tls);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    if (s->ssl == NULL || in == NULL || out == NULL)
        abort();
    SSL_set_bio(s->ssl, in, out);
    SSL_set_accept_state(s->ssl);
    s->smtp.tls = SMTP_TLS_ON;
    add(s->sink, SINK_TLS, 1);
}

static void greet(struct session *s)
{
    struct sink *k = s->sink;
    struct base_buf out = {.p = k->out, .cap = sizeof(k->out)};

    smtp_server_greet(&s->smtp, &out);
    k->out_len = out.len;
}

/* After whatever has happened: replies leave, TLS begins behind its 220, and ends with the session.
 */
static void settle(struct session *s)
{
    flush(s);
    if (s->starts_tls && !s->ends)
        start_tls(s);
    if (s->ends && s->ssl != NULL && SSL_is_init_finished(s->ssl)) {
        (void)SSL_shutdown(s->ssl);
        send_records(s);
    }
}

void session_open(struct session *s, struct sink *k)
{
    memset(s, 0, sizeof(*s));
    s->sink = k;
    base_list_init(&s->place);
    smtp_server_init(&s->smtp, &k->settings, k->stats);
    add(k, SINK_CONNECTIONS, 1);
    if (k->tls != NULL && k->implicit) {
        start_tls(s);
    } else {
        s->smtp.tls = k->tls != NULL ? SMTP_TLS_OFFERED : SMTP_TLS_NONE;
        greet(s);
    }
    settle(s);
}

void session_feed(struct session *s, const uint8_t *p, size_t len)
{
    base_assert(!s->waits);
    if (s->ends)
        return;
    if (s->ssl == NULL) {
        take_plain(s, p, len);
    } else {
        bool first = s->sink->implicit && !SSL_is_init_finished(s->ssl);
        if (BIO_write(SSL_get_rbio(s->ssl), p, (int)len) != (int)len)
            abort();
        take_records(s);
        if (first && SSL_is_init_finished(s->ssl))
            greet(s);
    }
    settle(s);
}

void session_resume(struct session *s)
{
    s->waits = false;
    base_list_remove(&s->place);
    finish(s);
    if (!s->ends)
        take_plain(s, s->sink->plain, 0); /* nothing new: what waits */
    if (s->ssl != NULL)
        take_records(s);
    settle(s);
}

void session_close(struct session *s)
{
    base_list_remove(&s->place);
    SSL_free(s->ssl);
    free(s->stash);
}
