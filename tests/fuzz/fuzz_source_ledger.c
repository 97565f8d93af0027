/*
 * Fuzz target: what an earlier run has left of sources, read as any bytes. What was read is written
 * again, and read again: then every line is good, and the text stays the same.
 */
#include "base_assert.h"
#include "base_time.h"
#include "source_ledger.h"

#include <stdlib.h>

#define NOW  (1000 * BASE_NS_S)
#define WALL (UINT64_C(1700000000) * BASE_NS_S)
#define MAX  (14400 * BASE_NS_S)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Sources of a text are nobody's until the settings name them: here all are. */
static struct base_buf write_all(struct source_ledger *l)
{
    size_t cap = source_ledger_bytes(l);
    struct base_buf out = {.p = malloc(cap), .cap = cap};

    for (uint32_t i = 0; i < l->source_cnt; i++)
        l->sources[i].used = true;
    base_assert(out.p != NULL && source_ledger_write(l, &out, NOW, WALL));
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct source_ledger l;

    base_assert(source_ledger_init(&l) == 0);
    (void)source_ledger_read(&l, base_span_of(data, size), MAX, NOW, WALL);
    struct base_buf first = write_all(&l);
    source_ledger_fini(&l);
    base_assert(source_ledger_init(&l) == 0);
    base_assert(source_ledger_read(&l, base_span_of(first.p, first.len), MAX, NOW, WALL) == 0);
    struct base_buf second = write_all(&l);
    base_assert(first.len == second.len);
    source_ledger_fini(&l);
    free(first.p);
    free(second.p);
    return 0;
}
