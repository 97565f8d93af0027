/* Counts, the report that they make, and the file that keeps them. */
#include "unit.h"

#include "tlsrpt_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#define DAY 20000 /* 2024-10-04 */

static const uint8_t key[16] = {1};
static struct tlsrpt_counts counts;

static struct base_span span(const char *s)
{
    return base_span_str(s);
}

static void setup_counts(size_t bytes)
{
    assert_int_equal(tlsrpt_counts_init(&counts, 8, bytes, key), 0);
}

static void add_failure(const char *domain, enum tlsrpt_result result, const char *mx,
                        const char *reason, uint64_t n)
{
    struct tlsrpt_text policy = {0}, detail = {0};
    const struct base_span strings[] = {span("3 1 1 0a0b"), span("3 1 1 \"\\\t\xff")};
    const struct base_span hosts[] = {span("*.example.org"), span("mx.example.org")};

    tlsrpt_put_policy(&policy, &(struct tlsrpt_policy_words){.type = TLSRPT_STS,
                                                             .domain = span(domain),
                                                             .strings = strings,
                                                             .string_cnt = 2,
                                                             .mx = hosts,
                                                             .mx_cnt = 2});
    tlsrpt_put_detail(&detail, &(struct tlsrpt_detail_words){.result = result,
                                                             .sending_ip = span("192.0.2.1"),
                                                             .mx = span(mx),
                                                             .ip = span("2001:db8::1"),
                                                             .reason = span(reason)});
    (void)tlsrpt_counts_add(&counts, DAY, span(domain), tlsrpt_text_span(&policy),
                            tlsrpt_text_span(&detail), n);
    tlsrpt_text_free(&policy);
    tlsrpt_text_free(&detail);
}

static int add_success(uint32_t day, const char *domain, uint64_t n)
{
    struct tlsrpt_text policy = {0};

    tlsrpt_put_policy(&policy, &(struct tlsrpt_policy_words){.domain = span(domain)});
    int rc = tlsrpt_counts_add(&counts, day, span(domain), tlsrpt_text_span(&policy),
                               base_span_of(NULL, 0), n);
    tlsrpt_text_free(&policy);
    return rc;
}

static const struct tlsrpt_about about = {
    .organization = "Sluice \"GmbH\"", .contact = "tls@example.net", .hostname = "mx.example.net"};

static const char expected[] =
    "{\"organization-name\":\"Sluice \\\"GmbH\\\"\",\"date-range\":{\"start-datetime\":"
    "\"2024-10-04T00:00:00Z\",\"end-datetime\":\"2024-10-04T23:59:59Z\"},\"contact-info\":"
    "\"tls@example.net\",\"report-id\":\"2024-10-04.example.org@mx.example.net\",\"policies\":["
    "{\"policy\":{\"policy-type\":\"no-policy-found\",\"policy-domain\":\"example.org\"},"
    "\"summary\":{\"total-successful-session-count\":5,\"total-failure-session-count\":0}},"
    "{\"policy\":{\"policy-type\":\"sts\",\"policy-string\":[\"3 1 1 0a0b\","
    "\"3 1 1 \\\"\\\\\\u0009\\u00ff\"],\"policy-domain\":\"example.org\",\"mx-host\":["
    "\"*.example.org\",\"mx.example.org\"]},\"summary\":{\"total-successful-session-count\":0,"
    "\"total-failure-session-count\":5},\"failure-details\":[{\"result-type\":"
    "\"certificate-expired\",\"sending-mta-ip\":\"192.0.2.1\",\"receiving-mx-hostname\":"
    "\"mx.example.org\",\"receiving-ip\":\"2001:db8::1\",\"failure-reason-code\":\"expired 100%\","
    "\"failed-session-count\":3},{\"result-type\":\"starttls-not-supported\",\"sending-mta-ip\":"
    "\"192.0.2.1\",\"receiving-mx-hostname\":\"mx2.example.org\",\"receiving-ip\":\"2001:db8::1\","
    "\"failed-session-count\":2}]}]}";

static void fill(void)
{
    assert_int_equal(add_success(DAY, "example.org", 5), 0);
    add_failure("example.org", TLSRPT_CERTIFICATE_EXPIRED, "mx.example.org", "expired 100%", 3);
    add_failure("example.org", TLSRPT_STARTTLS_NOT_SUPPORTED, "mx2.example.org", "", 2);
}

static void check_report(const struct tlsrpt_counts *c)
{
    const struct tlsrpt_domain *d = tlsrpt_counts_find(c, DAY, span("example.org"));
    struct tlsrpt_text t = {0};
    char id[TLSRPT_ID_CAP];

    assert_non_null(d);
    tlsrpt_report_id(id, DAY, span("example.org"), about.hostname);
    tlsrpt_report_json(&t, d, &about, id);
    tlsrpt_put(&t, "", 1);
    assert_string_equal((const char *)t.p, expected);
    tlsrpt_text_free(&t);
}

static void report(void **arg)
{
    (void)arg;
    setup_counts(1 << 20);
    fill();
    check_report(&counts);
    tlsrpt_counts_fini(&counts);
}

static void compressed(void **arg)
{
    struct tlsrpt_text t = {0}, again = {0};
    uint8_t out[sizeof(expected)];
    z_stream z = {0};

    (void)arg;
    assert_int_equal(tlsrpt_gzip(&t, span(expected)), 0);
    assert_int_equal(tlsrpt_gzip(&again, span(expected)), 0);
    assert_true(base_span_eq(tlsrpt_text_span(&t), tlsrpt_text_span(&again)));
    assert_true(t.len < sizeof(expected));
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK); /* gzip, nothing else */
    z.next_in = t.p;
    z.avail_in = (uInt)t.len;
    z.next_out = out;
    z.avail_out = sizeof(out);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, sizeof(expected) - 1);
    assert_memory_equal(out, expected, sizeof(expected) - 1);
    inflateEnd(&z);
    tlsrpt_text_free(&t);
    tlsrpt_text_free(&again);
}

static void bounds(void **arg)
{
    char mx[64];

    (void)arg;
    setup_counts(1 << 20);
    for (int i = 0; i < 3 * TLSRPT_DETAILS_MAX; i++) {
        snprintf(mx, sizeof(mx), "mx%d.example.org", i);
        add_failure("example.org", TLSRPT_CERTIFICATE_EXPIRED, mx, "", 1);
    }
    const struct tlsrpt_domain *d = tlsrpt_counts_find(&counts, DAY, span("example.org"));
    assert_int_equal(tlsrpt_domain_failure(d), 3 * TLSRPT_DETAILS_MAX); /* none is lost */
    assert_int_equal(d->policies->detail_cnt, TLSRPT_DETAILS_MAX + 1);
    tlsrpt_counts_fini(&counts);

    setup_counts(4000);
    int full = 0;
    for (int i = 0; i < 100 && full == 0; i++) {
        snprintf(mx, sizeof(mx), "d%d.example.org", i);
        full = add_success(DAY, mx, 1);
    }
    assert_int_equal(full, -ENOSPC);
    assert_int_equal(counts.dropped_cnt, 1);
    assert_true(counts.bytes <= 4000);
    assert_int_equal(add_success(DAY, "d0.example.org", 7), 0); /* what is there counts on */
    while (!base_list_empty(&counts.domains))
        tlsrpt_counts_remove(&counts,
                             base_container_of(counts.domains.next, struct tlsrpt_domain, node));
    assert_int_equal(counts.bytes, 0);
    tlsrpt_counts_fini(&counts);
}

static void merged(void **arg)
{
    struct tlsrpt_counts all;

    (void)arg;
    assert_int_equal(tlsrpt_counts_init(&all, 8, 1 << 20, key), 0);
    setup_counts(1 << 20);
    fill();
    assert_int_equal(add_success(DAY - 1, "example.org", 4), 0);
    assert_int_equal(tlsrpt_counts_merge(&all, &counts, DAY - 1), 4); /* that day is closed */
    check_report(&all);
    assert_null(tlsrpt_counts_find(&all, DAY - 1, span("example.org")));
    tlsrpt_counts_fini(&all);
    tlsrpt_counts_fini(&counts);
}

/* ---- the file ---- */

static struct tlsrpt_text file;
static struct tlsrpt_journal journal;

static void write_file(void)
{
    file.len = 0;
    tlsrpt_state_begin(&file);
    size_t start = file.len;
    tlsrpt_state_counts(&file, &counts, 0);
    tlsrpt_state_end(&file, start);
    struct tlsrpt_entry e = {.day = DAY - 1,
                             .state = TLSRPT_SENT,
                             .first_s = 5,
                             .last_s = 6,
                             .attempt_cnt = 2,
                             .id = "one",
                             .uri = "https://a.example/x",
                             .why = "100%\tsure"};
    start = file.len;
    tlsrpt_state_entry(&file, &e); /* a name is missing: the line is none */
    tlsrpt_state_end(&file, start);
}

static int read_file(struct base_span text)
{
    tlsrpt_counts_fini(&counts);
    setup_counts(1 << 20);
    tlsrpt_journal_fini(&journal);
    return tlsrpt_state_read(&counts, &journal, text);
}

static void kept(void **arg)
{
    (void)arg;
    tlsrpt_journal_init(&journal);
    setup_counts(1 << 20);
    fill();
    write_file();
    assert_int_equal(read_file(tlsrpt_text_span(&file)), 1);
    check_report(&counts);
    assert_int_equal(journal.cnt, 0);

    /* Lines that follow: of a report, and that its counts are done with. */
    struct tlsrpt_entry *e = tlsrpt_journal_add(&journal, DAY, span("example.org"));
    snprintf(e->why, sizeof(e->why), "100%%\tsure\n");
    memset(e->uri, 0xea, sizeof(e->uri) - 1); /* the longest, all of it escaped */
    e->attempt_cnt = 3;
    e->first_s = 77;
    size_t start = file.len;
    tlsrpt_state_entry(&file, e);
    tlsrpt_state_end(&file, start);
    size_t begun = file.len;
    e->state = TLSRPT_SENT;
    tlsrpt_state_entry(&file, e);
    tlsrpt_state_done(&file, DAY, span("example.org"));
    tlsrpt_state_end(&file, begun);
    assert_int_equal(read_file(base_span_of(file.p, begun)), 1);
    check_report(&counts);
    e = tlsrpt_journal_find(&journal, DAY, span("example.org"));
    assert_non_null(e);
    assert_string_equal(e->why, "100%\tsure\n");
    assert_int_equal(strlen(e->uri), sizeof(e->uri) - 1);
    assert_int_equal(e->first_s, 77);
    assert_int_equal(e->state, TLSRPT_BEGUN);
    assert_int_equal(read_file(tlsrpt_text_span(&file)), 1);
    assert_int_equal(counts.domain_cnt, 0);
    e = tlsrpt_journal_find(&journal, DAY, span("example.org"));
    assert_int_equal(e->state, TLSRPT_SENT);
    tlsrpt_journal_fini(&journal);
    tlsrpt_counts_fini(&counts);
    tlsrpt_text_free(&file);
}

/* Cut anywhere, or with any byte changed, it is read as what came before, and what is behind. */
static void damaged(void **arg)
{
    (void)arg;
    tlsrpt_journal_init(&journal);
    setup_counts(1 << 20);
    fill();
    file.len = 0;
    tlsrpt_state_begin(&file);
    size_t head = file.len;
    tlsrpt_state_counts(&file, &counts, 0);
    tlsrpt_state_end(&file, head);
    size_t first = file.len;
    tlsrpt_state_counts(&file, &counts, 0);
    tlsrpt_state_end(&file, first);
    for (size_t len = head; len <= file.len; len++) {
        int bad = read_file(base_span_of(file.p, len));
        const struct tlsrpt_domain *d = tlsrpt_counts_find(&counts, DAY, span("example.org"));
        uint64_t n = d != NULL ? tlsrpt_domain_success(d) : 0;
        assert_int_equal(n, len == file.len ? 10 : len >= first ? 5 : 0);
        assert_int_equal(bad, len != head && len != first && len != file.len);
    }
    for (size_t at = head; at < first; at++) {
        file.p[at] ^= 1;
        assert_true(read_file(tlsrpt_text_span(&file)) > 0);
        const struct tlsrpt_domain *d = tlsrpt_counts_find(&counts, DAY, span("example.org"));
        if (at < first - 12) /* its end stands: what is behind it does, too */
            assert_int_equal(d != NULL ? tlsrpt_domain_success(d) : 0, 5);
        file.p[at] ^= 1;
    }
    assert_int_equal(read_file(span("something else\n")), -EINVAL);
    tlsrpt_journal_fini(&journal);
    tlsrpt_counts_fini(&counts);
    tlsrpt_text_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(report), cmocka_unit_test(compressed), cmocka_unit_test(bounds),
        cmocka_unit_test(merged), cmocka_unit_test(kept),       cmocka_unit_test(damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
