/*
 * sluicectl: the operator's tool. Finds the command in the table (command.h), checks what was
 * typed, and runs it. Most commands are one line for the control socket of a running gateway, whose
 * answer is printed. Exit status: enum command_status.
 */
#include "command.h"

#include <string.h>

#define DEFAULT_SOCKET "/run/sluice/control.sock"

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* help, help COMMAND, COMMAND --help */
static int help(int cnt, char *const *words)
{
    int used;

    if (cnt == 0) {
        command_write_usage(stdout);
        return COMMAND_DONE;
    }
    const struct command *c = command_find(cnt, words, &used);
    if (c != NULL && used == cnt) {
        command_write_help(stdout, c);
        return COMMAND_DONE;
    }
    if (cnt == 1 && command_is_family(words[0])) {
        command_write_family(stdout, words[0]);
        return COMMAND_DONE;
    }
    command_unknown(cnt, words, stderr);
    return COMMAND_WRONG_USE;
}

/* The options before the command. Returns how many words they are, or a negative number. */
static int globals(int argc, char **argv, struct command_call *call)
{
    int at = 1;

    for (; at < argc && argv[at][0] == '-'; at++) {
        const char *word = argv[at];
        if (is_help(word) || strcmp(word, "--version") == 0)
            break;
        if (strncmp(word, "--socket=", 9) == 0) {
            call->socket = word + 9;
        } else if (strcmp(word, "-s") != 0 && strcmp(word, "--socket") != 0) {
            fprintf(stderr,
                    "sluicectl: there is no option %s before a command; "
                    "'sluicectl --help' tells those there are\n",
                    word);
            return -1;
        } else if (at + 1 == argc) {
            fprintf(stderr, "sluicectl: %s needs the path of a socket\n", word);
            return -1;
        } else {
            call->socket = argv[++at];
        }
    }
    return at;
}

static int run(int argc, char **argv, struct command_call *call)
{
    int used;

    if (is_help(argv[0]) || strcmp(argv[0], "help") == 0)
        return help(argc - 1, argv + 1);
    if (strcmp(argv[0], "--version") == 0) {
        printf("sluicectl %s\n", SLUICE_VERSION);
        return COMMAND_DONE;
    }
    call->command = command_find(argc, argv, &used);
    /* Behind the name, or in its middle: queue --help. Further on it could be a value. */
    int name = call->command != NULL ? used : 1;
    if (argc > name && is_help(argv[name]))
        return help(name, argv);
    if (call->command == NULL) {
        command_unknown(argc, argv, stderr);
        return COMMAND_WRONG_USE;
    }
    int status = command_parse(call, argc - used, argv + used, stderr);
    return status != COMMAND_DONE ? status : call->command->run(call);
}

int main(int argc, char **argv)
{
    struct command_call call = {.socket = DEFAULT_SOCKET};
    int at = globals(argc, argv, &call);

    if (at < 0)
        return COMMAND_WRONG_USE;
    if (at == argc) {
        command_write_usage(stderr);
        return COMMAND_WRONG_USE;
    }
    return run(argc - at, argv + at, &call);
}
