/*
 * The two encodings of RFC 2045 sections 6.7 and 6.8, as a stream. A line end before a boundary is
 * the boundary's and not the part's (RFC 2046 section 5.1.1): base64, which would encode it, holds
 * it back until it is known what follows. Quoted-printable writes line ends as they are.
 */
#include "mail_eightbit_internal.h"

#define COLUMN_MAX 75 /* and a "=" behind it */

static void put(struct base_buf *out, const void *p, size_t n)
{
    int failed = base_buf_put(out, p, n);
    base_assert(failed == 0);
}

static void flush_base64(struct mail_eightbit_encoder *e, struct base_buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < e->held_len; i += 3) {
        uint32_t left = e->held_len - (uint32_t)i;
        uint32_t b = (uint32_t)e->held[i] << 16;
        b |= left > 1 ? (uint32_t)e->held[i + 1] << 8 : 0;
        b |= left > 2 ? e->held[i + 2] : 0;
        char group[4] = {digits[b >> 18], digits[b >> 12 & 63],
                         left > 1 ? digits[b >> 6 & 63] : '=', left > 2 ? digits[b & 63] : '='};
        put(out, group, sizeof(group));
    }
    if (e->held_len > 0)
        put(out, "\r\n", 2);
    e->held_len = 0;
}

static void hold(struct mail_eightbit_encoder *e, uint8_t byte, struct base_buf *out)
{
    e->held[e->held_len++] = byte;
    if (e->held_len == sizeof(e->held))
        flush_base64(e, out);
}

static void hold_line_end(struct mail_eightbit_encoder *e, struct base_buf *out)
{
    if (!e->line_pending)
        return;
    e->line_pending = false;
    hold(e, '\r', out);
    hold(e, '\n', out);
}

void mail_eightbit_put_base64(struct mail_eightbit_encoder *e, struct base_span in,
                              struct base_buf *out)
{
    for (size_t i = 0; i < in.len; i++) {
        if (in.p[i] == '\n')
            continue; /* with its CR */
        hold_line_end(e, out);
        if (in.p[i] == '\r')
            e->line_pending = true;
        else
            hold(e, in.p[i], out);
    }
}

void mail_eightbit_end_base64(struct mail_eightbit_encoder *e, bool boundary, struct base_buf *out)
{
    if (!boundary)
        hold_line_end(e, out);
    e->line_pending = false;
    flush_base64(e, out); /* its CRLF is the boundary's */
}

/* Room for n more characters on the line, else a soft break. */
static void make_room(struct mail_eightbit_encoder *e, uint8_t n, struct base_buf *out)
{
    if (e->column + n > COLUMN_MAX) {
        put(out, "=\r\n", 3);
        e->column = 0;
    }
    e->column = (uint8_t)(e->column + n);
}

static void put_escaped(struct mail_eightbit_encoder *e, uint8_t byte, struct base_buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    char text[3] = {'=', digits[byte >> 4], digits[byte & 15]};

    make_room(e, 3, out);
    put(out, text, sizeof(text));
}

/* The blank that was held back, at the end of its line or not. */
static void put_space(struct mail_eightbit_encoder *e, bool at_end, struct base_buf *out)
{
    uint8_t space = e->space;

    e->space = 0;
    if (space == 0)
        return;
    if (at_end)
        return put_escaped(e, space, out);
    make_room(e, 1, out);
    put(out, &space, 1);
}

void mail_eightbit_put_quoted(struct mail_eightbit_encoder *e, struct base_span in,
                              struct base_buf *out)
{
    for (size_t i = 0; i < in.len; i++) {
        uint8_t byte = in.p[i];
        if (byte == '\n')
            continue;
        put_space(e, byte == '\r', out);
        if (byte == '\r') {
            put(out, "\r\n", 2);
            e->column = 0;
        } else if (byte == ' ' || byte == '\t') {
            e->space = byte;
        } else if (byte < 0x21 || byte > 0x7e || byte == '=') {
            put_escaped(e, byte, out);
        } else {
            make_room(e, 1, out);
            put(out, &byte, 1);
        }
    }
}

void mail_eightbit_end_quoted(struct mail_eightbit_encoder *e, struct base_buf *out)
{
    put_space(e, true, out);
    e->column = 0;
}
