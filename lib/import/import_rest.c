/* Rows by their names, and what nobody has told: it goes to the end, with its row's note. */
#include "import_internal.h"

/* A star is any run of letters; rows have two at most. */
static bool matches(const char *pattern, const char *name)
{
    while (*pattern != 0 && *pattern != '*' && *pattern == *name) {
        pattern++;
        name++;
    }
    if (*pattern != '*')
        return *pattern == 0 && *name == 0;
    for (;; name++) {
        if (matches(pattern + 1, name))
            return true;
        if (*name == 0)
            return false;
    }
}

const struct import_row *import_row_find(const struct import_row *rows, const char *name)
{
    for (const struct import_row *r = rows; r->name != NULL; r++)
        if (strcmp(r->name, name) == 0)
            return r;
    for (const struct import_row *r = rows; r->name != NULL; r++)
        if (matches(r->name, name))
            return r;
    return NULL;
}

static const struct import_item *user_in(const struct import_items *items, const char *name)
{
    size_t len = strlen(name);

    for (const struct import_item *i = items->first; i != NULL; i = i->next)
        for (const char *p = i->value; p != NULL && (p = strstr(p, name)) != NULL; p += len)
            if (p > i->value && strchr("${(", p[-1]) != NULL &&
                strspn(p + len, "abcdefghijklmnopqrstuvwxyz_0123456789") == 0)
                return i;
    return NULL;
}

/* Whether another value has it in: a parameter of the operator's own. */
static const struct import_item *user_of(const struct import *im, const char *name)
{
    const struct import_item *i = user_in(&im->items, name);

    for (const struct import_service *v = im->services.first; i == NULL && v != NULL; v = v->next)
        i = user_in(&v->options, name);
    return i;
}

static void rest(struct import *im, const struct import_items *items)
{
    static const enum import_part part[] = {[ROW_SAME] = IMPORT_SAME, [ROW_OWN] = IMPORT_OWN};

    for (struct import_item *i = items->first; i != NULL; i = i->next) {
        if (i->told)
            continue;
        if (i->value == NULL) {
            import_part(&im->doc, IMPORT_NONE, "%s\n    not understood: no name = value", i->where);
            i->told = true;
            continue;
        }
        const struct import_row *r = import_row_find(import_rows, i->name);
        const char *note = i->again    ? "set again further down, which counts"
                           : r != NULL ? r->note
                                       : "";
        enum import_part at =
            r != NULL && (r->kind == ROW_SAME || r->kind == ROW_OWN) ? part[r->kind] : IMPORT_NONE;
        const struct import_item *user = r == NULL ? user_of(im, i->name) : NULL;
        if (user != NULL)
            note = import_format(&im->arena, "put in where it is used, in %s", user->name);
        else if (r == NULL && !i->again)
            note = "Postfix has no such parameter, or the import does not know it: look it up in "
                   "postconf(5) and see sluice.conf(5) for what is there instead";
        if (r != NULL && r->kind == ROW_CODE && note[0] == 0)
            note = "nothing came of it as the other settings are";
        const char *told = import_tell(im, i);
        import_part(&im->doc, at,
                    note[0] != 0 && (at != IMPORT_OWN || i->again) ? "%s\n    %s" : "%s%.0s", told,
                    note);
    }
}

void import_rest(struct import *im)
{
    rest(im, &im->items);
    for (struct import_service *v = im->services.first; v != NULL; v = v->next) {
        rest(im, &v->options);
        if (!v->told && strcmp(v->type, "") == 0)
            import_part(&im->doc, IMPORT_NONE, "%s\n    not understood: a service has 8 fields",
                        v->where);
    }
}
