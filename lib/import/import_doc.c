/* The document: blocks with their settings in memory, then a text, and what conf_parse says of it.
 */
#include "import_internal.h"

#include <stdlib.h>

#define OPEN_WORD   "TO" /* what lint looks for in sources stands in what is written only */ "DO"
#define COMMENT_MAX 1000 /* bytes of a line */
#define ROUNDS_MAX  64
#define ABOVE_MAX   65536 /* of one setting */

struct import_block *import_block_find(struct import_doc *d, const char *kind, const char *name)
{
    for (struct import_block *b = d->block; b != NULL; b = b->next)
        if (strcmp(b->kind, kind) == 0 && strcmp(b->name, name) == 0)
            return b;
    return NULL;
}

struct import_block *import_block(struct import_doc *d, const char *kind, const char *name)
{
    struct import_block **at = &d->block;
    uint32_t cnt = 0;

    for (; *at != NULL; at = &(*at)->next) {
        bool same = strcmp((*at)->kind, kind) == 0;
        if (same && strcmp((*at)->name, name) == 0)
            return *at;
        cnt += same;
    }
    if (cnt >= CONF_BLOCK_MAX - 1)
        return NULL;
    *at = import_take(d->arena, sizeof(**at));
    **at = (struct import_block){.kind = kind, .name = name};
    return *at;
}

struct import_setting *import_setting_find(struct import_block *b, const char *key)
{
    for (struct import_setting *s = b->first; s != NULL; s = s->next)
        if (s->key != NULL && strcmp(s->key, key) == 0)
            return s;
    return NULL;
}

static struct import_setting *append(struct import_doc *d, struct import_block *b, const char *key)
{
    struct import_setting *s = import_take(d->arena, sizeof(*s));

    s->key = key;
    s->above = "";
    if (b->last == NULL)
        b->first = s;
    else
        b->last->next = s;
    b->last = s;
    return s;
}

struct import_setting *import_add(struct import_doc *d, struct import_block *b, const char *key,
                                  const char *item)
{
    struct import_setting *s = import_setting_find(b, key);

    if (s == NULL)
        s = append(d, b, key);
    s->list = true;
    for (uint32_t i = 0; i < s->cnt && s->cnt <= 256; i++)
        if (strcmp(s->item[i], item) == 0)
            return s;
    if (s->cnt == CONF_LIST_MAX)
        return NULL;
    if (s->cnt == s->cap) {
        uint32_t cap = s->cap == 0 ? 8 : 2 * s->cap;
        const char **more = import_take(d->arena, cap * sizeof(*more));
        if (s->cnt > 0)
            memcpy(more, s->item, s->cnt * sizeof(*more));
        s->item = more;
        s->cap = cap;
    }
    s->item[s->cnt++] = item;
    return s;
}

struct import_setting *import_set(struct import_doc *d, struct import_block *b, const char *key,
                                  const char *value)
{
    struct import_setting *s = import_setting_find(b, key);

    if (s != NULL)
        s->cnt = 0;
    s = import_add(d, b, key, value);
    s->list = false;
    return s;
}

/* ---- comments ---- */

static const char *joined(struct import_doc *d, const char *before, const char *text)
{
    bool ended = text[0] == 0 || text[strlen(text) - 1] == '\n';

    return import_format(d->arena, "%s%s%s", before != NULL ? before : "", text, ended ? "" : "\n");
}

static void add_lines(struct import_doc *d, struct import_text *t, const char *text)
{
    size_t len = strlen(text), room = len + 2;

    if (t->cap - t->len < room) {
        size_t cap = 2 * t->cap > t->len + room ? 2 * t->cap : t->len + room + 1024;
        char *more = import_take(d->arena, cap);
        if (t->len > 0)
            memcpy(more, t->p, t->len);
        t->p = more;
        t->cap = cap;
    }
    memcpy(t->p + t->len, text, len);
    t->len += len;
    if (len > 0 && text[len - 1] != '\n')
        t->p[t->len++] = '\n';
    t->p[t->len] = 0;
}

static void put_comment(struct import_doc *d, struct import_block *b, struct import_setting *s,
                        const char *text)
{
    if (text[0] == 0)
        return;
    if (b == NULL && s == NULL) {
        add_lines(d, &d->todo, text);
        return;
    }
    if (s == NULL)
        s = b->last != NULL && b->last->key == NULL ? b->last : append(d, b, NULL);
    if (strlen(s->above) < ABOVE_MAX)
        s->above = joined(d, s->above, text);
}

void import_note(struct import_doc *d, struct import_block *b, struct import_setting *s,
                 const char *format, ...)
{
    va_list args;

    va_start(args, format);
    put_comment(d, b, s, import_formatv(d->arena, format, args));
    va_end(args);
}

void import_todo(struct import_doc *d, struct import_block *b, struct import_setting *s,
                 const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const char *text = import_formatv(d->arena, format, args);
    va_end(args);
    put_comment(d, b, s, import_format(d->arena, OPEN_WORD ": %s", text));
    d->todo_cnt++;
}

void import_part(struct import_doc *d, enum import_part part, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_lines(d, &d->part[part], import_formatv(d->arena, format, args));
    va_end(args);
}

/* ---- the text ---- */

struct writer {
    FILE *out;
    uint32_t line;
};

/* Each line of text behind "# ", bytes that no comment may have taken out. */
static void comment(struct writer *w, const char *indent, const char *text)
{
    while (*text != 0) {
        size_t len = strcspn(text, "\n");
        fprintf(w->out, "%s# ", indent);
        for (size_t i = 0; i < len && i < COMMENT_MAX; i++) {
            uint8_t c = (uint8_t)text[i];
            fputc(c >= 0x20 && c != 0x7f ? c : ' ', w->out);
        }
        fputs(len > COMMENT_MAX ? " ...\n" : "\n", w->out);
        w->line++;
        text += len + (text[len] == '\n');
    }
}

static void atom(FILE *out, const char *text)
{
    bool plain = text[0] != 0;

    for (const char *p = text; *p != 0; p++)
        plain = plain && *p > ' ' && *p < 0x7f && strchr("{}=;,#\"'\\", *p) == NULL;
    if (plain) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (const char *p = text; *p != 0; p++) {
        uint8_t c = (uint8_t)*p;
        if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\x%02x", c);
        else if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void end_line(struct writer *w)
{
    fputc('\n', w->out);
    w->line++;
}

static void setting(struct writer *w, struct import_setting *s, bool out)
{
    uint32_t on_line = 0;

    comment(w, "    ", s->above);
    if (s->key == NULL)
        return;
    if (s->refused != NULL)
        comment(w, "    ", s->refused);
    const char *hash = out || s->refused != NULL ? "#" : "";
    s->line = w->line;
    fprintf(w->out, "    %s%s = %s", hash, s->key, s->list ? "{ " : "");
    for (uint32_t i = 0; i < s->cnt; i++) {
        on_line += (uint32_t)strlen(s->item[i]) + 2;
        if (i > 0 && on_line > 90) {
            fputc(',', w->out);
            end_line(w);
            fprintf(w->out, "        %s", hash);
            on_line = (uint32_t)strlen(s->item[i]);
        } else if (i > 0) {
            fputs(", ", w->out);
        }
        atom(w->out, s->item[i]);
    }
    fputs(s->list ? " };" : ";", w->out);
    end_line(w);
}

static void block(struct writer *w, struct import_block *b)
{
    if (b->refused != NULL)
        comment(w, "", b->refused);
    b->line = w->line;
    fprintf(w->out, "%s%s%s", b->refused != NULL ? "#" : "", b->kind, b->name[0] != 0 ? " " : "");
    if (b->name[0] != 0)
        atom(w->out, b->name);
    fputs(" {", w->out);
    end_line(w);
    for (struct import_setting *s = b->first; s != NULL; s = s->next)
        setting(w, s, b->refused != NULL);
    fprintf(w->out, "%s}", b->refused != NULL ? "#" : "");
    end_line(w);
    end_line(w);
}

static void parts(struct writer *w, const struct import_doc *d)
{
    static const char *const title[IMPORT_PART_CNT] = {
        [IMPORT_RULES] = "---- The restrictions, word by word ----",
        [IMPORT_SAME] = "---- Set there, and so here without a setting ----",
        [IMPORT_NONE] = "---- No counterpart: what to do ----",
        [IMPORT_OWN] = "---- Of the installation there: nothing to do ----",
    };

    for (unsigned i = 0; i < IMPORT_PART_CNT; i++)
        if (d->part[i].p != NULL) {
            comment(w, "", title[i]);
            comment(w, "", d->part[i].p);
            end_line(w);
        }
}

static void write_text(struct import_doc *d, FILE *out)
{
    struct writer w = {.out = out, .line = 1};
    const char *before = "";

    comment(&w, "", d->head);
    comment(&w, "",
            import_format(d->arena,
                          "%u lines begin with " OPEN_WORD ": what only you know, or has to "
                          "be decided. The settings below them are placeholders.",
                          d->todo_cnt));
    if (d->todo.p != NULL)
        comment(&w, "", d->todo.p);
    end_line(&w);
    for (const struct conf_setting *row = conf_settings; row->block != NULL; row++) {
        if (strcmp(before, row->block) == 0)
            continue;
        before = row->block;
        for (struct import_block *b = d->block; b != NULL; b = b->next)
            if (strcmp(b->kind, before) == 0 && b->first != NULL)
                block(&w, b);
    }
    parts(&w, d);
}

/* ---- what conf_parse says of it ---- */

static const char *refusal(struct import_doc *d, const char *why)
{
    d->todo_cnt++;
    return import_format(d->arena, OPEN_WORD ": left out, as it is refused here: %s", why);
}

/* The setting that the error names or that stands at its line, else the block. */
static bool refuse(struct import_doc *d, const struct conf_error *e)
{
    struct import_block *found = NULL;
    struct import_setting *in = NULL;
    const char *key = strrchr(e->key, ' ');

    for (struct import_block *b = d->block; b != NULL; b = b->next)
        if (b->line <= e->line && (found == NULL || b->line > found->line))
            found = b;
    if (found == NULL || !import_begins(e->key, found->kind))
        return false; /* of none: what there has to be is missing */
    if (found->refused != NULL)
        return true;
    for (struct import_setting *s = found->first; s != NULL; s = s->next)
        if (s->key != NULL && s->line <= e->line)
            in = s;
    if (in == NULL && key != NULL)
        in = import_setting_find(found, key + 1);
    /* Without it the block is not taken either. */
    if (in == NULL || (in->refused != NULL && in->round < d->round)) {
        found->refused = refusal(d, e->why);
    } else if (in->refused == NULL) {
        in->refused = refusal(d, e->why);
        in->round = d->round;
    }
    return true;
}

static const char *text_once(struct import_doc *d, bool *again)
{
    struct conf_errors *errors = calloc(1, sizeof(*errors));
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    base_assert(errors != NULL && out != NULL);
    write_text(d, out);
    fclose(out);
    base_assert(text != NULL);
    struct conf *conf = conf_parse("import", base_span_of(text, len), NULL, NULL, errors);
    *again = false;
    d->round++;
    for (uint32_t i = 0; i < errors->cnt; i++)
        *again |= refuse(d, &errors->error[i]);
    conf_free(conf);
    conf_errors_free(errors);
    free(errors);
    const char *copy = import_copy(d->arena, text, len);
    free(text);
    return copy;
}

const char *import_doc_text(struct import_doc *d)
{
    const char *text;
    bool again = true;

    text = text_once(d, &again);
    for (unsigned i = 0; i < ROUNDS_MAX && again; i++)
        text = text_once(d, &again);
    return text;
}
