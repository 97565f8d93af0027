/*
 * The gateway asked by a program that goes on whatever the answer is (top, web): one line over the
 * control socket (control.h of sluiced), the answer whole in memory; and how such a line is made.
 *
 * Threads: any; each call stands alone. Bounds: GATEWAY_ASK_MAX bytes of answer.
 */
#ifndef GATEWAY_ASK_H
#define GATEWAY_ASK_H

#include "base_assert.h"
#include "command.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GATEWAY_LINE_CAP 1024 /* of sluiced, with the line's end */
#define GATEWAY_ASK_MAX  (16U << 20)
#define GATEWAY_LOOK_S   5  /* to wait for what only looks */
#define GATEWAY_CHANGE_S 30 /* for a change: it is on disk when it is answered */
#define GATEWAY_WHY_CAP  COMMAND_WHY_CAP

struct gateway_line {
    char text[GATEWAY_LINE_CAP];
    size_t len;
};

/* Appends a word, as it is or in quotes (queue_filter.h). value: it is no option, whatever it
 * begins with. Returns NULL, or what is wrong with the word: a static text. */
const char *gateway_line_word(struct gateway_line *line, const char *word,
                              bool value) BASE_WARN_UNUSED;

enum gateway_answer {
    GATEWAY_WHOLE,
    GATEWAY_PART,    /* it broke off, or was longer than it may be */
    GATEWAY_REFUSED, /* error says why */
    GATEWAY_SILENT,  /* nobody answers: likewise */
};

/* Sends a line, which has no line end, and reads the answer: *text, which is to be freed; NULL
 * unless WHOLE or PART. wait_s: without a byte of it. error: one line, without an end. */
enum gateway_answer gateway_ask(const char *socket_path, const char *line, uint32_t wait_s,
                                char **text, char error[GATEWAY_WHY_CAP]);

#endif
