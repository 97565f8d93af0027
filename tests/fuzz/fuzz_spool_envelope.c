/* Any bytes as an envelope: fields stay inside, what is accepted adds up. */
#include "spool_envelope.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct base_span rest = base_span_of(data, size);
    struct spool_envelope_field f;
    int want = spool_envelope_check(rest);
    int recipient_cnt = 0;
    int got;
    size_t used = 0;
    uint8_t *copy = malloc(size + 1);
    struct base_buf out = {.p = copy, .cap = size};
    while ((got = spool_envelope_next(&rest, &f)) == 1) {
        base_assert(f.value.p >= data && f.value.p + f.value.len <= data + size);
        used += 3 + f.value.len;
        recipient_cnt += f.type == SPOOL_ENVELOPE_RECIPIENT;
        base_assert(spool_envelope_put(&out, f.type, f.value) == 0);
        if (f.type == SPOOL_ENVELOPE_RECIPIENT && want >= 0) {
            struct spool_envelope_recipient r = spool_envelope_recipient_read(rest);
            base_assert(r.orcpt.len <= SPOOL_ENVELOPE_ORCPT_MAX && r.notify < 16);
            base_assert(r.orcpt.len == 0 ||
                        (r.orcpt.p >= rest.p && r.orcpt.p + r.orcpt.len <= rest.p + rest.len));
            base_assert(r.from.len == 0 ||
                        (r.from.p >= rest.p && r.from.p + r.from.len <= rest.p + rest.len));
        }
    }
    base_assert(want < 0 || (got == 0 && want == recipient_cnt && want > 0));
    /* What was read, written again, is the same. */
    base_assert(out.len == used && memcmp(copy, data, used) == 0);
    free(copy);
    return 0;
}
