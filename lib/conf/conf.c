/* A configuration from its defaults to its end: prepare, read, check, free. */
#include "conf_internal.h"

#include <stdlib.h>

/* One allocation: the result and its memory. */
struct owner {
    struct conf conf;
    struct conf_arena arena;
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

struct conf *conf_parse(const char *name, struct base_span text, conf_include include_file,
                        void *user, struct conf_errors *errors)
{
    struct owner *o = calloc(1, sizeof(*o));
    struct conf_parser *p = calloc(1, sizeof(*p));

    *errors = (struct conf_errors){0};
    if (o != NULL && p != NULL) {
        *p = (struct conf_parser){.conf = &o->conf,
                                  .arena = &o->arena,
                                  .errors = errors,
                                  .include = include_file,
                                  .user = user,
                                  .lex.line = 1};
        if (prepare(p)) {
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
        }
    }
    if (o == NULL || p == NULL || o->arena.failed)
        conf_error_add(errors, name, 0, "", "out of memory");
    free(p);
    if (errors->cnt == 0)
        return &o->conf;
    conf_free(o != NULL ? &o->conf : NULL);
    return NULL;
}

void conf_free(struct conf *c)
{
    if (c == NULL)
        return;
    struct owner *o = base_container_of(c, struct owner, conf);
    conf_arena_free(&o->arena);
    free(o);
}
