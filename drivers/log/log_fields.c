/* A record's fields, by the words of its row's format. */
#include "log_line.h"

/* A word of a format: what stands before the field, the field, what stands behind it. */
struct word {
    struct base_span before, after;
    struct base_span name; /* empty: it has none */
    char field;            /* 0: the word has none */
    bool quiet;            /* not in the text form */
};

/* Takes the first word off the format; false at its end. Rows are tested: they are well-formed. */
static bool next_word(const char **format, struct word *w)
{
    const char *p = *format, *end = p, *percent = NULL, *equals = NULL;

    if (*p == 0)
        return false;
    /* Words are short: one look at each byte is quicker than a search for each sign. */
    for (; *end != ' ' && *end != 0; end++) {
        if (percent == NULL && *end == '%')
            percent = end;
        else if (percent == NULL && equals == NULL && *end == '=')
            equals = end;
    }
    *format = *end == ' ' ? end + 1 : end;
    *w = (struct word){0};
    if (percent == NULL) {
        w->before = base_span_of(p, (size_t)(end - p));
        return true;
    }
    w->before = base_span_of(p, (size_t)(percent - p));
    if (equals != NULL)
        w->name = base_span_of(p, (size_t)(equals - p));
    percent++;
    if (*percent == '{') {
        const char *close = strchr(percent, '}');
        base_assert(close != NULL && close < end);
        w->quiet = percent[1] == '-';
        percent += w->quiet ? 2 : 1;
        w->name = base_span_of(percent, (size_t)(close - percent));
        percent = close + 1;
    }
    base_assert(percent < end);
    w->field = *percent;
    w->after = base_span_of(percent + 1, (size_t)(end - percent - 1));
    return true;
}

static uint32_t part_of(char field)
{
    return (uint32_t)(field - 's');
}

static bool is_part(char field)
{
    return field >= 's' && part_of(field) < STATS_LOG_PART_CNT;
}

/* Whether the record has it; %s, numbers and the like it always has. */
static bool has(const struct log_line *l, const struct word *w)
{
    if (w->field == 'e')
        return l->record->m != 0;
    if (l->record->path && is_part(w->field) && part_of(w->field) == LOG_LINE_PATH)
        return false; /* it stands where the address would */
    return !is_part(w->field) || w->field == 's' ||
           stats_log_part_of(l->record, part_of(w->field)).p != NULL;
}

static void put_text_field(struct log_line *l, const struct word *w)
{
    const struct stats_log_record *r = l->record;

    switch (w->field) {
    case 'i':
        log_line_id(l);
        return;
    case 'a':
        if (r->path)
            return log_line_escape(l, stats_log_part_of(r, LOG_LINE_PATH));
        return log_line_address(l, true);
    case 'n':
        return log_line_number(l, r->n);
    case 'm':
        return log_line_number(l, r->m);
    case 'e':
        return log_line_status(l, r->m);
    default:
        base_assert(is_part(w->field));
        if (l->style->form == LOG_FORM_POSTFIX)
            log_line_escape_postfix(l, stats_log_part_of(r, part_of(w->field)), LOG_LINE_WORDS);
        else
            log_line_escape(l, stats_log_part_of(r, part_of(w->field)));
    }
}

static void text_fields(struct log_line *l, const char *format)
{
    struct word w;
    bool any = false;

    while (next_word(&format, &w)) {
        if (w.quiet || (w.field != 0 && !has(l, &w)))
            continue;
        if (any)
            log_line_text(l, " ");
        any = true;
        log_line_put(l, w.before.p, w.before.len);
        if (w.field != 0)
            put_text_field(l, &w);
        log_line_put(l, w.after.p, w.after.len);
    }
}

static struct base_span name_of(const struct word *w)
{
    if (w->name.len > 0)
        return w->name;
    return base_span_str(w->field == 'a' ? "address" : "text");
}

static void json_fields(struct log_line *l, const char *format)
{
    struct word w;

    while (next_word(&format, &w)) {
        bool text = w.field != 'n' && w.field != 'm';
        if (w.field == 0 || !has(l, &w) || (w.field == 'i' && !log_line_has_id(l)) ||
            (w.field == 'a' && !l->record->path && !log_line_has_address(l)))
            continue;
        log_line_text(l, ",\"");
        log_line_put(l, name_of(&w).p, name_of(&w).len);
        log_line_text(l, text ? "\":\"" : "\":");
        if (is_part(w.field))
            log_line_escape_json(l, stats_log_part_of(l->record, part_of(w.field)));
        else
            put_text_field(l, &w);
        if (text)
            log_line_text(l, "\"");
    }
    if (l->record->conn != 0) {
        log_line_text(l, ",\"connection\":");
        log_line_number(l, l->record->conn);
    }
    if (l->record->cut)
        log_line_text(l, ",\"cut\":true");
}

void log_line_fields(struct log_line *l, bool json)
{
    const char *format = stats_log_rows[l->record->event].format;

    if (json)
        json_fields(l, format);
    else
        text_fields(l, format);
}
