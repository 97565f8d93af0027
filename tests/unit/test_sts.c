/* MTA-STS as text and in the cache: records, policies, patterns, what is fetched when, and the file
 * that it is kept in. */
#include "unit.h"

#include "base_assert.h"
#include "sts_cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- records ---- */

static void records(void **state)
{
    static const struct {
        const char *text, *id; /* id NULL: refused */
    } rows[] = {
        {"v=STSv1; id=20160831085700Z;", "20160831085700Z"},
        {"v=STSv1;id=a", "a"},
        {"v=STSv1; \tid=a \t;", "a"},
        {"v=STSv1; ext=x:y; id=a; other.one-2=/z", "a"},
        {"v=STSv1; id=01234567890123456789012345678901", "01234567890123456789012345678901"},
        {"v=STSv1; id=012345678901234567890123456789012", NULL},
        {"v=STSv1", NULL},
        {"v=STSv1;", NULL},
        {"v=STSv1; id=", NULL},
        {"v=STSv1; id=a-b", NULL},
        {"v=STSv1; id=a; id=b", NULL},
        {"v=STSv1; ID=a", NULL},
        {"V=STSv1; id=a", NULL},
        {"v=STSv10; id=a", NULL},
        {"v=STSv1 ; id=a", NULL},
        {" v=STSv1; id=a", NULL},
        {"v=STSv1; id=a;;", NULL},
        {"v=STSv1; id=a; x", NULL},
        {"v=STSv1; id=a; =x", NULL},
        {"v=STSv1; id=a; x=", NULL},
        {"v=STSv1; id=a; x=y z", NULL},
        {"v=STSv1; id=a; -x=y", NULL},
        {"id=a; v=STSv1;", NULL},
        {"", NULL},
    };
    char id[STS_ID_CAP];

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        int got = sts_record_parse(id, base_span_str(rows[i].text));
        if (got != (rows[i].id != NULL ? 0 : -EINVAL))
            fail_msg("%s: %d", rows[i].text, got);
        if (got == 0)
            assert_string_equal(id, rows[i].id);
    }
}

static void add(struct dns_answer *a, const char *text)
{
    uint8_t rdata[256] = {(uint8_t)strlen(text)};

    memcpy(rdata + 1, text, strlen(text));
    assert_int_equal(dns_answer_add(a, base_span_of(rdata, strlen(text) + 1)), 0);
}

static void answers(void **state)
{
    uint8_t room[1024];
    struct dns_answer a = {.data = room, .data_cap = sizeof(room)};
    char id[STS_ID_CAP];

    (void)state;
    dns_answer_set(&a, DNS_SERVFAIL, NULL);
    assert_int_equal(sts_record_read(id, &a), STS_RECORD_ERROR);
    dns_answer_set(&a, DNS_NXDOMAIN, NULL);
    assert_int_equal(sts_record_read(id, &a), STS_RECORD_NONE);
    dns_answer_set(&a, DNS_OK, NULL);
    add(&a, "v=spf1 -all");
    assert_int_equal(sts_record_read(id, &a), STS_RECORD_NONE);
    add(&a, "v=STSv1; id=a");
    assert_int_equal(sts_record_read(id, &a), STS_RECORD_VALID);
    assert_string_equal(id, "a");
    add(&a, "v=STSv1; id=a");
    assert_int_equal(sts_record_read(id, &a), STS_RECORD_INVALID);
    assert_string_equal(id, "");
}

/* ---- policies ---- */

#define BEGIN "version: STSv1\nmode: enforce\nmax_age: 86400\n"

static void policies(void **state)
{
    static const struct {
        const char *text, *why; /* why NULL: taken */
        enum sts_mode mode;
        uint32_t max_age_s, mx_cnt;
    } rows[] = {
        {BEGIN "mx: a.example\nmx: *.b.example\n", NULL, STS_MODE_ENFORCE, 86400, 2},
        {"version: STSv1\r\nmode: testing\r\nmx: A.example\r\nmax_age: 0\r\n", NULL,
         STS_MODE_TESTING, 0, 1},
        {"version:STSv1\nmode:none\nmax_age:31557600", NULL, STS_MODE_NONE, 31557600, 0},
        {BEGIN "mx: a.example  \n\nfoo_bar: any thing: \xc3\xa4\n", NULL, STS_MODE_ENFORCE, 86400,
         1},
        {BEGIN "mx: a.example\nmode: none\nmax_age: 1\nversion: STSv2\n", NULL, STS_MODE_ENFORCE,
         86400, 1},
        {"", "it has no version", 0, 0, 0},
        {"mode: none\nmax_age: 1\n", "it has no version", 0, 0, 0},
        {"version: STSv1\nmax_age: 1\n", "it has no mode", 0, 0, 0},
        {"version: STSv1\nmode: none\n", "it has no max_age", 0, 0, 0},
        {BEGIN, "it has no mx", 0, 0, 0},
        {"version: STSv2\n", "its version is not STSv1", 0, 0, 0},
        {"Version: STSv1\nmode: none\nmax_age: 1\n", "it has no version", 0, 0, 0},
        {"version: STSv1\nmode: Enforce\n", "its mode is none of enforce, testing, none", 0, 0, 0},
        {"version: STSv1\nmax_age: 31557601\n", "its max_age is over 31557600", 0, 0, 0},
        {"version: STSv1\nmax_age: -1\n", "its max_age is no number", 0, 0, 0},
        {"version: STSv1\nmax_age: 1d\n", "its max_age is no number", 0, 0, 0},
        {"version: STSv1\nmax_age: \n", "its max_age is no number", 0, 0, 0},
        {"version: STSv1\nmax_age: 99999999999\n", "its max_age is no number", 0, 0, 0},
        {BEGIN "mx: *\n", "one of its mx is no name of a host", 0, 0, 0},
        {BEGIN "mx: a.*.example\n", "one of its mx is no name of a host", 0, 0, 0},
        {BEGIN "mx: **.example\n", "one of its mx is no name of a host", 0, 0, 0},
        {BEGIN "mx: \n", "one of its mx is no name of a host", 0, 0, 0},
        {BEGIN "mx: a.example,b.example\n", "one of its mx is no name of a host", 0, 0, 0},
        {"version STSv1\n", "it has a line without a colon", 0, 0, 0},
        {"version : STSv1\n", "it has a line without a key", 0, 0, 0},
        {"version: STSv1\rmode: none\n", "it has a control character", 0, 0, 0},
    };
    char room[512];
    struct sts_policy p;
    const char *why;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        int got = sts_policy_parse(&p, base_span_str(rows[i].text), room, sizeof(room), &why);
        if ((got == 0) != (rows[i].why == NULL) || (got != 0 && strcmp(why, rows[i].why) != 0))
            fail_msg("%s: %d %s", rows[i].text, got, why != NULL ? why : "");
        if (got == 0 && (p.mode != rows[i].mode || p.max_age_s != rows[i].max_age_s ||
                         p.mx_cnt != rows[i].mx_cnt))
            fail_msg("%s: %u %u %u", rows[i].text, p.mode, p.max_age_s, p.mx_cnt);
    }
}

static void limits(void **state)
{
    char *text = malloc(STS_POLICY_MAX + 2), *room = malloc(STS_POLICY_MAX + 2);
    struct sts_policy p;
    const char *why;

    (void)state;
    assert_true(text != NULL && room != NULL);
    size_t len = (size_t)snprintf(text, STS_POLICY_MAX, "%s", BEGIN);
    for (int i = 0; i < STS_MX_MAX; i++)
        len += (size_t)snprintf(text + len, STS_POLICY_MAX - len, "mx: a%d.example\n", i);
    assert_int_equal(sts_policy_parse(&p, base_span_of(text, len), room, len + 1, &why), 0);
    assert_int_equal(p.mx_cnt, STS_MX_MAX);
    assert_true(sts_policy_match(&p, "a127.example") && !sts_policy_match(&p, "a128.example"));
    len += (size_t)snprintf(text + len, STS_POLICY_MAX - len, "mx: one.example\n");
    assert_int_equal(sts_policy_parse(&p, base_span_of(text, len), room, len + 1, &why), -EINVAL);
    memset(text, 'x', STS_POLICY_MAX + 1);
    assert_int_equal(
        sts_policy_parse(&p, base_span_of(text, STS_POLICY_MAX + 1), room, STS_POLICY_MAX, &why),
        -EINVAL);
    assert_string_equal(why, "it is too long");
    free(text);
    free(room);
}

static void patterns(void **state)
{
    static const struct {
        const char *pattern, *host;
        bool match;
    } rows[] = {
        {"mx.example.com", "mx.example.com", true},
        {"MX.example.com", "mx.example.com", true},
        {"mx.example.com", "amx.example.com", false},
        {"mx.example.com", "a.mx.example.com", false},
        {"*.example.com", "mx.example.com", true},
        {"*.example.com", "example.com", false},
        {"*.example.com", "a.b.example.com", false},
        {"*.example.com", ".example.com", false},
        {"*.example.com", "mx.example.com.org", false},
        {"*.example.com", "xexample.com", false},
        {"*.com", "example.com", true},
    };
    char text[256], room[256];
    struct sts_policy p;
    const char *why;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        snprintf(text, sizeof(text), BEGIN "mx: %s\n", rows[i].pattern);
        assert_int_equal(sts_policy_parse(&p, base_span_str(text), room, sizeof(room), &why), 0);
        if (sts_policy_match(&p, rows[i].host) != rows[i].match)
            fail_msg("%s %s", rows[i].pattern, rows[i].host);
    }
}

/* ---- the cache ---- */

#define T UINT64_C(1700000000)

static const uint8_t key[16] = "policies";

static struct sts_policy policy_of(const char *mx, enum sts_mode mode, uint32_t max_age_s)
{
    return (struct sts_policy){.mode = (uint8_t)mode,
                               .max_age_s = max_age_s,
                               .mx = mx,
                               .mx_cnt = 1,
                               .mx_len = (uint32_t)strlen(mx) + 1};
}

static void holds(void **state)
{
    struct sts_policy p = policy_of("mx.a.example", STS_MODE_ENFORCE, 1000);
    struct sts_cache c;

    (void)state;
    assert_int_equal(sts_cache_init(&c, key), 0);
    assert_null(sts_cache_find(&c, "a.example"));
    assert_true(sts_entry_wants(NULL, STS_RECORD_VALID, "1", T));
    assert_false(sts_entry_wants(NULL, STS_RECORD_NONE, "", T));
    struct sts_entry *e = sts_cache_get(&c, "a.example");
    assert_int_equal(sts_entry_expires_s(e, T), 0);
    assert_int_equal(sts_cache_store(&c, e, "1", &p, T), 0);
    assert_true(c.changed);
    assert_int_equal(sts_entry_expires_s(e, T + 999), T + 1000);
    assert_int_equal(sts_entry_expires_s(e, T + 1000), 0);
    assert_false(sts_entry_wants(e, STS_RECORD_VALID, "1", T + 999)); /* it has it */
    assert_true(sts_entry_wants(e, STS_RECORD_VALID, "1", T + 1000)); /* it has lapsed */
    assert_true(sts_entry_wants(e, STS_RECORD_VALID, "2", T));
    /* The record is gone, or can't be looked up: it holds, and nothing is fetched. */
    assert_false(sts_entry_wants(e, STS_RECORD_NONE, "", T));
    assert_false(sts_entry_wants(e, STS_RECORD_ERROR, "", T));
    /* The clock has gone back: no longer than max_age from then. */
    assert_int_equal(sts_entry_expires_s(e, T - 100000), T - 100000 + 1000);
    sts_cache_fini(&c);
}

static void backs_off(void **state)
{
    struct sts_policy p = policy_of("mx.a.example", STS_MODE_ENFORCE, 86400);
    struct sts_cache c;
    uint64_t at = T, pause_s = STS_RETRY_MIN_S;

    (void)state;
    assert_int_equal(sts_cache_init(&c, key), 0);
    struct sts_entry *e = sts_cache_get(&c, "a.example");
    for (int i = 0; i < 8; i++) {
        sts_cache_failed(&c, e, "1", STS_FAILURE_FETCH, "no", at);
        assert_false(sts_entry_wants(e, STS_RECORD_VALID, "1", at + pause_s - 1));
        assert_false(sts_entry_wants(e, STS_RECORD_VALID, "2", at + STS_RETRY_OTHER_S - 1));
        assert_true(sts_entry_wants(e, STS_RECORD_VALID, "2", at + STS_RETRY_OTHER_S));
        at += pause_s;
        assert_true(sts_entry_wants(e, STS_RECORD_VALID, "1", at));
        pause_s = pause_s * 2 < STS_RETRY_MAX_S ? pause_s * 2 : STS_RETRY_MAX_S;
    }
    /* Ids that change each time wait, too; one that was fetched is over. */
    sts_cache_failed(&c, e, "2", STS_FAILURE_CERTIFICATE, "no", at);
    assert_true(sts_entry_wants(e, STS_RECORD_VALID, "2", at + STS_RETRY_MIN_S));
    assert_int_equal(sts_cache_store(&c, e, "3", &p, at), 0);
    assert_true(sts_entry_wants(e, STS_RECORD_VALID, "4", at));
    /* Before it lapses it is fetched anew, while mail goes by it. */
    assert_int_equal(sts_entry_refresh_s(e, at), at + 43200);
    sts_cache_failed(&c, e, "3", STS_FAILURE_POLICY, "no", at + 43200);
    assert_int_equal(sts_entry_refresh_s(e, at + 43200), at + 43200 + STS_RETRY_MIN_S);
    p.max_age_s = 31557600;
    assert_int_equal(sts_cache_store(&c, e, "3", &p, at), 0);
    assert_int_equal(sts_entry_refresh_s(e, at), at + STS_REFRESH_MAX_S);
    assert_int_equal(sts_entry_refresh_s(e, at + STS_UNUSED_S + 1), UINT64_MAX);
    p.max_age_s = 10;
    assert_int_equal(sts_cache_store(&c, e, "3", &p, at), 0);
    assert_int_equal(sts_entry_refresh_s(e, at), at + STS_REFRESH_MIN_S);
    sts_cache_fini(&c);
}

static void bounded(void **state)
{
    struct sts_cache c;
    char name[32];

    (void)state;
    assert_int_equal(sts_cache_init(&c, key), 0);
    for (int i = 0; i < STS_CACHE_MAX + 10; i++) {
        snprintf(name, sizeof(name), "d%d.example", i);
        assert_non_null(sts_cache_get(&c, name));
        if (i == 5)
            sts_cache_touch(&c, sts_cache_find(&c, "d0.example"), T);
    }
    assert_int_equal(c.cnt, STS_CACHE_MAX);
    assert_null(sts_cache_find(&c, "d1.example"));
    assert_non_null(sts_cache_find(&c, "d11.example"));
    /* All of them, each once, from wherever the walk was left. */
    uint32_t at = 0, cnt = 0;
    struct sts_entry *e;
    for (; (e = sts_cache_next(&c, &at)) != NULL; cnt++) {
        assert_false(e->asked_for);
        e->asked_for = true;
    }
    assert_int_equal(cnt, c.cnt);
    assert_null(sts_cache_next(&c, &at));
    sts_cache_fini(&c);
}

static void stored(void **state)
{
    struct sts_policy p = policy_of("mx.a.example", STS_MODE_ENFORCE, 1000), none = {0};
    struct sts_cache c, d;
    size_t len;

    (void)state;
    p.mx = "mx.a.example\0*.b.example";
    p.mx_cnt = 2;
    p.mx_len = sizeof("mx.a.example\0*.b.example");
    none.max_age_s = 5000;
    assert_int_equal(sts_cache_init(&c, key), 0);
    assert_int_equal(sts_cache_store(&c, sts_cache_get(&c, "a.example"), "id1", &p, T), 0);
    assert_int_equal(sts_cache_store(&c, sts_cache_get(&c, "n.example"), "id2", &none, T), 0);
    sts_cache_failed(&c, sts_cache_get(&c, "f.example"), "id3", STS_FAILURE_FETCH, "no",
                     T); /* not worth keeping */
    char *text = sts_cache_write(&c, T, &len);
    assert_non_null(text);
    assert_int_equal(sts_cache_init(&d, key), 0);
    assert_int_equal(sts_cache_read(&d, base_span_of(text, len), T + 10), 2);
    const struct sts_entry *e = sts_cache_find(&d, "a.example");
    assert_true(e != NULL && e->fetched_s == T && e->policy.mode == STS_MODE_ENFORCE &&
                sts_policy_match(&e->policy, "x.b.example"));
    assert_string_equal(e->id, "id1");
    assert_int_equal(sts_cache_find(&d, "n.example")->policy.mx_cnt, 0);
    assert_null(sts_cache_find(&d, "f.example"));
    assert_false(d.changed);
    sts_cache_fini(&d);
    /* Any byte that is another one, and any end that is missing, refuses it all. */
    for (size_t i = 0; i < 2 * len; i++) {
        char *bad = malloc(len);
        assert_non_null(bad);
        memcpy(bad, text, len);
        if (i < len)
            bad[i] ^= 1;
        assert_int_equal(sts_cache_init(&d, key), 0);
        assert_int_equal(sts_cache_read(&d, base_span_of(bad, i < len ? len : i - len), T),
                         -EINVAL);
        assert_int_equal(d.cnt, 0);
        sts_cache_fini(&d);
        free(bad);
    }
    free(text);
    /* What has lapsed is not written. */
    text = sts_cache_write(&c, T + 2000, &len);
    assert_null(strstr(text, "a.example"));
    free(text);
    sts_cache_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records),   cmocka_unit_test(answers),  cmocka_unit_test(policies),
        cmocka_unit_test(limits),    cmocka_unit_test(patterns), cmocka_unit_test(holds),
        cmocka_unit_test(backs_off), cmocka_unit_test(bounded),  cmocka_unit_test(stored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
