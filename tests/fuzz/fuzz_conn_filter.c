/* Any bytes as the words of a filter of connections: views stay inside, what was read hits what it
 * names, and said again it is read as the same. */
#include "conn_filter.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(struct base_span view, const uint8_t *data, size_t size)
{
    return view.len == 0 || (view.p >= data && view.p + view.len <= data + size);
}

static bool put(struct base_buf *out, const char *option, struct base_span value)
{
    bool single = value.len > 0 && memchr(value.p, '"', value.len) != NULL;
    if (single && memchr(value.p, '\'', value.len) != NULL)
        return false; /* whoever has both kinds of quotes in a word cannot say it in quotes */
    int rc = base_buf_puts(out, option) | base_buf_puts(out, single ? " '" : " \"") |
             base_buf_put_span(out, value) | base_buf_puts(out, single ? "' " : "\" ");
    base_assert(rc == 0);
    return true;
}

static bool same(struct base_span a, struct base_span b)
{
    if (a.p == NULL || b.p == NULL)
        return a.p == b.p;
    return base_span_eq(a, b);
}

static void say_again(const struct conn_filter *f, size_t size)
{
    struct base_buf out = {.p = malloc(4 * size + 200), .cap = 4 * size + 200};
    struct conn_filter again;
    struct base_span bad;
    char id[32];

    base_assert(out.p != NULL);
    if (f->by_id) {
        snprintf(id, sizeof(id), "%u.%u ", f->number, f->serial);
        base_assert(base_buf_puts(&out, id) == 0);
    }
    bool said = (f->state.p == NULL || put(&out, "--state", f->state)) &&
                (f->listener.p == NULL || put(&out, "--listener", f->listener)) &&
                (f->user.p == NULL || put(&out, "--user", f->user));
    if (!said) {
        free(out.p);
        return;
    }
    base_assert(conn_filter_parse(&again, base_buf_span(&out), &bad) == 0);
    base_assert(again.by_id == f->by_id && again.number == f->number && again.serial == f->serial);
    base_assert(same(again.state, f->state) && same(again.listener, f->listener) &&
                same(again.user, f->user));
    free(out.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conn_filter f;
    struct base_span bad = {0};

    if (conn_filter_parse(&f, base_span_of(data, size), &bad) != 0) {
        base_assert(inside(bad, data, size));
        return 0;
    }
    base_assert(inside(f.state, data, size) && inside(f.listener, data, size) &&
                inside(f.user, data, size));
    struct conn_known none = {.tcp_state = "", .state = "", .listener = ""};
    base_assert(conn_filter_match(&f, &none) == !conn_filter_narrows(&f) ||
                f.direction == CONN_FILTER_OUT || f.by_address || f.user.p != NULL);
    say_again(&f, size);
    return 0;
}
