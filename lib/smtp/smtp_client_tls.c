/*
 * STARTTLS on the client's side (RFC 3207): when it is asked for, what its reply means, and what is
 * forgotten once TLS stands.
 */
#include "smtp_client_internal.h"

#include <stdio.h>

void smtp_client_want_tls(struct smtp_client *c, enum smtp_client_tls tls)
{
    base_assert(c->state == SMTP_CLIENT_STATE_GREETING && !c->encrypted);
    c->tls = (uint8_t)tls;
}

/* Whoever stands between us may have said it (RFC 3207 section 4.2). */
static void forget(struct smtp_client *c)
{
    c->offers_pipelining = false;
    c->offers_8bitmime = false;
    c->offers_size = false;
    c->offers_smtputf8 = false;
    c->offers_dsn = false;
    c->offers_requiretls = false;
    c->offers_starttls = false;
    c->offers_chunking = false;
    c->offers_auth = false;
    c->auth_offered = 0;
    c->mail_max = 0;
    c->rcpt_max = 0;
    c->domain_max = 0;
    c->server_size_max = 0;
}

void smtp_client_encrypted(struct smtp_client *c, bool secured)
{
    base_assert(c->state == SMTP_CLIENT_STATE_HANDSHAKE ||
                (c->state == SMTP_CLIENT_STATE_GREETING && c->reply_line_cnt == 0));
    base_assert(!c->encrypted);
    c->encrypted = true;
    c->secured = secured;
    forget(c);
    if (c->state == SMTP_CLIENT_STATE_HANDSHAKE)
        smtp_client_set_state(c, SMTP_CLIENT_STATE_EHLO, true);
}

static void set_refused(struct smtp_client *c, const char *enhanced, const char *text)
{
    c->tls_refused = true;
    c->server_refused = true;
    smtp_client_set_reply(c, enhanced[0] == '5' ? 550 : 0, enhanced, text);
}

static void set_injected(struct smtp_client *c)
{
    stats_inc(c->stats, STATS_SMTP_CLIENT_STARTTLS_INJECTED);
    set_refused(c, "4.7.5", "4.7.5 bytes in clear came behind the reply to STARTTLS");
}

void smtp_client_injected(struct smtp_client *c)
{
    base_assert(c->state == SMTP_CLIENT_STATE_HANDSHAKE);
    set_injected(c);
    stats_inc(c->stats, STATS_SMTP_CLIENT_BAD_REPLY);
    smtp_client_end_session(c);
}

enum smtp_client_hello smtp_client_after_hello(struct smtp_client *c)
{
    if (c->encrypted || c->tls == SMTP_CLIENT_TLS_OFF)
        return SMTP_CLIENT_HELLO_READY;
    if (c->offers_starttls && c->state == SMTP_CLIENT_STATE_EHLO)
        return SMTP_CLIENT_HELLO_STARTTLS;
    stats_inc(c->stats, STATS_SMTP_CLIENT_STARTTLS_ABSENT);
    if (c->tls == SMTP_CLIENT_TLS_OPTIONAL)
        return SMTP_CLIENT_HELLO_READY;
    if (c->job.tls_fails)
        set_refused(c, "5.7.30", "5.7.30 REQUIRETLS: the server does not offer TLS");
    else
        set_refused(c, "4.7.4", "4.7.4 TLS is required, but the server does not offer it");
    return SMTP_CLIENT_HELLO_REFUSE;
}

enum smtp_client_starttls smtp_client_after_starttls(struct smtp_client *c, bool more_input)
{
    char text[SMTP_CLIENT_TEXT_MAX];
    const char *enhanced = c->job.tls_fails ? "5.7.10" : "4.7.4";

    if (c->reply.code == 220) {
        if (more_input) {
            set_injected(c);
            return SMTP_CLIENT_STARTTLS_INJECTED;
        }
        stats_inc(c->stats, STATS_SMTP_CLIENT_STARTTLS);
        return SMTP_CLIENT_STARTTLS_GO;
    }
    stats_inc(c->stats, STATS_SMTP_CLIENT_STARTTLS_REFUSED);
    if (c->tls == SMTP_CLIENT_TLS_OPTIONAL && c->reply.code >= 400)
        return SMTP_CLIENT_STARTTLS_CLEAR;
    snprintf(text, sizeof(text), "%s TLS is required, but the server answers STARTTLS by %u %.*s",
             enhanced, c->reply.code, (int)c->reply.text_len, c->reply.text);
    set_refused(c, enhanced, text);
    return SMTP_CLIENT_STARTTLS_REFUSE;
}
