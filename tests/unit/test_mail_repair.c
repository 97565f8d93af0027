#include "unit.h"

#include "mail_repair.h"

#include <errno.h>
#include <stdlib.h>

#define DATE "Date: Sat, 29 Feb 2020 12:34:56 +0000\r\n"
#define ID   "Message-ID: <ID1@mx.test>\r\n"
#define BOTH "Date: x\r\nMessage-ID: <y>\r\n"

static const struct {
    const char *in, *out;
    const char *added;
} rows[] = {
    {"Subject: x\r\n\r\n", "Subject: x\r\n\r\n", DATE ID},
    {"Date: x\r\n\r\n", "Date: x\r\n\r\n", ID},
    {"MESSAGE-id: <y>\r\n\r\n", "MESSAGE-id: <y>\r\n\r\n", DATE},
    {BOTH "\r\n", BOTH "\r\n", ""},
    {"dAtE \t : x\r\nMessage-ID:\r\n <y>\r\n\r\n", "dAtE \t : x\r\nMessage-ID:\r\n <y>\r\n\r\n",
     ""},
    {BOTH "Bcc: a@b\r\n\r\n", BOTH "\r\n", ""},
    {"Bcc: a@b\r\n" BOTH "\r\n", BOTH "\r\n", ""},
    {BOTH "bCC: a@b,\r\n\tc@d,\r\n e@f\r\nTo: g@h\r\n\r\n", BOTH "To: g@h\r\n\r\n", ""},
    {BOTH "Bcc:\r\nBcc: a@b\r\nResent-Bcc: c@d\r\n\r\n", BOTH "\r\n", ""},
    {BOTH "Bcc \t : a@b\r\n\r\n", BOTH "\r\n", ""},
    {BOTH "Bcc: a@b\r\n", BOTH, ""}, /* no empty line */
    /* What only looks so. */
    {BOTH "Bccc: a\r\nXBcc: b\r\nX-Bcc: c\r\nBc: d\r\n\r\n",
     BOTH "Bccc: a\r\nXBcc: b\r\nX-Bcc: c\r\nBc: d\r\n\r\n", ""},
    {BOTH "To: x\r\n Bcc: a\r\n\r\n", BOTH "To: x\r\n Bcc: a\r\n\r\n", ""},
    {BOTH "Bcc a: b\r\nBcc\r\n\r\n", BOTH "Bcc a: b\r\nBcc\r\n\r\n", ""},
    {BOTH "\r\nBcc: body\r\n", BOTH "\r\nBcc: body\r\n", ""},
    {"X-Date: x\r\nDated: x\r\n\r\nDate: x\r\n", "X-Date: x\r\nDated: x\r\n\r\nDate: x\r\n",
     DATE ID},
    /* Malformed sections stay so; what is to go goes all the same. */
    {"no field\r\nBcc: a@b\r\n\r\n", "no field\r\n\r\n", DATE ID},
    {": x\r\nBcc: a@b\r\n y\r\n\r\n", ": x\r\n\r\n", DATE ID},
    {" x\r\nBcc: a@b\r\n\r\n", " x\r\n\r\n", DATE ID},
    {"\r\n", "\r\n", DATE ID},
    {"", "", DATE ID},
    {"\xff: x\r\nBcc\x01: x\r\n\r\n", "\xff: x\r\nBcc\x01: x\r\n\r\n", DATE ID},
};

static void expect(const uint8_t *p, size_t len, const char *text)
{
    assert_int_equal(len, strlen(text));
    if (len > 0)
        assert_memory_equal(p, text, len);
}

/* Each row, in pieces of every size. */
static void table(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        size_t len = strlen(rows[i].in);
        for (size_t cut = 1; cut <= len + 1; cut++) {
            uint8_t out[512], room[MAIL_REPAIR_FIELDS_MAX];
            struct base_buf fields = {room, 0, sizeof(room)};
            struct mail_repair r;
            size_t out_len = 0;

            mail_repair_init(&r);
            for (size_t at = 0; at < len; at += cut) {
                size_t n = len - at < cut ? len - at : cut, undo;
                uint8_t *piece = malloc(n);
                assert_non_null(piece);
                memcpy(piece, rows[i].in + at, n);
                size_t kept = mail_repair_push(&r, piece, n, &undo);
                assert_true(kept <= n && undo <= out_len);
                out_len -= undo;
                memcpy(out + out_len, piece, kept);
                out_len += kept;
                free(piece);
            }
            expect(out, out_len, rows[i].out);
            assert_int_equal(mail_repair_fields(&fields, &r, UINT64_C(1582979696000000000),
                                                base_span_str("ID1"), base_span_str("mx.test")),
                             0);
            expect(room, fields.len, rows[i].added);
        }
    }
}

static void longest(void **state)
{
    (void)state;
    char id[64], name[255];
    uint8_t room[MAIL_REPAIR_FIELDS_MAX];
    struct base_buf out = {room, 0, sizeof(room)};
    struct mail_repair r;

    memset(id, 'i', sizeof(id));
    memset(name, 'n', sizeof(name));
    mail_repair_init(&r);
    assert_int_equal(mail_repair_fields(&out, &r, UINT64_MAX, base_span_of(id, sizeof(id)),
                                        base_span_of(name, sizeof(name))),
                     0);
    out.len = 3;
    out.cap = 50;
    assert_int_equal(mail_repair_fields(&out, &r, 0, base_span_of(id, sizeof(id)),
                                        base_span_of(name, sizeof(name))),
                     -ENOSPC);
    assert_int_equal(out.len, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table), cmocka_unit_test(longest)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
