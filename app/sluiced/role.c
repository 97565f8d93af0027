#include "role.h"
#include "auth_role.h"
#include "https_role.h"
#include "opener.h"
#include "resolver_role.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct role roles[] = {
    {"opener", opener_main},
    {"resolver", resolver_role_main},
    {"https", https_role_main},
    {"auth", auth_role_main},
};

const struct role *role_find(const char *name)
{
    for (size_t i = 0; i < BASE_ARRAY_CNT(roles); i++)
        if (strcmp(roles[i].name, name) == 0)
            return &roles[i];
    return NULL;
}

/* In the child, between fork and exec: async-signal-safe calls only. */
__attribute__((noreturn)) static void become(int socket, const char *arg)
{
    char *const argv[] = {(char[]){"sluiced"}, (char *)(uintptr_t)arg, NULL};
    char *const envp[] = {NULL};
    sigset_t none;

    if (socket == ROLE_SOCKET)
        fcntl(socket, F_SETFD, 0);
    else if (dup2(socket, ROLE_SOCKET) < 0)
        _exit(126);
    close_range(ROLE_SOCKET + 1, ~0u, 0);
    close(0);
    if (open("/dev/null", O_RDWR) != 0)
        _exit(126);
    dup2(0, 1);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve("/proc/self/exe", argv, envp);
    _exit(127);
}

pid_t role_spawn(const char *name, int *socket)
{
    int pair[2];
    char arg[64];

    snprintf(arg, sizeof(arg), "--role=%s", name);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0)
        become(pair[1], arg);
    int error = errno;
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return -error;
    }
    *socket = pair[0];
    return pid;
}

int role_run(const char *name)
{
    const struct role *r = role_find(name);

    if (r == NULL) {
        fprintf(stderr, "sluiced: there is no role '%s'; roles are started by sluiced itself\n",
                name);
        return 2;
    }
    char why[SANDBOX_ERROR_CAP];
    sandbox_close_memory();
    /* The first opener is started by main, others and all roles inherit this from theirs. */
    if (sandbox_allow(SANDBOX_OPENER, why) != 0)
        fprintf(stderr, "sluiced: %s: %s\n", name, why);
    _exit(r->main(ROLE_SOCKET)); /* nothing of the program that it was a part of is to be undone */
}
