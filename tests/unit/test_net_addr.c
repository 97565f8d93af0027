#include "unit.h"

#include "net_addr.h"

#include <errno.h>
#include <string.h>

static void addresses(void **state)
{
    (void)state;
    /* text in; text out, or NULL when it is refused */
    static const char *const rows[][2] = {
        {"10.0.0.1", "10.0.0.1"},
        {"255.255.255.255", "255.255.255.255"},
        {"::", "::"},
        {"::1", "::1"},
        {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"::ffff:10.0.0.1", "10.0.0.1"},
        {"fe80::1", "fe80::1"},
        {"", NULL},
        {"10.0.0", NULL},
        {"10.0.0.256", NULL},
        {"10.0.0.1 ", NULL},
        {"10.0.0.01", NULL},
        {"0x0a.0.0.1", NULL},
        {"1::2::3", NULL},
        {"12345::", NULL},
        {"fe80::1%eth0", NULL},
        {"1111:2222:3333:4444:5555:6666:123.123.123.1234", NULL},
    };

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct net_addr a;
        char text[NET_ADDR_TEXT_CAP];
        int rc = net_addr_parse(&a, base_span_str(rows[i][0]));
        assert_int_equal(rc, rows[i][1] != NULL ? 0 : -EINVAL);
        if (rc != 0)
            continue;
        assert_int_equal(net_addr_format(text, &a), strlen(rows[i][1]));
        assert_string_equal(text, rows[i][1]);
    }
    struct net_addr a;
    assert_int_equal(net_addr_parse(&a, base_span_of("1.2.3.4\0", 8)), -EINVAL);
}

static void prefixes(void **state)
{
    (void)state;
    static const struct {
        const char *prefix, *inside, *outside; /* prefix alone: refused */
    } rows[] = {
        {"10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
        {"10.0.0.1", "10.0.0.1", "10.0.0.2"},
        {"10.0.0.1/32", "10.0.0.1", "10.0.0.0"},
        {"0.0.0.0/0", "255.1.2.3", "2001:db8::1"},
        {"10.1.128.0/17", "10.1.255.1", "10.1.127.255"},
        {"2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"},
        {"::/0", "1::", NULL},
        {"10.0.0.1/8", NULL, NULL},
        {"10.0.0.0/33", NULL, NULL},
        {"10.0.0.0/", NULL, NULL},
        {"10.0.0.0/-1", NULL, NULL},
        {"10.0.0.0/8/8", NULL, NULL},
        {"2001:db8::/129", NULL, NULL},
        {"2001:db8::1/64", NULL, NULL},
        {"/8", NULL, NULL},
    };

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct net_prefix p;
        struct net_addr a;
        int rc = net_prefix_parse(&p, base_span_str(rows[i].prefix));
        assert_int_equal(rc, rows[i].inside != NULL ? 0 : -EINVAL);
        if (rc != 0)
            continue;
        assert_int_equal(net_addr_parse(&a, base_span_str(rows[i].inside)), 0);
        assert_true(net_prefix_contains(&p, &a));
        if (rows[i].outside == NULL)
            continue;
        assert_int_equal(net_addr_parse(&a, base_span_str(rows[i].outside)), 0);
        assert_false(net_prefix_contains(&p, &a));
    }
}

static void endpoints(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        {"10.0.0.1:25", true},     {"[2001:db8::1]:25", true},
        {"10.0.0.1:65535", true},  {"10.0.0.1:0", false},
        {"10.0.0.1:65536", false}, {"10.0.0.1", false},
        {"2001:db8::1:25", false}, {"[10.0.0.1]:25", false},
        {"[2001:db8::1]", false},  {":25", false},
        {"[]:25", false},          {"10.0.0.1:", false},
        {"10.0.0.1:+5", false},    {"", false},
    };

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct net_endpoint e;
        char text[NET_ENDPOINT_TEXT_CAP];
        assert_int_equal(net_endpoint_parse(&e, base_span_str(rows[i].text)),
                         rows[i].good ? 0 : -EINVAL);
        if (!rows[i].good)
            continue;
        net_endpoint_format(text, &e);
        assert_string_equal(text, rows[i].text);
    }
}

/* O2: no MX of others leads there. */
static void private_ones(void **state)
{
    static const struct {
        const char *text;
        bool is_private;
    } rows[] = {
        {"0.0.0.0", true},
        {"10.255.0.1", true},
        {"11.0.0.1", false},
        {"100.63.255.255", false},
        {"100.64.0.1", true},
        {"100.128.0.0", false},
        {"127.0.0.1", true},
        {"169.254.1.1", true},
        {"172.15.1.1", false},
        {"172.16.0.1", true},
        {"172.32.0.1", false},
        {"192.0.0.8", true},
        {"192.168.1.1", true},
        {"192.169.1.1", false},
        {"198.18.0.1", true},
        {"198.20.0.1", false},
        {"224.0.0.1", true},
        {"255.255.255.255", true},
        {"8.8.8.8", false},
        {"::", true},
        {"::1", true},
        {"::ffff:127.0.0.1", true},
        {"::ffff:8.8.8.8", false},
        {"::10.0.0.1", true},
        {"64:ff9b::10.0.0.1", true},
        {"64:ff9b::8.8.8.8", false},
        {"2002:a00:1::1", true},
        {"2002:808:808::1", false},
        {"fc00::1", true},
        {"fd12::1", true},
        {"fe80::1", true},
        {"fec0::1", true},
        {"ff02::1", true},
        {"2001:db8::1", false},
        {"2a00::1", false},
    };
    struct net_addr a;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        assert_int_equal(net_addr_parse(&a, base_span_str(rows[i].text)), 0);
        if (net_addr_is_private(&a) != rows[i].is_private)
            fail_msg("%s", rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(prefixes),
        cmocka_unit_test(endpoints),
        cmocka_unit_test(private_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
