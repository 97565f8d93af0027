#include "mode.h"

#include <stddef.h>

const struct mode *const modes[] = {&mode_connect, &mode_handshake, &mode_pingpong, &mode_smtp,
                                    &mode_bulk,    &mode_reject,    &mode_hold,     NULL};
