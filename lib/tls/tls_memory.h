/*
 * OpenSSL's allocator: a list of free pieces for each size and thread, in front of malloc. A
 * handshake makes some five hundred short-lived allocations; this way most cost a few instructions
 * and no thread meets another. A piece may be freed by another thread than the one that took it: it
 * goes to that one's list. What a list cannot hold goes back to malloc.
 *
 * Call tls_memory_use before anything else of OpenSSL, once in the process, with one thread
 * running. In builds with sanitizers it does nothing: their allocator finds more.
 */
#ifndef TLS_MEMORY_H
#define TLS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* Returns false when OpenSSL has allocated already: then all goes on with malloc. */
bool tls_memory_use(void);

/* What it does besides: keeps OpenSSL's lists of names from before 3.0 short (tls_thin.c). For a
 * program that sets the functions below itself. Returns false when OpenSSL has started already. */
bool tls_memory_short_names(void);

/* What it gives OpenSSL: for measuring, in a program that switches between these and malloc (a
 * piece of one may be freed by the other). */
void *tls_memory_take(size_t bytes, const char *file, int line);
void *tls_memory_resize(void *p, size_t bytes, const char *file, int line);
void tls_memory_give(void *p, const char *file, int line);

/* The thread ends, or wants its lists empty: what they hold goes back to malloc. */
void tls_memory_trim(void);

/* Bytes in the calling thread's lists. */
size_t tls_memory_held_bytes(void);

#endif
