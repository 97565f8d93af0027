/* Rewritten senders: what becomes of an address, what comes back, and what does not. */
#include "unit.h"

#include "mail_srs.h"

#include <stdio.h>

#define DAY UINT64_C(86400000000000)
#define NOW (UINT64_C(20000) * DAY + 12345)

static struct mail_srs srs(void)
{
    struct mail_srs s = {.domain = base_span_str("our.example"), .key_cnt = 1, .age_max_days = 21};

    memset(s.key[0], 7, 16);
    return s;
}

static char text[2][MAIL_SRS_OUT_CAP + 1];

static const char *forward(const struct mail_srs *s, const char *sender, uint64_t wall_ns)
{
    struct base_buf out = {.p = (uint8_t *)text[0], .cap = MAIL_SRS_OUT_CAP};

    if (mail_srs_forward(s, base_span_str(sender), wall_ns, &out) != 0) {
        assert_int_equal(out.len, 0);
        return NULL;
    }
    text[0][out.len] = 0;
    return text[0];
}

static enum mail_srs_result reverse(const struct mail_srs *s, const char *mailbox, uint64_t wall_ns)
{
    struct base_buf out = {.p = (uint8_t *)text[1], .cap = MAIL_SRS_OUT_CAP};
    const char *at = strrchr(mailbox, '@');
    size_t len = at != NULL ? (size_t)(at - mailbox) : strlen(mailbox);
    enum mail_srs_result r = mail_srs_reverse(s, base_span_of(mailbox, len), wall_ns, &out);

    assert_true(r == MAIL_SRS_OK || out.len == 0);
    text[1][out.len] = 0;
    return r;
}

static void copy(char to[MAIL_SRS_OUT_CAP + 1], const char *from)
{
    assert_non_null(from);
    snprintf(to, MAIL_SRS_OUT_CAP + 1, "%s", from);
}

static void there_and_back(void **state)
{
    struct mail_srs s = srs(), other = srs();
    char kept[MAIL_SRS_OUT_CAP + 1], lower[MAIL_SRS_OUT_CAP + 1];
    (void)state;
    memset(other.key[0], 8, 16);
    other.domain = base_span_str("hop.example");
    const char *out = forward(&s, "a.b+c=d@B.example", NOW);
    assert_non_null(out);
    assert_true(strncmp(out, "SRS0=", 5) == 0 && out[11] == '=' && out[14] == '=');
    assert_string_equal(out + 14, "=B.example=a.b+c=d@our.example");
    copy(kept, out);
    assert_int_equal(reverse(&s, kept, NOW + 21 * DAY), MAIL_SRS_OK);
    assert_string_equal(text[1], "a.b+c=d@B.example");
    assert_int_equal(reverse(&s, kept, NOW + 22 * DAY), MAIL_SRS_EXPIRED);
    assert_int_equal(reverse(&s, kept, NOW - DAY), MAIL_SRS_OK);
    assert_int_equal(reverse(&s, kept, NOW - 2 * DAY), MAIL_SRS_EXPIRED);
    assert_int_equal(reverse(&other, kept, NOW), MAIL_SRS_FORGED);
    /* A relay in between has made it lower case. */
    for (size_t i = 0; i <= strlen(kept); i++)
        lower[i] = (char)(kept[i] >= 'A' && kept[i] <= 'Z' ? kept[i] | 0x20 : kept[i]);
    assert_int_equal(reverse(&s, lower, NOW), MAIL_SRS_OK);
    assert_string_equal(text[1], "a.b+c=d@b.example");
    /* Forwarded again, and once more: the second one that did it tells the first. */
    copy(lower, forward(&other, kept, NOW));
    assert_true(strncmp(lower, "SRS1=", 5) == 0);
    assert_true(strncmp(lower + 11, "=our.example==", 14) == 0);
    assert_int_equal(reverse(&other, lower, NOW + 500 * DAY), MAIL_SRS_OK);
    assert_string_equal(text[1], kept);
    const char *third = forward(&s, lower, NOW);
    assert_non_null(third);
    assert_int_equal(reverse(&s, third, NOW), MAIL_SRS_OK);
    assert_string_equal(text[1], kept);
}

/* Each octet that is another one, each that is missing. */
static void changed(void **state)
{
    struct mail_srs s = srs();
    char kept[MAIL_SRS_OUT_CAP + 1], wrong[MAIL_SRS_OUT_CAP + 1];
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        copy(kept,
             forward(&s, kind == 0 ? "alice@b.example" : "SRS0=x=AA=c.example=bob@b.example", NOW));
        size_t len = strlen(kept) - strlen("@our.example");
        for (size_t i = 0; i < len; i++) {
            copy(wrong, kept);
            wrong[i] = wrong[i] == 'q' ? 'z' : 'q';
            assert_int_not_equal(reverse(&s, wrong, NOW), MAIL_SRS_OK);
            memmove(wrong + i, kept + i + 1, strlen(kept) - i);
            assert_int_not_equal(reverse(&s, wrong, NOW), MAIL_SRS_OK);
        }
    }
}

static void no_such_thing(void **state)
{
    static const char *const unfit[] = {
        "a",
        "@b.example",
        "a@",
        "\"a b\"@b.example",
        "a@[192.0.2.1]",
        "a..b@b.example",
        ".a@b.example",
        "\xc3\xa4@b.example",
        "a@\xc3\xa4.example",
        "SRS0=@b.example",
        "SRS1=x=y.example==@b.example",
        "SRS1=x@b.example",
        "SRS1=x=y@b.example",
        "SRS1=x=y=z@b.example",
        "a234567890123456789012345678901234567890@b.example",
    };
    static const struct {
        const char *local;
        enum mail_srs_result result;
    } odd[] = {
        {"alice", MAIL_SRS_NONE},
        {"SRS0", MAIL_SRS_NONE},
        {"SRS", MAIL_SRS_NONE},
        {"", MAIL_SRS_NONE},
        {"SRS2=a=b=c=d", MAIL_SRS_NONE},
        {"SRS0x=a=b=c=d", MAIL_SRS_NONE},
        {"SRS0=", MAIL_SRS_FORGED},
        {"SRS0=AAAAAA=AA=b.example=a", MAIL_SRS_FORGED},
        {"SRS0=====", MAIL_SRS_FORGED},
        {"SRS1=AAAAAA=b.example==x", MAIL_SRS_FORGED},
        {"SRS1=AAAAAA==", MAIL_SRS_FORGED},
        {"srs0-AAAAAA=AA=b=a", MAIL_SRS_FORGED},
        {"SRS0=AAAAAA=AA=b@c=a", MAIL_SRS_FORGED},
    };
    struct mail_srs s = srs();
    (void)state;
    for (size_t i = 0; i < sizeof(unfit) / sizeof(unfit[0]); i++)
        if (forward(&s, unfit[i], NOW) != NULL)
            fail_msg("%s became %s", unfit[i], text[0]);
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        if (reverse(&s, odd[i].local, NOW) != odd[i].result)
            fail_msg("%s", odd[i].local);
    /* As long as it may be, and one more. */
    char sender[80];
    snprintf(sender, sizeof(sender), "%.*s@b.example", 39,
             "a2345678901234567890123456789012345678901");
    assert_non_null(forward(&s, sender, NOW));
    assert_int_equal(strlen(text[0]), 64 + strlen("@our.example"));
    assert_int_equal(reverse(&s, text[0], NOW), MAIL_SRS_OK);
    assert_string_equal(text[1], sender);
}

static void keys_change(void **state)
{
    struct mail_srs old = srs(), now = srs();
    char kept[MAIL_SRS_OUT_CAP + 1];
    (void)state;
    copy(kept, forward(&old, "a@b.example", NOW));
    memset(now.key[0], 9, 16);
    assert_int_equal(reverse(&now, kept, NOW), MAIL_SRS_FORGED);
    memset(now.key[1], 7, 16);
    now.key_cnt = 2;
    assert_int_equal(reverse(&now, kept, NOW), MAIL_SRS_OK);
    assert_string_not_equal(forward(&now, "a@b.example", NOW), kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(changed),
        cmocka_unit_test(no_such_thing),
        cmocka_unit_test(keys_change),
    };

    return cmocka_run_group_tests_name("mail_srs", tests, NULL, NULL);
}
