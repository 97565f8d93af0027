#include "https_role.h"
#include "https_process.h"
#include "sandbox.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

static void confine(void)
{
    const struct rlimit none = {0, 0};
    char why[SANDBOX_ERROR_CAP];

    setrlimit(RLIMIT_FSIZE, &none);
    if (sandbox_drop_to_nobody(why) != 0 || sandbox_confine_all(why) != 0)
        fprintf(stderr, "sluiced: https: %s\n", why);
    if (sandbox_allow(SANDBOX_HTTPS, why) != 0)
        fprintf(stderr, "sluiced: https: %s\n", why);
}

int https_role_main(int socket)
{
    signal(SIGINT, SIG_IGN); /* from a terminal it is meant for main; we end with our socket */
    signal(SIGPIPE, SIG_IGN);
    return https_process_run(socket, confine);
}
