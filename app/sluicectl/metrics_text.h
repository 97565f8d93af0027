/*
 * A snapshot as text for Prometheus: its own form (0.0.4), or OpenMetrics 1.0; and as JSON, an
 * object a line, in the gateway's own names.
 *
 * A row becomes sluice_GROUP_NAME with its unit, counters with _total; seconds and bytes are the
 * units of time and size. Rows that are one thing by kind (drops by reason, commands, levels of
 * TLS) become one metric with a label: metrics_names.c says which. Values of lanes and spools have
 * a label where each of them matters, others are summed.
 *
 * Threads: none. Memory: writes to out, whose errors the caller looks at.
 */
#ifndef METRICS_TEXT_H
#define METRICS_TEXT_H

#include "metrics_read.h"

#include <stdbool.h>
#include <stdio.h>

enum metrics_form { METRICS_PROMETHEUS, METRICS_OPENMETRICS, METRICS_JSON };

void metrics_write(FILE *out, const struct metrics *m, enum metrics_form form);

/* ---- metrics_names.c ---- */

#define METRICS_NAME_CAP 128

/* What a row is called outside. */
struct metrics_name {
    char name[METRICS_NAME_CAP]; /* without "sluice_" and "_total" */
    const char *unit;            /* that name ends with; NULL: none */
    const char *help;
    const char *label[2]; /* NULL: none */
    char value[2][METRICS_NAME_CAP];
    double factor; /* from the row's unit */
};

void metrics_name_row(struct metrics_name *out, const struct metrics *m,
                      const struct metrics_row *row);

/* How the values of threads are told: summed, by lane or by spool; or they are
 * of listeners. */
enum metrics_spread { METRICS_SUM, METRICS_BY_LANE, METRICS_BY_SPOOL, METRICS_BY_LISTENER };
enum metrics_spread metrics_spread_of(const struct metrics_row *row);

#endif
