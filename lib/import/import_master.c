#include "import_cf.h"

#define BLANKS " \t"

struct import_service *import_services_add(struct import_arena *a, struct import_services *s,
                                           const char *name, const char *type, const char *command,
                                           const char *where)
{
    struct import_service *v = import_take(a, sizeof(*v));

    *v = (struct import_service){
        .name = name, .type = type, .command = command, .process_limit = "-", .where = where};
    if (s->first == NULL)
        s->first = v;
    else
        s->last->next = v;
    s->last = v;
    return v;
}

struct import_service *import_services_find(const struct import_services *s, const char *name,
                                            const char *type)
{
    for (struct import_service *v = s->first; v != NULL; v = v->next)
        if (strcmp(v->name, name) == 0 && strcmp(v->type, type) == 0)
            return v;
    return NULL;
}

/* The next argument: a word, or what stands in braces, without them. NULL: none. */
static const char *argument(struct import_arena *a, const char **at)
{
    const char *p = *at + strspn(*at, BLANKS);
    size_t len = strcspn(p, BLANKS), depth = 0;

    if (p[0] == 0) {
        *at = p;
        return NULL;
    }
    if (p[0] != '{') {
        *at = p + len;
        return import_copy(a, p, len);
    }
    for (len = 0; p[len] != 0; len++) {
        depth += p[len] == '{';
        if (p[len] == '}' && --depth == 0)
            break;
    }
    *at = p + len + (p[len] == '}');
    while (len > 1 && strchr(BLANKS, p[len - 1]) != NULL)
        len--;
    size_t skip = 1 + strspn(p + 1, BLANKS);
    return import_copy(a, p + skip, len > skip ? len - skip : 0);
}

static void option(struct import_arena *a, struct import_service *v, const char *text)
{
    const char *equals = strchr(text, '=');
    const char *where = import_format(a, "%s: %s: -o", v->where, v->name);

    if (equals == NULL) {
        import_items_add(a, &v->options, text, NULL, where);
        return;
    }
    size_t len = (size_t)(equals - text);
    while (len > 0 && strchr(BLANKS, text[len - 1]) != NULL)
        len--;
    import_items_add(a, &v->options, import_copy(a, text, len),
                     equals + 1 + strspn(equals + 1, BLANKS), where);
}

/* What stands behind the command: daemons of Postfix's own know -o; others have arguments of their
 * own, which are none of our business. */
static void arguments(struct import_arena *a, struct import_service *v, const char *at)
{
    const char *word;

    while ((word = argument(a, &at)) != NULL) {
        if (import_begins(word, "argv=") || import_begins(word, "flags="))
            return;
        if (strcmp(word, "-o") == 0)
            word = argument(a, &at);
        else if (import_begins(word, "-o"))
            word += 2;
        else
            continue;
        if (word == NULL)
            return;
        option(a, v, word);
    }
}

void import_master_read(struct import_arena *a, struct import_services *s, const char *file,
                        struct base_span text)
{
    struct import_lines l = {.text = text, .next_line = 1};
    const char *line;
    uint32_t number;

    while ((line = import_line(a, &l, &number)) != NULL) {
        const char *field[8], *at = line, *where = import_format(a, "%s:%u", file, number);
        unsigned cnt = 0;
        while (cnt < 8 && (field[cnt] = argument(a, &at)) != NULL)
            cnt++;
        if (cnt < 8) {
            import_services_add(a, s, line, "", "", where);
            continue;
        }
        struct import_service *v = import_services_add(a, s, field[0], field[1], field[7], where);
        v->process_limit = field[6];
        arguments(a, v, at);
    }
}
