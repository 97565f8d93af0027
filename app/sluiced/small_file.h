/*
 * A whole file of bounded size into memory: certificates, maps, passwords, keys.
 *
 * Threads: any; blocks for the disk.
 */
#ifndef SMALL_FILE_H
#define SMALL_FILE_H

#include "base_assert.h"
#include "base_bytes.h"

/* Reads what fd, which stays the caller's, has from its place on; *text is malloc'ed, the caller's
 * also after an error (NULL: nothing was read), with one byte of room behind it. secret: one that
 * others than its owner and group may read, or its group may change, is refused: more than 0640 is
 * a mistake. Returns 0; -EINVAL: no file; -EKEYREJECTED: not secret; -EFBIG: over max; -ENOMEM; or
 * what reading it said. */
int small_file_read(int fd, size_t max, bool secret, uint8_t **text, size_t *len) BASE_WARN_UNUSED;

/* What the operator reads of such an error, or of one of opening it. */
const char *small_file_why(int error);

#endif
