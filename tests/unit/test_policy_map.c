/* Map files: their forms, their errors with line numbers, keys in every spelling, patterns. */
#include "unit.h"

#include "policy_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const uint8_t seed[16] = {1, 2, 3};
static struct policy_work *work;

static int setup(void **state)
{
    (void)state;
    work = policy_work_open();
    return work != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    policy_work_close(work);
    return 0;
}

static struct policy_map *read_text(enum policy_form form, enum policy_role role, const char *text,
                                    struct policy_notes *notes)
{
    return policy_map_read("map", form, role, base_span_str(text), base_span_of(NULL, 0), seed,
                           notes);
}

/* The items as one text with commas; "-": not found; "!": an error. */
static const char *value(const struct policy_map *m, const char *key_text, uint32_t *line)
{
    static char out[1024];
    struct policy_key key;
    struct policy_hit hit;
    struct base_span item;
    size_t len = 0;

    assert_int_equal(policy_key_text(&key, base_span_str(key_text)), 0);
    policy_work_reset(work);
    switch (policy_map_find(m, &key, work, &hit)) {
    case POLICY_FOUND_NOT:
        return "-";
    case POLICY_FOUND_ERROR:
        return "!";
    default:
        break;
    }
    *line = hit.line;
    out[0] = 0;
    while (policy_items_next(&hit.items, &item))
        len += (size_t)snprintf(out + len, sizeof(out) - len, "%s%.*s", len > 0 ? "," : "",
                                (int)item.len, (const char *)item.p);
    return out;
}

struct lookup {
    const char *key, *value;
    uint32_t line;
};

static void look_up(const struct policy_map *m, const struct lookup *rows, size_t cnt)
{
    for (size_t i = 0; i < cnt; i++) {
        uint32_t line = 0;
        const char *got = value(m, rows[i].key, &line);
        if (strcmp(got, rows[i].value) != 0 || line != rows[i].line)
            fail_msg("%s: %s in line %u, not %s in line %u", rows[i].key, got, line, rows[i].value,
                     rows[i].line);
    }
}

static void text_form(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbf# a comment\n"
                               "\n"
                               "Alice@Example.ORG   alice\n"
                               "sales@example.org alice,bob , carol\n"
                               "   # within\n"
                               "  dave\n"
                               "\terin,\r\n"
                               "@example.net\tall@example.org\n"
                               "info         bob\n"
                               "\"a b\"@example.org  quoted\n"
                               "\"plain\"@example.org  plain\n"
                               "dot@example.com. dot\n"
                               "sales@EXAMPLE.org other\n"
                               "last@example.org  x";
    static const struct lookup rows[] = {
        {"alice@example.org", "alice", 3},
        {"ALICE@example.org.", "alice", 3},
        {"sales@example.org", "alice,bob,carol,dave,erin", 4},
        {"@example.net", "all@example.org", 8},
        {"@Example.Net.", "all@example.org", 8},
        {"x@example.net", "-", 0},
        {"INFO", "bob", 9},
        {"\"a\\ b\"@example.org", "quoted", 10},
        {"plain@example.org", "plain", 11},
        {"\"pl\\ain\"@example.org", "plain", 11},
        {"dot@example.com", "dot", 12},
        {"last@example.org", "x", 14},
        {"plain", "-", 0},
        {"@example.org", "-", 0},
    };
    struct policy_notes notes;
    struct policy_map *m = read_text(POLICY_FORM_TEXT, POLICY_ROLE_OWNERS, text, &notes);

    if (m == NULL)
        fail_msg("%u: %s", notes.error.line, notes.error.text);
    look_up(m, rows, BASE_ARRAY_CNT(rows));
    assert_int_equal(policy_map_count(m), 8);
    assert_int_equal(notes.warning_cnt, 1);
    assert_int_equal(notes.warning[0].line, 13);
    assert_string_equal(notes.warning[0].text,
                        "'sales@example.org' stands in line 4 already, which counts");
    policy_map_free(m);
}

/* A6: spellings of one address, and what only looks like one. */
static void keys(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"user@example.org", "USER@EXAMPLE.ORG", true},
        {"user@example.org", "\"user\"@example.org", true},
        {"user@example.org", "\"us\\er\"@example.org", true},
        {"user@example.org", "user@example.org.", true},
        {"user@b\xc3\xbc"
         "cher.example",
         "user@xn--bcher-kva.example", true},
        {"user@B\xc3\x9c"
         "CHER.example",
         "user@XN--BCHER-KVA.example", true},
        {"j\xc3\xb6rg@example.org", "J\xc3\x96RG@example.org", true},
        {"j\xc3\xb6rg@example.org", "jo\xcc\x88rg@example.org", true},
        {"\xd0\xb8\xd0\xb2\xd0\xb0\xd0\xbd@example.org",
         "\xd0\x98\xd0\x92\xd0\x90\xd0\x9d@example.org", true},
        {"user@example.org", "user@example.com", false},
        {"user@example.org", "user+x@example.org", false},
        {"user@example.org", "us.er@example.org", false},
        {"user@example.org", "user@sub.example.org", false},
        {"user@example.org", "user@[192.0.2.1]", false},
        {"a@example.org", "\xd0\xb0@example.org", false}, /* a Cyrillic letter */
        {"user@paypal.example", "user@p\xd0\xb0ypal.example", false},
        {"user", "user@example.org", false},
        {"@example.org", "example.org", false},
        {"\"a@b\"@example.org", "a@b", false},
    };
    static const char *const none[] = {"",
                                       "@",
                                       "a@b@c",
                                       "user@",
                                       "\"\"@example.org",
                                       "a b@example.org",
                                       "\"a@example.org",
                                       "user@exa mple",
                                       "@a@b",
                                       "@..",
                                       "@.a",
                                       "@a..b",
                                       "@a b",
                                       "u@..",
                                       "\xff@example.org",
                                       "user@\xff",
                                       "u@-a.example",
                                       "\n",
                                       "a\x01@b"};
    struct policy_key a, b;

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        assert_int_equal(policy_key_text(&a, base_span_str(rows[i].a)), 0);
        assert_int_equal(policy_key_text(&b, base_span_str(rows[i].b)), 0);
        if (policy_key_eq(&a, &b) != rows[i].same)
            fail_msg("%s %s", rows[i].a, rows[i].b);
    }
    for (size_t i = 0; i < BASE_ARRAY_CNT(none); i++)
        if (policy_key_text(&a, base_span_str(none[i])) == 0)
            fail_msg("'%s' has a key", none[i]);
    assert_int_equal(policy_key_text(&a, base_span_str("u+x+y@d")), 0);
    assert_true(policy_key_base(&b, &a, '+'));
    assert_true(base_span_eq(policy_key_span(&b), base_span_str("u@d")));
    assert_false(policy_key_base(&b, &a, 0));
    assert_false(policy_key_base(&b, &a, '-'));
    assert_int_equal(policy_key_text(&a, base_span_str("+x@d")), 0);
    assert_false(policy_key_base(&b, &a, '+'));
}

struct wrong {
    enum policy_form form;
    enum policy_role role;
    const char *text;
    uint32_t line;
    const char *why; /* its beginning */
};

static void errors(void **state)
{
    (void)state;
#define TEXT POLICY_FORM_TEXT
#define PCRE POLICY_FORM_PATTERNS
    static const struct wrong rows[] = {
        {TEXT, POLICY_ROLE_ALIASES, "a@b c@d\n\nx@y\n", 3,
         "there is no value behind the key 'x@y'"},
        {TEXT, POLICY_ROLE_ALIASES, "a@b alice\n", 1, "'alice' is no address with a domain"},
        {TEXT, POLICY_ROLE_ALIASES, "# x\na@b c@d, |program\n", 2, "'|program' is no address"},
        {TEXT, POLICY_ROLE_ALIASES, "postmaster: root@example.org\n", 1, "'postmaster:' ends with"},
        {TEXT, POLICY_ROLE_OWNERS, "a@b ,\n", 1, "there is no value"},
        {TEXT, POLICY_ROLE_OWNERS, "  a@b c\n", 1, "the line begins with a blank"},
        {TEXT, POLICY_ROLE_OWNERS, "a@b x@y@z\n", 1, "'x@y@z' is no login"},
        {PCRE, POLICY_ROLE_OWNERS, "/a/ x\n/(/ y\n", 2, "the pattern is wrong at its byte 2:"},
        {PCRE, POLICY_ROLE_OWNERS, "/a/q y\n", 1, "unknown flag 'q'"},
        {PCRE, POLICY_ROLE_OWNERS, "/a y\n", 1, "the pattern has no '/' at its end"},
        {PCRE, POLICY_ROLE_OWNERS, "/a/\n", 1, "there is no value behind the pattern"},
        {PCRE, POLICY_ROLE_OWNERS, "/(a)/ $2\n", 1, "the pattern captures nothing for $2"},
        {PCRE, POLICY_ROLE_OWNERS, "!/(a)/ $1\n", 1, "the pattern captures nothing for $1"},
        {PCRE, POLICY_ROLE_OWNERS, "/(a)/ $x\n", 1, "a $ that is none of"},
        {PCRE, POLICY_ROLE_OWNERS, "/(a)/ ${1\n", 1, "a $ that is none of"},
        {PCRE, POLICY_ROLE_OWNERS, "a@b c\n", 1, "expected a pattern between slashes"},
        {PCRE, POLICY_ROLE_OWNERS, "if /a/\n/b/ c\n", 1, "this if has no endif"},
        {PCRE, POLICY_ROLE_OWNERS, "/b/ c\nendif\n", 2, "there is no if to this endif"},
        {PCRE, POLICY_ROLE_OWNERS, "if /b/ c\nendif\n", 1, "there is something behind the pattern"},
        {PCRE, POLICY_ROLE_ALIASES, "/a/ bob\n", 1, "'bob' is no address"},
        {POLICY_FORM_ACCOUNTS, POLICY_ROLE_ACCOUNTS, "a@b:x\n:y\n", 2,
         "'' is no name of an account"},
        {POLICY_FORM_ACCOUNTS, POLICY_ROLE_ACCOUNTS, "@b:x\n", 1, "'@b' is no name"},
    };
    struct policy_notes notes;

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct policy_map *m = read_text(rows[i].form, rows[i].role, rows[i].text, &notes);
        if (m != NULL)
            fail_msg("row %zu is read", i);
        if (notes.error.line != rows[i].line ||
            strncmp(notes.error.text, rows[i].why, strlen(rows[i].why)) != 0)
            fail_msg("row %zu: %u: %s", i, notes.error.line, notes.error.text);
    }
    assert_null(policy_map_read("map", TEXT, POLICY_ROLE_OWNERS, base_span_of("a@b \0x\n", 7),
                                base_span_of(NULL, 0), seed, &notes));
    assert_string_equal(notes.error.text, "there is a NUL byte");
}

/* All wrong lines are told, in their order, and whether the last line has an end. */
static void every_error(void **state)
{
    struct policy_notes notes;
    struct policy_map *m;

    (void)state;
    assert_null(
        read_text(TEXT, POLICY_ROLE_ALIASES, "a@b c@d\nx@y\nq@r: s\nd@e f@g\nlast@h", &notes));
    assert_int_equal(notes.error_cnt, 3);
    assert_int_equal(notes.error.line, 2);
    assert_int_equal(notes.more[0].line, 3);
    assert_int_equal(notes.more[1].line, 5);
    assert_int_equal(notes.unended, 5);
    assert_null(read_text(TEXT, POLICY_ROLE_ALIASES, "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n", &notes));
    assert_int_equal(notes.error_cnt, POLICY_NOTE_MAX);
    assert_int_equal(notes.more[POLICY_NOTE_MAX - 2].line, POLICY_NOTE_MAX);
    assert_int_equal(notes.unended, 0);
    assert_null(read_text(PCRE, POLICY_ROLE_OWNERS, "/(/ c\n/b/\nif /x/ y\n/(/ d\n", &notes));
    assert_int_equal(notes.error_cnt, 3); /* what stands behind a wrong if is not looked at */
    m = read_text(TEXT, POLICY_ROLE_ALIASES, "a@b c@d\n# cut@e f@g", &notes);
    assert_non_null(m);
    assert_int_equal(notes.unended, 2);
    policy_map_free(m);
    m = read_text(TEXT, POLICY_ROLE_ALIASES, "", &notes);
    assert_non_null(m);
    assert_int_equal(notes.unended, 0);
    policy_map_free(m);
}

static void pattern_form(void **state)
{
    (void)state;
    static const char text[] =
        "# comment\n"
        "/^sales-(\\w+)@example\\.org$/  $1@example.org, team-${1}@example.org\n"
        "/^CASE@example\\.org$/i  exact\n"
        "/^fold@example\\.org$/  folded\n"
        "if /@example\\.net$/\n"
        "if !/^x/\n"
        "/^([^@]+)@/  $(1)$$\n"
        "endif\n"
        "/./ inner\n"
        "endif\n"
        "!/@example\\.(org|net|com)$/  elsewhere\n"
        "#/bad\n"
        "m,^comma@,  comma\n"
        "  value2\n";
    /* 'm' is a letter: no delimiter. */
    struct policy_notes notes;
    assert_null(read_text(POLICY_FORM_PATTERNS, POLICY_ROLE_OWNERS, text, &notes));
    assert_int_equal(notes.error.line, 13);

    char fixed[sizeof(text)];
    memcpy(fixed, text, sizeof(text));
    strstr(fixed, "m,^comma@,")[0] = '!';
    static const struct lookup rows[] = {
        {"sales-eu@example.org", "eu@example.org,team-eu@example.org", 2},
        {"Sales-EU@example.org", "eu@example.org,team-eu@example.org", 2},
        {"case@example.org", "comma,value2", 13}, /* keys are in lower case; i: as it is written */
        {"fold@example.org", "folded", 4},
        {"FOLD@example.org", "folded", 4},
        {"y@example.net", "y$", 7},
        {"x@example.net", "inner", 9},
        {"z@other.test", "elsewhere", 11},
        {"comma@example.com", "-", 0},
        {"other@example.com", "comma,value2", 13},
        {"@example.net", "-", 0},
        {"name", "-", 0},
        /* What was captured is one item, whatever is in it. */
        {"\"a@b\"@example.net", "-", 0},
        {"\"a b,c\"@example.net", "a b,c$", 7},
    };
    struct policy_map *m = read_text(POLICY_FORM_PATTERNS, POLICY_ROLE_OWNERS, fixed, &notes);
    if (m == NULL)
        fail_msg("%u: %s", notes.error.line, notes.error.text);
    look_up(m, rows, BASE_ARRAY_CNT(rows));
    policy_map_free(m);
}

/* Patterns that would take for ever are an error within the limits, and no miss. */
static void evil_patterns(void **state)
{
    (void)state;
    struct policy_notes notes;
    struct policy_map *m =
        read_text(POLICY_FORM_PATTERNS, POLICY_ROLE_OWNERS, "/^(a+)+b@/ x\n/./ y\n", &notes);
    uint32_t line;

    assert_non_null(m);
    assert_string_equal(value(m, "aab@example.org", &line), "x");
    assert_string_equal(
        value(m, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac@example.org", &line), "!");
    policy_map_free(m);
    m = read_text(POLICY_FORM_PATTERNS, POLICY_ROLE_OWNERS,
                  "/^(.*)@/ $1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1\n", &notes);
    assert_non_null(m);
    assert_string_equal(
        value(m, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@example.org", &line),
        "!");
    policy_map_free(m);
}

static void accounts(void **state)
{
    (void)state;
    static const char text[] = "# Dovecot\n"
                               "alice@example.org:{SHA512-CRYPT}$6$x:1000:1000::/home\n"
                               "bob:{PLAIN}x\n"
                               "\n"
                               "carol@example.org|{SHA512-CRYPT}$6$a|quota\n"
                               "Dave@Example.org|x\n";
    static const struct lookup rows[] = {
        {"ALICE@example.org", "", 2}, {"bob@example.net", "", 3},  {"bob", "-", 0},
        {"carol@example.org", "", 5}, {"dave@example.org", "", 6}, {"erin@example.org", "-", 0}};
    struct policy_notes notes;
    struct policy_map *m =
        policy_map_read("map", POLICY_FORM_ACCOUNTS, POLICY_ROLE_ACCOUNTS, base_span_str(text),
                        base_span_str("example.net"), seed, &notes);

    assert_non_null(m);
    look_up(m, rows, BASE_ARRAY_CNT(rows));
    policy_map_free(m);
}

/* A million lines: found at their places, in memory that a line of them explains. */
static void million(void **state)
{
    (void)state;
    const uint32_t cnt = 1000000;
    char *text = malloc((size_t)cnt * 64), *p = text, key[64];
    struct policy_notes notes;
    uint32_t line = 0;

    assert_non_null(text);
    for (uint32_t i = 0; i < cnt; i++)
        p += sprintf(p, "user%u@example%u.org box%u@example.net\n", i, i % 1000, i);
    clock_t begin = clock();
    struct policy_map *m = policy_map_read("map", POLICY_FORM_TEXT, POLICY_ROLE_ALIASES,
                                           base_span_of(text, (size_t)(p - text)),
                                           base_span_of(NULL, 0), seed, &notes);
    clock_t end = clock();
    assert_non_null(m);
    assert_int_equal(policy_map_count(m), cnt);
    assert_int_equal(notes.warning_cnt, 0);
    print_message("a million lines: %.0f ms, %zu MiB\n",
                  1000.0 * (double)(end - begin) / CLOCKS_PER_SEC, policy_map_bytes(m) >> 20);
    assert_true(policy_map_bytes(m) < (size_t)(p - text) + (size_t)cnt * 40);
    for (uint32_t i = 0; i < cnt; i += 997) {
        snprintf(key, sizeof(key), "USER%u@example%u.ORG", i, i % 1000);
        assert_string_not_equal(value(m, key, &line), "-");
        assert_int_equal(line, i + 1);
    }
    assert_string_equal(value(m, "user1@example2.org", &line), "-");
    policy_map_free(m);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error), cmocka_unit_test(text_form),     cmocka_unit_test(keys),
        cmocka_unit_test(errors),      cmocka_unit_test(pattern_form),  cmocka_unit_test(accounts),
        cmocka_unit_test(million),     cmocka_unit_test(evil_patterns),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
