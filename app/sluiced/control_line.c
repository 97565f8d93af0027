#include "control_line.h"
#include "policy_key.h"
#include "shape.h"

#include <errno.h>

const struct control_row control_rows[CONTROL_VERB_CNT] = {
    [CONTROL_STATUS] = {"status", CONTROL_LOOK, CONTROL_WORDS_OPTION},
    [CONTROL_METRICS] = {"metrics", CONTROL_LOOK, CONTROL_WORDS_NONE},
    [CONTROL_QUEUE_LIST] = {"queue list", CONTROL_LOOK, CONTROL_WORDS_FILTER},
    [CONTROL_QUEUE_SHOW] = {"queue show", CONTROL_LOOK, CONTROL_WORDS_ID},
    [CONTROL_QUEUE_STAT] = {"queue stat", CONTROL_LOOK, CONTROL_WORDS_FILTER},
    [CONTROL_QUEUE_DESTINATIONS] = {"queue destinations", CONTROL_LOOK, CONTROL_WORDS_OPTION},
    [CONTROL_PROVIDERS] = {"providers", CONTROL_LOOK, CONTROL_WORDS_OPTION},
    [CONTROL_SUSPEND] = {"suspend", CONTROL_CHANGE, CONTROL_WORDS_SUSPEND},
    [CONTROL_RESUME] = {"resume", CONTROL_CHANGE, CONTROL_WORDS_ONE},
    [CONTROL_QUEUE_CAT] = {"queue cat", CONTROL_CHANGE, CONTROL_WORDS_ID},
    [CONTROL_QUEUE_FLUSH] = {"queue flush", CONTROL_CHANGE, CONTROL_WORDS_FILTER},
    [CONTROL_QUEUE_HOLD] = {"queue hold", CONTROL_CHANGE, CONTROL_WORDS_NARROWS},
    [CONTROL_QUEUE_RELEASE] = {"queue release", CONTROL_CHANGE, CONTROL_WORDS_NARROWS},
    [CONTROL_QUEUE_REQUEUE] = {"queue requeue", CONTROL_CHANGE, CONTROL_WORDS_NARROWS},
    [CONTROL_QUEUE_DELETE] = {"queue delete", CONTROL_CHANGE, CONTROL_WORDS_NARROWS},
    [CONTROL_EXPLAIN] = {"explain", CONTROL_LOOK, CONTROL_WORDS_JSON},
    [CONTROL_PROBE] = {"probe", CONTROL_CHANGE, CONTROL_WORDS_JSON},
    [CONTROL_SOURCES_RELEASE] = {"sources release", CONTROL_CHANGE, CONTROL_WORDS_ONE},
    [CONTROL_SOURCES] = {"sources", CONTROL_LOOK, CONTROL_WORDS_OPTION},
    [CONTROL_TLSRPT_SHOW] = {"tlsrpt show", CONTROL_LOOK, CONTROL_WORDS_JSON},
    [CONTROL_TLSRPT_SENT] = {"tlsrpt sent", CONTROL_LOOK, CONTROL_WORDS_OPTION},
    [CONTROL_TLSRPT] = {"tlsrpt", CONTROL_LOOK, CONTROL_WORDS_OPTION},
    [CONTROL_STS_SHOW] = {"sts show", CONTROL_LOOK, CONTROL_WORDS_MAYBE},
    [CONTROL_STS_REFRESH] = {"sts refresh", CONTROL_CHANGE, CONTROL_WORDS_MAYBE},
    [CONTROL_SENDER_CHECK] = {"sender check", CONTROL_LOOK, CONTROL_WORDS_TWO},
    [CONTROL_RECIPIENT_CHECK] = {"recipient check", CONTROL_LOOK, CONTROL_WORDS_JSON},
    [CONTROL_CONFIG_SHOW] = {"config show", CONTROL_LOOK, CONTROL_WORDS_SHOW},
    [CONTROL_LOG_REOPEN] = {"log reopen", CONTROL_CHANGE, CONTROL_WORDS_NONE},
    [CONTROL_LOG_LEVEL] = {"log level", CONTROL_LOOK, CONTROL_WORDS_MAYBE},
    [CONTROL_REFUSALS] = {"refusals", CONTROL_LOOK, CONTROL_WORDS_OPTION},
    [CONTROL_LOG_TAIL] = {"log tail", CONTROL_CHANGE, CONTROL_WORDS_OPTION},
    [CONTROL_RELOAD] = {"reload", CONTROL_CHANGE, CONTROL_WORDS_NONE},
    [CONTROL_CONNECTIONS_KICK] = {"connections kick", CONTROL_CHANGE, CONTROL_WORDS_KICK},
    [CONTROL_CONNECTIONS] = {"connections", CONTROL_LOOK, CONTROL_WORDS_CONNECTIONS},
    [CONTROL_CAPTURE] = {"capture", CONTROL_CHANGE, CONTROL_WORDS_CAPTURE},
    [CONTROL_TOP] = {"top", CONTROL_LOOK, CONTROL_WORDS_NONE},
    [CONTROL_TRACE] = {"trace", CONTROL_CHANGE, CONTROL_WORDS_TRACE},
    [CONTROL_DRAIN] = {"drain", CONTROL_CHANGE, CONTROL_WORDS_NONE},
    [CONTROL_UNDRAIN] = {"undrain", CONTROL_CHANGE, CONTROL_WORDS_NONE},
    [CONTROL_STOP] = {"stop", CONTROL_CHANGE, CONTROL_WORDS_NONE},
};

static bool has_control_character(struct base_span line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.p[i] < 32 || line.p[i] == 127)
            return true;
    return false;
}

/* The command that the line begins with; CONTROL_VERB_CNT: none. */
static enum control_verb verb_find(struct base_span line)
{
    for (int v = 0; v < CONTROL_VERB_CNT; v++) {
        struct base_span text = base_span_str(control_rows[v].text);
        if (line.len < text.len || memcmp(line.p, text.p, text.len) != 0)
            continue;
        if (line.len == text.len ||
            (line.p[text.len] == ' ' && control_rows[v].words != CONTROL_WORDS_NONE))
            return (enum control_verb)v;
    }
    return CONTROL_VERB_CNT;
}

/* As many words as the row has, and the flags that it takes. */
static int take_words(struct control_line *out, struct base_span rest,
                      const struct control_row *row, struct base_span *bad)
{
    bool show = row->words == CONTROL_WORDS_SHOW, option = row->words == CONTROL_WORDS_OPTION;
    bool json = row->words != CONTROL_WORDS_ONE, maybe = row->words == CONTROL_WORDS_MAYBE;
    int cnt = row->words == CONTROL_WORDS_TWO ? 2 : show || option ? 0 : 1;
    struct base_span word;
    bool quoted;
    int got, n = 0;

    while ((got = queue_filter_word(&rest, &word, &quoted)) == 1) {
        if (json && !quoted && base_span_eq(word, base_span_str("--json"))) {
            out->filter.json = true;
            continue;
        }
        if (show && !quoted && base_span_eq(word, base_span_str("--changed"))) {
            out->changed = true;
            continue;
        }
        if (n < cnt)
            out->word[n] = word;
        n++;
    }
    *bad = word;
    return got < 0 ? -EINVAL : n == cnt || (maybe && n == 0) ? 0 : -EDOM;
}

/* A name, and in any order with it: --for TIME, --reason TEXT. */
static int take_suspension(struct control_line *out, struct base_span rest, struct base_span *bad)
{
    struct base_span word, value;
    bool quoted;
    int got, n = 0;

    while ((got = queue_filter_word(&rest, &word, &quoted)) == 1) {
        bool is_for = !quoted && base_span_eq(word, base_span_str("--for"));
        bool is_reason = !quoted && base_span_eq(word, base_span_str("--reason"));
        *bad = word;
        if (!is_for && !is_reason) {
            if (n++ > 0 || word.len == 0 || (!quoted && word.p[0] == '-'))
                return -EINVAL;
            out->word[0] = word;
            continue;
        }
        if (queue_filter_word(&rest, &value, &quoted) != 1)
            return -EINVAL;
        *bad = value;
        if (is_for && !shape_time_parse(&out->for_ns, value))
            return -EINVAL;
        if (is_reason)
            out->reason = value;
    }
    *bad = got < 0 ? word : *bad;
    return got < 0 ? -EINVAL : n == 1 ? 0 : -EDOM;
}

static bool take_count(uint64_t *out, struct base_span text)
{
    uint64_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9' || n > UINT32_MAX)
            return false;
        n = n * 10 + (uint64_t)(text.p[i] - '0');
    }
    *out = n;
    return text.len > 0 && n > 0 && n <= UINT32_MAX;
}

/* A client or a domain, and in any order with it: --for TIME, --count N, --json. */
static int take_trace(struct control_line *out, struct base_span rest, struct base_span *bad)
{
    struct base_span word, value;
    bool quoted;
    int got, n = 0;

    while ((got = queue_filter_word(&rest, &word, &quoted)) == 1) {
        bool is_for = base_span_eq(word, base_span_str("--for"));
        bool is_count = base_span_eq(word, base_span_str("--count"));
        *bad = word;
        if (quoted)
            return -EINVAL;
        if (base_span_eq(word, base_span_str("--json"))) {
            out->filter.json = true;
            continue;
        }
        if (!is_for && !is_count) {
            if (n++ > 0 || word.p[0] == '-')
                return -EINVAL;
            out->word[0] = word;
            continue;
        }
        if (queue_filter_word(&rest, &value, &quoted) != 1)
            return -EINVAL;
        *bad = value.len > 0 ? value : word;
        if (is_for ? !shape_time_parse(&out->for_ns, value) : !take_count(&out->cnt, value))
            return -EINVAL;
    }
    *bad = got < 0 ? word : *bad;
    return got < 0 ? -EINVAL : n == 1 ? 0 : -EDOM;
}

int control_line_parse(struct control_line *out, struct base_span line, struct base_span *bad)
{
    *out = (struct control_line){.verb = CONTROL_VERB_CNT};
    *bad = base_span_of(line.p, 0);
    if (has_control_character(line))
        return -EILSEQ;
    out->verb = verb_find(line);
    if (out->verb == CONTROL_VERB_CNT)
        return -ENOENT;
    const struct control_row *row = &control_rows[out->verb];
    size_t at = strlen(row->text);
    if (row->words == CONTROL_WORDS_SUSPEND)
        return take_suspension(out, base_span_of(line.p + at, line.len - at), bad);
    out->rest = base_span_of(line.p + at, line.len - at);
    if (row->words == CONTROL_WORDS_CAPTURE)
        return capture_words_parse(&out->capture, out->rest, bad);
    if (row->words == CONTROL_WORDS_TRACE)
        return take_trace(out, base_span_of(line.p + at, line.len - at), bad);
    if (row->words == CONTROL_WORDS_MAYBE && at == line.len)
        return 0;
    if (row->words == CONTROL_WORDS_MAYBE || row->words == CONTROL_WORDS_ONE ||
        row->words == CONTROL_WORDS_TWO || row->words == CONTROL_WORDS_JSON ||
        row->words == CONTROL_WORDS_SHOW || row->words == CONTROL_WORDS_OPTION)
        return take_words(out, base_span_of(line.p + at, line.len - at), row, bad);
    if (row->words == CONTROL_WORDS_CONNECTIONS || row->words == CONTROL_WORDS_KICK) {
        int rc =
            conn_filter_parse(&out->connections, base_span_of(line.p + at, line.len - at), bad);
        if (rc != 0 || row->words != CONTROL_WORDS_KICK)
            return rc;
        return out->connections.all || conn_filter_narrows(&out->connections) ? 0 : -EDOM;
    }
    if (queue_filter_parse(&out->filter, base_span_of(line.p + at, line.len - at), bad) != 0)
        return -EINVAL;
    out->filter.same_domain = policy_key_same_domain;
    if (queue_filter_pages(&out->filter) && out->verb != CONTROL_QUEUE_LIST) {
        *bad = base_span_str(out->filter.limit != 0 ? "--limit" : "--after");
        return -EINVAL;
    }
    bool fits = true;
    if (row->words == CONTROL_WORDS_ID)
        fits = out->filter.by_id;
    else if (row->words == CONTROL_WORDS_NARROWS)
        fits = out->filter.all || queue_filter_narrows(&out->filter);
    return fits ? 0 : -EDOM;
}
