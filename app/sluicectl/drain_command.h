/*
 * drain: asks the gateway to take no new mail, and waits until what is under way has ended: the
 * connections of clients and the deliveries. Not for mail that waits for its next attempt; how much
 * that is, is told at the end.
 */
#ifndef DRAIN_COMMAND_H
#define DRAIN_COMMAND_H

#include "command.h"

/* Returns the exit status. */
int drain_command_run(const struct command_call *call);

#endif
