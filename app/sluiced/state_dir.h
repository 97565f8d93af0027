/*
 * What is kept over restarts besides the spool (gateway: state_dir): a directory for each who keeps
 * something, and files that are replaced as a whole, so that after a crash or a power failure there
 * is the old one or the new one. What is lost with them is knowledge, never mail.
 *
 * Threads: none of its own; whoever writes waits for the disk. Errors: negative errno.
 */
#ifndef STATE_DIR_H
#define STATE_DIR_H

#include "base_assert.h"
#include "base_bytes.h"

/* Makes the directories that are missing, state_dir and sub in it, for their owner alone, and gives
 * both to the user (NULL or "": nobody else), which only root can. Returns 0, or a negative error
 * with a sentence in why. Before rights are given up. */
int state_dir_make(const char *state_dir, const char *sub, const char *user, char *why,
                   size_t cap) BASE_WARN_UNUSED;

/* A descriptor of the directory; whoever takes it closes it. */
int state_dir_open(const char *state_dir, const char *sub) BASE_WARN_UNUSED;

/* Reads a file of at most max bytes; *data is malloc'ed and the caller's. -ENOENT: there is none;
 * -EFBIG: it is larger. */
int state_file_read(int dir, const char *name, size_t max, uint8_t **data,
                    size_t *len) BASE_WARN_UNUSED;

/* Writes it to another file, syncs, and renames it; name is of at most 200 bytes. */
int state_file_replace(int dir, const char *name, struct base_span bytes) BASE_WARN_UNUSED;

/* All of it, or an error. */
int state_file_write(int fd, struct base_span bytes) BASE_WARN_UNUSED;

#endif
