/*
 * drain: asks the gateway to take no new mail, and waits until what is under way has ended: the
 * connections of clients and the deliveries. Not for mail that waits for its next attempt; how much
 * that is, is told at the end.
 */
#ifndef DRAIN_COMMAND_H
#define DRAIN_COMMAND_H

#include <stdio.h>

/* Sends the command drain once and writes the answer to out. Returns 0, or an exit status. */
typedef int (*drain_command_ask)(void *user, FILE *out);

/* The words behind "drain". Returns the exit status. */
int drain_command_run(int argc, char **argv, drain_command_ask ask, void *user);

#endif
