#include "metrics_command.h"
#include "metrics_http.h"
#include "metrics_text.h"

#include <errno.h>
#include <string.h>

static int print(const char *socket_path, enum metrics_form form)
{
    char why[METRICS_WHY_CAP];
    struct metrics m;

    int error = metrics_fetch(&m, socket_path, why);
    if (error != 0) {
        fprintf(stderr, "sluicectl: %s\n", why);
        return error == -EPERM ? COMMAND_REFUSED : COMMAND_UNREACHABLE;
    }
    metrics_write(stdout, &m, form);
    metrics_free(&m);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return COMMAND_DONE;
    fprintf(stderr, "sluicectl: standard output: %s%s\n", strerror(errno), command_next(errno));
    return COMMAND_UNREACHABLE;
}

int metrics_command_run(const struct command_call *call)
{
    const char *listen = command_option_value(call, "--listen");
    bool other = command_option_value(call, "--allow-remote") != NULL;
    bool openmetrics = command_option_value(call, "--openmetrics") != NULL;

    if (listen != NULL && (openmetrics || call->json)) {
        fprintf(stderr, "sluicectl: metrics --listen: the form is what each client asks for; leave "
                        "--json and --openmetrics out\n");
        return COMMAND_WRONG_USE;
    }
    if (listen == NULL && other) {
        fprintf(stderr,
                "sluicectl: metrics --allow-remote says nothing without --listen ADDRESS:PORT\n");
        return COMMAND_WRONG_USE;
    }
    if (listen != NULL)
        return metrics_http_serve(call->socket, listen, other);
    return print(call->socket, call->json    ? METRICS_JSON
                               : openmetrics ? METRICS_OPENMETRICS
                                             : METRICS_PROMETHEUS);
}
