#include "check.h"

#include "base_crc32c.h"

void check_begin(struct check *c)
{
    c->named = c->in_body = false;
    c->line_len = 0;
    c->body_bytes = 0;
    c->body_crc32c = 0;
}

static void line_end(struct check *c)
{
    if (c->line_len == 2 && memcmp(c->line, "\r\n", 2) == 0)
        c->in_body = true;
    else if (!c->named)
        c->named = ledger_field_parse(base_span_of(c->line, c->line_len), &c->id);
    c->line_len = 0;
}

void check_feed(struct check *c, const uint8_t *p, size_t len)
{
    while (len > 0 && !c->in_body) {
        const uint8_t *lf = memchr(p, '\n', len);
        size_t n = lf == NULL ? len : (size_t)(lf - p) + 1;
        size_t room = sizeof(c->line) - c->line_len;
        memcpy(c->line + c->line_len, p, n < room ? n : room);
        /* What does not fit is no field of ours: the line is marked by one byte that is none. */
        if (n > room)
            c->line[0] = 0;
        c->line_len = (uint8_t)(c->line_len + (n < room ? n : room));
        p += n;
        len -= n;
        if (lf != NULL)
            line_end(c);
    }
    c->body_crc32c = base_crc32c(c->body_crc32c, p, len);
    c->body_bytes += len;
}

bool check_is_whole(const struct check *c)
{
    return c->named && c->body_bytes == c->id.body_bytes && c->body_crc32c == c->id.body_crc32c;
}
