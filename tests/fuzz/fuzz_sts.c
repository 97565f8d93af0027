/*
 * What domains publish of MTA-STS, and the file that policies are kept in. The first byte chooses.
 * A policy that is taken has what it must have, is kept, written and read again; a kept file is
 * given its checksum, so that what lies before it is read, too.
 */
#include "base_crc32c.h"
#include "sts_cache.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW UINT64_C(1700000000)

static const uint8_t key[16] = "fuzz";

static void again(const struct sts_cache *c)
{
    struct sts_cache other;
    size_t len;
    char *text = sts_cache_write(c, NOW, &len);

    base_assert(text != NULL);
    int failed = sts_cache_init(&other, key);
    base_assert(failed == 0);
    int got = sts_cache_read(&other, base_span_of(text, len), NOW);
    base_assert(got >= 0 && (uint32_t)got == other.cnt);
    sts_cache_fini(&other);
    free(text);
}

static void fuzz_policy(struct base_span in)
{
    char *room = malloc(in.len + 1);
    struct sts_policy p;
    struct sts_cache c;
    const char *why, *mx;
    uint32_t cnt = 0;
    size_t at = 0;

    base_assert(room != NULL);
    int got = sts_policy_parse(&p, in, room, in.len + 1, &why);
    base_assert((got == 0) == (why == NULL));
    while (got == 0 && (mx = sts_policy_next(&p, &at)) != NULL) {
        base_assert(sts_pattern_valid(base_span_str(mx)));
        base_assert(mx[0] == '*' || sts_policy_match(&p, mx));
        cnt++;
    }
    if (got == 0) {
        base_assert(cnt == p.mx_cnt && p.max_age_s <= STS_MAX_AGE_MAX);
        base_assert(cnt > 0 || p.mode == STS_MODE_NONE);
        int failed = sts_cache_init(&c, key);
        base_assert(failed == 0);
        failed = sts_cache_store(&c, sts_cache_get(&c, "a.example"), "id", &p, NOW);
        base_assert(failed == 0);
        again(&c);
        sts_cache_fini(&c);
    }
    free(room);
}

static void fuzz_file(struct base_span in)
{
    char *text = malloc(in.len + 64);
    struct sts_cache c;
    uint32_t lines = 0;

    base_assert(text != NULL);
    if (in.len > 0)
        memcpy(text, in.p, in.len);
    for (size_t i = 0; i < in.len; i++)
        lines += text[i] == '\n';
    size_t len = in.len + (size_t)snprintf(text + in.len, 64, "end %u %08x\n",
                                           lines > 0 ? lines - 1 : 0, base_crc32c(0, text, in.len));
    int failed = sts_cache_init(&c, key);
    base_assert(failed == 0);
    if (sts_cache_read(&c, base_span_of(text, len), NOW) >= 0)
        again(&c);
    sts_cache_fini(&c);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char id[STS_ID_CAP];

    if (size == 0)
        return 0;
    struct base_span in = base_span_of(data + 1, size - 1);
    if (data[0] % 3 == 0)
        base_assert((sts_record_parse(id, in) == 0) == (id[0] != 0));
    else if (data[0] % 3 == 1)
        fuzz_policy(in);
    else
        fuzz_file(in);
    return 0;
}
