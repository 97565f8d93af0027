#include "unit.h"

#include "policy.h"
#include "policy_ascii.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct base_span domains[] = {
    {(const uint8_t *)"example.com", 11},
    {(const uint8_t *)".sub.example.com", 16},
    {(const uint8_t *)"other.test", 10},
    {(const uint8_t *)".wild.test", 10},
};
static struct net_prefix networks[2];
static struct policy_settings settings;
static struct stats_block stats;
static const struct policy_view view = {.settings = &settings, .stats = &stats};

static int compare(const void *a, const void *b)
{
    return policy_domain_compare(a, b);
}

static int setup(void **state)
{
    (void)state;
    qsort(domains, BASE_ARRAY_CNT(domains), sizeof(domains[0]), compare);
    if (net_prefix_parse(&networks[0], base_span_str("10.0.0.0/8")) != 0 ||
        net_prefix_parse(&networks[1], base_span_str("2001:db8::/32")) != 0)
        return -1;
    settings = (struct policy_settings){
        .relay_networks = networks,
        .relay_network_cnt = 2,
        .relay_domains = domains,
        .relay_domain_cnt = BASE_ARRAY_CNT(domains),
    };
    return policy_settings_valid(&settings) ? 0 : -1;
}

static enum policy_verdict judge(const char *client, const char *path, struct smtp_reply *reply,
                                 char text[POLICY_TEXT_CAP])
{
    struct net_addr addr;
    struct smtp_address rcpt;
    size_t used;

    if (client != NULL)
        assert_int_equal(net_addr_parse(&addr, base_span_str(client)), 0);
    assert_int_equal(smtp_path_parse(&rcpt, &used, base_span_str(path), SMTP_PATH_FORWARD), 0);
    const struct policy_client from = {.network = client != NULL ? &addr : NULL};
    return policy_rcpt(&view, &from, &rcpt, reply, text);
}

struct row {
    const char *client; /* NULL: no address that gives rights */
    const char *path;
    enum policy_verdict verdict;
};

#define STRANGER "198.51.100.7"

static const struct row rows[] = {
    {STRANGER, "<u@example.com>", POLICY_ACCEPTED_DOMAIN},
    {STRANGER, "<u@EXAMPLE.Com>", POLICY_ACCEPTED_DOMAIN},
    {STRANGER, "<u+x=y@example.com>", POLICY_ACCEPTED_DOMAIN},
    {STRANGER, "<\"a b\"@example.com>", POLICY_ACCEPTED_DOMAIN},
    {STRANGER, "<u@a.sub.example.com>", POLICY_ACCEPTED_DOMAIN},
    {STRANGER, "<u@a.b.WILD.test>", POLICY_ACCEPTED_DOMAIN},
    {STRANGER, "<@evil.test:u@example.com>", POLICY_ACCEPTED_DOMAIN},
    {STRANGER, "<Postmaster>", POLICY_ACCEPTED_POSTMASTER},
    {"10.1.2.3", "<u@foreign.test>", POLICY_ACCEPTED_NETWORK},
    {"10.1.2.3", "<u%x@foreign.test>", POLICY_ACCEPTED_NETWORK},
    {"10.1.2.3", "<u@[192.0.2.1]>", POLICY_ACCEPTED_NETWORK},
    {"2001:db8:1::1", "<u@foreign.test>", POLICY_ACCEPTED_NETWORK},
    {"2001:db9::1", "<u@foreign.test>", POLICY_REFUSED_DOMAIN},
    {NULL, "<u@foreign.test>", POLICY_REFUSED_DOMAIN},
    {NULL, "<u@example.com>", POLICY_ACCEPTED_DOMAIN},
    {STRANGER, "<u@wild.test>", POLICY_REFUSED_DOMAIN},
    {STRANGER, "<u@sub.example.com>", POLICY_REFUSED_DOMAIN},
    {STRANGER, "<u@a.example.com>", POLICY_REFUSED_DOMAIN},
    {STRANGER, "<u@xexample.com>", POLICY_REFUSED_DOMAIN},
    {STRANGER, "<u@example.com.evil.test>", POLICY_REFUSED_DOMAIN},
    {STRANGER, "<u@com>", POLICY_REFUSED_DOMAIN},
    /* The forms of the open relay testers. */
    {STRANGER, "<u@foreign.test>", POLICY_REFUSED_DOMAIN},
    {STRANGER, "<u@localhost>", POLICY_REFUSED_DOMAIN},
    {STRANGER, "<u%foreign.test@[192.0.2.1]>", POLICY_REFUSED_LITERAL},
    {STRANGER, "<u%foreign.test@example.com>", POLICY_REFUSED_ROUTED},
    {STRANGER, "<\"u@foreign.test\"@example.com>", POLICY_REFUSED_ROUTED},
    {STRANGER, "<\"u%foreign.test\"@example.com>", POLICY_REFUSED_ROUTED},
    {STRANGER, "<\"u@foreign.test\"@[192.0.2.1]>", POLICY_REFUSED_LITERAL},
    {STRANGER, "<@[192.0.2.1]:u@foreign.test>", POLICY_REFUSED_DOMAIN},
    {STRANGER, "<@example.com:u@foreign.test>", POLICY_REFUSED_DOMAIN},
    {STRANGER, "<foreign.test!u@example.com>", POLICY_REFUSED_ROUTED},
    {STRANGER, "<foreign.test!u@[192.0.2.1]>", POLICY_REFUSED_LITERAL},
    {STRANGER, "<u@[IPv6:2001:db8::1]>", POLICY_REFUSED_LITERAL},
    {STRANGER, "<u@[IPv6:::1]>", POLICY_REFUSED_LITERAL},
    {STRANGER, "<u@FOREIGN.TEST>", POLICY_REFUSED_DOMAIN},
    {STRANGER, "<u@Localhost>", POLICY_REFUSED_DOMAIN},
    {STRANGER, "<u@sub.example.com>", POLICY_REFUSED_DOMAIN},
    {STRANGER, "<u@[127.0.0.1]>", POLICY_REFUSED_LITERAL},
    {STRANGER, "<postmaster@[192.0.2.1]>", POLICY_REFUSED_LITERAL},
    {STRANGER, "<u%foreign.test@localhost>", POLICY_REFUSED_ROUTED},
    {STRANGER, "<foreign.test!u@localhost>", POLICY_REFUSED_ROUTED},
};

static void verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct smtp_reply reply;
        char text[POLICY_TEXT_CAP];
        enum policy_verdict verdict = judge(rows[i].client, rows[i].path, &reply, text);
        if (verdict != rows[i].verdict)
            print_error("%s: %s\n", rows[i].path, policy_verdict_name(verdict));
        assert_int_equal(verdict, rows[i].verdict);
        assert_int_equal(policy_verdict_accepts(verdict), verdict < POLICY_SENDER_NOT_OWNED);
        assert_int_equal(reply.code, policy_verdict_accepts(verdict) ? 250 : 554);
    }
    assert_true(stats_get(&stats, STATS_POLICY_REFUSED_ROUTED) == 6);
}

/* The forms that are no address at all, and never reach a policy. */
static void not_addresses(void **state)
{
    (void)state;
    static const char *paths[] = {"<\"u@foreign.test\">",
                                  "<\"u%foreign.test\">",
                                  "<u@foreign.test@[192.0.2.1]>",
                                  "<u@foreign.test@example.com>",
                                  "<foreign.test!u>",
                                  "<u@foreign.test.>",
                                  "<u%foreign.test>",
                                  "<u@example.com.>",
                                  "<u\x01@example.com>",
                                  "<@example.com>",
                                  "<>",
                                  "<\"\"u@example.com>",
                                  "<@[192.0.2.1]u@foreign.test>",
                                  "<@example.com,u@foreign.test>"};
    struct smtp_address a;
    size_t used;

    for (size_t i = 0; i < BASE_ARRAY_CNT(paths); i++)
        assert_true(smtp_path_parse(&a, &used, base_span_str(paths[i]), SMTP_PATH_FORWARD) != 0);
}

static void reply_texts(void **state)
{
    (void)state;
    struct smtp_reply reply;
    char text[POLICY_TEXT_CAP], path[SMTP_ADDRESS_MAX + 3];

    judge(STRANGER, "<u@foreign.test>", &reply, text);
    assert_string_equal(reply.text, "<u@foreign.test>: Relay access denied");
    assert_string_equal(reply.enhanced, "5.7.1");
    snprintf(path, sizeof(path), "<%064d@%063d.%063d.%063d.%063d>", 0, 0, 0, 0, 0);
    judge(STRANGER, path, &reply, text);
    assert_int_equal(strlen(reply.text), SMTP_ADDRESS_MAX + 2 + strlen(": Relay access denied"));
}

static void senders(void **state)
{
    (void)state;
    struct smtp_reply reply;
    char text[POLICY_TEXT_CAP];
    const struct net_addr addr = {.b = {0}};
    const struct policy_client client = {.network = &addr};
    struct smtp_address null = {.kind = SMTP_ADDRESS_NULL};

    assert_int_equal(policy_mail(&view, &client, &null, &reply, text), POLICY_SENDER_ACCEPTED);
    assert_int_equal(reply.code, 250);
}

/* One domain in all its spellings; what is no name of any is nobody's. */
static void domains_beyond_ascii(void **state)
{
    (void)state;
    static struct base_span names[2];
    static const struct {
        const char *path;
        enum policy_verdict verdict;
    } paths[] = {
        {"<u@b\xc3\xbc"
         "cher.example>",
         POLICY_ACCEPTED_DOMAIN},
        {"<u@B\xc3\x9c"
         "CHER.Example>",
         POLICY_ACCEPTED_DOMAIN},
        {"<u@bu\xcc\x88"
         "cher.example>",
         POLICY_ACCEPTED_DOMAIN}, /* u and a diaeresis */
        {"<u@b\xc3\xbc"
         "cher\xe3\x80\x82"
         "example>",
         POLICY_ACCEPTED_DOMAIN}, /* U+3002 */
        {"<u@xn--bcher-kva.example>", POLICY_ACCEPTED_DOMAIN},
        {"<u@XN--BCHER-KVA.example>", POLICY_ACCEPTED_DOMAIN},
        {"<\xc3\xbc@b\xc3\xbc"
         "cher.example>",
         POLICY_ACCEPTED_DOMAIN},
        {"<u@mail.\xc3\xb6.example>", POLICY_ACCEPTED_DOMAIN}, /* .xn--nda.example */
        {"<u@\xc3\xb6.example>", POLICY_REFUSED_DOMAIN},
        {"<u@bucher.example>", POLICY_REFUSED_DOMAIN},
        {"<u@x.b\xc3\xbc"
         "cher.example>",
         POLICY_REFUSED_DOMAIN},
        {"<u@\xe2\x80\x8d.example>", POLICY_REFUSED_DOMAIN}, /* a joiner alone is no label */
        {"<u@b\xc3\xbc"
         "cher.example.evil.test>",
         POLICY_REFUSED_DOMAIN},
    };
    struct policy_settings s = {.relay_domains = names, .relay_domain_cnt = 2};
    struct policy_view utf8 = {.settings = &s, .stats = &stats};
    struct policy_client from = {0};
    struct smtp_address rcpt;
    struct smtp_reply reply;
    char text[POLICY_TEXT_CAP];
    size_t used;

    names[0] = base_span_str(".xn--nda.example");
    names[1] = base_span_str("xn--bcher-kva.example");
    assert_true(policy_settings_valid(&s));
    for (size_t i = 0; i < BASE_ARRAY_CNT(paths); i++) {
        assert_int_equal(
            smtp_path_parse_utf8(&rcpt, &used, base_span_str(paths[i].path), SMTP_PATH_FORWARD), 0);
        if (policy_rcpt(&utf8, &from, &rcpt, &reply, text) != paths[i].verdict)
            fail_msg("%s", paths[i].path);
    }
}

/* O10: what a server without SMTPUTF8 can be told. */
static void mailboxes_in_ascii(void **state)
{
    (void)state;
#define A10 "aaaaaaaaaa"
#define A50 A10 A10 A10 A10 A10
#define X10                                                                                        \
    "\xc3\xa4.\xc3\xa4.\xc3\xa4.\xc3\xa4.\xc3\xa4.\xc3\xa4.\xc3\xa4.\xc3\xa4.\xc3\xa4.\xc3\xa4."
#define L10 "xn--4ca.xn--4ca.xn--4ca.xn--4ca.xn--4ca.xn--4ca.xn--4ca.xn--4ca.xn--4ca.xn--4ca."
    static const struct {
        const char *mailbox, *ascii; /* NULL: there is none */
    } boxes[] = {
        {"", ""},
        {"postmaster", "postmaster"},
        {"A.B@Example.ORG", "A.B@Example.ORG"},
        {"\"x@\xc3\xa4\"@example.org", NULL},
        {"\xc3\xa4@example.org", NULL},
        {"\xc3\xa4", NULL},
        {"Ab@B\xc3\x9c"
         "cher.example",
         "Ab@xn--bcher-kva.example"},
        {"\"a b@\"@\xc3\xa4.example", "\"a b@\"@xn--4ca.example"},
        {"a@\xe2\x80\x8d.example", NULL}, /* no name */
        {"a@[192.0.2.1]", "a@[192.0.2.1]"},
        /* A label has at most 63 bytes as an A-label: 59 and 60 bytes before. */
        {"a@" A50 "aaaaa\xc3\xa4.test", "a@xn--" A50 "aaaaa-uve.test"},
        {"a@" A50 "aaaaaa\xc3\xa4.test", NULL},
        /* A name has 255 at most: 100 bytes may be too many. */
        {"a@" X10 X10 X10 "\xc3\xa4.test", "a@" L10 L10 L10 "xn--4ca.test"},
        {"a@" X10 X10 X10 "\xc3\xa4.\xc3\xa4.test", NULL},
    };

    for (size_t i = 0; i < BASE_ARRAY_CNT(boxes); i++) {
        uint8_t room[SMTP_ADDRESS_MAX];
        struct base_buf out = {.p = room, .cap = sizeof(room)};
        struct base_span in = base_span_str(boxes[i].mailbox);
        int got = policy_ascii_mailbox(&out, in);
        if ((got == 0) != (boxes[i].ascii != NULL) ||
            (got == 0 && !base_span_eq(base_buf_span(&out), base_span_str(boxes[i].ascii))) ||
            (got != 0 && (got != -EINVAL || out.len != 0)))
            fail_msg("%s: %d %.*s", boxes[i].mailbox, got, (int)out.len, (const char *)out.p);
        if (got != 0 || out.len == 0)
            continue;
        out = (struct base_buf){.p = room, .cap = out.len - 1};
        assert_int_equal(policy_ascii_mailbox(&out, in), -ENOSPC);
    }
}

static void invalid_settings(void **state)
{
    (void)state;
    struct base_span upper[] = {{(const uint8_t *)"Example.com", 11}};
    struct base_span twice[] = {{(const uint8_t *)"a", 1}, {(const uint8_t *)"a", 1}};
    struct policy_settings s = {.relay_domains = upper, .relay_domain_cnt = 1};

    assert_false(policy_settings_valid(&s));
    s = (struct policy_settings){.relay_domains = twice, .relay_domain_cnt = 2};
    assert_false(policy_settings_valid(&s));
    s.relay_domain_cnt = 1;
    assert_true(policy_settings_valid(&s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(not_addresses),
        cmocka_unit_test(reply_texts),
        cmocka_unit_test(senders),
        cmocka_unit_test(domains_beyond_ascii),
        cmocka_unit_test(mailboxes_in_ascii),
        cmocka_unit_test(invalid_settings),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
