#include "import_cf.h"

#include <ctype.h>
#include <stdlib.h>

/* How each type of Postfix's is read. */
static const struct {
    const char *type;
    enum import_map_kind kind;
    const char *why;
} types[] = {
    {"texthash", IMPORT_MAP_ENTRIES, NULL},
    {"hash", IMPORT_MAP_ENTRIES, NULL},
    {"lmdb", IMPORT_MAP_ENTRIES, NULL},
    {"btree", IMPORT_MAP_ENTRIES, NULL},
    {"cdb", IMPORT_MAP_ENTRIES, NULL},
    {"dbm", IMPORT_MAP_ENTRIES, NULL},
    {"sdbm", IMPORT_MAP_ENTRIES, NULL},
    {"inline", IMPORT_MAP_ENTRIES, NULL},
    {"pcre", IMPORT_MAP_PATTERNS, NULL},
    {"regexp", IMPORT_MAP_PATTERNS, NULL},
    {"static", IMPORT_MAP_STATIC, NULL},
    {"cidr", IMPORT_MAP_CIDR, NULL},
    {"unix", IMPORT_MAP_OTHER, "the users of the system are in no map here"},
    {"ldap", IMPORT_MAP_OTHER, "LDAP is not asked: write its answers into a file"},
    {"mysql", IMPORT_MAP_OTHER, "no database is asked: write its answers into a file"},
    {"pgsql", IMPORT_MAP_OTHER, "no database is asked: write its answers into a file"},
    {"sqlite", IMPORT_MAP_OTHER, "no database is asked: write its answers into a file"},
    {"memcache", IMPORT_MAP_OTHER, "no service is asked: write its answers into a file"},
    {"tcp", IMPORT_MAP_OTHER, "no service is asked: write its answers into a file"},
    {"socketmap", IMPORT_MAP_OTHER, "no service is asked: write its answers into a file"},
};

void import_map_parse(struct import_arena *a, struct import_map *m, const char *text)
{
    *m = (struct import_map){.kind = IMPORT_MAP_OTHER, .name = text};
    while (import_begins(text, "proxy:"))
        text += 6;
    const char *colon = strchr(text, ':');
    if (colon == NULL || text[0] == '/') {
        m->why = "it has no type";
        return;
    }
    size_t len = (size_t)(colon - text);
    m->why = "maps of this type are not read: write what they say into a file";
    for (size_t i = 0; i < BASE_ARRAY_CNT(types); i++)
        if (strlen(types[i].type) == len && strncmp(types[i].type, text, len) == 0) {
            m->kind = types[i].kind;
            m->why = types[i].why;
            m->is_inline = strcmp(types[i].type, "inline") == 0;
        }
    const char *rest = colon + 1 + strspn(colon + 1, " \t");
    size_t rest_len = strlen(rest);
    bool braced = rest_len > 1 && rest[0] == '{' && rest[rest_len - 1] == '}';
    if (m->is_inline || m->kind == IMPORT_MAP_STATIC)
        m->text = base_span_str(braced ? import_copy(a, rest + 1, rest_len - 2) : rest);
    else if (m->kind != IMPORT_MAP_OTHER)
        m->path = rest;
}

static const char *trimmed(struct import_arena *a, const char *p, size_t len)
{
    while (len > 0 && isspace((uint8_t)*p)) {
        p++;
        len--;
    }
    while (len > 0 && isspace((uint8_t)p[len - 1]))
        len--;
    return import_copy(a, p, len);
}

/* { key = value } or key=value; the value goes to the next comma or brace. */
static bool inline_next(struct import_arena *a, const struct import_map *m,
                        struct import_map_at *at, struct import_entry *e)
{
    if (at->rest == NULL)
        at->rest = import_copy(a, (const char *)m->text.p, m->text.len);
    const char *p = at->rest + strspn(at->rest, " \t\r\n,");
    bool braced = p[0] == '{';
    p += braced;
    size_t len = strcspn(p, braced ? "}" : ",");
    const char *equals = memchr(p, '=', len);
    at->rest = p + len + (braced && p[len] == '}');
    if (equals == NULL)
        return false;
    e->key = trimmed(a, p, (size_t)(equals - p));
    e->value = trimmed(a, equals + 1, len - (size_t)(equals - p) - 1);
    e->line = 0;
    return true;
}

bool import_map_next(struct import_arena *a, const struct import_map *m, struct import_map_at *at,
                     struct import_entry *e)
{
    if (m->kind != IMPORT_MAP_ENTRIES && m->kind != IMPORT_MAP_CIDR)
        return false;
    if (m->is_inline)
        return inline_next(a, m, at, e);
    if (!at->begun)
        at->lines = (struct import_lines){.text = m->text, .next_line = 1};
    at->begun = true;
    const char *line = import_line(a, &at->lines, &e->line);
    if (line == NULL)
        return false;
    line += strspn(line, " \t");
    size_t len = strcspn(line, " \t");
    e->value = line + len + strspn(line + len, " \t");
    if (len > 1 && line[0] == '"' && line[len - 1] == '"')
        e->key = import_copy(a, line + 1, len - 2);
    else
        e->key = import_copy(a, line, len);
    return true;
}

const char *import_map_find(struct import_arena *a, const struct import_map *m, const char *key)
{
    struct import_map_at at = {0};
    struct import_entry e;

    if (m->kind == IMPORT_MAP_STATIC)
        return import_copy(a, (const char *)m->text.p, m->text.len);
    while (import_map_next(a, m, &at, &e))
        if (strcasecmp(e.key, key) == 0)
            return e.value;
    return NULL;
}
