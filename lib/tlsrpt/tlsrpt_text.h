/*
 * Text that grows, and the form in which several strings lie in one: fields between tabs, whatever
 * is no printable ASCII written as %XX, so that a row of them is one line of a file.
 *
 * Threads: none of its own. Memory: malloc, the caller's until tlsrpt_text_free; without memory it
 * is a bug, as for the courier's journal.
 */
#ifndef TLSRPT_TEXT_H
#define TLSRPT_TEXT_H

#include "base_assert.h"
#include "base_bytes.h"

struct tlsrpt_text {
    uint8_t *p;
    size_t len, cap;
};

void tlsrpt_text_free(struct tlsrpt_text *t);
void tlsrpt_put(struct tlsrpt_text *t, const void *p, size_t len);
void tlsrpt_puts(struct tlsrpt_text *t, const char *s);
void tlsrpt_put_span(struct tlsrpt_text *t, struct base_span s);
void tlsrpt_put_number(struct tlsrpt_text *t, uint64_t n);
/* A field's text: tabs, line ends, "%" and bytes beyond ASCII are escaped. */
void tlsrpt_put_field(struct tlsrpt_text *t, struct base_span s);

static inline struct base_span tlsrpt_text_span(const struct tlsrpt_text *t)
{
    return base_span_of(t->p, t->len);
}

/* Takes the next field off *rest, still escaped. Returns false when there is none: after the last
 * one rest->p is NULL. */
bool tlsrpt_field(struct base_span *rest, struct base_span *out);
/* The field's bytes; out has room for f.len. Returns how many, or -EINVAL: a broken escape. */
int tlsrpt_unescape(uint8_t *out, struct base_span f) BASE_WARN_UNUSED;
/* Decimal digits alone, no sign. Returns 0 or -EINVAL. */
int tlsrpt_number(uint64_t *out, struct base_span f) BASE_WARN_UNUSED;

#endif
