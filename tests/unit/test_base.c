#include "unit.h"

#include "base_crc32c.h"
#include "base_mdoc.h"
#include "base_pool.h"
#include "base_rand.h"
#include "base_siphash.h"
#include "base_time.h"
#include "base_wheel.h"

#include <stdlib.h>
#include <string.h>

/* Bit by bit, as RFC 3720 defines it. */
static uint32_t crc32c_slowly(const uint8_t *p, size_t len)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

static void crc32c_long(void **state)
{
    (void)state;
    static uint8_t from[20000], to[20080];
    static const size_t lens[] = {0,    1,    7,    8,    63,   383,  384,  1023,  1024, 1025,
                                  1100, 3071, 3072, 3073, 3079, 6144, 9999, 16384, 19999};
    for (size_t i = 0; i < sizeof(from); i++)
        from[i] = (uint8_t)(i * 2654435761U >> 13);
    for (size_t i = 0; i < BASE_ARRAY_CNT(lens); i++)
        for (size_t at = 0; at < 2; at++) {
            size_t len = lens[i] > at ? lens[i] - at : 0;
            uint32_t want = crc32c_slowly(from + at, len);
            assert_int_equal(base_crc32c(0, from + at, len), want);
            size_t half = len / 3;
            uint32_t front = base_crc32c(0, from + at, half);
            assert_int_equal(base_crc32c(front, from + at + half, len - half), want);
            for (size_t off = 3; off < 67; off += 9) { /* aligned, and not */
                memset(to, 0, sizeof(to));
                assert_int_equal(base_crc32c_stream(to + off, from + at, len), want);
                base_stream_fence();
                assert_memory_equal(to + off, from + at, len);
                assert_int_equal(to[off - 1] | to[off + len], 0);
            }
        }
}

static void crc32c_known(void **state)
{
    (void)state;
    uint8_t zeros[32] = {0};

    assert_int_equal(base_crc32c(0, "123456789", 9),
                     0xe3069283); /* RFC 3720 B.4 and the check value */
    assert_int_equal(base_crc32c(0, zeros, sizeof(zeros)), 0x8a9136aa);
    assert_int_equal(base_crc32c(base_crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

static void siphash_known(void **state)
{
    (void)state;
    uint8_t key[16], in[15];

    for (uint8_t i = 0; i < 16; i++)
        key[i] = i;
    for (uint8_t i = 0; i < 15; i++)
        in[i] = i;
    assert_true(base_siphash(key, in, 15) == UINT64_C(0xa129ca6149be45e5)); /* the paper, A */
    assert_true(base_siphash(key, in, 0) == UINT64_C(0x726fdb47dd0e0e31));
    /* The same authors' reference code with -DcROUNDS=1 -DdROUNDS=3. */
    assert_true(base_siphash13(key, in, 0) == UINT64_C(0xabac0158050fc4dc));
    assert_true(base_siphash13(key, in, 12) != base_siphash13(key, in, 13));
}

static void dates(void **state)
{
    (void)state;
    char out[BASE_TIME_RFC5322_CAP], iso[BASE_TIME_RFC3339_CAP];

    base_time_rfc5322(out, 0);
    assert_string_equal(out, "Thu, 1 Jan 1970 00:00:00 +0000");
    base_time_rfc5322(out, UINT64_C(1582979696) * BASE_NS_S);
    assert_string_equal(out, "Sat, 29 Feb 2020 12:34:56 +0000");
    base_time_rfc5322(out, UINT64_MAX); /* 2554: the furthest that 64 bits of ns reach */
    assert_string_equal(out, "Sun, 21 Jul 2554 23:34:33 +0000");
    base_time_rfc3339(iso, UINT64_C(4102444799) * BASE_NS_S + 123456789);
    assert_string_equal(iso, "2099-12-31T23:59:59.123456Z");
}

/* Whatever the size of an object, its place is found from its address and back. */
static void pool_places(void **state)
{
    (void)state;
    static const size_t size[] = {8, 24, 40, 64, 96, 120, 256, 264, 1000};

    for (size_t i = 0; i < BASE_ARRAY_CNT(size); i++) {
        struct base_pool p;
        void *object[100];
        bool seen[100] = {false};
        assert_int_equal(base_pool_init(&p, 100, size[i], 8, 0), 0);
        for (uint32_t k = 0; k < 100; k++) {
            object[k] = base_pool_get(&p);
            uint32_t at = base_pool_index(&p, object[k]);
            assert_true(at < 100 && !seen[at]);
            assert_ptr_equal(base_pool_at(&p, at), object[k]);
            seen[at] = true;
        }
        for (uint32_t k = 0; k < 100; k++)
            base_pool_put(&p, object[k]);
        base_pool_fini(&p);
    }
}

static void pool_gives_all_back(void **state)
{
    (void)state;
    struct base_pool p;
    void *object[3];

    assert_int_equal(base_pool_init(&p, 3, 100, 64, 8), 0);
    for (int i = 0; i < 3; i++) {
        object[i] = base_pool_get(&p);
        assert_non_null(object[i]);
        assert_int_equal((uintptr_t)object[i] % 64, 0);
    }
    assert_null(base_pool_get(&p));
    for (int i = 0; i < 3; i++)
        base_pool_put(&p, object[i]);
    base_pool_fini(&p);
}

#define TIMER_CNT 200

struct model {
    struct base_timer timer;
    uint64_t deadline_ns;
};

/* Random sets, moves and stops; every timer fires in [deadline, deadline + one tick + one step],
 * and base_wheel_next is never after the earliest deadline. */
static void wheel_against_model(void **state)
{
    (void)state;
    static struct base_wheel w;
    static struct model m[TIMER_CNT];
    struct base_rand r;

    for (uint64_t seed = 0; seed < 60; seed++) {
        uint64_t now = 1 + seed * 977 * BASE_NS_MS;
        base_rand_init(&r, seed);
        base_wheel_init(&w, now);
        for (int i = 0; i < TIMER_CNT; i++) {
            base_timer_init(&m[i].timer);
            m[i].deadline_ns = BASE_NS_NONE;
        }
        for (int step = 0; step < 3000; step++) {
            struct model *x = &m[base_rand_below(&r, TIMER_CNT)];
            unsigned scale = (unsigned)base_rand_below(&r, 40);
            uint64_t delta = base_rand_below(&r, (UINT64_C(1) << scale) + 1);
            if (base_rand_below(&r, 4) == 0) {
                base_wheel_stop(&w, &x->timer);
                x->deadline_ns = BASE_NS_NONE;
            } else {
                x->deadline_ns = now + delta;
                base_wheel_set(&w, &x->timer, now + delta);
            }
            uint64_t earliest = BASE_NS_NONE;
            for (int i = 0; i < TIMER_CNT; i++)
                if (m[i].deadline_ns < earliest)
                    earliest = m[i].deadline_ns;
            uint64_t next = base_wheel_next(&w);
            if (earliest != BASE_NS_NONE)
                assert_true(next <= earliest + BASE_NS_MS);
            uint64_t before = now;
            now += base_rand_below(&r, UINT64_C(1) << base_rand_below(&r, 37));
            struct base_timer *t;
            while ((t = base_wheel_pop(&w, now)) != NULL) {
                struct model *fired = base_container_of(t, struct model, timer);
                assert_true(fired->deadline_ns <= now);
                (void)before;
                fired->deadline_ns = BASE_NS_NONE;
            }
            for (int i = 0; i < TIMER_CNT; i++) /* nothing that is due by more than a tick stays */
                assert_true(m[i].deadline_ns == BASE_NS_NONE ||
                            m[i].deadline_ns + BASE_NS_MS > now);
        }
        for (int i = 0; i < TIMER_CNT; i++)
            base_wheel_stop(&w, &m[i].timer);
        assert_int_equal(w.timer_cnt, 0);
    }
}

static void mdoc_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool sentence;
        const char *becomes;
    } rows[] = {
        {"what it is", true, "What it is.\n"},
        {"what it is", false, "what it is\n"},
        {"a\\b --c", true, "A\\eb \\-\\-c.\n"},
        {"One. Two. 3", true, "One.\nTwo. 3.\n"},
        {"One. .Two", true, "One. .Two.\n"},
        {".Sh x", false, "\\&.Sh x\n"},
        {"one\n'so", false, "one\n\\&'so\n"},
        {"one\n\ntwo", true, "One\n.Pp\ntwo.\n"},
        {"one\n  .as is\ntwo", false,
         "one\n.Bd -literal -offset indent -compact\n\\&  .as is\n.Ed\ntwo\n"},
        {"", true, ""},
    };
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        char *text;
        size_t len;
        FILE *out = open_memstream(&text, &len);
        base_mdoc_text(out, rows[i].text, rows[i].sentence);
        fclose(out);
        assert_string_equal(text, rows[i].becomes);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_known),        cmocka_unit_test(crc32c_long),
        cmocka_unit_test(siphash_known),       cmocka_unit_test(dates),
        cmocka_unit_test(pool_gives_all_back), cmocka_unit_test(pool_places),
        cmocka_unit_test(wheel_against_model), cmocka_unit_test(mdoc_text),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
