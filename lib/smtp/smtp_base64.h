/*
 * Base64 (RFC 4648 section 4), strict: whole groups of four, padding at the end alone, no bit set
 * that stands for nothing, nothing else between. Pure; any thread; no memory.
 */
#ifndef SMTP_BASE64_H
#define SMTP_BASE64_H

#include "base_assert.h"
#include "base_bytes.h"

/* Bytes of text for n bytes. */
#define SMTP_BASE64_LEN(n) (((n) + 2) / 3 * 4)

/* True when smtp_base64_decode takes it. The empty text is one. */
bool smtp_base64_valid(struct base_span text);

/* Appends the bytes. Returns 0; -EINVAL when the text is none; -ENOSPC. On error out is as it was,
 * but for what lies behind its end. */
int smtp_base64_decode(struct base_buf *out, struct base_span text) BASE_WARN_UNUSED;

/* Appends the text. Returns 0 or -ENOSPC. */
int smtp_base64_encode(struct base_buf *out, struct base_span bytes) BASE_WARN_UNUSED;

#endif
