/* The generator's and the next hop's ledgers: the field that names a message, the files, and what a
 * comparison of the two tells. */
#include "unit.h"

#include "ledger.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/test_ledger_XXXXXX";
static char sent_path[64], seen_path[64];

static const char field[] = "X-Blast-Id: 0123456789abcdef-00000000002a-89abcdef-0000001000\r\n";

static void same(const struct ledger_id *a, const struct ledger_id *b)
{
    assert_true(a->run == b->run && a->number == b->number && a->body_bytes == b->body_bytes);
    assert_int_equal(a->body_crc32c, b->body_crc32c);
}

static void field_there_and_back(void **state)
{
    struct ledger_id id = {0x0123456789abcdef, 42, 0x89abcdef, 4096}, back;
    uint8_t p[LEDGER_FIELD_BYTES + 1];

    (void)state;
    base_static_assert(sizeof(field) - 1 == LEDGER_FIELD_BYTES, "the header's example");
    p[LEDGER_FIELD_BYTES] = 'x';
    ledger_field_write(p, &id);
    assert_memory_equal(p, field, LEDGER_FIELD_BYTES);
    assert_int_equal(p[LEDGER_FIELD_BYTES], 'x');
    assert_true(ledger_field_parse(base_span_of(p, LEDGER_FIELD_BYTES), &back));
    same(&back, &id);
    assert_true(ledger_field_parse(base_span_of(p, LEDGER_FIELD_BYTES - 2), &back));
    id = (struct ledger_id){UINT64_MAX, LEDGER_NUMBER_MAX, UINT32_MAX, LEDGER_BODY_MAX};
    ledger_field_write(p, &id);
    assert_true(ledger_field_parse(base_span_of(p, LEDGER_FIELD_BYTES), &back));
    same(&back, &id);
}

static void other_fields_are_none(void **state)
{
    struct ledger_id id;
    uint8_t p[LEDGER_FIELD_BYTES];

    (void)state;
    assert_true(ledger_field_parse(
        base_span_str("x-blast-id: 0123456789abcdef-00000000002a-89abcdef-0000001000"), &id));
    for (size_t i = 0; i < LEDGER_FIELD_BYTES - 2; i++) { /* each byte matters */
        memcpy(p, field, sizeof(p));
        p[i] = '~';
        assert_false(ledger_field_parse(base_span_of(p, sizeof(p)), &id));
    }
    for (size_t len = 0; len < LEDGER_FIELD_BYTES - 2; len++)
        assert_false(ledger_field_parse(base_span_of(field, len), &id));
    memcpy(p, field, sizeof(p));
    p[LEDGER_FIELD_BYTES - 2] = ' ';
    assert_false(ledger_field_parse(base_span_of(p, sizeof(p)), &id));
}

static void recipients_by_their_digits(void **state)
{
    static const struct {
        const char *mailbox;
        uint32_t k;
    } rows[] = {
        {"sink@example.org", 0},
        {"sink0@example.org", 0},
        {"sink12@example.org", 12},
        {"12@example.org", 12},
        {"s1nk@example.org", 0},
        {"s1nk7@d2.example", 7},
        {"\"a@b3\"@d9", 0},
        {"sink99@example.org", 99},
        {"sink100@example.org", 100},
        {"sink5555555555@d", 100},
        {"sink8", 8},
        {"", 0},
        {"@d", 0},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++)
        assert_int_equal(ledger_recipient(base_span_str(rows[i].mailbox)), rows[i].k);
}

static void bad_files_are_refused(void **state)
{
    struct ledger_settings s = {.kind = LEDGER_SENT, .run = 1, .capacity = 10, .recipient_cnt = 1};
    struct ledger l;

    (void)state;
    s.recipient_cnt = 0;
    assert_int_equal(ledger_create(&l, sent_path, &s), -EINVAL);
    s.recipient_cnt = LEDGER_RECIPIENT_MAX + 1;
    assert_int_equal(ledger_create(&l, sent_path, &s), -EINVAL);
    s.recipient_cnt = 2;
    s.capacity = LEDGER_ENTRY_MAX;
    assert_int_equal(ledger_create(&l, sent_path, &s), -EINVAL);
    s.capacity = 10;
    assert_int_equal(ledger_create(&l, "/nowhere/ledger", &s), -ENOENT);
    assert_int_equal(ledger_open(&l, "/nowhere/ledger"), -ENOENT);
    assert_int_equal(ledger_create(&l, sent_path, &s), 0);
    ledger_close(&l);
    assert_int_equal(ledger_open(&l, sent_path), 0);
    assert_int_equal(l.head->capacity, 10);
    assert_int_equal(l.entry_cnt, 20);
    l.head->capacity = 11; /* than there is */
    ledger_close(&l);
    assert_int_equal(ledger_open(&l, sent_path), -EINVAL);
    assert_int_equal(truncate(sent_path, 20), 0);
    assert_int_equal(ledger_open(&l, sent_path), -EINVAL);
}

static void open_both(struct ledger *sent, struct ledger *seen, uint64_t run)
{
    struct ledger_settings s = {
        .kind = LEDGER_SENT, .run = 7, .capacity = 100, .recipient_cnt = 2, .message_bytes = 4096};

    assert_int_equal(ledger_create(sent, sent_path, &s), 0);
    s.kind = LEDGER_SEEN;
    s.run = run;
    s.capacity = 50;
    assert_int_equal(ledger_create(seen, seen_path, &s), 0);
}

static void see(struct ledger *seen, uint64_t number, uint32_t recipient, bool whole)
{
    assert_true(
        ledger_see(seen, &(struct ledger_id){.run = 7, .number = number}, recipient, whole));
}

static void comparison_tells_each_case(void **state)
{
    struct ledger sent, seen;
    struct ledger_result r;

    (void)state;
    open_both(&sent, &seen, 0);
    for (uint32_t n = 0; n < 10; n++)
        for (uint32_t k = 0; k < 2; k++) {
            assert_true(ledger_mark(&sent, n, k, LEDGER_UNKNOWN));
            assert_true(ledger_mark(&sent, n, k, LEDGER_ACKED));
            see(&seen, n, k, true);
        }
    assert_int_equal(ledger_compare(&sent, &seen, &r), 0);
    assert_memory_equal(
        &r, &((struct ledger_result){.acked = 20, .seen = 20, .first_lost = UINT64_MAX}),
        sizeof(r));
    assert_true(ledger_mark(&sent, 20, 0, LEDGER_ACKED)); /* one of two copies is lost */
    assert_true(ledger_mark(&sent, 20, 1, LEDGER_ACKED));
    see(&seen, 20, 1, true);
    see(&seen, 3, 1, true);                                 /* doubled */
    see(&seen, 4, 0, false);                                /* doubled, and damaged */
    assert_true(ledger_mark(&sent, 21, 0, LEDGER_UNKNOWN)); /* came through */
    see(&seen, 21, 0, true);
    assert_true(ledger_mark(&sent, 22, 0, LEDGER_UNKNOWN)); /* or not */
    assert_true(ledger_mark(&sent, 23, 0, LEDGER_REFUSED));
    see(&seen, 23, 0, true);
    assert_true(ledger_mark(&sent, 24, 0, LEDGER_REFUSED));
    see(&seen, 25, 0, true);                              /* never sent */
    assert_true(ledger_mark(&sent, 99, 1, LEDGER_ACKED)); /* beyond the other's capacity: lost */
    assert_int_equal(ledger_compare(&sent, &seen, &r), 0);
    assert_memory_equal(&r,
                        &((struct ledger_result){.acked = 23,
                                                 .unknown = 2,
                                                 .refused = 2,
                                                 .seen = 24,
                                                 .lost = 2,
                                                 .doubled = 2,
                                                 .damaged = 1,
                                                 .unknown_seen = 1,
                                                 .refused_seen = 1,
                                                 .unsent_seen = 1,
                                                 .first_lost = 20}),
                        sizeof(r));
    ledger_close(&sent);
    ledger_close(&seen);
    /* What was marked is in the file. */
    assert_int_equal(ledger_open(&seen, seen_path), 0);
    assert_int_equal(seen.entry[4 * 2], LEDGER_DAMAGED | 2);
    ledger_close(&seen);
}

static void other_runs_and_numbers_are_not_marked(void **state)
{
    struct ledger sent, seen;
    struct ledger_result r;
    struct ledger_id id = {.run = 8, .number = 1};

    (void)state;
    open_both(&sent, &seen, 7);
    assert_false(ledger_see(&seen, &id, 0, true));
    id.run = 7;
    assert_false(ledger_see(&seen, &id, 2, true));
    id.number = 50;
    assert_false(ledger_see(&seen, &id, 0, true));
    assert_false(ledger_mark(&sent, 100, 0, LEDGER_ACKED));
    assert_false(ledger_mark(&sent, 0, 2, LEDGER_ACKED));
    assert_int_equal(ledger_compare(&sent, &seen, &r), 0);
    assert_int_equal(r.acked + r.seen, 0);
    seen.head->run = 9;
    assert_int_equal(ledger_compare(&sent, &seen, &r), -EINVAL);
    assert_int_equal(ledger_compare(&seen, &sent, &r), -EINVAL);
    ledger_close(&sent);
    ledger_close(&seen);
}

static void counts_end_at_their_bound(void **state)
{
    struct ledger sent, seen;

    (void)state;
    open_both(&sent, &seen, 0);
    for (int i = 0; i < 300; i++)
        see(&seen, 5, 0, true);
    assert_int_equal(seen.head->run, 7);
    assert_int_equal(seen.entry[10], LEDGER_SEEN_MAX);
    see(&seen, 5, 0, false);
    assert_int_equal(seen.entry[10], LEDGER_SEEN_MAX | LEDGER_DAMAGED);
    assert_int_equal(seen.entry[11], 0);
    ledger_close(&sent);
    ledger_close(&seen);
}

static int begin(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(sent_path, sizeof(sent_path), "%s/sent", folder);
    snprintf(seen_path, sizeof(seen_path), "%s/seen", folder);
    return 0;
}

static int end(void **state)
{
    (void)state;
    unlink(sent_path);
    unlink(seen_path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(field_there_and_back),
        cmocka_unit_test(other_fields_are_none),
        cmocka_unit_test(recipients_by_their_digits),
        cmocka_unit_test(bad_files_are_refused),
        cmocka_unit_test(comparison_tells_each_case),
        cmocka_unit_test(other_runs_and_numbers_are_not_marked),
        cmocka_unit_test(counts_end_at_their_bound),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
