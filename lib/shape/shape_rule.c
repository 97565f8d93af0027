/* Rules on replies: how they are written, when one fits, and those that are built in. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "shape.h"

#include <errno.h>
#include <pcre2.h>
#include <stdio.h>
#include <string.h>

#define MATCH_STEPS_MAX 20000
#define MATCH_DEPTH_MAX 200

/*
 * What large providers answer to those who send too much, as far as it is published or well known:
 *
 *   4.7.28       Google: too many, by address, network or domain that signs
 *   4.7.650, 4.7.651, RP-...  Microsoft: rate limits for addresses without a good name
 *   4.7.5xx, 4.3.2 with "busy" Microsoft: the server is busy, or it holds back
 *   TSS.., TSxx  Yahoo: by volume or complaints ([TS0x]: temporarily, [TSS0x]: deferred by
 * reputation) 4.2.1        with "rate": a mailbox gets mail too fast (Google); that is one
 * recipient's, so the pace falls a little and nothing waits 4.7.0, 4.7.1, 4.4.5, 4.3.2 beside 421
 * or 45x, with words like these: anybody's servers, Postfix's limits of connections and messages
 * (anvil) among them
 */
static const struct {
    const char *text;
    bool everyone;
} builtin[] = {
    {"4xx 4.7.28 rate=half connections=half wait=5m", true},
    {"45x 4.7.65* rate=half connections=1 wait=5m", true},
    {"4xx /\\b(RP-00[1-3]|temporarily rate limited)\\b/ rate=half connections=1 wait=5m", true},
    {"4xx /\\[(TSS?[0-9]+|TS[0-9]+)\\]|unexpected volume or user complaints/ rate=half "
     "connections=1 "
     "wait=15m",
     true},
    {"45x 4.2.1 /\\brate\\b/ rate=half", true},
    {"4xx /too many (concurrent |simultaneous |open |parallel )?(smtp )?(connections|sessions)|"
     "(connection|concurrency) (limit|rate)|connections? from your/ connections=half wait=10s",
     true},
    {"4xx /too many (messages|mails?|emails|recipients) .*(connection|session)|"
     "messages? per (connection|session)/ retry",
     false},
    {"4xx /\\b(rate limit|throttl|too (many|much) (messages|mails?|emails|recipients)|"
     "sending (rate|too)|too fast|slow down)/ rate=half wait=1m",
     true},
    {"45x 4.7.5xx rate=half wait=1m", false},
    {"421 4.7.x connections=1 rate=half wait=1m", false},
    {"421 connections=1 wait=30s", false},
};

const char *shape_rule_builtin(uint32_t at, bool *everyone)
{
    if (at >= BASE_ARRAY_CNT(builtin))
        return NULL;
    *everyone = builtin[at].everyone;
    return builtin[at].text;
}

/* ---- reading ---- */

static int fail(char why[SHAPE_WHY_CAP], const char *what, struct base_span word)
{
    snprintf(why, SHAPE_WHY_CAP, "%s, not %.*s", what, (int)(word.len < 60 ? word.len : 60),
             (const char *)word.p);
    return -EINVAL;
}

static struct base_span next_word(struct base_span *rest)
{
    size_t n = 0;

    while (rest->len > 0 && rest->p[0] == ' ')
        *rest = base_span_of(rest->p + 1, rest->len - 1);
    while (n < rest->len && rest->p[n] != ' ')
        n++;
    struct base_span word = base_span_of(rest->p, n);
    *rest = base_span_of(rest->p + n, rest->len - n);
    return word;
}

static bool take_code(struct shape_rule *r, struct base_span word)
{
    uint16_t low = 0, high = 0;

    if (word.len != 3 || word.p[0] != '4')
        return false;
    for (size_t i = 0; i < 3; i++) {
        uint8_t c = word.p[i];
        bool any = c == 'x' || c == 'X';
        if (!any && (uint8_t)(c - '0') >= 10)
            return false;
        low = (uint16_t)(low * 10 + (any ? 0 : c - '0'));
        high = (uint16_t)(high * 10 + (any ? 9 : c - '0'));
    }
    r->code_min = low;
    r->code_max = high;
    return true;
}

/* "4.7.28", "4.x.x", "4.7.65*". */
static bool take_enhanced(struct shape_rule *r, struct base_span word)
{
    uint32_t dots = 0;
    uint8_t last = '.';

    if (word.len >= SHAPE_ENHANCED_CAP)
        return false;
    for (size_t i = 0; i < word.len; i++) {
        uint8_t c = word.p[i];
        if (c == '.' ? last == '.' || ++dots > 2 : (uint8_t)(c - '0') >= 10 && c != 'x' && c != '*')
            return false;
        last = c;
    }
    memcpy(r->enhanced, word.p, word.len);
    r->enhanced[word.len] = 0;
    return dots == 2 && last != '.';
}

/* "/pattern/" at the start of rest. */
static int take_pattern(struct shape_rule *r, struct base_span *rest, char why[SHAPE_WHY_CAP])
{
    uint8_t message[100];
    PCRE2_SIZE offset;
    size_t n = 1;
    int error;

    while (n < rest->len && rest->p[n] != '/')
        n += rest->p[n] == '\\' && n + 1 < rest->len ? 2 : 1;
    if (n >= rest->len)
        return fail(why, "the pattern has no '/' at its end", *rest);
    r->pattern = pcre2_compile(rest->p + 1, n - 1, PCRE2_CASELESS | PCRE2_NEVER_BACKSLASH_C, &error,
                               &offset, NULL);
    *rest = base_span_of(rest->p + n + 1, rest->len - n - 1);
    if (r->pattern != NULL)
        return 0;
    pcre2_get_error_message(error, message, sizeof(message));
    snprintf(why, SHAPE_WHY_CAP, "the pattern is wrong at its byte %zu: %s", (size_t)offset + 1,
             (const char *)message);
    return -EINVAL;
}

static bool has_prefix(struct base_span *word, const char *prefix)
{
    size_t len = strlen(prefix);

    if (word->len < len || memcmp(word->p, prefix, len) != 0)
        return false;
    *word = base_span_of(word->p + len, word->len - len);
    return true;
}

static bool take_connections(struct shape_rule *r, struct base_span value)
{
    r->actions |= SHAPE_CONNECTIONS;
    if (base_span_eq(value, base_span_str("half")))
        return true;
    for (size_t i = 0; i < value.len; i++) {
        if ((uint8_t)(value.p[i] - '0') >= 10 || i > 4)
            return false;
        r->connections = r->connections * 10 + (uint32_t)(value.p[i] - '0');
    }
    return r->connections > 0;
}

static int take_action(struct shape_rule *r, struct base_span word, char why[SHAPE_WHY_CAP])
{
    struct base_span value = word;
    bool good;

    if (base_span_eq(word, base_span_str("rate=half")) ||
        base_span_eq(word, base_span_str("retry"))) {
        r->actions |= word.p[1] == 'a' ? SHAPE_RATE : SHAPE_RETRY;
        return 0;
    }
    if (has_prefix(&value, "connections="))
        good = take_connections(r, value);
    else if (has_prefix(&value, "wait="))
        good = shape_time_parse(&r->wait_ns, value);
    else if (has_prefix(&value, "suspend="))
        good = shape_time_parse(&r->suspend_ns, value);
    else
        return fail(why,
                    "must be connections=N, connections=half, rate=half, wait=TIME, suspend=TIME "
                    "or retry, behind a code (4xx), an enhanced code (4.7.x) and a /pattern/",
                    word);
    return good ? 0 : fail(why, "has to be a number, half, or a time as 30s, 5m, 2h, 1d", word);
}

int shape_rule_parse(struct shape_rule *out, const char *text, char why[SHAPE_WHY_CAP])
{
    struct base_span rest = base_span_str(text), word;
    struct shape_rule r = {.code_min = 400, .code_max = 499, .text = text};
    bool conditions = false;
    int rc = rest.len < SHAPE_RULE_TEXT_CAP ? 0 : fail(why, "is longer than 199 bytes", rest);

    while (rc == 0) {
        while (rest.len > 0 && rest.p[0] == ' ')
            rest = base_span_of(rest.p + 1, rest.len - 1);
        if (rest.len == 0)
            break;
        if (rest.p[0] == '/' && r.pattern == NULL) {
            rc = take_pattern(&r, &rest, why);
            conditions = true;
            continue;
        }
        word = next_word(&rest);
        if ((uint8_t)(word.p[0] - '0') >= 10)
            rc = take_action(&r, word, why);
        else if (memchr(word.p, '.', word.len) != NULL ? !take_enhanced(&r, word)
                                                       : !take_code(&r, word))
            rc = fail(why, "must be a code as 421 or 4xx, or an enhanced one as 4.7.28 or 4.7.x",
                      word);
        else
            conditions = true;
    }
    if (rc == 0 && !conditions)
        rc = fail(why, "needs a code, an enhanced code or a /pattern/", base_span_str(text));
    if (rc == 0 && r.actions == 0 && r.wait_ns == 0 && r.suspend_ns == 0)
        rc = fail(why, "needs something to do", base_span_str(text));
    if (rc != 0)
        shape_rule_fini(&r);
    else
        *out = r;
    return rc;
}

void shape_rule_fini(struct shape_rule *r)
{
    pcre2_code_free(r->pattern);
    r->pattern = NULL;
}

/* ---- matching ---- */

static bool enhanced_fits(const char *want, const char *is)
{
    for (char before = '.'; *want != 0; before = *want++) {
        if (*want == '*') {
            while ((uint8_t)(*is - '0') < 10)
                is++;
        } else if (*want == 'x') {
            if ((uint8_t)(*is - '0') >= 10)
                return false;
            /* A lone x is a whole number, one of several a digit. */
            bool alone = want[1] != 'x' && before == '.';
            do
                is++;
            while (alone && (uint8_t)(*is - '0') < 10);
        } else if (*want != *is++) {
            return false;
        }
    }
    return *is == 0;
}

static bool words_fit(const void *pattern, struct base_span words)
{
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    bool fits = false;

    if (match != NULL && context != NULL) {
        pcre2_set_match_limit(context, MATCH_STEPS_MAX);
        pcre2_set_depth_limit(context, MATCH_DEPTH_MAX);
        fits = pcre2_match(pattern, words.p, words.len, 0, 0, match, context) >= 0;
    }
    pcre2_match_data_free(match);
    pcre2_match_context_free(context);
    return fits;
}

bool shape_rule_fits(const struct shape_rule *r, const struct shape_reply *reply)
{
    return reply->code >= r->code_min && reply->code <= r->code_max &&
           (r->enhanced[0] == 0 || enhanced_fits(r->enhanced, reply->enhanced)) &&
           (r->pattern == NULL || (reply->text.len > 0 && words_fit(r->pattern, reply->text)));
}
