/* The readers of Postfix's files alone, which are many times faster than a whole import: any bytes
 * are parameters, services, a map and a list; every value expands within its bound. */
#include "import_cf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *none(void *user, const char *name)
{
    (void)user;
    return name[0] == 'd' ? "$default ${x?y}" : NULL;
}

static void expand(struct import_scope *s, const struct import_items *items)
{
    unsigned cnt = 0;

    for (const struct import_item *i = items->first; i != NULL && cnt < 50; i = i->next, cnt++) {
        base_assert(i->name != NULL && i->where != NULL);
        if (i->value != NULL)
            base_assert(strlen(import_expand(s, i->value)) <= 65536);
    }
}

static void map(struct import_arena *a, const char *name, struct base_span text)
{
    struct import_map_at at = {0};
    struct import_entry e = {0};
    struct import_map m;
    uint32_t line = 0;

    import_map_parse(a, &m, name);
    base_assert((m.kind == IMPORT_MAP_OTHER) == (m.why != NULL));
    if (m.path != NULL)
        m.text = text;
    while (import_map_next(a, &m, &at, &e)) {
        base_assert(e.key != NULL && e.value != NULL && e.line >= line);
        line = e.line;
    }
    (void)import_map_find(a, &m, "key");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct base_span text = base_span_of(data, size);
    struct import_arena arena = {0};
    struct import_items items = {0};
    struct import_services services = {0};
    struct import_scope scope = {.arena = &arena, .items = &items, .default_of = none};
    const char *list = import_copy(&arena, (const char *)data, size), *item;
    size_t len = 0;

    import_cf_read(&arena, &items, "main.cf", text);
    import_master_read(&arena, &services, "master.cf", text);
    expand(&scope, &items);
    unsigned cnt = 0;
    for (const struct import_service *v = services.first; v != NULL && cnt < 20;
         v = v->next, cnt++) {
        scope.options = &v->options;
        expand(&scope, &v->options);
    }
    map(&arena, "hash:/x", text);
    map(&arena, import_format(&arena, "inline:%s", list), text);
    while ((item = import_next(&arena, &list)) != NULL) {
        base_assert(item[0] != 0);
        len += strlen(item);
    }
    base_assert(len <= size);
    import_arena_free(&arena);
    return 0;
}
