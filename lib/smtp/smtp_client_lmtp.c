/*
 * LMTP on the client's side (RFC 2033): where it differs from SMTP, and what final delivery asks of
 * a job. smtp_client.c calls these at the three places.
 */
#include "smtp_client_internal.h"

#include <stdio.h>

void smtp_client_speak_lmtp(struct smtp_client *c)
{
    base_assert(c->state == SMTP_CLIENT_STATE_GREETING && c->reply_cnt == 0);
    c->lmtp = true;
}

/* Who does not know LHLO speaks SMTP: mail must not bounce because a route names the wrong port. */
void smtp_client_lmtp_refused(struct smtp_client *c)
{
    char text[SMTP_CLIENT_TEXT_MAX];

    stats_inc(c->stats, STATS_SMTP_CLIENT_LHLO_REFUSED);
    snprintf(text, sizeof(text), "the server does not speak LMTP, it answers LHLO by %u %.*s",
             c->reply.code, (int)c->reply.text_len, c->reply.text);
    smtp_client_set_reply(c, 0, "", text);
}

/* Section 4.2: one reply for each recipient that was taken, in the order of their RCPT. */
uint32_t smtp_client_lmtp_answered(const struct smtp_client *c, bool *last)
{
    uint32_t end = c->first + c->cnt, i = c->first;

    while (i < end && c->rcpt[i] != SMTP_CLIENT_RCPT_ACCEPTED)
        i++;
    base_assert(i < end); /* else none would be waited for */
    *last = true;
    for (uint32_t k = i + 1; k < end; k++)
        *last &= c->rcpt[k] != SMTP_CLIENT_RCPT_ACCEPTED;
    return i;
}

bool smtp_client_loops(struct smtp_client *c)
{
    if (!c->job.single || !c->checked ||
        (c->content.looped[c->first / 64] >> c->first % 64 & 1) == 0)
        return false;
    stats_inc(c->stats, STATS_SMTP_CLIENT_LOOPED);
    smtp_client_set_reply(c, 554, "5.4.6",
                          "5.4.6 Mail loops: it has been delivered to this address before");
    return true;
}
