/* OpenSSL's allocator: contents and sizes, what is held, and pieces that change threads. */
#include "unit.h"

#include "tls_memory.h"

#include "base_assert.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PIECES 200

static void fill(uint8_t *p, size_t n, uint8_t with)
{
    memset(p, with, n);
}

static bool holds(const uint8_t *p, size_t n, uint8_t what)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != what)
            return false;
    return true;
}

static void sizes(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        for (size_t n = 1; n < 40000; n += n < 3000 ? 1 : 61) {
            uint8_t *p = tls_memory_take(n, NULL, 0);
            assert_non_null(p);
            assert_true(malloc_usable_size(p) >= n);
            fill(p, n, (uint8_t)n);
            tls_memory_give(p, NULL, 0);
            p = tls_memory_take(n, NULL, 0); /* the same one, as a rule: as long */
            assert_true(malloc_usable_size(p) >= n);
            tls_memory_give(p, NULL, 0);
        }
    }
    assert_null(tls_memory_take(0, NULL, 0));
    tls_memory_give(NULL, NULL, 0);
    assert_in_range(tls_memory_held_bytes(), 1, 8 << 20);
    tls_memory_trim();
    assert_int_equal(tls_memory_held_bytes(), 0);
}

static void resizes(void **state)
{
    static const size_t lengths[] = {1,     24,    25,    2056,  2057, 5000, 16392,
                                     16393, 24576, 24577, 60000, 30,   1};
    uint8_t *p = NULL;
    size_t before = 0;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(lengths); i++) {
        size_t n = lengths[i];
        p = tls_memory_resize(p, n, NULL, 0);
        assert_non_null(p);
        assert_true(malloc_usable_size(p) >= n);
        assert_true(holds(p, before < n ? before : n, 0x5a));
        fill(p, n, 0x5a);
        before = n;
    }
    assert_null(tls_memory_resize(p, 0, NULL, 0));
    tls_memory_trim();
}

/* Pieces of ours and of malloc's, in any order, never the same one twice. */
static void mixed(void **state)
{
    uint64_t seed = 7;
    uint8_t *pieces[PIECES] = {NULL};
    size_t lengths[PIECES] = {0};

    (void)state;
    for (int i = 0; i < 100000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint32_t at = (uint32_t)(seed >> 33) % PIECES;
        size_t n = 1 + (size_t)(seed >> 20) % (seed & 7 ? 600 : 30000);
        if (pieces[at] != NULL) {
            assert_true(holds(pieces[at], lengths[at], (uint8_t)at));
            tls_memory_give(pieces[at], NULL, 0);
            pieces[at] = NULL;
            continue;
        }
        pieces[at] = seed & 8 ? tls_memory_take(n, NULL, 0) : malloc(n);
        lengths[at] = n;
        assert_non_null(pieces[at]);
        fill(pieces[at], n, (uint8_t)at);
    }
    for (int i = 0; i < PIECES; i++)
        tls_memory_give(pieces[i], NULL, 0);
    tls_memory_trim();
}

static void *give_all(void *arg)
{
    void **pieces = arg;

    for (int i = 0; i < PIECES; i++)
        tls_memory_give(pieces[i], NULL, 0);
    for (int i = 0; i < PIECES; i++)
        pieces[i] = tls_memory_take(100, NULL, 0);
    tls_memory_trim();
    return NULL;
}

static void other_thread(void **state)
{
    void *pieces[PIECES];
    pthread_t thread;

    (void)state;
    for (int i = 0; i < PIECES; i++)
        pieces[i] = tls_memory_take(100, NULL, 0);
    assert_int_equal(pthread_create(&thread, NULL, give_all, pieces), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (int i = 0; i < PIECES; i++)
        tls_memory_give(pieces[i], NULL, 0);
    assert_true(tls_memory_held_bytes() > 0);
    tls_memory_trim();
    assert_int_equal(tls_memory_held_bytes(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sizes), cmocka_unit_test(resizes),
                                       cmocka_unit_test(mixed), cmocka_unit_test(other_thread)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
