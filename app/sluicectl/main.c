/*
 * sluicectl: the operator's tool. Sends one command to the control socket of a running gateway and
 * prints the answer; spool commands read a stopped gateway's spool themselves (spool_command.h).
 * Exit status: 0 done, 1 the gateway refused, 2 wrong use or no gateway.
 */
#include "spool_command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/sluice/control.sock"

static void usage(FILE *out)
{
    fprintf(
        out,
        "usage: sluicectl [-s SOCKET] COMMAND\n"
        "  status         is it well: rates, connections, counters\n"
        "  queue list     messages in the queue, their recipients, states and last words\n"
        "  queue show ID  one of them\n"
        "  queue stat     how many there are, by destination and state\n"
        "  queue flush    try deferred recipients now\n"
        "  queue hold     do not try until released; a restart of the gateway releases\n"
        "  queue release  held messages are tried at their times again\n"
        "  queue delete   take messages out of the queue; nobody is told, but the log\n"
        "    which: ID, or filters, all of which must hold: --sender ADDR, --domain DOMAIN (of\n"
        "    a recipient), --older SECONDS, --state deferred|failed|held; hold, release and\n"
        "    delete need one, or --all. --json: list and show as one JSON object a line\n"
        "  reload         read the configuration again; tells which changes need a restart\n"
        "  stop           drain and stop\n"
        "The socket is %s unless -s says otherwise.\n",
        DEFAULT_SOCKET);
    spool_command_usage(out);
}

static int connect_to(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof(a.sun_path)) {
        fprintf(stderr, "sluicectl: %s: the path is too long\n", path);
        return -1;
    }
    memcpy(a.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
        return fd;
    fprintf(
        stderr, "sluicectl: %s: %s: %s\n", path, strerror(errno),
        errno == EACCES
            ? "you need to be root, or in the group of control: group"
            : "is the gateway running? -s takes what its configuration says as control: socket");
    close(fd);
    return -1;
}

/* Prints the answer but for the word ok, and empty where that is all; returns the exit status. */
static int print_answer(int fd, const char *empty)
{
    char buf[65536];
    char head[8] = "";
    size_t head_len = 0;
    size_t printed = 0;
    int status = 1;
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        size_t from = 0;
        while (head_len < 3 && from < (size_t)n) /* "ok" and its line end, or an error's text */
            head[head_len++] = buf[from++];
        if (head_len == 3 && status != 0 && memcmp(head, "ok\n", 3) == 0)
            status = 0;
        else if (head_len == 3 && status == 1 && from > 0)
            fwrite(head, 1, head_len, stderr);
        printed += fwrite(buf + from, 1, (size_t)n - from, status == 0 ? stdout : stderr);
        if (head_len == 3 && status == 1)
            status = -1; /* an error, its head is printed */
    }
    if (head_len < 3)
        fprintf(stderr, "sluicectl: the gateway gave no answer: it is busy or going down\n");
    if (status == 0 && printed == 0)
        fputs(empty, stderr); /* standard output is the list, for programs */
    return status == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *path = DEFAULT_SOCKET;
    char line[512] = "";
    size_t len = 0;
    int first = 1;

    if (argc > 2 && strcmp(argv[1], "-s") == 0) {
        path = argv[2];
        first = 3;
    }
    if (argc > first && (strcmp(argv[first], "--help") == 0 || strcmp(argv[first], "-h") == 0)) {
        usage(stdout);
        return 0;
    }
    if (argc > first && argv[first][0] == '-') {
        usage(stderr);
        return 2;
    }
    if (argc > first && strcmp(argv[first], "spool") == 0)
        return spool_command_run(argc - first - 1, argv + first + 1);
    for (int i = first; i < argc; i++) {
        if (len + strlen(argv[i]) + 2 >= sizeof(line)) {
            fprintf(stderr, "sluicectl: the command is too long\n");
            return 2;
        }
        len +=
            (size_t)snprintf(line + len, sizeof(line) - len, "%s%s", i > first ? " " : "", argv[i]);
    }
    if (len == 0) {
        usage(stderr);
        return 2;
    }
    line[len++] = '\n';
    int fd = connect_to(path);
    if (fd < 0)
        return 2;
    if (send(fd, line, len, MSG_NOSIGNAL) != (ssize_t)len) {
        fprintf(stderr, "sluicectl: %s\n", strerror(errno));
        return 2;
    }
    int status = print_answer(
        fd, strncmp(line, "queue list", 10) == 0 ? "no such message in the queue\n" : "");
    close(fd);
    return status;
}
