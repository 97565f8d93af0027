/* A segment as words of a script, as bytes, and against what the stack sent. */
#include "script.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_MSS = 2, OPTION_WS = 3, OPTION_SACKOK = 4, OPTION_SACK = 5, OPTION_TS = 8 };

static const struct {
    char letter;
    uint8_t bit;
} flag_letters[] = {{'F', TCP_FLAG_FIN}, {'S', TCP_FLAG_SYN}, {'R', TCP_FLAG_RST},
                    {'P', TCP_FLAG_PSH}, {'A', TCP_FLAG_ACK}, {'U', 32},
                    {'E', 64},           {'C', 128}};

uint8_t script_byte(uint32_t relative)
{
    return (uint8_t)(relative * 7 + (relative >> 8) * 13 + 1);
}

/* Sums of products: 1+2*1460-3. */
bool script_number(const char *text, int64_t *out)
{
    int64_t sum = 0, product = 1;
    int sign = 1;
    const char *p = text;

    if (*p == '-') {
        sign = -1;
        p++;
    }
    for (;;) {
        char *end;
        if (!isdigit((unsigned char)*p))
            return false;
        product *= (int64_t)strtoull(p, &end, 0);
        p = end;
        if (*p == '*') {
            p++;
            continue;
        }
        sum += sign * product;
        product = 1;
        if (*p == '\0')
            break;
        if (*p != '+' && *p != '-')
            return false;
        sign = *p++ == '+' ? 1 : -1;
    }
    *out = sum;
    return true;
}

static void put_option(struct script_segment *g, uint8_t kind, const uint8_t *p, uint32_t len)
{
    if (g->option_len + len + 2 > sizeof(g->option))
        return;
    g->option[g->option_len++] = kind;
    g->option[g->option_len++] = (uint8_t)(len + 2);
    if (len > 0)
        memcpy(g->option + g->option_len, p, len);
    g->option_len += len;
}

static bool parse_flags(struct script_segment *g, const char *word)
{
    if (strcmp(word, "*") == 0) {
        g->any_flags = true;
        return true;
    }
    if (strcmp(word, "-") == 0)
        return true;
    for (; *word != '\0'; word++) {
        uint8_t bit = 0;
        for (size_t i = 0; i < BASE_ARRAY_CNT(flag_letters); i++)
            if (flag_letters[i].letter == *word)
                bit = flag_letters[i].bit;
        if (*word == 'p') /* expected not to be there */
            g->has_psh = true;
        else if (bit == 0)
            return false;
        g->flags |= bit;
        g->has_psh |= bit == TCP_FLAG_PSH;
    }
    return true;
}

/* hex digits, two a byte */
static bool parse_raw(struct script_segment *g, const char *text)
{
    for (; *text != '\0'; text += 2) {
        unsigned byte;
        if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]) ||
            sscanf(text, "%2x", &byte) != 1 || g->option_len == sizeof(g->option))
            return false;
        g->option[g->option_len++] = (uint8_t)byte;
    }
    return true;
}

/* from-to[,from-to...]: relative to what the side that gets it has sent */
static bool parse_sack(const struct script *s, struct script_segment *g, char *text, bool inject)
{
    uint8_t bytes[8 * SCRIPT_SACK_MAX];
    uint32_t base = inject ? s->at->iss : s->at->irs;
    char *save = NULL;

    for (char *b = strtok_r(text, ",", &save); b != NULL; b = strtok_r(NULL, ",", &save)) {
        char *dots = strstr(b, "..");
        int64_t from, to;
        if (dots == NULL || g->block_cnt == SCRIPT_SACK_MAX)
            return false;
        *dots = '\0';
        if (!script_number(b, &from) || !script_number(dots + 2, &to))
            return false;
        g->block[g->block_cnt].from = (uint32_t)from;
        g->block[g->block_cnt].to = (uint32_t)to;
        base_put_be32(bytes + 8 * g->block_cnt, base + (uint32_t)from);
        base_put_be32(bytes + 8 * g->block_cnt + 4, base + (uint32_t)to);
        g->block_cnt++;
    }
    put_option(g, OPTION_SACK, bytes, 8 * g->block_cnt);
    return true;
}

/* value/echo */
static bool parse_ts(const struct script *s, struct script_segment *g, char *text)
{
    char *slash = strchr(text, '/');
    uint8_t bytes[8];

    if (slash == NULL)
        return false;
    *slash++ = '\0';
    g->ts.any = strcmp(text, "*") == 0;
    g->ecr.any = strcmp(slash, "*") == 0;
    if (!g->ts.any && !script_number(text, &g->ts.value))
        return false;
    if (strcmp(slash, "last") == 0)
        g->ecr.value = s->at->ts_last;
    else if (!g->ecr.any && !script_number(slash, &g->ecr.value))
        return false;
    g->ecr.set = !g->ecr.any;
    base_put_be32(bytes, (uint32_t)g->ts.value);
    base_put_be32(bytes + 4, (uint32_t)g->ecr.value);
    put_option(g, OPTION_TS, bytes, 8);
    return true;
}

/* An option or a field that is more than a number; -1 when it is none of these. */
static int parse_special(const struct script *s, struct script_segment *g, const char *key,
                         char *value, bool inject)
{
    if (strcmp(key, "nop") == 0 || strcmp(key, "eol") == 0)
        return parse_raw(g, key[0] == 'n' ? "01" : "00");
    if (strcmp(key, "noflush") == 0 || strcmp(key, "one") == 0) {
        *(key[0] == 'n' ? &g->no_flush : &g->one) = true;
        return true;
    }
    if (value == NULL)
        return -1;
    if (strcmp(key, "raw") == 0)
        return parse_raw(g, value);
    if (strcmp(key, "fill") == 0) {
        g->fill = value[0];
        return value[0] != '\0' && value[1] == '\0';
    }
    if (strcmp(key, "data") == 0) {
        g->data = value;
        g->len = (struct script_field){.set = true, .value = (int64_t)strlen(value)};
        return true;
    }
    bool plain = strcmp(value, "-") == 0 || strcmp(value, "*") == 0;
    if (strcmp(key, "sack") == 0 && !plain) {
        g->sack.set = true;
        return parse_sack(s, g, value, inject);
    }
    if (strcmp(key, "ts") == 0 && !plain) {
        g->ts.set = true;
        return parse_ts(s, g, value);
    }
    return -1;
}

static struct script_field *field_at(struct script_segment *g, const char *key)
{
    const struct {
        const char *key;
        struct script_field *field;
    } table[] = {{"seq", &g->seq},       {"ack", &g->ack},   {"win", &g->win},   {"len", &g->len},
                 {"mss", &g->mss},       {"ws", &g->ws},     {"ts", &g->ts},     {"urg", &g->urg},
                 {"sackok", &g->sackok}, {"sack", &g->sack}, {"doff", &g->doff}, {"ecn", &g->ecn},
                 {"piece", &g->piece}};

    for (size_t i = 0; i < BASE_ARRAY_CNT(table); i++)
        if (strcmp(table[i].key, key) == 0)
            return table[i].field;
    return NULL;
}

static bool parse_field(struct script_segment *g, struct script_field *f, const char *key,
                        const char *value)
{
    f->set = true;
    if (value == NULL || strcmp(value, "*") == 0)
        f->any = true;
    else if (strcmp(value, "-") == 0)
        f->none = true;
    else if (!script_number(value, &f->value))
        return false;
    uint8_t bytes[2] = {(uint8_t)(f->value >> 8), (uint8_t)f->value};
    if (strcmp(key, "mss") == 0)
        put_option(g, OPTION_MSS, bytes, 2);
    else if (strcmp(key, "ws") == 0)
        put_option(g, OPTION_WS, bytes + 1, 1);
    else if (strcmp(key, "sackok") == 0)
        put_option(g, OPTION_SACKOK, NULL, 0);
    return true;
}

bool script_segment_parse(struct script *s, struct script_segment *out, char **word, uint32_t cnt,
                          bool inject)
{
    *out = (struct script_segment){0};
    if (cnt == 0 || !parse_flags(out, word[0]))
        return script_fail(s, "flags are letters of FSRPAUEC, - or *");
    for (uint32_t i = 1; i < cnt; i++) {
        char *key = word[i], *value = strpbrk(key, "=<>");
        char compare = '=';
        if (value != NULL) {
            compare = *value;
            *value++ = '\0';
            if (compare != '=' && *value++ != '=')
                return script_fail(s, "compare by =, <= or >=");
        }
        int done = parse_special(s, out, key, value, inject);
        if (done > 0)
            continue;
        struct script_field *f = done == 0 ? NULL : field_at(out, key);
        if (f == NULL || !parse_field(out, f, key, value))
            return script_fail(s, "cannot read the segment's %s", key);
        f->compare = compare;
    }
    return true;
}

uint32_t script_segment_write(struct script *s, const struct script_segment *seg, uint8_t *out)
{
    struct script_peer *p = s->at;
    uint32_t len = seg->len.set ? (uint32_t)seg->len.value : 0;
    uint32_t relative = seg->seq.set ? (uint32_t)seg->seq.value : p->next;
    uint32_t ack = seg->ack.set ? (uint32_t)seg->ack.value : p->sent_end;
    uint32_t option_len = (uint32_t)(tcp_min(seg->option_len, 40) + 3) / 4 * 4;

    memset(out, 0, 20U + option_len);
    base_put_be16(out, p->peer_port);
    base_put_be16(out + 2, p->local_port);
    base_put_be32(out + 4, p->irs + relative);
    if (seg->flags & TCP_FLAG_ACK || seg->ack.set)
        base_put_be32(out + 8, p->iss + ack);
    uint32_t doff = seg->doff.set ? (uint32_t)seg->doff.value : 5 + option_len / 4;
    out[12] = (uint8_t)(doff << 4);
    out[13] = seg->flags;
    base_put_be16(out + 14, seg->win.set ? (uint16_t)seg->win.value : 65535);
    base_put_be16(out + 18, (uint16_t)seg->urg.value);
    memcpy(out + 20, seg->option, tcp_min(seg->option_len, 40));
    for (uint32_t i = 0; i < len; i++) {
        uint8_t byte = script_byte(relative + ((seg->flags & TCP_FLAG_SYN) != 0) + i);
        if (seg->data != NULL)
            byte = (uint8_t)seg->data[i];
        else if (seg->fill != 0)
            byte = (uint8_t)seg->fill;
        out[20 + option_len + i] = byte;
    }
    if (!seg->seq.set || (seg->flags & TCP_FLAG_SYN && relative == 0))
        p->next = relative + len + ((seg->flags & TCP_FLAG_SYN) != 0) +
                  ((seg->flags & TCP_FLAG_FIN) != 0);
    return 20 + option_len + len;
}

/* The value of an option that was sent, or NULL. */
static const uint8_t *find_option(const struct lab_segment *g, uint8_t kind)
{
    for (uint32_t i = 0; i < g->option_len && g->option[i] != 0;) {
        if (g->option[i] == 1) {
            i++;
            continue;
        }
        if (g->option[i] == kind)
            return g->option + i;
        i += g->option[i + 1];
    }
    return NULL;
}

static bool same(const struct script_field *f, int64_t value)
{
    if (!f->set || f->any)
        return true;
    if (f->compare == '<')
        return value <= f->value;
    return f->compare == '>' ? value >= f->value : value == f->value;
}

static bool same_seq(const struct script_field *f, uint32_t value)
{
    int32_t off = (int32_t)(value - (uint32_t)f->value);

    if (!f->set || f->any)
        return true;
    if (f->compare == '<')
        return off <= 0;
    return f->compare == '>' ? off >= 0 : off == 0;
}

static bool same_option(const struct script_field *f, const uint8_t *option, uint32_t bytes)
{
    uint32_t value = 0;

    if (!f->set)
        return true;
    if (option == NULL || f->none)
        return option == NULL && f->none;
    for (uint32_t i = 0; i < bytes; i++)
        value = value << 8 | option[2 + i];
    return same(f, value);
}

static bool same_sack(const struct script *s, const struct script_segment *want,
                      const uint8_t *option)
{
    if (option == NULL || want->sack.none || want->sack.any)
        return same_option(&want->sack, option, 0);
    if (!want->sack.set)
        return true;
    if (option[1] != 2 + 8 * want->block_cnt)
        return false;
    for (uint32_t i = 0; i < want->block_cnt; i++)
        if (base_be32(option + 2 + 8 * i) - s->at->irs != want->block[i].from ||
            base_be32(option + 6 + 8 * i) - s->at->irs != want->block[i].to)
            return false;
    return true;
}

static bool same_payload(const struct script *s, const struct script_segment *want,
                         const struct lab_segment *g)
{
    const uint8_t *p = g->data;

    if (want->data != NULL)
        return memcmp(p, want->data, g->len) == 0;
    for (uint32_t i = 0; i < g->len; i++) {
        uint8_t byte = want->fill != 0 ? (uint8_t)want->fill : script_byte(g->seq - s->at->iss + i);
        if (p[i] != byte)
            return false;
    }
    return true;
}

bool script_segment_match(const struct script *s, const struct script_segment *want,
                          const struct lab_segment *seg, char why[SCRIPT_TEXT_CAP])
{
    const struct script_peer *p = s->at;
    uint8_t mask = want->has_psh ? 0xff : (uint8_t)~TCP_FLAG_PSH;
    const uint8_t *ts = find_option(seg, OPTION_TS);
    const char *what = NULL;

    if (seg->peer_port != p->peer_port || seg->local_port != p->local_port)
        what = "ports";
    else if (!want->any_flags && ((seg->flags ^ want->flags) & mask) != 0)
        what = "flags";
    else if (!same_seq(&want->seq, seg->seq - p->iss))
        what = "seq";
    else if (!same_seq(&want->ack, seg->ack - p->irs))
        what = "ack";
    else if (!same(&want->win, seg->window))
        what = "win";
    else if (want->len.set ? !same(&want->len, seg->len) : seg->len != 0)
        what = "len";
    else if (!same(&want->ecn, seg->ecn))
        what = "ecn";
    else if (!same_option(&want->mss, find_option(seg, OPTION_MSS), 2))
        what = "mss";
    else if (!same_option(&want->ws, find_option(seg, OPTION_WS), 1))
        what = "ws";
    else if (!same_option(&want->sackok, find_option(seg, OPTION_SACKOK), 0))
        what = "sackok";
    else if (!same_option(&want->ts, ts, 4))
        what = "ts";
    else if (want->ecr.set && (ts == NULL || base_be32(ts + 6) != (uint32_t)want->ecr.value))
        what = "ts echo";
    else if (!same_sack(s, want, find_option(seg, OPTION_SACK)))
        what = "sack";
    else if (!same_payload(s, want, seg))
        what = "payload";
    snprintf(why, SCRIPT_TEXT_CAP, "%s", what != NULL ? what : "");
    return what == NULL;
}

static void add_options(const struct script *s, const struct lab_segment *g, char *out, size_t cap)
{
    size_t n = 0;

    for (uint32_t i = 0; i < g->option_len && g->option[i] != 0 && n < cap;) {
        const uint8_t *o = g->option + i;
        if (o[0] == 1) {
            i++;
            continue;
        }
        if (o[0] == OPTION_MSS)
            n += (size_t)snprintf(out + n, cap - n, " mss=%u", base_be16(o + 2));
        else if (o[0] == OPTION_WS)
            n += (size_t)snprintf(out + n, cap - n, " ws=%u", o[2]);
        else if (o[0] == OPTION_SACKOK)
            n += (size_t)snprintf(out + n, cap - n, " sackok");
        else if (o[0] == OPTION_TS)
            n +=
                (size_t)snprintf(out + n, cap - n, " ts=%u/%u", base_be32(o + 2), base_be32(o + 6));
        else if (o[0] == OPTION_SACK)
            for (uint32_t b = 2; b + 8 <= o[1] && n < cap; b += 8)
                n += (size_t)snprintf(out + n, cap - n, "%s%d..%d", b == 2 ? " sack=" : ",",
                                      (int)(base_be32(o + b) - s->at->irs),
                                      (int)(base_be32(o + b + 4) - s->at->irs));
        i += o[1];
    }
}

void script_segment_text(const struct script *s, const struct lab_segment *seg,
                         char out[SCRIPT_TEXT_CAP])
{
    char flags[9], ports[32] = "", options[256] = "";
    uint32_t n = 0;

    for (size_t i = 0; i < BASE_ARRAY_CNT(flag_letters); i++)
        if (seg->flags & flag_letters[i].bit)
            flags[n++] = flag_letters[i].letter;
    flags[n] = '\0';
    if (seg->peer_port != s->at->peer_port || seg->local_port != s->at->local_port)
        snprintf(ports, sizeof(ports), " (ports %u to %u)", seg->local_port, seg->peer_port);
    add_options(s, seg, options, sizeof(options));
    snprintf(out, SCRIPT_TEXT_CAP, "%s seq=%d ack=%d win=%u len=%u%s%s", flags,
             (int)(seg->seq - s->at->iss), (int)(seg->ack - s->at->irs), seg->window, seg->len,
             options, ports);
}
