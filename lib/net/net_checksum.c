#include "net_checksum.h"

#include <immintrin.h>
#include <rte_mbuf.h>

/* Below this many bytes the vector loop does not pay for its start. */
#define VECTOR_MIN_BYTES 128

/* Folds a 64-bit sum of 16- or 32-bit words to 32 bits, carries wrapped around. */
static inline uint32_t fold64(uint64_t sum)
{
    sum = (sum >> 32) + (sum & 0xffffffff);
    return (uint32_t)(sum + (sum >> 32));
}

/* Word by word with the carry added at once, which no compiler makes vectors of: a header's words
 * were stored just now, and a wider load would wait until they have left the store buffer. */
uint32_t net_checksum_sum_scalar(const void *p, size_t len)
{
    const uint8_t *b = p;
    uint64_t sum = 0, rest = 0;

    for (; len >= 8; b += 8, len -= 8) {
        uint64_t x;
        memcpy(&x, b, 8);
        sum += x;
        sum += sum < x;
    }
    if (len & 4) {
        rest = base_le32(b);
        b += 4;
    }
    if (len & 2) {
        rest += base_le16(b);
        b += 2;
    }
    if (len & 1)
        rest += b[0];
    return fold64((sum >> 32) + (sum & 0xffffffff) + rest);
}

/* Four accumulators of 64 bits a vector; the 32-bit words are widened by a mask and a shift, so
 * that carries never leave their accumulator. */
__attribute__((target("avx2"))) static uint32_t sum_avx2(const void *p, size_t len)
{
    const uint8_t *b = p;
    const __m256i low = _mm256_set1_epi64x(0xffffffff);
    __m256i s0 = _mm256_setzero_si256(), s1 = s0, s2 = s0, s3 = s0;
    for (; len >= 64; b += 64, len -= 64) {
        __m256i x = _mm256_loadu_si256((const void *)b);
        __m256i y = _mm256_loadu_si256((const void *)(b + 32));
        s0 = _mm256_add_epi64(s0, _mm256_and_si256(x, low));
        s1 = _mm256_add_epi64(s1, _mm256_srli_epi64(x, 32));
        s2 = _mm256_add_epi64(s2, _mm256_and_si256(y, low));
        s3 = _mm256_add_epi64(s3, _mm256_srli_epi64(y, 32));
    }
    s0 = _mm256_add_epi64(_mm256_add_epi64(s0, s1), _mm256_add_epi64(s2, s3));
    uint64_t lane[4];
    _mm256_storeu_si256((void *)lane, s0);
    uint32_t sum =
        fold64((uint64_t)fold64(lane[0]) + fold64(lane[1]) + fold64(lane[2]) + fold64(lane[3]));
    return net_checksum_add(sum, net_checksum_sum_scalar(b, len));
}

uint32_t net_checksum_sum(const void *p, size_t len)
{
    /* A load and a test: the answer is in memory from before main. */
    if (len >= VECTOR_MIN_BYTES && __builtin_cpu_supports("avx2"))
        return sum_avx2(p, len);
    return net_checksum_sum_scalar(p, len);
}

uint32_t net_checksum_pseudo(const struct net_addr *src, const struct net_addr *dst,
                             uint8_t protocol, uint32_t l4_bytes)
{
    /* In memory order the protocol is the high byte of a little-endian word. */
    uint64_t sum = (uint64_t)protocol << 8;

    sum += __builtin_bswap32(l4_bytes);
    if (net_addr_is_v4(src))
        sum += (uint64_t)net_addr_v4_raw(src) + net_addr_v4_raw(dst);
    else
        sum += (uint64_t)net_checksum_sum_scalar(src->b, 16) + net_checksum_sum_scalar(dst->b, 16);
    return fold64(sum);
}

uint32_t net_checksum_mbuf(const struct rte_mbuf *m, uint32_t offset)
{
    uint32_t sum = 0;
    bool odd = false; /* the bytes before this piece are odd in number */

    for (; m != NULL; m = m->next) {
        if (offset >= m->data_len) {
            offset -= m->data_len;
            continue;
        }
        uint32_t len = m->data_len - offset;
        uint32_t part = net_checksum_sum(rte_pktmbuf_mtod_offset(m, const uint8_t *, offset), len);
        /* RFC 1071 section 2 (B): swapping the bytes of a sum moves it by one byte. */
        if (odd)
            part = (part << 8) | (part >> 24);
        sum = net_checksum_add(sum, part);
        odd ^= (len & 1) != 0;
        offset = 0;
    }
    return sum;
}
