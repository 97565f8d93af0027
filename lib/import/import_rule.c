/*
 * The words of smtpd_*_restrictions: what each is here. Most of what they refuse is refused without
 * a word here, or by a setting; a list is never gone through in an order, so what comes before what
 * does not matter: relaying is judged first, users and networks are let through, the rest has to be
 * for domains of ours.
 */
#include "import_internal.h"

#include <stdlib.h>

#define SAME(name, note)                                                                           \
    {                                                                                              \
        name, ROW_SAME, NULL, note                                                                 \
    }
#define NONE(name, note)                                                                           \
    {                                                                                              \
        name, ROW_NONE, NULL, note                                                                 \
    }
#define CODE(name, note)                                                                           \
    {                                                                                              \
        name, ROW_CODE, NULL, note                                                                 \
    }

#define NAMES "names of clients and HELO names are not judged"

const struct import_row import_rule_rows[] = {
    SAME("permit_mynetworks", "relay: networks"),
    SAME("permit_sasl_authenticated", "who is logged in may send anywhere"),
    SAME("reject_unauth_destination", "relay: domains; it is never left out"),
    SAME("defer_unauth_destination", "relay: domains; it is never left out"),
    SAME("permit_auth_destination", "relay: domains"),
    SAME("reject_unlisted_recipient", "recipient: maps"),
    SAME("permit", "what is let through goes by relay rules"),
    SAME("reject", "what is not let through by relay rules is refused"),
    SAME("defer", "what is not let through by relay rules is refused"),
    SAME("reject_authenticated_sender_login_mismatch", "listener: spoof_protection"),
    SAME("reject_sender_login_mismatch", "listener: spoof_protection"),
    SAME("reject_known_sender_login_mismatch", "listener: spoof_protection"),
    SAME("reject_unauthenticated_sender_login_mismatch", "listener: reject_unauthenticated_sender"),
    SAME("permit_inet_interfaces", "the gateway does not send to itself"),
    CODE("reject_unauth_pipelining", "limits: early_commands = refuse"),
    CODE("reject_unverified_recipient", "recipient: verify = next_hop"),
    CODE("reject_rbl_client", "a dns_list block"),
    CODE("reject_maps_rbl", "a dns_list block"),
    CODE("defer_rbl_client", "a dns_list block; it refuses for good"),
    CODE("permit_dnswl_client", "a dns_list block of negative weight"),
    SAME("reject_non_fqdn_recipient", "addresses without a domain are nobody's"),
    NONE("reject_non_fqdn_sender", "senders are not judged by their domain"),
    NONE("reject_unknown_sender_domain", "senders are not judged by their domain"),
    NONE("reject_unknown_recipient_domain", "the mail fails later, with 5.1.2 or 5.4.4"),
    NONE("reject_unverified_sender", "senders are not called back"),
    NONE("reject_unlisted_sender", "listener: reject_unauthenticated_sender for accounts"),
    NONE("reject_*helo_hostname", NAMES),
    NONE("reject_unknown_*", NAMES),
    NONE("permit_naked_ip_address", NAMES),
    NONE("reject_rhsbl_*", "lists of domains are not asked; dns_list is for addresses"),
    NONE("permit_rhswl_client", "lists of domains are not asked; dns_list is for addresses"),
    NONE("check_policy_service", "no policy services: put one in front, or see limits"),
    NONE("check_client_access", "refuse clients by a firewall; let them in by relay: networks, "
                                "limits: exempt_networks or a dns_list of negative weight"),
    NONE("check_recipient_access", "take the address out of recipient: maps, it gets 550"),
    NONE("check_sender_access", "senders are judged by ownership alone"),
    NONE("check_*", "access tables are not asked"),
    NONE("permit_mx_backup", "name the domains in relay: domains: else anyone could point an MX "
                             "here"),
    NONE("permit_tls_*", "listener: tls_client_ca logs users in by certificates"),
    NONE("warn_if_reject", "there is no trying; sluicectl trace and the log tell"),
    NONE("defer_if_*", "there is no such case"),
    NONE("reject_multi_recipient_bounce", "a null sender may have several recipients"),
    NONE("reject_plaintext_session", "listener: tls = encrypt"),
    NONE("sleep", "listener: greet_pause"),
    {0},
};

/* ---- lists ---- */

struct import_block *import_dns_list(struct import *im, const char *item)
{
    size_t zone_len = strcspn(item, "=*");
    const char *zone = import_lower(&im->arena, import_copy(&im->arena, item, zone_len));
    const char *star = strrchr(item, '*');
    const char *equals = strchr(item, '=');
    unsigned cnt = 0;
    struct conf_octets octets;

    if (star != NULL && strchr(star, ']') != NULL)
        star = NULL;
    for (struct import_block *b = im->doc.block; b != NULL; b = b->next)
        cnt += strcmp(b->kind, "dns_list") == 0;
    if (!import_is_domain(zone) || zone[0] == '.' || cnt == CONF_DNS_LIST_MAX)
        return NULL;
    size_t answers_len = equals == NULL                  ? 0
                         : star != NULL && star > equals ? (size_t)(star - equals - 1)
                                                         : strlen(equals + 1);
    const char *answers = equals == NULL ? "" : import_copy(&im->arena, equals + 1, answers_len);
    const char *weight = star != NULL ? star + 1 : "1";
    /* The same zone with the same answers by another restriction. */
    for (struct import_block *b = im->doc.block; b != NULL; b = b->next) {
        if (strcmp(b->kind, "dns_list") != 0 ||
            strcmp(import_setting_find(b, "zone")->item[0], zone) != 0)
            continue;
        struct import_setting *s = import_setting_find(b, "answers");
        if (strcmp(s != NULL ? s->item[0] : "", answers) == 0)
            return b;
    }
    if (answers[0] != 0 && !conf_octets_parse(&octets, answers))
        return NULL;
    struct import_block *b =
        import_block(&im->doc, "dns_list", import_format(&im->arena, "list%u", cnt + 1));
    import_set(&im->doc, b, "zone", zone);
    import_set(&im->doc, b, "weight", weight);
    if (answers[0] != 0)
        import_set(&im->doc, b, "answers", answers);
    return b;
}

static const char *asked(struct import *im, const char *name, const char *argument)
{
    bool allow = strcmp(name, "permit_dnswl_client") == 0;

    if (argument == NULL)
        return "without a list";
    if (allow)
        argument = import_format(&im->arena, "%s*-1000", argument);
    struct import_block *b = import_dns_list(im, argument);
    if (b == NULL)
        return "no list that can be written here, or one too many";
    struct import_block *limits = import_block(&im->doc, "limits", "");
    struct import_setting *t = import_setting_find(limits, "dns_list_threshold");
    if (!allow && t != NULL)
        import_set(&im->doc, b, "weight", t->item[0]);
    return import_format(&im->arena, "dns_list %s", b->name);
}

/* ---- one list of words ---- */

static const char *code(struct import *im, const char *name, const char *argument)
{
    struct import_block *b;

    if (strcmp(name, "reject_unauth_pipelining") == 0) {
        b = import_block(&im->doc, "limits", "");
        import_set(&im->doc, b, "early_commands", "refuse");
        return "limits: early_commands = refuse";
    }
    if (strcmp(name, "reject_unverified_recipient") == 0) {
        b = import_block(&im->doc, "recipient", "");
        import_set(&im->doc, b, "verify", "next_hop");
        return "recipient: verify = next_hop";
    }
    return asked(im, name, argument);
}

bool import_rule_has_argument(const char *word)
{
    return import_begins(word, "check_") || strstr(word, "_rbl_") != NULL ||
           strstr(word, "_rhsbl_") != NULL || import_begins(word, "permit_dnswl") ||
           import_begins(word, "permit_rhswl") || strcmp(word, "sleep") == 0;
}

/* Words that say what is so only where nobody sends anywhere by his address, or where somebody
 * does; NULL: it is as the row says. */
static const char *by_networks(struct import *im, const struct import_service *v, const char *word)
{
    struct import_block *relay = import_block(&im->doc, "relay", "");

    if (strcmp(word, "permit_mynetworks") == 0 && import_setting_find(relay, "networks") == NULL)
        return "relay: networks, of which there are none: see there";
    if (import_word_in("reject defer reject_unauth_destination defer_unauth_destination", word) &&
        v != NULL && v->refuses)
        return import_format(&im->arena,
                             "not for clients of relay: networks, see listener %s; others are "
                             "refused",
                             v->listener->name);
    return NULL;
}

static void words(struct import *im, const struct import_service *v, struct import_item *i)
{
    const char *list = import_value(im, v != NULL ? &v->options : NULL, i->name), *word;

    import_part(&im->doc, IMPORT_RULES, "%s", import_tell(im, i));
    while ((word = import_next(&im->arena, &list)) != NULL) {
        const struct import_row *r = import_row_find(import_rule_rows, word);
        const char *value = import_rule_has_argument(word) ? import_next(&im->arena, &list) : NULL;
        const char *other = by_networks(im, v, word);
        const char *note = r == NULL ? "unknown here; a class of restrictions, or an access table"
                           : r->kind == ROW_CODE ? code(im, word, value)
                           : other != NULL       ? other
                                                 : r->note;
        import_part(&im->doc, IMPORT_RULES, "    %s%s%s: %s%s", word, value != NULL ? " " : "",
                    value != NULL ? value : "",
                    r == NULL || r->kind == ROW_NONE ? "no counterpart: " : "", note);
    }
}

static bool is_list(const struct import_item *i)
{
    size_t len = strlen(i->name);

    return i->value != NULL && !i->again && import_begins(i->name, "smtpd_") && len > 19 &&
           strcmp(i->name + len - 13, "_restrictions") == 0;
}

void import_rules(struct import *im)
{
    for (struct import_item *i = im->items.first; i != NULL; i = i->next)
        if (is_list(i) && !i->told)
            words(im, NULL, i);
    for (struct import_service *v = im->services.first; v != NULL; v = v->next)
        for (struct import_item *i = v->options.first; i != NULL; i = i->next)
            if (is_list(i) && !i->told)
                words(im, v, i);
}
