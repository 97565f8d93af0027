#include "policy.h"

#include <stdio.h>

struct verdict_row {
    const char *name;
    const char *enhanced;
    const char *text; /* "%.*s" stands for the recipient */
    uint16_t code;
    enum stats_id stat;
};

static const struct verdict_row verdicts[POLICY_VERDICT_CNT] = {
    [POLICY_SENDER_ACCEPTED] = {"sender_accepted", "2.1.0", "Ok", 250,
                                STATS_POLICY_SENDER_ACCEPTED},
    [POLICY_ACCEPTED_NETWORK] = {"accepted_network", "2.1.5", "Ok", 250,
                                 STATS_POLICY_ACCEPTED_NETWORK},
    [POLICY_ACCEPTED_LOGIN] = {"accepted_login", "2.1.5", "Ok", 250, STATS_POLICY_ACCEPTED_LOGIN},
    [POLICY_ACCEPTED_DOMAIN] = {"accepted_domain", "2.1.5", "Ok", 250,
                                STATS_POLICY_ACCEPTED_DOMAIN},
    [POLICY_ACCEPTED_POSTMASTER] = {"accepted_postmaster", "2.1.5", "Ok", 250,
                                    STATS_POLICY_ACCEPTED_POSTMASTER},
    [POLICY_REFUSED_DOMAIN] = {"refused_domain", "5.7.1", "Relay access denied", 554,
                               STATS_POLICY_REFUSED_DOMAIN},
    [POLICY_REFUSED_LITERAL] = {"refused_literal", "5.7.1", "Relay access denied", 554,
                                STATS_POLICY_REFUSED_LITERAL},
    [POLICY_REFUSED_ROUTED] = {"refused_routed", "5.7.1", "Relay access denied", 554,
                               STATS_POLICY_REFUSED_ROUTED},
};

bool policy_verdict_accepts(enum policy_verdict verdict)
{
    base_assert(verdict < POLICY_VERDICT_CNT);
    return verdicts[verdict].code < 300;
}

const char *policy_verdict_name(enum policy_verdict verdict)
{
    base_assert(verdict < POLICY_VERDICT_CNT);
    return verdicts[verdict].name;
}

int policy_domain_compare(const struct base_span *a, const struct base_span *b)
{
    size_t common = a->len < b->len ? a->len : b->len;
    int order = common > 0 ? memcmp(a->p, b->p, common) : 0;

    if (order != 0)
        return order;
    return (a->len > b->len) - (a->len < b->len);
}

bool policy_settings_valid(const struct policy_settings *settings)
{
    for (uint32_t i = 0; i < settings->relay_domain_cnt; i++) {
        const struct base_span *name = &settings->relay_domains[i];
        for (size_t k = 0; k < name->len; k++)
            if ((uint8_t)(name->p[k] - 'A') < 26)
                return false;
        if (i > 0 && policy_domain_compare(name - 1, name) >= 0)
            return false;
    }
    return true;
}

static bool find_domain(const struct policy_settings *settings, struct base_span name)
{
    uint32_t low = 0, high = settings->relay_domain_cnt;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int order = policy_domain_compare(&name, &settings->relay_domains[mid]);
        if (order == 0)
            return true;
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return false;
}

/* The domain itself, then each ".parent" of it. */
static bool is_relay_domain(const struct policy_settings *settings, struct base_span domain)
{
    uint8_t lower[SMTP_DOMAIN_MAX];

    base_assert(domain.len <= sizeof(lower));
    for (size_t i = 0; i < domain.len; i++) {
        uint8_t c = domain.p[i];
        lower[i] = (uint8_t)(c - 'A') < 26 ? (uint8_t)(c | 0x20) : c;
    }
    if (find_domain(settings, base_span_of(lower, domain.len)))
        return true;
    for (size_t i = 1; i < domain.len; i++)
        if (lower[i] == '.' && find_domain(settings, base_span_of(lower + i, domain.len - i)))
            return true;
    return false;
}

/* Local parts that a server behind us might read as a route to somewhere else. */
static bool is_routed(struct base_span local)
{
    for (size_t i = 0; i < local.len; i++)
        if (local.p[i] == '%' || local.p[i] == '!' || local.p[i] == '@' || local.p[i] == ':')
            return true;
    return false;
}

bool policy_in_network(const struct policy_settings *settings, const struct policy_client *client)
{
    for (uint32_t i = 0; i < settings->relay_network_cnt && client->network != NULL; i++)
        if (net_prefix_contains(&settings->relay_networks[i], client->network))
            return true;
    return false;
}

static enum policy_verdict judge(const struct policy_settings *settings,
                                 const struct policy_client *client,
                                 const struct smtp_address *rcpt)
{
    if (policy_in_network(settings, client))
        return POLICY_ACCEPTED_NETWORK;
    if (client->submission && client->login.len > 0)
        return POLICY_ACCEPTED_LOGIN;
    if (rcpt->kind == SMTP_ADDRESS_POSTMASTER)
        return POLICY_ACCEPTED_POSTMASTER;
    if (rcpt->domain.len == 0) /* the parser lets no other through */
        return POLICY_REFUSED_DOMAIN;
    if (rcpt->domain.p[0] == '[')
        return POLICY_REFUSED_LITERAL;
    if (is_routed(rcpt->local))
        return POLICY_REFUSED_ROUTED;
    return is_relay_domain(settings, rcpt->domain) ? POLICY_ACCEPTED_DOMAIN : POLICY_REFUSED_DOMAIN;
}

static enum policy_verdict give(enum policy_verdict verdict, struct stats_block *stats,
                                const struct smtp_address *address, struct smtp_reply *reply,
                                char text[POLICY_TEXT_CAP])
{
    const struct verdict_row *row = &verdicts[verdict];

    stats_inc(stats, row->stat);
    *reply = (struct smtp_reply){.code = row->code, .enhanced = row->enhanced, .text = row->text};
    if (row->code >= 400) {
        snprintf(text, POLICY_TEXT_CAP, "<%.*s>: %s", (int)address->mailbox.len,
                 (const char *)address->mailbox.p, row->text);
        reply->text = text;
    }
    return verdict;
}

enum policy_verdict policy_mail(const struct policy_settings *settings, struct stats_block *stats,
                                const struct policy_client *client,
                                const struct smtp_address *sender, struct smtp_reply *reply,
                                char text[POLICY_TEXT_CAP])
{
    (void)settings; /* every sender is taken: ownership needs AUTH */
    (void)client;
    return give(POLICY_SENDER_ACCEPTED, stats, sender, reply, text);
}

enum policy_verdict policy_rcpt(const struct policy_settings *settings, struct stats_block *stats,
                                const struct policy_client *client, const struct smtp_address *rcpt,
                                struct smtp_reply *reply, char text[POLICY_TEXT_CAP])
{
    return give(judge(settings, client, rcpt), stats, rcpt, reply, text);
}
