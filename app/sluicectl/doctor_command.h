/* sluicectl doctor. */
#ifndef DOCTOR_COMMAND_H
#define DOCTOR_COMMAND_H

#include "command.h"

int doctor_command_run(const struct command_call *call);

#endif
