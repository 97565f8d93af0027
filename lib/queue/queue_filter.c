#include "queue_filter.h"
#include "base_utf8.h"
#include "base_time.h"
#include "spool_status.h"

#include <errno.h>

static bool is(struct base_span word, const char *text)
{
    return base_span_caseeq(word, base_span_str(text));
}

int queue_filter_word(struct base_span *rest, struct base_span *word, bool *quoted)
{
    while (rest->len > 0 && rest->p[0] == ' ') {
        rest->p++;
        rest->len--;
    }
    *word = *rest;
    *quoted = rest->len > 0 && (rest->p[0] == '"' || rest->p[0] == '\'');
    uint8_t end = *quoted ? rest->p[0] : ' ';
    size_t from = *quoted ? 1 : 0;
    size_t len = from;
    while (len < rest->len && rest->p[len] != end)
        len++;
    size_t taken = len + from;
    if (taken > rest->len || (taken < rest->len && rest->p[taken] != ' '))
        return -EINVAL;
    *word = base_span_of(rest->p + from, len - from);
    *rest = base_span_of(rest->p + taken, rest->len - taken);
    return taken > 0;
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

/* Digits, then x for any: "45x" is 450 to 459. In *min and *max what cnt_max digits can be.
 * Returns how many characters were taken, or 0. */
static size_t digits_take(struct base_span text, size_t cnt_min, size_t cnt_max, uint32_t *min,
                          uint32_t *max)
{
    size_t len = 0;
    bool any = false;
    *min = 0;
    *max = 0;
    for (; len < text.len && len < cnt_max; len++) {
        uint8_t b = text.p[len];
        bool x = b == 'x' || b == 'X';
        if (!x && (b < '0' || b > '9' || any))
            break;
        any |= x;
        *min = *min * 10 + (x ? 0U : (uint32_t)(b - '0'));
        *max = *max * 10 + (x ? 9U : (uint32_t)(b - '0'));
    }
    return len >= cnt_min ? len : 0;
}

/* "4.7.1", "4.7.x", "4.x.x": a subject or detail is a number, or x alone. */
static int enhanced_parse(struct queue_filter *f, struct base_span word)
{
    static const uint32_t unit[] = {1000000, 1000, 1};
    bool any = false;
    f->enhanced_min = 0;
    f->enhanced_max = 0;
    for (size_t i = 0; i < 3; i++) {
        uint32_t min, max;
        bool x = word.len > 0 && (word.p[0] == 'x' || word.p[0] == 'X');
        size_t len = digits_take(word, 1, i == 0 || x ? 1 : 3, &min, &max);
        bool last = i == 2;
        if (len == 0 || (any && !x) || (x && i == 0) || (!x && min != max) ||
            (last ? len != word.len : len == word.len || word.p[len] != '.'))
            return -EINVAL;
        any = x;
        f->enhanced_min += min * unit[i];
        f->enhanced_max += (x ? 999 : max) * unit[i];
        if (!last)
            word = base_span_of(word.p + len + 1, word.len - len - 1);
    }
    return f->enhanced_min > 0 ? 0 : -EINVAL;
}

static int code_parse(struct queue_filter *f, struct base_span word)
{
    if (word.len > 1 && word.p[1] == '.')
        return enhanced_parse(f, word);
    if (word.len != 3 || digits_take(word, 3, 3, &f->code_min, &f->code_max) != 3 ||
        f->code_min < 200)
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
    else if (is(word, "--reason"))
        f->reason = value;
    else if (is(word, "--code"))
        return code_parse(f, value);
    else
        return -EINVAL;
    return 0;
}

int queue_filter_parse(struct queue_filter *out, struct base_span words, struct base_span *bad)
{
    struct base_span word, value;
    bool quoted;

    *out = (struct queue_filter){0};
    for (;;) {
        int rc = queue_filter_word(&words, &word, &quoted);
        if (rc == 0)
            return 0;
        *bad = word;
        if (rc < 0)
            return rc;
        if (!quoted && is(word, "--all")) {
            out->all = true;
        } else if (!quoted && is(word, "--json")) {
            out->json = true;
        } else if (!quoted && word.p[0] == '-') {
            if (queue_filter_word(&words, &value, &quoted) != 1 ||
                option_parse(out, word, value) != 0)
                return -EINVAL;
        } else {
            if (out->by_id || spool_id_parse(&out->id, word) != 0)
                return -EINVAL;
            out->by_id = true;
        }
    }
}

/* Conditions that a recipient has to meet, beside not being delivered. */
static bool has_recipient_condition(const struct queue_filter *f)
{
    return f->domain.p != NULL || f->state == QUEUE_FILTER_DEFERRED ||
           f->state == QUEUE_FILTER_FAILED || f->reason.p != NULL || f->code_min != 0 ||
           f->enhanced_min != 0;
}

bool queue_filter_narrows(const struct queue_filter *f)
{
    return f->by_id || f->sender.p != NULL || f->older_ns != 0 || f->state != QUEUE_FILTER_ANY ||
           has_recipient_condition(f);
}

static bool contains(struct base_span text, struct base_span part)
{
    for (size_t i = 0; i + part.len <= text.len; i++)
        if (base_span_caseeq(base_span_of(text.p + i, part.len), part))
            return true;
    return false;
}

/* In the words if they are about this recipient, else in its codes, as lists show them. */
static bool reason_match(const struct queue_filter *f, const struct queue_entry *e,
                         const struct spool_outcome *o)
{
    char codes[8 + SPOOL_STATUS_TEXT_CAP] = {(char)('0' + o->code / 100 % 10),
                                             (char)('0' + o->code / 10 % 10),
                                             (char)('0' + o->code % 10), ' '};

    if (e->words.len > 0 && e->words_recipient == o->recipient && contains(e->words, f->reason))
        return true;
    if (o->code == 0 && o->enhanced == 0)
        return false;
    spool_status_format(codes + 4, o->enhanced);
    return contains(base_span_str(o->code != 0 ? codes : codes + 4), f->reason);
}

static bool same_domain(const struct queue_filter *f, struct base_span a, struct base_span b)
{
    if (f->same_domain == NULL || (base_utf8_ascii(a) && base_utf8_ascii(b)))
        return base_span_caseeq(a, b);
    return f->same_domain(a, b);
}

static bool same_address(const struct queue_filter *f, struct base_span a, struct base_span b)
{
    struct base_span x = queue_domain(a), y = queue_domain(b);

    return base_span_caseeq(base_span_of(a.p, a.len - x.len), base_span_of(b.p, b.len - y.len)) &&
           same_domain(f, x, y);
}

static bool recipient_match(const struct queue_filter *f, const struct queue_entry *e, uint32_t i)
{
    const struct spool_outcome at = queue_entry_outcome(e, i), *o = &at;
    if (o->state == SPOOL_OUTCOME_DELIVERED ||
        (f->state == QUEUE_FILTER_DEFERRED && o->state != SPOOL_OUTCOME_DEFERRED) ||
        (f->state == QUEUE_FILTER_FAILED && o->state != SPOOL_OUTCOME_FAILED))
        return false;
    if ((f->code_min != 0 && (o->code < f->code_min || o->code > f->code_max)) ||
        (f->enhanced_min != 0 &&
         (o->enhanced < f->enhanced_min || o->enhanced > f->enhanced_max)) ||
        (f->reason.p != NULL && !reason_match(f, e, o)))
        return false;
    return f->domain.p == NULL ||
           same_domain(f, queue_domain(queue_recipient(e->message, i)), f->domain);
}

bool queue_filter_match(const struct queue_filter *f, const struct queue_entry *e, uint64_t wall_ns)
{
    if ((f->by_id && !spool_id_eq(&f->id, &e->id)) ||
        (f->sender.p != NULL && !same_address(f, e->sender, f->sender)) ||
        (f->state == QUEUE_FILTER_HELD && !e->held))
        return false;
    if (f->older_ns != 0 &&
        (wall_ns < e->arrival_wall_ns || wall_ns - e->arrival_wall_ns < f->older_ns))
        return false;
    if (!has_recipient_condition(f))
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
