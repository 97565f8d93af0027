/* Header sections on final delivery: what is left out, and which Delivered-To are told of. */
#include "unit.h"

#include "mail_final.h"

#include <stdlib.h>

struct row {
    const char *in;
    const char *out; /* NULL: unchanged */
    const char *delivered[4];
};

static const struct row rows[] = {
    {"Subject: x\r\n\r\nReturn-Path: <a@b>\r\n", NULL, {NULL}},
    {"Return-Path: <a@b>\r\nSubject: x\r\n\r\nbody\r\n", "Subject: x\r\n\r\nbody\r\n", {NULL}},
    {"A: b\r\nRETURN-PATH:\r\n <a@b>\r\n\t(x)\r\nC: d\r\n\r\n", "A: b\r\nC: d\r\n\r\n", {NULL}},
    {"Return-Path \t: <a@b>\r\n\r\n", "\r\n", {NULL}},
    {"Return-Path:<>\r\nReturn-Path:<>\r\n\r\n", "\r\n", {NULL}},
    {"Return-Pathx: a\r\nXReturn-Path: a\r\nReturn-Pat: a\r\n\r\n", NULL, {NULL}},
    {"Return-Path\r\n: a\r\n\r\n", NULL, {NULL}},
    {"Resent-Return-Path: a\r\n b\r\n\r\n", NULL, {NULL}},
    {"\r\nReturn-Path: <a@b>\r\n\r\n", NULL, {NULL}},
    {"", NULL, {NULL}},
    {"Return-Path", NULL, {NULL}},
    {"Return-Path: a", "", {NULL}},
    {"Delivered-To: a@b", NULL, {"a@b"}},
    {"Delivered-To: Bob@Example.ORG\r\n\r\nDelivered-To: c@d\r\n", NULL, {"bob@example.org"}},
    {"delivered-to:\r\n <amy@example.org>\r\nDelivered-To: bob@example.org\r\n\r\n",
     NULL,
     {"amy@example.org", "bob@example.org"}},
    {"Delivered-To: a@\r\n b\r\nReturn-Path: x\r\nDelivered-To:\r\n\r\n",
     "Delivered-To: a@\r\n b\r\nDelivered-To:\r\n\r\n",
     {"a@b", ""}},
    {"X-Delivered-To: a@b\r\nDelivered-Tox: a@b\r\n\r\n", NULL, {NULL}},
};

struct seen {
    uint64_t hash[8];
    uint32_t cnt;
};

static void found(void *user, uint64_t hash)
{
    struct seen *s = user;

    assert_in_range(s->cnt, 0, 7);
    s->hash[s->cnt++] = hash;
}

/* cut: where the input is in two pieces; room: of each piece of output. */
static void strip(const struct row *row, size_t cut, size_t room)
{
    const char *want = row->out != NULL ? row->out : row->in;
    size_t len = strlen(row->in), at = 0, got_len = 0;
    char *got = malloc(len + MAIL_FINAL_NAME_MAX + 1);
    uint8_t piece[64];
    struct mail_final m;

    assert_non_null(got);
    mail_final_init(&m);
    while (at < len) {
        size_t end = at < cut ? cut : len, used = 0;
        struct base_buf out = {.p = piece, .cap = room};
        mail_final_strip(&m, base_span_of((const uint8_t *)row->in + at, end - at), &used, &out);
        assert_true(used > 0);
        memcpy(got + got_len, piece, out.len);
        got_len += out.len;
        at += used;
    }
    struct base_buf out = {.p = piece, .cap = MAIL_FINAL_NAME_MAX};
    mail_final_strip_end(&m, &out);
    memcpy(got + got_len, piece, out.len);
    got_len += out.len;
    assert_int_equal(got_len, strlen(want));
    assert_memory_equal(got, want, got_len);
    free(got);
}

static void look(const struct row *row, size_t cut)
{
    struct seen s = {.cnt = 0};
    struct mail_final m;
    size_t cnt = 0;

    mail_final_init(&m);
    mail_final_look(&m, base_span_of((const uint8_t *)row->in, cut), found, &s);
    mail_final_look(&m, base_span_str(row->in + cut), found, &s);
    mail_final_look_end(&m, found, &s);
    while (row->delivered[cnt] != NULL)
        cnt++;
    assert_int_equal(s.cnt, cnt);
    assert_int_equal(m.delivered_cnt, cnt);
    for (size_t i = 0; i < cnt; i++)
        assert_true(s.hash[i] == mail_final_hash(base_span_str(row->delivered[i])));
}

static void table(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++)
        for (size_t cut = 0; cut <= strlen(rows[i].in); cut++) {
            strip(&rows[i], cut, MAIL_FINAL_NAME_MAX + 1);
            strip(&rows[i], cut, 64);
            look(&rows[i], cut);
        }
}

static void ignore(void *user, uint64_t hash)
{
    (void)hash;
    (*(uint32_t *)user)++;
}

static void told_of_so_many(void **state)
{
    struct mail_final m;
    uint32_t cnt = 0;

    (void)state;
    mail_final_init(&m);
    for (int i = 0; i < 1000; i++)
        mail_final_look(&m, base_span_str("Delivered-To: a@b\r\n"), ignore, &cnt);
    mail_final_look_end(&m, ignore, &cnt);
    assert_int_equal(cnt, MAIL_FINAL_FIELD_MAX);
    assert_int_equal(m.delivered_cnt, MAIL_FINAL_FIELD_MAX);
}

static void same_address(void **state)
{
    (void)state;
    uint64_t hash = mail_final_hash(base_span_str("bob@example.org"));
    assert_true(hash == mail_final_hash(base_span_str(" <Bob@EXAMPLE.org> ")));
    assert_true(hash != mail_final_hash(base_span_str("bob+x@example.org")));
    assert_true(hash != mail_final_hash(base_span_str("bob@example.or")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(told_of_so_many),
        cmocka_unit_test(same_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
