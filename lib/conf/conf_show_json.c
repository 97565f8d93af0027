/* A configuration as one JSON object. */
#include "base_json.h"
#include "conf_show.h"

static void write_text(FILE *out, const char *text)
{
    base_json_print(out, base_span_str(text));
}

static void write_value(FILE *out, const struct conf_setting *row, const char *at)
{
    char room[32];
    const char *scalar = conf_shown_scalar(row, at, room);
    const void *field = at + row->offset;

    if (row->type == CONF_TYPE_BOOL) {
        fputs(*(const bool *)field ? "true" : "false", out);
    } else if (row->type == CONF_TYPE_NUMBER || row->type == CONF_TYPE_WEIGHT) {
        fputs(scalar, out);
    } else if (conf_value_is_list(row->type)) {
        const struct conf_list *list = field;
        fputc('[', out);
        for (uint32_t i = 0; i < list->cnt; i++) {
            fputs(i > 0 ? "," : "", out);
            write_text(out, list->item[i]);
        }
        fputc(']', out);
    } else {
        const char *text = scalar != NULL ? scalar : *(const char *const *)field;
        write_text(out, text != NULL ? text : "");
    }
}

static void write_rows(FILE *out, const struct conf_show *show, const struct conf_shown *s)
{
    const char *comma = "";

    fputc('{', out);
    for (const struct conf_setting *row = conf_settings; row->block != NULL; row++)
        if (conf_setting_in(row, s->block) && conf_shown_wanted(show, s, row)) {
            fprintf(out, "%s\"%s\":", comma, row->key);
            write_value(out, row, s->at);
            comma = ",";
        }
    fputc('}', out);
}

static void write_block(FILE *out, const struct conf_show *show, struct conf_shown *s)
{
    uint32_t cnt;
    bool named = s->block->example != NULL;

    s->at = conf_block_instances(show->conf, s->block, &cnt);
    fprintf(out, "\"%s\":%s", s->block->name, named ? "{" : "");
    for (uint32_t i = 0; i < cnt; i++, s->at += s->block->item_bytes) {
        s->in_use = show->in_use != NULL
                        ? conf_shown_find(show->in_use, s->block, conf_shown_name(s))
                        : NULL;
        if (named) {
            fputs(i > 0 ? "," : "", out);
            write_text(out, conf_shown_name(s));
            fputc(':', out);
        }
        write_rows(out, show, s);
    }
    fputs(named ? "}" : "", out);
}

void conf_write_show_json(FILE *out, const struct conf_show *show)
{
    const struct conf_setting *late[CONF_SETTING_MAX];
    struct conf_arena arena = {0};

    fputc('{', out);
    for (const struct conf_block *b = conf_blocks; b->name != NULL; b++) {
        struct conf_shown s = {.block = b, .usual = conf_shown_usual(b, &arena)};
        fputs(b > conf_blocks ? "," : "", out);
        write_block(out, show, &s);
    }
    uint32_t cnt =
        show->in_use != NULL ? conf_compare(show->in_use, show->conf, late, CONF_SETTING_MAX) : 0;
    fputs(",\"needs_restart\":[", out);
    for (uint32_t i = 0; i < cnt; i++)
        fprintf(out, "%s\"%s.%s\"", i > 0 ? "," : "", late[i]->block, late[i]->key);
    fputs("]}\n", out);
    conf_arena_free(&arena);
}
