/* sluicectl web: the page for a browser (web_http.h). */
#ifndef WEB_COMMAND_H
#define WEB_COMMAND_H

#include "command.h"

int web_command_run(const struct command_call *call);

#endif
