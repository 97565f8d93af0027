/* What both forms of a shown configuration share. For this folder only. */
#ifndef CONF_SHOW_H
#define CONF_SHOW_H

#include "conf_internal.h"

/* An instance of a block beside that of the configuration in use. */
struct conf_shown {
    const struct conf_block *block;
    const char *at;
    const char *in_use; /* NULL: there is none, or nothing runs */
    const char *usual;  /* as by default */
};

/* The named instance, or the unnamed one; NULL: there is none. */
const char *conf_shown_find(const struct conf *c, const struct conf_block *b, const char *name);
static inline const char *conf_shown_name(const struct conf_shown *s)
{
    return s->block->example != NULL ? ((const struct conf_named *)(const void *)s->at)->name : "";
}
/* An instance with all defaults, in the arena; NULL without memory. */
const char *conf_shown_usual(const struct conf_block *b, struct conf_arena *a);
/* Whether the setting is told. */
bool conf_shown_wanted(const struct conf_show *show, const struct conf_shown *s,
                       const struct conf_setting *row);
/* The value stands in the file, but the gateway has another one until a restart. */
bool conf_shown_late(const struct conf_show *show, const struct conf_shown *s,
                     const struct conf_setting *row);
/* Of a type that is one atom, but no text: its text. */
const char *conf_shown_scalar(const struct conf_setting *row, const char *at, char room[32]);

#endif
