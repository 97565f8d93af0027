/* Bytes to tokens. A bad token carries its reason; reading goes on behind it. */
#include "conf_internal.h"

static bool is_word(uint8_t c)
{
    return c > ' ' && c < 0x7f && memchr("{}=;,#\"'\\", c, 9) == NULL;
}

static int hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads one escape behind its backslash; returns the byte, or -1. Never passes the end of a line.
 */
static int escape(struct conf_lex *l)
{
    if (l->p == l->end || *l->p == '\n')
        return -1;
    uint8_t c = *l->p++;
    if (c == '"' || c == '\\')
        return c;
    if (c == 'n')
        return '\n';
    if (c == 't')
        return '\t';
    if (c != 'x' || l->end - l->p < 2 || hex(l->p[0]) < 0 || hex(l->p[1]) < 0)
        return -1;
    int v = hex(l->p[0]) << 4 | hex(l->p[1]);
    l->p += 2;
    return v > 0 ? v : -1;
}

static struct conf_token bad(struct conf_lex *l, const char *why)
{
    return (struct conf_token){.kind = CONF_TOKEN_BAD, .line = l->line, .text = why};
}

/* Behind the opening quote. What is wrong in a string is told once, at its end. */
static struct conf_token string(struct conf_lex *l)
{
    uint8_t text[CONF_ATOM_BYTES_MAX];
    size_t len = 0;
    const char *why = NULL;

    for (;;) {
        if (l->p == l->end || *l->p == '\n')
            return bad(l, why != NULL ? why : "string is not closed on its line");
        int c = *l->p++;
        if (c == '"')
            break;
        if (c < 0x20 || c == 0x7f) {
            why = c == 0 ? "NUL byte" : "control character in a string; write \\xNN";
        } else if (c == '\\') {
            c = escape(l);
            if (c < 0)
                why = "unknown escape in a string; known are \\\" \\\\ \\n \\t \\xNN";
        }
        if (len == sizeof(text))
            why = "longer than 4096 bytes";
        else
            text[len++] = (uint8_t)c;
    }
    if (why != NULL)
        return bad(l, why);
    return (struct conf_token){.kind = CONF_TOKEN_STRING,
                               .line = l->line,
                               .text = conf_arena_text(l->arena, base_span_of(text, len))};
}

static void skip_blank(struct conf_lex *l)
{
    bool comment = false;

    for (; l->p < l->end; l->p++) {
        bool crlf = *l->p == '\r' && l->end - l->p > 1 && l->p[1] == '\n';
        if (*l->p == '\n') {
            l->line++;
            comment = false;
        } else if (*l->p == '#') {
            comment = true;
        } else if (*l->p == 0 || (!comment && *l->p != ' ' && *l->p != '\t' && !crlf)) {
            return;
        }
    }
}

struct conf_token conf_lex_next(struct conf_lex *l)
{
    skip_blank(l);
    if (l->p == l->end)
        return (struct conf_token){.kind = CONF_TOKEN_END, .line = l->line};
    const uint8_t *start = l->p++;
    if (*start == '"')
        return string(l);
    if (memchr("{}=;,", *start, 5) != NULL)
        return (struct conf_token){
            .kind = CONF_TOKEN_PUNCT, .punct = (char)*start, .line = l->line};
    if (!is_word(*start)) {
        /* A run of such bytes is one error, and so is 'text'. */
        const uint8_t *eol = memchr(l->p, '\n', (size_t)(l->end - l->p));
        const uint8_t *to = eol != NULL ? eol : l->end, *quote = NULL;
        if (*start == '\'')
            quote = memchr(l->p, '\'', (size_t)(to - l->p));
        if (quote != NULL)
            l->p = quote + 1;
        while (*start >= 0x7f && l->p < to && *l->p >= 0x7f)
            l->p++;
        return bad(l, *start == 0      ? "NUL byte"
                      : *start == '\r' ? "carriage return that ends no line"
                      : *start == '\'' ? "strings stand in double quotes"
                                       : "byte that must stand in a string");
    }
    while (l->p < l->end && is_word(*l->p))
        l->p++;
    if (l->p - start > CONF_ATOM_BYTES_MAX)
        return bad(l, "longer than 4096 bytes");
    return (struct conf_token){
        .kind = CONF_TOKEN_WORD,
        .line = l->line,
        .text = conf_arena_text(l->arena, base_span_of(start, (size_t)(l->p - start)))};
}
