/* The load generator's parts that decide what its figures mean: buckets, options, forged frames. */
#include "net_rig.h"

#include "flood_frame.h"
#include "histogram.h"
#include "mode.h"
#include "options.h"
#include "session.h"
#include "tls.h"

#include <errno.h>
#include <stdlib.h>

/* ---- latencies ---- */

static void buckets_are_in_order(void **state)
{
    (void)state;
    assert_int_equal(histogram_bucket(0), 0);
    for (uint32_t i = 1; i < HISTOGRAM_BUCKET_CNT; i++) {
        uint64_t below = histogram_top_ns(i - 1), top = histogram_top_ns(i);
        assert_true(top > below);
        assert_int_equal(histogram_bucket(below), i - 1);
        assert_int_equal(histogram_bucket(below + 1), i);
        assert_int_equal(histogram_bucket(top), i);
        /* A value is told at most a 64th too high. */
        assert_true(top - below - 1 <= below / 64);
    }
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKET_CNT - 1);
}

static void percentiles_are_by_rank(void **state)
{
    static struct histogram h;
    static struct histogram_sum sum, before;

    (void)state;
    memset(&h, 0, sizeof(h));
    memset(&sum, 0, sizeof(sum));
    assert_int_equal(histogram_percentile_ns(&sum, NULL, 0.5), 0);
    for (uint64_t i = 1; i <= 60; i++) /* each has a bucket of its own */
        histogram_add(&h, i);
    histogram_join(&sum, &h);
    assert_int_equal(histogram_percentile_ns(&sum, NULL, 0.5), 30);
    assert_int_equal(histogram_percentile_ns(&sum, NULL, 0), 1);
    assert_int_equal(histogram_percentile_ns(&sum, NULL, 1), 60);
    before = sum;
    for (int i = 0; i < 10; i++)
        histogram_add(&h, 1000000);
    memset(&sum, 0, sizeof(sum));
    histogram_join(&sum, &h);
    uint64_t since = histogram_percentile_ns(&sum, &before, 0.5);
    assert_true(since >= 1000000 && since < 1016000);
    histogram_join(&sum, &h); /* two lanes */
    assert_int_equal(histogram_percentile_ns(&sum, NULL, 0.5), 35);
}

/* ---- options ---- */

static int parse(struct options *o, const char *line, char err[256])
{
    static char text[1024];
    char *argv[64], *save = NULL;
    int argc = 0;

    snprintf(text, sizeof(text), "blast %s", line);
    for (char *w = strtok_r(text, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    argv[argc] = NULL;
    return options_parse(o, argc, argv, err, 256);
}

#define ENDS "--port net_memif0,id=0 --to 10.0.0.1:25 --from 10.0.0.2-10.0.0.17/24 "

static void options_are_read(void **state)
{
    struct options o;
    char err[256];

    (void)state;
    assert_int_equal(parse(&o, ENDS "smtp", err), 0);
    assert_string_equal(o.device, "net_memif0,id=0");
    assert_ptr_equal(o.mode, &mode_smtp);
    assert_int_equal(o.flood, FLOOD_NONE);
    assert_int_equal(o.from_cnt, 16);
    assert_int_equal(options_from(&o, 15).b[15], 17);
    assert_int_equal(o.from_prefix_len, 120);
    assert_int_equal(o.size_bytes, 4096);
    assert_string_equal(o.case_name, "blast");
    assert_string_equal(o.who, "sluice");
    assert_int_equal(o.per_connection, 10);
    assert_int_equal(parse(&o,
                           ENDS "--rate 500 --time 0.5 connect synflood --flood-rate 200000 "
                                "--connections 7 --lanes 2 --cpus 3,1 --json --size 400 "
                                "--case accept-new --who Post_fix-3",
                           err),
                     0);
    assert_ptr_equal(o.mode, &mode_connect);
    assert_int_equal(o.flood, FLOOD_SYN);
    assert_int_equal(o.rate, 500);
    assert_int_equal(o.size_bytes, 400);
    assert_string_equal(o.case_name, "accept-new");
    assert_string_equal(o.who, "Post_fix-3");
    assert_int_equal(o.flood_rate, 200000);
    assert_int_equal(o.duration_ns, 500000000);
    assert_int_equal(o.connection_cnt, 7);
    assert_int_equal(o.cpu[0], 3);
    assert_int_equal(o.cpu[1], 1);
    assert_true(o.json);
    assert_int_equal(
        parse(&o, "--port a --to [fd00::1]:25 --from fd00::2-fd00::3/64 pingpong", err), 0);
    assert_int_equal(o.from_cnt, 2);
    assert_int_equal(o.from_prefix_len, 64);
    assert_int_equal(parse(&o, "--help", err), 1);
}

#define KERNEL "--kernel --to 10.0.0.1:25 "

static void protocol_options_are_read(void **state)
{
    struct options o;
    struct net_addr client;
    char err[256];

    (void)state;
    assert_int_equal(parse(&o, KERNEL "smtp", err), 0);
    assert_true(o.kernel);
    assert_int_equal(o.from_cnt, 0);
    assert_int_equal(o.tls, OPTIONS_TLS_NONE);
    assert_int_equal(o.recipient_cnt, 1);
    assert_int_equal(parse(&o, KERNEL "--from 10.0.0.2-10.0.3.255/16 handshake", err), 0);
    assert_int_equal(o.from_cnt, 1022);
    assert_int_equal(o.tls, OPTIONS_TLS_STARTTLS);
    assert_int_equal(parse(&o,
                           KERNEL "--tls implicit --tls-version 1.2 --tls-resume --proxy v2 "
                                  "--clients 192.0.2.7-192.0.2.9 --auth a@b:c:d --recipients 100 "
                                  "--bdat --no-pipelining --run 12 --ledger L --histogram H "
                                  "--message-rate 7 smtp",
                           err),
                     0);
    assert_int_equal(o.tls, OPTIONS_TLS_IMPLICIT);
    assert_int_equal(o.tls_version, TLS_VERSION_12);
    assert_true(o.tls_resume && o.bdat && o.no_pipelining);
    assert_int_equal(o.proxy, 2);
    client = options_client(&o, 5);
    assert_int_equal(client.b[15], 9);
    assert_string_equal(o.user, "a@b");
    assert_string_equal(o.password, "c:d");
    assert_int_equal(o.recipient_cnt, 100);
    assert_int_equal(o.run, 12);
    assert_int_equal(o.message_rate, 7);
    assert_string_equal(o.ledger, "L");
    assert_string_equal(o.histogram, "H");
}

static void wrong_options_are_refused(void **state)
{
    static const char *const lines[] = {
        "",
        "smtp",
        ENDS,
        ENDS "connect smtp",
        ENDS "synflood udpflood",
        ENDS "dance",
        ENDS "--kernel smtp",
        KERNEL "synflood",
        KERNEL,
        "--kernel smtp",
        KERNEL "--from fd00::1/64 smtp",
        KERNEL "--tls none handshake",
        KERNEL "--tls-resume smtp",
        KERNEL "--tls-version 1.1 --tls starttls smtp",
        KERNEL "--tls maybe smtp",
        KERNEL "--proxy v3 smtp",
        KERNEL "--clients 10.0.0.9-10.0.0.1 smtp",
        KERNEL "--auth nobody smtp",
        KERNEL "--auth :x smtp",
        KERNEL "--recipients 101 smtp",
        KERNEL "--ledger L connect",
        KERNEL "--message-rate 5 connect",
        ENDS "--from 10.0.0.2-10.0.0.18/24 smtp",
        ENDS "smtp --rate",
        ENDS "smtp --rate 0",
        ENDS "smtp --rate -1",
        ENDS "smtp --rate 1x",
        ENDS "smtp --time 0",
        ENDS "smtp --time nan",
        ENDS "smtp --size 99999999999999999999",
        ENDS "smtp --connections 1 --lanes 2",
        ENDS "smtp --lanes 17",
        ENDS "smtp --cpus 1,",
        ENDS "smtp --sender a>b",
        ENDS "smtp --size 399",
        ENDS "smtp --size 1",
        ENDS "smtp --case a\"b",
        ENDS "smtp --case a.b",
        ENDS "smtp --case a\nb",
        ENDS "smtp --who a\\b",
        ENDS "smtp --nothing",
        "--port a --to 10.0.0.1 --from 10.0.0.2/24 smtp",
        "--port a --to 10.0.0.1:25 --from 10.0.0.2 smtp",
        "--port a --to 10.0.0.1:25 --from 10.0.0.2/33 smtp",
        "--port a --to 10.0.0.1:25 --from 10.0.0.2/0 smtp",
        "--port a --to 10.0.0.1:25 --from 10.0.0.2-10.0.0.18/24 smtp",
        "--port a --to 10.0.0.1:25 --from 10.0.0.3-10.0.0.2/24 smtp",
        "--port a --to 10.0.0.1:25 --from 10.0.0.2-fd00::1/24 smtp",
        "--port a --to 10.0.0.1:25 --from 10.0.0.2/24-10.0.0.3 smtp",
        "--port a --to 10.0.0.1:25 --from 10.0.0.2/24 --lanes 2 smtp",
        "--port a --to [fd00::1]:25 --from 10.0.0.2/24 smtp",
        "--port a --to [fd00::1]:25 --from fd00::2/64 synflood",
    };
    struct options o;
    char err[256];

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        err[0] = 0;
        if (parse(&o, lines[i], err) >= 0)
            fail_msg("was taken: %s", lines[i]);
        assert_true(err[0] != 0);
    }
}

static void loads_are_read(void **state)
{
    static const char *const wrong[] = {
        "",       "connect --lanes 2", "--loads", "smtp --connections 9", "smtp --port a",
        "--help", "smtp smtp"};
    struct options base, o;
    char err[256], line[128];

    (void)state;
    assert_int_equal(parse(&base, ENDS "--loads smtp", err), -EINVAL);
    assert_int_equal(parse(&base, ENDS "--loads --connections 8 --time 3", err), 0);
    snprintf(line, sizeof(line), "connect --connections 8 synflood --frames 5\n");
    assert_int_equal(options_parse_load(&o, &base, line, err, sizeof(err)), 0);
    assert_ptr_equal(o.mode, &mode_connect);
    assert_int_equal(o.flood, FLOOD_SYN);
    assert_int_equal(o.frame_max, 5);
    assert_int_equal(o.connection_cnt, 8);
    assert_int_equal(o.duration_ns, 3000000000);
    assert_int_equal(o.from_cnt, 16);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(line, sizeof(line), "%s", wrong[i]);
        if (options_parse_load(&o, &base, line, err, sizeof(err)) == 0)
            fail_msg("was taken: %s", wrong[i]);
    }
}

/* ---- forged frames ---- */

static struct rig r;

/* Gives cnt frames of a kind to lib/net; how many came up as segments. */
static uint32_t flood(enum flood_kind kind, uint32_t cnt)
{
    struct flood_target to = {.port = 25};
    struct base_rand rand;
    uint32_t up = 0;

    memcpy(to.src_mac, rig_peer.src_mac, 6);
    memcpy(to.dst_mac, rig_peer.dst_mac, 6);
    memcpy(to.dst, rig_peer.dst, 4);
    base_rand_init(&rand, 7);
    for (uint32_t i = 0; i < cnt; i++) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(rig_pool);
        struct net_segment s;
        uint32_t len = flood_frame_write(rte_pktmbuf_mtod(m, uint8_t *), kind, &to, &rand);
        assert_true(len <= FLOOD_FRAME_MAX);
        m->data_len = (uint16_t)len;
        m->pkt_len = len;
        if (net_input(r.net, &m, 1, &s, r.now_ns) == 0)
            continue;
        up++;
        assert_int_equal(base_be16(rte_pktmbuf_mtod_offset(s.mbuf, uint8_t *, 2)), 25);
        rte_pktmbuf_free(s.mbuf);
    }
    return up;
}

static void frames_come_as_far_as_they_should(void **state)
{
    (void)state;
    memset(&r, 0, sizeof(r));
    rig_open(&r);
    assert_int_equal(flood(FLOOD_SYN, 1000), 1000);
    assert_int_equal(flood(FLOOD_ACK, 1000), 1000);
    assert_int_equal(flood(FLOOD_RST, 1000), 1000);
    assert_int_equal(flood(FLOOD_UDP, 1000), 0);
    assert_int_equal(stats_get(&r.stats, STATS_NET_DROP_IP_PROTOCOL), 1000);
    assert_int_equal(flood(FLOOD_FRAG, 1000), 0);
    assert_int_equal(stats_get(&r.stats, STATS_NET_DROP_IP_FRAGMENT), 1000);
    assert_int_equal(stats_get(&r.stats, STATS_NET_DROP_TCP_CHECKSUM), 0);
    rig_close(&r);
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, 6);
}

static void sources_differ(void **state)
{
    enum { CNT = 20000 };
    static uint8_t source[CNT][6]; /* address and port */
    struct flood_target to = {.dst = {10, 1, 0, 1}, .port = 25};
    struct base_rand rand;
    uint8_t frame[FLOOD_FRAME_MAX];
    uint32_t same = 0;

    (void)state;
    base_rand_init(&rand, 1);
    for (uint32_t i = 0; i < CNT; i++) {
        flood_frame_write(frame, FLOOD_SYN, &to, &rand);
        memcpy(source[i], frame + 26, 4);
        memcpy(source[i] + 4, frame + 34, 2);
        assert_in_range(source[i][0], 11, 90);
        assert_true(base_be16(source[i] + 4) >= 1024);
    }
    qsort(source, CNT, sizeof(source[0]), compare);
    for (uint32_t i = 1; i < CNT; i++)
        same += memcmp(source[i - 1], source[i], 6) == 0;
    assert_true(same <= 2);
}

/* ---- refusals ---- */

static void no_abort(struct lane *l, struct session *s)
{
    (void)l;
    (void)s;
}

static uint64_t refused_ns(const struct lane *l, double share)
{
    struct histogram_sum sum = {0};

    histogram_join(&sum, &l->refused);
    return histogram_percentile_ns(&sum, NULL, share);
}

/* A connection that was due at 1 us. */
static struct session *refusing_session(struct lane *l)
{
    struct session *s = base_pool_get(&l->sessions);

    assert_non_null(s);
    memset(s, 0, sizeof(*s));
    base_timer_init(&s->timer);
    base_list_init(&s->wait);
    base_list_push_back(&l->open, &s->place);
    l->open_cnt++;
    s->unit_ns = 1000;
    s->unit_left = 2;
    return s;
}

static void refusals_are_timed(void **state)
{
    static const struct link_ops link = {.abort = no_abort};
    static struct lane l;

    (void)state;
    l.link = &link;
    base_list_init(&l.open);
    base_wheel_init(&l.wheel, 0);
    assert_int_equal(base_pool_init(&l.sessions, 2, sizeof(struct session), 64, 0), 0);

    /* A message from its begin to the reply. */
    struct session *s = refusing_session(&l);
    l.now_ns = 1030;
    session_unit_refused(&l, s, 452);
    assert_int_equal(refused_ns(&l, 1), 30);
    l.now_ns += 40;
    session_unit_refused(&l, s, 554);
    assert_int_equal(refused_ns(&l, 1), 40);
    /* A connection from when it was due to the 421. */
    l.now_ns = 1050;
    session_fail(&l, refusing_session(&l), LANE_FAIL_REPLY);
    assert_int_equal(refused_ns(&l, 1), 50);
    assert_int_equal(refused_ns(&l, 0), 30);
    /* What is done, or fails without a reply, is not refused. */
    l.now_ns = 1060;
    s->unit_ns = 1000;
    session_unit_done(&l, s);
    session_fail(&l, s, LANE_FAIL_SILENT);
    assert_int_equal(refused_ns(&l, 1), 50);
    assert_int_equal(l.open_cnt, 0);
    base_pool_fini(&l.sessions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_are_in_order),
        cmocka_unit_test(percentiles_are_by_rank),
        cmocka_unit_test(options_are_read),
        cmocka_unit_test(protocol_options_are_read),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(loads_are_read),
        cmocka_unit_test(frames_come_as_far_as_they_should),
        cmocka_unit_test(sources_differ),
        cmocka_unit_test(refusals_are_timed),
    };

    dpdk_eal_init();
    rig_pool = dpdk_pool("rig", 2048, 0);
    rig_ctrl_pool = dpdk_pool("ctrl", 1024, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
