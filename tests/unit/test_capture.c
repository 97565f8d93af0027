/* Captures: words, which frames are meant, the ring between a lane and control (also under the
 * thread sanitizer, suite tsan), and the blocks of the file. */
#include "unit.h"

#include "capture.h"
#include "dpdk_eal.h"
#include "pcapng.h"
#include "base_time.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include <rte_mbuf.h>

static void test_words(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        int rc;
        const char *bad;
    } rows[] = {
        {"", -EDOM, ""},
        {"--all", 0, ""},
        {"--for 5s", -EDOM, "5s"},
        {"--port 25", 0, ""},
        {"--address 192.0.2.0/24 --port 25 --for 30s --bytes 5M --snap 96", 0, ""},
        {"--bytes 10k --all", 0, ""},
        {"--port 0", -EINVAL, "0"},
        {"--port 65536", -EINVAL, "65536"},
        {"--port 2x", -EINVAL, "2x"},
        {"--port 25 --port 26", -EINVAL, "26"},
        {"--port", -EINVAL, "--port"},
        {"--address 192.0.2.1/24", -EINVAL, "192.0.2.1/24"},
        {"--address ::1 --address ::2", -EINVAL, "::2"},
        {"--bytes 2000G --all", -EINVAL, "2000G"},
        {"--bytes K --all", -EINVAL, "K"},
        {"--bytes 0 --all", -EINVAL, "0"},
        {"--snap 65401", -EINVAL, "65401"},
        {"--snap 1 --snap 2", -EINVAL, "2"},
        {"--for 0s", -EINVAL, "0s"},
        {"--for 1", -EINVAL, "1"},
        {"all", -EINVAL, "all"},
        {"'--all'", -EINVAL, "--all"},
        {"--all 'x", -EINVAL, "'x"},
    };

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct capture_words w;
        struct base_span bad;
        int rc = capture_words_parse(&w, base_span_str(rows[i].words), &bad);
        if (rc != rows[i].rc || (rc == -EINVAL && !base_span_eq(bad, base_span_str(rows[i].bad))))
            fail_msg("%s: %d, %.*s", rows[i].words, rc, (int)bad.len, (const char *)bad.p);
    }
    struct capture_words w;
    struct base_span bad;
    assert_int_equal(
        capture_words_parse(&w, base_span_str("--port 25 --for 2m --bytes 3M --snap 96"), &bad), 0);
    assert_true(w.filter.by_port && w.filter.port == 25 && !w.filter.by_address);
    assert_true(w.for_ns == 120 * BASE_NS_S && w.byte_max == 3 << 20 && w.snap_bytes == 96);
}

/* ---- frames ---- */

struct frame {
    uint8_t p[128];
    size_t len;
};

/* Of IPv4 or IPv6, with tags; its addresses end in 1 and 2, its ports are 4711 and 25. */
static struct frame frame_make(bool v6, uint32_t tags, uint8_t protocol, bool later_fragment)
{
    struct frame f = {.len = 12};

    for (uint32_t i = 0; i < tags; i++, f.len += 4)
        base_put_be16(f.p + f.len, 0x8100);
    base_put_be16(f.p + f.len, v6 ? 0x86dd : 0x0800);
    f.len += 2;
    uint8_t *ip = f.p + f.len;
    if (v6) {
        ip[0] = 0x60;
        ip[6] = protocol;
        ip[8] = ip[24] = 0x20;
        ip[23] = 1;
        ip[39] = 2;
        f.len += 40;
    } else {
        ip[0] = 0x45;
        ip[9] = protocol;
        ip[12] = ip[16] = 10;
        ip[15] = 1;
        ip[19] = 2;
        ip[7] = later_fragment;
        f.len += 20;
    }
    base_put_be16(f.p + f.len, 4711);
    base_put_be16(f.p + f.len + 2, 25);
    f.len += 20;
    return f;
}

static void test_matches(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        bool v4, v6, fragment, udp, icmp;
    } rows[] = {
        {"--all", true, true, true, true, true},
        {"--port 25", true, true, false, true, false},
        {"--port 4711", true, true, false, true, false},
        {"--port 26", false, false, false, false, false},
        {"--address 10.0.0.1", true, false, true, true, true},
        {"--address 10.0.0.2/32 --port 25", true, false, false, true, false},
        {"--address 10.0.0.3", false, false, false, false, false},
        {"--address 2000::1", false, true, false, false, false},
        {"--address 2000::/16 --port 4711", false, true, false, false, false},
    };

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++)
        for (uint32_t tags = 0; tags < 2; tags++) {
            struct capture_words w;
            struct base_span bad;
            assert_int_equal(capture_words_parse(&w, base_span_str(rows[i].words), &bad), 0);
            struct frame f[] = {frame_make(false, tags, 6, false), frame_make(true, tags, 6, false),
                                frame_make(false, tags, 6, true),
                                frame_make(false, tags, 17, false),
                                frame_make(false, tags, 1, false)};
            const bool want[] = {rows[i].v4, rows[i].v6, rows[i].fragment, rows[i].udp,
                                 rows[i].icmp};
            for (size_t k = 0; k < BASE_ARRAY_CNT(f); k++)
                if (capture_match(&w.filter, f[k].p, f[k].len) != want[k])
                    fail_msg("%s: frame %zu, %u tags", rows[i].words, k, tags);
            for (size_t len = 0; len < f[0].len; len++) { /* cut anywhere: within bounds */
                uint8_t *cut = malloc(len > 0 ? len : 1);
                assert_non_null(cut);
                memcpy(cut, f[0].p, len);
                (void)capture_match(&w.filter, cut, len);
                memcpy(cut, f[1].p, len);
                (void)capture_match(&w.filter, cut, len);
                free(cut);
            }
        }
}

/* ---- the ring ---- */

#define RING_BYTES 65536
#define FRAMES     20000

static struct rte_mempool *pool;

/* A frame of several pieces; byte i is seed + i. */
static struct rte_mbuf *mbuf_make(uint32_t len, uint32_t seed)
{
    struct rte_mbuf *first = NULL, *last = NULL;

    for (uint32_t at = 0; at < len;) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
        base_assert(m != NULL);
        uint32_t room = rte_pktmbuf_tailroom(m), n = len - at < room ? len - at : room;
        uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)n);
        for (uint32_t i = 0; i < n; i++)
            p[i] = (uint8_t)(seed + at + i);
        at += n;
        if (first == NULL)
            first = m;
        else
            last->next = m;
        last = m;
        first->pkt_len = at;
        first->nb_segs = (uint16_t)(first->nb_segs + (m != first));
    }
    return first;
}

struct put_side {
    struct capture_ring *ring;
    uint32_t copied, dropped;
};

static uint32_t len_of(uint32_t n)
{
    return 1 + n * 2654435761u % 6000;
}

static void *put_main(void *arg)
{
    struct put_side *s = arg;

    for (uint32_t n = 0; n < FRAMES; n++) {
        struct rte_mbuf *m = mbuf_make(len_of(n), n);
        enum capture_result r = capture_ring_put(s->ring, m, (uint8_t)(n % 4), n % 2, n);
        s->copied += r == CAPTURE_COPIED;
        s->dropped += r == CAPTURE_DROPPED;
        rte_pktmbuf_free(m);
        if (n % 64 == 0)
            sched_yield();
    }
    return NULL;
}

/* Each frame that was copied comes out whole, in order, cut at the snap length. */
static void test_ring(void **state)
{
    (void)state;
    static const struct capture_filter all = {.all = true};
    struct put_side side = {.ring = capture_ring_open(RING_BYTES, &all, 5000)};
    uint32_t taken = 0, next = 0;
    pthread_t thread;

    assert_non_null(side.ring);
    assert_int_equal(pthread_create(&thread, NULL, put_main, &side), 0);
    while (next < FRAMES - 1 || taken == 0) {
        struct capture_record r;
        struct base_span piece[2];
        if (!capture_ring_peek(side.ring, &r, piece)) {
            uint64_t seen = 0;
            for (int p = 0; p < 4; p++)
                seen += atomic_load_explicit(&side.ring->lane.matched[p], memory_order_relaxed);
            if (seen == FRAMES && !capture_ring_peek(side.ring, &r, piece))
                break;
            sched_yield();
            continue;
        }
        base_assert(r.wall_ns >= next && r.wall_ns < FRAMES);
        uint32_t n = (uint32_t)r.wall_ns;
        next = n + 1;
        base_assert(r.wire_len == len_of(n) && r.port == n % 4 && r.outbound == (n % 2 != 0));
        base_assert(r.len == (r.wire_len < 5000 ? r.wire_len : 5000));
        base_assert(piece[0].len + piece[1].len == r.len);
        for (uint32_t i = 0; i < r.len; i += 97) {
            uint8_t b = i < piece[0].len ? piece[0].p[i] : piece[1].p[i - piece[0].len];
            base_assert(b == (uint8_t)(n + i));
        }
        capture_ring_drop(side.ring, &r);
        taken++;
    }
    pthread_join(thread, NULL);
    struct capture_record r;
    struct base_span piece[2];
    for (; capture_ring_peek(side.ring, &r, piece); taken++)
        capture_ring_drop(side.ring, &r);
    assert_int_equal(side.copied + side.dropped, FRAMES);
    assert_int_equal(taken, side.copied);
    assert_true(taken > 10);
    free(side.ring);
}

/* A full ring drops, and counts it; what was taken makes room again. */
static void test_full(void **state)
{
    (void)state;
    static const struct capture_filter all = {.all = true};
    struct capture_ring *ring = capture_ring_open(4096, &all, CAPTURE_SNAP_MAX);
    struct capture_record r;
    struct base_span piece[2];
    struct rte_mbuf *m = mbuf_make(1000, 0);
    uint32_t cnt = 0;

    assert_non_null(ring);
    while (capture_ring_put(ring, m, 2, true, 1) == CAPTURE_COPIED)
        cnt++;
    assert_int_equal(cnt, 4);
    assert_int_equal(atomic_load(&ring->lane.dropped[2]), 1);
    assert_true(capture_ring_peek(ring, &r, piece));
    capture_ring_drop(ring, &r);
    assert_int_equal(capture_ring_put(ring, m, 2, true, 1), CAPTURE_COPIED);
    rte_pktmbuf_free(m);
    free(ring);
}

/* ---- the file ---- */

static void test_blocks(void **state)
{
    (void)state;
    static const uint8_t section[] = {
        0x0a, 0x0d, 0x0d, 0x0a, 44,   0,    0,    0,    0x4d, 0x3c, 0x2b, 0x1a, 1, 0,   0,
        0,    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,    0,    5,    0, 'h', 'e',
        'l',  'l',  'o',  0,    0,    0,    0,    0,    0,    0,    44,   0,    0, 0};
    static const uint8_t interface[] = {1, 0, 0, 0, 44, 0, 0,   0,   1,   0,   0, 0, 96, 0,
                                        0, 0, 2, 0, 4,  0, 'n', 'e', 't', '0', 9, 0, 1,  0,
                                        9, 0, 0, 0, 0,  0, 0,   0,   44,  0,   0, 0};
    static const uint8_t packet[] = {
        6, 0, 0,   0,   48,  0,   0,   0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0,  0, 9, 0,
        0, 0, 'a', 'b', 'c', 'd', 'e', 0, 0, 0, 2, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0, 0, 52, 0, 0, 0};
    uint8_t room[1024];
    struct base_buf b = {.p = room, .cap = sizeof(room)};

    assert_int_equal(pcapng_put_section(&b, "hello", ""), 0);
    assert_int_equal(b.len, sizeof(section));
    assert_memory_equal(room, section, b.len);
    b.len = 0;
    struct pcapng_interface i = {.name = "net0", .description = "", .filter = "", .snap_len = 96};
    assert_int_equal(pcapng_put_interface(&b, &i), 0);
    assert_int_equal(room[4], b.len);
    assert_memory_equal(room + 8, interface + 8, sizeof(interface) - 12);
    b.len = 0;
    struct pcapng_packet p = {.interface = 3,
                              .wall_ns = (UINT64_C(1) << 32) + 2,
                              .wire_len = 9,
                              .outbound = true,
                              .piece = {base_span_str("ab"), base_span_str("cde")}};
    assert_int_equal(pcapng_put_packet(&b, &p), 0);
    assert_int_equal(b.len, sizeof(packet));
    assert_int_equal(room[4], b.len);
    assert_memory_equal(room + 8, packet + 8, sizeof(packet) - 12);
    assert_true(b.len <= 5 + PCAPNG_PACKET_MAX);
    b.len = 0;
    assert_int_equal(pcapng_put_statistics(&b, &(struct pcapng_statistics){.interface = 1}), 0);
    assert_int_equal(b.len, PCAPNG_STATISTICS_BYTES);
}

/* In any room each block is whole, with its length at both ends, or not there; texts are cut. */
static void test_room(void **state)
{
    (void)state;
    char text[400];
    struct pcapng_interface i = {.name = text, .description = text, .filter = text};
    struct pcapng_packet p = {.piece = {base_span_str("ab"), base_span_str("c")}};

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    for (size_t cap = 0; cap < 1000; cap++) {
        uint8_t *room = malloc(cap + 1);
        assert_non_null(room);
        for (int kind = 0; kind < 4; kind++) {
            struct base_buf b = {.p = room, .cap = cap};
            int rc = kind == 0   ? pcapng_put_section(&b, text, text)
                     : kind == 1 ? pcapng_put_interface(&b, &i)
                     : kind == 2 ? pcapng_put_packet(&b, &p)
                                 : pcapng_put_statistics(&b, &(struct pcapng_statistics){0});
            assert_true(rc == 0 ? b.len > 0 && b.len % 4 == 0 : rc == -ENOSPC && b.len == 0);
            if (rc == 0) {
                assert_int_equal(base_le32(room + 4), b.len);
                assert_int_equal(base_le32(room + b.len - 4), b.len);
                assert_true(b.len <= PCAPNG_HEAD_MAX);
            }
        }
        free(room);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words), cmocka_unit_test(test_matches), cmocka_unit_test(test_ring),
        cmocka_unit_test(test_full),  cmocka_unit_test(test_blocks),  cmocka_unit_test(test_room),
    };

    dpdk_eal_init();
    pool = dpdk_pool("capture", 64, 0);
    return cmocka_run_group_tests_name("capture", tests, NULL, NULL);
}
