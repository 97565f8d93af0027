#include "queue_filter.h"
#include "base_time.h"

#include <errno.h>

static bool is(struct base_span word, const char *text)
{
    return base_span_caseeq(word, base_span_str(text));
}

static struct base_span word_next(struct base_span *rest)
{
    while (rest->len > 0 && rest->p[0] == ' ') {
        rest->p++;
        rest->len--;
    }
    struct base_span word = base_span_of(rest->p, 0);
    while (word.len < rest->len && word.p[word.len] != ' ')
        word.len++;
    rest->p += word.len;
    rest->len -= word.len;
    return word;
}

static int seconds_parse(uint64_t *out_ns, struct base_span word)
{
    uint64_t n = 0;
    if (word.len == 0 || word.len > 9)
        return -EINVAL;
    for (size_t i = 0; i < word.len; i++) {
        if (word.p[i] < '0' || word.p[i] > '9')
            return -EINVAL;
        n = n * 10 + (uint64_t)(word.p[i] - '0');
    }
    *out_ns = n * BASE_NS_S;
    return 0;
}

static int state_parse(enum queue_filter_state *out, struct base_span word)
{
    if (is(word, "deferred"))
        *out = QUEUE_FILTER_DEFERRED;
    else if (is(word, "failed"))
        *out = QUEUE_FILTER_FAILED;
    else if (is(word, "held"))
        *out = QUEUE_FILTER_HELD;
    else
        return -EINVAL;
    return 0;
}

/* As it is written in lists: with or without its angle brackets; <> is the null sender. */
static struct base_span unbracketed(struct base_span word)
{
    if (word.len >= 2 && word.p[0] == '<' && word.p[word.len - 1] == '>')
        return base_span_of(word.p + 1, word.len - 2);
    return word;
}

static int option_parse(struct queue_filter *f, struct base_span word, struct base_span value)
{
    if (value.len == 0)
        return -EINVAL;
    if (is(word, "--sender"))
        f->sender = unbracketed(value);
    else if (is(word, "--domain"))
        f->domain = value;
    else if (is(word, "--older"))
        return seconds_parse(&f->older_ns, value);
    else if (is(word, "--state"))
        return state_parse(&f->state, value);
    else
        return -EINVAL;
    return 0;
}

int queue_filter_parse(struct queue_filter *out, struct base_span words, struct base_span *bad)
{
    *out = (struct queue_filter){0};
    for (;;) {
        struct base_span word = word_next(&words);
        if (word.len == 0)
            return 0;
        *bad = word;
        if (is(word, "--all")) {
            out->all = true;
        } else if (is(word, "--json")) {
            out->json = true;
        } else if (word.p[0] == '-') {
            if (option_parse(out, word, word_next(&words)) != 0)
                return -EINVAL;
        } else {
            if (out->by_id || spool_id_parse(&out->id, word) != 0)
                return -EINVAL;
            out->by_id = true;
        }
    }
}

bool queue_filter_narrows(const struct queue_filter *f)
{
    return f->by_id || f->sender.p != NULL || f->domain.p != NULL || f->older_ns != 0 ||
           f->state != QUEUE_FILTER_ANY;
}

static bool recipient_match(const struct queue_filter *f, const struct queue_entry *e, uint32_t i)
{
    uint8_t state = queue_entry_outcome(e, i).state;
    if (state == SPOOL_OUTCOME_DELIVERED ||
        (f->state == QUEUE_FILTER_DEFERRED && state != SPOOL_OUTCOME_DEFERRED) ||
        (f->state == QUEUE_FILTER_FAILED && state != SPOOL_OUTCOME_FAILED))
        return false;
    return f->domain.p == NULL ||
           base_span_caseeq(queue_domain(queue_recipient(e->message, i)), f->domain);
}

bool queue_filter_match(const struct queue_filter *f, const struct queue_entry *e, uint64_t wall_ns)
{
    if ((f->by_id && !spool_id_eq(&f->id, &e->id)) ||
        (f->sender.p != NULL && !base_span_caseeq(e->sender, f->sender)) ||
        (f->state == QUEUE_FILTER_HELD && !e->held))
        return false;
    if (f->older_ns != 0 &&
        (wall_ns < e->arrival_wall_ns || wall_ns - e->arrival_wall_ns < f->older_ns))
        return false;
    if (f->domain.p == NULL && f->state != QUEUE_FILTER_DEFERRED && f->state != QUEUE_FILTER_FAILED)
        return true;
    for (uint32_t i = 0; i < e->recipient_cnt; i++)
        if (recipient_match(f, e, i))
            return true;
    return false;
}

struct spool_id queue_filter_start(const struct queue_filter *f)
{
    struct spool_id id = f->id;
    /* One less, as a number of 16 bytes; without an id it is the start already. */
    for (size_t i = sizeof(id.b); f->by_id && i-- > 0;)
        if (id.b[i]-- != 0)
            break;
    return id;
}
