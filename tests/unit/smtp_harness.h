/*
 * A caller of the SMTP server for tests and fuzz targets: feeds input in pieces, answers by simple
 * rules, and keeps replies, bodies and events as one text each. Rules, by the local part of the
 * address: "no..." is refused with 550, "later..." with 451, "shut..." with 421; a sender "nodata"
 * has DATA refused, "nomsg" the whole message with 451, "full" its body in the middle of it.
 * AUTH is answered by what the client says: "yes", "more" (another challenge), "later", "shut", or
 * no. STARTTLS is accepted (a caller of the real one would look for bytes behind it; "no" in EHLO
 * refuses). A chunk's bodies are one as a message's: what BDAT brings is put together.
 */
#ifndef SMTP_HARNESS_H
#define SMTP_HARNESS_H

#include "smtp_base64.h"
#include "smtp_server.h"

#include <stdio.h>
#include <stdlib.h>

struct harness {
    struct smtp_server server;
    struct stats_block stats;
    struct base_buf in;     /* not consumed yet */
    struct base_buf out;    /* replies */
    struct base_buf bodies; /* of accepted messages, each between [ and ] */
    struct base_buf body;   /* of the present one */
    struct base_buf trace;  /* events */
    size_t dst_cap;
    char sender[8];
    bool closed;
};

static const struct smtp_server_settings harness_settings = {
    .hostname = "mx.test",
    .message_size_max = 2000,
    .recipient_max = 3,
    .error_max = 6,
    .junk_max = 8,
    .header_bytes_max = 600,
    .hop_max = 4,
};

/* All extensions, and no limit of errors. */
static const struct smtp_server_settings harness_extended = {
    .hostname = "mx.test",
    .message_size_max = 2000,
    .recipient_max = 3,
    .header_bytes_max = 600,
    .hop_max = 4,
    .extensions = SMTP_EXTENSION_DSN | SMTP_EXTENSION_SMTPUTF8,
};

/* CHUNKING, and every limit of a body. */
static const struct smtp_server_settings harness_chunks = {
    .hostname = "mx.test",
    .message_size_max = 2000,
    .recipient_max = 3,
    .error_max = 6,
    .junk_max = 8,
    .header_bytes_max = 600,
    .header_field_max = 8,
    .line_max = 400,
    .hop_max = 4,
    .extensions = SMTP_EXTENSION_CHUNKING,
};

static inline void harness_grow(struct base_buf *b, size_t cap)
{
    b->len = 0;
    b->cap = cap;
    b->p = malloc(cap);
    base_assert(b->p != NULL);
}

static inline void harness_put(struct base_buf *b, const void *p, size_t n)
{
    int failed = base_buf_put(b, p, n);
    base_assert(failed == 0);
}

static inline void harness_puts(struct base_buf *b, const char *s)
{
    harness_put(b, s, strlen(s));
}

static inline struct harness *harness_open(const struct smtp_server_settings *settings,
                                           size_t dst_cap, size_t room)
{
    struct harness *h = aligned_alloc(64, (sizeof(*h) + 63) / 64 * 64);
    base_assert(h != NULL);
    memset(h, 0, sizeof(*h));
    h->dst_cap = dst_cap;
    harness_grow(&h->in, room);
    harness_grow(&h->out, 24 * room + 8192);
    harness_grow(&h->bodies, 2 * room + 8192);
    harness_grow(&h->body, room);
    harness_grow(&h->trace, 8 * room + 8192);
    smtp_server_init(&h->server, settings, &h->stats);
    smtp_server_greet(&h->server, &h->out);
    return h;
}

static inline void harness_close(struct harness *h)
{
    free(h->in.p);
    free(h->out.p);
    free(h->bodies.p);
    free(h->body.p);
    free(h->trace.p);
    free(h);
}

static inline bool harness_starts(struct base_span s, const char *with)
{
    return s.len >= strlen(with) && memcmp(s.p, with, strlen(with)) == 0;
}

/* The parameters as a client would write them; what is shown was checked. */
static inline void harness_show_params(struct harness *h)
{
    const struct smtp_server *s = &h->server;
    uint8_t room[SMTP_ORCPT_MAX];
    struct base_buf decoded = {room, 0, sizeof(room)};
    int failed = 0;

    if (s->asked == SMTP_SERVER_MAIL) {
        base_assert(s->rcpt.notify == 0 && s->rcpt.orcpt.len == 0);
        base_assert(s->mail.envid.len <= SMTP_ENVID_MAX);
        failed = smtp_xtext_decode(&decoded, s->mail.envid) |
                 smtp_mail_params_write(&h->trace, &s->mail);
    } else {
        base_assert(s->rcpt.orcpt.len <= SMTP_ORCPT_MAX && s->mail.envid.len == 0);
        base_assert(s->rcpt.notify == 0 || smtp_notify_valid(s->rcpt.notify));
        base_assert(s->rcpt.orcpt.len == 0 || memchr(s->rcpt.orcpt.p, ';', s->rcpt.orcpt.len));
        failed = smtp_rcpt_params_write(&h->trace, &s->rcpt);
        if (!s->mail.smtputf8)
            failed |= smtp_xtext_decode(&decoded, s->rcpt.orcpt);
    }
    base_assert(failed == 0);
    for (size_t i = 0; i < decoded.len; i++)
        base_assert(decoded.p[i] >= 0x20 && decoded.p[i] < 0x7f);
    if (!s->mail.smtputf8)
        for (size_t i = 0; i < s->address.mailbox.len; i++)
            base_assert(s->address.mailbox.p[i] < 0x80);
}

static inline void harness_answer_address(struct harness *h, struct base_buf *out)
{
    struct base_span local = h->server.address.local;
    struct smtp_reply reply = {250, "2.1.0", "Ok"};

    if (harness_starts(local, "nodata") || harness_starts(local, "nomsg")) {
    } else if (harness_starts(local, "no"))
        reply = (struct smtp_reply){550, "5.1.1", "No such user"};
    else if (harness_starts(local, "later"))
        reply = (struct smtp_reply){451, "4.3.0", "Try again later"};
    else if (harness_starts(local, "shut"))
        reply = (struct smtp_reply){421, "4.3.2", "Closing"};
    if (h->server.asked == SMTP_SERVER_MAIL) {
        size_t n = local.len < 7 ? local.len : 7;
        if (n > 0)
            memcpy(h->sender, local.p, n);
        h->sender[n] = 0;
    }
    harness_puts(&h->trace, h->server.asked == SMTP_SERVER_MAIL ? "M<" : "R<");
    harness_put(&h->trace, h->server.address.mailbox.p, h->server.address.mailbox.len);
    harness_puts(&h->trace, ">");
    harness_show_params(h);
    harness_puts(&h->trace, " ");
    smtp_server_answer(&h->server, &reply, out);
}

static inline void harness_end_body(struct harness *h, enum smtp_server_event event,
                                    struct base_buf *out)
{
    if (event == SMTP_SERVER_REFUSED) {
        harness_puts(&h->trace, "refused:");
        harness_puts(&h->trace, smtp_refusal_name(h->server.refusal));
        harness_puts(&h->trace, " ");
    } else if (event == SMTP_SERVER_CLOSE) {
        harness_puts(&h->trace, "closed:");
        harness_puts(&h->trace, smtp_refusal_name(h->server.refusal));
        harness_puts(&h->trace, " ");
    } else if (strcmp(h->sender, "nomsg") == 0) {
        smtp_server_answer(&h->server, &(struct smtp_reply){451, "4.3.0", "Not stored"}, out);
        harness_puts(&h->trace, "unstored ");
    } else {
        base_assert(event == SMTP_SERVER_MESSAGE);
        base_assert(h->server.message_bytes == h->body.len);
        smtp_server_answer(&h->server, &(struct smtp_reply){250, "2.0.0", "Ok: queued"}, out);
        harness_puts(&h->trace, "stored ");
        harness_puts(&h->bodies, "[");
        harness_put(&h->bodies, h->body.p, h->body.len);
        harness_puts(&h->bodies, "]");
    }
}

/* Runs the body on what is in h->in. Returns false when more input is needed. */
static inline bool harness_body(struct harness *h, struct base_buf *out)
{
    /* Exactly as large as it is said to be, so that a sanitizer sees a write past it. */
    uint8_t *room = malloc(h->dst_cap);
    size_t done = 0;
    bool ended = false;

    base_assert(room != NULL);
    for (;;) {
        struct base_buf dst = {room, 0, h->dst_cap};
        enum smtp_server_event event = SMTP_SERVER_MORE;
        size_t used;
        enum smtp_body_state state = smtp_server_body(
            &h->server, base_span_of(h->in.p + done, h->in.len - done), &used, &dst, out, &event);
        done += used;
        if (h->server.refusals == 0)
            harness_put(&h->body, dst.p, dst.len);
        if (state == SMTP_BODY_MORE) {
            base_assert(done == h->in.len && !smtp_server_body_due(&h->server));
            break;
        }
        if (state == SMTP_BODY_CHUNK) {
            base_assert(h->server.state == SMTP_SESSION_CHUNKS);
            ended = true;
            break;
        }
        if (state == SMTP_BODY_HEADERS_END) {
            char text[32];
            snprintf(text, sizeof(text), "h%zu ", h->body.len);
            harness_puts(&h->trace, text);
        }
        if (state == SMTP_BODY_FULL)
            base_assert(dst.len == dst.cap);
        if (state == SMTP_BODY_END) {
            harness_end_body(h, event, out);
            ended = true;
            break;
        }
    }
    free(room);
    memmove(h->in.p, h->in.p + done, h->in.len - done);
    h->in.len -= done;
    return ended;
}

static inline void harness_answer_auth(struct harness *h, struct base_buf *out)
{
    struct smtp_server *s = &h->server;
    struct base_span r = s->auth_response;
    uint8_t room[SMTP_LINE_MAX];
    struct base_buf said = {room, 0, sizeof(room)};
    int failed = smtp_base64_decode(&said, r);

    base_assert(failed == 0);
    harness_puts(&h->trace, s->auth_begins ? smtp_sasl_name(s->auth_mechanism) : "more");
    harness_puts(&h->trace, r.p == NULL ? "" : ":");
    harness_put(&h->trace, r.p, r.len);
    harness_puts(&h->trace, " ");
    if (r.p == NULL)
        smtp_server_challenge(s, base_span_of(NULL, 0), out);
    else if (harness_starts(base_buf_span(&said), "more"))
        smtp_server_challenge(s, base_span_str("again"), out);
    else if (harness_starts(base_buf_span(&said), "yes"))
        smtp_server_answer(s, &(struct smtp_reply){235, "2.7.0", "Yes"}, out);
    else if (harness_starts(base_buf_span(&said), "later"))
        smtp_server_answer(s, &(struct smtp_reply){454, "4.7.0", "Later"}, out);
    else if (harness_starts(base_buf_span(&said), "shut"))
        smtp_server_answer(s, &(struct smtp_reply){421, "4.7.0", "Shut"}, out);
    else
        smtp_server_answer(s, &(struct smtp_reply){535, "5.7.8", "No"}, out);
}

/* One call of push and what its event asks for. Returns false when more input is needed. */
static inline bool harness_step(struct harness *h, struct base_buf *out)
{
    size_t used;
    enum smtp_server_event event = smtp_server_push(&h->server, base_buf_span(&h->in), &used, out);
    bool more = true;

    switch (event) {
    case SMTP_SERVER_MORE:
        more = false;
        break;
    case SMTP_SERVER_FLUSH:
        break;
    case SMTP_SERVER_MAIL:
    case SMTP_SERVER_RCPT:
        harness_answer_address(h, out);
        break;
    case SMTP_SERVER_DATA:
        h->body.len = 0;
        if (strcmp(h->sender, "nodata") == 0) {
            smtp_server_answer(&h->server, &(struct smtp_reply){451, "4.3.0", "No data now"}, out);
            break;
        }
        smtp_server_answer(&h->server, NULL, out);
        if (strcmp(h->sender, "full") == 0)
            smtp_server_refuse_body(&h->server, &(struct smtp_reply){452, "4.3.1", "Disk is full"});
        break;
    case SMTP_SERVER_STARTTLS:
        harness_puts(&h->trace, "tls ");
        if (harness_starts(base_span_of(h->server.helo, h->server.helo_len), "no"))
            smtp_server_answer(&h->server, &(struct smtp_reply){554, "5.5.0", "No"}, out);
        else if (harness_starts(base_span_of(h->server.helo, h->server.helo_len), "later"))
            smtp_server_answer(&h->server, &(struct smtp_reply){454, "4.7.0", "Later"}, out);
        else
            smtp_server_answer(&h->server, &(struct smtp_reply){220, "2.0.0", "Go"}, out);
        break;
    case SMTP_SERVER_AUTH:
        harness_answer_auth(h, out);
        break;
    case SMTP_SERVER_XCLIENT:
        harness_puts(&h->trace, "xclient ");
        smtp_server_answer(&h->server, &(struct smtp_reply){220, NULL, "mx.test ESMTP"}, out);
        break;
    case SMTP_SERVER_AUTH_END:
        harness_puts(&h->trace, "auth-end ");
        break;
    case SMTP_SERVER_BODY:
        break;
    case SMTP_SERVER_RESET:
        harness_puts(&h->trace, "reset ");
        break;
    case SMTP_SERVER_CLOSE:
        base_assert(h->server.close_reason != NULL);
        h->closed = true;
        more = false;
        break;
    default:
        base_assert(false);
    }
    memmove(h->in.p, h->in.p + used, h->in.len - used);
    h->in.len -= used;
    return more;
}

/* Feeds bytes; afterwards all that could be handled is. */
static inline void harness_feed(struct harness *h, const void *p, size_t n)
{
    if (h->closed)
        return;
    harness_put(&h->in, p, n);
    bool more = true;
    while (more) {
        uint8_t *room = malloc(SMTP_OUT_MIN + 100);
        struct base_buf out = {room, 0, SMTP_OUT_MIN + 100};
        base_assert(room != NULL);
        more = h->server.state == SMTP_SESSION_BODY ? harness_body(h, &out) : harness_step(h, &out);
        harness_put(&h->out, out.p, out.len);
        free(room);
    }
}

#endif
