/*
 * CRC32C (Castagnoli, RFC 3720 appendix B.4), by SSE4.2 and PCLMULQDQ, which every x86 server since
 * 2010 has.
 * Pure; any thread.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of len bytes at p, continuing from seed: 0 to begin, or the result for the bytes
 * that came before. */
uint32_t base_crc32c(uint32_t seed, const void *p, size_t len);

/* Copies len bytes from p to to, which do not overlap, past the cache, and returns their checksum:
 * much faster than a plain copy where to is not in the cache, and what is there stays. For what
 * this core does not look at again soon. Before anyone else may look (a device, another thread): a
 * base_stream_fence, since such stores keep no order by themselves. */
uint32_t base_crc32c_stream(void *to, const void *p, size_t len);
void base_stream_fence(void);

#endif
