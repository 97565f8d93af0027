#include "mode.h"

#include <stddef.h>

const struct mode *const modes[] = {&mode_connect, &mode_smtp, &mode_bulk, &mode_pingpong, NULL};
