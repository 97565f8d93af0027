/*
 * One line of the control socket, without its line end: a command of the table and its words.
 * Printable ASCII and bytes above 127 only: no control character means anything here.
 *
 * Threads: none of its own. Memory: views of the line, which the caller keeps. Pure.
 */
#ifndef CONTROL_LINE_H
#define CONTROL_LINE_H

#include "capture.h"
#include "conn_filter.h"
#include "queue_filter.h"

enum control_right { CONTROL_NONE, CONTROL_LOOK, CONTROL_CHANGE };

enum control_verb {
    CONTROL_STATUS,
    CONTROL_METRICS,
    CONTROL_QUEUE_LIST,
    CONTROL_QUEUE_SHOW,
    CONTROL_QUEUE_STAT,
    CONTROL_QUEUE_DESTINATIONS,
    CONTROL_PROVIDERS,
    CONTROL_SUSPEND,
    CONTROL_RESUME,
    CONTROL_QUEUE_CAT,
    CONTROL_QUEUE_FLUSH,
    CONTROL_QUEUE_HOLD,
    CONTROL_QUEUE_RELEASE,
    CONTROL_QUEUE_REQUEUE,
    CONTROL_QUEUE_DELETE,
    CONTROL_EXPLAIN,
    CONTROL_PROBE,
    CONTROL_SOURCES_RELEASE, /* before what it begins with */
    CONTROL_SOURCES,
    CONTROL_TLSRPT_SHOW,
    CONTROL_TLSRPT_SENT,
    CONTROL_TLSRPT, /* behind those that begin with it */
    CONTROL_STS_SHOW,
    CONTROL_STS_REFRESH,
    CONTROL_SENDER_CHECK,
    CONTROL_RECIPIENT_CHECK,
    CONTROL_CONFIG_SHOW,
    CONTROL_LOG_REOPEN,
    CONTROL_LOG_LEVEL,
    CONTROL_LOG_TAIL,
    CONTROL_REFUSALS,
    CONTROL_RELOAD,
    CONTROL_CONNECTIONS_KICK, /* before what it begins with */
    CONTROL_CONNECTIONS,
    CONTROL_TOP,
    CONTROL_TRACE,
    CONTROL_CAPTURE,
    CONTROL_DRAIN,
    CONTROL_UNDRAIN,
    CONTROL_STOP,
    CONTROL_VERB_CNT
};

/* What the words behind a command may be. */
enum control_words {
    CONTROL_WORDS_NONE,
    CONTROL_WORDS_FILTER,  /* any filter, also none */
    CONTROL_WORDS_NARROWS, /* a filter that names something, or --all: a slip of the pen is not to
                              hit the whole queue */
    CONTROL_WORDS_ID,      /* the id of one message, no condition */
    CONTROL_WORDS_ONE,     /* one word */
    CONTROL_WORDS_MAYBE,   /* one word, or none: then it is empty; --json likewise */
    CONTROL_WORDS_JSON,    /* one, and --json or not, which is told in filter.json */
    CONTROL_WORDS_TWO,     /* two, likewise */
    CONTROL_WORDS_SHOW,    /* none, but --changed and --json or not */
    CONTROL_WORDS_OPTION,  /* none but --json, likewise */
    CONTROL_WORDS_CAPTURE, /* capture_words_parse's */
    CONTROL_WORDS_TRACE,   /* one, and --for TIME, --count N, --json or not */
    CONTROL_WORDS_CONNECTIONS, /* a filter of connections, also none */
    CONTROL_WORDS_KICK,        /* one that names something, or --all */
    CONTROL_WORDS_SUSPEND,     /* one, and --for TIME, --reason TEXT or not */
};

struct control_row {
    const char *text;
    enum control_right right; /* that it needs */
    enum control_words words;
};
extern const struct control_row control_rows[CONTROL_VERB_CNT];

struct control_line {
    enum control_verb verb;
    struct queue_filter filter;
    struct conn_filter connections;
    struct capture_words capture;
    struct base_span rest;    /* all words, as they were said; a view */
    struct base_span word[2]; /* of ONE and TWO; views */
    bool changed;             /* of SHOW */
    struct base_span reason;  /* of SUSPEND; a view */
    uint64_t for_ns;          /* likewise, and of TRACE; 0: none was said */
    uint64_t cnt;             /* of TRACE; 0: none was said */
};

/* Returns 0; -ENOENT: no such command; -EINVAL: *bad is the word that is wrong or lacks its value;
 * -EDOM: the words lack an id, or a condition,
 * or are not as many as they should be; -EILSEQ: a control character. verb is set with
 * -EINVAL and -EDOM too, so that rights come first. */
int control_line_parse(struct control_line *out, struct base_span line,
                       struct base_span *bad) BASE_WARN_UNUSED;

#endif
