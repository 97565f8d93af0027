/*
 * Tokens to settings. Each function reads one construct; on an error it tells it and skips to the
 * next ';' or '}', so that the next construct is read as if nothing had been.
 */
#include "conf_internal.h"

#include <errno.h>

__attribute__((format(printf, 4, 5))) static void error(struct conf_parser *p, uint32_t line,
                                                        const char *key, const char *format, ...)
{
    char full[CONF_KEY_CAP];
    va_list args;

    snprintf(full, sizeof(full), "%.250s%s%.64s", p->where, p->where[0] && key[0] ? ": " : "", key);
    va_start(args, format);
    conf_error_addv(p->errors, p->file, line, full, format, args);
    va_end(args);
}

static void advance(struct conf_parser *p)
{
    p->last_line = p->token.line;
    p->token = conf_lex_next(&p->lex);
    if (p->token.kind == CONF_TOKEN_BAD)
        error(p, p->token.line, "", "%s", p->token.text);
    if (conf_errors_full(p->errors))
        p->token = (struct conf_token){.kind = CONF_TOKEN_END, .line = p->token.line};
}

static bool is_atom(const struct conf_parser *p)
{
    return p->token.kind == CONF_TOKEN_WORD || p->token.kind == CONF_TOKEN_STRING;
}

/* Past the next ';', or to a '}' that closes more than was opened, or to the end. */
static void skip(struct conf_parser *p, int depth)
{
    for (; p->token.kind != CONF_TOKEN_END; advance(p)) {
        if (p->token.punct == ';') {
            advance(p);
            return;
        }
        if (p->token.punct == '}' && depth-- == 0)
            return;
        depth += p->token.punct == '{';
    }
}

/* "expected ..." unless the token was an error itself; then skips. */
static void expected(struct conf_parser *p, uint32_t line, const char *key, const char *what)
{
    if (p->token.kind != CONF_TOKEN_BAD)
        error(p, line, key, "expected %s", what);
    skip(p, 0);
}

/* Tells whether a statement ends here, with ';' or with an error that says that just it is missing.
 */
static bool ends(struct conf_parser *p, const char *key)
{
    if (p->token.punct == ';')
        return true;
    if (p->token.kind != CONF_TOKEN_BAD && p->token.line > p->last_line) {
        error(p, p->last_line, key, "expected ';' at the end");
        return true;
    }
    expected(p, p->last_line, key, "';'");
    return false;
}

/* Reads "= value ;" into v. False: it was wrong, has been told and skipped. */
static bool read_value(struct conf_parser *p, const char *key, struct conf_value *v)
{
    *v = (struct conf_value){.item = p->items, .list = p->token.punct == '{'};
    if (v->list)
        advance(p);
    while (is_atom(p)) {
        if (v->cnt == CONF_LIST_MAX) {
            error(p, p->token.line, key, "more than %d items", CONF_LIST_MAX);
            skip(p, 1);
            return false;
        }
        v->item[v->cnt++] = p->token.text;
        advance(p);
        if (!v->list || p->token.punct != ',')
            break;
        advance(p);
    }
    if (v->list && p->token.punct != '}') {
        if (p->token.kind != CONF_TOKEN_BAD)
            error(p, p->token.line, key, "expected ',' or '}' in the list");
        skip(p, 1);
        return false;
    }
    if (!v->list && v->cnt == 0) {
        expected(p, p->token.line, key, "a value");
        return false;
    }
    if (v->list)
        advance(p);
    if (!ends(p, key))
        return false;
    if (p->token.punct == ';')
        advance(p);
    return true;
}

static void unknown_key(struct conf_parser *p, uint32_t line, const char *key)
{
    char text[CONF_WHY_CAP];
    struct conf_near near = {.text = key};
    const struct conf_setting *elsewhere = NULL;

    for (const struct conf_setting *s = conf_settings; s->block != NULL; s++) {
        if (conf_setting_in(s, p->block))
            conf_near_try(&near, s->key);
        else if (strcmp(s->key, key) == 0)
            elsewhere = s;
    }
    if (elsewhere != NULL && near.best == NULL)
        error(p, line, key, "unknown key; it belongs into block %s", elsewhere->block);
    else
        error(p, line, key, "unknown key%s",
              near.best != NULL ? conf_near_text(&near, text)
                                : "; sluiced --help tells those there are");
}

static void setting(struct conf_parser *p)
{
    struct conf_token key = p->token;
    struct conf_value v;
    char why[CONF_WHY_CAP];

    if (key.kind != CONF_TOKEN_WORD) {
        expected(p, key.line, "", "a key");
        return;
    }
    advance(p);
    if (p->token.punct != '=') {
        expected(p, key.line, key.text, "'=' after the key");
        return;
    }
    advance(p);
    const struct conf_setting *s =
        p->block != NULL ? conf_setting_find(p->block->name, key.text) : NULL;
    struct conf_seen now = {p->file, key.line, true};
    struct conf_seen *seen = s != NULL ? &p->seen[s - conf_settings] : &now;
    if (s == NULL && p->block != NULL)
        unknown_key(p, key.line, key.text);
    else if (s != NULL && seen->file != NULL)
        error(p, key.line, key.text, "given twice, first at %s:%u", seen->file, seen->line);
    bool use = s != NULL && seen->file == NULL;
    if (use)
        *seen = now;
    if (!read_value(p, key.text, &v) || !use)
        return;
    const char *wrong = conf_value_set(s, p->base, &v, p->arena, why);
    seen->bad = wrong != NULL;
    if (wrong != NULL)
        error(p, key.line, key.text, "%s", wrong);
}

/* Sets p->base for an instance of the block: the struct, or a new one in its array. One more than
 * the limit is room for what is wrong and only read over. */
static void open_instance(struct conf_parser *p, const char *name, uint32_t line)
{
    const struct conf_block *b = p->block;
    char *at = (char *)p->conf + b->offset;

    p->base = at;
    if (b->example == NULL)
        return;
    uint32_t *cnt = (uint32_t *)(void *)((char *)p->conf + b->cnt_offset);
    at = *(char **)(void *)at;
    const char *why = conf_value_check_name(b, name);
    if (strcmp(b->name, "route") == 0 || strcmp(b->name, "destination") == 0)
        name = conf_value_lower(p->arena, name);
    for (uint32_t i = 0; i < *cnt && why == NULL; i++) {
        const struct conf_named *n = (const void *)(at + (size_t)i * b->item_bytes);
        if (strcmp(n->name, name) == 0) {
            error(p, line, "", "given twice, first at %s:%u", n->file, n->line);
            name = "";
            break;
        }
    }
    if (why != NULL)
        error(p, line, "", "%s", why);
    else if (*cnt == CONF_BLOCK_MAX)
        error(p, line, "", "more than %d blocks of this kind", CONF_BLOCK_MAX);
    p->base = at + (size_t)*cnt * b->item_bytes;
    memset(p->base, 0, b->item_bytes);
    *(struct conf_named *)p->base = (struct conf_named){name, line, p->file};
    *cnt += why == NULL && name[0] != 0 && *cnt < CONF_BLOCK_MAX;
    for (uint32_t i = 0; conf_settings[i].block != NULL; i++)
        if (conf_setting_in(&conf_settings[i], b)) {
            p->seen[i] = (struct conf_seen){0};
            conf_value_default(&conf_settings[i], p->base, p->arena);
        }
}

void conf_read_required(struct conf_parser *p, const struct conf_block *b, uint32_t line)
{
    for (uint32_t i = 0; conf_settings[i].block != NULL; i++)
        if (conf_setting_in(&conf_settings[i], b) && conf_settings[i].default_text == NULL &&
            p->seen[i].file == NULL)
            error(p, line, conf_settings[i].key, "is required");
}

void conf_open_default(struct conf_parser *p, const struct conf_block *b)
{
    p->block = b;
    open_instance(p, b->example, 0);
    p->block = NULL;
}

static void unknown_block(struct conf_parser *p, uint32_t line)
{
    char text[CONF_WHY_CAP];
    struct conf_near near = {.text = p->where};

    conf_near_try(&near, "include");
    for (const struct conf_block *b = conf_blocks; b->name != NULL; b++)
        conf_near_try(&near, b->name);
    error(p, line, "", "unknown block%s",
          near.best != NULL ? conf_near_text(&near, text)
                            : "; sluiced --help tells those there are");
}

static void block(struct conf_parser *p)
{
    uint32_t line = p->token.line;
    const char *name = NULL;

    snprintf(p->where, sizeof(p->where), "%.40s", p->token.text);
    p->block = conf_block_find(p->token.text);
    if (p->block == NULL)
        unknown_block(p, line);
    advance(p);
    if (is_atom(p)) {
        name = p->token.text;
        size_t len = strlen(p->where);
        snprintf(p->where + len, sizeof(p->where) - len, "%s%.200s", name[0] ? " " : "", name);
        advance(p);
    }
    if (p->block != NULL && name == NULL && p->block->optional)
        name = p->block->example;
    if (p->block != NULL && (name != NULL) != (p->block->example != NULL)) {
        error(p, line, "", name != NULL ? "this block has no name" : "this block needs a name");
        p->block = NULL;
    }
    if (p->token.punct != '{') {
        expected(p, p->token.line, "", "'{'");
        return;
    }
    if (p->block != NULL)
        open_instance(p, name, line);
    advance(p);
    while (p->token.kind != CONF_TOKEN_END && p->token.punct != '}')
        setting(p);
    if (p->token.punct != '}')
        error(p, line, "", "block is not closed");
    else
        advance(p);
    if (p->block != NULL && p->block->example != NULL)
        conf_read_required(p, p->block, line);
}

static void include(struct conf_parser *p)
{
    advance(p);
    const char *path = p->token.text;
    uint32_t line = p->token.line;
    if (!is_atom(p)) {
        expected(p, line, "include", "a path");
        return;
    }
    advance(p);
    if (!ends(p, "include"))
        return;
    bool past = p->token.punct != ';';
    struct base_span text = {0};
    const char *why = p->include == NULL                   ? "is not possible here"
                      : p->depth > CONF_INCLUDE_MAX        ? "includes nest deeper than 16"
                      : p->file_cnt++ >= CONF_FILE_CNT_MAX ? "more than 256 includes"
                                                           : NULL;
    for (uint32_t i = 0; i < p->depth && why == NULL; i++)
        if (strcmp(p->open[i], path) == 0)
            why = "a file cannot include itself";
    int rc = why == NULL ? p->include(p->user, path, &text) : 0;
    if (why == NULL && rc == 0) {
        struct conf_lex lex = p->lex;
        struct conf_token token = p->token;
        const char *file = p->file;
        conf_read_file(p, path, text);
        p->lex = lex;
        p->token = token;
        p->file = file;
    } else {
        error(p, line, "include", "%.128s: %s", path,
              why != NULL     ? why
              : rc == -EINVAL ? "not a file"
                              : strerrordesc_np(-rc));
    }
    if (!past)
        advance(p);
}

void conf_read_file(struct conf_parser *p, const char *file, struct base_span text)
{
    p->file = file;
    if (text.len > CONF_FILE_BYTES_MAX) {
        error(p, 1, "", "longer than %d bytes", CONF_FILE_BYTES_MAX);
        return;
    }
    if (text.len >= 2 &&
        (memcmp(text.p, "\xff\xfe", 2) == 0 || memcmp(text.p, "\xfe\xff", 2) == 0)) {
        error(p, 1, "", "is UTF-16; store it as UTF-8 or ASCII");
        return;
    }
    if (text.len >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
        text = base_span_of(text.p + 3, text.len - 3);
    p->lex = (struct conf_lex){.p = text.p, .end = text.p + text.len, .line = 1, .arena = p->arena};
    p->open[p->depth++] = file;
    advance(p);
    while (p->token.kind != CONF_TOKEN_END) {
        p->where[0] = 0;
        p->block = NULL;
        if (p->token.kind == CONF_TOKEN_WORD && strcmp(p->token.text, "include") == 0) {
            include(p);
        } else if (p->token.kind == CONF_TOKEN_WORD) {
            block(p);
        } else {
            if (p->token.punct != ';')
                expected(p, p->token.line, "", "a block or include");
            if (p->token.kind == CONF_TOKEN_PUNCT)
                advance(p);
        }
    }
    p->depth--;
    p->where[0] = 0;
}
