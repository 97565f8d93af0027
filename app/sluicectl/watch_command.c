#include "watch_command.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int trace_command_run(const struct command_call *call)
{
    return command_stream(call, NULL, stdout);
}

/* The file is whoever's that makes it, and nobody else's: packets hold passwords and mail. */
static FILE *open_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0) {
        fprintf(stderr, "sluicectl: %s: %s%s\n", path, strerror(errno), command_next(errno));
        return NULL;
    }
    FILE *file = fdopen(fd, "w");
    if (file == NULL)
        close(fd);
    return file;
}

int capture_command_run(const struct command_call *call)
{
    const char *path = command_option_value(call, "--out");

    if (path == NULL && isatty(STDOUT_FILENO)) {
        fputs("sluicectl: capture writes a file for Wireshark: name it by --out FILE, or send "
              "standard output into a file or a program\n",
              stderr);
        return COMMAND_WRONG_USE;
    }
    if (path == NULL)
        return command_stream(call, NULL, stdout);
    FILE *file = open_file(path);
    if (file == NULL)
        return COMMAND_WRONG_USE;
    int status = command_stream(call, "--out", file);
    bool empty = ftell(file) == 0;
    if (fclose(file) != 0 && status == COMMAND_DONE) {
        fprintf(stderr, "sluicectl: %s: %s%s\n", path, strerror(errno), command_next(errno));
        status = COMMAND_UNREACHABLE;
    }
    if (empty)
        (void)unlink(path);
    return status;
}
