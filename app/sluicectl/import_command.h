/* import: the configuration of another mail server becomes one of ours (lib/import). Reads the
 * files that it names, writes the result to standard output, or to a file with what it names
 * beside it. */
#ifndef IMPORT_COMMAND_H
#define IMPORT_COMMAND_H

#include "command.h"

int import_command_postfix(const struct command_call *call);
int import_command_dms(const struct command_call *call);

#endif
