/* Who there is: aliases, lists of recipients, extensions, SRS. A map that can be read here as it is
 * is named where it lies; of another one a copy is written with its addresses in full. */
#include "import_internal.h"
#include "policy_map.h"

#include <stdlib.h>

#define DROPPED_SHOWN 5

/* Whether the gateway takes the text as it is; *why tells the first error. */
static bool reads(struct import *im, enum policy_form form, enum policy_role role,
                  struct base_span text, const char **why)
{
    static const uint8_t seed[16];
    struct policy_notes *notes = calloc(1, sizeof(*notes));

    base_assert(notes != NULL);
    struct policy_map *m =
        policy_map_read("map", form, role, text, base_span_of(NULL, 0), seed, notes);
    /* The words of the error have the line in them. */
    *why = import_format(&im->arena, "line %u cannot stay as it is", notes->error.line);
    bool good = m != NULL;
    policy_map_free(m);
    free(notes);
    return good;
}

/* Where addresses without a domain belong. */
static const char *origin(struct import *im)
{
    const char *o = import_value(im, NULL, "myorigin"), *path = o, *line;
    struct base_span text;
    uint32_t number;

    if (o[0] == '/') {
        struct import_lines l = {.next_line = 1};
        if (import_file_read(im, &path, &text)) {
            l.text = text;
            line = import_line(&im->arena, &l, &number);
            if (line != NULL && import_is_domain(line))
                return line;
        }
        return im->hostname;
    }
    return import_is_domain(o) ? o : im->hostname;
}

/* A target with its domain; NULL: it is no address (a command, a file, a list of another file). */
static const char *target(struct import *im, const char *text)
{
    struct policy_key key;

    if (strchr("|/:\"", text[0]) != NULL && text[0] != 0 && strchr(text, '@') == NULL)
        return NULL;
    if (text[0] == '|' || text[0] == '/' || text[0] == ':' || text[0] == '\\')
        return NULL;
    if (strchr(text, '@') == NULL)
        text = import_format(&im->arena, "%s@%s", text, origin(im));
    if (text[0] != '@' && policy_key_text(&key, base_span_str(text)) != 0)
        return NULL;
    return text;
}

/* "key target, target" of the targets that are addresses; NULL: none is. */
static void entry(struct import *im, FILE *out, const char *key, const char *value,
                  struct import_block *b, const char *where)
{
    const char *item, *put = "";
    struct policy_key parsed;

    if (strpbrk(key, " \t\"#\\") != NULL || policy_key_text(&parsed, base_span_str(key)) != 0) {
        import_todo(&im->doc, b, NULL, "%s: its key is no address by which a map can be asked",
                    where);
        return;
    }
    while ((item = import_next(&im->arena, &value)) != NULL) {
        const char *address = target(im, item);
        if (address == NULL) {
            import_todo(&im->doc, b, NULL,
                        "%s: no commands, files and :include: here; the server with the mailboxes "
                        "has them",
                        where);
            continue;
        }
        if (put[0] == 0)
            fprintf(out, "%s\t", key);
        fprintf(out, "%s%s", put, address);
        put = ", ";
    }
    if (put[0] != 0)
        fputc('\n', out);
}

/* A copy of virtual_alias_maps whose addresses have domains; lines that name a domain go. */
static const char *completed(struct import *im, const struct import_map *m, struct import_block *b)
{
    struct import_map_at at = {0};
    struct import_entry e;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    base_assert(out != NULL);
    fprintf(out, "# made of %s by sluicectl import\n", m->path != NULL ? m->path : m->name);
    while (import_map_next(&im->arena, m, &at, &e))
        if (strchr(e.key, '@') != NULL || strchr(e.key, '.') == NULL)
            entry(im, out, e.key, e.value, b, import_entry_shown(im, m, &e));
    fclose(out);
    base_assert(text != NULL);
    const char *copy = import_copy(&im->arena, text, len);
    free(text);
    im->list_cnt++;
    return import_file_new(im, import_format(&im->arena, "aliases%u", im->list_cnt), copy, false);
}

/* A copy of a list of recipients: the keys alone matter. */
static const char *keys_of(struct import *im, const struct import_map *m, struct import_block *b,
                           const char *parameter)
{
    struct import_map_at at = {0};
    struct import_entry e;
    struct policy_key parsed;
    const char *dropped = "";
    uint32_t dropped_cnt = 0;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    base_assert(out != NULL);
    while (import_map_next(&im->arena, m, &at, &e)) {
        if (policy_key_text(&parsed, base_span_str(e.key)) == 0 &&
            strpbrk(e.key, " \t\"#\\") == NULL)
            fprintf(out, "%s OK\n", e.key);
        else if (dropped_cnt++ < DROPPED_SHOWN)
            dropped = import_format(&im->arena, "%s%s%s", dropped, dropped[0] != 0 ? ", " : "",
                                    import_entry_shown(im, m, &e));
    }
    fclose(out);
    base_assert(text != NULL);
    const char *copy = import_copy(&im->arena, text, len);
    free(text);
    if (dropped_cnt > 0)
        import_todo(&im->doc, b, NULL,
                    "%s: %u keys of it are no addresses that can be written here, and left out: "
                    "%s%s",
                    parameter, dropped_cnt, dropped, dropped_cnt > DROPPED_SHOWN ? " ..." : "");
    im->list_cnt++;
    return import_file_new(im, import_format(&im->arena, "recipients%u", im->list_cnt), copy,
                           false);
}

/* One map into a list of ours. Returns false when it can not be carried, which is told. */
static bool carry(struct import *im, const char *text, const char *key, enum policy_role role,
                  const char *parameter)
{
    struct import_block *b =
        import_block(&im->doc, role == POLICY_ROLE_OWNERS ? "sender" : "recipient", "");
    struct import_map m;
    const char *why = "";
    bool open = import_map_open(im, &m, text);

    if (!open || (m.kind != IMPORT_MAP_ENTRIES && m.kind != IMPORT_MAP_PATTERNS)) {
        import_todo(&im->doc, b, NULL, "%s: %s: %s", parameter, text,
                    m.why != NULL ? m.why : "it has no entries that could be carried");
        return false;
    }
    enum policy_form form = m.kind == IMPORT_MAP_PATTERNS ? POLICY_FORM_PATTERNS : POLICY_FORM_TEXT;
    const char *form_text = form == POLICY_FORM_PATTERNS ? "pcre:" : "";
    if (m.path != NULL && reads(im, form, role, m.text, &why)) {
        struct import_setting *s =
            import_add(&im->doc, b, key, import_format(&im->arena, "%s%s", form_text, m.path));
        import_note(&im->doc, b, s, "%s: %s, read in place", parameter, text);
        return true;
    }
    if (form == POLICY_FORM_PATTERNS || role == POLICY_ROLE_OWNERS) {
        import_todo(&im->doc, b, NULL, "%s: %s: %s; mend it, then name it here", parameter, text,
                    m.is_inline ? "write it into a file" : why);
        return false;
    }
    if (role == POLICY_ROLE_ALIASES) {
        struct import_setting *s = import_add(&im->doc, b, key, completed(im, &m, b));
        import_note(
            &im->doc, b, s,
            "%s: %s, copied with all domains written out (changes there are not followed)%s%s",
            parameter, text, why[0] != 0 && !m.is_inline ? ": " : "", m.is_inline ? "" : why);
        return true;
    }
    struct import_setting *s = import_add(&im->doc, b, key, keys_of(im, &m, b, parameter));
    import_note(&im->doc, b, s, "%s: %s, its keys copied (changes there are not followed)%s%s",
                parameter, text, why[0] != 0 && !m.is_inline ? ": " : "", m.is_inline ? "" : why);
    return true;
}

static void tell(struct import *im, const char *key, const char *name)
{
    struct import_block *b = import_block(&im->doc, "recipient", "");
    struct import_setting *s = import_setting_find(b, key);

    import_note(&im->doc, b, s, "%s", import_tell(im, import_given(im, NULL, name)));
}

/* ---- aliases ---- */

/* /etc/aliases: names of mydestination's domains. */
static void local_aliases(struct import *im)
{
    struct import_block *b = import_block(&im->doc, "recipient", "");
    struct import_item *i = import_given(im, NULL, "alias_maps");
    const char *list = import_value(im, NULL, "alias_maps"), *item;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    bool some = false;

    base_assert(out != NULL);
    while ((item = import_next(&im->arena, &list)) != NULL) {
        struct import_map m;
        struct import_map_at at = {0};
        struct import_entry e;
        if (!import_map_open(im, &m, item) || m.kind != IMPORT_MAP_ENTRIES) {
            import_todo(&im->doc, b, NULL, "alias_maps: %s: %s", item,
                        m.why != NULL ? m.why : "it has no entries");
            continue;
        }
        while (import_map_next(&im->arena, &m, &at, &e)) {
            size_t n = strlen(e.key);
            if (n > 0 && e.key[n - 1] == ':')
                e.key = import_copy(&im->arena, e.key, n - 1);
            else
                e.value += strspn(e.value, ": \t");
            uint32_t cnt = 0;
            for (struct import_domain *d = im->domain; d != NULL; d = d->next)
                if (d->class == IMPORT_LOCAL && d->name[0] != '.' && cnt++ < 64) {
                    entry(im, out, import_format(&im->arena, "%s@%s", e.key, d->name), e.value, b,
                          import_entry_shown(im, &m, &e));
                    some = true;
                }
        }
    }
    fclose(out);
    base_assert(text != NULL);
    if (some) {
        struct import_setting *s =
            import_add(&im->doc, b, "aliases",
                       import_file_new(im, "aliases", import_copy(&im->arena, text, len), false));
        import_note(&im->doc, b, s, "%s", import_tell(im, i));
        import_note(&im->doc, b, s,
                    "written anew: each name at each domain of mydestination; changes there are "
                    "not followed");
    } else if (i != NULL) {
        import_note(&im->doc, b, NULL, "%s\n    nothing of it is left without local domains",
                    import_tell(im, i));
    }
    free(text);
}

static void aliases(struct import *im)
{
    const char *list = import_value(im, NULL, "virtual_alias_maps"), *item;

    while ((item = import_next(&im->arena, &list)) != NULL)
        carry(im, item, "aliases", POLICY_ROLE_ALIASES, "virtual_alias_maps");
    tell(im, "aliases", "virtual_alias_maps");
    tell(im, "aliases", "virtual_maps");
    local_aliases(im);
}

/* ---- recipients ---- */

static bool maps_of(struct import *im, const char *name)
{
    const char *list = import_value(im, NULL, name), *item;
    bool all = list[0] != 0;

    while ((item = import_next(&im->arena, &list)) != NULL)
        all &= carry(im, item, "maps", POLICY_ROLE_RECIPIENTS, name);
    return all;
}

/* "@domain" of each whose users nobody knows. */
static const char *any_of(struct import *im, const bool known[IMPORT_CLASS_CNT])
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    base_assert(out != NULL);
    for (const struct import_domain *d = im->domain; d != NULL; d = d->next)
        if (!known[d->class] && d->name[0] != '.')
            fprintf(out, "@%s OK\n", d->name);
    fclose(out);
    base_assert(text != NULL);
    const char *copy = import_copy(&im->arena, text, len);
    free(text);
    return copy;
}

static void recipients(struct import *im)
{
    static const char *const of_class[IMPORT_CLASS_CNT] = {
        [IMPORT_LOCAL] = "local_recipient_maps",
        [IMPORT_MAILBOX] = "virtual_mailbox_maps",
        [IMPORT_RELAY] = "relay_recipient_maps",
    };
    struct import_block *b = import_block(&im->doc, "recipient", "");
    struct import_item *lists[IMPORT_CLASS_CNT] = {0};
    bool known[IMPORT_CLASS_CNT] = {[IMPORT_ALIAS] = true}, present[IMPORT_CLASS_CNT] = {0};
    bool wanted = false;

    for (const struct import_domain *d = im->domain; d != NULL; d = d->next)
        present[d->class] = true;
    for (unsigned c = 0; c < IMPORT_CLASS_CNT; c++) {
        if (of_class[c] == NULL)
            continue;
        lists[c] = import_given(im, NULL, of_class[c]);
        known[c] = present[c] && lists[c] != NULL && maps_of(im, of_class[c]);
    }
    for (unsigned c = 0; c < IMPORT_CLASS_CNT; c++) {
        wanted |= known[c] && present[c];
        if (lists[c] != NULL)
            tell(im, "maps", of_class[c]);
    }
    for (unsigned c = 0; c < IMPORT_CLASS_CNT && im->dms; c++)
        known[c] |= c != IMPORT_RELAY; /* accounts and aliases are all there are */
    wanted |= im->dms;
    if (present[IMPORT_LOCAL] && lists[IMPORT_LOCAL] == NULL && !im->dms)
        import_note(&im->doc, b, NULL,
                    "local_recipient_maps is not set: users of the system there. Who there is is "
                    "not known here.");
    if (!wanted) {
        /* Nobody knows who there is but the next hops. */
        if (im->domain != NULL && !im->dms) {
            struct import_setting *s = import_set(&im->doc, b, "verify", "next_hop");
            import_note(&im->doc, b, s,
                        "Nothing tells who there is: the next hop is asked before a recipient is "
                        "taken, so that what nobody has is refused and not bounced.");
        }
        return;
    }
    const char *any = any_of(im, known);
    if (any[0] == 0 && import_setting_find(b, "maps") != NULL)
        return;
    struct import_setting *s = import_add(
        &im->doc, b, "maps",
        import_file_new(
            im, "recipients",
            import_format(&im->arena, "# domains of which every address is taken\n%s", any),
            false));
    if (any[0] != 0)
        import_todo(&im->doc, b, s,
                    "the file recipients takes every address of the domains whose users no map "
                    "knew; write them there one by one: what is taken and nobody has comes back "
                    "to senders who may be forged");
}

/* ---- how addresses are read ---- */

static void extensions(struct import *im)
{
    struct import_block *b = import_block(&im->doc, "recipient", "");
    struct import_item *i = import_given(im, NULL, "recipient_delimiter");
    const char *text = import_value(im, NULL, "recipient_delimiter");
    bool good = text[0] != 0 && strchr("+-_=#", text[0]) != NULL;
    if (text[0] == 0) {
        struct import_setting *none = import_set(&im->doc, b, "extension", "none");
        import_note(&im->doc, b, none, "%s",
                    i != NULL ? import_tell(im, i) : "recipient_delimiter is empty by default");
        return;
    }
    struct import_setting *s =
        import_set(&im->doc, b, "extension", good ? import_copy(&im->arena, text, 1) : "+");
    import_note(&im->doc, b, s, "%s", import_tell(im, i));
    if (!good || text[1] != 0)
        import_todo(&im->doc, b, s, "here it is one character, of + - _ = #");
    if (import_setting_find(b, "aliases") == NULL)
        return;
    const char *classes = import_value(im, NULL, "propagate_unmatched_extensions");
    struct import_item *p = import_given(im, NULL, "propagate_unmatched_extensions");
    s = import_set(&im->doc, b, "extension_propagate",
                   strstr(classes, "virtual") != NULL ? "yes" : "no");
    import_note(&im->doc, b, s, "%s",
                p != NULL ? import_tell(im, p)
                          : "propagate_unmatched_extensions has virtual by default");
}

static void owners(struct import *im)
{
    const char *list = import_value(im, NULL, "smtpd_sender_login_maps"), *item;
    struct import_item *i = import_given(im, NULL, "smtpd_sender_login_maps");
    struct import_block *b = i != NULL ? import_block(&im->doc, "sender", "") : NULL;

    if (i == NULL)
        return;
    while ((item = import_next(&im->arena, &list)) != NULL)
        if (!im->dms || strstr(item, "/etc/postfix/virtual") == NULL)
            carry(im, item, "maps", POLICY_ROLE_OWNERS, "smtpd_sender_login_maps");
    import_note(&im->doc, b, import_setting_find(b, "maps"), "%s", import_tell(im, i));
}

/* postsrsd by canonical maps. */
static void srs(struct import *im)
{
    static const char *const names[] = {"sender_canonical_maps", "recipient_canonical_maps",
                                        "sender_canonical_classes", "recipient_canonical_classes"};
    const char *maps = import_value(im, NULL, names[0]);
    const char *secret = "/etc/postsrsd.secret";
    struct base_span text;

    if (strstr(maps, ":1000") == NULL && strstr(maps, "srs") == NULL)
        return;
    struct import_block *b = import_block(&im->doc, "srs", "");
    struct import_setting *s =
        import_set(&im->doc, b, "domain", import_value(im, NULL, "mydomain"));
    for (size_t i = 0; i < BASE_ARRAY_CNT(names); i++)
        import_note(&im->doc, b, s, "%s", import_tell(im, import_given(im, NULL, names[i])));
    import_todo(&im->doc, b, s, "SRS_DOMAIN of postsrsd; the gateway rewrites by itself");
    if (import_file_read(im, &secret, &text) && text.len >= 17)
        import_add(&im->doc, b, "secrets", secret);
    else {
        import_todo(&im->doc, b, NULL,
                    "secrets = /etc/postsrsd.secret, which is not here: or a new file of 16 bytes "
                    "or more, mode 640");
        s->refused = "with secrets:";
    }
}

void import_recipients(struct import *im)
{
    aliases(im);
    recipients(im);
    extensions(im);
    owners(im);
    srs(im);
}
