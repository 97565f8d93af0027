/* A connection that an operator closes. */
#include "conn_out_internal.h"

#define WHY "closed by the operator"

static struct smtp_reply const reply_kicked = {421, "4.3.2", "Connection closed by the operator"};

/* To who hears it: before TLS stands, or before a PROXY header, nobody. */
static void kick_in(struct conn *c)
{
    struct base_buf out = {.p = c->lane->out, .cap = conn_space(c)};

    if (c->app != &conn_in_ops || out.cap < SMTP_OUT_MIN)
        return conn_drop(c, WHY);
    c->in.smtp.settings = &c->lane->settings->smtp;
    smtp_server_shutdown(&c->in.smtp, &reply_kicked, &out);
    conn_write(c, base_buf_span(&out));
    conn_finish(c, WHY);
}

void conn_kick_after(struct conn *c)
{
    if (c->kicked && c->link != NULL && !c->finishing && !c->in.txn.committing)
        kick_in(c);
}

bool conn_kick(struct conn *c)
{
    if (c->link == NULL || c->finishing)
        return true; /* it is on its way out */
    if (c->listener != NULL) {
        c->kicked = true;
        conn_kick_after(c); /* a message that is whole is answered first: conn_in.c comes back */
    } else if (c->out.idle) {
        conn_out_leave(c);
    } else if (c->app == &conn_out_ops && c->out.smtp.state == SMTP_CLIENT_STATE_END) {
        return false;
    } else if (c->out.quitting) {
        conn_drop(c, WHY);
    } else {
        conn_out_fail(c, WHY);
        conn_drop(c, WHY);
    }
    conn_resume(c);
    return true;
}
