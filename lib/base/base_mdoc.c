#include "base_mdoc.h"

#include <string.h>

static void put(FILE *out, char c)
{
    if (c == '\\')
        fputs("\\e", out);
    else if (c == '-')
        fputs("\\-", out);
    else
        fputc(c, out);
}

void base_mdoc_word(FILE *out, const char *word)
{
    /* A word that is a macro's name, or ends a sentence, is one no more. */
    fputs("\\&", out);
    for (; *word != 0; word++)
        if (*word == '"')
            fputs("\\(dq", out);
        else if (*word == ' ')
            fputs("\\ ", out);
        else
            put(out, *word);
}

/* Up to the line's end. */
static const char *literal(FILE *out, const char *text)
{
    fputs(".Bd -literal -offset indent -compact\n", out);
    while (*text == ' ') {
        fputs("\\&", out);
        for (; *text != 0 && *text != '\n'; text++)
            put(out, *text);
        fputc('\n', out);
        text += *text != 0;
    }
    fputs(".Ed\n", out);
    return text;
}

void base_mdoc_text(FILE *out, const char *text, bool sentence)
{
    bool line_begins = true;

    for (const char *p = text; *p != 0; p++) {
        if (line_begins && *p == ' ') {
            p = literal(out, p) - 1;
            continue;
        }
        if (line_begins && *p == '\n') {
            fputs(".Pp\n", out);
            continue;
        }
        if (line_begins && (*p == '.' || *p == '\''))
            fputs("\\&", out);
        bool ends = p[0] == '.' && p[1] == ' ' && p[2] >= 'A' && p[2] <= 'Z';
        line_begins = *p == '\n';
        if (sentence && p == text && *p >= 'a' && *p <= 'z')
            fputc(*p - 'a' + 'A', out);
        else
            put(out, *p);
        if (ends) {
            fputc('\n', out);
            line_begins = true;
            p++;
        }
    }
    size_t len = strlen(text);
    if (sentence && len > 0 && text[len - 1] != '.')
        fputc('.', out);
    if (!line_begins)
        fputc('\n', out);
}
