/* Maps of patterns: their lines, and the match. */
#include "policy_map_internal.h"

#include <stdlib.h>

/* ---- lines ---- */

static bool take_flags(struct policy_reader *r, struct base_span *line, uint32_t *options)
{
    for (; line->len > 0 && !policy_is_blank(line->p[0]); line->p++, line->len--)
        switch (line->p[0]) {
        case 'i':
            *options ^= PCRE2_CASELESS;
            break;
        case 'm':
            *options ^= PCRE2_MULTILINE;
            break;
        case 's':
            *options ^= PCRE2_DOTALL;
            break;
        case 'x':
            *options ^= PCRE2_EXTENDED;
            break;
        case 'A':
            *options ^= PCRE2_ANCHORED;
            break;
        case 'E':
            *options ^= PCRE2_DOLLAR_ENDONLY;
            break;
        case 'U':
            *options ^= PCRE2_UNGREEDY;
            break;
        case 'X':
            break; /* what it asked of PCRE 1 always holds now */
        default:
            return policy_reader_fail(r,
                                      "unknown flag '%c' behind the pattern; there are i m s x "
                                      "A E U X",
                                      line->p[0]);
        }
    return true;
}

/* Takes "/pattern/flags" off the line. */
static bool take_pattern(struct policy_reader *r, struct base_span *line, pcre2_code **code)
{
    uint32_t options = PCRE2_CASELESS | PCRE2_DOTALL | PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C;
    uint8_t message[120], delimiter = line->len > 0 ? line->p[0] : 0;
    PCRE2_SIZE offset;
    size_t i = 1;
    int error;

    if (delimiter == 0 || policy_is_blank(delimiter) || (delimiter >= '0' && delimiter <= '9') ||
        (uint8_t)((delimiter | 0x20) - 'a') < 26)
        return policy_reader_fail(r, "expected a pattern between slashes: /pattern/ value");
    while (i < line->len && line->p[i] != delimiter)
        i += line->p[i] == '\\' && i + 1 < line->len ? 2 : 1;
    if (i >= line->len)
        return policy_reader_fail(r, "the pattern has no '%c' at its end", delimiter);
    struct base_span pattern = base_span_of(line->p + 1, i - 1);
    *line = base_span_of(line->p + i + 1, line->len - i - 1);
    if (!take_flags(r, line, &options))
        return false;
    *code = pcre2_compile(pattern.p, pattern.len, options, &error, &offset, NULL);
    if (*code != NULL)
        return true;
    pcre2_get_error_message(error, message, sizeof(message));
    return policy_reader_fail(r, "the pattern is wrong at its byte %zu: %s", (size_t)offset + 1,
                              (const char *)message);
}

static bool add_pattern(struct policy_reader *r, const struct policy_pattern *p)
{
    struct policy_map *m = r->map;

    if (m->pattern_cnt == m->pattern_cap) {
        uint32_t cap = m->pattern_cap == 0 ? 16 : m->pattern_cap * 2;
        struct policy_pattern *more = m->pattern_cnt >= POLICY_PATTERN_MAX
                                          ? NULL
                                          : realloc(m->patterns, cap * sizeof(more[0]));
        if (more == NULL)
            return policy_reader_fail(r, "there are more than %u patterns, or memory is short",
                                      POLICY_PATTERN_MAX);
        m->patterns = more;
        m->pattern_cap = cap;
    }
    m->patterns[m->pattern_cnt++] = *p;
    return true;
}

/* A $ of a template: *name is what stands for the group. Returns the bytes that it takes, 0 when it
 * is none of $1 ${1} $(1) $$. */
static size_t dollar(struct base_span t, uint32_t *group)
{
    size_t i = 1;
    uint32_t n = 0;

    if (t.len > 1 && t.p[1] == '$') {
        *group = UINT32_MAX;
        return 2;
    }
    uint8_t close = t.len > 1 && t.p[1] == '{' ? '}' : t.len > 1 && t.p[1] == '(' ? ')' : 0;
    i += close != 0;
    size_t from = i;
    while (i < t.len && t.p[i] >= '0' && t.p[i] <= '9' && n < 1000)
        n = n * 10 + (uint32_t)(t.p[i++] - '0');
    if (i == from || n == 0 || n >= 1000 || (close != 0 && (i >= t.len || t.p[i] != close)))
        return 0;
    *group = n;
    return i + (close != 0);
}

static bool template_fits(struct policy_reader *r, struct base_span value, uint32_t group_cnt,
                          bool negate)
{
    uint32_t group;

    for (size_t i = 0; i < value.len; i++) {
        if (value.p[i] != '$')
            continue;
        size_t used = dollar(base_span_of(value.p + i, value.len - i), &group);
        if (used == 0)
            return policy_reader_fail(r, "a $ that is none of $1, ${1}, $(1) and $$");
        if (group != UINT32_MAX && (group > group_cnt || negate))
            return policy_reader_fail(r, "the pattern captures nothing for $%u", group);
        i += used - 1;
    }
    return true;
}

static bool word_is(struct base_span *line, const char *word)
{
    size_t n = strlen(word);

    if (line->len < n || !base_span_caseeq(base_span_of(line->p, n), base_span_str(word)) ||
        (line->len > n && !policy_is_blank(line->p[n])))
        return false;
    *line = base_span_of(line->p + n, line->len - n);
    return true;
}

static void trim(struct base_span *line)
{
    while (line->len > 0 && policy_is_blank(line->p[0])) {
        line->p++;
        line->len--;
    }
}

static bool end_if(struct policy_reader *r, struct base_span rest)
{
    struct policy_pattern p = {.line = r->line, .kind = POLICY_PATTERN_ENDIF};

    trim(&rest);
    if (rest.len > 0)
        return policy_reader_fail(r, "there is something behind endif");
    if (r->open_cnt == 0)
        return policy_reader_fail(r, "there is no if to this endif");
    r->map->patterns[r->open[--r->open_cnt]].next = r->map->pattern_cnt + 1;
    return add_pattern(r, &p);
}

bool policy_reader_pattern(struct policy_reader *r, struct base_span line)
{
    struct policy_pattern p = {.line = r->line, .kind = POLICY_PATTERN_MATCH};
    uint32_t groups = 0;
    size_t bytes;

    if (word_is(&line, "endif"))
        return end_if(r, line);
    if (word_is(&line, "if"))
        p.kind = POLICY_PATTERN_IF;
    trim(&line);
    while (line.len > 0 && line.p[0] == '!') {
        p.negate = !p.negate;
        line = base_span_of(line.p + 1, line.len - 1);
        trim(&line);
    }
    if (!take_pattern(r, &line, &p.code))
        return false;
    trim(&line);
    pcre2_pattern_info(p.code, PCRE2_INFO_CAPTURECOUNT, &groups);
    bool ok;
    if (p.kind == POLICY_PATTERN_IF) {
        ok = (line.len == 0 ||
              policy_reader_fail(r, "there is something behind the pattern of if")) &&
             (r->open_cnt < BASE_ARRAY_CNT(r->open) ||
              policy_reader_fail(r, "more than %zu ifs in each other", BASE_ARRAY_CNT(r->open)));
        if (ok)
            r->open[r->open_cnt++] = r->map->pattern_cnt;
    } else {
        p.items_at = (uint32_t)r->map->arena_len;
        bool keeps = r->map->role == POLICY_ROLE_ALIASES || r->map->role == POLICY_ROLE_OWNERS;
        ok = line.len > 0 || policy_reader_fail(r, "there is no value behind the pattern");
        if (ok && keeps)
            ok = template_fits(r, line, groups, p.negate) &&
                 policy_reader_items(r, line, true, &bytes);
        p.items_len = (uint32_t)(r->map->arena_len - p.items_at);
    }
    if (ok && add_pattern(r, &p))
        return true;
    pcre2_code_free(p.code);
    return false;
}

bool policy_reader_patterns_end(struct policy_reader *r)
{
    if (r->open_cnt == 0)
        return true;
    r->line = r->map->patterns[r->open[r->open_cnt - 1]].line;
    return policy_reader_fail(r, "this if has no endif");
}

/* ---- the match ---- */

/* 1: it does; 0: it does not; -1: over the limits. */
static int matches(const struct policy_pattern *p, const struct policy_key *key,
                   struct policy_work *w, uint32_t *group_cnt)
{
    int rc = pcre2_match(p->code, key->text, key->len, 0, 0, w->match, w->context);

    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
        return -1;
    *group_cnt = rc > 0 ? (uint32_t)rc : 0;
    if (rc == 0) /* more groups than there is room for: those that fit are there */
        *group_cnt = pcre2_get_ovector_count(w->match);
    return (rc >= 0) != p->negate;
}

/* Appends an item: its template with the groups put in. Returns false when it becomes too long. */
static bool fill_in(struct policy_work *w, struct base_span t, const struct policy_key *key,
                    uint32_t group_cnt)
{
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(w->match);
    struct base_buf out = {.p = w->bytes + w->len, .cap = sizeof(w->bytes) - w->len};
    uint32_t group = 0;
    bool ok = base_buf_put(&out, "\0\0", 2) == 0;

    for (size_t i = 0; i < t.len && ok;) {
        if (t.p[i] != '$') {
            ok = base_buf_put(&out, t.p + i++, 1) == 0;
            continue;
        }
        i += dollar(base_span_of(t.p + i, t.len - i), &group);
        if (group == UINT32_MAX)
            ok = base_buf_put(&out, "$", 1) == 0;
        else if (group < group_cnt && at[2 * group] != PCRE2_UNSET)
            ok = base_buf_put(&out, key->text + at[2 * group], at[2 * group + 1] - at[2 * group]) ==
                 0;
    }
    if (!ok || out.len - 2 > POLICY_MAP_ITEM_MAX)
        return false;
    base_put_le16(out.p, (uint16_t)(out.len - 2));
    w->len += out.len;
    return true;
}

static enum policy_found take_value(const struct policy_map *m, const struct policy_pattern *p,
                                    const struct policy_key *key, struct policy_work *w,
                                    uint32_t group_cnt, struct policy_hit *hit)
{
    struct base_span items = base_span_of(m->arena + p->items_at, p->items_len), item;
    size_t from = w->len;

    *hit = (struct policy_hit){.map = m, .line = p->line};
    while (policy_items_next(&items, &item))
        if (!fill_in(w, item, key, group_cnt)) {
            w->len = from;
            return POLICY_FOUND_ERROR;
        }
    hit->items = base_span_of(w->bytes + from, w->len - from);
    return POLICY_FOUND;
}

enum policy_found policy_map_match(const struct policy_map *m, const struct policy_key *key,
                                   struct policy_work *w, struct policy_hit *hit)
{
    uint32_t groups;

    if (key->at == 0 || !policy_key_has_domain(key) || memchr(key->text, '@', key->at) != NULL)
        return POLICY_FOUND_NOT;
    for (uint32_t i = 0; i < m->pattern_cnt;) {
        const struct policy_pattern *p = &m->patterns[i++];
        if (p->kind == POLICY_PATTERN_ENDIF)
            continue;
        int matched = matches(p, key, w, &groups);
        if (matched < 0) {
            *hit = (struct policy_hit){.map = m, .line = p->line};
            return POLICY_FOUND_ERROR;
        }
        if (p->kind == POLICY_PATTERN_IF)
            i = matched ? i : p->next;
        else if (matched)
            return take_value(m, p, key, w, groups, hit);
    }
    return POLICY_FOUND_NOT;
}
