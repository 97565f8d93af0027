/* A look at the gateway for top_text.h: its counters, and lists where they are wanted. */
#ifndef TOP_LOOK_H
#define TOP_LOOK_H

#include "gateway_ask.h"
#include "top_text.h"

/* lists: top clients and destinations, too, which cost the lanes and the courier a walk. Returns
 * false with why in error: nobody answers. */
bool top_look_at(const char *socket_path, struct top_look *look, bool lists,
                 char error[GATEWAY_WHY_CAP]) BASE_WARN_UNUSED;

#endif
