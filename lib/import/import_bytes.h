/* Memory and texts of one import: an arena, formatted copies, lists. All of it lives until the
 * arena is freed; no memory is a bug of the machine, not a result (base_assert). */
#ifndef IMPORT_BYTES_H
#define IMPORT_BYTES_H

#include "base_assert.h"
#include "base_bytes.h"

#include <stdarg.h>

struct import_chunk;
struct import_arena {
    struct import_chunk *first;
};

void *import_take(struct import_arena *a, size_t bytes); /* zeroed, aligned */
const char *import_copy(struct import_arena *a, const char *p, size_t len);
__attribute__((format(printf, 2, 3))) const char *import_format(struct import_arena *a,
                                                                const char *format, ...);
__attribute__((format(printf, 2, 0))) const char *import_formatv(struct import_arena *a,
                                                                 const char *format, va_list args);
const char *import_lower(struct import_arena *a, const char *text);
void import_arena_free(struct import_arena *a);

/* Takes an item off a list as Postfix separates it, by blanks and commas; what stands in braces is
 * one item. NULL: the end. */
const char *import_next(struct import_arena *a, const char **list);

/* Whether text begins so, and whether it is one of the words, which blanks part. */
bool import_begins(const char *text, const char *with);
bool import_word_in(const char *words, const char *word);

/* Goes over logical lines as Postfix's files have them: lines that begin with a blank go on with
 * the one before, comments and empty lines are left out. Returns the line without its end, or NULL;
 * *line is where it begins. */
struct import_lines {
    struct base_span text;
    size_t at;
    uint32_t next_line; /* begins as 1 */
    bool whole;         /* no line goes on with another */
};
const char *import_line(struct import_arena *a, struct import_lines *l, uint32_t *line);

#endif
