/*
 * Text for man pages in the language mdoc: what roff would take for its own is escaped, each
 * sentence begins a line. Leaves out macros: the caller writes those.
 *
 * Threads: any. Memory: none. Writes to the stream that it is given; its errors are the caller's.
 */
#ifndef BASE_MDOC_H
#define BASE_MDOC_H

#include <stdbool.h>
#include <stdio.h>

/* Running text, which ends a line. An empty line begins a paragraph; a line that begins with spaces
 * stands as it is. sentence: it is made one, with a capital and a full stop. */
void base_mdoc_text(FILE *out, const char *text, bool sentence);

/* A word of a macro's line. */
void base_mdoc_word(FILE *out, const char *word);

#endif
