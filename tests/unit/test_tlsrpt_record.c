/* TXT records of RFC 8460 section 3, and the URIs in them. */
#include "unit.h"

#include "tlsrpt_record.h"

#include <errno.h>

struct row {
    const char *text;
    int rc;
    uint32_t https, mailto, other;
};

static const struct row rows[] = {
    {"v=TLSRPTv1; rua=mailto:reports@example.com", 0, 0, 1, 0},
    {"v=TLSRPTv1;rua=https://reporting.example.com/v1/tlsrpt", 0, 1, 0, 0},
    {"v=TLSRPTv1; rua=https://a.example/x,mailto:b@c.example", 0, 1, 1, 0},
    {"v=TLSRPTv1 ;\trua=https://a.example/x , https://b.example ; ", 0, 2, 0, 0},
    {"v=TLSRPTv1; rua=HTTPS://A.Example/;x-1=~", 0, 1, 0, 0},
    {"v=TLSRPTv1; ext=abc; rua=https://a.example:8443/x?y=z%2C", 0, 1, 0, 0},
    /* What others may mean by it. */
    {"v=TLSRPTv1; rua=http://a.example/x", 0, 0, 0, 1},
    {"v=TLSRPTv1; rua=ftp://a.example, https://b.example/", 0, 1, 0, 1},
    {"v=TLSRPTv1; rua=", 0, 0, 0, 1},
    {"v=TLSRPTv1; rua=mailto:", 0, 0, 0, 1},
    {"v=TLSRPTv1; rua=https://a.example/!x", 0, 0, 0, 1},
    {"v=TLSRPTv1; rua=https://192.0.2.1/x", 0, 0, 0, 1},
    {"v=TLSRPTv1; rua=https://[2001:db8::1]/x", 0, 0, 0, 1},
    {"v=TLSRPTv1; rua=https://user@a.example/x", 0, 0, 0, 1},
    {"v=TLSRPTv1; rua=https://a.example:0/x", 0, 0, 0, 1},
    {"v=TLSRPTv1; rua=https://a.example:65536/x", 0, 0, 0, 1},
    {"v=TLSRPTv1; rua=https://a.example:/x", 0, 0, 0, 1},
    {"v=TLSRPTv1; rua=https://a.example/x#y", 0, 0, 0, 1},
    {"v=TLSRPTv1; rua=https://localhost/x", 0, 0, 0, 1},
    {"v=TLSRPTv1; rua=https://a..example/x", 0, 0, 0, 1},
    {"v=TLSRPTv1; rua=https:///x", 0, 0, 0, 1},
    {"v=TLSRPTv1; rua=https://a.example/x y", 0, 0, 0, 1},
    /* Broken ones. */
    {"v=TLSRPTv1", -EINVAL, 0, 0, 0},
    {"v=TLSRPTv1;", -EINVAL, 0, 0, 0},
    {"v=tlsrptv1; rua=https://a.example/", -EINVAL, 0, 0, 0},
    {"v=TLSRPTv12; rua=https://a.example/", -EINVAL, 0, 0, 0},
    {" v=TLSRPTv1; rua=https://a.example/", -EINVAL, 0, 0, 0},
    {"rua=https://a.example/; v=TLSRPTv1", -EINVAL, 0, 0, 0},
    {"v=TLSRPTv1; x=y", -EINVAL, 0, 0, 0},
    {"v=TLSRPTv1; x; rua=https://a.example/", -EINVAL, 0, 0, 0},
    {"v=TLSRPTv1; ;rua=https://a.example/", -EINVAL, 0, 0, 0},
    {"v=TLSRPTv1; rua=https://a.example/; rua=https://b.example/", -EINVAL, 0, 0, 0},
    {"v=TLSRPTv1; x=y z; rua=https://a.example/", -EINVAL, 0, 0, 0},
    {"v=TLSRPTv1; -x=y; rua=https://a.example/", -EINVAL, 0, 0, 0},
    {"v=STSv1; id=1", -EINVAL, 0, 0, 0},
    {"", -EINVAL, 0, 0, 0},
};

static void records(void **arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tlsrpt_record r;
        uint32_t cnt[2] = {0};
        int rc = tlsrpt_record_parse(&r, base_span_str(rows[i].text));
        for (uint32_t k = 0; rc == 0 && k < r.uri_cnt; k++)
            cnt[r.uri[k].scheme]++;
        if (rc != rows[i].rc ||
            (rc == 0 && (cnt[TLSRPT_HTTPS] != rows[i].https ||
                         cnt[TLSRPT_MAILTO] != rows[i].mailto || r.other_cnt != rows[i].other)))
            fail_msg("\"%s\": %d, %u https, %u mailto", rows[i].text, rc, cnt[0], cnt[1]);
    }
}

static void many(void **arg)
{
    struct tlsrpt_record r;
    char text[1000] = "v=TLSRPTv1; rua=https://a.example/";

    (void)arg;
    for (int i = 0; i < 20; i++)
        strcat(text, ",https://b.example/");
    assert_int_equal(tlsrpt_record_parse(&r, base_span_str(text)), 0);
    assert_int_equal(r.uri_cnt, TLSRPT_URI_MAX);
    assert_int_equal(r.other_cnt, 21 - TLSRPT_URI_MAX);
}

static void urls(void **arg)
{
    struct tlsrpt_url u;

    (void)arg;
    assert_int_equal(tlsrpt_url_parse(&u, base_span_str("https://a.example:8443/x?y")), 0);
    assert_true(base_span_eq(u.host, base_span_str("a.example")));
    assert_true(base_span_eq(u.path, base_span_str("/x?y")));
    assert_int_equal(u.port, 8443);
    assert_int_equal(tlsrpt_url_parse(&u, base_span_str("https://a.example")), 0);
    assert_int_equal(u.path.len, 0);
    assert_int_equal(u.port, 443);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records),
        cmocka_unit_test(many),
        cmocka_unit_test(urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
