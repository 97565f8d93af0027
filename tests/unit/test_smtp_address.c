#include "unit.h"

#include "smtp_address.h"

#include <stdio.h>

#define A16 "aaaaaaaaaaaaaaaa"
#define A63 A16 A16 A16 "aaaaaaaaaaaaaaa"
#define D61 A16 A16 A16 "aaaaaaaaaaaaa"

struct row {
    const char *text;
    const char *mailbox; /* NULL: refused */
    const char *local;
    const char *domain;
    size_t used; /* 0: all of text */
};

static void expect_span(struct base_span got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    if (got.len > 0)
        assert_memory_equal(got.p, want, got.len);
}

static void check(const struct row *row, enum smtp_path_use use)
{
    struct smtp_address a;
    size_t used = 0;
    /* A copy of its exact size, so that a sanitizer sees a read past it. */
    size_t len = strlen(row->text);
    char *copy = test_malloc(len + 1);
    memcpy(copy, row->text, len);
    int result = smtp_path_parse(&a, &used, base_span_of(copy, len), use);

    if (result == 0 && row->mailbox == NULL)
        print_error("accepted: %s\n", row->text);
    if (result != 0 && row->mailbox != NULL)
        print_error("refused: %s\n", row->text);
    assert_int_equal(result == 0, row->mailbox != NULL);
    if (result == 0) {
        expect_span(a.mailbox, row->mailbox);
        expect_span(a.local, row->local);
        expect_span(a.domain, row->domain);
        assert_int_equal(used, row->used > 0 ? row->used : len);
    }
    test_free(copy);
}

static const struct row both[] = {
    {"<a@b>", "a@b", "a", "b", 0},
    {"<a@b> SIZE=1", "a@b", "a", "b", 5},
    {"<a.b+c=d@Example.COM>", "a.b+c=d@Example.COM", "a.b+c=d", "Example.COM", 0},
    {"<!#$%&'*+-/=?^_`{|}~@b>", "!#$%&'*+-/=?^_`{|}~@b", "!#$%&'*+-/=?^_`{|}~", "b", 0},
    {"<\"a b\"@c>", "\"a b\"@c", "\"a b\"", "c", 0},
    {"<\"a@b\"@c>", "\"a@b\"@c", "\"a@b\"", "c", 0},
    {"<\"a\\\"b\\\\\"@c>", "\"a\\\"b\\\\\"@c", "\"a\\\"b\\\\\"", "c", 0},
    {"<\"\"@c>", "\"\"@c", "\"\"", "c", 0},
    {"<a@[1.2.3.4]>", "a@[1.2.3.4]", "a", "[1.2.3.4]", 0},
    {"<a@[IPv6:::1]>", "a@[IPv6:::1]", "a", "[IPv6:::1]", 0},
    {"<a@b-c.d_e.f>", "a@b-c.d_e.f", "a", "b-c.d_e.f", 0},
    {"<a@1.2.3.4>", "a@1.2.3.4", "a", "1.2.3.4", 0},
    {"<@x:a@b>", "a@b", "a", "b", 0},
    {"<@x,@y.z,@[1.2.3.4]:a@b>", "a@b", "a", "b", 0},
    {"<" A63 "a@b>", A63 "a@b", A63 "a", "b", 0},
    {"<a@" A63 "." A63 "." A63 "." A63 ">", "a@" A63 "." A63 "." A63 "." A63, "a",
     A63 "." A63 "." A63 "." A63, 0},
    {.text = "<" A63 "aa@b>"},
    {.text = "<a@" A63 "a>"},
    {.text = "<a@" A63 "." A63 "." A63 "." D61 ".bb>"}, /* 256 */
    {.text = ""},
    {.text = "<"},
    {.text = "a@b"},
    {.text = " <a@b>"},
    {.text = "<a@b"},
    {.text = "<a>"},
    {.text = "<a@>"},
    {.text = "<@b>"},
    {.text = "<@x:>"},
    {.text = "<@x:postmaster>"},
    {.text = "<@x,:a@b>"},
    {.text = "<@x,y:a@b>"},
    {.text = "<@x;a@b>"},
    {.text = "<a@b@c>"},
    {.text = "<a b@c>"},
    {.text = "<.a@b>"},
    {.text = "<a.@b>"},
    {.text = "<a..b@c>"},
    {.text = "<a@.b>"},
    {.text = "<a@b.>"},
    {.text = "<a@b..c>"},
    {.text = "<a@-b>"},
    {.text = "<a@b->"},
    {.text = "<a@_>"},
    {.text = "<a@[--]>"},
    {.text = "<a@b c>"},
    {.text = "<a@[]>"},
    {.text = "<a@[1.2.3.4>"},
    {.text = "<a@[1.2.3.4]x>"},
    {.text = "<a@[1 2]>"},
    {.text = "<\"a@b>"},
    {.text = "<\"a\"b@c>"},
    {.text = "<\"a\\\"@c>"},
    {.text = "<\"a\tb\"@c>"},
    {.text = "<a@b\r>"},
    {.text = "<\xc3\xa4@b>"},
    {.text = "<a@\xc3\xa4>"},
    {.text = "<<a@b>>"},
    {.text = "< a@b>"},
    {.text = "<a@b >"},
    {.text = "<a(x)@b>"},
    {.text = "<a,b@c>"},
};

static void paths(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(both); i++) {
        check(&both[i], SMTP_PATH_FORWARD);
        check(&both[i], SMTP_PATH_REVERSE);
    }
}

static void null_and_postmaster(void **state)
{
    (void)state;
    struct smtp_address a;
    size_t used;

    assert_int_equal(smtp_path_parse(&a, &used, base_span_str("<> X"), SMTP_PATH_REVERSE), 0);
    assert_int_equal(a.kind, SMTP_ADDRESS_NULL);
    assert_int_equal(a.mailbox.len, 0);
    assert_int_equal(used, 2);
    assert_true(smtp_path_parse(&a, &used, base_span_str("<>"), SMTP_PATH_FORWARD) != 0);
    assert_int_equal(smtp_path_parse(&a, &used, base_span_str("<POSTmaster>"), SMTP_PATH_FORWARD),
                     0);
    assert_int_equal(a.kind, SMTP_ADDRESS_POSTMASTER);
    expect_span(a.mailbox, "POSTmaster");
    assert_true(smtp_path_parse(&a, &used, base_span_str("<Postmaster>"), SMTP_PATH_REVERSE) != 0);
    assert_int_equal(smtp_path_parse(&a, &used, base_span_str("<postmaster@b>"), SMTP_PATH_FORWARD),
                     0);
    assert_int_equal(a.kind, SMTP_ADDRESS_MAILBOX);
    /* A NUL is a character like others: no terminator, and not allowed. */
    assert_true(smtp_path_parse(&a, &used, base_span_of("<a\0@b>", 6), SMTP_PATH_FORWARD) != 0);
    assert_true(smtp_path_parse(&a, &used, base_span_of("<\"\\\0\"@b>", 8), SMTP_PATH_FORWARD) !=
                0);
}

static void mailboxes(void **state)
{
    (void)state;
    struct smtp_address a;

    assert_int_equal(smtp_mailbox_parse(&a, base_span_str("a@b")), 0);
    expect_span(a.domain, "b");
    assert_true(smtp_mailbox_parse(&a, base_span_str("a@b ")) != 0);
    assert_true(smtp_mailbox_parse(&a, base_span_str("<a@b>")) != 0);
    assert_true(smtp_mailbox_parse(&a, base_span_str("postmaster")) != 0);
    assert_true(smtp_mailbox_parse(&a, base_span_str("@x:a@b")) != 0);
    assert_true(smtp_mailbox_parse(&a, base_span_of(NULL, 0)) != 0);
}

static void hello_names(void **state)
{
    (void)state;
    static const char *good[] = {"a",         "a.b",        "a.b.",  "a_b", "A-1",
                                 "[1.2.3.4]", "[IPv6:::1]", "1.2.3", "-a-"};
    static const char *bad[] = {"",     ".",  "-",   "_",        "a b",   "a\tb",       "a(b",
                                "[1.2", "[]", "a;b", "\xc3\xa4", "[a b]", "[1.2.3.4]x", "a\r"};
    for (size_t i = 0; i < BASE_ARRAY_CNT(good); i++)
        assert_true(smtp_domain_valid(base_span_str(good[i])));
    for (size_t i = 0; i < BASE_ARRAY_CNT(bad); i++)
        assert_false(smtp_domain_valid(base_span_str(bad[i])));
    char longest[SMTP_DOMAIN_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    assert_true(smtp_domain_valid(base_span_of(longest, SMTP_DOMAIN_MAX)));
    assert_false(smtp_domain_valid(base_span_of(longest, SMTP_DOMAIN_MAX + 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths),
        cmocka_unit_test(null_and_postmaster),
        cmocka_unit_test(mailboxes),
        cmocka_unit_test(hello_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
