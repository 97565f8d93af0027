/* A configuration as text that parses to the same again. */
#include "conf_show.h"

#include <stdlib.h>

const char *conf_shown_find(const struct conf *c, const struct conf_block *b, const char *name)
{
    uint32_t cnt;
    const char *at = conf_block_instances(c, b, &cnt);

    for (uint32_t i = 0; i < cnt; i++, at += b->item_bytes)
        if (b->example == NULL ||
            strcmp(((const struct conf_named *)(const void *)at)->name, name) == 0)
            return at;
    return NULL;
}

const char *conf_shown_usual(const struct conf_block *b, struct conf_arena *a)
{
    char *at = conf_arena_take(a, b->item_bytes);

    for (const struct conf_setting *s = conf_settings; at != NULL && s->block != NULL; s++)
        if (conf_setting_in(s, b))
            conf_value_default(s, at, a);
    return at;
}

bool conf_shown_wanted(const struct conf_show *show, const struct conf_shown *s,
                       const struct conf_setting *row)
{
    return !show->changed || row->default_text == NULL || s->usual == NULL ||
           !conf_value_same(row, s->at, s->usual) || conf_shown_late(show, s, row);
}

bool conf_shown_late(const struct conf_show *show, const struct conf_shown *s,
                     const struct conf_setting *row)
{
    return show->in_use != NULL && !row->reloadable && s->in_use != NULL &&
           !conf_value_same(row, s->at, s->in_use);
}

const char *conf_shown_scalar(const struct conf_setting *row, const char *at, char room[32])
{
    const void *field = at + row->offset;
    const char *word = row->words;

    switch (row->type) {
    case CONF_TYPE_BOOL:
        return *(const bool *)field ? "yes" : "no";
    case CONF_TYPE_NUMBER:
    case CONF_TYPE_SIZE:
    case CONF_TYPE_DURATION:
        conf_value_format(room, row->type, *(const uint64_t *)field);
        return room;
    case CONF_TYPE_WEIGHT:
        snprintf(room, 32, "%lld", (long long)*(const int64_t *)field);
        return room;
    case CONF_TYPE_ENUM:
        for (uint64_t i = *(const uint64_t *)field; i > 0; i--)
            word += strcspn(word, " ") + 1;
        snprintf(room, 32, "%.*s", (int)strcspn(word, " "), word);
        return room;
    default:
        return NULL;
    }
}

/* As a word where it can be one. */
static void write_atom(FILE *out, const char *text)
{
    bool word = text[0] != 0;

    for (const char *c = text; *c != 0; c++)
        word &= *c > ' ' && *c < 0x7f && strchr("{}=;,#\"'\\", *c) == NULL;
    if (word) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (const char *c = text; *c != 0; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if ((uint8_t)*c < 0x20 || *c == 0x7f)
            fprintf(out, "\\x%02x", (unsigned)(uint8_t)*c);
        else
            fputc(*c, out);
    }
    fputc('"', out);
}

static void write_value(FILE *out, const struct conf_setting *row, const char *at)
{
    char room[32];
    const char *scalar = conf_shown_scalar(row, at, room);
    const void *field = at + row->offset;

    if (scalar != NULL) {
        fputs(scalar, out);
        return;
    }
    if (!conf_value_is_list(row->type)) {
        const char *text = *(const char *const *)field;
        write_atom(out, text != NULL ? text : "");
        return;
    }
    const struct conf_list *list = field;
    fputc('{', out);
    for (uint32_t i = 0; i < list->cnt; i++) {
        fputs(i > 0 ? ", " : " ", out);
        write_atom(out, list->item[i]);
    }
    fputs(" }", out);
}

static void write_block(FILE *out, const struct conf_show *show, const struct conf_shown *s)
{
    fputs(s->block->name, out);
    if (s->block->example != NULL) {
        fputc(' ', out);
        write_atom(out, conf_shown_name(s));
    }
    bool fresh = show->in_use != NULL && !s->block->reloadable && s->in_use == NULL;
    fprintf(out, " {%s\n", fresh ? " # only after a restart" : "");
    for (const struct conf_setting *row = conf_settings; row->block != NULL; row++) {
        if (!conf_setting_in(row, s->block) || !conf_shown_wanted(show, s, row))
            continue;
        fprintf(out, "    %s = ", row->key);
        write_value(out, row, s->at);
        fputc(';', out);
        if (conf_shown_late(show, s, row)) {
            fputs(" # until a restart: ", out);
            write_value(out, row, s->in_use);
        }
        fputc('\n', out);
    }
    fputs("}\n", out);
}

/* Named instances that run on though the file has them no more. */
static void write_gone(FILE *out, const struct conf_show *show, const struct conf_block *b)
{
    uint32_t cnt;

    if (show->in_use == NULL || b->example == NULL || b->reloadable)
        return;
    const char *at = conf_block_instances(show->in_use, b, &cnt);
    for (uint32_t i = 0; i < cnt; i++, at += b->item_bytes) {
        const char *name = ((const struct conf_named *)(const void *)at)->name;
        if (conf_shown_find(show->conf, b, name) == NULL)
            fprintf(out, "# until a restart: %s %s\n", b->name, name);
    }
}

/* An unnamed block that has nothing to tell is left out. */
static bool has_rows(const struct conf_show *show, const struct conf_shown *s)
{
    for (const struct conf_setting *row = conf_settings; row->block != NULL; row++)
        if (conf_setting_in(row, s->block) && conf_shown_wanted(show, s, row))
            return true;
    return s->block->example != NULL;
}

void conf_write_show(FILE *out, const struct conf_show *show)
{
    struct conf_arena arena = {0};
    bool first = true;

    for (const struct conf_block *b = conf_blocks; b->name != NULL; b++) {
        uint32_t cnt;
        struct conf_shown s = {.block = b, .usual = conf_shown_usual(b, &arena)};
        s.at = conf_block_instances(show->conf, b, &cnt);
        for (uint32_t i = 0; i < cnt; i++, s.at += b->item_bytes) {
            s.in_use =
                show->in_use != NULL ? conf_shown_find(show->in_use, b, conf_shown_name(&s)) : NULL;
            if (!has_rows(show, &s))
                continue;
            fputs(first ? "" : "\n", out);
            first = false;
            write_block(out, show, &s);
        }
        write_gone(out, show, b);
    }
    conf_arena_free(&arena);
}
