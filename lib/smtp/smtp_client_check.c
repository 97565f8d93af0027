/*
 * Whether a server can take a message, by what it offers and what is known of the message, before
 * MAIL is said: RFC 1870 section 6.1 (SIZE), 6531 section 3.2 (SMTPUTF8), 6152 section 3
 * (8BITMIME), 8689 section 4.2.1 (REQUIRETLS).
 */
#include "smtp_client_internal.h"

bool smtp_client_keeps_tls(const struct smtp_client *c)
{
    return (c->secured || c->local) && c->offers_requiretls;
}

/* There is nobody who could be told that it cannot, or the operator wants the mail to flow. */
static bool may_do_without(const struct smtp_client *c)
{
    return c->job.sender.len == 0 || c->job.requiretls_lenient;
}

bool smtp_client_passes_requiretls(const struct smtp_client *c)
{
    return smtp_client_keeps_tls(c) || (may_do_without(c) && c->encrypted && c->offers_requiretls);
}

static bool refuse(struct smtp_client *c, uint16_t code, const char *enhanced, const char *text,
                   enum stats_id counter)
{
    char whole[SMTP_CLIENT_TEXT_MAX] = "";
    struct base_buf out = {(uint8_t *)whole, 0, sizeof(whole) - 1};
    int failed =
        base_buf_puts(&out, enhanced) | base_buf_puts(&out, " ") | base_buf_puts(&out, text);

    base_assert(failed == 0); /* our own texts */
    smtp_client_set_reply(c, code, enhanced, whole);
    stats_inc(c->stats, counter);
    return false;
}

static bool tls_suffices(struct smtp_client *c)
{
    if (!c->job.mail.requiretls || smtp_client_passes_requiretls(c))
        return true;
    if (c->local) /* nobody is between: final delivery is none of RFC 8689's hops (section 4.4) */
        return true;
    if (!may_do_without(c))
        return false;
    stats_inc(c->stats, STATS_SMTP_CLIENT_TLS_WAIVED);
    return true;
}

/* Nothing but the declaration needs SMTPUTF8 when all that it is about can be said in ASCII. */
static bool utf8_fits(struct smtp_client *c)
{
    if (!c->job.mail.smtputf8 || c->offers_smtputf8)
        return true;
    bool look = !c->job.probe;
    if ((look && !c->job.check) || !smtp_client_any_sayable(c) || (c->checked && c->content.header))
        return refuse(c, 550, "5.6.7", "Message needs SMTPUTF8 and the server does not offer it",
                      STATS_SMTP_CLIENT_NOT_UTF8);
    c->narrow = true;
    c->checking = look && !c->checked;
    c->look_whole |= c->checking;
    if (c->checked)
        stats_inc(c->stats, STATS_SMTP_CLIENT_UTF8_SPARED);
    return true;
}

/* Parts for which nobody has to be able to read UTF-8 header fields, once they are encoded. */
static void convert(struct smtp_client *c)
{
    c->convert = c->content.body && (!c->offers_8bitmime || (c->narrow && c->content.global)) &&
                 c->content.why_not == NULL;
    if (c->convert)
        stats_inc(c->stats, STATS_SMTP_CLIENT_CONVERTED);
}

static bool eightbit_fits(struct smtp_client *c)
{
    if (c->offers_8bitmime || (!c->job.check && !c->job.mail.body_8bit))
        return true;
    if (!c->job.check)
        return refuse(c, 554, "5.6.3", "Message is 8-bit and the server does not offer 8BITMIME",
                      STATS_SMTP_CLIENT_NOT_8BIT);
    if (!c->checked) {
        c->checking = c->look_whole = true;
        return true;
    }
    if (c->content.header)
        return refuse(c, 554, "5.6.3",
                      "Header section is not ASCII and the server does not offer 8BITMIME",
                      STATS_SMTP_CLIENT_NOT_8BIT);
    if (c->content.body && c->content.why_not != NULL)
        return refuse(c, 554, "5.6.3", c->content.why_not, STATS_SMTP_CLIENT_NOT_CONVERTED);
    return true;
}

bool smtp_client_fails_unsaid(struct smtp_client *c)
{
    if (c->unsayable)
        refuse(c, 550, "5.6.7", "Address needs SMTPUTF8 and the server does not offer it",
               STATS_SMTP_CLIENT_NOT_UTF8);
    return c->unsayable;
}

bool smtp_client_acceptable(struct smtp_client *c)
{
    if (c->first + c->cnt > 0) /* a further transaction of the job */
        return true;
    if (c->server_size_max != 0 && c->job.mail.size_bytes > c->server_size_max)
        return refuse(c, 552, "5.3.4", "Message is larger than the server's SIZE",
                      STATS_SMTP_CLIENT_TOO_LARGE);
    if (!utf8_fits(c) || !eightbit_fits(c))
        return false;
    c->checking |= c->job.single && !c->job.probe && !c->checked;
    if (c->checking)
        return true;
    if (c->checked)
        convert(c);
    c->server_refused = !tls_suffices(c);
    if (c->server_refused)
        return refuse(c, 550, "5.7.30", "REQUIRETLS: the next hop cannot be held to TLS",
                      STATS_SMTP_CLIENT_NOT_TLS);
    return true;
}
