/* Files, cases, loops, tables, subroutines and names; what is left goes to script_statement. */
#include "script.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define LINE_CAP     512
#define NAME_CNT_MAX 64
#define SUB_MAX      64
#define SOURCE_MAX   16
#define COLUMN_MAX   12
#define DEPTH_MAX    24

struct source {
    char path[LINE_CAP];
    char *text;  /* owned */
    char **line; /* owned; without comments and blanks at the ends */
    char **note; /* owned; what follows "fails:" in a line's comment, or NULL */
    uint32_t line_cnt;
};

struct name {
    char name[32];
    char value[LINE_CAP];
};

struct sub {
    char name[64];
    const struct source *source;
    uint32_t from, to;
};

struct run {
    struct script *s;
    struct source source[SOURCE_MAX];
    uint32_t source_cnt;
    struct name name[NAME_CNT_MAX];
    uint32_t name_cnt;
    struct sub sub[SUB_MAX];
    uint32_t sub_cnt;
    uint32_t depth;
    const char
        *last_file; /* of the last statement: what a case fails with at its end is put there */
    uint32_t last_line;
    char note[SCRIPT_TEXT_CAP]; /* what this case must fail with; empty: it has not failed */
};

static bool run_lines(struct run *r, const struct source *f, uint32_t from, uint32_t to);

/* ---- files ---- */

static char *trim(char *p)
{
    while (isspace((unsigned char)*p))
        p++;
    char *end = p + strlen(p);
    while (end > p && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return p;
}

static void split_lines(struct source *f)
{
    uint32_t cnt = 1;

    for (const char *p = f->text; *p != '\0'; p++)
        cnt += *p == '\n';
    f->line = calloc(cnt, sizeof(*f->line));
    f->note = calloc(cnt, sizeof(*f->note));
    base_assert(f->line != NULL && f->note != NULL);
    char *p = f->text;
    for (f->line_cnt = 0; f->line_cnt < cnt; f->line_cnt++) {
        char *end = strchr(p, '\n');
        if (end != NULL)
            *end = '\0';
        char *comment = strchr(p, '#');
        if (comment != NULL) {
            *comment++ = '\0';
            char *note = strstr(comment, "fails:");
            f->note[f->line_cnt] = note != NULL ? trim(note + strlen("fails:")) : NULL;
        }
        f->line[f->line_cnt] = trim(p);
        p = end != NULL ? end + 1 : p;
    }
}

/* NULL when it cannot be read. */
static struct source *load(struct run *r, const char *path)
{
    if (r->source_cnt == SOURCE_MAX)
        return NULL;
    FILE *in = fopen(path, "r");
    if (in == NULL)
        return NULL;
    struct source *f = &r->source[r->source_cnt];
    size_t cap = 1 << 20;
    f->text = calloc(1, cap);
    base_assert(f->text != NULL);
    size_t n = fread(f->text, 1, cap - 1, in);
    fclose(in);
    f->text[n] = '\0';
    snprintf(f->path, sizeof(f->path), "%s", path);
    split_lines(f);
    r->source_cnt++;
    return f;
}

/* ---- cases ---- */

static bool expand(struct run *r, const char *in, char out[SCRIPT_TEXT_CAP]);

/* Keeps what the line of a failure promises to fail with, as long as the names in it are known. */
static void keep_note(struct run *r)
{
    const struct script *s = r->s;

    if (!s->quiet || !s->failed || r->note[0] != '\0')
        return;
    for (uint32_t i = 0; i < r->source_cnt; i++) {
        const struct source *f = &r->source[i];
        if (f->path == s->file && s->line > 0 && f->note[s->line - 1] != NULL)
            (void)expand(r, f->note[s->line - 1], r->note);
    }
}

static void finish_case(struct run *r)
{
    struct script *s = r->s;

    if (!s->in_case && !s->open && !s->failed)
        return;
    if (!s->failed && r->last_file != NULL) {
        s->file = r->last_file;
        s->line = r->last_line;
    }
    (void)script_close(s);
    keep_note(r);
    s->case_cnt++;
    if (!s->quiet && s->failed)
        printf("%s\n", s->message);
    if (!s->quiet)
        s->failed_cnt += s->failed;
    else if (!s->failed || r->note[0] == '\0' || strstr(s->message, r->note) == NULL) {
        printf("%s: [%s] must fail where it says \"fails:\", and with that; %s\n", s->file,
               s->case_name, s->failed ? s->message : "it passes");
        s->failed_cnt++;
    }
    s->failed = s->in_case = false;
    r->note[0] = '\0';
    s->case_name[0] = s->message[0] = '\0';
}

static void begin_case(struct run *r, const char *name)
{
    finish_case(r);
    r->s->in_case = true;
    r->s->config = r->s->config_file;
    r->s->link = r->s->link_file;
    r->s->tolerance_ns = 5 * BASE_NS_MS;
    snprintf(r->s->case_name, sizeof(r->s->case_name), "%s", name);
}

/* ---- names ---- */

static bool set_name(struct run *r, const char *name, const char *value)
{
    if (r->name_cnt == NAME_CNT_MAX)
        return script_fail(r->s, "too many names");
    struct name *n = &r->name[r->name_cnt++];
    if (strlen(name) >= sizeof(n->name) || strlen(value) >= sizeof(n->value))
        return script_fail(r->s, "too long a name");
    memcpy(n->name, name, strlen(name) + 1);
    memcpy(n->value, value, strlen(value) + 1);
    return true;
}

/* $NAME is replaced by its value, the newest of that name. */
static bool expand(struct run *r, const char *in, char out[SCRIPT_TEXT_CAP])
{
    size_t n = 0;

    while (*in != '\0') {
        if (n + 1 >= SCRIPT_TEXT_CAP)
            return script_fail(r->s, "the line is too long");
        if (*in != '$') {
            out[n++] = *in++;
            continue;
        }
        size_t len =
            strspn(in + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");
        const struct name *found = NULL;
        for (uint32_t i = r->name_cnt; i > 0 && found == NULL; i--)
            if (strlen(r->name[i - 1].name) == len &&
                strncmp(r->name[i - 1].name, in + 1, len) == 0)
                found = &r->name[i - 1];
        if (found == NULL)
            return script_fail(r->s, "there is no name $%.*s", (int)len, in + 1);
        if (n + strlen(found->value) >= SCRIPT_TEXT_CAP)
            return script_fail(r->s, "the line is too long");
        memcpy(out + n, found->value, strlen(found->value));
        n += strlen(found->value);
        in += 1 + len;
    }
    out[n] = '\0';
    return true;
}

/* ---- blocks ---- */

/* The first word of a line is word; *rest is what follows. */
static bool begins(char *line, const char *word, char **rest)
{
    size_t len = strlen(word);

    if (strncmp(line, word, len) != 0 || (line[len] != '\0' && !isspace((unsigned char)line[len])))
        return false;
    *rest = trim(line + len);
    return true;
}

/* The "end" of the block whose first line is at from; to when there is none. */
static uint32_t block_end(const struct source *f, uint32_t from, uint32_t to)
{
    uint32_t depth = 1;
    char *rest;

    for (uint32_t i = from + 1; i < to; i++) {
        if (begins(f->line[i], "for", &rest) || begins(f->line[i], "table", &rest) ||
            begins(f->line[i], "sub", &rest))
            depth++;
        else if (strcmp(f->line[i], "end") == 0 && --depth == 0)
            return i;
    }
    return to;
}

/* for NAME in WORD...; a word a..b stands for the numbers from a to b */
static bool run_for(struct run *r, const struct source *f, uint32_t from, uint32_t to, char *head)
{
    char *save = NULL, *name = strtok_r(head, " \t", &save), *in = strtok_r(NULL, " \t", &save);

    if (name == NULL || in == NULL || strcmp(in, "in") != 0)
        return script_fail(r->s, "for NAME in WORD...");
    for (char *w = strtok_r(NULL, " \t", &save); w != NULL; w = strtok_r(NULL, " \t", &save)) {
        char *dots = strstr(w, "..");
        int64_t first, last;
        uint32_t mark = r->name_cnt;
        bool range = false;
        if (dots != NULL) {
            *dots = '\0';
            range = script_number(w, &first) && script_number(dots + 2, &last);
            *dots = '.';
        }
        for (int64_t i = range ? first : 0; i <= (range ? last : 0); i++) {
            char value[LINE_CAP];
            if (range)
                snprintf(value, sizeof(value), "%lld", (long long)i);
            else
                snprintf(value, sizeof(value), "%s", w);
            if (set_name(r, name, value))
                (void)run_lines(r, f, from, to);
            r->name_cnt = mark;
        }
    }
    return true;
}

/* Binds the cells of a row to the columns. */
static bool set_row(struct run *r, char column[COLUMN_MAX][32], uint32_t column_cnt, char *row)
{
    for (uint32_t k = 0; k < column_cnt; k++) {
        char *bar = row != NULL ? strchr(row, '|') : NULL;
        if (row == NULL)
            return script_fail(r->s, "the row has %u cells, not %u", k, column_cnt);
        if (bar != NULL)
            *bar = '\0';
        if (!set_name(r, column[k], trim(row)))
            return false;
        row = bar != NULL ? bar + 1 : NULL;
    }
    return row == NULL || script_fail(r->s, "the row has more than %u cells", column_cnt);
}

/* table COLUMN..., rows with | between cells, do, the lines for each row, end */
static bool run_table(struct run *r, const struct source *f, uint32_t from, uint32_t to, char *head)
{
    char column[COLUMN_MAX][32], *save = NULL;
    uint32_t column_cnt = 0, body = from;

    for (char *w = strtok_r(head, " \t|", &save); w != NULL; w = strtok_r(NULL, " \t|", &save))
        if (column_cnt < COLUMN_MAX)
            snprintf(column[column_cnt++], sizeof(column[0]), "%s", w);
    while (body < to && strcmp(f->line[body], "do") != 0)
        body++;
    if (body == to)
        return script_fail(r->s, "the table has no do");
    for (uint32_t i = from; i < body; i++) {
        char row[SCRIPT_TEXT_CAP];
        uint32_t mark = r->name_cnt;
        if (f->line[i][0] == '\0')
            continue;
        r->s->file = f->path;
        r->s->line = i + 1;
        if (expand(r, f->line[i], row) && set_row(r, column, column_cnt, row))
            (void)run_lines(r, f, body + 1, to);
        keep_note(r);
        r->name_cnt = mark;
    }
    return true;
}

static bool add_sub(struct run *r, const struct source *f, uint32_t from, uint32_t to, char *head)
{
    if (r->sub_cnt == SUB_MAX)
        return script_fail(r->s, "too many subroutines");
    struct sub *b = &r->sub[r->sub_cnt++];
    snprintf(b->name, sizeof(b->name), "%s", head);
    b->source = f;
    b->from = from;
    b->to = to;
    return true;
}

/* call NAME ARGUMENT...: its lines, with $1, $2, ... */
static bool run_call(struct run *r, char *text)
{
    char *save = NULL, *name = strtok_r(text, " \t", &save);
    uint32_t mark = r->name_cnt, k = 1;
    const struct sub *b = NULL;
    bool ok = true;

    for (uint32_t i = 0; i < r->sub_cnt && name != NULL; i++)
        if (strcmp(r->sub[i].name, name) == 0)
            b = &r->sub[i];
    if (b == NULL)
        return script_fail(r->s, "there is no subroutine %s", name != NULL ? name : "");
    for (char *w = strtok_r(NULL, " \t", &save); w != NULL && ok;
         w = strtok_r(NULL, " \t", &save)) {
        char number[16];
        snprintf(number, sizeof(number), "%u", k++);
        ok = set_name(r, number, w);
    }
    const char *file = r->s->file;
    uint32_t line = r->s->line;
    ok = ok && run_lines(r, b->source, b->from, b->to);
    r->name_cnt = mark;
    if (!r->s->failed) {
        r->s->file = file;
        r->s->line = line;
    }
    return ok;
}

/* let NAME SUM */
static bool run_let(struct run *r, char *text)
{
    char *save = NULL, *name = strtok_r(text, " \t", &save), *value = strtok_r(NULL, " \t", &save);
    char number[32];
    int64_t n;

    if (value == NULL || !script_number(value, &n))
        return script_fail(r->s, "let NAME NUMBER");
    snprintf(number, sizeof(number), "%lld", (long long)n);
    return set_name(r, name, number);
}

static bool run_include(struct run *r, const struct source *f, const char *name)
{
    char path[2 * LINE_CAP];
    const char *slash = strrchr(f->path, '/');

    snprintf(path, sizeof(path), "%.*s%s", slash != NULL ? (int)(slash + 1 - f->path) : 0, f->path,
             name);
    const struct source *in = load(r, path);
    if (in == NULL)
        return script_fail(r->s, "cannot read %s", path);
    return run_lines(r, in, 0, in->line_cnt);
}

/* Statements with ; between them. */
static bool run_statements(struct run *r, char *text)
{
    char *next = text, *rest;

    r->last_file = r->s->file;
    r->last_line = r->s->line;
    while (next != NULL && !r->s->failed) {
        char *one = next;
        next = strchr(one, ';');
        if (next != NULL)
            *next++ = '\0';
        one = trim(one);
        if (begins(one, "call", &rest))
            (void)run_call(r, rest);
        else if (begins(one, "let", &rest))
            (void)run_let(r, rest);
        else
            (void)script_statement(r->s, one);
    }
    if (!r->s->in_case && !r->s->open) {
        r->s->config_file = r->s->config;
        r->s->link_file = r->s->link;
    }
    return !r->s->failed;
}

/* A line and, when it opens a block, the block; *at is moved to the last line of it. */
static void run_line(struct run *r, const struct source *f, uint32_t *at, uint32_t to)
{
    struct script *s = r->s;
    char text[SCRIPT_TEXT_CAP], *rest;
    uint32_t from = *at, end = from;
    bool block = begins(f->line[from], "for", &rest) || begins(f->line[from], "table", &rest) ||
                 begins(f->line[from], "sub", &rest);

    if (block) {
        *at = end = block_end(f, from, to);
        if (end == to) {
            script_fail(s, "the block has no end");
            return;
        }
    }
    bool names_case = begins(f->line[from], "case", &rest);
    if (s->failed && !names_case && !block)
        return;
    if (names_case) /* what fails from here on is of the new case */
        begin_case(r, "");
    if (!s->failed) {
        s->file = f->path;
        s->line = from + 1;
    }
    if (!expand(r, f->line[from], text)) {
        keep_note(r);
        return;
    }
    if (begins(text, "case", &rest))
        snprintf(s->case_name, sizeof(s->case_name), "%s", rest);
    else if (begins(text, "include", &rest))
        (void)run_include(r, f, rest);
    else if (begins(text, "for", &rest))
        (void)run_for(r, f, from + 1, end, rest);
    else if (begins(text, "table", &rest))
        (void)run_table(r, f, from + 1, end, rest);
    else if (begins(text, "sub", &rest))
        (void)add_sub(r, f, from + 1, end, rest);
    else
        (void)run_statements(r, text);
    keep_note(r);
}

static bool run_lines(struct run *r, const struct source *f, uint32_t from, uint32_t to)
{
    if (++r->depth > DEPTH_MAX)
        return script_fail(r->s, "too deep");
    for (uint32_t i = from; i < to; i++)
        if (f->line[i][0] != '\0')
            run_line(r, f, &i, to);
    r->depth--;
    return !r->s->failed;
}

bool script_run(struct script *s, const char *path)
{
    struct run *r = calloc(1, sizeof(*r));

    base_assert(r != NULL);
    r->s = s;
    s->config = s->config_file = lab_config();
    s->link = s->link_file = script_link_default(s);
    s->tolerance_ns = 5 * BASE_NS_MS;
    s->file = path;
    const struct source *f = load(r, path);
    if (f != NULL) {
        (void)run_lines(r, f, 0, f->line_cnt);
        finish_case(r);
    }
    for (uint32_t i = 0; i < r->source_cnt; i++) {
        free(r->source[i].text);
        free(r->source[i].line);
        free(r->source[i].note);
    }
    free(r);
    return f != NULL;
}
