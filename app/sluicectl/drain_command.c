#include "drain_command.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct state {
    unsigned long long clients, under_way, messages, waiting;
};

static bool parse(const char *text, struct state *s)
{
    return sscanf(text, "drained yes clients %llu under_way %llu messages %llu waiting %llu",
                  &s->clients, &s->under_way, &s->messages, &s->waiting) == 4;
}

/* One question. Returns 0, or an exit status. */
static int look(const char *socket, struct state *s)
{
    static const char *const words[] = {"drain"};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        return COMMAND_UNREACHABLE;
    int status = command_ask(socket, words, 1, out, NULL);
    if (fclose(out) != 0 || text == NULL)
        return COMMAND_UNREACHABLE;
    if (status == 0 && !parse(text, s)) {
        fprintf(stderr,
                "sluicectl: the gateway's answer is not understood, is it of another version? %s",
                text);
        status = COMMAND_UNREACHABLE;
    }
    free(text);
    return status;
}

int drain_command_run(const struct command_call *call)
{
    const struct timespec second = {.tv_sec = 1};
    struct state s, told = {.clients = ~0ULL};
    bool wait = command_option_value(call, "--no-wait") == NULL;
    int quiet_cnt = 0; /* twice: what was on its way between two threads is seen then */

    for (;;) {
        int status = look(call->socket, &s);
        if (status != 0)
            return status;
        quiet_cnt = s.clients == 0 && s.under_way == 0 ? quiet_cnt + 1 : 0;
        if (!wait || quiet_cnt == 2)
            break;
        if (s.clients != told.clients || s.under_way != told.under_way)
            printf("clients %llu, recipients in a delivery %llu\n", s.clients, s.under_way);
        fflush(stdout);
        told = s;
        nanosleep(&second, NULL);
    }
    printf("no new mail is taken; clients %llu, recipients in a delivery %llu; in the queue %llu "
           "messages, of which %llu recipients wait for their next attempt\n",
           s.clients, s.under_way, s.messages, s.waiting);
    return 0;
}
