/* app/sluicectl: the answer to metrics, as it is read and as it is told to Prometheus. */
#include "unit.h"

#include "metrics_read.h"
#include "metrics_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD                                                                                       \
    "sluice-metrics\t1\ncycles_per_second\t1000\nthread\tlane0\nthread\tlane1\nthread\tspooler\n"  \
    "spool\tmain\nlistener\tmx\nlistener\tsmtp-in\n"

static int parse(struct metrics *m, const char *text)
{
    return metrics_parse(m, strdup(text), strlen(text));
}

static void test_read(void **state)
{
    struct metrics m;

    (void)state;
    assert_int_equal(parse(&m, HEAD "counter\tnet\trx\tpackets\thelp me\t lane0=3 lane1=4\n"
                                    "histogram\ttls\taccept_time\tnanoseconds\thelp\t10\t2\t "
                                    "lane1=7:1,2,3\nlater\tthing\nlistener_counter\tlistener\t"
                                    "messages\tmessages\thelp\t smtp-in=5\nend\n"),
                     0);
    const struct metrics_row *by_listener = metrics_find(&m, "listener", "messages");
    assert_non_null(by_listener);
    assert_int_equal(metrics_value(&m, by_listener, 0, 0), 0);
    assert_int_equal(metrics_value(&m, by_listener, 1, 0), 5);
    assert_int_equal(metrics_total(&m, by_listener, 0), 5);
    assert_int_equal(m.cycles_per_s, 1000);
    assert_int_equal(m.thread_cnt, 3);
    assert_string_equal(m.spool[0], "main");
    const struct metrics_row *rx = metrics_find(&m, "net", "rx");
    assert_non_null(rx);
    assert_string_equal(rx->help, "help me");
    assert_int_equal(metrics_value(&m, rx, 1, 0), 4);
    assert_int_equal(metrics_total(&m, rx, 0), 7);
    const struct metrics_row *h = metrics_find(&m, "tls", "accept_time");
    assert_int_equal(metrics_total(&m, h, 0), 1);
    assert_int_equal(metrics_total(&m, h, 2), 3);
    assert_int_equal(metrics_total(&m, h, 3), 7);
    assert_null(metrics_find(&m, "net", "accept_time"));
    metrics_free(&m);
}

static void test_bad(void **state)
{
    static const char *const rows[] = {
        "",
        "sluice-metrics\t2\nend\n",
        "sluice-metrics\t1\n",
        HEAD,
        HEAD "end",
        HEAD "end\nmore\n",
        HEAD "counter\tnet\trx\tpackets\thelp\nend\n",
        HEAD "counter\tnet\trx\tpackets\thelp\t\t\nend\n",
        HEAD "counter\tnet\trx\tpackets\thelp\t lane7=1\nend\n",
        HEAD "counter\tnet\trx\tpackets\thelp\t lane0=\nend\n",
        HEAD "counter\tnet\trx\tpackets\thelp\t mx=1\nend\n",
        HEAD "listener_counter\tlistener\tx\tmessages\thelp\t lane0=1\nend\n",
        HEAD "listener_counter\tlistener\tx\tmessages\thelp\nend\n",
        HEAD "counter\tnet\trx\tpackets\thelp\t\nlistener\tlate\nend\n",
        HEAD "counter\tnet\trx\tpackets\thelp\t lane0=1x\nend\n",
        HEAD "counter\tnet\trx\tpackets\thelp\t lane0=99999999999999999999\nend\n",
        HEAD "histogram\ttls\tx\tpackets\thelp\t10\t0\t\nend\n",
        HEAD "histogram\ttls\tx\tpackets\thelp\t10\t99\t\nend\n",
        HEAD "histogram\ttls\tx\tpackets\thelp\t60\t2\t\nend\n",
        HEAD "histogram\ttls\tx\tpackets\thelp\t10\t2\t lane0=7:1,2\nend\n",
        HEAD "counter\tnet\trx\tpackets\thelp\t\nthread\tlate\nend\n",
        "sluice-metrics\t1\ncycles_per_second\tx\nend\n",
    };
    struct metrics m;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++)
        assert_int_equal(parse(&m, rows[i]), -EBADMSG);
    assert_int_equal(metrics_parse(&m, strdup("sluice-metrics\t1\nend\n\0x"), 23), -EBADMSG);
}

static void test_blocks(void **state)
{
    char good[] = "ok\ndata 3\nabcdata 2\nd\nend\n";
    static const char *const bad[] = {"",
                                      "ok\n",
                                      "ok\ndata 3\nab",
                                      "error: no\n",
                                      "ok\ndata 9999999999999\nabc",
                                      "ok\ndata x\n",
                                      "ok\ndata 1\naerror: busy\n"};

    (void)state;
    assert_int_equal(metrics_join(good, strlen(good)), 5);
    assert_string_equal(good, "abcd\n");
    for (size_t i = 0; i < BASE_ARRAY_CNT(bad); i++) {
        char *text = strdup(bad[i]);
        assert_int_equal(metrics_join(text, strlen(text)), -1);
        free(text);
    }
}

static void test_text(void **state)
{
    char *text = NULL;
    size_t len;
    struct metrics m;

    (void)state;
    assert_int_equal(
        parse(&m, HEAD "counter\tnet\tdrop_x\tpackets\thelp\t lane0=3\n"
                       "counter\tsmtp\tmessages\tmessages\ta \"word\"\t lane0=1 lane1=1\n"
                       "counter\tnet\tdrop_y\tpackets\thelp\t\n"
                       "counter\tlane\tcycles_busy\tcycles\thelp\t lane0=1500\n"
                       "counter\ttls_out\tdane_only_failed\tdeliveries\thelp\t spooler=2\n"
                       "gauge\tspool\tfree_bytes_now\tbytes now\tfree\t spooler=9\n"
                       "histogram\tspool\tcommit_records\trecords\thelp\t0\t2\t spooler=7:1,2,3\n"
                       "listener_counter\tlistener\tmessages\tmessages\thelp\t smtp-in=5\n"
                       "end\n"),
        0);
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    metrics_write(out, &m, METRICS_OPENMETRICS);
    fclose(out);
    assert_string_equal(
        text, "# HELP sluice_net_drops Packets that were dropped, by reason\n"
              "# TYPE sluice_net_drops counter\n"
              "sluice_net_drops_total{lane=\"0\",reason=\"x\"} 3\n"
              "sluice_net_drops_total{lane=\"1\",reason=\"x\"} 0\n"
              "sluice_net_drops_total{lane=\"0\",reason=\"y\"} 0\n"
              "sluice_net_drops_total{lane=\"1\",reason=\"y\"} 0\n"
              "# HELP sluice_smtp_messages a \\\"word\\\"\n"
              "# TYPE sluice_smtp_messages counter\n"
              "sluice_smtp_messages_total 2\n"
              "# HELP sluice_lane_busy_seconds help\n"
              "# TYPE sluice_lane_busy_seconds counter\n"
              "# UNIT sluice_lane_busy_seconds seconds\n"
              "sluice_lane_busy_seconds_total{lane=\"0\"} 1.5\n"
              "sluice_lane_busy_seconds_total{lane=\"1\"} 0\n"
              "# HELP sluice_delivery_tls Delivery attempts by the TLS level they went by and what "
              "was had of it\n"
              "# TYPE sluice_delivery_tls counter\n"
              "sluice_delivery_tls_total{level=\"dane_only\",outcome=\"failed\"} 2\n"
              "# HELP sluice_spool_free_bytes free\n"
              "# TYPE sluice_spool_free_bytes gauge\n"
              "# UNIT sluice_spool_free_bytes bytes\n"
              "sluice_spool_free_bytes{spool=\"main\"} 9\n"
              "# HELP sluice_spool_commit_records help\n"
              "# TYPE sluice_spool_commit_records histogram\n"
              "# UNIT sluice_spool_commit_records records\n"
              "sluice_spool_commit_records_bucket{spool=\"main\",le=\"1.0\"} 1\n"
              "sluice_spool_commit_records_bucket{spool=\"main\",le=\"2.0\"} 3\n"
              "sluice_spool_commit_records_bucket{spool=\"main\",le=\"+Inf\"} 6\n"
              "sluice_spool_commit_records_sum{spool=\"main\"} 7\n"
              "sluice_spool_commit_records_count{spool=\"main\"} 6\n"
              "# HELP sluice_listener_messages help\n"
              "# TYPE sluice_listener_messages counter\n"
              "sluice_listener_messages_total{listener=\"mx\"} 0\n"
              "sluice_listener_messages_total{listener=\"smtp-in\"} 5\n"
              "# EOF\n");
    free(text);
    metrics_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_read), cmocka_unit_test(test_bad),
                                       cmocka_unit_test(test_blocks), cmocka_unit_test(test_text)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
