/*
 * The gateway's counters and histograms, as its command metrics tells them: what `metrics` and
 * `top` show. control_metrics.c of sluiced describes the form.
 *
 * Left out: what a row means. Names come from the gateway that answers, which may be another
 * version than this program.
 *
 * Threads: none of its own; a snapshot is one thread's. Memory: a snapshot owns all of itself.
 * Bounds: 16 MiB of answer, METRICS_THREAD_MAX threads, METRICS_WAIT_S seconds.
 */
#ifndef METRICS_READ_H
#define METRICS_READ_H

#include "command.h"
#include "stats.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define METRICS_THREAD_MAX 256
#define METRICS_SPOOL_MAX  32
#define METRICS_ROW_MAX    4096
#define METRICS_WAIT_S     5
#define METRICS_WHY_CAP    COMMAND_WHY_CAP

enum metrics_kind { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

struct metrics_row {
    enum metrics_kind kind;
    const char *group, *name, *unit, *help;
    uint32_t shift, bound_cnt; /* of a histogram, as stats.h has them */
    uint32_t first;            /* in values */
};

struct metrics {
    uint64_t cycles_per_s;
    uint32_t thread_cnt, spool_cnt, row_cnt;
    const char *thread[METRICS_THREAD_MAX]; /* "lane0", "courier" */
    const char *spool[METRICS_SPOOL_MAX];
    struct metrics_row *row;
    uint64_t *values; /* by row: a value for each thread; of a histogram bound_cnt + 1 counts and
                         the sum for each */
    char *text;       /* what the others point into */
};

/* Asks the gateway at the control socket. Returns 0, or a negative error with a sentence in why
 * that says what to do. */
int metrics_fetch(struct metrics *out, const char *socket_path,
                  char why[METRICS_WHY_CAP]) BASE_WARN_UNUSED;

/* Takes the heads of an answer's blocks out (control.h of sluiced), in place; there is a NUL behind
 * len bytes, and behind what is left. Returns its length, or -1: it broke off, or is none. */
ssize_t metrics_join(char *text, size_t len) BASE_WARN_UNUSED;

/* Reads an answer without its blocks' heads. Takes text, which has len bytes and a NUL behind them,
 * whatever comes of it. Returns 0, or -EBADMSG when it is not that form, or -ENOMEM. */
int metrics_parse(struct metrics *out, char *text, size_t len) BASE_WARN_UNUSED;

void metrics_free(struct metrics *m);

/* The row; NULL: this gateway has none of that name. */
const struct metrics_row *metrics_find(const struct metrics *m, const char *group,
                                       const char *name);
/* Of one thread. place of a histogram: a count's, or bound_cnt + 1 for the sum; else 0. */
uint64_t metrics_value(const struct metrics *m, const struct metrics_row *row, uint32_t thread,
                       uint32_t place);
/* Of all threads. */
uint64_t metrics_total(const struct metrics *m, const struct metrics_row *row, uint32_t place);

#endif
