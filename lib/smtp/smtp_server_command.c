#include "base_decimal.h"
#include "smtp_internal.h"
#include "smtp_line.h"
#include "smtp_xclient.h"

static void reply_ok(struct base_buf *out, uint16_t code, const char *enhanced, const char *text)
{
    smtp_reply_write(out, &(struct smtp_reply){.code = code, .enhanced = enhanced, .text = text});
}

static enum smtp_server_event refuse(struct smtp_server *s, enum smtp_reason reason,
                                     struct base_buf *out)
{
    smtp_server_refuse(s, reason, out);
    return SMTP_SERVER_MORE;
}

static enum smtp_server_event ask(struct smtp_server *s, enum smtp_server_event event)
{
    s->asked = (uint8_t)event;
    return event;
}

void smtp_server_junk(struct smtp_server *s, struct base_buf *out)
{
    if (s->settings->junk_max == 0 || ++s->junk_cnt <= s->settings->junk_max)
        return;
    stats_inc(s->stats, STATS_SMTP_REFUSED_JUNK);
    smtp_server_error(s, out);
}

static int put_number(struct base_buf *out, uint64_t v)
{
    char digits[BASE_DECIMAL_CAP];

    return base_buf_put(out, digits, base_decimal(digits, v));
}

/* RFC 9422 section 3: a value has six digits at most. Both are promises: what is above can be had,
 * too. */
static int put_limits(const struct smtp_server *s, struct base_buf *out)
{
    const uint32_t most = 999999;
    uint32_t mails = s->settings->mail_max, recipients = s->settings->recipient_max;
    int failed = base_buf_puts(out, "250-LIMITS");

    if (mails != 0)
        failed |= base_buf_puts(out, " MAILMAX=") | put_number(out, mails < most ? mails : most);
    return failed | base_buf_puts(out, " RCPTMAX=") |
           put_number(out, recipients < most ? recipients : most) | base_buf_puts(out, "\r\n");
}

static void write_ehlo(const struct smtp_server *s, struct base_buf *out)
{
    int failed = base_buf_puts(out, "250-") | base_buf_puts(out, s->settings->hostname) |
                 base_buf_puts(out, "\r\n250-PIPELINING\r\n250-SIZE");

    if (s->settings->message_size_max != 0)
        failed |= base_buf_puts(out, " ") | put_number(out, s->settings->message_size_max);
    failed |= base_buf_puts(out, "\r\n");
    if (s->tls == SMTP_TLS_OFFERED || s->tls == SMTP_TLS_REQUIRED)
        failed |= base_buf_puts(out, "250-STARTTLS\r\n");
    failed |= base_buf_puts(out, "250-8BITMIME\r\n");
    if (smtp_server_offers(s, SMTP_EXTENSION_SMTPUTF8))
        failed |= base_buf_puts(out, "250-SMTPUTF8\r\n");
    if (smtp_server_offers(s, SMTP_EXTENSION_DSN))
        failed |= base_buf_puts(out, "250-DSN\r\n");
    if (smtp_server_offers(s, SMTP_EXTENSION_CHUNKING))
        failed |= base_buf_puts(out, "250-CHUNKING\r\n");
    if (smtp_server_offers(s, SMTP_EXTENSION_REQUIRETLS))
        failed |= base_buf_puts(out, "250-REQUIRETLS\r\n");
    if (smtp_server_offers_auth(s))
        failed |= smtp_server_put_auth(s, out);
    if (smtp_server_offers(s, SMTP_EXTENSION_LIMITS))
        failed |= put_limits(s, out);
    if (s->xclient)
        failed |= base_buf_puts(out, "250-" SMTP_XCLIENT_OFFER "\r\n");
    failed |= base_buf_puts(out, "250 ENHANCEDSTATUSCODES\r\n");
    base_assert(failed == 0);
}

static enum smtp_server_event hello(struct smtp_server *s, bool extended, struct base_span name,
                                    struct base_buf *out)
{
    if (!smtp_domain_valid(name))
        return refuse(s, extended ? SMTP_REASON_EHLO_SYNTAX : SMTP_REASON_HELO_SYNTAX, out);
    bool open = smtp_server_reset(s);
    if (s->state == SMTP_SESSION_START)
        smtp_server_set_state(s, SMTP_SESSION_GREETED);
    s->extended = extended;
    s->helo_len = (uint8_t)name.len;
    memcpy(s->helo, name.p, name.len);
    if (extended)
        write_ehlo(s, out);
    else
        reply_ok(out, 250, NULL, s->settings->hostname);
    smtp_server_junk(s, out);
    return open ? SMTP_SERVER_RESET : SMTP_SERVER_MORE;
}

/* Takes "FROM:" or "TO:" off the argument; blanks behind the colon are common and let through. */
static bool strip_keyword(struct base_span *argument, const char *keyword)
{
    size_t len = strlen(keyword);

    if (argument->len < len ||
        !base_span_caseeq(base_span_of(argument->p, len), base_span_str(keyword)))
        return false;
    while (len < argument->len && argument->p[len] == ' ')
        len++;
    *argument = base_span_of(argument->p + len, argument->len - len);
    return true;
}

static bool has_8bit(struct base_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] >= 0x80)
            return true;
    return false;
}

static enum smtp_server_event mail(struct smtp_server *s, struct base_span argument,
                                   struct base_buf *out)
{
    size_t used;

    if (!smtp_server_count_mail(s, out))
        return SMTP_SERVER_CLOSE;
    if (s->state == SMTP_SESSION_START)
        return refuse(s, SMTP_REASON_NO_HELO, out);
    if (s->state != SMTP_SESSION_GREETED)
        return refuse(s, SMTP_REASON_NESTED_MAIL, out);
    if (!strip_keyword(&argument, "FROM:"))
        return refuse(s, SMTP_REASON_MAIL_SYNTAX, out);
    if (has_8bit(argument) && !smtp_server_offers(s, SMTP_EXTENSION_SMTPUTF8))
        return refuse(s, SMTP_REASON_NOT_ASCII, out);
    if (smtp_path_parse_utf8(&s->address, &used, argument, SMTP_PATH_REVERSE) != 0)
        return refuse(s, SMTP_REASON_SENDER, out);
    enum smtp_reason reason =
        smtp_server_mail_params(s, base_span_of(argument.p + used, argument.len - used));
    if (reason == SMTP_REASON_CNT && !s->mail.smtputf8 && has_8bit(base_span_of(argument.p, used)))
        reason = SMTP_REASON_NOT_UTF8;
    if (reason != SMTP_REASON_CNT)
        return refuse(s, reason, out);
    return ask(s, SMTP_SERVER_MAIL);
}

static enum smtp_server_event rcpt(struct smtp_server *s, struct base_span argument,
                                   struct base_buf *out)
{
    size_t used;

    if (s->state == SMTP_SESSION_CHUNKS)
        return refuse(s, SMTP_REASON_RCPT_IN_CHUNKS, out);
    if (s->state != SMTP_SESSION_MAIL && s->state != SMTP_SESSION_RCPT)
        return refuse(s, SMTP_REASON_NO_MAIL, out);
    if (!strip_keyword(&argument, "TO:"))
        return refuse(s, SMTP_REASON_RCPT_SYNTAX, out);
    if (has_8bit(argument) && !s->mail.smtputf8)
        return refuse(s,
                      smtp_server_offers(s, SMTP_EXTENSION_SMTPUTF8) ? SMTP_REASON_NOT_UTF8
                                                                     : SMTP_REASON_NOT_ASCII,
                      out);
    if (smtp_path_parse_utf8(&s->address, &used, argument, SMTP_PATH_FORWARD) != 0)
        return refuse(s, SMTP_REASON_RECIPIENT, out);
    enum smtp_reason reason =
        smtp_server_rcpt_params(s, base_span_of(argument.p + used, argument.len - used));
    if (reason != SMTP_REASON_CNT)
        return refuse(s, reason, out);
    if (s->recipient_cnt >= s->settings->recipient_max)
        return refuse(s, SMTP_REASON_RECIPIENTS, out);
    return ask(s, SMTP_SERVER_RCPT);
}

static enum smtp_server_event data(struct smtp_server *s, struct base_span argument,
                                   struct base_buf *out)
{
    if (argument.len > 0)
        return refuse(s, SMTP_REASON_DATA_SYNTAX, out);
    if (s->state == SMTP_SESSION_MAIL)
        return refuse(s, SMTP_REASON_NO_RCPT, out);
    if (s->state == SMTP_SESSION_CHUNKS)
        return refuse(s, SMTP_REASON_DATA_IN_CHUNKS, out);
    if (s->state != SMTP_SESSION_RCPT)
        return refuse(s, SMTP_REASON_NO_MAIL, out);
    return ask(s, SMTP_SERVER_DATA);
}

static enum smtp_server_event rset(struct smtp_server *s, struct base_span argument,
                                   struct base_buf *out)
{
    if (argument.len > 0)
        return refuse(s, SMTP_REASON_RSET_SYNTAX, out);
    bool open = smtp_server_reset(s);
    reply_ok(out, 250, "2.0.0", "Ok");
    smtp_server_junk(s, out);
    return open ? SMTP_SERVER_RESET : SMTP_SERVER_MORE;
}

static enum smtp_server_event quit(struct smtp_server *s, struct base_span argument,
                                   struct base_buf *out)
{
    if (argument.len > 0)
        return refuse(s, SMTP_REASON_QUIT_SYNTAX, out);
    reply_ok(out, 221, "2.0.0", "Bye");
    smtp_server_close(s, "quit");
    return SMTP_SERVER_CLOSE;
}

static enum smtp_server_event vrfy(struct smtp_server *s, struct base_span argument,
                                   struct base_buf *out)
{
    if (argument.len == 0)
        return refuse(s, SMTP_REASON_VRFY_SYNTAX, out);
    reply_ok(out, 252, "2.0.0", "Not verified; mail for it will be tried");
    smtp_server_junk(s, out);
    return SMTP_SERVER_MORE;
}

static enum smtp_server_event starttls(struct smtp_server *s, struct base_span argument,
                                       struct base_buf *out)
{
    if (argument.len > 0)
        return refuse(s, SMTP_REASON_STARTTLS_SYNTAX, out);
    if (s->tls == SMTP_TLS_NONE)
        return refuse(s, SMTP_REASON_NOT_OFFERED, out);
    if (s->tls == SMTP_TLS_ON)
        return refuse(s, SMTP_REASON_TLS_TWICE, out);
    if (s->state != SMTP_SESSION_START && s->state != SMTP_SESSION_GREETED)
        return refuse(s, SMTP_REASON_TLS_IN_MAIL, out);
    return ask(s, SMTP_SERVER_STARTTLS);
}

/* What is let through before TLS where that is required; HELO's answer, which offers nothing, is
 * for clients that then give up by themselves. */
static bool goes_in_clear(enum smtp_verb verb)
{
    return verb == SMTP_VERB_EHLO || verb == SMTP_VERB_HELO || verb == SMTP_VERB_NOOP ||
           verb == SMTP_VERB_STARTTLS || verb == SMTP_VERB_QUIT || verb == SMTP_VERB_XCLIENT;
}

static enum smtp_server_event http(struct smtp_server *s, struct base_buf *out)
{
    reply_ok(out, 221, "2.7.0", "Error: I can break rules, too. Goodbye.");
    stats_inc(s->stats, STATS_SMTP_REFUSED_PROTOCOL);
    smtp_server_close(s, "HTTP");
    return SMTP_SERVER_CLOSE;
}

/* A proxy that talks to a listener that expects none (or talks twice): its clients would all have
 * its address, and the rights of that. Version 2 ends by the bare LF in its signature. */
static enum smtp_server_event proxy_header(struct smtp_server *s, struct base_buf *out)
{
    reply_ok(out, 500, "5.5.1", "Error: no PROXY header is expected here");
    stats_inc(s->stats, STATS_SMTP_REFUSED_PROTOCOL);
    smtp_server_close(s, "PROXY header where none belongs");
    return SMTP_SERVER_CLOSE;
}

/* NUL and control characters have no place in a command; 8-bit ones only in an address, where they
 * get a reply of their own. */
static bool characters_fine(struct base_span line, enum smtp_verb verb)
{
    bool address = verb == SMTP_VERB_MAIL || verb == SMTP_VERB_RCPT;

    for (size_t i = 0; i < line.len; i++) {
        uint8_t c = line.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f || (c >= 0x80 && !address))
            return false;
    }
    return true;
}

enum smtp_server_event smtp_server_command(struct smtp_server *s, struct base_span line,
                                           struct base_buf *out)
{
    struct smtp_command command = smtp_command_parse(line);

    smtp_tally_command(s, command.verb);
    if (command.verb == SMTP_VERB_HTTP)
        return http(s, out);
    if (command.verb == SMTP_VERB_PROXY)
        return proxy_header(s, out);
    if (command.verb != SMTP_VERB_UNKNOWN)
        stats_inc(s->stats, smtp_command_stat(command.verb));
    if (command.verb == SMTP_VERB_BDAT) /* whatever is wrong with it, its chunk follows */
        return smtp_server_bdat(s, command.argument, out);
    if (!characters_fine(line, command.verb))
        return refuse(s, SMTP_REASON_CHARACTER, out);
    if (s->tls == SMTP_TLS_REQUIRED && command.verb != SMTP_VERB_UNKNOWN &&
        !goes_in_clear(command.verb))
        return refuse(s, SMTP_REASON_TLS_FIRST, out);
    /* STARTTLS has a check of its own, stricter. */
    s->waits = command.verb == SMTP_VERB_XCLIENT || command.verb == SMTP_VERB_EHLO ||
               command.verb == SMTP_VERB_HELO || command.verb == SMTP_VERB_DATA ||
               (!s->extended && command.verb != SMTP_VERB_STARTTLS);
    switch (command.verb) {
    case SMTP_VERB_HELO:
        return hello(s, false, command.argument, out);
    case SMTP_VERB_EHLO:
        return hello(s, true, command.argument, out);
    case SMTP_VERB_MAIL:
        return mail(s, command.argument, out);
    case SMTP_VERB_RCPT:
        return rcpt(s, command.argument, out);
    case SMTP_VERB_DATA:
        return data(s, command.argument, out);
    case SMTP_VERB_RSET:
        return rset(s, command.argument, out);
    case SMTP_VERB_NOOP:
        reply_ok(out, 250, "2.0.0", "Ok");
        smtp_server_junk(s, out);
        return SMTP_SERVER_MORE;
    case SMTP_VERB_QUIT:
        return quit(s, command.argument, out);
    case SMTP_VERB_VRFY:
        return vrfy(s, command.argument, out);
    case SMTP_VERB_STARTTLS:
        return starttls(s, command.argument, out);
    case SMTP_VERB_AUTH:
        return smtp_server_auth(s, command.argument, out);
    case SMTP_VERB_XCLIENT:
        return smtp_server_xclient(s, command.argument, out);
    case SMTP_VERB_OTHER:
        return refuse(s, SMTP_REASON_NOT_OFFERED, out);
    default:
        return refuse(s, SMTP_REASON_UNKNOWN, out);
    }
}
