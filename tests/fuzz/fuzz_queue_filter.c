/* Any bytes as the words of a filter: views stay inside, and what was read, said again, is read as
 * the same. */
#include "queue_filter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(struct base_buf *out, const char *option, struct base_span value)
{
    /* A word that was not quoted may hold quotes of both kinds, and no space. */
    bool both = memchr(value.p, '"', value.len) != NULL && memchr(value.p, '\'', value.len) != NULL;
    const char *quote = both ? "" : memchr(value.p, '"', value.len) != NULL ? "'" : "\"";
    int rc = base_buf_puts(out, option) | base_buf_puts(out, " ") | base_buf_puts(out, quote) |
             base_buf_put_span(out, value) | base_buf_puts(out, quote) | base_buf_puts(out, " ");
    base_assert(rc == 0);
}

static bool same(struct base_span a, struct base_span b)
{
    if (a.p == NULL || b.p == NULL)
        return a.p == b.p;
    return base_span_eq(a, b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct queue_filter f, again;
    struct base_span bad = {0};

    if (queue_filter_parse(&f, base_span_of(data, size), &bad) != 0) {
        base_assert(bad.p >= data && bad.p + bad.len <= data + size);
        return 0;
    }
    struct base_buf out = {.p = malloc(3 * size + 200), .cap = 3 * size + 200};
    char text[SPOOL_ID_TEXT_LEN + 1];
    base_assert(out.p != NULL);
    if (f.by_id) {
        spool_id_format(text, &f.id);
        put(&out, "", base_span_str(text));
    }
    /* The null sender is written <>. */
    if (f.sender.p != NULL && f.sender.len > 0 && f.sender.p[0] != '<')
        put(&out, "--sender", f.sender);
    else
        f.sender = base_span_of(NULL, 0);
    if (f.domain.p != NULL)
        put(&out, "--domain", f.domain);
    if (f.reason.p != NULL)
        put(&out, "--reason", f.reason);
    base_assert(queue_filter_parse(&again, base_buf_span(&out), &bad) == 0);
    base_assert(again.by_id == f.by_id && spool_id_eq(&again.id, &f.id));
    base_assert(same(again.sender, f.sender) && same(again.domain, f.domain) &&
                same(again.reason, f.reason));
    free(out.p);
    return 0;
}
