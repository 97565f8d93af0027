#include "base_siphash.h"
#include "policy_map_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static struct base_span entry_key(const struct policy_map *m, size_t at)
{
    return base_span_of(m->arena + at + POLICY_ENTRY_HEAD, base_le16(m->arena + at + 4));
}

static size_t entry_bytes(const struct policy_map *m, size_t at)
{
    return POLICY_ENTRY_HEAD + base_le16(m->arena + at + 4) + base_le32(m->arena + at + 6);
}

static struct policy_hit entry_hit(const struct policy_map *m, size_t at)
{
    struct base_span key = entry_key(m, at);

    return (struct policy_hit){.map = m,
                               .line = base_le32(m->arena + at),
                               .items =
                                   base_span_of(key.p + key.len, base_le32(m->arena + at + 6))};
}

/* The slot of the key, or the free one where it would be. */
static uint32_t slot_of(const struct policy_map *m, struct base_span key)
{
    uint32_t i = (uint32_t)base_siphash13(m->seed, key.p, key.len) & m->slot_mask;

    while (m->slots[i] != 0 && !base_span_eq(entry_key(m, m->slots[i] - 1), key))
        i = (i + 1) & m->slot_mask;
    return i;
}

enum policy_found policy_map_find(const struct policy_map *m, const struct policy_key *key,
                                  struct policy_work *w, struct policy_hit *hit)
{
    if (m->form == POLICY_FORM_PATTERNS)
        return policy_map_match(m, key, w, hit);
    uint32_t slot = m->slots[slot_of(m, policy_key_span(key))];
    if (slot == 0)
        return POLICY_FOUND_NOT;
    *hit = entry_hit(m, slot - 1);
    return POLICY_FOUND;
}

bool policy_items_next(struct base_span *items, struct base_span *item)
{
    if (items->len == 0)
        return false;
    size_t len = base_le16(items->p);
    *item = base_span_of(items->p + 2, len);
    *items = base_span_of(items->p + 2 + len, items->len - 2 - len);
    return true;
}

const char *policy_map_name(const struct policy_map *m)
{
    return m->name;
}

bool policy_map_has_patterns(const struct policy_map *m)
{
    return m->form == POLICY_FORM_PATTERNS;
}

uint32_t policy_map_count(const struct policy_map *m)
{
    return m->form == POLICY_FORM_PATTERNS ? m->pattern_cnt : m->cnt;
}

size_t policy_map_bytes(const struct policy_map *m)
{
    size_t bytes = sizeof(*m) + m->arena_cap + m->pattern_cap * sizeof(m->patterns[0]);

    return bytes + (m->slots != NULL ? ((size_t)m->slot_mask + 1) * sizeof(m->slots[0]) : 0);
}

bool policy_map_next(const struct policy_map *m, size_t *at, struct base_span *key,
                     struct policy_hit *hit)
{
    if (m->form == POLICY_FORM_PATTERNS || *at >= m->arena_len)
        return false;
    *key = entry_key(m, *at);
    *hit = entry_hit(m, *at);
    *at += entry_bytes(m, *at);
    return true;
}

void policy_map_free(struct policy_map *m)
{
    if (m == NULL)
        return;
    for (uint32_t i = 0; i < m->pattern_cnt; i++)
        pcre2_code_free(m->patterns[i].code);
    free(m->patterns);
    free(m->slots);
    free(m->arena);
    free(m->name);
    free(m);
}

/* ---- reading ---- */

bool policy_reader_fail(struct policy_reader *r, const char *format, ...)
{
    va_list args;

    if (r->notes->error_cnt == POLICY_NOTE_MAX)
        return false;
    uint32_t before = r->notes->error_cnt++;
    struct policy_note *note = before == 0 ? &r->notes->error : &r->notes->more[before - 1];
    note->line = r->line;
    va_start(args, format);
    vsnprintf(note->text, sizeof(note->text), format, args);
    va_end(args);
    return false;
}

void policy_reader_warn(struct policy_reader *r, uint32_t line, const char *format, ...)
{
    uint32_t i = r->notes->warning_cnt++;
    va_list args;

    if (i >= POLICY_NOTE_MAX)
        return;
    r->notes->warning[i].line = line;
    va_start(args, format);
    vsnprintf(r->notes->warning[i].text, sizeof(r->notes->warning[i].text), format, args);
    va_end(args);
}

bool policy_reader_put(struct policy_reader *r, const void *p, size_t len)
{
    struct policy_map *m = r->map;

    if (len > m->arena_cap - m->arena_len) {
        size_t cap = m->arena_cap * 2 > m->arena_len + len ? m->arena_cap * 2 : m->arena_len + len;
        uint8_t *more = cap < UINT32_MAX ? realloc(m->arena, cap) : NULL;
        if (more == NULL)
            return policy_reader_fail(r, "no memory for a map of that size");
        m->arena = more;
        m->arena_cap = cap;
    }
    memcpy(m->arena + m->arena_len, p, len);
    m->arena_len += len;
    return true;
}

/* The word at the start of text, up to a blank (and comma, in values) outside of double quotes. */
static size_t word_len(struct base_span text, bool comma)
{
    bool quoted = false;
    size_t i = 0;

    for (; i < text.len; i++) {
        uint8_t c = text.p[i];
        if (c == '\\' && quoted && i + 1 < text.len)
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (policy_is_blank(c) || (comma && c == ',')))
            break;
    }
    return i;
}

static struct base_span skip_blanks(struct base_span text, bool comma)
{
    size_t i = 0;

    while (i < text.len && (policy_is_blank(text.p[i]) || (comma && text.p[i] == ',')))
        i++;
    return base_span_of(text.p + i, text.len - i);
}

static bool has_dollar(struct base_span text)
{
    return memchr(text.p, '$', text.len) != NULL;
}

/* Whether an item may stand in a value of that role. */
static bool item_fits(struct policy_reader *r, struct base_span item)
{
    struct policy_key key;

    if (item.len > POLICY_MAP_ITEM_MAX)
        return policy_reader_fail(r, "'%.40s...' is longer than %d bytes", (const char *)item.p,
                                  POLICY_MAP_ITEM_MAX);
    bool ok = policy_key_text(&key, item) == 0;
    if (r->map->role == POLICY_ROLE_ALIASES)
        ok = ok && policy_key_has_domain(&key);
    if (ok)
        return true;
    return policy_reader_fail(
        r, "'%.*s' is no %s", (int)(item.len < 100 ? item.len : 100), (const char *)item.p,
        r->map->role == POLICY_ROLE_ALIASES ? "address with a domain" : "login");
}

bool policy_reader_items(struct policy_reader *r, struct base_span value, bool is_template,
                         size_t *bytes)
{
    size_t from = r->map->arena_len;

    value = skip_blanks(value, true);
    while (value.len > 0) {
        struct base_span item = base_span_of(value.p, word_len(value, true));
        uint8_t head[2];
        /* What a template makes is looked at when it is made. */
        if (!(is_template && has_dollar(item)) && !item_fits(r, item))
            return false;
        if (item.len > POLICY_MAP_ITEM_MAX)
            return policy_reader_fail(r, "an item is longer than %d bytes", POLICY_MAP_ITEM_MAX);
        base_put_le16(head, (uint16_t)item.len);
        if (!policy_reader_put(r, head, sizeof(head)) || !policy_reader_put(r, item.p, item.len))
            return false;
        value = skip_blanks(base_span_of(value.p + item.len, value.len - item.len), true);
    }
    *bytes = r->map->arena_len - from;
    return *bytes > 0 || policy_reader_fail(r, "there is no value behind the key");
}

/* Whether the values of the role say anything. */
static bool keeps_values(const struct policy_map *m)
{
    return m->role == POLICY_ROLE_ALIASES || m->role == POLICY_ROLE_OWNERS;
}

static bool add_entry(struct policy_reader *r, const struct policy_key *key, struct base_span value)
{
    struct policy_map *m = r->map;
    struct base_span span = policy_key_span(key);
    uint32_t slot = slot_of(m, span);
    uint8_t head[POLICY_ENTRY_HEAD] = {0};
    size_t at = m->arena_len, bytes = 0;

    if (m->slots[slot] != 0) {
        policy_reader_warn(r, r->line, "'%.*s' stands in line %u already, which counts",
                           (int)(span.len < 80 ? span.len : 80), (const char *)span.p,
                           base_le32(m->arena + m->slots[slot] - 1));
        return true;
    }
    base_put_le32(head, r->line);
    base_put_le16(head + 4, (uint16_t)span.len);
    if (!policy_reader_put(r, head, sizeof(head)) || !policy_reader_put(r, span.p, span.len))
        return false;
    if (keeps_values(m) && !policy_reader_items(r, value, false, &bytes))
        return false;
    base_put_le32(m->arena + at + 6, (uint32_t)bytes);
    m->slots[slot] = (uint32_t)at + 1;
    m->cnt++;
    return true;
}

static bool text_line(struct policy_reader *r, struct base_span line)
{
    struct base_span word = base_span_of(line.p, word_len(line, false));
    struct base_span value =
        skip_blanks(base_span_of(line.p + word.len, line.len - word.len), false);
    int shown = (int)(word.len < 80 ? word.len : 80);
    struct policy_key key;

    if (word.len > 1 && word.p[word.len - 1] == ':')
        return policy_reader_fail(r,
                                  "'%.*s' ends with a colon: is this an aliases(5) file? keys "
                                  "have none here",
                                  shown, (const char *)word.p);
    if (value.len == 0)
        return policy_reader_fail(r, "there is no value behind the key '%.*s'", shown,
                                  (const char *)word.p);
    if (policy_key_text(&key, word) != 0) {
        policy_reader_warn(r, r->line, "'%.*s' is no address and no name: it never matches", shown,
                           (const char *)word.p);
        return true;
    }
    return add_entry(r, &key, value);
}

static bool account_line(struct policy_reader *r, struct base_span line)
{
    struct base_span name = line;
    uint8_t full[POLICY_KEY_CAP];
    struct policy_key key;

    for (size_t i = 0; i < line.len; i++)
        if (line.p[i] == ':' || line.p[i] == '|') {
            name.len = i;
            break;
        }
    if (name.len > 0 && memchr(name.p, '@', name.len) == NULL && r->name_domain.len > 0 &&
        name.len + 1 + r->name_domain.len <= sizeof(full)) {
        memcpy(full, name.p, name.len);
        full[name.len] = '@';
        memcpy(full + name.len + 1, r->name_domain.p, r->name_domain.len);
        name = base_span_of(full, name.len + 1 + r->name_domain.len);
    }
    if (policy_key_text(&key, name) != 0 || key.at == 0)
        return policy_reader_fail(r, "'%.*s' is no name of an account",
                                  (int)(name.len < 80 ? name.len : 80), (const char *)name.p);
    return add_entry(r, &key, base_span_of(NULL, 0));
}

/* The next line of the file without its end. */
static struct base_span file_line(struct policy_reader *r)
{
    const uint8_t *end = memchr(r->rest.p, '\n', r->rest.len);
    size_t len = end != NULL ? (size_t)(end - r->rest.p) : r->rest.len;
    struct base_span line = base_span_of(r->rest.p, len);
    size_t used = end != NULL ? len + 1 : len;

    r->rest = base_span_of(r->rest.p + used, r->rest.len - used);
    r->next_line++;
    return line;
}

static struct base_span trim_end(struct base_span line)
{
    while (line.len > 0 && policy_is_blank(line.p[line.len - 1]))
        line.len--;
    return line;
}

/* Blank, or a comment. */
static bool says_nothing(struct base_span line)
{
    struct base_span text = skip_blanks(line, false);
    return text.len == 0 || text.p[0] == '#';
}

static bool join(struct policy_reader *r, size_t *len, struct base_span more)
{
    if (*len + more.len > r->joined_cap) {
        size_t cap = 2 * (*len + more.len);
        uint8_t *p = realloc(r->joined, cap);
        if (p == NULL)
            return policy_reader_fail(r, "no memory for a line of that length");
        r->joined = p;
        r->joined_cap = cap;
    }
    if (more.len > 0)
        memcpy(r->joined + *len, more.p, more.len);
    *len += more.len;
    return true;
}

/* Puts a logical line together: 1, 0 at the end of the file, -1 with the error set. */
static int logical_line(struct policy_reader *r, struct base_span *out)
{
    struct base_span line;
    size_t len = 0;

    do {
        if (r->rest.len == 0)
            return 0;
        line = file_line(r);
    } while (says_nothing(line));
    r->line = r->next_line - 1;
    *out = trim_end(line);
    if (r->map->form == POLICY_FORM_ACCOUNTS)
        return 1;
    while (r->rest.len > 0) {
        struct policy_reader ahead = *r;
        struct base_span more = file_line(&ahead);
        if (!says_nothing(more) && !policy_is_blank(more.p[0]))
            break;
        r->rest = ahead.rest;
        r->next_line = ahead.next_line;
        if (says_nothing(more))
            continue;
        if (len == 0 && !join(r, &len, *out))
            return -1;
        if (!join(r, &len, trim_end(more)))
            return -1;
        *out = base_span_of(r->joined, len);
    }
    return 1;
}

static bool read_line(struct policy_reader *r, struct base_span line)
{
    if (memchr(line.p, 0, line.len) != NULL)
        return policy_reader_fail(r, "there is a NUL byte");
    if (r->map->form == POLICY_FORM_ACCOUNTS)
        return account_line(r, skip_blanks(line, false));
    if (policy_is_blank(line.p[0]))
        return policy_reader_fail(r, "the line begins with a blank: it goes on with none before");
    return r->map->form == POLICY_FORM_PATTERNS ? policy_reader_pattern(r, line)
                                                : text_line(r, line);
}

/* A wrong line is passed over, but an if or endif: behind one all others would be wrong, too. */
static bool goes_on(const struct policy_reader *r, struct base_span line)
{
    return r->notes->error_cnt < POLICY_NOTE_MAX &&
           (r->map->form != POLICY_FORM_PATTERNS || (line.p[0] != 'i' && line.p[0] != 'e'));
}

static bool read_lines(struct policy_reader *r)
{
    struct base_span line;
    int more;

    while ((more = logical_line(r, &line)) == 1)
        if (!read_line(r, line) && !goes_on(r, line))
            return false;
    bool ended = r->map->form != POLICY_FORM_PATTERNS || policy_reader_patterns_end(r);
    return more == 0 && ended && r->notes->error_cnt == 0;
}

/* Room for every line of the file to be a key. */
static bool make_slots(struct policy_reader *r)
{
    struct policy_map *m = r->map;
    uint64_t lines = 1, slots = 16;

    for (size_t i = 0; i < r->rest.len; i++)
        lines += r->rest.p[i] == '\n';
    while (slots < lines + lines / 2)
        slots *= 2;
    m->slot_mask = (uint32_t)(slots - 1);
    m->arena_cap = r->rest.len + 64;
    m->arena = malloc(m->arena_cap);
    m->slots = calloc(slots, sizeof(m->slots[0]));
    return (m->slots != NULL && m->arena != NULL) || policy_reader_fail(r, "memory is short");
}

struct policy_map *policy_map_read(const char *name, enum policy_form form, enum policy_role role,
                                   struct base_span text, struct base_span name_domain,
                                   const uint8_t seed[16], struct policy_notes *notes)
{
    struct policy_map *m = calloc(1, sizeof(*m));
    struct policy_reader r = {
        .map = m, .notes = notes, .rest = text, .name_domain = name_domain, .next_line = 1};

    memset(notes, 0, sizeof(*notes));
    if (m != NULL)
        m->name = strdup(name);
    if (m == NULL || m->name == NULL) {
        policy_reader_fail(&r, "memory is short");
        policy_map_free(m);
        return NULL;
    }
    if (text.len >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0) /* a byte order mark */
        r.rest = base_span_of(text.p + 3, text.len - 3);
    m->form = form;
    m->role = role;
    memcpy(m->seed, seed, sizeof(m->seed));
    bool ok = text.len <= POLICY_MAP_BYTES_MAX || policy_reader_fail(&r, "the file is too large");
    ok = ok && make_slots(&r) && read_lines(&r);
    free(r.joined);
    if (text.len > 0 && text.p[text.len - 1] != '\n')
        notes->unended = r.next_line - 1;
    if (!ok) {
        policy_map_free(m);
        return NULL;
    }
    uint8_t *less = realloc(m->arena, m->arena_len + 1);
    if (less != NULL) {
        m->arena = less;
        m->arena_cap = m->arena_len + 1;
    }
    return m;
}
