/* UTF-8, JSON strings and numbers. */
#include "unit.h"

#include "base_assert.h"
#include "base_decimal.h"
#include "base_json.h"
#include "base_utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* RFC 3629 section 3, forwards. */
static size_t encode(uint8_t out[4], uint32_t c)
{
    size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

    if (len == 1) {
        out[0] = (uint8_t)c;
        return 1;
    }
    for (size_t i = len; i-- > 1; c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)(0xf00 >> len | c);
    return len;
}

static void every_character(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        uint8_t bytes[4];
        uint32_t got = UINT32_MAX;
        size_t len = encode(bytes, c);
        bool surrogate = c >= 0xd800 && c < 0xe000;
        assert_int_equal(base_utf8_next(base_span_of(bytes, len), &got), surrogate ? 0 : len);
        if (!surrogate)
            assert_int_equal(got, c);
        if (len > 1) /* not the half of one */
            assert_int_equal(base_utf8_next(base_span_of(bytes, len - 1), &got), 0);
    }
}

/* Whatever three bytes are taken for a character are its own form. */
static void nothing_else(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1U << 24; i++) {
        uint8_t bytes[4] = {(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i, 0x80}, own[4];
        uint32_t c;
        size_t len = base_utf8_next(base_span_of(bytes, 4), &c);
        if (len == 0)
            continue;
        assert_int_equal(encode(own, c), len);
        assert_memory_equal(own, bytes, len);
    }
    uint32_t c;
    assert_int_equal(base_utf8_next(base_span_of(NULL, 0), &c), 0);
    assert_int_equal(base_utf8_next(base_span_str("\xf4\x90\x80\x80"), &c), 0);
    assert_int_equal(base_utf8_next(base_span_str("\xf8\x88\x80\x80\x80"), &c), 0);
}

static void shown(void **state)
{
    static const struct {
        const char *text;
        size_t len;
    } rows[] = {
        {"a", 1},
        {" ", 1},
        {"\x7f", 0},
        {"\x1b[0m", 0},
        {"\xc2\x9b", 0},
        {"\xc3\xa4", 2},
        {"\xe2\x80\xa8", 0} /* line separator */,
        {"\xe2\x80\xae", 0} /* override */,
        {"\xe2\x82\xac", 3},
        {"\xf0\x9f\x93\xa7", 4},
        {"\xef\xbb\xbf", 0},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++)
        assert_int_equal(base_utf8_shown(base_span_str(rows[i].text)), rows[i].len);
    assert_true(base_utf8_ascii(base_span_str("a\x7f")));
    assert_false(base_utf8_ascii(base_span_str("a\x80")));
}

static const struct {
    const char *bytes, *json, *text;
} forms[] = {
    {"", "\"\"", ""},
    {"plain", "\"plain\"", "plain"},
    {"a\"b\\c", "\"a\\\"b\\\\c\"", "a\"b\\x5cc"},
    {"a b\n\t\x1b", "\"a b\\u000a\\u0009\\u001b\"", "a\\x20b\\x0a\\x09\\x1b"},
    {"j\xc3\xb6rg@b\xc3\xbc.example", "\"j\xc3\xb6rg@b\xc3\xbc.example\"",
     "j\xc3\xb6rg@b\xc3\xbc.example"},
    {"\xf0\x9f\x93\xa7", "\"\xf0\x9f\x93\xa7\"", "\xf0\x9f\x93\xa7"},
    {"\xc3", "\"\\u00c3\"", "\\xc3"},
    {"\xc3(\xa4", "\"\\u00c3(\\u00a4\"", "\\xc3(\\xa4"},
    {"\xed\xa0\x80", "\"\\u00ed\\u00a0\\u0080\"", "\\xed\\xa0\\x80"},
    {"\x7f\xc2\x85", "\"\\u007f\\u0085\"", "\\x7f\\xc2\\x85"},
    {"x\xe2\x80\xaey", "\"x\\u202ey\"", "x\\xe2\\x80\\xaey"},
};

static void json(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(forms); i++) {
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        assert_non_null(out);
        base_json_print(out, base_span_str(forms[i].bytes));
        assert_int_equal(fclose(out), 0);
        assert_string_equal(text, forms[i].json);
        free(text);
    }
}

static void words(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(forms); i++) {
        struct base_span rest = base_span_str(forms[i].bytes);
        char escape[BASE_UTF8_ESCAPE_CAP], text[64];
        size_t len = 0;
        while (rest.len > 0) {
            struct base_span piece = base_utf8_take(&rest, escape);
            memcpy(text + len, piece.p, piece.len);
            len += piece.len;
        }
        text[len] = 0;
        assert_string_equal(text, forms[i].text);
    }
}

static void same_digits(uint64_t v)
{
    char got[BASE_DECIMAL_CAP + 1], wanted[BASE_DECIMAL_CAP + 1];

    got[base_decimal(got, v)] = 0;
    snprintf(wanted, sizeof(wanted), "%" PRIu64, v);
    assert_string_equal(got, wanted);
}

/* Around each power of ten and of two. */
static void decimals(void **state)
{
    (void)state;
    for (uint64_t ten = 1;; ten *= 10) {
        for (int64_t off = -1; off <= 1; off++)
            same_digits(ten + (uint64_t)off);
        if (ten > UINT64_MAX / 10)
            break;
    }
    for (unsigned bit = 0; bit < 64; bit++)
        same_digits(UINT64_C(1) << bit);
    same_digits(UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character), cmocka_unit_test(nothing_else),
        cmocka_unit_test(shown),           cmocka_unit_test(json),
        cmocka_unit_test(words),           cmocka_unit_test(decimals),
    };
    return cmocka_run_group_tests_name("base_text", tests, NULL, NULL);
}
