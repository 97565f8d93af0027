/* One command over the control socket (control.h of sluiced). */
#include "command.h"
#include "answer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_CAP 1024 /* of sluiced, with the line's end */

struct line {
    char text[LINE_CAP];
    size_t len;
};

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

/* A word of the command: as it is, or in quotes (queue_filter.h). value: it is no option, whatever
 * it begins with. Returns 0, or -1 after telling why not. */
static int word_append(struct line *line, const char *word, bool value)
{
    size_t cap = sizeof(line->text) - 1; /* the line's end */
    const char *quote = "";

    for (const char *p = word; *p != 0; p++)
        if ((unsigned char)*p < 32 || *p == 127) {
            fprintf(stderr, "sluicectl: a word has a control character: type it without\n");
            return -1;
        }
    if (word[0] == 0 || strpbrk(word, " \"'") != NULL || (value && word[0] == '-'))
        quote = strchr(word, '"') == NULL ? "\"" : "'";
    if (quote[0] != 0 && strchr(word, quote[0]) != NULL) {
        fprintf(stderr,
                "sluicectl: a word cannot have both kinds of quotes, take one of them out: %s\n",
                word);
        return -1;
    }
    int n = snprintf(line->text + line->len, cap - line->len, "%s%s%s%s", line->len > 0 ? " " : "",
                     quote, word, quote);
    if (n >= 0 && (size_t)n < cap - line->len) {
        line->len += (size_t)n;
        return 0;
    }
    fprintf(stderr,
            "sluicectl: the command is longer than %d bytes: give fewer words, or conditions in "
            "place of ids\n",
            LINE_CAP - 1);
    return -1;
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
static int exchange(const char *socket_path, struct line *line, FILE *out, const char *empty,
                    bool goes_on)
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
    struct line line = {0};

    for (unsigned i = 0; i < word_cnt; i++)
        if (word_append(&line, words[i], false) != 0)
            return COMMAND_WRONG_USE;
    return exchange(socket_path, &line, out, empty, false);
}

/* The command as it was typed, without an option (NULL: with all). Returns 0, or -1. */
static int line_make(struct line *line, const struct command_call *call, const char *without)
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
    struct line line = {0};

    if (line_make(&line, call, NULL) != 0)
        return COMMAND_WRONG_USE;
    return exchange(call->socket, &line, stdout, call->command->empty, false);
}

int command_stream(const struct command_call *call, const char *without, FILE *out)
{
    struct line line = {0};

    if (line_make(&line, call, without) != 0)
        return COMMAND_WRONG_USE;
    return exchange(call->socket, &line, out, NULL, true);
}
