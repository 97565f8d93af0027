#include "auth_passwd_file.h"
#include "smtp_base64.h"
#include "smtp_params.h"
#include "smtp_saslprep.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <crypt.h>
#include <openssl/crypto.h>

#define ACCOUNT_MAX    4000000
#define ITERATIONS_MAX 10000000

struct auth_passwd_table {
    struct auth_passwd_account *accounts; /* in the order of logins */
    uint32_t cnt, cap;
    uint32_t scram_cnt;
    struct smtp_sasl_verifier *verifiers; /* as many as accounts at most */
    const struct auth_passwd_account **scram;
    char *text; /* a copy of the file, cut up; all strings point into it */
    size_t text_len;
};

struct reader {
    struct auth_passwd_table *table;
    const char *name;
    uint32_t line;
    uint32_t weak_cnt, weak_line;
    char *why;
};

__attribute__((format(printf, 2, 3))) static int bad(struct reader *r, const char *format, ...)
{
    char text[160];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    snprintf(r->why, AUTH_PASSWD_WHY_CAP, "%.64s:%u: %.150s", r->name, r->line, text);
    return -EINVAL;
}

/* ---- order of logins ---- */

static uint8_t lower(uint8_t c)
{
    return (uint8_t)(c - 'A') < 26 ? (uint8_t)(c | 0x20) : c;
}

static int compare_logins(struct base_span a, struct base_span b)
{
    size_t n = a.len < b.len ? a.len : b.len;

    for (size_t i = 0; i < n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return lower(a.p[i]) < lower(b.p[i]) ? -1 : 1;
    return (a.len > b.len) - (a.len < b.len);
}

static int compare_accounts(const void *a, const void *b)
{
    const struct auth_passwd_account *x = a, *y = b;

    return compare_logins(base_span_str(x->login), base_span_str(y->login));
}

/* ---- schemes ---- */

/* Takes the text before the separator (0: all) off the front; false: there is none. */
static bool take(struct base_span *rest, char separator, struct base_span *part)
{
    const uint8_t *end = rest->len > 0 ? memchr(rest->p, separator, rest->len) : NULL;

    if (separator != 0 && end == NULL)
        return false;
    *part = base_span_of(rest->p, separator != 0 ? (size_t)(end - rest->p) : rest->len);
    size_t used = part->len + (separator != 0);
    *rest = base_span_of(rest->p + used, rest->len - used);
    return true;
}

static bool decode_key(struct base_span text, uint8_t key[32])
{
    uint8_t room[36];
    struct base_buf b = {room, 0, sizeof(room)};

    if (smtp_base64_decode(&b, text) != 0 || b.len != 32)
        return false;
    memcpy(key, room, 32);
    return true;
}

static bool read_iterations(struct base_span text, uint32_t *out)
{
    uint64_t v = 0;

    for (size_t i = 0; i < text.len && v <= ITERATIONS_MAX; i++) {
        if ((uint8_t)(text.p[i] - '0') > 9)
            return false;
        v = v * 10 + (uint8_t)(text.p[i] - '0');
    }
    *out = (uint32_t)v;
    return v > 0 && v <= ITERATIONS_MAX;
}

/* Dovecot: iterations,salt,stored,server. RFC 5803: iterations:salt$stored:server. */
static bool read_verifier(struct base_span text, struct smtp_sasl_verifier *v)
{
    bool dovecot = text.len > 0 && memchr(text.p, ',', text.len) != NULL;
    struct base_span iterations, salt, stored, server;
    uint8_t room[SMTP_SASL_SALT_MAX];
    struct base_buf b = {room, 0, sizeof(room)};

    if (!take(&text, dovecot ? ',' : ':', &iterations) ||
        !take(&text, dovecot ? ',' : '$', &salt) || !take(&text, dovecot ? ',' : ':', &stored) ||
        !take(&text, 0, &server))
        return false;
    if (!read_iterations(iterations, &v->iterations) || smtp_base64_decode(&b, salt) != 0 ||
        b.len == 0 || !decode_key(stored, v->stored_key) || !decode_key(server, v->server_key))
        return false;
    v->salt_len = (uint8_t)b.len;
    memcpy(v->salt, room, b.len);
    return true;
}

static bool is_crypt(struct base_span scheme)
{
    static const char *const names[] = {"CRYPT",     "SHA512-CRYPT", "SHA256-CRYPT",
                                        "BLF-CRYPT", "MD5-CRYPT",    "DES-CRYPT"};

    for (size_t i = 0; i < BASE_ARRAY_CNT(names); i++)
        if (base_span_caseeq(scheme, base_span_str(names[i])))
            return true;
    return scheme.len == 0;
}

static int read_crypt(struct reader *r, struct auth_passwd_account *a, const char *hash)
{
    if (strlen(hash) >= AUTH_PASSWD_HASH_MAX)
        return bad(r, "the hash is longer than %d bytes", AUTH_PASSWD_HASH_MAX - 1);
    switch (crypt_checksalt(hash)) {
    case CRYPT_SALT_OK:
        break;
    case CRYPT_SALT_METHOD_LEGACY:
    case CRYPT_SALT_TOO_CHEAP:
        if (r->weak_cnt++ == 0)
            r->weak_line = r->line;
        break;
    default:
        return bad(r, "crypt(3) does not know this hash");
    }
    a->hash = hash;
    return 0;
}

/* "{SCHEME}hash"; the text ends with a NUL. */
static int read_password(struct reader *r, struct auth_passwd_account *a, char *text)
{
    struct auth_passwd_table *t = r->table;
    struct base_span scheme = base_span_of(NULL, 0);
    char *end = text[0] == '{' ? strchr(text, '}') : NULL;

    if (text[0] == '{' && end == NULL)
        return bad(r, "the scheme has no }");
    if (end != NULL) {
        scheme = base_span_of(text + 1, (size_t)(end - text) - 1);
        text = end + 1;
    }
    if (scheme.len == 0 && strncmp(text, "SCRAM-SHA-256$", 14) == 0) {
        scheme = base_span_of(text, 13);
        text += 14;
    }
    if (is_crypt(scheme))
        return read_crypt(r, a, text);
    if (!base_span_caseeq(scheme, base_span_str("SCRAM-SHA-256")))
        return bad(r,
                   "scheme %.*s is not taken: make a hash for crypt(3), such as {SHA512-CRYPT}, "
                   "or {SCRAM-SHA-256}",
                   (int)(scheme.len < 24 ? scheme.len : 24), (const char *)scheme.p);
    struct smtp_sasl_verifier *v = &t->verifiers[t->scram_cnt];
    if (!read_verifier(base_span_str(text), v))
        return bad(r, "no SCRAM-SHA-256 verifier: iterations,salt,stored key,server key");
    t->scram_cnt++;
    a->verifier = v;
    return 0;
}

/* Extra fields of Dovecot's that narrow who may log in must not be passed over in silence. */
static int read_extra(struct reader *r, struct auth_passwd_account *a, char *extra)
{
    static const char *const refused[] = {"allow_nets", "allow_real_nets", "proxy", "pass",
                                          "master"};

    for (char *save = NULL, *word = strtok_r(extra, " \t", &save); word != NULL;
         word = strtok_r(NULL, " \t", &save)) {
        size_t len = strcspn(word, "=");
        if (len == 7 && memcmp(word, "nologin", 7) == 0)
            a->nologin = true;
        for (size_t i = 0; i < BASE_ARRAY_CNT(refused); i++)
            if (len == strlen(refused[i]) && memcmp(word, refused[i], len) == 0)
                return bad(r, "the field %s is not supported", refused[i]);
    }
    return 0;
}

static int read_line(struct reader *r, char *line)
{
    struct auth_passwd_table *t = r->table;
    struct auth_passwd_account a = {.login = line};
    char *password = strpbrk(line, ":|"), prepared[SMTP_SASL_LOGIN_MAX + 1];
    size_t prepared_len;

    if (password == NULL)
        return bad(r, "neither login:password nor login|password");
    char separator = *password;
    *password++ = 0;
    char *more = strchr(password, separator);
    if (more != NULL)
        *more++ = 0;
    size_t len = strlen(line);
    if (len == 0 || len > SMTP_SASL_LOGIN_MAX || !smtp_utf8_valid(base_span_of(line, len)) ||
        strpbrk(line, " \t") != NULL)
        return bad(r, "no login: text without blanks, 1 to %d bytes", SMTP_SASL_LOGIN_MAX);
    if (smtp_saslprep(base_span_of(line, len), prepared, sizeof(prepared), &prepared_len) &&
        strcmp(line, prepared) != 0)
        return bad(r, "the login has to be in the form that clients' names get (SASLprep): %.255s",
                   prepared);
    int error = read_password(r, &a, password);
    /* uid:gid:gecos:home:shell:extra, of which the last may have colons. */
    for (int i = 0; i < 5 && more != NULL && separator == ':'; i++) {
        more = strchr(more, ':');
        more = more != NULL ? more + 1 : NULL;
    }
    if (error == 0 && more != NULL && separator == ':')
        error = read_extra(r, &a, more);
    if (error == 0)
        t->accounts[t->cnt++] = a;
    return error;
}

static int read_lines(struct reader *r)
{
    struct auth_passwd_table *t = r->table;
    char *line = t->text, *end = t->text + t->text_len;

    if (memchr(t->text, 0, t->text_len) != NULL)
        return bad(r, "the file holds a NUL");
    for (; line < end; r->line++) {
        char *lf = memchr(line, '\n', (size_t)(end - line)), *next = lf != NULL ? lf + 1 : end;
        if (lf == NULL)
            lf = end; /* the NUL behind the copy */
        *lf = 0;
        if (lf > line && lf[-1] == '\r')
            lf[-1] = 0;
        if (line[0] != 0 && line[0] != '#' && read_line(r, line) != 0)
            return -EINVAL;
        line = next;
    }
    return 0;
}

/* ---- the table ---- */

static int sort(struct reader *r)
{
    struct auth_passwd_table *t = r->table;
    uint32_t scram = 0;

    qsort(t->accounts, t->cnt, sizeof(t->accounts[0]), compare_accounts);
    for (uint32_t i = 0; i < t->cnt; i++) {
        if (i > 0 && compare_accounts(&t->accounts[i - 1], &t->accounts[i]) == 0) {
            snprintf(r->why, AUTH_PASSWD_WHY_CAP, "%.64s: login %.100s stands twice", r->name,
                     t->accounts[i].login);
            return -EINVAL;
        }
        if (t->accounts[i].verifier != NULL)
            t->scram[scram++] = &t->accounts[i];
    }
    return 0;
}

static bool open_table(struct auth_passwd_table *t, struct base_span text)
{
    uint32_t lines = 1;

    for (size_t i = 0; i < text.len; i++)
        lines += text.p[i] == '\n' && lines < ACCOUNT_MAX + 1;
    t->text = malloc(text.len + 1);
    t->accounts = calloc(lines, sizeof(t->accounts[0]));
    t->verifiers = calloc(lines, sizeof(t->verifiers[0]));
    t->scram = calloc(lines, sizeof(struct auth_passwd_account *));
    if (t->text == NULL || t->accounts == NULL || t->verifiers == NULL || t->scram == NULL)
        return false;
    t->cap = lines;
    t->text_len = text.len;
    if (text.len > 0)
        memcpy(t->text, text.p, text.len);
    t->text[text.len] = 0;
    return lines <= ACCOUNT_MAX;
}

struct auth_passwd_table *auth_passwd_parse(const char *name, struct base_span text,
                                            char why[AUTH_PASSWD_WHY_CAP],
                                            char warning[AUTH_PASSWD_WHY_CAP])
{
    struct reader r = {.name = name, .line = 1, .why = why};

    warning[0] = 0;
    snprintf(why, AUTH_PASSWD_WHY_CAP, "%.64s: no memory, or too many accounts", name);
    r.table = calloc(1, sizeof(*r.table));
    if (r.table == NULL || !open_table(r.table, text) || read_lines(&r) != 0 || sort(&r) != 0) {
        auth_passwd_free(r.table);
        return NULL;
    }
    if (r.weak_cnt > 0)
        snprintf(warning, AUTH_PASSWD_WHY_CAP, "%.64s:%u: %u weak hashes, this is the first", name,
                 r.weak_line, r.weak_cnt);
    return r.table;
}

void auth_passwd_free(struct auth_passwd_table *t)
{
    if (t == NULL)
        return;
    if (t->text != NULL)
        OPENSSL_cleanse(t->text, t->text_len);
    if (t->verifiers != NULL)
        OPENSSL_cleanse(t->verifiers, t->cap * sizeof(t->verifiers[0]));
    free(t->text);
    free(t->accounts);
    free(t->verifiers);
    free(t->scram);
    free(t);
}

uint32_t auth_passwd_cnt(const struct auth_passwd_table *t)
{
    return t->cnt;
}

const struct auth_passwd_account *auth_passwd_find(const struct auth_passwd_table *t,
                                                   struct base_span login)
{
    uint32_t low = 0, high = t->cnt;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int order = compare_logins(login, base_span_str(t->accounts[mid].login));
        if (order == 0)
            return &t->accounts[mid];
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

const struct auth_passwd_account *auth_passwd_decoy(const struct auth_passwd_table *t,
                                                    uint64_t random, bool scram)
{
    if (scram)
        return t->scram_cnt > 0 ? t->scram[random % t->scram_cnt] : NULL;
    return t->cnt > 0 ? &t->accounts[random % t->cnt] : NULL;
}
