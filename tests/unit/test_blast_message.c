/* The messages of the load generator: each names itself, and its body is what its name says. */
#include "unit.h"

#include "base_crc32c.h"
#include "message.h"

#include <stdlib.h>

/* All of a message, by pieces of step bytes at most. */
static void whole(const struct message *m, uint64_t number, uint64_t step, uint8_t *to)
{
    uint8_t scratch[MESSAGE_HEAD_MAX];

    for (uint64_t at = 0; at < m->bytes;) {
        struct base_span piece = message_piece(m, number, at, scratch);
        uint64_t n = piece.len < step ? piece.len : step;
        assert_true(piece.len > 0 && piece.len <= m->bytes - at);
        memcpy(to + at, piece.p, n);
        at += n;
    }
}

static void check(const struct message *m, uint64_t number, uint8_t *one, uint8_t *two)
{
    struct ledger_id id;

    whole(m, number, UINT64_MAX, one);
    whole(m, number, 37, two);
    assert_memory_equal(one, two, m->bytes);
    assert_true(ledger_field_parse(base_span_of(one, LEDGER_FIELD_BYTES), &id));
    assert_true(id.run == 99 && id.number == number);
    const uint8_t *body = memmem(one, m->bytes, "\r\n\r\n", 4);
    assert_non_null(body);
    size_t len = (size_t)(one + m->bytes - (body + 4));
    assert_int_equal(len, id.body_bytes);
    assert_int_equal(base_crc32c(0, body + 4, len), id.body_crc32c);
    assert_memory_equal(one + m->bytes - 2, "\r\n", 2);
    assert_null(memmem(one, m->bytes, "\n.", 2));
    whole(m, number + 1, UINT64_MAX, two);
    assert_memory_not_equal(one + m->bytes - len, two + m->bytes - len, len);
}

static void messages_name_themselves(void **state)
{
    static const uint64_t sizes[] = {1, 300, 4096, 4097, 4159, 100000};
    struct message m = {0};
    struct options o = {.sender = "a@b.example", .recipient = "c@d.example"};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(sizes); i++) {
        o.size_bytes = sizes[i];
        assert_int_equal(message_make(&m, &o, 99), 0);
        assert_true(sizes[i] < 400 ? m.bytes < 400 : m.bytes == sizes[i]);
        uint8_t *one = malloc(m.bytes), *two = malloc(m.bytes);
        for (uint64_t number = 0; number < 200; number += 67)
            check(&m, number, one, two);
        free(one);
        free(two);
    }
    message_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_name_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
