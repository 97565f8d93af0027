/* Commands whose answer goes on by itself until it is over, or the operator ends it (^C): trace,
 * capture. Threads: one. */
#ifndef WATCH_COMMAND_H
#define WATCH_COMMAND_H

#include "command.h"

int trace_command_run(const struct command_call *call);
int capture_command_run(const struct command_call *call);
/* top_command.c */
int top_command_run(const struct command_call *call);

#endif
