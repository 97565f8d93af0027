/* What must not be shown: values with passwords in them, and what these are made of. */
#include "import_internal.h"

#define LEVELS_MAX 32 /* as many as a value is expanded */

bool import_is_secret(const char *name)
{
    static const char *const words[] = {"pass", "secret", "_pw", "token"};

    for (size_t i = 0; i < BASE_ARRAY_CNT(words); i++)
        if (strcasestr(name, words[i]) != NULL)
            return true;
    return false;
}

/* Hides the items of the name; whether one was not hidden yet. */
static bool hide_name(struct import_items *items, const char *name, size_t len)
{
    bool some = false;

    for (struct import_item *i = items->first; i != NULL; i = i->next)
        if (!i->hidden && strncmp(i->name, name, len) == 0 && i->name[len] == 0) {
            i->hidden = true;
            some = true;
        }
    return some;
}

/* Parameters of the operator's own that the value has in it: $name, ${name}, $(name). */
static bool hide_parts(struct import *im, const char *value)
{
    bool some = false;

    for (const char *p = value; (p = strpbrk(p, "${(")) != NULL;) {
        p += strspn(p, "${( \t");
        size_t len = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
        if (len == 0 || import_row_find(import_rows, import_copy(&im->arena, p, len)) != NULL)
            continue;
        some |= hide_name(&im->items, p, len);
        for (struct import_service *v = im->services.first; v != NULL; v = v->next)
            some |= hide_name(&v->options, p, len);
    }
    return some;
}

static bool hide_in(struct import *im, const struct import_items *items)
{
    bool some = false;

    for (struct import_item *i = items->first; i != NULL; i = i->next) {
        if (i->value != NULL && import_is_secret(i->name))
            i->hidden = true;
        if (i->value != NULL && i->hidden && strchr(i->value, '$') != NULL)
            some |= hide_parts(im, i->value);
    }
    return some;
}

void import_hide(struct import *im)
{
    bool some = true;

    for (unsigned n = 0; n < LEVELS_MAX && some; n++) {
        some = hide_in(im, &im->items);
        for (struct import_service *v = im->services.first; v != NULL; v = v->next)
            some |= hide_in(im, &v->options);
    }
}
