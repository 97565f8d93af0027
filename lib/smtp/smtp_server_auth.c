/*
 * AUTH (RFC 4954). The session knows the order of commands and base64; mechanisms and accounts are
 * its caller's.
 */
#include "smtp_base64.h"
#include "smtp_internal.h"

bool smtp_server_offers_auth(const struct smtp_server *s)
{
    return s->auth_mechanisms != 0 && (s->tls == SMTP_TLS_ON || s->auth_clear);
}

int smtp_server_put_auth(const struct smtp_server *s, struct base_buf *out)
{
    int failed = base_buf_puts(out, "250-AUTH");

    for (int m = 0; m < SMTP_SASL_MECHANISM_CNT; m++)
        if (s->auth_mechanisms & 1U << m) {
            failed |= base_buf_puts(out, " ");
            failed |= base_buf_puts(out, smtp_sasl_name((enum smtp_sasl_mechanism)m));
        }
    return failed | base_buf_puts(out, "\r\n");
}

static enum smtp_server_event refuse(struct smtp_server *s, enum smtp_reason reason,
                                     struct base_buf *out)
{
    bool over = s->exchanging;

    s->exchanging = false;
    smtp_server_refuse(s, reason, out);
    return over ? SMTP_SERVER_AUTH_END : SMTP_SERVER_MORE;
}

static enum smtp_server_event ask(struct smtp_server *s, struct base_span response)
{
    s->auth_response = response;
    s->asked = SMTP_SERVER_AUTH;
    return SMTP_SERVER_AUTH;
}

enum smtp_server_event smtp_server_auth(struct smtp_server *s, struct base_span argument,
                                        struct base_buf *out)
{
    if (s->state == SMTP_SESSION_START)
        return refuse(s, SMTP_REASON_NO_HELO, out);
    if (s->auth_mechanisms == 0)
        return refuse(s, SMTP_REASON_NO_AUTH, out);
    if (!smtp_server_offers_auth(s))
        return refuse(s, SMTP_REASON_AUTH_CLEAR, out);
    if (!s->extended)
        return refuse(s, SMTP_REASON_NO_EHLO, out);
    if (s->state != SMTP_SESSION_GREETED)
        return refuse(s, SMTP_REASON_AUTH_IN_MAIL, out);
    if (s->authenticated)
        return refuse(s, SMTP_REASON_AUTH_TWICE, out);
    const uint8_t *space = argument.len > 0 ? memchr(argument.p, ' ', argument.len) : NULL;
    struct base_span name = argument, response = base_span_of(NULL, 0);
    if (space != NULL) {
        name.len = (size_t)(space - argument.p);
        response = base_span_of(space + 1, argument.len - name.len - 1);
    }
    if (name.len == 0 || (response.len > 0 && memchr(response.p, ' ', response.len) != NULL))
        return refuse(s, SMTP_REASON_AUTH_SYNTAX, out);
    enum smtp_sasl_mechanism m = smtp_sasl_find(name);
    if (m == SMTP_SASL_MECHANISM_CNT || (s->auth_mechanisms & 1U << m) == 0)
        return refuse(s, SMTP_REASON_AUTH_UNKNOWN, out);
    if (base_span_eq(response, base_span_str("="))) /* an empty one: RFC 4954 section 4 */
        response.len = 0;
    if (!smtp_base64_valid(response))
        return refuse(s, SMTP_REASON_AUTH_BASE64, out);
    s->auth_mechanism = (uint8_t)m;
    s->auth_begins = true;
    return ask(s, response);
}

enum smtp_server_event smtp_server_auth_line(struct smtp_server *s, struct base_span line,
                                             struct base_buf *out)
{
    if (base_span_eq(line, base_span_str("*")))
        return refuse(s, SMTP_REASON_AUTH_CANCELLED, out);
    if (!smtp_base64_valid(line))
        return refuse(s, SMTP_REASON_AUTH_BASE64, out);
    s->auth_begins = false;
    return ask(s, base_span_of(line.p, line.len));
}

enum smtp_server_event smtp_server_auth_long(struct smtp_server *s, struct base_buf *out)
{
    return refuse(s, SMTP_REASON_AUTH_LONG, out);
}

void smtp_server_challenge(struct smtp_server *s, struct base_span challenge, struct base_buf *out)
{
    base_assert(s->asked == SMTP_SERVER_AUTH && challenge.len <= SMTP_SASL_CHALLENGE_MAX);
    s->asked = 0;
    s->auth_response = base_span_of(NULL, 0);
    s->exchanging = true;
    int failed = base_buf_puts(out, "334 ");
    failed |= smtp_base64_encode(out, challenge);
    failed |= base_buf_puts(out, "\r\n");
    base_assert(failed == 0);
}
