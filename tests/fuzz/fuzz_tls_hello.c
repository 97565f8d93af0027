/*
 * A ClientHello as the engine looks at it before OpenSSL does: a share that is found lies within
 * the record, behind its number and length, and no beginning of the record has it. The first two
 * bytes are not of it, so that seeds are fuzz_tls's; lengths of record and message are mended where
 * the first is odd.
 */
#include "tls_hello.h"

#include "base_assert.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    size_t len = size - 2;
    uint8_t *copy = malloc(len);
    base_assert(copy != NULL);
    memcpy(copy, data + 2, len);
    if ((data[0] & 1) != 0 && len >= 9) {
        base_put_be16(copy + 3, (uint16_t)(len - 5));
        copy[6] = 0;
        base_put_be16(copy + 7, (uint16_t)(len - 9));
    }
    const uint8_t *share = tls_hello_share(base_span_of(copy, len));
    if (share != NULL) {
        size_t record = 5 + (size_t)base_be16(copy + 3);
        base_assert(record <= len && share >= copy + 9 + 34 + 4);
        base_assert(share + TLS_HELLO_SHARE_BYTES <= copy + record);
        base_assert(base_be32(share - 4) == 0x001d0020);
        for (size_t n = 0; n < record; n++)
            base_assert(tls_hello_share(base_span_of(copy, n)) == NULL);
    }
    free(copy);
    return 0;
}
