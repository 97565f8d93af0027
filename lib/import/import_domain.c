/* Whose mail it is: mydestination, virtual_..._domains and relay_domains become relay: domains. */
#include "import_internal.h"

struct class
{
    const char *name;
    enum import_class class;
};

struct import_domain *import_domain_add(struct import *im, const char *name,
                                        enum import_class class)
{
    struct import_domain **at = &im->domain;

    name = import_lower(&im->arena, name);
    if (im->domain_cnt < 512) /* of more, which twice is found by nobody */
        for (; *at != NULL; at = &(*at)->next)
            if (strcmp((*at)->name, name) == 0)
                return *at;
    struct import_block *b = import_block(&im->doc, "relay", "");
    if (import_add(&im->doc, b, "domains", name) == NULL)
        return NULL;
    struct import_domain *d = import_take(&im->arena, sizeof(*d));
    *d = (struct import_domain){.name = name, .class = class};
    if (*at == NULL) {
        *at = d;
    } else {
        d->next = im->domain;
        im->domain = d;
    }
    im->domain_cnt++;
    return d;
}

/* shown: what is told of it when it is none. */
static void one(struct import *im, const struct class *c, const char *text, const char *shown,
                bool from_maps)
{
    struct import_block *b = import_block(&im->doc, "relay", "");
    bool parents =
        import_word_in(import_value(im, NULL, "parent_domain_matches_subdomains"),
                       "relay_domains") ||
        strstr(import_value(im, NULL, "parent_domain_matches_subdomains"), "relay_domains") != NULL;

    if (strcasecmp(text, "localhost") == 0 || import_begins(text, "localhost."))
        return;
    if (text[0] == '!' || !import_is_domain(text)) {
        if (!from_maps)
            import_todo(&im->doc, b, NULL, "%s: %s is no domain that can be written here", c->name,
                        shown);
        return;
    }
    if (import_domain_add(im, text, c->class) == NULL && im->lost_domain_cnt++ == 0)
        im->lost_domain = text;
    if (c->class == IMPORT_RELAY && parents && text[0] != '.')
        import_domain_add(im, import_format(&im->arena, ".%s", text), c->class);
}

static void list(struct import *im, const struct class *c, const char *text, bool from_maps,
                 const char *where, unsigned depth);

/* The keys of a map: domains, or of virtual_alias_maps those without an at sign. */
static void keys(struct import *im, const struct class *c, const char *item, const char *shown,
                 bool from_maps)
{
    struct import_map m;
    struct import_map_at at = {0};
    struct import_entry e;
    struct import_block *b = import_block(&im->doc, "relay", "");

    bool open = import_map_open(im, &m, item);
    if (!open || (m.kind != IMPORT_MAP_ENTRIES && m.kind != IMPORT_MAP_CIDR)) {
        if (!from_maps)
            import_todo(&im->doc, b, NULL, "the domains that %s of %s knows: %s", shown, c->name,
                        m.why == NULL   ? "write them here, patterns are none"
                        : shown == item ? m.why
                                        : "write them here");
        return;
    }
    while (import_map_next(&im->arena, &m, &at, &e))
        if (!from_maps || (strchr(e.key, '@') == NULL && strchr(e.key, '.') != NULL))
            one(im, c, e.key, import_entry_shown(im, &m, &e), from_maps);
}

static void list(struct import *im, const struct class *c, const char *text, bool from_maps,
                 const char *where, unsigned depth)
{
    const char *item, *path, *line;
    struct base_span file;
    uint32_t number;

    while ((item = import_next(&im->arena, &text)) != NULL) {
        const char *shown = where != NULL ? where : item;
        path = item;
        if (item[0] == '/' && depth < 4 && import_file_read(im, &path, &file)) {
            struct import_lines l = {.text = file, .next_line = 1};
            while ((line = import_line(&im->arena, &l, &number)) != NULL)
                list(im, c, line, from_maps, import_line_shown(im, path, number), depth + 1);
        } else if (item[0] != '/' && strchr(item, ':') != NULL) {
            keys(im, c, item, shown, from_maps);
        } else {
            one(im, c, item, shown, from_maps);
        }
    }
}

void import_domains(struct import *im)
{
    static const struct class classes[] = {
        {"mydestination", IMPORT_LOCAL},
        {"virtual_alias_domains", IMPORT_ALIAS},
        {"virtual_mailbox_domains", IMPORT_MAILBOX},
        {"relay_domains", IMPORT_RELAY},
    };
    struct import_block *b = import_block(&im->doc, "relay", "");
    const char *comments = "";

    for (size_t i = 0; i < BASE_ARRAY_CNT(classes); i++) {
        struct import_item *item = import_given(im, NULL, classes[i].name);
        /* Those two are their maps' domains where nobody says anything. */
        bool from_maps = item == NULL &&
                         (classes[i].class == IMPORT_ALIAS || classes[i].class == IMPORT_MAILBOX);
        const char *maps =
            classes[i].class == IMPORT_MAILBOX ? "virtual_mailbox_maps" : "virtual_alias_maps";
        if (item != NULL)
            comments = import_format(&im->arena, "%s%s\n", comments, import_tell(im, item));
        if (item == NULL && classes[i].class == IMPORT_LOCAL)
            comments = "mydestination is not set: $myhostname\n";
        list(im, &classes[i], import_value(im, NULL, from_maps ? maps : classes[i].name), from_maps,
             NULL, 0);
    }
    struct import_setting *s = import_setting_find(b, "domains");
    import_note(&im->doc, b, s, "%s", comments);
    if (im->lost_domain_cnt > 0)
        import_todo(&im->doc, b, s, "no room for %s and %u more: a list has %d items",
                    im->lost_domain, im->lost_domain_cnt - 1, CONF_LIST_MAX);
    if (s != NULL)
        import_note(&im->doc, b, s, "Mail for these is taken from anybody; localhost is left out.");
    struct import_item *parents = import_given(im, NULL, "parent_domain_matches_subdomains");
    if (parents != NULL)
        import_note(&im->doc, b, s, "%s", import_tell(im, parents));
    struct import_item *own = import_given(im, NULL, "myorigin");
    if (own != NULL && own->value[0] == '/')
        own->hidden = false;
}
