/*
 * The scanner of message bodies: copies ordinary mail and unstuffs its dots in one pass, and stops
 * where something needs a look. Ordinary is text in lines that end in CRLF, whatever their length;
 * the blocks of a vector go through whole as long as each CR in them has its LF, each LF its CR,
 * there is no NUL, and no line starts with what the mode looks for. So short lines cost nothing.
 *
 * Several of the same meaning: one byte a step is the reference, then vectors of 16, 32 and 64
 * bytes. smtp_scan_best is the widest that this processor and its system have.
 *
 * Pure; any thread. No memory. Private to lib/smtp, its tests and its benchmark.
 */
#ifndef SMTP_SCAN_H
#define SMTP_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What stops a run at the start of a line. */
enum smtp_scan_mode {
    SMTP_SCAN_DATA,  /* a dot whose line may end the message; other dots are dropped */
    SMTP_SCAN_CHUNK, /* nothing: dots mean nothing in BDAT */
    SMTP_SCAN_LINE,  /* everything: at most the rest of one line is taken */
};

struct smtp_scan_run {
    size_t used; /* bytes of src taken */
    size_t made; /* bytes written to dst: fewer where dots were dropped */
};

/*
 * Takes bytes of the n at src, and writes those that stay to dst, which has room for n and may be
 * scribbled on up to there; dst NULL only counts them. src[-1] is readable and the byte before: LF
 * there means that src is at the start of a line. Stops before
 * - a byte behind a CR that is no LF, or an LF without its CR: a bare one,
 * - a NUL,
 * - what the mode says,
 * and may stop earlier than it has to only before a dot at the start of a line that is the last of
 * src. A CR at the end is taken. src and dst do not overlap.
 */
typedef struct smtp_scan_run smtp_scan_fn(uint8_t *dst, const uint8_t *src, size_t n,
                                          enum smtp_scan_mode mode);

struct smtp_scan {
    const char *name;
    smtp_scan_fn *run;
};

/* The reference. */
smtp_scan_fn smtp_scan_scalar;

/* The i-th that runs here, from the reference up; NULL beyond the last. */
const struct smtp_scan *smtp_scan_at(size_t i);

const struct smtp_scan *smtp_scan_best(void);

/* A dot at src[at], at the start of a line: whether it is to be dropped by what is there to see.
 * The byte behind it must be ordinary: with CR the line may be the end. */
static inline bool smtp_scan_drops(const uint8_t *src, size_t at, size_t n)
{
    return at + 1 < n && src[at] == '.' && src[at + 1] != '\r' && src[at + 1] != '\n' &&
           src[at + 1] != 0;
}

#endif
