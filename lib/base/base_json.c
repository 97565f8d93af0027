#include "base_json.h"
#include "base_assert.h"
#include "base_utf8.h"

/* Length of what stands as it is at the front of text, 0: an escape. */
static size_t stands(struct base_span text)
{
    uint8_t c = text.p[0];

    if (c >= ' ' && c < 0x7f)
        return c != '"' && c != '\\';
    return base_utf8_shown(text);
}

struct base_span base_json_take(struct base_span *text, char escape[BASE_JSON_ESCAPE_CAP])
{
    static const char hex[] = "0123456789abcdef";
    size_t len, at = 0;

    base_assert(text->len > 0);
    while (at < text->len && (len = stands(base_span_of(text->p + at, text->len - at))) > 0)
        at += len;
    struct base_span piece = base_span_of(text->p, at);
    if (at == 0) {
        uint32_t c = text->p[0];
        len = base_utf8_next(*text, &c);
        at = len > 0 ? len : 1;
        if (c == '"' || c == '\\') {
            escape[0] = '\\';
            escape[1] = (char)c;
            piece = base_span_of(escape, 2);
        } else { /* what is not shown has four digits at most */
            memcpy(escape, "\\u", 2);
            for (size_t i = 0; i < 4; i++)
                escape[2 + i] = hex[c >> (12 - 4 * i) & 15];
            piece = base_span_of(escape, 6);
        }
    }
    *text = base_span_of(text->p + at, text->len - at);
    return piece;
}

void base_json_print(FILE *out, struct base_span text)
{
    char escape[BASE_JSON_ESCAPE_CAP];

    fputc('"', out);
    while (text.len > 0) {
        struct base_span piece = base_json_take(&text, escape);
        fwrite(piece.p, 1, piece.len, out);
    }
    fputc('"', out);
}
