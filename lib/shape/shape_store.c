#include "shape_store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define HEAD       "sluice limits 1\n"
#define GAP_MAX_US (3600 * UINT64_C(1000000))
#define NAME_WORDS (3 * (SHAPE_STORE_NAME_CAP - 1) + 1)
#define RULE_WORDS (3 * (SHAPE_RULE_TEXT_CAP - 1) + 1)
#define WHY_WORDS  (3 * (SHAPE_STORE_CAUSE_CAP - 1) + 1)

base_static_assert(NAME_WORDS + RULE_WORDS + WHY_WORDS + 400 < SHAPE_STORE_LINE_MAX,
                   "a line has room for its longest words and for its numbers");

bool shape_store_wanted(const struct shape_state *s, uint64_t now_ns)
{
    return s->low || s->fall_cnt > 0 || s->until_ns > now_ns;
}

/* ---- words ---- */

static bool is_plain(uint8_t b)
{
    return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
           (b != 0 && strchr(".-_@:/", b) != NULL);
}

static void escape(char *out, const char *text)
{
    static const char hex[] = "0123456789abcdef";

    bool alone = strcmp(text, "-") == 0; /* which would be nothing */

    if (text[0] == 0)
        *out++ = '-';
    for (; *text != 0; text++) {
        uint8_t b = (uint8_t)*text;
        if (is_plain(b) && !alone) {
            *out++ = (char)b;
            continue;
        }
        *out++ = '%';
        *out++ = hex[b >> 4];
        *out++ = hex[b & 15];
    }
    *out = 0;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool unescape(char *out, size_t cap, const char *word)
{
    size_t len = 0;

    for (const char *p = strcmp(word, "-") == 0 ? "" : word; *p != 0; p++) {
        int b = (uint8_t)*p;
        if (*p == '%') {
            int high = digit(p[1]), low = high < 0 ? -1 : digit(p[2]);
            b = low < 0 ? 0 : high * 16 + low;
            p += 2;
        } else if (!is_plain((uint8_t)b)) {
            return false;
        }
        if (b == 0 || len + 1 >= cap)
            return false;
        out[len++] = (char)b;
    }
    out[len] = 0;
    return true;
}

/* ---- times ---- */

/* Of what is to come, rounded up; of what was, 0 for never. */
static uint64_t to_wall_s(uint64_t at_ns, uint64_t now_ns, uint64_t wall_ns)
{
    if (at_ns == 0)
        return 0;
    if (at_ns > now_ns)
        return (wall_ns + (at_ns - now_ns) + BASE_NS_S - 1) / BASE_NS_S;
    uint64_t ago_ns = now_ns - at_ns;
    return ago_ns < wall_ns ? (wall_ns - ago_ns) / BASE_NS_S : 1;
}

/* A time to come: what is left of it, max_ns at most. 0: it is over. */
static uint64_t left_ns(uint64_t wall_s, uint64_t max_ns, uint64_t wall_ns)
{
    uint64_t at_ns = wall_s < UINT64_MAX / BASE_NS_S ? wall_s * BASE_NS_S : UINT64_MAX;
    uint64_t left = at_ns > wall_ns ? at_ns - wall_ns : 0;

    return left < max_ns ? left : max_ns;
}

/* ---- lines ---- */

bool shape_store_begin(struct base_buf *out)
{
    return base_buf_puts(out, HEAD) == 0;
}

bool shape_store_put(struct base_buf *out, const struct shape_stored *s, uint64_t now_ns,
                     uint64_t wall_ns)
{
    const struct shape_state *t = &s->state;
    char line[SHAPE_STORE_LINE_MAX], name[NAME_WORDS + 3], rule[RULE_WORDS + 3];
    char cause[WHY_WORDS + 3];

    escape(name, s->name);
    escape(rule, s->rule);
    escape(cause, s->cause);
    int n =
        snprintf(line, sizeof(line),
                 "group %s %d now %" PRIu32 " %" PRIu64 " was %" PRIu32 " %" PRIu64
                 " falls %" PRIu32 " low %d fell %" PRIu64 " step %" PRIu64 " until %" PRIu64
                 " hits %" PRIu64 " cause %" PRIu64 " %s %s\n",
                 name, s->configured, t->now.connections, t->now.gap_ns / 1000, t->was.connections,
                 t->was.gap_ns / 1000, t->fall_cnt, t->low, to_wall_s(t->fell_ns, now_ns, wall_ns),
                 to_wall_s(t->step_ns, now_ns, wall_ns), to_wall_s(t->until_ns, now_ns, wall_ns),
                 t->hit_cnt, s->cause_wall_ns / BASE_NS_S, rule, cause);
    base_assert(n > 0 && (size_t)n < sizeof(line));
    return base_buf_put(out, line, (size_t)n) == 0;
}

struct numbers {
    int configured, low;
    uint64_t now_us, was_us, fell_s, step_s, until_s, cause_s;
};

static bool fill(struct shape_stored *s, const struct numbers *n, uint64_t now_ns, uint64_t wall_ns)
{
    struct shape_state *t = &s->state;

    if ((n->configured | n->low | 1) != 1 || n->now_us > GAP_MAX_US || n->was_us > GAP_MAX_US ||
        n->cause_s > UINT64_MAX / BASE_NS_S || s->name[0] == 0)
        return false;
    s->configured = n->configured != 0;
    s->cause_wall_ns = n->cause_s * BASE_NS_S;
    t->low = n->low != 0;
    t->now.gap_ns = n->now_us * 1000;
    t->was.gap_ns = n->was_us * 1000;
    if (!t->low)
        t->now = t->was = (struct shape_limits){0};
    t->fall_cnt = t->fall_cnt < SHAPE_FALLS_MAX ? t->fall_cnt : SHAPE_FALLS_MAX;
    uint64_t wait_ns = left_ns(n->until_s, SHAPE_TIME_MAX_NS, wall_ns);
    t->until_ns = wait_ns > 0 ? now_ns + wait_ns : 0;
    /* Whatever is out now began after it. */
    t->fell_ns = n->fell_s > 0 && now_ns > 0 ? now_ns - 1 : 0;
    t->step_ns = now_ns + left_ns(n->step_s, wait_ns + SHAPE_STEP_NS, wall_ns);
    return true;
}

static bool read_line(struct shape_stored *s, const char *line, uint64_t now_ns, uint64_t wall_ns)
{
    struct shape_state *t = &s->state;
    char name[NAME_WORDS + 3], rule[RULE_WORDS + 3], cause[WHY_WORDS + 3];
    struct numbers n;
    int end = 0;

    *s = (struct shape_stored){0};
    base_static_assert(NAME_WORDS + 2 == 771 && RULE_WORDS + 2 == 600 && WHY_WORDS + 2 == 384,
                       "the widths below");
    if (sscanf(line,
               "group %771s %d now %" SCNu32 " %" SCNu64 " was %" SCNu32 " %" SCNu64
               " falls %" SCNu32 " low %d fell %" SCNu64 " step %" SCNu64 " until %" SCNu64
               " hits %" SCNu64 " cause %" SCNu64 " %600s %384s%n",
               name, &n.configured, &t->now.connections, &n.now_us, &t->was.connections, &n.was_us,
               &t->fall_cnt, &n.low, &n.fell_s, &n.step_s, &n.until_s, &t->hit_cnt, &n.cause_s,
               rule, cause, &end) != 15 ||
        line[end] != 0)
        return false;
    return unescape(s->name, sizeof(s->name), name) && unescape(s->rule, sizeof(s->rule), rule) &&
           unescape(s->cause, sizeof(s->cause), cause) && fill(s, &n, now_ns, wall_ns);
}

int shape_store_get(struct shape_stored *s, struct base_span *text, bool *begun, uint64_t now_ns,
                    uint64_t wall_ns)
{
    char line[SHAPE_STORE_LINE_MAX];

    if (!*begun) {
        struct base_span head = base_span_str(HEAD);
        *begun = true;
        if (text->len == 0)
            return 0;
        if (text->len < head.len || memcmp(text->p, head.p, head.len) != 0) {
            *text = base_span_of(text->p, 0);
            return -EINVAL;
        }
        *text = base_span_of(text->p + head.len, text->len - head.len);
    }
    if (text->len == 0)
        return 0;
    const uint8_t *end = memchr(text->p, '\n', text->len);
    size_t len = end != NULL ? (size_t)(end - text->p) : text->len;
    bool good = end != NULL && len < sizeof(line) && memchr(text->p, 0, len) == NULL;
    if (good) {
        memcpy(line, text->p, len);
        line[len] = 0;
        good = read_line(s, line, now_ns, wall_ns);
    }
    len += end != NULL;
    *text = base_span_of(text->p + len, text->len - len);
    return good ? 1 : -EINVAL;
}
