/* Networks: lists of them, and whom smtpd's restrictions let send anywhere by them. */
#include "import_internal.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define BUT_MAX   1000 /* exclusions of a list; with more of them none of its networks is taken */
#define DEPTH_MAX 4
#define STEPS_MAX 4096 /* words of restrictions */

struct network {
    const char *text;
    uint8_t bits[16];
    unsigned prefix;
    bool ipv6;
    struct network *next;
};

struct found {
    struct network *in, **in_end;
    struct network *but; /* "!network" */
    unsigned but_cnt;
    const char *unknown; /* an exclusion of which nobody knows what is in it */
};

static bool network(struct import *im, const char *item, struct network *out)
{
    const char *slash = strchr(item, '/');
    size_t len = slash != NULL ? (size_t)(slash - item) : strlen(item);

    if (len > 2 && item[0] == '[' && item[len - 1] == ']') {
        item++;
        len -= 2;
    }
    const char *address = import_copy(&im->arena, item, len);
    *out = (struct network){.ipv6 = strchr(address, ':') != NULL};
    unsigned max = out->ipv6 ? 128 : 32;
    unsigned long prefix = max;
    if (inet_pton(out->ipv6 ? AF_INET6 : AF_INET, address, out->bits) != 1)
        return false;
    if (slash != NULL && (slash[1] < '0' || slash[1] > '9'))
        return false;
    if (slash != NULL)
        prefix = strtoul(slash + 1, NULL, 10);
    if (prefix > max)
        return false;
    for (unsigned i = (unsigned)prefix; i < max; i++)
        if ((out->bits[i / 8] & 0x80 >> i % 8) != 0)
            return false;
    out->prefix = (unsigned)prefix;
    out->text = import_format(&im->arena, "%s/%lu", address, prefix);
    return true;
}

/* Whether they have an address in common. */
static bool overlap(const struct network *a, const struct network *b)
{
    unsigned prefix = a->prefix < b->prefix ? a->prefix : b->prefix;

    if (a->ipv6 != b->ipv6 || memcmp(a->bits, b->bits, prefix / 8) != 0)
        return false;
    return prefix % 8 == 0 || (a->bits[prefix / 8] ^ b->bits[prefix / 8]) >> (8 - prefix % 8) == 0;
}

static void exclusion(struct import *im, struct found *f, const char *item, const char *shown)
{
    struct network n, *kept;

    if (++f->but_cnt > BUT_MAX || !network(im, item + 1, &n)) {
        f->unknown = shown;
        return;
    }
    kept = import_take(&im->arena, sizeof(*kept));
    *kept = n;
    kept->next = f->but;
    f->but = kept;
}

/* All that a list names, with what is in its files and maps. */
static void collect(struct import *im, struct import_block *b, struct found *f, const char *list,
                    const char *where, unsigned depth)
{
    struct base_span text;
    struct import_map m;
    struct import_map_at at = {0};
    struct import_entry e;
    struct network n;
    const char *item;

    while ((item = import_next(&im->arena, &list)) != NULL) {
        const char *path = item, *shown = where != NULL ? where : item;
        if (item[0] == '!') {
            exclusion(im, f, item, shown);
        } else if (network(im, item, &n)) {
            if (import_is_loopback(n.text) || import_begins(n.text, "::1/"))
                continue;
            *f->in_end = import_take(&im->arena, sizeof(n));
            **f->in_end = n;
            f->in_end = &(*f->in_end)->next;
        } else if (item[0] == '/' && depth < DEPTH_MAX && import_file_read(im, &path, &text)) {
            struct import_lines l = {.text = text, .next_line = 1};
            const char *line;
            uint32_t number;
            while ((line = import_line(&im->arena, &l, &number)) != NULL)
                collect(im, b, f, line, import_line_shown(im, path, number), depth + 1);
        } else if (strchr(item, ':') != NULL && depth < DEPTH_MAX &&
                   import_map_open(im, &m, item) &&
                   (m.kind == IMPORT_MAP_ENTRIES || m.kind == IMPORT_MAP_CIDR)) {
            while (import_map_next(&im->arena, &m, &at, &e))
                collect(im, b, f, e.key, import_entry_shown(im, &m, &e), DEPTH_MAX);
        } else {
            import_todo(&im->doc, b, NULL, "%s is no network that can be written here", shown);
        }
    }
}

/* What is taken out of it there; NULL: nothing. */
static const char *taken_out(struct import *im, const struct found *f, const struct network *n)
{
    if (f->unknown != NULL)
        return f->unknown;
    for (const struct network *but = f->but; but != NULL; but = but->next)
        if (overlap(n, but))
            return import_format(&im->arena, "!%s", but->text);
    return NULL;
}

void import_networks(struct import *im, struct import_block *b, const char *key, const char *list)
{
    struct found f = {.in_end = &f.in};
    const char *out = NULL, *out_of = NULL, *lost = NULL;
    unsigned out_cnt = 0, lost_cnt = 0;

    collect(im, b, &f, list, NULL, 0);
    for (const struct network *n = f.in; n != NULL; n = n->next) {
        const char *but = taken_out(im, &f, n);
        if (but != NULL && out_cnt++ == 0) {
            out = n->text;
            out_of = but;
        }
        if (but == NULL && import_add(&im->doc, b, key, n->text) == NULL && lost_cnt++ == 0)
            lost = n->text;
    }
    if (out != NULL)
        import_todo(&im->doc, b, NULL,
                    "%s: %s is left out (and %u more), as there %s is taken out of it: write "
                    "networks that have none of it in them",
                    key, out, out_cnt - 1, out_of);
    if (lost != NULL)
        import_todo(&im->doc, b, NULL, "%s: no room for %s and %u more: a list has %d items", key,
                    lost, lost_cnt - 1, CONF_LIST_MAX);
}

/* ---- who may send anywhere ---- */

enum verdict { VERDICT_NONE, VERDICT_PERMIT, VERDICT_REFUSE };

/* What a list says of a client of mynetworks who is not logged in and sends to a foreign domain, as
 * far as it is certain: the first word that ends it. Classes of restrictions are gone into. */
static enum verdict verdict(struct import *im, const struct import_items *options, const char *list,
                            unsigned depth, unsigned *steps)
{
    const char *word;

    while ((word = import_next(&im->arena, &list)) != NULL) {
        if (++*steps > STEPS_MAX)
            return VERDICT_REFUSE;
        if (strcmp(word, "permit_mynetworks") == 0)
            return VERDICT_PERMIT;
        if (strcmp(word, "permit") == 0)
            return VERDICT_NONE;
        if (import_word_in("reject defer reject_unauth_destination defer_unauth_destination", word))
            return VERDICT_REFUSE;
        if (import_rule_has_argument(word) || strcmp(word, "warn_if_reject") == 0)
            import_next(&im->arena, &list);
        else if (depth < DEPTH_MAX && import_given(im, options, word) != NULL) {
            enum verdict v =
                verdict(im, options, import_value(im, options, word), depth + 1, steps);
            if (v != VERDICT_NONE)
                return v;
        }
    }
    return VERDICT_NONE;
}

/* Whether smtpd's restrictions let mynetworks send anywhere. */
static bool relays(struct import *im, const struct import_items *options)
{
    static const char *const lists[] = {
        "smtpd_client_restrictions", "smtpd_helo_restrictions",      "smtpd_sender_restrictions",
        "smtpd_relay_restrictions",  "smtpd_recipient_restrictions",
    };
    bool permitted = false;
    unsigned steps = 0;

    for (size_t i = 0; i < BASE_ARRAY_CNT(lists); i++) {
        enum verdict v = verdict(im, options, import_value(im, options, lists[i]), 0, &steps);
        if (v == VERDICT_REFUSE)
            return false;
        permitted |= v == VERDICT_PERMIT && i >= 3;
    }
    return permitted;
}

static bool for_users(struct import_block *listener)
{
    struct import_setting *kind = import_setting_find(listener, "kind");

    return kind != NULL && strcmp(kind->item[0], "mx") != 0;
}

/* Whether networks may relay: at all listeners for servers; where there are none of these, at one
 * for users. *not_at: the first where they may not; *some: they may at another. */
static bool permitted(struct import *im, const struct import_service **not_at, bool *some)
{
    bool listeners = false, servers = false;

    for (struct import_service *v = im->services.first; v != NULL; v = v->next) {
        if (v->listener == NULL)
            continue;
        bool users = for_users(v->listener);
        v->refuses = !relays(im, v->smtpd);
        *some |= !v->refuses;
        listeners = true;
        servers |= !users;
        if (v->refuses && !users && *not_at == NULL)
            *not_at = v;
    }
    if (!listeners)
        return relays(im, NULL);
    return servers ? *not_at == NULL : *some;
}

static void left_out(struct import *im, struct import_block *b, const struct import_service *at,
                     bool some)
{
    if (some)
        import_todo(&im->doc, b, NULL,
                    "networks: left out, as %s let nobody send anywhere by his address "
                    "(smtpd_..._restrictions without permit_mynetworks), while another service "
                    "did: here networks hold at all listeners",
                    at != NULL ? at->where : "main.cf");
    else
        import_note(&im->doc, b, NULL,
                    "    networks: left out, as smtpd_..._restrictions let nobody send anywhere "
                    "by his address (no permit_mynetworks, or something refuses before it)");
}

/* What single services had of their own. */
static void of_services(struct import *im, struct import_block *b)
{
    const char *all = import_value(im, NULL, "mynetworks");

    for (struct import_service *v = im->services.first; v != NULL; v = v->next) {
        struct import_item *own =
            v->listener != NULL ? import_items_find(v->smtpd, "mynetworks") : NULL;
        if (own != NULL && strcmp(import_value(im, v->smtpd, "mynetworks"), all) != 0)
            import_todo(&im->doc, v->listener, NULL,
                        "%s: a listener has no networks of its own: relay: networks hold at all "
                        "of them",
                        import_tell(im, own));
        v->refuses &= import_setting_find(b, "networks") != NULL;
        if (v->refuses)
            import_todo(&im->doc, v->listener, NULL,
                        "clients of relay: networks may send here without a login "
                        "(auth_required lets them through), which that Postfix refused: take "
                        "them out of networks, or keep them off this port by a firewall");
    }
}

static void own_networks(struct import *im, struct import_block *b, struct import_item *i)
{
    const struct import_service *not_at = NULL;
    bool some = false;

    if (!permitted(im, &not_at, &some)) {
        import_note(&im->doc, b, NULL, "%s", import_tell(im, i));
        left_out(im, b, not_at, some);
        return;
    }
    import_networks(im, b, "networks", import_value(im, NULL, "mynetworks"));
    struct import_setting *s = import_setting_find(b, "networks");
    import_note(&im->doc, b, s, "%s", import_tell(im, i));
    import_note(&im->doc, b, s,
                "Loopback networks are left out: nobody comes from there, there is no sendmail "
                "command here.");
    if (im->proxied && s != NULL) {
        s = import_set(&im->doc, b, "proxied", "yes");
        import_note(&im->doc, b, s,
                    "networks hold for clients that a PROXY header names, as there");
    }
}

void import_relay_networks(struct import *im)
{
    struct import_block *b = import_block(&im->doc, "relay", "");
    struct import_item *i = import_given(im, NULL, "mynetworks");
    struct import_item *style = import_given(im, NULL, "mynetworks_style");

    if (i != NULL) {
        own_networks(im, b, i);
        if (style != NULL)
            import_note(&im->doc, b, import_setting_find(b, "networks"), "%s: mynetworks counts",
                        import_tell(im, style));
    } else if (style != NULL && strcmp(style->value, "host") != 0) {
        import_note(&im->doc, b, NULL, "%s", import_tell(im, style));
        import_todo(&im->doc, b, NULL,
                    "networks: those of your clients; nothing of the machine's own subnets is "
                    "known here");
    } else if (style != NULL) {
        import_note(&im->doc, b, NULL, "%s: nobody by address alone", import_tell(im, style));
    }
    of_services(im, b);
    struct import_item *but = import_given(im, NULL, "smtpd_client_event_limit_exceptions");
    if (but == NULL && i == NULL)
        return;
    struct import_block *l = import_block(&im->doc, "limits", "");
    import_networks(im, l, "exempt_networks",
                    import_value(im, NULL, "smtpd_client_event_limit_exceptions"));
    struct import_setting *s = import_setting_find(l, "exempt_networks");
    if (but != NULL)
        import_note(&im->doc, l, s, "%s", import_tell(im, but));
    else if (s != NULL)
        import_note(&im->doc, l, s, "smtpd_client_event_limit_exceptions is $mynetworks");
}
