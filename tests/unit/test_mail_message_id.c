/* The Message-ID of a header section, wherever it stands, and what only looks so. */
#include "unit.h"

#include "mail_message_id.h"

static const struct {
    const char *in, *id;
} rows[] = {
    {"Message-ID: <a@b>\r\n\r\n", "<a@b>"},
    {"message-id:<a@b>\r\n", "<a@b>"},
    {"Subject: x\r\nMESSAGE-Id \t : \t<a@b> \t\r\nTo: y\r\n\r\n", "<a@b>"},
    {"Subject: a line that is longer than sixteen bytes, and another\r\nM: x\r\nMessage-ID: <a@b>",
     "<a@b>"},
    {"Message-ID: <first@b>\r\nMessage-ID: <second@b>\r\n", "<first@b>"},
    {"Message-ID:\r\nMessage-ID: <second@b>\r\n", "<second@b>"},
    {"Message-ID: two words \r\n", "two words"},
    {"Subject: Message-ID: <a@b>\r\n\r\n", ""},
    {"X-Message-ID: <a@b>\r\nMessage-IDs: <a@b>\r\nMessage-I: <a@b>\r\n", ""},
    {" Message-ID: <a@b>\r\n", ""},
    {"Message-ID", ""},
    {"Message-ID ", ""},
    {"Message-ID:", ""},
    {"\n", ""},
    {"", ""},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct base_span id = mail_message_id_find(base_span_str(rows[i].in), true);
        if (!base_span_eq(id, base_span_str(rows[i].id)))
            fail_msg("row %zu: '%.*s'", i, (int)id.len, (const char *)id.p);
    }
    /* Behind the end of another buffer: what is first in this one may be the rest of a line. */
    assert_int_equal(mail_message_id_find(base_span_str("Message-ID: <a@b>\r\n"), false).len, 0);
    /* Wherever it begins in a word of the machine. */
    for (size_t i = 0; i < 70; i++) {
        char text[128];
        memset(text, 'x', i);
        strcpy(text + i, "\nmessage-id: <a@b>\r\n");
        struct base_span id = mail_message_id_find(base_span_str(text), true);
        assert_true(base_span_eq(id, base_span_str("<a@b>")));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
