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

    if (sandbox_drop_to_nobody(why) != 0 || sandbox_confine_all(why) != 0)
        fprintf(stderr, "sluiced: https: %s\n", why);
    setrlimit(RLIMIT_FSIZE, &none);
    if (sandbox_allow(SANDBOX_HTTPS, why) != 0)
        fprintf(stderr, "sluiced: https: %s\n", why);
}

int https_role_main(int socket)
{
    signal(SIGINT, SIG_IGN); /* from a terminal it is meant for main; we end with our socket */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* standard error may be a file: what cannot be said is lost */
    return https_process_run(socket, confine);
}
