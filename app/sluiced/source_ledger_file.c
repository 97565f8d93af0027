/*
 * The ledger as text, a line each, told apart by the first word:
 *
 *   sluice-sources 1
 *   source NAME DAY COUNT DAY COUNT
 *   site KEY DAY COUNT DAY COUNT         KEY: of source and site, 16 hexadecimal digits
 *   aside NAME SITE UNTIL STEP WHY...    UNTIL: seconds since 1970
 */
#include "base_time.h"
#include "source_ledger.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#define HEAD     "sluice-sources 1\n"
#define LINE_CAP 320

size_t source_ledger_bytes(const struct source_ledger *l)
{
    size_t lines = 1 + l->source_cnt + l->aside_cnt;

    for (uint32_t i = 0; i < SOURCE_SITE_MAX; i++)
        lines += l->sites[i].key != 0;
    return lines * LINE_CAP;
}

__attribute__((format(printf, 2, 3))) static bool put(struct base_buf *out, const char *format, ...)
{
    char line[LINE_CAP];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    base_assert(n > 0 && (size_t)n < sizeof(line));
    return base_buf_put(out, line, (size_t)n) == 0;
}

bool source_ledger_write(struct source_ledger *l, struct base_buf *out, uint64_t now_ns,
                         uint64_t wall_ns)
{
    bool fits = put(out, HEAD);

    for (uint32_t i = 0; i < l->source_cnt && fits; i++) {
        const struct source_state *s = &l->sources[i];
        if (s->used)
            fits = put(out, "source %s %u %u %u %u\n", s->name, s->all.day[0], s->all.cnt[0],
                       s->all.day[1], s->all.cnt[1]);
    }
    for (uint32_t i = 0; i < SOURCE_SITE_MAX && fits; i++) {
        const struct source_count *c = &l->sites[i];
        if (c->key != 0)
            fits = put(out, "site %016" PRIx64 " %u %u %u %u\n", c->key, c->day[0], c->cnt[0],
                       c->day[1], c->cnt[1]);
    }
    for (uint32_t i = 0; i < SOURCE_ASIDE_MAX && fits; i++) {
        const struct source_aside *a = &l->asides[i];
        if (a->until_ns == 0 || !l->sources[a->source].used)
            continue;
        uint64_t left_ns = a->until_ns > now_ns ? a->until_ns - now_ns : 0;
        fits = put(out, "aside %s %s %" PRIu64 " %u %s\n", l->sources[a->source].name, a->site,
                   (wall_ns + left_ns) / BASE_NS_S, a->step, a->why);
    }
    l->changed &= !fits;
    return fits;
}

static bool read_source(struct source_ledger *l, const char *line)
{
    struct source_count c = {0};
    char name[SOURCE_NAME_CAP];

    if (sscanf(line, "source %31s %u %u %u %u", name, &c.day[0], &c.cnt[0], &c.day[1], &c.cnt[1]) !=
            5 ||
        (c.day[0] == c.day[1] && c.day[0] != 0))
        return false;
    uint32_t at = source_ledger_use(l, name);
    if (at != UINT32_MAX)
        l->sources[at].all = c;
    return true;
}

static bool read_site(struct source_ledger *l, const char *line)
{
    struct source_count c = {0};

    if (sscanf(line, "site %" SCNx64 " %u %u %u %u", &c.key, &c.day[0], &c.cnt[0], &c.day[1],
               &c.cnt[1]) != 5 ||
        c.key % 2 == 0 || c.day[0] == c.day[1])
        return false;
    struct source_state none = {0};
    uint32_t newest = c.day[0] > c.day[1] ? c.day[0] : c.day[1];
    /* Without a source there is no place for all the others: such a count is lost. */
    struct source_ledger alone = *l;
    alone.sources = &none;
    struct source_count *at = source_ledger_site(&alone, 0, c.key, newest);
    if (at != &none.other)
        *at = c;
    return true;
}

static bool read_aside(struct source_ledger *l, const char *line, uint64_t max_ns, uint64_t now_ns,
                       uint64_t wall_ns)
{
    char name[SOURCE_NAME_CAP], site[SOURCE_SITE_CAP];
    uint64_t until_s;
    unsigned step;
    int at = 0;

    if (sscanf(line, "aside %31s %71s %" SCNu64 " %u %n", name, site, &until_s, &step, &at) != 4 ||
        at == 0 || step == 0 || until_s > UINT64_MAX / BASE_NS_S)
        return false;
    uint32_t source = source_ledger_use(l, name);
    if (source == UINT32_MAX)
        return true;
    uint64_t until_ns = until_s * BASE_NS_S, left_ns = until_ns > wall_ns ? until_ns - wall_ns : 1;
    struct source_aside *a = source_ledger_place(l);
    a->source = source;
    a->step = step < 32 ? step : 32;
    a->until_ns = now_ns + (left_ns < max_ns ? left_ns : max_ns);
    memcpy(a->site, site, sizeof(a->site));
    snprintf(a->why, sizeof(a->why), "%.*s", (int)sizeof(a->why) - 1, line + at);
    return true;
}

uint32_t source_ledger_read(struct source_ledger *l, struct base_span text, uint64_t max_ns,
                            uint64_t now_ns, uint64_t wall_ns)
{
    uint32_t bad_cnt = 0;
    bool first = true;

    while (text.len > 0) {
        const uint8_t *end = memchr(text.p, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.p) : text.len;
        char line[LINE_CAP];
        bool good = len < sizeof(line) && end != NULL && memchr(text.p, 0, len) == NULL;
        memcpy(line, text.p, len < sizeof(line) ? len : sizeof(line) - 1);
        line[len < sizeof(line) ? len : sizeof(line) - 1] = 0;
        if (first && good && strncmp(line, HEAD, strlen(HEAD) - 1) != 0)
            return 1; /* another version's, or nobody's */
        if (!first && good)
            good = read_source(l, line) || read_site(l, line) ||
                   read_aside(l, line, max_ns, now_ns, wall_ns);
        bad_cnt += !good;
        first = false;
        text = base_span_of(text.p + len + (end != NULL), text.len - len - (end != NULL));
    }
    source_ledger_unuse(l);
    l->changed = false;
    return bad_cnt;
}
