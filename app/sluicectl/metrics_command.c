#include "metrics_command.h"
#include "metrics_http.h"

#include <errno.h>
#include <string.h>

int metrics_command_print(const char *socket_path, enum metrics_form form)
{
    char why[METRICS_WHY_CAP];
    struct metrics m;

    int error = metrics_fetch(&m, socket_path, why);
    if (error != 0) {
        fprintf(stderr, "sluicectl: %s\n", why);
        return error == -EPERM ? 1 : 2;
    }
    metrics_write(stdout, &m, form);
    metrics_free(&m);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    fprintf(stderr, "sluicectl: standard output: %s\n", strerror(errno));
    return 1;
}

int metrics_command_run(const char *socket_path, int argc, char **argv)
{
    enum metrics_form form = METRICS_PROMETHEUS;
    const char *listen = NULL;
    bool other = false;

    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--listen") == 0 && i + 1 < argc) {
            listen = argv[++i];
        } else if (strcmp(argv[i], "--allow-remote") == 0) {
            other = true;
        } else if (strcmp(argv[i], "--openmetrics") == 0) {
            form = METRICS_OPENMETRICS;
        } else if (strcmp(argv[i], "--json") == 0) {
            form = METRICS_JSON;
        } else {
            fprintf(stderr, "sluicectl: metrics takes --listen ADDRESS:PORT, --allow-remote, "
                            "--openmetrics and --json\n");
            return 2;
        }
    }
    if (listen != NULL)
        return metrics_http_serve(socket_path, listen, other);
    return metrics_command_print(socket_path, form);
}
