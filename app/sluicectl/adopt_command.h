/*
 * spool adopt DIR: the running gateway takes over another gateway's spool at its next start. The
 * directory stays where it is and becomes one more spool, which takes no new mail: what is queued
 * there is delivered from there, with its ids, attempts and holds. Nothing is copied, so a crash at
 * any time loses and doubles nothing; the lock of the spool keeps two gateways from having it.
 *
 * What is adopted stands in the file adopted.conf of gateway: state_dir, which the gateway reads
 * behind its configuration.
 */
#ifndef ADOPT_COMMAND_H
#define ADOPT_COMMAND_H

#include "command.h"

/* Returns the exit status. */
int adopt_command_run(const struct command_call *call);

#endif
