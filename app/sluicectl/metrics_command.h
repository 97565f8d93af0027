/* metrics: prints the counters once, or serves them to Prometheus. */
#ifndef METRICS_COMMAND_H
#define METRICS_COMMAND_H

#include "command.h"

/* Returns the exit status. */
int metrics_command_run(const struct command_call *call);

#endif
