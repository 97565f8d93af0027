/* sluicectl metrics: prints them once, or serves them to Prometheus. */
#ifndef METRICS_COMMAND_H
#define METRICS_COMMAND_H

#include "metrics_text.h"

/* Prints them to standard output. Returns the exit status. */
int metrics_command_print(const char *socket_path, enum metrics_form form) BASE_WARN_UNUSED;

/* metrics [--listen ADDRESS:PORT [--allow-remote]] [--openmetrics] [--json] */
int metrics_command_run(const char *socket_path, int argc, char **argv) BASE_WARN_UNUSED;

#endif
