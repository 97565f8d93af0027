#include "policy.h"
#include "base_utf8.h"

#include <stdio.h>

struct verdict_row {
    const char *name;
    const char *enhanced;
    const char *text; /* behind the address; what follows it is the caller's */
    uint16_t code;
    enum stats_id stat;
};

#define ROW(id, code, enhanced, name, text)                                                        \
    [POLICY_##id] = {name, enhanced, text, code, STATS_POLICY_##id}
#define RELAY  "Relay access denied"
#define SENDER "Sender address rejected: "
#define RCPT   "Recipient address rejected: "
#define FROM   "From header rejected: "
#define LOOKUP "Temporary lookup failure"

static const struct verdict_row verdicts[POLICY_VERDICT_CNT] = {
    ROW(SENDER_ACCEPTED, 250, "2.1.0", "sender_accepted", "Ok"),
    ROW(SENDER_OWNED, 250, "2.1.0", "sender_owned", "Ok"),
    ROW(SENDER_EXEMPT, 250, "2.1.0", "sender_exempt", "Ok"),
    ROW(ACCEPTED_LOGIN, 250, "2.1.5", "accepted_login", "Ok"),
    ROW(ACCEPTED_NETWORK, 250, "2.1.5", "accepted_network", "Ok"),
    ROW(ACCEPTED_DOMAIN, 250, "2.1.5", "accepted_domain", "Ok"),
    ROW(ACCEPTED_POSTMASTER, 250, "2.1.5", "accepted_postmaster", "Ok"),
    ROW(RCPT_EXPANDED, 250, "2.1.5", "rcpt_expanded", "Ok"),
    ROW(SRS_ACCEPTED, 250, "2.1.5", "srs_accepted", "Ok"),
    ROW(FROM_ACCEPTED, 250, "2.6.0", "from_accepted", "Ok"),
    ROW(SENDER_NOT_OWNED, 553, "5.7.1", "sender_not_owned", SENDER "not owned by user"),
    ROW(SENDER_NOT_LOGGED_IN, 553, "5.7.1", "sender_not_logged_in", SENDER "not logged in"),
    ROW(SENDER_LOOKUP, 451, "4.3.0", "sender_lookup", LOOKUP),
    ROW(REFUSED_DOMAIN, 554, "5.7.1", "refused_domain", RELAY),
    ROW(REFUSED_LITERAL, 554, "5.7.1", "refused_literal", RELAY),
    ROW(REFUSED_ROUTED, 554, "5.7.1", "refused_routed", RELAY),
    ROW(RCPT_UNKNOWN, 550, "5.1.1", "rcpt_unknown", RCPT "User unknown in relay recipient table"),
    ROW(RCPT_LOOKUP, 451, "4.3.0", "rcpt_lookup", LOOKUP),
    ROW(RCPT_LOOP, 451, "4.3.5", "rcpt_loop", "Alias leads to itself"),
    ROW(RCPT_LIMIT, 451, "4.3.5", "rcpt_limit", "Alias has too many recipients"),
    ROW(RCPT_UTF8, 553, "5.6.7", "rcpt_utf8", "Alias needs SMTPUTF8"),
    ROW(SRS_FORGED, 550, "5.1.1", "srs_forged", RCPT "SRS address with a wrong signature"),
    ROW(SRS_EXPIRED, 550, "5.1.1", "srs_expired", RCPT "SRS address has expired"),
    ROW(SRS_NO_REPORT, 550, "5.7.1", "srs_no_report", RCPT "SRS address takes reports only"),
    ROW(FROM_NOT_OWNED, 550, "5.7.1", "from_not_owned", FROM "not owned by user"),
    ROW(FROM_MISSING, 550, "5.7.1", "from_missing", FROM "it names no address"),
    ROW(FROM_SEVERAL, 550, "5.7.1", "from_several", FROM "there are several"),
    ROW(FROM_MALFORMED, 550, "5.7.1", "from_malformed", FROM "its form is ambiguous"),
    ROW(FROM_LOOKUP, 451, "4.3.0", "from_lookup", LOOKUP),
};

/* Where no map is given. */
static const struct policy_tables no_tables;

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

/* The domain itself, then each ".parent" of it. One that is no valid name is none of ours. */
static bool is_relay_domain(const struct policy_settings *settings, struct base_span domain)
{
    struct policy_key key;

    base_assert(domain.len <= SMTP_DOMAIN_MAX);
    if (policy_key_of_domain(&key, domain) != 0)
        return false;
    struct base_span name = policy_key_domain(&key);
    if (find_domain(settings, name))
        return true;
    for (size_t i = 1; i < name.len; i++)
        if (name.p[i] == '.' && find_domain(settings, base_span_of(name.p + i, name.len - i)))
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

static bool in_networks(const struct net_prefix *networks, uint32_t cnt, const struct net_addr *a)
{
    for (uint32_t i = 0; i < cnt && a != NULL; i++)
        if (net_prefix_contains(&networks[i], a))
            return true;
    return false;
}

bool policy_in_network(const struct policy_settings *settings, const struct policy_client *client)
{
    return in_networks(settings->relay_networks, settings->relay_network_cnt, client->network);
}

static bool is_local(const void *arg, struct base_span domain)
{
    return domain.len <= SMTP_DOMAIN_MAX && is_relay_domain(arg, domain);
}

struct policy_reading policy_view_reading(const struct policy_view *view)
{
    return (struct policy_reading){.extension = view->settings->extension,
                                   .propagate = view->settings->extension_propagate,
                                   .login_domain = view->settings->login_domain,
                                   .is_local = is_local,
                                   .arg = view->settings};
}

static const struct policy_tables *tables_of(const struct policy_view *view)
{
    return view->tables != NULL ? view->tables : &no_tables;
}

/* detail: put behind the row's text; empty: nothing. */
static enum policy_verdict give(const struct policy_view *view, enum policy_verdict verdict,
                                struct base_span address, struct base_span detail,
                                struct smtp_reply *reply, char text[POLICY_TEXT_CAP])
{
    const struct verdict_row *row = &verdicts[verdict];

    stats_inc(view->stats, row->stat);
    *reply = (struct smtp_reply){.code = row->code, .enhanced = row->enhanced, .text = row->text};
    if (row->code < 400)
        return verdict;
    size_t n = detail.len < 64 ? detail.len : 64;
    snprintf(text, POLICY_TEXT_CAP, "%s%.*s%s%s%s%.*s", address.len > 0 ? "<" : "",
             (int)address.len, (const char *)address.p, address.len > 0 ? ">: " : "", row->text,
             n > 0 ? " " : "", (int)n, (const char *)detail.p);
    reply->text = text;
    return verdict;
}

/* ---- sender ---- */

static bool is_exempt(const struct policy_view *view, const struct policy_client *client)
{
    const struct policy_settings *s = view->settings;
    struct policy_reading r = policy_view_reading(view);
    struct policy_key key;

    if (in_networks(s->exempt_networks, s->exempt_network_cnt, client->network))
        return true;
    if (client->login.len == 0 || s->exempt_login_cnt == 0 ||
        policy_login_key(&r, &key, client->login) != 0)
        return false;
    for (uint32_t i = 0; i < s->exempt_login_cnt; i++)
        if (policy_key_eq(&s->exempt_logins[i], &key))
            return true;
    return false;
}

/* Whether the login may use the address. */
static enum policy_owner owner_of(const struct policy_view *view,
                                  const struct policy_client *client,
                                  const struct smtp_address *address)
{
    struct policy_reading r = policy_view_reading(view);
    struct policy_key login, key;

    if (policy_login_key(&r, &login, client->login) != 0 || policy_key_address(&key, address) != 0)
        return POLICY_OWNER_NOT;
    return policy_owns(tables_of(view), &r, view->work, &login, &key, NULL);
}

static enum policy_verdict judge_sender(const struct policy_view *view,
                                        const struct policy_client *client,
                                        const struct smtp_address *sender)
{
    struct policy_reading r = policy_view_reading(view);
    bool logged_in = client->login.len > 0;
    bool guarded = client->spoof != POLICY_SPOOF_OFF && (logged_in || client->submission);
    struct policy_key key;

    if ((!guarded && (logged_in || !client->refuse_unauthenticated)) ||
        sender->kind == SMTP_ADDRESS_NULL)
        return POLICY_SENDER_ACCEPTED;
    if (is_exempt(view, client))
        return POLICY_SENDER_EXEMPT;
    if (logged_in) {
        enum policy_owner owner = owner_of(view, client, sender);
        return owner == POLICY_OWNER_NOT     ? POLICY_SENDER_NOT_OWNED
               : owner == POLICY_OWNER_ERROR ? POLICY_SENDER_LOOKUP
                                             : POLICY_SENDER_OWNED;
    }
    if (policy_key_address(&key, sender) != 0)
        return POLICY_SENDER_ACCEPTED;
    switch (policy_has_owner(tables_of(view), &r, view->work, &key)) {
    case POLICY_FOUND_NOT:
        return POLICY_SENDER_ACCEPTED;
    case POLICY_FOUND:
        return POLICY_SENDER_NOT_LOGGED_IN;
    case POLICY_FOUND_ERROR:
        break;
    }
    return POLICY_SENDER_LOOKUP;
}

enum policy_verdict policy_mail(const struct policy_view *view, const struct policy_client *client,
                                const struct smtp_address *sender, struct smtp_reply *reply,
                                char text[POLICY_TEXT_CAP])
{
    enum policy_verdict verdict = judge_sender(view, client, sender);
    struct base_span detail = {0};

    if (verdict == POLICY_SENDER_NOT_OWNED)
        detail = client->login;
    return give(view, verdict, sender->mailbox, detail, reply, text);
}

/* ---- the From field ---- */

bool policy_from_wanted(const struct policy_view *view, const struct policy_client *client)
{
    return client->spoof == POLICY_SPOOF_STRICT && client->login.len > 0 &&
           !is_exempt(view, client);
}

enum policy_verdict policy_from_judge(const struct policy_view *view,
                                      const struct policy_client *client,
                                      const struct policy_from *f, struct smtp_reply *reply,
                                      char text[POLICY_TEXT_CAP])
{
    static const enum policy_verdict of_result[] = {
        [POLICY_FROM_OK] = POLICY_FROM_ACCEPTED,
        [POLICY_FROM_NONE] = POLICY_FROM_MISSING,
        [POLICY_FROM_MANY] = POLICY_FROM_SEVERAL,
        [POLICY_FROM_INVALID] = POLICY_FROM_MALFORMED,
    };
    enum policy_verdict verdict = of_result[policy_from_end(f)];
    struct base_span list = base_span_of(f->value, f->len), none = {0};
    struct smtp_address address;
    bool in_group = false;
    int cnt = 0, got = 0;

    if (verdict != POLICY_FROM_ACCEPTED)
        return give(view, verdict, none, none, reply, text);
    while ((got = policy_from_next(&list, &in_group, &address)) == 1) {
        if (++cnt > POLICY_FROM_ADDRESS_MAX)
            return give(view, POLICY_FROM_MALFORMED, none, none, reply, text);
        switch (owner_of(view, client, &address)) {
        case POLICY_OWNER_NOT:
            return give(view, POLICY_FROM_NOT_OWNED, address.mailbox, client->login, reply, text);
        case POLICY_OWNER_ERROR:
            return give(view, POLICY_FROM_LOOKUP, address.mailbox, none, reply, text);
        default:
            break;
        }
    }
    verdict = got < 0 ? POLICY_FROM_MALFORMED : cnt == 0 ? POLICY_FROM_MISSING : verdict;
    return give(view, verdict, none, none, reply, text);
}

/* ---- recipients ---- */

/* Whether the recipient is of a relay domain and nobody there has it. */
static enum policy_verdict check_exists(const struct policy_view *view,
                                        const struct smtp_address *rcpt,
                                        enum policy_verdict accepted)
{
    const struct policy_tables *t = tables_of(view);
    struct policy_reading r = policy_view_reading(view);
    struct policy_key key;

    if (t->cnt[POLICY_ROLE_RECIPIENTS] == 0 || rcpt->kind != SMTP_ADDRESS_MAILBOX)
        return accepted;
    if (policy_key_address(&key, rcpt) != 0)
        return accepted == POLICY_ACCEPTED_DOMAIN ? POLICY_RCPT_UNKNOWN : accepted;
    if (!is_local(view->settings, policy_key_domain(&key)))
        return accepted;
    policy_work_reset(view->work);
    switch (policy_exists(t, &r, view->work, &key)) {
    case POLICY_FOUND:
        return accepted;
    case POLICY_FOUND_NOT:
        return POLICY_RCPT_UNKNOWN;
    case POLICY_FOUND_ERROR:
        break;
    }
    return POLICY_RCPT_LOOKUP;
}

static enum policy_verdict judge(const struct policy_view *view, const struct policy_client *client,
                                 const struct smtp_address *rcpt)
{
    const struct policy_settings *s = view->settings;
    enum policy_verdict rewritten = policy_srs_judge(view, client, rcpt);

    if (rewritten != POLICY_VERDICT_CNT)
        return rewritten;
    if (client->submission && client->login.len > 0)
        return check_exists(view, rcpt, POLICY_ACCEPTED_LOGIN);
    if (in_networks(s->relay_networks, s->relay_network_cnt, client->network))
        return check_exists(view, rcpt, POLICY_ACCEPTED_NETWORK);
    if (rcpt->kind == SMTP_ADDRESS_POSTMASTER)
        return POLICY_ACCEPTED_POSTMASTER;
    if (rcpt->domain.len == 0) /* the parser lets no other through */
        return POLICY_REFUSED_DOMAIN;
    if (rcpt->domain.p[0] == '[')
        return POLICY_REFUSED_LITERAL;
    if (is_routed(rcpt->local))
        return POLICY_REFUSED_ROUTED;
    if (!is_relay_domain(s, rcpt->domain))
        return POLICY_REFUSED_DOMAIN;
    return check_exists(view, rcpt, POLICY_ACCEPTED_DOMAIN);
}

enum policy_verdict policy_rcpt(const struct policy_view *view, const struct policy_client *client,
                                const struct smtp_address *rcpt, struct smtp_reply *reply,
                                char text[POLICY_TEXT_CAP])
{
    return give(view, judge(view, client, rcpt), rcpt->mailbox, (struct base_span){0}, reply, text);
}

enum policy_verdict policy_rcpt_expand(const struct policy_view *view,
                                       const struct smtp_address *rcpt, bool smtputf8,
                                       struct policy_expansion *out, struct smtp_reply *reply,
                                       char text[POLICY_TEXT_CAP])
{
    static const enum policy_verdict of_result[] = {
        [POLICY_EXPANSION_SAME] = POLICY_ACCEPTED_DOMAIN,
        [POLICY_EXPANSION_OTHER] = POLICY_RCPT_EXPANDED,
        [POLICY_EXPANSION_ERROR] = POLICY_RCPT_LOOKUP,
        [POLICY_EXPANSION_LIMIT] = POLICY_RCPT_LIMIT,
        [POLICY_EXPANSION_LOOP] = POLICY_RCPT_LOOP,
    };
    const struct policy_tables *t = tables_of(view);
    struct policy_reading r = policy_view_reading(view);
    uint32_t max = view->settings->expansion_max;
    struct policy_key key;

    out->cnt = 0;
    if (t->cnt[POLICY_ROLE_ALIASES] == 0 || rcpt->kind != SMTP_ADDRESS_MAILBOX ||
        policy_key_address(&key, rcpt) != 0)
        return POLICY_ACCEPTED_DOMAIN;
    if (max == 0 || max > POLICY_TARGET_MAX)
        max = POLICY_TARGET_MAX;
    enum policy_verdict verdict = of_result[policy_expand(t, &r, view->work, &key, max, out)];
    for (uint32_t i = 0; i < out->cnt && verdict == POLICY_RCPT_EXPANDED && !smtputf8; i++)
        if (!base_utf8_ascii(out->target[i]))
            verdict = POLICY_RCPT_UTF8;
    if (verdict == POLICY_ACCEPTED_DOMAIN)
        return verdict;
    return give(view, verdict, rcpt->mailbox, (struct base_span){0}, reply, text);
}

bool policy_is_local(const struct policy_view *view, struct base_span mailbox)
{
    struct policy_key key;

    return policy_key_text(&key, mailbox) == 0 && policy_key_has_domain(&key) &&
           is_local(view->settings, policy_key_domain(&key));
}
