/* Every scanner against the reference, which is one byte a step: at every alignment of source and
 * target, at every length, with what stops a run at every place of a block; and nothing is written
 * beyond the room. */
#include "unit.h"

#include "base_assert.h"
#include "smtp_scan.h"

#include <string.h>

#define N     200
#define GUARD 0xa5

static const char *const pieces[] = {
    "",
    "\r\n",
    "\r\nx",
    "\r\n.",
    "\r\n..",
    "\r\n.x",
    "\r\n.\r",
    "\n",
    "\r",
    "\rx",
    "x\n.",
    "\r\r\n",
    "\n\r",
    "\r\n.\n",
    "\r\n\n",
    "\r\n.\r\n",
    "\r\n..\r\n.x\r\n...",
    "\r\n\r\n.",
    "\r\n \t",
    ".",
};

static void compare(size_t scanner, const uint8_t *src, size_t n, enum smtp_scan_mode mode,
                    size_t align)
{
    static uint8_t want[N + 200], got[N + 200];
    const struct smtp_scan *s = smtp_scan_at(scanner);
    uint8_t *to = got + 64 + align;

    memset(want, GUARD, sizeof(want));
    memset(got, GUARD, sizeof(got));
    struct smtp_scan_run a = smtp_scan_scalar(want, src, n, mode);
    struct smtp_scan_run b = s->run(to, src, n, mode);
    struct smtp_scan_run c = s->run(NULL, src, n, mode);
    assert_int_equal(a.used, b.used);
    assert_int_equal(a.made, b.made);
    assert_int_equal(c.used, b.used);
    assert_int_equal(c.made, b.made);
    assert_memory_equal(want, to, a.made);
    assert_int_equal(to[-1], GUARD);
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(to[n + i], GUARD);
}

static void piece_at_every_place(void **state)
{
    static uint8_t room[64 + 1 + N + 64];
    static const char before[] = {'x', '\n', '\r', 0};

    (void)state;
    for (size_t k = 0; k < BASE_ARRAY_CNT(pieces) + 1; k++)
        for (size_t at = 0; at < 135; at++) {
            const char *piece = k < BASE_ARRAY_CNT(pieces) ? pieces[k] : "\0";
            size_t len = k < BASE_ARRAY_CNT(pieces) ? strlen(piece) : 1;
            for (size_t v = 0; v < 4 * 3; v++)
                for (size_t s = 1; smtp_scan_at(s) != NULL; s++) {
                    size_t align = (at + 5 * v + s) % 64;
                    uint8_t *src = room + 1 + align;
                    memset(room, 'x', sizeof(room));
                    src[-1] = (uint8_t)before[v % 4];
                    memcpy(src + at, piece, len);
                    for (size_t n = at + len > 3 ? at + len - 3 : 0; n <= at + len + 1; n++)
                        compare(s, src, n, (enum smtp_scan_mode)(v / 4), (at + n) % 64);
                    compare(s, src, N, (enum smtp_scan_mode)(v / 4), align);
                }
        }
}

/* Mail of short lines, some of them dotted: every alignment of both, every length. */
static void every_alignment(void **state)
{
    static uint8_t room[64 + 1 + N + 64];

    (void)state;
    for (size_t align = 0; align < 64; align++) {
        uint8_t *src = room + 1 + align;
        memset(room, 'x', sizeof(room));
        src[-1] = '\n';
        for (size_t i = 9 + align % 30; i + 4 < N; i += 17 + align % 13)
            memcpy(src + i, i % 2 == 0 ? "\r\n.a" : "\r\nab", 4);
        for (size_t s = 1; smtp_scan_at(s) != NULL; s++)
            for (size_t n = 0; n <= N; n++)
                for (int mode = SMTP_SCAN_DATA; mode <= SMTP_SCAN_LINE; mode++)
                    compare(s, src, n, (enum smtp_scan_mode)mode, (align * 7 + n) % 64);
    }
}

/* What the reference itself does, by the contract. */
static void reference_rows(void **state)
{
    static const struct {
        const char *in; /* its first byte is the one before */
        enum smtp_scan_mode mode;
        size_t used;
        const char *made;
    } rows[] = {
        {"xab\r\ncd", SMTP_SCAN_DATA, 6, "ab\r\ncd"},
        {"\n.ab\r\n..c", SMTP_SCAN_DATA, 8, "ab\r\n.c"},
        {"x.ab\r\n.\r\n", SMTP_SCAN_DATA, 5, ".ab\r\n"},
        {"xab\r\n.", SMTP_SCAN_DATA, 4, "ab\r\n"},
        {"xab\r\n.\n", SMTP_SCAN_DATA, 4, "ab\r\n"},
        {"xab\r\n.\r\n", SMTP_SCAN_CHUNK, 7, "ab\r\n.\r\n"},
        {"xab\r\ncd", SMTP_SCAN_LINE, 4, "ab\r\n"},
        {"\nab", SMTP_SCAN_LINE, 0, ""},
        {"xab\n", SMTP_SCAN_DATA, 2, "ab"},
        {"xab\rc", SMTP_SCAN_CHUNK, 3, "ab\r"},
        {"\r\nab\r", SMTP_SCAN_DATA, 4, "\nab\r"},
        {"\rab", SMTP_SCAN_DATA, 0, ""},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        uint8_t out[64];
        const uint8_t *in = (const uint8_t *)rows[i].in;
        struct smtp_scan_run r =
            smtp_scan_scalar(out, in + 1, strlen(rows[i].in) - 1, rows[i].mode);
        assert_int_equal(r.used, rows[i].used);
        assert_int_equal(r.made, strlen(rows[i].made));
        assert_memory_equal(out, rows[i].made, r.made);
    }
}

static void choice(void **state)
{
    (void)state;
    size_t cnt = 0;
    while (smtp_scan_at(cnt) != NULL)
        cnt++;
    assert_in_range(cnt, 2, 4);
    assert_ptr_equal(smtp_scan_best(), smtp_scan_at(cnt - 1));
    assert_string_equal(smtp_scan_at(0)->name, "scalar");
    print_message("scanners here: %zu, the best is %s\n", cnt, smtp_scan_best()->name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(piece_at_every_place),
        cmocka_unit_test(every_alignment),
        cmocka_unit_test(reference_rows),
        cmocka_unit_test(choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
