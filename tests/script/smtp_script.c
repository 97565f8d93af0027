/*
 * Golden transcripts of the SMTP server's side: smtp_script [--must-fail] FILE...
 *
 * A file is cases of what a client says and what it must be told; SMTP.md has the language. Each
 * case runs three times: line by line with the replies compared after each, all of it at once, and
 * byte by byte. So what is said never depends on how the input was cut.
 */
#include "smtp_harness.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define STATEMENT_MAX 400 /* of a case */
#define TEXT_CAP      8192
#define ROOM          65536

enum way { BY_LINE, AT_ONCE, BY_BYTE, WAY_CNT };
static const char *const way_names[WAY_CNT] = {"by line", "at once", "by byte"};

enum verb { SAY, HEAR, IDLE, CLOSED, MESSAGE };

struct statement {
    enum verb verb;
    unsigned line;
    size_t len;
    uint8_t *text;
};

struct script {
    const char *file;
    char name[100]; /* of the case */
    unsigned line;  /* of it */
    struct smtp_server_settings settings;
    enum smtp_tls tls;
    bool normalize, auth_clear, xclient;
    uint8_t auth_mechanisms;
    struct statement statement[STATEMENT_MAX];
    size_t statement_cnt;
};

static const char *const tls_words[] = {"none", "offered", "required", "on"};

static void die(const struct script *s, unsigned line, const char *why)
{
    fprintf(stderr, "%s:%u: %s\n", s->file, line, why);
    exit(2);
}

/* ---- reading ---- */

/* Copies text with its escapes: \r \n \t \\ \xHH, and \N{...} for N times. Returns the length. */
static size_t unescape(const struct script *s, unsigned line, uint8_t *out, const char *in)
{
    struct base_buf b = {out, 0, TEXT_CAP};

    while (*in != 0) {
        uint8_t c = (uint8_t)*in++;
        unsigned long times = 1;
        if (c == '\\' && *in != 0) {
            char *end;
            char e = *in++;
            if (e == 'r' || e == 'n' || e == 't' || e == '\\') {
                c = (uint8_t)(e == 'r' ? '\r' : e == 'n' ? '\n' : e == 't' ? '\t' : '\\');
            } else if (e == 'x' && isxdigit((unsigned char)in[0]) &&
                       isxdigit((unsigned char)in[1])) {
                char hex[3] = {in[0], in[1], 0};
                c = (uint8_t)strtoul(hex, NULL, 16);
                in += 2;
            } else if (isdigit((unsigned char)e)) { /* \80{x} */
                times = strtoul(in - 1, &end, 10);
                if (end[0] != '{' || end[1] == 0 || end[2] != '}' || times > TEXT_CAP)
                    die(s, line, "bad repetition");
                c = (uint8_t)end[1];
                in = end + 3;
            } else {
                die(s, line, "bad escape");
            }
        }
        while (times-- > 0)
            if (base_buf_put(&b, &c, 1) != 0)
                die(s, line, "too long");
    }
    return b.len;
}

static void add(struct script *s, enum verb verb, unsigned line, const char *text, const char *end)
{
    static uint8_t bytes[TEXT_CAP + 2];
    size_t len = unescape(s, line, bytes, text);

    if (s->statement_cnt == STATEMENT_MAX)
        die(s, line, "too many statements in a case");
    memcpy(bytes + len, end, strlen(end));
    len += strlen(end);
    struct statement *t = &s->statement[s->statement_cnt++];
    *t = (struct statement){.verb = verb, .line = line, .len = len, .text = malloc(len + 1)};
    base_assert(t->text != NULL);
    memcpy(t->text, bytes, len);
}

static bool word_is(const char **p, const char *word)
{
    size_t len = strlen(word);

    if (strncmp(*p, word, len) != 0 || ((*p)[len] != 0 && (*p)[len] != ' '))
        return false;
    *p += len;
    while (**p == ' ')
        (*p)++;
    return true;
}

static void set(struct script *s, unsigned line, const char *p)
{
    struct {
        const char *word;
        uint32_t *value;
    } numbers[] = {
        {"recipients", &s->settings.recipient_max},
        {"mails", &s->settings.mail_max},
        {"errors", &s->settings.error_max},
        {"junk", &s->settings.junk_max},
        {"header", &s->settings.header_bytes_max},
        {"fields", &s->settings.header_field_max},
        {"line", &s->settings.line_max},
        {"hops", &s->settings.hop_max},
    };

    for (size_t i = 0; i < BASE_ARRAY_CNT(numbers); i++)
        if (word_is(&p, numbers[i].word)) {
            *numbers[i].value = (uint32_t)strtoul(p, NULL, 10);
            return;
        }
    if (word_is(&p, "size")) {
        s->settings.message_size_max = strtoul(p, NULL, 10);
    } else if (word_is(&p, "extensions")) {
        s->settings.extensions = 0;
        while (*p != 0)
            if (word_is(&p, "dsn"))
                s->settings.extensions |= SMTP_EXTENSION_DSN;
            else if (word_is(&p, "smtputf8"))
                s->settings.extensions |= SMTP_EXTENSION_SMTPUTF8;
            else if (word_is(&p, "limits"))
                s->settings.extensions |= SMTP_EXTENSION_LIMITS;
            else if (word_is(&p, "requiretls"))
                s->settings.extensions |= SMTP_EXTENSION_REQUIRETLS;
            else if (word_is(&p, "chunking"))
                s->settings.extensions |= SMTP_EXTENSION_CHUNKING;
            else
                die(s, line, "no such extension");
    } else if (word_is(&p, "normalize")) {
        s->normalize = true;
    } else if (word_is(&p, "auth_clear")) {
        s->auth_clear = true;
    } else if (word_is(&p, "xclient")) {
        s->xclient = true;
    } else if (word_is(&p, "auth")) {
        while (*p != 0)
            if (word_is(&p, "plain"))
                s->auth_mechanisms |= 1U << SMTP_SASL_PLAIN;
            else if (word_is(&p, "login"))
                s->auth_mechanisms |= 1U << SMTP_SASL_LOGIN;
            else if (word_is(&p, "external"))
                s->auth_mechanisms |= 1U << SMTP_SASL_EXTERNAL;
            else
                die(s, line, "no such mechanism");
    } else if (word_is(&p, "tls")) {
        size_t i = 0;
        while (i < BASE_ARRAY_CNT(tls_words) && strcmp(p, tls_words[i]) != 0)
            i++;
        if (i == BASE_ARRAY_CNT(tls_words))
            die(s, line, "no such level of TLS");
        s->tls = (enum smtp_tls)i;
    } else {
        die(s, line, "no such setting");
    }
}

static void begin_case(struct script *s, unsigned line, const char *name)
{
    for (size_t i = 0; i < s->statement_cnt; i++)
        free(s->statement[i].text);
    s->statement_cnt = 0;
    s->line = line;
    snprintf(s->name, sizeof(s->name), "%.*s", (int)sizeof(s->name) - 1, name);
    s->settings = (struct smtp_server_settings){
        .hostname = "mx.test",
        .message_size_max = 10000,
        .recipient_max = 100,
        .extensions = SMTP_EXTENSION_DSN | SMTP_EXTENSION_SMTPUTF8 | SMTP_EXTENSION_CHUNKING,
    };
    s->tls = SMTP_TLS_NONE;
    s->normalize = s->auth_clear = s->xclient = false;
    s->auth_mechanisms = 0;
}

static void take_line(struct script *s, unsigned line, const char *p)
{
    if (s->line == 0)
        die(s, line, "a case comes first");
    if (strncmp(p, "C: ", 3) == 0 || strcmp(p, "C:") == 0)
        add(s, SAY, line, p + 2 + (p[2] == ' '), "\r\n");
    else if (strncmp(p, "C| ", 3) == 0)
        add(s, SAY, line, p + 3, "");
    else if (strncmp(p, "S: ", 3) == 0)
        add(s, HEAR, line, p + 3, "\r\n");
    else if (word_is(&p, "set"))
        set(s, line, p);
    else if (word_is(&p, "message"))
        add(s, MESSAGE, line, p, "");
    else if (strcmp(p, "idle") == 0)
        add(s, IDLE, line, "", "");
    else if (strcmp(p, "closed") == 0)
        add(s, CLOSED, line, "", "");
    else
        die(s, line, "no such statement");
}

/* ---- running ---- */

struct run {
    const struct script *s;
    struct harness *h;
    enum way way;
    bool quiet;     /* of a case that must fail */
    size_t heard;   /* bytes of replies compared */
    size_t stored;  /* bytes of bodies compared */
    uint8_t *input; /* said, not fed yet */
    size_t input_len;
};

static bool failed(const struct run *r, unsigned line, const char *what, const uint8_t *got,
                   size_t got_len)
{
    if (!r->quiet) {
        printf("%s:%u: case %s, %s: %s", r->s->file, line, r->s->name, way_names[r->way], what);
        if (got != NULL)
            printf(", got: %.*s", (int)(got_len < 300 ? got_len : 300), (const char *)got);
        printf("\n");
    }
    return false;
}

static void feed(struct run *r)
{
    size_t step = r->way == BY_BYTE ? 1 : r->input_len;

    for (size_t at = 0; at < r->input_len; at += step)
        harness_feed(r->h, r->input + at, step);
    r->input_len = 0;
}

/* Compares what was stored next. */
static bool hear_message(struct run *r, const struct statement *t)
{
    const uint8_t *got = r->h->bodies.p + r->stored;
    size_t got_len = r->h->bodies.len - r->stored;

    if (got_len < t->len + 2 || memcmp(got + 1, t->text, t->len) != 0 || got[t->len + 1] != ']')
        return failed(r, t->line, "another message was stored", got, got_len);
    r->stored += t->len + 2;
    return true;
}

static bool run_statement(struct run *r, const struct statement *t)
{
    const uint8_t *got = r->h->out.p + r->heard;
    size_t got_len = r->h->out.len - r->heard;

    switch (t->verb) {
    case SAY:
        if (r->way == BY_LINE && got_len > 0)
            return failed(r, t->line, "a reply that was not expected", got, got_len);
        if (r->h->closed && r->way == BY_LINE)
            return failed(r, t->line, "the session is over", NULL, 0);
        memcpy(r->input + r->input_len, t->text, t->len);
        r->input_len += t->len;
        if (r->way == BY_LINE)
            feed(r);
        return true;
    case HEAR:
        if (got_len < t->len || memcmp(got, t->text, t->len) != 0)
            return failed(r, t->line, "another reply", got, got_len);
        r->heard += t->len;
        return true;
    case IDLE:
        smtp_server_timeout(&r->h->server, &r->h->out);
        harness_feed(r->h, "", 0);
        return true;
    case CLOSED:
        return r->h->closed || failed(r, t->line, "the session goes on", NULL, 0);
    case MESSAGE:
        return hear_message(r, t);
    }
    return true;
}

/* The statements from i that go together when not by line: all until time passes. */
static bool run_case(struct run *r)
{
    const struct script *s = r->s;
    bool closed = false;

    for (size_t i = 0; i < s->statement_cnt;) {
        size_t end = i + 1;
        if (r->way != BY_LINE) {
            for (end = i; end < s->statement_cnt && s->statement[end].verb != IDLE; end++)
                if (s->statement[end].verb == SAY && !run_statement(r, &s->statement[end]))
                    return false;
            feed(r);
            end += end < s->statement_cnt;
        }
        for (; i < end; i++) {
            closed = closed || s->statement[i].verb == CLOSED;
            if ((r->way == BY_LINE || s->statement[i].verb != SAY) &&
                !run_statement(r, &s->statement[i]))
                return false;
        }
    }
    if (r->heard != r->h->out.len)
        return failed(r, s->line, "more replies", r->h->out.p + r->heard, r->h->out.len - r->heard);
    if (r->stored != r->h->bodies.len)
        return failed(r, s->line, "more messages", r->h->bodies.p + r->stored,
                      r->h->bodies.len - r->stored);
    return closed == r->h->closed || failed(r, s->line, "the session is over", NULL, 0);
}

static bool run_script(const struct script *s, enum way way, bool quiet)
{
    struct run r = {.s = s, .way = way, .quiet = quiet, .input = malloc(ROOM)};

    base_assert(r.input != NULL);
    r.h = harness_open(&s->settings, way == BY_BYTE ? 1 : 100, ROOM);
    r.h->server.tls = (uint8_t)s->tls;
    r.h->server.normalize = s->normalize;
    r.h->server.auth_clear = s->auth_clear;
    r.h->server.auth_mechanisms = s->auth_mechanisms;
    r.h->server.xclient = s->xclient;
    bool fine = run_case(&r);
    harness_close(r.h);
    free(r.input);
    return fine;
}

/* Ends a case: runs it. Returns how many of its runs were not as they should be. */
static unsigned end_case(struct script *s, bool must_fail)
{
    unsigned bad = 0, failures = 0;

    if (s->line == 0)
        return 0;
    for (enum way way = BY_LINE; way < WAY_CNT; way++)
        failures += !run_script(s, way, must_fail);
    if (must_fail && failures != WAY_CNT) {
        printf("%s:%u: case %s: must fail each way, failed %u of %d\n", s->file, s->line, s->name,
               failures, WAY_CNT);
        bad = 1;
    } else if (!must_fail) {
        bad = failures;
    }
    return bad;
}

static unsigned run_file(const char *path, bool must_fail, unsigned *case_cnt)
{
    static struct script s;
    char text[TEXT_CAP];
    unsigned line = 0, bad = 0;
    FILE *f = fopen(path, "r");

    s.file = path;
    s.line = 0;
    if (f == NULL)
        die(&s, 0, "cannot be read");
    while (fgets(text, sizeof(text), f) != NULL) {
        const char *p = text;
        line++;
        text[strcspn(text, "\n")] = 0;
        if (text[0] == 0 || text[0] == '#')
            continue;
        if (word_is(&p, "case")) {
            bad += end_case(&s, must_fail);
            begin_case(&s, line, p);
            (*case_cnt)++;
        } else {
            take_line(&s, line, text);
        }
    }
    fclose(f);
    bad += end_case(&s, must_fail);
    begin_case(&s, 0, "");
    return bad;
}

int main(int argc, char **argv)
{
    bool must_fail = argc > 1 && strcmp(argv[1], "--must-fail") == 0;
    unsigned bad = 0, case_cnt = 0;

    for (int i = 1 + must_fail; i < argc; i++)
        bad += run_file(argv[i], must_fail, &case_cnt);
    printf("%u cases, %u failures\n", case_cnt, bad);
    return bad == 0 && case_cnt > 0 ? 0 : 1;
}
