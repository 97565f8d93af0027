/* Atoms to values, by type, and their checks. */
#include "conf_internal.h"

#include "shape.h"

#include <arpa/inet.h>
#include <ctype.h>

struct unit {
    enum conf_type type;
    const char *name;
    uint64_t factor;
};

#define NS_S            UINT64_C(1000000000)
#define CONF_WEIGHT_MAX 1000

/* The largest first. */
static const struct unit units[] = {
    {CONF_TYPE_SIZE, "T", UINT64_C(1) << 40},
    {CONF_TYPE_SIZE, "G", UINT64_C(1) << 30},
    {CONF_TYPE_SIZE, "M", UINT64_C(1) << 20},
    {CONF_TYPE_SIZE, "k", UINT64_C(1) << 10},
    {CONF_TYPE_SIZE, "", 1},
    {CONF_TYPE_DURATION, "w", 7 * 86400 * NS_S},
    {CONF_TYPE_DURATION, "d", 86400 * NS_S},
    {CONF_TYPE_DURATION, "h", 3600 * NS_S},
    {CONF_TYPE_DURATION, "m", 60 * NS_S},
    {CONF_TYPE_DURATION, "s", NS_S},
    {CONF_TYPE_DURATION, "ms", NS_S / 1000},
    {CONF_TYPE_NUMBER, "", 1},
};

/* Digits at the start of text; returns what follows them, or NULL when there are none or the value
 * is over max. */
static const char *digits(const char *text, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;

    if (!isdigit((uint8_t)*text))
        return NULL;
    for (; isdigit((uint8_t)*text); text++)
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*text - '0'), &v))
            return NULL;
    *out = v;
    return v <= max ? text : NULL;
}

void conf_value_format(char out[32], enum conf_type type, uint64_t v)
{
    for (size_t i = 0; i < BASE_ARRAY_CNT(units); i++)
        if (units[i].type == type && v % units[i].factor == 0 && (v > 0 || !units[i].name[0])) {
            snprintf(out, 32, "%llu%s", (unsigned long long)(v / units[i].factor), units[i].name);
            return;
        }
    snprintf(out, 32, "0");
}

static const char *set_number(const struct conf_setting *s, uint64_t *out, const char *text,
                              char why[CONF_WHY_CAP])
{
    char min[32], max[32];
    uint64_t v = 0;
    const char *unit = digits(text, UINT64_MAX, &v);
    bool fits = unit != NULL, known = fits && v == 0 && *unit == 0;

    *out = 0; /* a refused value collides with nothing */
    for (size_t i = 0; i < BASE_ARRAY_CNT(units) && unit != NULL && !known; i++)
        if (units[i].type == s->type && strcmp(units[i].name, unit) == 0) {
            known = true;
            fits = !__builtin_mul_overflow(v, units[i].factor, &v);
        }
    if (!known && (unit != NULL || !isdigit((uint8_t)*text))) {
        const char *form = s->type == CONF_TYPE_SIZE ? "a size: digits with k, M, G, T or no unit"
                           : s->type == CONF_TYPE_DURATION
                               ? "a duration: digits with ms, s, m, h, d or w"
                               : "a number: digits";
        snprintf(why, CONF_WHY_CAP, "must be %s, not %.64s", form, text);
        return why;
    }
    if (fits && v >= s->min && v <= s->max) {
        *out = v;
        return NULL;
    }
    conf_value_format(min, s->type, s->min);
    conf_value_format(max, s->type, s->max);
    snprintf(why, CONF_WHY_CAP, "must be %s to %s, not %.64s", min, max, text);
    return why;
}

static const char *set_weight(int64_t *out, const char *text, char why[CONF_WHY_CAP])
{
    uint64_t v = 0;
    bool negative = *text == '-';
    const char *end = digits(text + negative, CONF_WEIGHT_MAX, &v);

    *out = 0;
    if (end == NULL || *end != 0) {
        snprintf(why, CONF_WHY_CAP, "must be a number, -%d to %d, not %.64s", CONF_WEIGHT_MAX,
                 CONF_WEIGHT_MAX, text);
        return why;
    }
    *out = negative ? -(int64_t)v : (int64_t)v;
    return NULL;
}

/* Finds text among words, which blanks part. Returns its place, or -1 and why. */
static int find_word(const char *words, const char *text, char why[CONF_WHY_CAP])
{
    char list[128], near_text[CONF_WHY_CAP], *rest = list;
    struct conf_near near = {.text = text};
    int i = 0;

    snprintf(list, sizeof(list), "%s", words);
    for (char *word; (word = strsep(&rest, " ")) != NULL; i++) {
        if (strcmp(word, text) == 0)
            return i;
        conf_near_try(&near, word);
    }
    snprintf(why, CONF_WHY_CAP, "must be one of: %s, not %.64s%.64s", words, text,
             conf_near_text(&near, near_text));
    return -1;
}

bool conf_prefix_parse(struct conf_prefix *out, const char *text)
{
    char copy[INET6_ADDRSTRLEN];
    size_t len = strcspn(text, "/");
    uint64_t bits = 0;

    if (len >= sizeof(copy))
        return false;
    memcpy(copy, text, len);
    copy[len] = 0;
    *out = (struct conf_prefix){0};
    out->max = inet_pton(AF_INET, copy, out->b) == 1 ? 32 : 128;
    if (out->max == 128 && inet_pton(AF_INET6, copy, out->b) != 1)
        return false;
    out->len = out->max;
    if (text[len] == 0)
        return true;
    const char *end = digits(text + len + 1, out->max, &bits);
    out->len = (unsigned)bits;
    return end != NULL && *end == 0;
}

static bool has_host_bits(const struct conf_prefix *p)
{
    for (unsigned bit = p->len; bit < p->max; bit++)
        if (p->b[bit / 8] & 0x80 >> bit % 8)
            return true;
    return false;
}

static bool is_endpoint(const char *text)
{
    char host[INET6_ADDRSTRLEN + 2];
    struct conf_prefix p;
    uint64_t port = 0;
    const char *colon = strrchr(text, ':');

    if (colon == NULL || (size_t)(colon - text) >= sizeof(host) || strchr(text, '/') != NULL)
        return false;
    size_t len = (size_t)(colon - text);
    memcpy(host, text, len);
    host[len] = 0;
    bool bracketed = len >= 2 && host[0] == '[' && host[len - 1] == ']';
    host[bracketed ? len - 1 : len] = 0;
    const char *end = digits(colon + 1, 65535, &port);
    return conf_prefix_parse(&p, host + bracketed) && bracketed == (p.max == 128) && end != NULL &&
           *end == 0 && port > 0;
}

bool conf_is_domain(const char *text)
{
    size_t label = 0, len = strlen(text);

    for (size_t i = 0; i <= len; i++) {
        if (text[i] == '.' || text[i] == 0) {
            if (label == 0 || label > 63 || text[i - 1] == '-')
                return false;
            label = 0;
        } else if (isalnum((uint8_t)text[i]) || (text[i] == '-' && label > 0)) {
            label++;
        } else {
            return false;
        }
    }
    return len <= 253;
}

const char *conf_value_check_name(const struct conf_block *b, const char *name)
{
    if (strcmp(b->name, "route") == 0)
        return conf_is_domain(name[0] == '.' ? name + 1 : name)
                   ? NULL
                   : "the name must be a domain, .domain for all below it, or default";
    if (strcmp(b->name, "destination") == 0)
        return conf_is_domain(name + (name[0] == '.')) ? NULL
                                                       : "the name must be a domain, or .domain";
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    return len > 0 && len < 32 && name[len] == 0 ? NULL
                                                 : "the name must be 1 to 31 letters, digits and _";
}

const char *conf_map(const char *item, enum conf_map_form usual, enum conf_map_form *form)
{
    static const struct {
        const char *prefix;
        enum conf_map_form form;
    } forms[] = {{"texthash:", CONF_MAP_TEXTHASH},
                 {"pcre:", CONF_MAP_PCRE},
                 {"regexp:", CONF_MAP_PCRE},
                 {"accounts:", CONF_MAP_ACCOUNTS}};

    *form = usual;
    for (size_t i = 0; i < BASE_ARRAY_CNT(forms); i++)
        if (strncmp(item, forms[i].prefix, strlen(forms[i].prefix)) == 0) {
            *form = forms[i].form;
            item += strlen(forms[i].prefix);
            break;
        }
    return item[0] == '/' ? item : NULL;
}

/* A name whose last label is a number is an address that was mistyped. */
static bool is_host_name(const char *text)
{
    const char *dot = strrchr(text, '.');
    const char *last = dot != NULL ? dot + 1 : text;

    return conf_is_domain(text) && strspn(last, "0123456789") != strlen(last);
}

/* Takes a word off the front of text. */
static bool take_word(const char **text, const char *word)
{
    size_t len = strlen(word);

    if (strncmp(*text, word, len) != 0)
        return false;
    *text += len;
    return true;
}

/* Blanks would make two words of it in the log. */
static bool path_parse(struct conf_host *out, const char *path)
{
    size_t len = strlen(path);

    if (path[0] != '/' || len > CONF_HOST_PATH_MAX || path[strcspn(path, " \t")] != 0)
        return false;
    memcpy(out->name, path, len + 1);
    out->path = out->exact = true;
    return true;
}

static bool inet_parse(struct conf_host *out, const char *text)
{
    const char *end = strchr(text, ']'), *colon;
    bool bracketed = text[0] == '[';
    struct conf_prefix p;
    uint64_t port = 0;

    if (bracketed && end == NULL)
        return false;
    colon = bracketed ? end + 1 : text + strcspn(text, ":");
    const char *from = text + bracketed;
    size_t len = (size_t)((bracketed ? end : colon) - from);
    if (len == 0 || len >= sizeof(out->name) || memchr(from, '/', len) != NULL)
        return false;
    if (*colon != 0) {
        const char *rest = *colon == ':' ? digits(colon + 1, 65535, &port) : NULL;
        if (rest == NULL || *rest != 0 || port == 0)
            return false;
    }
    for (size_t i = 0; i < len; i++)
        out->name[i] = (char)tolower((uint8_t)from[i]);
    out->name[len] = 0;
    out->address = conf_prefix_parse(&p, out->name);
    out->exact = bracketed || out->address;
    out->port = (uint16_t)port;
    return out->address || is_host_name(out->name);
}

bool conf_host_parse(struct conf_host *out, const char *text)
{
    *out = (struct conf_host){.lmtp = take_word(&text, "lmtp:")};
    if (take_word(&text, "unix:"))
        return path_parse(out, text);
    (void)take_word(&text, "inet:");
    return inet_parse(out, text);
}

bool conf_route_is_lmtp(const struct conf_route *r)
{
    struct conf_host host;

    if (r->via != CONF_VIA_AUTO || r->host.cnt == 0)
        return r->via == CONF_VIA_LMTP;
    for (uint32_t i = 0; i < r->host.cnt; i++)
        if (!conf_host_parse(&host, r->host.item[i]) || !host.lmtp)
            return false;
    return true;
}

/* An address with or without a port. */
static bool is_server(const char *text)
{
    struct conf_prefix p;

    return is_endpoint(text) || (conf_prefix_parse(&p, text) && strchr(text, '/') == NULL);
}

/* "zone=" and a server. */
static bool is_stub(const char *text)
{
    char zone[256];
    const char *equals = strchr(text, '=');

    if (equals == NULL || (size_t)(equals - text) >= sizeof(zone))
        return false;
    snprintf(zone, sizeof(zone), "%.*s", (int)(equals - text), text);
    return conf_is_domain(zone) && is_server(equals + 1);
}

/* Checks one atom of a type that stays text. Returns what it should be, or NULL. */
static const char *check_text(enum conf_type type, const char *text)
{
    struct conf_prefix p;
    struct conf_octets octets;
    enum conf_map_form form;

    switch (type) {
    case CONF_TYPE_PATH:
    case CONF_TYPE_PATHS:
        return text[0] == '/' ? NULL : "an absolute path";
    case CONF_TYPE_ADDRESS:
        return conf_prefix_parse(&p, text) && strchr(text, '/') == NULL ? NULL : "an IP address";
    case CONF_TYPE_ADDRESSES:
        return conf_prefix_parse(&p, text) && strchr(text, '/') != NULL ? NULL : "address/length";
    case CONF_TYPE_NETWORKS:
        return !conf_prefix_parse(&p, text) ? "network/length"
               : has_host_bits(&p)          ? "network/length with no bit set behind the length"
                                            : NULL;
    case CONF_TYPE_DOMAIN:
        return conf_is_domain(text) ? NULL : "a domain";
    case CONF_TYPE_MAPS:
        return conf_map(text, CONF_MAP_TEXTHASH, &form) != NULL
                   ? NULL
                   : "/path, texthash:/path, pcre:/path or accounts:/path";
    case CONF_TYPE_DOMAINS:
        return conf_is_domain(text[0] == '.' ? text + 1 : text)
                   ? NULL
                   : "a domain, or .domain for all below it";
    case CONF_TYPE_SERVERS:
        return is_server(text) ? NULL : "an IP address, or address:port";
    case CONF_TYPE_HOSTS: {
        struct conf_host host;
        if (conf_host_parse(&host, text))
            return NULL;
        return strncmp(text, "unix:", 5) == 0 || strncmp(text, "lmtp:unix:", 10) == 0
                   ? "unix: and an absolute path of at most 107 bytes without blanks"
                   : "address, name or [name], each with :port or without";
    }
    case CONF_TYPE_REPLIES: {
        struct conf_reply reply;
        return conf_reply_parse(&reply, text) ? NULL
                                              : "a reply: code, enhanced code, words (\"421 "
                                                "4.7.28\", \"5.7.1 blocked using\")";
    }
    case CONF_TYPE_RATE: {
        uint64_t gap_ns;
        return shape_rate_parse(&gap_ns, text) ? NULL : "a rate: 20/s, 100/m, 5000/h, or 0";
    }
    case CONF_TYPE_PATTERNS:
        return shape_host_check(text) ? NULL : "a host name with * in it, or without";
    case CONF_TYPE_STUBS:
        return is_stub(text) ? NULL : "\"zone=address\" or \"zone=address:port\"";
    case CONF_TYPE_ANSWERS:
        return conf_octets_parse(&octets, text)
                   ? NULL
                   : "an IPv4 address, with numbers and ranges in brackets: 127.0.0.[2..11;14]";
    default:
        return NULL;
    }
}

const char *conf_value_lower(struct conf_arena *a, const char *text)
{
    char copy[256]; /* a domain, with a dot before it, is shorter */
    size_t len = 0;

    for (; text[len] != 0 && len < sizeof(copy); len++)
        copy[len] = (char)tolower((uint8_t)text[len]);
    return conf_arena_text(a, base_span_of(copy, len));
}

bool conf_value_is_list(enum conf_type type)
{
    return type == CONF_TYPE_LIST || type == CONF_TYPE_ADDRESSES || type == CONF_TYPE_NETWORKS ||
           type == CONF_TYPE_DOMAINS || type == CONF_TYPE_MAPS || type == CONF_TYPE_SERVERS ||
           type == CONF_TYPE_STUBS || type == CONF_TYPE_ANSWERS || type == CONF_TYPE_PATHS ||
           type == CONF_TYPE_HOSTS || type == CONF_TYPE_REPLIES || type == CONF_TYPE_PATTERNS;
}

static const char *set_texts(const struct conf_setting *s, void *field, const struct conf_value *v,
                             struct conf_arena *a, char why[CONF_WHY_CAP])
{
    bool list = conf_value_is_list(s->type),
         fold = s->type == CONF_TYPE_DOMAIN || s->type == CONF_TYPE_DOMAINS;
    const char **item = conf_arena_take(a, (v->cnt + 1) * sizeof(*item));

    if (item == NULL)
        return "out of memory";
    for (uint32_t i = 0; i < v->cnt; i++) {
        const char *form = check_text(s->type, v->item[i]);
        if (v->item[i][0] == 0)
            return "must not be empty";
        if (form != NULL) {
            snprintf(why, CONF_WHY_CAP, "must be %s, not %.64s", form, v->item[i]);
            return why;
        }
        item[i] = fold ? conf_value_lower(a, v->item[i]) : v->item[i];
    }
    if (list)
        *(struct conf_list *)field = (struct conf_list){item, v->cnt};
    else
        *(const char **)field = v->cnt > 0 ? item[0] : NULL;
    return NULL;
}

const char *conf_value_set(const struct conf_setting *s, void *base, const struct conf_value *v,
                           struct conf_arena *a, char why[CONF_WHY_CAP])
{
    void *field = (char *)base + s->offset;
    bool none = v->list ? v->cnt == 0 : v->item[0][0] == 0;

    if (v->list && !conf_value_is_list(s->type))
        return "takes one value, not a list";
    if (none)
        return s->default_text == NULL || s->default_text[0] != 0
                   ? "must not be empty"
                   : set_texts(s, field, &(struct conf_value){0}, a, why);
    if (s->type == CONF_TYPE_NUMBER || s->type == CONF_TYPE_SIZE || s->type == CONF_TYPE_DURATION)
        return set_number(s, field, v->item[0], why);
    if (s->type == CONF_TYPE_WEIGHT)
        return set_weight(field, v->item[0], why);
    if (s->type != CONF_TYPE_ENUM && s->type != CONF_TYPE_BOOL)
        return set_texts(s, field, v, a, why);
    int word = find_word(s->type == CONF_TYPE_BOOL ? "no yes" : s->words, v->item[0], why);
    if (word < 0)
        return why;
    if (s->type == CONF_TYPE_BOOL)
        *(bool *)field = word == 1;
    else
        *(uint64_t *)field = (uint64_t)word;
    return NULL;
}

void conf_value_default(const struct conf_setting *s, void *base, struct conf_arena *a)
{
    char why[CONF_WHY_CAP];
    const char *text = s->default_text;
    struct conf_value v = {.item = &text, .cnt = 1};

    if (text == NULL)
        return;
    const char *wrong = conf_value_set(s, base, &v, a, why);
    base_assert(wrong == NULL || a->failed);
}
