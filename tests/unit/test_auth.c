/* Limits of failures, messages of the process of the accounts, passwd files and their driver. */
#include "unit.h"

#include "auth_limit.h"
#include "auth_message.h"
#include "auth_passwd.h"
#include "base_time.h"
#include "smtp_base64.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- limits ---- */

static void limits(void **state)
{
    (void)state;
    struct auth_limit l;
    uint64_t now = 1000 * BASE_NS_S;

    assert_int_equal(auth_limit_init(&l, 64, 3, 30 * BASE_NS_S), 0);
    for (int i = 0; i < 3; i++) {
        assert_false(auth_limit_reached(&l, 7, now));
        assert_false(auth_limit_count(&l, 7, now));
    }
    assert_true(auth_limit_reached(&l, 7, now));
    assert_true(auth_limit_count(&l, 7, now));
    assert_false(auth_limit_reached(&l, 8, now));
    assert_true(auth_limit_seen(&l, 7, now));
    assert_false(auth_limit_seen(&l, 8, now));
    /* One is forgotten after a third of the period, all after the whole. */
    assert_true(auth_limit_reached(&l, 7, now + 9 * BASE_NS_S));
    assert_false(auth_limit_reached(&l, 7, now + 10 * BASE_NS_S));
    assert_false(auth_limit_count(&l, 7, now + 10 * BASE_NS_S));
    assert_true(auth_limit_reached(&l, 7, now + 10 * BASE_NS_S));
    assert_false(auth_limit_seen(&l, 7, now + 41 * BASE_NS_S));
    auth_limit_fini(&l);
    /* No limit. */
    assert_int_equal(auth_limit_init(&l, 64, 0, BASE_NS_S), 0);
    assert_false(auth_limit_count(&l, 7, now));
    assert_false(auth_limit_reached(&l, 7, now));
    auth_limit_fini(&l);
}

/* Many strangers push out who has failed less, not who has failed most. */
static void limits_keep_the_worst(void **state)
{
    (void)state;
    struct auth_limit l;
    uint64_t now = 1000 * BASE_NS_S;

    assert_int_equal(auth_limit_init(&l, 16, 5, 600 * BASE_NS_S), 0);
    for (int i = 0; i < 5; i++)
        (void)auth_limit_count(&l, 99, now);
    for (uint64_t key = 1000; key < 3000; key++)
        (void)auth_limit_count(&l, key, now);
    assert_true(auth_limit_reached(&l, 99, now));
    auth_limit_fini(&l);
}

/* ---- messages ---- */

static void messages(void **state)
{
    (void)state;
    uint8_t bytes[AUTH_MESSAGE_MAX];
    struct auth_message m = {.kind = AUTH_MESSAGE_RESULT, .id = 77, .result = AUTH_ACCEPTED}, r;

    auth_message_set_login(&m, base_span_str("bob"));
    auth_message_set_data(&m, base_span_str("data"));
    size_t len = auth_message_write(bytes, &m);
    assert_int_equal(auth_message_read(&r, base_span_of(bytes, len)), 0);
    assert_int_equal(r.id, 77);
    assert_string_equal(r.login, "bob");
    assert_memory_equal(r.data, "data", 4);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(auth_message_read(&r, base_span_of(bytes, i)), -EINVAL);
    assert_int_equal(auth_message_read(&r, base_span_of(bytes, len + 1)), -EINVAL);
    m.login_len = 0; /* accepted, and nobody */
    assert_int_equal(auth_message_read(&r, base_span_of(bytes, auth_message_write(bytes, &m))),
                     -EINVAL);
    m.result = AUTH_RESULT_CNT;
    assert_int_equal(auth_message_read(&r, base_span_of(bytes, auth_message_write(bytes, &m))),
                     -EINVAL);
    m.result = AUTH_CHALLENGE;
    m.data_len = SMTP_SASL_CHALLENGE_MAX + 1;
    assert_int_equal(auth_message_read(&r, base_span_of(bytes, auth_message_write(bytes, &m))),
                     -EINVAL);
}

/* ---- files ---- */

#define HASH                                                                                       \
    "$6$rounds=1000$abcdefgh$"                                                                     \
    "0ODMuEpDSuSKhqFZFhLIpRc/M8/W5ffGQBXRcgw/yM1gfjMoTzTCrsvq1r9FP/6JBzU8jKpYFP0PYvRMZ2HxE."
#define KEYS                                                                                       \
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define SCRAM "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==," KEYS

static void files(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t cnt;     /* accounts; -1: refused */
        const char *why; /* that begins so */
    } rows[] = {
        {"", 0, NULL},
        {"# nobody\n\n", 0, NULL},
        {"a@b|{SHA512-CRYPT}" HASH "\n", 1, NULL},
        {"a@b|{SHA512-CRYPT}" HASH "|attr=x|y\r\nb|" HASH, 2, NULL},
        {"a:{CRYPT}" HASH ":1:2::/h:/s:userdb_x=1 y\n", 1, NULL},
        {"a:" HASH "\nb:" SCRAM "\n", 2, NULL},
        {"b:SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
         "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
         "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n",
         -1, "f:1: no SCRAM"}, /* its colons end the field of a passwd-file */
        {"b|SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
         "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
         "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n",
         1, NULL},
        {"a:" HASH "\nA|" HASH "\n", -1, "f: login"},
        {"a\n", -1, "f:1: neither"},
        {"#\na:" HASH "\n:x\n", -1, "f:3: no login"},
        {"a b:" HASH "\n", -1, "f:1: no login"},
        {"a:\n", -1, "f:1: crypt(3)"},
        {"a:x\n", -1, "f:1: crypt(3)"},
        {"a:*\n", -1, "f:1: crypt(3)"},
        {"a:{PLAIN}x\n", -1, "f:1: scheme PLAIN"},
        {"a:{SSHA}x\n", -1, "f:1: scheme SSHA"},
        {"a:{SHA512-CRYPT" HASH "\n", -1, "f:1: the scheme has no }"},
        {"a:{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==\n", -1, "f:1: no SCRAM"},
        {"a:{SCRAM-SHA-256}0,W22ZaJ0SNY7soEsUEjb6gQ==," KEYS "\n", -1, "f:1: no SCRAM"},
        {"a:{SCRAM-SHA-256}4096,," KEYS "\n", -1, "f:1: no SCRAM"},
        {"a:{SCRAM-SHA-256}99999999,W22ZaJ0SNY7soEsUEjb6gQ==," KEYS "\n", -1, "f:1: no SCRAM"},
        {"a:" HASH "::::::allow_nets=::1\n", -1, "f:1: the field allow_nets"},
    };
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        char why[AUTH_PASSWD_WHY_CAP] = "", warning[AUTH_PASSWD_WHY_CAP];
        struct auth_passwd_table *t =
            auth_passwd_parse("f", base_span_str(rows[i].text), why, warning);
        if ((t != NULL ? (int64_t)auth_passwd_cnt(t) : -1) != rows[i].cnt ||
            (rows[i].why != NULL && strncmp(why, rows[i].why, strlen(rows[i].why)) != 0))
            fail_msg("row %zu: %s", i, why);
        auth_passwd_free(t);
    }
    char why[AUTH_PASSWD_WHY_CAP], warning[AUTH_PASSWD_WHY_CAP];
    assert_null(auth_passwd_parse("f", base_span_of("a:\0", 3), why, warning));
    struct auth_passwd_table *t = auth_passwd_parse(
        "f", base_span_str("a:$1$abcdefgh$irWbblnpmw.5z7wgBnprh0\n"), why, warning);
    assert_non_null(t);
    assert_non_null(strstr(warning, "f:1: 1 weak"));
    auth_passwd_free(t);
}

/* ---- the driver ---- */

static struct auth_answer answer;
static char answer_login[256];
static uint8_t answer_challenge[SMTP_SASL_CHALLENGE_MAX];
static uint32_t answer_cnt;

static void done(void *user, struct auth_exchange *x, const struct auth_answer *a)
{
    (void)user;
    assert_true(a->result == AUTH_CHALLENGE || x->own == NULL);
    answer = *a;
    if (a->login.len > 0)
        memcpy(answer_login, a->login.p, a->login.len);
    answer_login[a->login.len] = 0;
    if (a->challenge.len > 0)
        memcpy(answer_challenge, a->challenge.p, a->challenge.len);
    answer_cnt++;
}

static void not_random(void *p, size_t len)
{
    memset(p, 5, len);
}

static void wait_for_answer(struct auth_driver *d, uint32_t cnt)
{
    for (int i = 0; i < 500 && answer_cnt < cnt; i++) {
        struct pollfd p = {.fd = d->ops->wait_fd(d->state), .events = POLLIN};
        (void)poll(&p, 1, 20);
        d->ops->run(d->state, 0);
    }
    assert_int_equal(answer_cnt, cnt);
}

static enum auth_result try_plain(struct auth_driver *d, const char *login, const char *password)
{
    struct auth_exchange x = {.mechanism = SMTP_SASL_PLAIN};
    char text[256];
    int n = snprintf(text, sizeof(text), "%c%s%c%s", 0, login, 0, password);
    uint32_t before = answer_cnt;

    d->ops->begin(d->state, &x, base_span_of(text, (size_t)n));
    wait_for_answer(d, before + 1);
    return answer.result;
}

static struct auth_passwd *open_driver(struct auth_driver *d, const char *file, uint32_t job_max)
{
    struct auth_passwd_settings s = {.exchange_max = 8,
                                     .thread_cnt = 2,
                                     .job_max = job_max,
                                     .random = not_random,
                                     .done = {done, NULL}};
    char why[AUTH_PASSWD_WHY_CAP], warning[AUTH_PASSWD_WHY_CAP];
    struct auth_passwd *p;

    assert_int_equal(auth_passwd_open(&p, &s), 0);
    if (file != NULL)
        auth_passwd_use(p, auth_passwd_parse("f", base_span_str(file), why, warning));
    *d = auth_passwd_driver(p);
    return p;
}

static void driver(void **state)
{
    (void)state;
    struct auth_driver d;
    struct auth_passwd *p = open_driver(&d, NULL, 8);
    char why[AUTH_PASSWD_WHY_CAP], warning[AUTH_PASSWD_WHY_CAP];

    assert_int_equal(try_plain(&d, "Ann", "pencil"), AUTH_UNAVAILABLE);
    auth_passwd_use(p, auth_passwd_parse("f",
                                         base_span_str("Ann:" SCRAM "\nbob:" HASH "\nno:" SCRAM
                                                       "::::::nologin\n"),
                                         why, warning));
    assert_int_equal(try_plain(&d, "aNN", "pencil"), AUTH_ACCEPTED);
    assert_string_equal(answer_login, "Ann");
    assert_int_equal(try_plain(&d, "ann", "penci"), AUTH_REFUSED);
    assert_string_equal(answer_login, "ann");
    assert_int_equal(try_plain(&d, "bob", "wrong"), AUTH_REFUSED);
    assert_int_equal(try_plain(&d, "no", "pencil"), AUTH_REFUSED);
    assert_int_equal(try_plain(&d, "nobody", "pencil"), AUTH_REFUSED);
    auth_passwd_use(p, auth_passwd_parse("f", base_span_str(""), why, warning));
    assert_int_equal(try_plain(&d, "ann", "pencil"), AUTH_REFUSED);
    auth_passwd_close(p);
}

/* SCRAM shows a login without an account a salt as it shows one to an account: the same each time.
 */
static void decoys(void **state)
{
    (void)state;
    struct auth_driver d;
    struct auth_passwd *p = open_driver(&d, "ann:" SCRAM "\n", 8);
    char seen[2][512] = {"", ""};

    for (int i = 0; i < 2; i++) {
        struct auth_exchange x = {.mechanism = SMTP_SASL_SCRAM_SHA_256};
        d.ops->begin(d.state, &x, base_span_str(i == 0 ? "n,,n=Nobody,r=r" : "n,,n=nobody,r=r"));
        assert_int_equal(answer.result, AUTH_CHALLENGE);
        memcpy(seen[i], answer_challenge, answer.challenge.len);
        d.ops->resume(d.state, &x,
                      base_span_str("c=biws,r=rBQUFBQUFBQUFBQUFBQUFBQUFBQUF,p="
                                    "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="));
        assert_int_equal(answer.result, AUTH_REFUSED);
    }
    assert_string_equal(seen[0], seen[1]);
    assert_non_null(strstr(seen[0], ",i=4096"));
    auth_passwd_close(p);
}

/* Hashes beyond the bound are refused at once, and those of clients that went away cost no place
 * for ever. */
static void bounded(void **state)
{
    (void)state;
    struct auth_driver d;
    struct auth_passwd *p = open_driver(&d, "ann:" SCRAM "\n", 3);
    struct auth_exchange x[8];
    uint32_t before = answer_cnt, busy = 0;

    for (int round = 0; round < 20; round++) {
        memset(x, 0, sizeof(x));
        for (int i = 0; i < 8; i++) {
            uint32_t cnt = answer_cnt;
            d.ops->begin(d.state, &x[i], base_span_of("\0ann\0pencil", 11));
            busy += answer_cnt > cnt && answer.result == AUTH_BUSY;
        }
        for (int i = 0; i < 8; i++)
            d.ops->cancel(d.state, &x[i]);
    }
    assert_true(busy > 0);
    before = answer_cnt;
    for (int i = 0; i < 500; i++) { /* until the cancelled ones are done */
        memset(&x[0], 0, sizeof(x[0]));
        d.ops->begin(d.state, &x[0], base_span_of("\0ann\0pencil", 11));
        if (answer_cnt == before)
            break;
        before = answer_cnt;
        assert_int_equal(answer.result, AUTH_BUSY);
        struct pollfd f = {.fd = d.ops->wait_fd(d.state), .events = POLLIN};
        (void)poll(&f, 1, 20);
        d.ops->run(d.state, 0);
    }
    wait_for_answer(&d, before + 1);
    assert_int_equal(answer.result, AUTH_ACCEPTED);
    auth_passwd_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits),   cmocka_unit_test(limits_keep_the_worst),
        cmocka_unit_test(messages), cmocka_unit_test(files),
        cmocka_unit_test(driver),   cmocka_unit_test(decoys),
        cmocka_unit_test(bounded),
    };
    return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}
