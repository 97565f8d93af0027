/* The windows of CUBIC against the formulas of RFC 9438 in floating point. */
#include "tcp_peer.h"

#include "tcp_cc.h"

#include <math.h>

#define CUBIC_C    0.4
#define CUBIC_BETA 0.7

static void curve(void **state)
{
    (void)state;
    static const uint32_t mss[] = {216, 536, 1448, 8948};

    for (size_t i = 0; i < BASE_ARRAY_CNT(mss); i++) {
        for (uint32_t w = 2 * mss[i]; w < (1U << 29); w += w / 3) {
            for (uint32_t part = 0; part <= 10; part++) {
                uint32_t cwnd = w / 10 * part;
                double k = cbrt((double)(w - cwnd) / mss[i] / CUBIC_C);
                uint32_t k_ms = tcp_cubic_k_ms(w, cwnd, mss[i]);
                assert_true(fabs(k_ms - k * 1000) <= 1.001);
                for (uint32_t t = 0; t < 2 * k_ms + 3000; t += 97 + t / 8) {
                    double off = ((double)t - k_ms) / 1000;
                    double want = w + CUBIC_C * off * off * off * mss[i];
                    if (want < 0 || want > TCP_CWND_MAX || fabs(off) > 99)
                        continue;
                    double got = tcp_cubic_window(w, k_ms, t, mss[i]);
                    assert_true(fabs(got - want) <= 2 + mss[i] * 0.001);
                }
            }
        }
    }
    assert_int_equal(tcp_cubic_window(1U << 29, 0, UINT32_MAX, 65535), TCP_CWND_MAX);
    assert_int_equal(tcp_cubic_window(1000, UINT32_MAX, 0, 65535), 0);
}

/* A window over time with a loss now and then, beside the RFC's steps in floating point. */
static void flow(void **state)
{
    (void)state;
    struct tcp_config g = lab_config();
    const uint32_t rtt_ms = 80;
    double cwnd, w_max = 0, w_est = 0, k = 0, t = -1, ssthresh = TCP_CWND_MAX, prior = 0;

    g.congestion = TCP_CUBIC;
    lab_open(&lab, &g);
    peer_port = local_port = 0;
    assert_int_equal(tcp_listen(lab.s, &any_25, NULL), 0);
    struct tcp_conn *c = accept_one();

    assert_string_equal(lab.s->cc->name, "cubic");
    assert_int_equal(c->cwnd, 10 * MSS);
    c->srtt_us = rtt_ms * 1000;
    cwnd = c->cwnd;
    for (uint32_t round = 1; round < 400; round++) {
        lab_wait(&lab, rtt_ms * MS);
        if (round == 7 || round % 80 == 0 || round == 170) {
            w_max = cwnd < w_max ? cwnd * (1 + CUBIC_BETA) / 2 : cwnd;
            prior = cwnd;
            ssthresh = fmax(cwnd * CUBIC_BETA, 2 * MSS);
            cwnd = ssthresh;
            t = -1;
            lab.s->cc->lost(lab.s, c, c->cwnd);
            c->cwnd = c->ssthresh;
            continue;
        }
        for (uint32_t acked = 0; acked + MSS <= c->cwnd; acked += MSS) { /* a round trip's ACKs */
            lab.s->cc->acked(lab.s, c, MSS);
            if (cwnd < ssthresh) {
                cwnd += MSS;
                continue;
            }
            if (t < 0) {
                t = (double)lab.now_ns / 1e9;
                w_max = fmax(w_max, cwnd);
                k = cbrt((w_max - cwnd) / MSS / CUBIC_C);
                w_est = cwnd;
            }
            double at = (double)lab.now_ns / 1e9 - t;
            double alpha = w_est < prior ? 3 * (1 - CUBIC_BETA) / (1 + CUBIC_BETA) : 1;
            w_est += alpha * MSS * MSS / cwnd;
            double w = w_max + CUBIC_C * pow(at - k, 3) * MSS;
            if (w < w_est) {
                cwnd = fmax(cwnd, w_est);
                continue;
            }
            w = w_max + CUBIC_C * pow(at + rtt_ms / 1e3 - k, 3) * MSS;
            w = fmin(fmax(w, cwnd), 1.5 * cwnd);
            cwnd += (w - cwnd) * MSS / cwnd;
        }
        assert_true(fabs(c->cwnd - cwnd) <= 2 * MSS + cwnd / 50);
    }
    assert_true(c->cwnd > 100 * MSS);
    lab.s->cc->timeout(lab.s, c, c->cwnd);
    assert_int_equal(c->ssthresh, (uint64_t)c->cwnd * 7 / 10);
    uint32_t ssthresh_now = c->ssthresh;
    c->cwnd = ssthresh_now;
    lab.s->cc->acked(lab.s, c, MSS); /* a fresh epoch from there */
    assert_int_equal(c->cubic_w_max, ssthresh_now);
    assert_int_equal(c->cubic_k_ms, 0);
    lab_close(&lab);
}

/* A window that nobody uses does not grow. */
static void unused_window(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = accept_one();
    uint32_t at = peer_ack;

    for (int i = 0; i < 50; i++) {
        send_text(c, "a reply");
        expect(ACK);
        at += 7;
        peer(ACK, peer_seq, at, NULL, 0);
    }
    assert_int_equal(c->cwnd, 10 * MSS);
    send_zeros(c, 10 * MSS);
    peer(ACK, peer_seq, at + 10 * MSS, NULL, 0);
    assert_int_equal(c->cwnd, 20 * MSS);
    tcp_abort(lab.s, c);
    lab_close(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(curve),
        cmocka_unit_test(flow),
        cmocka_unit_test(unused_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
