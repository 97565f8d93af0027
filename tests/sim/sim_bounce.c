#include "sim_bounce.h"

#include <stdio.h>
#include <string.h>

#define LATE_NS (45 * BASE_NS_S)

void bounce_fates(struct bounce_ledger *l, struct base_rand *rand)
{
    static const enum bounce_fate fates[] = {BOUNCE_TAKE,   BOUNCE_TAKE,   BOUNCE_TAKE,
                                             BOUNCE_TAKE,   BOUNCE_REFUSE, BOUNCE_REFUSE,
                                             BOUNCE_REFUSE, BOUNCE_LATE,   BOUNCE_NEVER};

    for (uint32_t r = 0; r < BOUNCE_RCPT_MAX; r++)
        l->fate[r] = fates[base_rand_below(rand, BASE_ARRAY_CNT(fates))];
    l->sender_gone = base_rand_below(rand, 6) == 0;
}

unsigned bounce_answer(struct bounce_ledger *l, uint32_t r, uint64_t now_ns)
{
    if (l->since_ns == 0)
        l->since_ns = now_ns;
    switch (l->fate[r]) {
    case BOUNCE_REFUSE:
        return 550;
    case BOUNCE_LATE:
        return now_ns < l->since_ns + LATE_NS ? 451 : 250;
    case BOUNCE_NEVER:
        return 451;
    default:
        return 250;
    }
}

static bool wanted(const struct bounce_message *m, uint32_t r, unsigned bit)
{
    return m->notify[r] == 0 ? bit != SMTP_NOTIFY_SUCCESS : (m->notify[r] & bit) != 0;
}

/* It failed, or will. */
static bool fails(const struct bounce_ledger *l, uint32_t r)
{
    return l->fate[r] == BOUNCE_REFUSE || l->fate[r] == BOUNCE_NEVER;
}

/* ---- a report ---- */

/* True for one that was seen before: delivered twice, not made twice. */
static bool known(struct bounce_ledger *l, const char *text)
{
    const char *at = strstr(text, "Message-ID: <");
    size_t len = at == NULL ? 0 : strcspn(at, "\r");

    if (len == 0 || len >= sizeof(l->id[0]) || l->id_cnt == BASE_ARRAY_CNT(l->id))
        return false;
    for (uint32_t i = 0; i < l->id_cnt; i++)
        if (strlen(l->id[i]) == len && memcmp(l->id[i], at, len) == 0)
            return true;
    memcpy(l->id[l->id_cnt], at, len);
    l->id[l->id_cnt++][len] = 0;
    return false;
}

static size_t longest_line(const struct bounce_message *m)
{
    size_t best = 0, at = 0;

    for (size_t i = 0; i < m->len; i++) {
        at = m->bytes[i] == '\n' ? 0 : at + 1;
        best = at > best ? at : best;
    }
    return best;
}

/* The third part: all of the message, or its header section. */
static const char *check_quote(const struct bounce_message *m, const char *text, size_t len,
                               bool failed)
{
    bool whole = strstr(text, m->smtputf8 ? "Content-Type: message/global\r\n"
                                          : "Content-Type: message/rfc822\r\n") != NULL;
    bool there = memmem(text, len, m->bytes, m->len) != NULL;
    char subject[32];

    snprintf(subject, sizeof(subject), "\r\nX-Message: %u\r\n", m->number);
    if (strstr(text, subject) == NULL)
        return "a report without the message's header section";
    if (whole && (!failed || m->ret == SMTP_RET_HDRS || m->len > BOUNCE_QUOTE_BYTES))
        return "a report with all of the message that should not have it";
    if (!whole && failed && m->ret != SMTP_RET_HDRS && m->len + 1024 < BOUNCE_QUOTE_BYTES)
        return "a report without the message";
    if (whole && !there && longest_line(m) < 990)
        return "a report with the message changed";
    return NULL;
}

static const char *take_recipient(struct bounce_ledger *l, const struct bounce_message *m,
                                  uint32_t r, const char *block, bool *failed)
{
    char action[16] = "", status = 0;
    const char *at = strstr(block, "Action: ");

    if (at == NULL || sscanf(at, "Action: %15[a-z]\r\nStatus: %c", action, &status) != 2)
        return "a report without action or status";
    if (r >= m->rcpt_cnt)
        return "a report about a recipient of another message";
    if (strcmp(action, "failed") == 0) {
        *failed = true;
        l->failed[r]++;
        return !fails(l, r) || !wanted(m, r, SMTP_NOTIFY_FAILURE) ? "a failure told for nothing"
                                                                  : NULL;
    }
    if (strcmp(action, "delayed") == 0) {
        l->delayed[r]++;
        return status != '4' || !wanted(m, r, SMTP_NOTIFY_DELAY) ? "a delay told for nothing"
                                                                 : NULL;
    }
    l->relayed[r]++;
    return strcmp(action, "relayed") != 0 || status != '2' || m->dsn || m->delivered[r] == 0 ||
                   !wanted(m, r, SMTP_NOTIFY_SUCCESS)
               ? "a success told for nothing"
               : NULL;
}

const char *bounce_take(struct bounce_ledger *l, const struct bounce_message *m, const char *text,
                        size_t len, const struct smtp_mail_params *mail,
                        const char *const address[BOUNCE_RCPT_MAX])
{
    bool failed = false;
    uint32_t told = 0;
    char envid[48];

    snprintf(envid, sizeof(envid), "\r\nOriginal-Envelope-Id: m+%u\r\n", m->number);
    if (strstr(text, envid) == NULL)
        return "a report with the ENVID of another";
    if (mail->smtputf8 != m->smtputf8 || !mail->body_8bit || mail->envid.len > 0 || mail->ret != 0)
        return "a report with wrong parameters of MAIL";
    if (strstr(text, "\r\nContent-Type: multipart/report; report-type=delivery-status;") == NULL)
        return "a report that is none";
    if (known(l, text))
        return NULL;
    for (uint32_t r = 0; r < BOUNCE_RCPT_MAX; r++) {
        char final[80];
        snprintf(final, sizeof(final), "\r\nFinal-Recipient: rfc822; %s\r\n", address[r]);
        const char *block = strstr(text, final);
        const char *why = block != NULL ? take_recipient(l, m, r, block, &failed) : NULL;
        if (why != NULL)
            return why;
        told += block != NULL;
    }
    return told == 0 ? "a report about nobody" : check_quote(m, text, len, failed);
}

/* ---- the ledger ---- */

bool bounce_settled(const struct bounce_ledger *l, const struct bounce_message *m)
{
    for (uint32_t r = 0; r < m->rcpt_cnt; r++) {
        if (!fails(l, r) && m->delivered[r] == 0)
            return false;
        if (fails(l, r) && wanted(m, r, SMTP_NOTIFY_FAILURE) && l->failed[r] == 0 &&
            l->refused_cnt == 0)
            return false;
    }
    return true;
}

const char *bounce_check(const struct bounce_ledger *l, const struct bounce_message *m,
                         uint32_t extra, bool exact, bool timely)
{
    bool waits = false, warned = false;

    for (uint32_t r = 0; r < m->rcpt_cnt; r++) {
        if (fails(l, r) && m->delivered[r] > 0)
            return "delivered to a recipient that was refused";
        if (l->failed[r] > 1 + extra || l->relayed[r] > 1 + extra || l->delayed[r] > 1 + extra)
            return "the same was told twice";
        bool success = !m->dsn && !fails(l, r) && wanted(m, r, SMTP_NOTIFY_SUCCESS);
        if (exact && success && l->relayed[r] == 0 && l->refused_cnt == 0)
            return "a success was not told";
        waits |= (l->fate[r] == BOUNCE_LATE || l->fate[r] == BOUNCE_NEVER) &&
                 wanted(m, r, SMTP_NOTIFY_DELAY);
        warned |= l->delayed[r] > 0;
    }
    if (timely && waits && !warned && l->refused_cnt == 0)
        return "a delay was not told";
    return NULL;
}
