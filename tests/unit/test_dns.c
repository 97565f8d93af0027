/* Names, RDATA, answers, trust anchors, and the messages of the resolver process. */
#include "unit.h"

#include "dns_anchor.h"
#include "dns_rdata.h"
#include "dns_wire.h"

#include <errno.h>
#include <stdio.h>

static struct base_span span(const char *text)
{
    return base_span_str(text);
}

#define BYTES(...)                                                                                 \
    base_span_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* ---- names ---- */

static void names(void **state)
{
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {
        {"example.org", true},
        {"_25._tcp.mx.example.org", true},
        {"1.0/25.2.0.192.in-addr.arpa", true},
        {"xn--mnchen-3ya.de", true},
        {"a", true},
        {"", false},
        {".", false},
        {"a..b", false},
        {".a", false},
        {"a b", false},
        {"a\\.b", false},
        {"m\xc3\xbcnchen.de", false},
        {"a\x01", false},
        {"a*b", false},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b", true},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b", false},
    };
    char out[DNS_NAME_CAP], longest[300] = "";

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        if (dns_name_valid(span(rows[i].text)) != rows[i].valid)
            fail_msg("%s", rows[i].text);
        assert_int_equal(dns_name_copy(out, span(rows[i].text)), rows[i].valid ? 0 : -EINVAL);
    }
    assert_int_equal(dns_name_copy(out, span("MX.Example.ORG.")), 0);
    assert_string_equal(out, "mx.example.org");
    for (size_t i = 0; i < 253; i++)
        longest[i] = i % 2 == 0 ? 'a' : '.';
    assert_int_equal(dns_name_copy(out, span(longest)), 0);
    assert_int_equal(dns_name_join(out, "_25._tcp", longest), -EINVAL);
    longest[253] = 'a'; /* 254, in labels of one and two */
    assert_int_equal(dns_name_copy(out, span(longest)), -EINVAL);
    assert_int_equal(dns_name_join(out, "_25._tcp", "mx.example.org"), 0);
    assert_string_equal(out, "_25._tcp.mx.example.org");
}

static void names_of_the_wire(void **state)
{
    char out[DNS_NAME_CAP];
    uint8_t longest[256];
    size_t used;

    (void)state;
    assert_int_equal(dns_name_read(out, &used, BYTES(2, 'M', 'x', 1, 'a', 0, 9)), 0);
    assert_string_equal(out, "mx.a");
    assert_int_equal(used, 6);
    assert_int_equal(dns_name_read(out, &used, BYTES(0)), 0);
    assert_string_equal(out, "");
    assert_int_equal(dns_name_read(out, &used, BYTES(2, 'm', 'x')), -EINVAL);
    assert_int_equal(dns_name_read(out, &used, BYTES(3, 'm', 'x', 0)), -EINVAL);
    assert_int_equal(dns_name_read(out, &used, BYTES(2, 'm', '.', 0)), -EINVAL);
    assert_int_equal(dns_name_read(out, &used, BYTES(2, 'm', 0, 0)), -EINVAL);
    assert_int_equal(dns_name_read(out, &used, BYTES(0xc0, 0)), -EINVAL);
    assert_int_equal(dns_name_read(out, &used, BYTES(0x41, 'a', 0)), -EINVAL);
    assert_int_equal(dns_name_read(out, &used, base_span_of(NULL, 0)), -EINVAL);
    for (size_t i = 0; i < 254; i += 2) {
        longest[i] = 1;
        longest[i + 1] = 'a';
    }
    longest[254] = 0; /* 127 labels: 253 letters and dots */
    assert_int_equal(dns_name_read(out, &used, base_span_of(longest, 255)), 0);
    assert_int_equal(strlen(out), 253);
    longest[252] = 2;
    longest[254] = 'b';
    longest[255] = 0;
    assert_int_equal(dns_name_read(out, &used, base_span_of(longest, 256)), -EINVAL);
}

static void reverse_names(void **state)
{
    static const struct {
        const char *address, *zone, *name;
    } rows[] = {
        {"192.0.2.99", "bl.example", "99.2.0.192.bl.example"},
        {"127.0.0.2", "zen.example.", "2.0.0.127.zen.example"},
        {"2001:db8:1:2:3:4:567:89ab", "ugly.example",
         "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ugly.example"},
        {"192.0.2.1", "a b", NULL},
        {"192.0.2.1", "", NULL},
    };
    char out[DNS_NAME_CAP];
    struct net_addr a;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        assert_int_equal(net_addr_parse(&a, span(rows[i].address)), 0);
        assert_int_equal(dns_reverse_name(out, &a, rows[i].zone), rows[i].name ? 0 : -EINVAL);
        if (rows[i].name != NULL)
            assert_string_equal(out, rows[i].name);
        assert_string_equal(dns_reverse_zone(&a), net_addr_is_v4(&a) ? "in-addr.arpa" : "ip6.arpa");
    }
}

/* ---- records ---- */

static void addresses(void **state)
{
    struct net_addr a;
    char text[NET_ADDR_TEXT_CAP];

    (void)state;
    assert_int_equal(dns_read_address(&a, DNS_TYPE_A, BYTES(192, 0, 2, 1)), 0);
    net_addr_format(text, &a);
    assert_string_equal(text, "192.0.2.1");
    assert_int_equal(dns_read_address(&a, DNS_TYPE_A, BYTES(192, 0, 2)), -EINVAL);
    assert_int_equal(dns_read_address(&a, DNS_TYPE_A, BYTES(192, 0, 2, 1, 0)), -EINVAL);
    assert_int_equal(dns_read_address(&a, DNS_TYPE_AAAA, BYTES(192, 0, 2, 1)), -EINVAL);
    assert_int_equal(dns_read_address(&a, DNS_TYPE_AAAA,
                                      BYTES(32, 1, 13, 184, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)),
                     0);
    net_addr_format(text, &a);
    assert_string_equal(text, "2001:db8::1");
    assert_int_equal(dns_read_address(&a, DNS_TYPE_MX, BYTES(192, 0, 2, 1)), -EINVAL);
}

static void mx_and_names(void **state)
{
    struct dns_mx mx;
    char name[DNS_NAME_CAP];

    (void)state;
    assert_int_equal(dns_read_mx(&mx, BYTES(0, 10, 1, 'a', 0)), 0);
    assert_int_equal(mx.preference, 10);
    assert_string_equal(mx.host, "a");
    assert_int_equal(dns_read_mx(&mx, BYTES(0, 0, 0)), 0); /* the null MX */
    assert_string_equal(mx.host, "");
    assert_int_equal(dns_read_mx(&mx, BYTES(0, 10)), -EINVAL);
    assert_int_equal(dns_read_mx(&mx, BYTES(0)), -EINVAL);
    assert_int_equal(dns_read_mx(&mx, BYTES(0, 10, 1, 'a')), -EINVAL);
    assert_int_equal(dns_read_mx(&mx, BYTES(0, 10, 1, 'a', 0, 0)), -EINVAL);
    assert_int_equal(dns_read_name(name, BYTES(1, 'a', 1, 'b', 0)), 0);
    assert_string_equal(name, "a.b");
    assert_int_equal(dns_read_name(name, BYTES(0)), -EINVAL);
    assert_int_equal(dns_read_name(name, BYTES(1, 'a', 0, 1)), -EINVAL);
}

static void tlsa_and_txt(void **state)
{
    struct dns_tlsa t;
    uint8_t room[8];
    struct base_buf b = {.p = room, .cap = sizeof(room)};

    (void)state;
    assert_int_equal(dns_read_tlsa(&t, BYTES(3, 1, 255, 0xaa, 0xbb)), 0);
    assert_true(t.usage == 3 && t.selector == 1 && t.matching == 255 && t.data.len == 2);
    assert_int_equal(dns_read_tlsa(&t, BYTES(3, 1, 1)), 0);
    assert_int_equal(t.data.len, 0);
    assert_int_equal(dns_read_tlsa(&t, BYTES(3, 1)), -EINVAL);
    assert_int_equal(dns_read_txt(&b, BYTES(2, 'a', 'b', 0, 1, 'c')), 0);
    assert_int_equal(b.len, 3);
    assert_memory_equal(room, "abc", 3);
    assert_int_equal(dns_read_txt(&b, BYTES(6, 'a', 'b', 'c', 'd', 'e', 'f')),
                     -EINVAL);                                          /* no room */
    assert_int_equal(dns_read_txt(&b, BYTES(1, 'd', 2, 'e')), -EINVAL); /* beyond the end */
    assert_int_equal(dns_read_txt(&b, base_span_of(NULL, 0)), -EINVAL);
    assert_int_equal(b.len, 3);
}

/* ---- answers ---- */

/* facts of libunbound's results: what it says, and what that must be taken for. */
static void outcomes(void **state)
{
    static const struct {
        struct dns_outcome outcome;
        enum dns_status status;
    } rows[] = {
        {{.failed = true}, DNS_FAILED},
        {{.failed = true, .secure = true, .has_data = true}, DNS_FAILED},
        {{.bogus = true, .has_data = true}, DNS_BOGUS}, /* with the forged records in it */
        {{.bogus = true, .rcode = 2}, DNS_BOGUS},
        {{.rcode = 2}, DNS_SERVFAIL},
        {{.rcode = 5}, DNS_SERVFAIL},
        {{.rcode = 2, .has_data = true}, DNS_SERVFAIL},
        {{.rcode = 3, .secure = true}, DNS_NXDOMAIN},
        {{.rcode = 3}, DNS_NXDOMAIN},
        {{.secure = true}, DNS_NODATA},
        {{0}, DNS_NODATA},
        {{.has_data = true, .secure = true}, DNS_OK},
        {{.has_data = true}, DNS_OK},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++)
        assert_int_equal(dns_outcome_status(&rows[i].outcome), rows[i].status);
    /* No error is ever secure or insecure. */
    for (enum dns_status s = 0; s < DNS_STATUS_CNT; s++)
        for (int secure = 0; secure < 2; secure++) {
            struct dns_answer a = {.status = (uint8_t)s, .secure = secure != 0};
            enum dns_security want = s >= DNS_BOGUS ? DNS_ERROR
                                     : secure       ? DNS_SECURE
                                                    : DNS_INSECURE;
            assert_int_equal(dns_answer_security(&a), want);
            assert_string_not_equal(dns_status_name(s), "?");
        }
}

static void records(void **state)
{
    uint8_t room[16];
    struct dns_answer a = {.data = room, .data_cap = sizeof(room)};
    struct base_span rdata;
    size_t at = 0;

    (void)state;
    dns_answer_set(&a, DNS_OK, NULL);
    assert_int_equal(dns_answer_add(&a, BYTES(1, 2, 3)), 0);
    assert_int_equal(dns_answer_add(&a, base_span_of(NULL, 0)), 0);
    assert_true(dns_answer_next(&a, &at, &rdata) && rdata.len == 3 && rdata.p[2] == 3);
    assert_true(dns_answer_next(&a, &at, &rdata) && rdata.len == 0);
    assert_false(dns_answer_next(&a, &at, &rdata));
    assert_true(dns_records_valid(base_span_of(room, a.data_len), 2));
    assert_false(dns_records_valid(base_span_of(room, a.data_len), 1));
    assert_false(dns_records_valid(base_span_of(room, a.data_len), 3));
    assert_false(dns_records_valid(base_span_of(room, a.data_len - 1), 2));
    assert_int_equal(dns_answer_add(&a, base_span_of(room, 8)), -ENOSPC);
    assert_int_equal(a.status, DNS_FAILED); /* a part of an answer is none */
    assert_int_equal(a.record_cnt, 0);
    dns_answer_set(&a, DNS_BOGUS, "no \x1b[31m signature\n");
    assert_string_equal(a.why, "no ?[31m signature?");
}

static void questions(void **state)
{
    struct dns_query q;
    uint8_t room[8];

    (void)state;
    assert_int_equal(dns_query_init(&q, span("Example.ORG."), DNS_TYPE_MX, 1, room, 8), 0);
    assert_string_equal(q.name, "example.org");
    assert_int_equal(dns_query_init(&q, span("a b"), DNS_TYPE_MX, 1, room, 8), -EINVAL);
    assert_int_equal(dns_query_init(&q, span("a"), 255, 1, room, 8), -EINVAL);
    assert_int_equal(dns_query_init(&q, span("a"), DNS_TYPE_A, 0, room, 8), -EINVAL);
    assert_string_equal(dns_type_name(DNS_TYPE_TLSA), "TLSA");
    assert_string_equal(dns_type_name(255), "?");
}

/* ---- trust anchors ---- */

static void anchors(void **state)
{
    static const struct {
        const char *line, *why;
    } rows[] = {
        {". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D084", NULL},
        {"lab. 3600 IN DS 1 13 2 e06d44b80b8f1d39 a95c0b0d7c65d084 ; comment", NULL},
        {"lab.\t3600\tIN\tDNSKEY\t257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0d ;{id = 5}", NULL},
        {"lab DNSKEY 257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0d=", NULL},
        {"lab. IN A 192.0.2.1", "DS or DNSKEY"},
        {"lab. IN DS 99999 8 2 E06D44B80B8F1D39A95C0B0D7C65D084", "three numbers"},
        {"lab. IN DS 20326 8 2 E06D", "hexadecimal"},
        {"lab. IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08", "hexadecimal"},
        {"lab. IN DS 20326 8 2 mdsswUyr3DPW132mOi8V9xESWE8jTo0d", "hexadecimal"},
        {"lab. IN DNSKEY 257 3 13 (", "base64"},
        {"$ORIGIN lab.", "name of a zone"},
        {"-----BEGIN PGP-----", "DS or DNSKEY"},
    };
    struct base_span text, record;
    const char *why;
    char owner[DNS_NAME_CAP];

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        uint32_t line = 0;
        text = span(rows[i].line);
        int got = dns_anchor_next(&text, &line, &record, &why);
        if (got != (rows[i].why == NULL ? 1 : -EINVAL))
            fail_msg("%s", rows[i].line);
        if (got < 0 && rows[i].why != NULL && strstr(why, rows[i].why) == NULL)
            fail_msg("%s: %s", rows[i].line, why);
        assert_int_equal(line, 1);
    }
    uint32_t line = 0;
    text = span(
        "; a comment\n\n . IN DS 1 8 2 E06D44B80B8F1D39A95C\r\nLab. DS 1 8 2 E06D44B80B8F1D39A95C");
    assert_int_equal(dns_anchor_next(&text, &line, &record, &why), 1);
    assert_int_equal(line, 3);
    dns_anchor_owner(owner, record);
    assert_string_equal(owner, "");
    assert_int_equal(dns_anchor_next(&text, &line, &record, &why), 1);
    dns_anchor_owner(owner, record);
    assert_string_equal(owner, "lab");
    assert_int_equal(dns_anchor_next(&text, &line, &record, &why), 0);
    for (size_t i = 0; dns_anchor_root[i] != NULL; i++) {
        text = span(dns_anchor_root[i]);
        assert_int_equal(dns_anchor_next(&text, &line, &record, &why), 1);
    }
}

/* ---- messages ---- */

static uint8_t wire_room[DNS_WIRE_MAX];

static struct base_buf wire(void)
{
    return (struct base_buf){.p = wire_room, .cap = sizeof(wire_room)};
}

static void messages_there_and_back(void **state)
{
    struct dns_wire_message m;
    uint8_t room[16], other[16];
    struct dns_answer a = {.data = room, .data_cap = sizeof(room)};
    struct dns_answer got = {.data = other, .data_cap = sizeof(other)};

    (void)state;
    struct base_buf b = wire();
    assert_int_equal(dns_wire_put_set(&b, DNS_WIRE_SERVER, span("192.0.2.1@53")), 0);
    assert_int_equal(dns_wire_read(&m, base_buf_span(&b)), 0);
    assert_true(m.kind == DNS_WIRE_SET && m.key == DNS_WIRE_SERVER && m.text.len == 12);
    b = wire();
    assert_int_equal(dns_wire_put_ask(&b, 7, "_25._tcp.a", DNS_TYPE_TLSA, 500), 0);
    assert_int_equal(dns_wire_read(&m, base_buf_span(&b)), 0);
    assert_true(m.kind == DNS_WIRE_ASK && m.id == 7 && m.type == DNS_TYPE_TLSA &&
                m.timeout_ms == 500);
    assert_string_equal(m.name, "_25._tcp.a");
    dns_answer_set(&a, DNS_OK, NULL);
    a.secure = true;
    a.ttl_s = 60;
    strcpy(a.canonical, "b.example");
    assert_int_equal(dns_answer_add(&a, BYTES(1, 2, 3, 4)), 0);
    b = wire();
    assert_int_equal(dns_wire_put_answer(&b, 9, &a), 0);
    assert_int_equal(dns_wire_read(&m, base_buf_span(&b)), 0);
    dns_wire_answer(&m, &got);
    assert_true(m.id == 9 && got.status == DNS_OK && got.secure && got.ttl_s == 60 &&
                got.record_cnt == 1 && got.data_len == 6);
    assert_string_equal(got.canonical, "b.example");
    assert_memory_equal(other, room, 6);
    got.data_cap = 5; /* no room: no half of an answer */
    dns_wire_answer(&m, &got);
    assert_true(got.status == DNS_FAILED && got.record_cnt == 0 && !got.secure);
    b = wire();
    assert_int_equal(dns_wire_put_refused(&b, "no"), 0);
    assert_int_equal(dns_wire_read(&m, base_buf_span(&b)), 0);
    assert_true(m.kind == DNS_WIRE_REFUSED && m.text.len == 2);
}

/* Each beginning of a message, and each byte more, is refused; so is what contradicts itself. */
static void messages_that_are_none(void **state)
{
    struct dns_wire_message m;
    uint8_t room[16];
    struct dns_answer a = {.data = room, .data_cap = sizeof(room)};
    struct base_buf b = wire();

    (void)state;
    dns_answer_set(&a, DNS_OK, NULL);
    assert_int_equal(dns_answer_add(&a, BYTES(1, 2, 3, 4)), 0);
    assert_int_equal(dns_wire_put_answer(&b, 9, &a), 0);
    for (size_t n = 0; n <= b.len + 1; n++)
        assert_int_equal(dns_wire_read(&m, base_span_of(b.p, n)), n == b.len ? 0 : -EINVAL);
    static const struct {
        size_t at;
        uint8_t byte;
    } changes[] = {
        {0, 'x'},                        /* magic */
        {2, 2},                          /* version */
        {3, 0},                          /* kind */
        {3, 99},        {8, DNS_NODATA}, /* records where there are none */
        {8, DNS_BOGUS}, {8, DNS_STATUS_CNT},
        {9, 2},                  /* secure: neither yes nor no */
        {11, 1},                 /* lengths that do not add up */
        {12, 1},        {17, 2}, /* more records than bytes */
        {17, 0},        {20, 1},
        {24, 0xff},     {26, 3},
    };
    for (size_t i = 0; i < BASE_ARRAY_CNT(changes); i++) {
        uint8_t before = b.p[changes[i].at];
        b.p[changes[i].at] = changes[i].byte;
        if (dns_wire_read(&m, base_buf_span(&b)) == 0)
            fail_msg("byte %zu changed to %u is taken", changes[i].at, changes[i].byte);
        b.p[changes[i].at] = before;
    }
    dns_answer_set(&a, DNS_SERVFAIL, NULL);
    a.secure = true; /* an error that claims to be proved */
    b = wire();
    assert_int_equal(dns_wire_put_answer(&b, 9, &a), 0);
    assert_int_equal(dns_wire_read(&m, base_buf_span(&b)), -EINVAL);
    b = wire();
    assert_int_equal(dns_wire_put_ask(&b, 1, "a b", DNS_TYPE_A, 1), -EINVAL);
    assert_int_equal(dns_wire_put_ask(&b, 1, "a", 255, 1), -EINVAL);
    assert_int_equal(dns_wire_put_ask(&b, 1, "a", DNS_TYPE_A, 0), -EINVAL);
    assert_int_equal(dns_wire_put_set(&b, DNS_WIRE_SERVER, span("a\nb")), -EINVAL);
    assert_int_equal(dns_wire_put_set(&b, DNS_WIRE_SERVER, span("")), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(names_of_the_wire),
        cmocka_unit_test(reverse_names),
        cmocka_unit_test(addresses),
        cmocka_unit_test(mx_and_names),
        cmocka_unit_test(tlsa_and_txt),
        cmocka_unit_test(outcomes),
        cmocka_unit_test(records),
        cmocka_unit_test(questions),
        cmocka_unit_test(anchors),
        cmocka_unit_test(messages_there_and_back),
        cmocka_unit_test(messages_that_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
