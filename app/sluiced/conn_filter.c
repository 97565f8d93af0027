#include "conn_filter.h"
#include "queue_filter.h"
#include "shape.h"

#include <errno.h>

/* Digits alone, from 1. */
static bool number_parse(uint32_t *out, struct base_span text)
{
    uint64_t n = 0;

    if (text.len == 0 || text.len > 10)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(text.p[i] - '0');
    }
    *out = (uint32_t)n;
    return n > 0 && n <= UINT32_MAX;
}

static bool id_parse(struct conn_filter *f, struct base_span word)
{
    const uint8_t *dot = word.len > 0 ? memchr(word.p, '.', word.len) : NULL;

    if (dot == NULL || f->by_id)
        return false;
    size_t at = (size_t)(dot - word.p);
    f->by_id = number_parse(&f->number, base_span_of(word.p, at)) &&
               number_parse(&f->serial, base_span_of(dot + 1, word.len - at - 1));
    return f->by_id;
}

static bool text_take(struct base_span *out, struct base_span value, bool empty)
{
    if (out->p != NULL || (value.len == 0 && !empty))
        return false;
    *out = value.p != NULL ? value : base_span_str("");
    return true;
}

/* An option with its value. */
static bool value_take(struct conn_filter *f, struct base_span option, struct base_span value)
{
    if (base_span_eq(option, base_span_str("--address"))) {
        bool first = !f->by_address;
        f->by_address = net_prefix_parse(&f->net, value) == 0;
        return first && f->by_address;
    }
    if (base_span_eq(option, base_span_str("--state")))
        return text_take(&f->state, value, false);
    if (base_span_eq(option, base_span_str("--listener")))
        return text_take(&f->listener, value, false);
    if (base_span_eq(option, base_span_str("--user")))
        return text_take(&f->user, value, true);
    if (base_span_eq(option, base_span_str("--older")))
        return f->older_ns == 0 && shape_time_parse(&f->older_ns, value) && f->older_ns > 0;
    return false;
}

static bool has_value(struct base_span option)
{
    static const char *const options[] = {"--address", "--state", "--listener", "--user",
                                          "--older"};

    for (size_t i = 0; i < BASE_ARRAY_CNT(options); i++)
        if (base_span_eq(option, base_span_str(options[i])))
            return true;
    return false;
}

/* A word that stands alone. */
static bool word_take(struct conn_filter *f, struct base_span word)
{
    bool in = base_span_eq(word, base_span_str("--in"));

    if (in || base_span_eq(word, base_span_str("--out"))) {
        bool first = f->direction == CONN_FILTER_BOTH;
        f->direction = in ? CONN_FILTER_IN : CONN_FILTER_OUT;
        return first;
    }
    if (base_span_eq(word, base_span_str("--all")))
        f->all = true;
    else if (base_span_eq(word, base_span_str("--json")))
        f->json = true;
    else
        return id_parse(f, word);
    return true;
}

int conn_filter_parse(struct conn_filter *out, struct base_span words, struct base_span *bad)
{
    struct base_span word, value;
    bool quoted;
    int got;

    *out = (struct conn_filter){0};
    *bad = base_span_of(words.p, 0);
    while ((got = queue_filter_word(&words, &word, &quoted)) == 1) {
        *bad = word;
        if (quoted)
            return -EINVAL;
        if (!has_value(word)) {
            if (!word_take(out, word))
                return -EINVAL;
            continue;
        }
        if (queue_filter_word(&words, &value, &quoted) != 1)
            return -EINVAL;
        *bad = value.len > 0 ? value : word;
        if (!value_take(out, word, value))
            return -EINVAL;
    }
    if (got < 0)
        *bad = word;
    return got < 0 ? -EINVAL : 0;
}

bool conn_filter_narrows(const struct conn_filter *f)
{
    return f->by_id || f->by_address || f->state.p != NULL || f->listener.p != NULL ||
           f->user.p != NULL || f->older_ns != 0 || f->direction != CONN_FILTER_BOTH;
}

static bool is_text(struct base_span want, const char *have)
{
    return base_span_caseeq(want, base_span_str(have));
}

bool conn_filter_match(const struct conn_filter *f, const struct conn_known *c)
{
    if (f->by_id && (f->number != c->number || f->serial != c->serial))
        return false;
    if (f->direction != CONN_FILTER_BOTH && (f->direction == CONN_FILTER_IN) != c->inbound)
        return false;
    if (f->by_address && !net_prefix_contains(&f->net, &c->remote) &&
        !net_prefix_contains(&f->net, &c->proxy))
        return false;
    if (f->state.p != NULL && !is_text(f->state, c->state) && !is_text(f->state, c->tcp_state))
        return false;
    if (f->listener.p != NULL && !is_text(f->listener, c->listener))
        return false;
    if (f->user.p != NULL && !base_span_eq(f->user, c->user))
        return false;
    return c->age_ns >= f->older_ns;
}
