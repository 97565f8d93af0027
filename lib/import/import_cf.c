#include "import_cf.h"

#include <ctype.h>

#define NAME_MAX_LEN 128

struct import_item *import_items_add(struct import_arena *a, struct import_items *items,
                                     const char *name, const char *value, const char *where)
{
    struct import_item *same = value != NULL ? import_items_find(items, name) : NULL;
    struct import_item *i = import_take(a, sizeof(*i));

    if (same != NULL)
        same->again = true;
    *i = (struct import_item){.name = name, .value = value, .where = where};
    if (items->first == NULL)
        items->first = i;
    else
        items->last->next = i;
    items->last = i;
    return i;
}

struct import_item *import_items_find(const struct import_items *items, const char *name)
{
    for (struct import_item *i = items->first; i != NULL; i = i->next)
        if (!i->again && i->value != NULL && strcmp(i->name, name) == 0)
            return i;
    return NULL;
}

static size_t name_len(const char *text)
{
    size_t len = 0;

    while (isalnum((uint8_t)text[len]) || (text[len] != 0 && strchr("_-.", text[len]) != NULL))
        len++;
    return len;
}

void import_cf_read(struct import_arena *a, struct import_items *items, const char *file,
                    struct base_span text)
{
    struct import_lines l = {.text = text, .next_line = 1};
    const char *line;
    uint32_t number;

    while ((line = import_line(a, &l, &number)) != NULL) {
        const char *where = import_format(a, "%s:%u", file, number);
        const char *at = line + strspn(line, " \t");
        size_t len = name_len(at);
        const char *equals = at + len + strspn(at + len, " \t");
        if (len == 0 || len > NAME_MAX_LEN || equals[0] != '=') {
            import_items_add(a, items, at, NULL, where);
            continue;
        }
        const char *name = import_copy(a, at, len);
        import_items_add(a, items, name, equals + 1 + strspn(equals + 1, " \t"), where);
    }
}
