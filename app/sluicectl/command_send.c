/* One command over the control socket (control.h of sluiced). */
#include "command.h"
#include "answer.h"
#include "gateway_ask.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

const char *command_next(int error)
{
    switch (error) {
    case ENOENT:
        return ": is the path right?";
    case EACCES:
    case EPERM:
        return ": be root";
    case EEXIST:
        return ": remove it, or name another";
    case ENOTDIR:
        return ": name a directory";
    case ENOSPC:
    case EDQUOT:
        return ": make room there, or name another place";
    case EROFS:
        return ": name another place";
    case EIO:
        return ": see the kernel's messages (dmesg)";
    default:
        return "";
    }
}

int command_dial(const char *socket_path, int flags)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t len = strlen(socket_path);

    if (len >= sizeof(a.sun_path))
        return -ENAMETOOLONG;
    memcpy(a.sun_path, socket_path, len + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

void command_dial_why(char why[COMMAND_WHY_CAP], const char *socket_path, int error)
{
    const char *next =
        error == -ENAMETOOLONG ? "the path of a socket has at most 107 bytes"
        : error == -EACCES     ? "be root, or in the group of control: group or change_group"
        : error == -ENOENT || error == -ECONNREFUSED
            ? "is the gateway running? -s takes what its configuration says as control: socket"
        : error == -EAGAIN
            ? "too many commands wait for the gateway: try again in a moment"
            : "is that the socket of a gateway? -s takes what its configuration says as control: "
              "socket";

    snprintf(why, COMMAND_WHY_CAP, "%.120s: %s: %s", socket_path, strerror(-error), next);
}

int command_connect(const char *socket_path)
{
    char why[COMMAND_WHY_CAP];
    int fd = command_dial(socket_path, 0);

    if (fd >= 0)
        return fd;
    command_dial_why(why, socket_path, fd);
    fprintf(stderr, "sluicectl: %s\n", why);
    return -1;
}

/* Appends a word. Returns 0, or -1 after telling why not. */
static int word_append(struct gateway_line *line, const char *word, bool value)
{
    const char *wrong = gateway_line_word(line, word, value);

    if (wrong != NULL)
        fprintf(stderr, "sluicectl: %s: %s\n", wrong, word);
    return wrong != NULL ? -1 : 0;
}

/* Waits for ^C, and asks for the end of the answer that comes by the socket. */
static void *end_by_signal(void *fd)
{
    sigset_t set;
    int number;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigwait(&set, &number) != 0)
        return NULL;
    (void)shutdown(*(const int *)fd, SHUT_WR);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL); /* a second one ends the program */
    (void)pause();
    return NULL;
}

/* Prints an answer that goes on until it is over, or ^C. */
static int print_stream(int fd, FILE *in, FILE *out)
{
    pthread_t waiter;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    bool waits = pthread_create(&waiter, NULL, end_by_signal, &fd) == 0;
    if (!waits)
        (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    int status = answer_print(in, out, stderr, "");
    if (waits) {
        (void)pthread_cancel(waiter);
        (void)pthread_join(waiter, NULL);
    }
    return status;
}

/* Sends the line and prints the answer. */
static int exchange(const char *socket_path, struct gateway_line *line, FILE *out,
                    const char *empty, bool goes_on)
{
    int fd = command_connect(socket_path);
    if (fd < 0)
        return COMMAND_UNREACHABLE;
    line->text[line->len++] = '\n';
    /* Who is refused at the door has an answer to read all the same. */
    ssize_t n = send(fd, line->text, line->len, MSG_NOSIGNAL);
    FILE *in = n == (ssize_t)line->len || (n < 0 && errno == EPIPE) ? fdopen(fd, "r") : NULL;
    if (in == NULL) {
        fprintf(stderr, "sluicectl: %s: %s\n", socket_path, strerror(errno));
        close(fd);
        return COMMAND_UNREACHABLE;
    }
    int status = goes_on ? print_stream(fd, in, out)
                         : answer_print(in, out, stderr, empty != NULL ? empty : "");
    fclose(in);
    return status;
}

int command_ask(const char *socket_path, const char *const *words, unsigned word_cnt, FILE *out,
                const char *empty)
{
    struct gateway_line line = {0};

    for (unsigned i = 0; i < word_cnt; i++)
        if (word_append(&line, words[i], false) != 0)
            return COMMAND_WRONG_USE;
    return exchange(socket_path, &line, out, empty, false);
}

/* The command as it was typed, without an option (NULL: with all). Returns 0, or -1. */
static int line_make(struct gateway_line *line, const struct command_call *call,
                     const char *without)
{
    /* The name has been one of the table's. */
    line->len = (size_t)snprintf(line->text, sizeof(line->text), "%s", call->command->name);
    for (int i = 0; i < call->argument_cnt; i++)
        if (word_append(line, call->argument[i], true) != 0)
            return -1;
    for (int i = 0; i < call->option_cnt; i++) {
        const char *name = call->option[i].option->name, *value = call->option[i].value;
        if (without != NULL && strcmp(name, without) == 0)
            continue;
        if (word_append(line, name, false) != 0 ||
            (value != NULL && word_append(line, value, true) != 0))
            return -1;
    }
    return 0;
}

int command_send(const struct command_call *call)
{
    struct gateway_line line = {0};

    if (line_make(&line, call, NULL) != 0)
        return COMMAND_WRONG_USE;
    bool all = call->argument_cnt == 0 && call->option_cnt == 0 && call->command->empty_all != NULL;
    const char *empty = all ? call->command->empty_all : call->command->empty;
    return exchange(call->socket, &line, stdout, call->json ? NULL : empty, false);
}

int command_stream(const struct command_call *call, const char *without, FILE *out)
{
    struct gateway_line line = {0};

    if (line_make(&line, call, without) != 0)
        return COMMAND_WRONG_USE;
    return exchange(call->socket, &line, out, NULL, true);
}
