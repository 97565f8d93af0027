/* What guards the web page: names it is asked under, origins, users of this machine, and passwords.
 */
#include "unit.h"

#include "web_access.h"
#include "web_guess.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static void test_hosts(void **state)
{
    (void)state;
    static const struct {
        const char *host, *name; /* NULL: it is none */
        bool literal;
    } rows[] = {
        {"localhost", "localhost", false},
        {"LocalHost:8025", "localhost", false},
        {"mx.example.org.", "mx.example.org", false},
        {"mx.example.org.:443", "mx.example.org", false},
        {"127.0.0.1", "127.0.0.1", true},
        {"127.0.0.1:8025", "127.0.0.1", true},
        {"127.0.0.1.", "127.0.0.1", true},
        {"[::1]", "::1", true},
        {"[2001:DB8::1]:8025", "2001:db8::1", true},
        {"127.0.0.1.evil.example", "127.0.0.1.evil.example", false},
        {"2130706433", "2130706433", false},
        {"0x7f.1", "0x7f.1", false},
        {"", NULL, false},
        {":8025", NULL, false},
        {"a:", "a", false},
        {"a:1x", NULL, false},
        {"a:1:2", NULL, false},
        {"::1", NULL, false},
        {"[::1", NULL, false},
        {"[::1]x", NULL, false},
        {"[]", NULL, false},
        {"[127.0.0.1]", NULL, false},
        {"[localhost]", NULL, false},
        {"user@localhost", NULL, false},
        {"a]b", NULL, false},
        {"a b", NULL, false},
    };
    char name[WEB_HOST_CAP], lengthy[WEB_HOST_CAP + 1];
    bool literal;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        bool is = web_host_read(name, rows[i].host, &literal);
        if (is != (rows[i].name != NULL) ||
            (is && (strcmp(name, rows[i].name) != 0 || literal != rows[i].literal)))
            fail_msg("%s: %d %s", rows[i].host, is, is ? name : "");
    }
    memset(lengthy, 'a', sizeof(lengthy));
    lengthy[WEB_HOST_CAP] = 0;
    assert_false(web_host_read(name, lengthy, &literal));
    lengthy[WEB_HOST_CAP - 1] = 0;
    assert_true(web_host_read(name, lengthy, &literal));
}

static void test_origins(void **state)
{
    (void)state;
    static const struct {
        const char *site, *origin, *host;
        bool same;
    } rows[] = {
        {NULL, NULL, "localhost:8025", true},
        {"same-origin", "http://localhost:8025", "localhost:8025", true},
        {"none", NULL, "localhost:8025", true},
        {NULL, "https://MX.example.org", "mx.example.org", true},
        {"same-site", NULL, "localhost:8025", false},
        {"cross-site", NULL, "localhost:8025", false},
        {"", NULL, "localhost:8025", false},
        {NULL, "null", "localhost:8025", false},
        {NULL, "", "localhost:8025", false},
        {NULL, "http://localhost:8026", "localhost:8025", false},
        {NULL, "http://localhost", "localhost:8025", false},
        {NULL, "http://evil.example://localhost:8025", "localhost:8025", false},
        {NULL, "http://localhost:8025", NULL, false},
        {"same-origin", "http://evil.example", "localhost:8025", false},
    };
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++)
        if (web_same_origin(rows[i].site, rows[i].origin, rows[i].host) != rows[i].same)
            fail_msg("%zu", i);
}

static struct sockaddr_storage end_of(const char *text, uint16_t port)
{
    struct sockaddr_storage a = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;

    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
    }
    return a;
}

/* As a kernel wrote them, but for the users. */
static const char table[] =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
    "inode\n"
    "   0: 0100007F:1F59 00000000:0000 0A 00000000:00000000 00:00000000 00000000     7        0 91 "
    "1 0000000000000000 100 0 0 10 0\n"
    "   1: 0100007F:1F59 0100007F:D2F0 01 00000000:00000000 00:00000000 00000000     7        0 92 "
    "1 0000000000000000 20 4 0 10 -1\n"
    "   2: 0100007F:D2F0 0100007F:1F59 01 00000000:00000000 00:00000000 00000000  1000        0 93 "
    "1 0000000000000000 20 4 30 10 -1\n"
    "   3: 0100007F:D2F1 0100007F:1F59 04 00000000:00000000 00:00000000 00000000     0        0 94 "
    "1 0000000000000000 20 4 30 10 -1\n"
    "   4: 0100007F:D2F2 0100007F:1F59 01 00000000:00000000 00:00000000 00000000     0        0 0 "
    "1 0000000000000000 20 4 30 10 -1\n"
    "   5: 0000000000000000FFFF00000100007F:D2F3 0000000000000000FFFF00000100007F:1F59 01 "
    "00000000:00000000 00:00000000 00000000  1001        0 95 1 0000000000000000 20 4 30 10 -1\n"
    "   6: 00000000000000000000000001000000:D2F4 00000000000000000000000001000000:1F59 01 "
    "00000000:00000000 00:00000000 00000000  1002        0 96 1 0000000000000000 20 4 30 10 -1\n"
    "   7: 0100007F:D2F5 0100007F:1F59 01 00000000";

static void test_users(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        uint16_t port;
        long uid; /* -1: none */
    } rows[] = {
        {"127.0.0.1", 0xD2F0, 1000}, {"127.0.0.1", 0xD2F1, -1}, /* being closed */
        {"127.0.0.1", 0xD2F2, -1},                              /* closed: nobody's */
        {"127.0.0.1", 0xD2F3, 1001},                            /* by an IPv6 socket */
        {"::1", 0xD2F4, 1002},       {"127.0.0.1", 0xD2F5, -1}, /* half a line */
        {"127.0.0.1", 0xD2F6, -1},   {"127.0.0.2", 0xD2F0, -1},
    };
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        char copy[sizeof(table)];
        memcpy(copy, table, sizeof(table));
        FILE *in = fmemopen(copy, sizeof(table) - 1, "r");
        struct sockaddr_storage own =
            end_of(strchr(rows[i].address, ':') ? "::1" : "127.0.0.1", 0x1F59);
        struct sockaddr_storage other = end_of(rows[i].address, rows[i].port);
        uint32_t uid = 0;
        bool found = web_peer_find(in, &own, &other, &uid);
        fclose(in);
        if (found != (rows[i].uid >= 0) || (found && uid != (uint32_t)rows[i].uid))
            fail_msg("%s %x: %d %u", rows[i].address, rows[i].port, found, uid);
    }
}

static void test_password(void **state)
{
    (void)state;
    char most[WEB_PASSWORD_MAX + 2];
    assert_true(web_password_eq("correct horse", "correct horse"));
    assert_false(web_password_eq("correct horse", "correct horsf"));
    assert_false(web_password_eq("correct horse", "correct hors"));
    assert_false(web_password_eq("correct horse", "correct horse "));
    assert_false(web_password_eq("correct horse", ""));
    memset(most, 'x', sizeof(most));
    most[WEB_PASSWORD_MAX + 1] = 0;
    char want[WEB_PASSWORD_MAX + 1];
    memcpy(want, most, sizeof(want));
    want[WEB_PASSWORD_MAX] = 0;
    assert_true(web_password_eq(want, want));
    assert_false(web_password_eq(want, most)); /* one byte more */
}

/* A wrong password by a client; whether it was looked at. */
static bool guess(struct web_guess *g, const char *from, uint64_t now_ms, bool right)
{
    struct sockaddr_storage a = end_of(from, 1);
    struct web_guess_client *c = web_guess_client(g, &a, NULL, now_ms);

    if (!web_guess_may(g, c, now_ms))
        return false;
    web_guess_told(g, c, right);
    return true;
}

static void test_guesses(void **state)
{
    (void)state;
    static struct web_guess g;
    uint64_t now = 1000000;
    web_guess_init(&g, now);
    for (int i = 0; i < WEB_GUESS_BURST; i++)
        assert_true(guess(&g, "192.0.2.1", now, false));
    assert_false(guess(&g, "192.0.2.1", now, true));
    assert_true(guess(&g, "192.0.2.2", now, true));
    assert_false(guess(&g, "192.0.2.1", now + 11999, true));
    assert_true(guess(&g, "192.0.2.1", now + 12000, true));
    /* An IPv6 network is one client. */
    now += 100000;
    for (int i = 0; i < WEB_GUESS_BURST; i++)
        assert_true(guess(&g, i % 2 ? "2001:db8::1" : "2001:db8::2:0:0:1", now, false));
    assert_false(guess(&g, "2001:db8::77", now, false));
    assert_true(guess(&g, "2001:db8:0:1::77", now, false));
    /* A user of this machine is one client by all its addresses, and no other user. */
    struct sockaddr_storage a = end_of("127.0.0.1", 1), b = end_of("127.0.0.2", 1);
    uint32_t root = 0, user = 1000, other = 1001;
    struct web_guess_client *one = web_guess_client(&g, &a, &user, now);
    assert_ptr_equal(one, web_guess_client(&g, &b, &user, now));
    assert_ptr_not_equal(one, web_guess_client(&g, &a, &other, now));
    assert_ptr_not_equal(one, web_guess_client(&g, &a, &root, now));
    assert_ptr_not_equal(one, web_guess_client(&g, &a, NULL, now));
    /* Many addresses guess no faster than 60 and one a second; who was let in before is. */
    now += 100000;
    uint32_t looked = 0;
    char text[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "198.51.%d.%d", i / 250, i % 250);
        looked += guess(&g, text, now, false);
    }
    assert_int_equal(looked, 60);
    assert_true(guess(&g, "192.0.2.2", now, true));
    assert_false(guess(&g, "203.0.113.1", now, true));
    assert_true(guess(&g, "203.0.113.1", now + 1000, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),   cmocka_unit_test(test_origins),
        cmocka_unit_test(test_users),   cmocka_unit_test(test_password),
        cmocka_unit_test(test_guesses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
