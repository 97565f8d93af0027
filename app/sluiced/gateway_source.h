/*
 * What is remembered of sources (source_ledger.h) in a file below gateway: state_dir, so that
 * limits of a day and what is set aside outlive a restart. Read before the courier runs; written by
 * control, some seconds after something changed, and at the end.
 *
 * Threads: control's.
 */
#ifndef GATEWAY_SOURCE_H
#define GATEWAY_SOURCE_H

#include "gateway.h"

/* Before rights are given up: makes the directory. Returns 0, or a negative error with a sentence
 * in why; without sources nothing is an error. */
int gateway_source_make(const struct conf *conf, char *why, size_t cap) BASE_WARN_UNUSED;

/* After courier_init. Returns 0, or a negative error with a sentence in why. A file that cannot be
 * read, or is damaged, is none; warn is what to tell then, else "". */
int gateway_source_open(struct gateway *g, const struct conf *conf, char *why, size_t cap,
                        char *warn, size_t warn_cap) BASE_WARN_UNUSED;
/* Writes what the courier has told. Returns 0, or a negative error: it is lost, but what comes next
 * has it, too. */
int gateway_source_tend(struct gateway *g) BASE_WARN_UNUSED;
/* The courier has stopped. */
void gateway_source_close(struct gateway *g);

#endif
