/* Xtext, UTF-8 and the parameters' own rules, as tables. */
#include "unit.h"

#include "smtp_address.h"
#include "smtp_params.h"

#include <errno.h>
#include <stdlib.h>

/* An exact copy, so that the address sanitizer sees a read beyond the end. */
static struct base_span copy_of(const char *text, size_t len)
{
    uint8_t *p = malloc(len + 1);
    assert_non_null(p);
    memcpy(p + 1, text, len);
    return base_span_of(p + 1, len);
}

static void copy_free(struct base_span copy)
{
    free((void *)(uintptr_t)(copy.p - 1));
}

static void xtext(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *want; /* NULL: none */
    } rows[] = {{"", ""},           {"abc", "abc"},        {"a+2Bb+3D", "a+b="}, {"!~", "!~"},
                {"+0D+0A", "\r\n"}, {"+FF", "\xff"},       {"a b", NULL},        {"a=b", NULL},
                {"+", NULL},        {"+2", NULL},          {"+2b", NULL},        {"+G0", NULL},
                {"+0G", NULL},      {"a\x7f", NULL},       {"\xc3\xa4", NULL},   {"a\tb", NULL},
                {"++2B", NULL},     {"\\x{E4}", "\\x{E4}"}};

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct base_span in = copy_of(rows[i].text, strlen(rows[i].text));
        uint8_t room[16] = "x";
        struct base_buf out = {room, 1, sizeof(room)};
        assert_int_equal(smtp_xtext_decode(&out, in), rows[i].want != NULL ? 0 : -EINVAL);
        if (rows[i].want == NULL)
            assert_int_equal(out.len, 1);
        else
            assert_true(
                base_span_eq(base_span_of(room + 1, out.len - 1), base_span_str(rows[i].want)));
        copy_free(in);
    }
    uint8_t room[2];
    struct base_buf out = {room, 0, sizeof(room)};
    assert_int_equal(smtp_xtext_decode(&out, base_span_str("+41+42")), 0);
    assert_int_equal(smtp_xtext_decode(&out, base_span_str("C")), -ENOSPC);
    assert_int_equal(out.len, 2);
}

static void utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool want;
    } rows[] = {
        {"", true},
        {"a b", true},
        {"\x1f", false},
        {"\x7f", false},
        {"\x80", false},
        {"\xc1\xbf", false}, /* overlong */
        {"\xc2\x7f", false},
        {"\xc2\x9f", false}, /* a control character */
        {"\xc2\xa0", true},
        {"\xc3\xa4z", true},
        {"\xc3", false},
        {"\xdf\xbf", true},
        {"\xdf\xc0", false},
        {"\xe0\x9f\xbf", false}, /* overlong */
        {"\xe0\xa0\x80", true},
        {"\xe2\x82\xac", true},
        {"\xe2\x82", false},
        {"\xe2\x82z", false},
        {"\xed\x9f\xbf", true},
        {"\xed\xa0\x80", false}, /* a surrogate */
        {"\xef\xbf\xbf", true},
        {"\xf0\x8f\xbf\xbf", false}, /* overlong */
        {"\xf0\x9f\x93\xa7", true},
        {"\xf0\x9f\x93", false},
        {"\xf4\x8f\xbf\xbf", true},
        {"\xf4\x90\x80\x80", false}, /* over U+10FFFF */
        {"\xf5\x80\x80\x80", false},
        {"\xff", false},
    };

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct base_span in = copy_of(rows[i].text, strlen(rows[i].text));
        if (smtp_utf8_valid(in) != rows[i].want)
            print_error("row %zu\n", i);
        assert_int_equal(smtp_utf8_valid(in), rows[i].want);
        copy_free(in);
    }
    assert_false(smtp_utf8_valid(base_span_of("a\0b", 3)));
}

static void notify(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 64; bits++) {
        bool want = bits == 1 || (bits > 0 && bits < 16 && (bits & 1) == 0);
        assert_int_equal(smtp_notify_valid(bits), want);
    }
}

/* Paths with UTF-8; the ASCII ones are in test_smtp_address. */
static void paths(void **state)
{
    (void)state;
#define A   "\xc3\xa4"
#define A8  A A A A A A A A
#define A32 A8 A8 A8 A8
    static const struct {
        const char *text;
        const char *mailbox; /* NULL: none */
    } rows[] = {
        {"<" A "@" A ".example>", A "@" A ".example"},
        {"<a." A "@x>", "a." A "@x"},
        {"<\"" A " " A "\"@x>", "\"" A " " A "\"@x"},
        {"<" A32 "@x>", A32 "@x"},
        {"<" A32 "a@x>", NULL},          /* 65 bytes */
        {"<a@" A32 A8 ">", "a@" A32 A8}, /* a label over 63 bytes */
        {"<a@" A ">", "a@" A},
        {"<a@" A "->", NULL},
        {"<a@-" A ">", NULL},
        {"<a@[" A "]>", NULL},
        {"<@" A ":a@b>", "a@b"},
        {"<\xc3@x>", NULL},
        {"<\xc3\x28@x>", NULL},
        {"<\xc2\x80@x>", NULL},
        {"<a@\xff>", NULL},
        {"<a@b>", "a@b"},
    };

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct base_span in = copy_of(rows[i].text, strlen(rows[i].text));
        struct smtp_address a;
        size_t used = 0;
        bool ascii = strcmp(rows[i].text, "<a@b>") == 0;
        int rc = smtp_path_parse_utf8(&a, &used, in, SMTP_PATH_REVERSE);
        if ((rc == 0) != (rows[i].mailbox != NULL))
            print_error("row %zu\n", i);
        assert_int_equal(rc, rows[i].mailbox != NULL ? 0 : -EINVAL);
        if (rc == 0) {
            assert_int_equal(used, in.len);
            assert_true(base_span_eq(a.mailbox, base_span_str(rows[i].mailbox)));
        }
        assert_int_equal(smtp_path_parse(&a, &used, in, SMTP_PATH_REVERSE), ascii ? 0 : -EINVAL);
        copy_free(in);
    }
    struct smtp_address a;
    assert_int_equal(smtp_mailbox_parse(&a, base_span_str(A "@b")), -EINVAL);
    assert_false(smtp_domain_valid(base_span_str(A ".example")));
}

static void write_without_room(void **state)
{
    (void)state;
    uint8_t room[80];
    struct smtp_mail_params mail = {.envid = base_span_str("e"), .ret = SMTP_RET_FULL};
    struct smtp_rcpt_params rcpt = {.orcpt = base_span_str("rfc822;x"), .notify = 6};
    struct base_buf out = {room, 0, sizeof(room)};
    assert_int_equal(smtp_mail_params_write(&out, &mail), 0);
    assert_int_equal(smtp_rcpt_params_write(&out, &rcpt), 0);
    static const char want[] = " RET=FULL ENVID=e NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x";
    assert_true(base_span_eq(base_buf_span(&out), base_span_str(want)));
    for (size_t cap = 0; cap < 17; cap++) {
        out = (struct base_buf){room, 0, cap};
        assert_int_equal(smtp_mail_params_write(&out, &mail), -ENOSPC);
        assert_int_equal(smtp_rcpt_params_write(&out, &rcpt), -ENOSPC);
        assert_int_equal(out.len, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xtext),
        cmocka_unit_test(utf8),
        cmocka_unit_test(notify),
        cmocka_unit_test(paths),
        cmocka_unit_test(write_without_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
