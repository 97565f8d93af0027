/* XCLIENT in a session: when it may come, and the new start. */
#include "smtp_internal.h"
#include "smtp_xclient.h"

enum smtp_server_event smtp_server_xclient(struct smtp_server *s, struct base_span argument,
                                           struct base_buf *out)
{
    struct smtp_xclient x;
    enum smtp_reason reason = SMTP_REASON_CNT;

    if (!s->xclient)
        reason = SMTP_REASON_NOT_OFFERED;
    else if (s->state != SMTP_SESSION_START && s->state != SMTP_SESSION_GREETED)
        reason = SMTP_REASON_XCLIENT_IN_MAIL;
    else if (smtp_xclient_parse(&x, argument) != 0)
        reason = SMTP_REASON_XCLIENT_SYNTAX;
    if (reason != SMTP_REASON_CNT) {
        smtp_server_refuse(s, reason, out);
        return SMTP_SERVER_MORE;
    }
    s->xclient_text = argument;
    s->asked = SMTP_SERVER_XCLIENT;
    return SMTP_SERVER_XCLIENT;
}

/* All that was said was the proxy's, but for what it says of its client: that may have greeted, and
 * logged in. TLS stays: it is the proxy's way to us. */
void smtp_server_take_xclient(struct smtp_server *s)
{
    struct smtp_xclient x;
    int error = smtp_xclient_parse(&x, s->xclient_text);

    base_assert(error == 0);
    smtp_server_reset(s);
    smtp_server_set_state(s, SMTP_SESSION_START);
    s->mail_cnt = 0;
    s->extended = false;
    s->helo_len = 0;
    s->authenticated = smtp_xclient_is_known(&x, SMTP_XCLIENT_LOGIN);
    if (!smtp_xclient_is_known(&x, SMTP_XCLIENT_HELO))
        return;
    s->extended = x.extended;
    s->helo_len = (uint8_t)strlen(x.helo);
    memcpy(s->helo, x.helo, s->helo_len);
    smtp_server_set_state(s, SMTP_SESSION_GREETED);
}
