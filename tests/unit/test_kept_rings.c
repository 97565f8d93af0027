/*
 * Texts that the courier hands to control, to be kept on disk: each that was given is taken once,
 * whole, in the order in which they were made, and none is given while one waits. Under the thread
 * sanitizer, too (suite tsan).
 */
#include "unit.h"

#include "kept.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS 20000

static struct kept kept;
static uint32_t given_cnt;
static _Atomic bool done;

/* Text n has n % 97 + 4 bytes: its number, then bytes that follow from it. */
static struct kept_text *text_of(uint32_t n)
{
    size_t len = n % 97 + sizeof(n);
    char *bytes = malloc(len);

    assert_non_null(bytes);
    memcpy(bytes, &n, sizeof(n));
    for (size_t i = sizeof(n); i < len; i++)
        bytes[i] = (char)(n * 31 + i);
    return kept_text_of(bytes, len);
}

static void *give(void *arg)
{
    (void)arg;
    for (uint32_t n = 0; n < TEXTS; n++) {
        while (!kept_free(&kept))
            sched_yield();
        kept_give(&kept, text_of(n));
        given_cnt++;
    }
    atomic_store_explicit(&done, true, memory_order_release);
    return NULL;
}

static void check(const struct kept_text *t, uint32_t n)
{
    uint32_t number;

    assert_int_equal(t->len, n % 97 + sizeof(n));
    memcpy(&number, t->bytes, sizeof(number));
    assert_int_equal(number, n);
    for (size_t i = sizeof(n); i < t->len; i++)
        assert_int_equal(t->bytes[i], (char)(n * 31 + i));
}

static void each_once(void **state)
{
    pthread_t giver;
    uint32_t taken_cnt = 0;
    struct kept_text *t;

    (void)state;
    assert_int_equal(pthread_create(&giver, NULL, give, NULL), 0);
    while (!atomic_load_explicit(&done, memory_order_acquire) || !kept_free(&kept)) {
        if ((t = kept_take(&kept)) == NULL) {
            sched_yield();
            continue;
        }
        check(t, taken_cnt++);
        kept_text_free(t);
    }
    assert_int_equal(pthread_join(giver, NULL), 0);
    assert_int_equal(given_cnt, TEXTS);
    assert_int_equal(taken_cnt, TEXTS);
    assert_null(kept_take(&kept));
}

static void without_memory(void **state)
{
    (void)state;
    assert_null(kept_text_of(NULL, 5)); /* its maker had none */
    kept_text_free(NULL);
    struct kept_text *t = kept_text_of(malloc(1), 0);
    assert_non_null(t);
    kept_text_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_once),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
