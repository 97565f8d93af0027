/* A configuration from its defaults to its end: prepare, read, check, free. */
#include "conf_internal.h"

#include <stdlib.h>

/* One allocation: the result and its memory. */
struct owner {
    struct conf conf;
    struct conf_arena arena;
    struct conf_errors warnings;
    struct conf_place places[CONF_SETTING_MAX];
};

/* The structs with their defaults. False: out of memory. */
static bool prepare(struct conf_parser *p)
{
    for (const struct conf_block *b = conf_blocks; b->name != NULL; b++) {
        char *at = (char *)p->conf + b->offset;
        if (b->example != NULL)
            *(void **)(void *)at = conf_arena_take(p->arena, (CONF_BLOCK_MAX + 1) * b->item_bytes);
        for (const struct conf_setting *s = conf_settings; s->block != NULL; s++)
            if (b->example == NULL && conf_setting_in(s, b))
                conf_value_default(s, at, p->arena);
    }
    return !p->arena->failed;
}

static void read_all(struct conf_parser *p, const char *name, struct base_span text)
{
    name = conf_arena_text(p->arena, base_span_str(name));
    conf_read_file(p, name, text);
    p->file = name;
    bool ended = text.len > 0 && text.p[text.len - 1] == '\n' && p->lex.line > 1;
    uint32_t last_line = p->lex.line - ended;
    for (const struct conf_block *b = conf_blocks; b->name != NULL; b++) {
        snprintf(p->where, sizeof(p->where), "%s", b->name);
        if (b->example == NULL)
            conf_read_required(p, b, last_line);
        else if (b->optional && conf_block_cnt(p->conf, b) == 0)
            conf_open_default(p, b);
    }
    conf_check(p, name, last_line);
    conf_check_effect(p);
}

struct conf *conf_parse_partly(const char *name, struct base_span text, conf_include include_file,
                               void *user, struct conf_errors *errors)
{
    struct owner *o = calloc(1, sizeof(*o));
    struct conf_parser *p = calloc(1, sizeof(*p));

    *errors = (struct conf_errors){0};
    if (o != NULL && p != NULL) {
        *p = (struct conf_parser){.conf = &o->conf,
                                  .arena = &o->arena,
                                  .errors = errors,
                                  .warnings = &o->warnings,
                                  .include = include_file,
                                  .user = user,
                                  .lex.line = 1};
        o->conf.warnings = &o->warnings;
        o->conf.places = o->places;
        if (prepare(p))
            read_all(p, name, text);
        for (uint32_t i = 0; conf_settings[i].block != NULL; i++)
            if (conf_block_find(conf_settings[i].block)->example == NULL)
                o->places[i] = (struct conf_place){p->seen[i].file, p->seen[i].line};
    }
    bool failed = o == NULL || p == NULL || o->arena.failed;
    if (failed)
        conf_error_add(errors, name, 0, "", "out of memory");
    free(p);
    if (!failed)
        return &o->conf;
    conf_free(o != NULL ? &o->conf : NULL);
    return NULL;
}

struct conf *conf_parse(const char *name, struct base_span text, conf_include include_file,
                        void *user, struct conf_errors *errors)
{
    struct conf *c = conf_parse_partly(name, text, include_file, user, errors);

    if (errors->cnt == 0)
        return c;
    conf_free(c);
    return NULL;
}

struct conf_place conf_place_of(const struct conf *c, const char *block, const char *key)
{
    const struct conf_setting *s = conf_setting_find(block, key);

    base_assert(s != NULL);
    return c->places[s - conf_settings];
}

void conf_free(struct conf *c)
{
    if (c == NULL)
        return;
    struct owner *o = base_container_of(c, struct owner, conf);
    conf_arena_free(&o->arena);
    conf_errors_free(&o->warnings);
    free(o);
}
