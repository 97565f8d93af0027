#include "top_look.h"

#include <stdlib.h>

bool top_look_at(const char *socket_path, struct top_look *look, bool lists,
                 char error[GATEWAY_WHY_CAP])
{
    char ignored[GATEWAY_WHY_CAP], *text;

    *look = (struct top_look){0};
    gateway_ask(socket_path, "top", GATEWAY_LOOK_S, &text, error);
    if (text == NULL)
        return false;
    top_read_counters(look, text);
    free(text);
    if (!lists)
        return true;
    bool whole = gateway_ask(socket_path, "connections --in --json", GATEWAY_LOOK_S, &text,
                             ignored) == GATEWAY_WHOLE;
    if (text != NULL)
        top_read_connections(look, text, whole);
    free(text);
    gateway_ask(socket_path, "queue destinations --json", GATEWAY_LOOK_S, &text, ignored);
    if (text != NULL)
        top_read_destinations(look, text);
    free(text);
    return true;
}
