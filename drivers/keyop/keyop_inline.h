/*
 * Private-key operations by OpenSSL, in the lane itself. Deferred, operations are kept until the
 * lane polls: for tests, and to measure what parking costs. Keys are in a library context of the
 * driver's own.
 *
 * Threads: open and close by control, while the lane does not run or has called leave.
 */
#ifndef KEYOP_INLINE_H
#define KEYOP_INLINE_H

#include "tls_keyop.h"

struct keyop_inline;

/* Returns NULL when memory is short. queue_max: of operations under way; used when deferred. */
struct keyop_inline *keyop_inline_open(bool deferred, uint32_t queue_max) BASE_WARN_UNUSED;
void keyop_inline_close(struct keyop_inline *k); /* every key is closed, nothing under way */

extern const struct tls_keyop_ops keyop_inline_ops;

#endif
