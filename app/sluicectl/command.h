/*
 * The commands of sluicectl, one row each: the only source of its help, its checks of what is
 * typed, its man page and its completions. command_table.c has the rows. Who adds a command adds
 * a row there and a handler, in a file of its own.
 *
 * Threads: one. Memory: all of it static, or the caller's.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include "base_assert.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* How sluicectl ends. */
enum command_status {
    COMMAND_DONE = 0,
    COMMAND_REFUSED = 1,     /* by the gateway; or not found; or damage; or not all was done */
    COMMAND_WRONG_USE = 2,   /* of the command line: nothing was done */
    COMMAND_UNREACHABLE = 3, /* no gateway there, no permission, an answer that broke off; or a
                                spool that cannot be read */
};

/* Who may, and of what. */
enum command_right {
    COMMAND_GROUP, /* of a running gateway: also who is in the group of control: group */
    COMMAND_ROOT,  /* likewise: root, the gateway's user, who is in control: change_group */
    COMMAND_HERE,  /* asks no gateway: whoever may open the files */
};

/* What an argument or a value is, for completions; all are checked by who takes them. */
enum command_kind {
    COMMAND_TEXT,
    COMMAND_WORD,      /* one of words */
    COMMAND_DIRECTORY, /* a path here */
    COMMAND_FILE,
};

struct command_option {
    const char *name;  /* "--older"; NULL: the last row's end */
    const char *value; /* what stands behind it: "SECONDS"; NULL: nothing does */
    const char *help;  /* what it does, without a full stop */
    enum command_kind kind;
    const char *words; /* of COMMAND_WORD, which is checked: "deferred failed held" */
};

#define COMMAND_ARGUMENT_MAX 32 /* words and options of one command */

struct command_call;

struct command {
    const char *section;   /* heading in the help; rows of one stand together */
    const char *name;      /* "status", "queue list": one word or two */
    const char *arguments; /* as they are told: "DIR", "[LEVEL]"; "": none */
    unsigned min, max;     /* how many there may be, options apart */
    enum command_kind kind;
    const char *words; /* of COMMAND_WORD */
    bool narrows;      /* an argument or an option is needed, as all would be a slip of the pen */
    const struct command_option *options; /* NULL: none; --json is not among them */
    bool json;                            /* --json: one JSON object a line */
    bool changes;                         /* something in the gateway, in a spool, or outside */
    enum command_right right;
    const char *help; /* one line, no full stop */
    /* For the man page and help COMMAND: whole sentences. An empty line parts paragraphs; a line
     * that begins with spaces stands as it is. NULL: the line says all. */
    const char *text;
    /* What is printed on standard error when the gateway's answer is empty, without --json; NULL:
     * nothing. */
    const char *empty;
    const char *empty_all; /* likewise, where neither an argument nor an option was given */
    /* Returns the exit status. command_send: the words go to the gateway as they are. */
    int (*run)(const struct command_call *call);
};

/* Ended by a row without a name. */
extern const struct command command_table[];
/* Of sluicectl itself, before the command. */
extern const struct command_option command_globals[];
extern const struct command_option command_json; /* of all that have it */

/* A command as it was typed, checked against its row. */
struct command_call {
    const struct command *command;
    const char *socket; /* of the gateway */
    bool json;
    int argument_cnt;
    const char *argument[COMMAND_ARGUMENT_MAX];
    int option_cnt;
    struct {
        const struct command_option *option;
        const char *value; /* NULL: it takes none */
    } option[COMMAND_ARGUMENT_MAX];
};

/* The value of an option; "" when it takes none; NULL when it was not given. The last one counts.
 */
const char *command_option_value(const struct command_call *call, const char *name);

/* ---- command.c ---- */

/* The row whose name the words begin with, the longest; *used: how many words that are. NULL:
 * none. */
const struct command *command_find(int word_cnt, char *const *words, int *used);

/* Whether a command's name begins with the word and goes on: "queue". */
bool command_is_family(const char *word);

/* The n-th option of a row, --json as the last one of those that have it; NULL behind the end. */
const struct command_option *command_option_at(const struct command *command, unsigned n);

/* Reads the words behind a command's name into call, whose command and socket are set; or says on
 * err what is wrong with them. Returns COMMAND_DONE or COMMAND_WRONG_USE. */
int command_parse(struct command_call *call, int argc, char *const *argv,
                  FILE *err) BASE_WARN_UNUSED;

/* Says that there is no such command, and which was meant by what was nearly typed. */
void command_unknown(int word_cnt, char *const *words, FILE *err);

/* ---- command_help.c ---- */

/* One line for each command. */
void command_write_usage(FILE *out);
/* All about one. */
void command_write_help(FILE *out, const struct command *command);
/* Those whose name begins with the word, a line for each. */
void command_write_family(FILE *out, const char *word);
/* "queue list [WHICH] [--json]": what is typed. */
void command_write_synopsis(FILE *out, const struct command *command);

/* ---- command_send.c ---- */

/* Sends the command to the gateway as it was typed and prints the answer. */
int command_send(const struct command_call *call);

/* Likewise, to out and without one of its options (NULL: with all), an answer that goes on: ^C asks
 * for its end, and the rest of it is awaited. */
int command_stream(const struct command_call *call, const char *without, FILE *out);

/* Sends words to the gateway and copies the answer to out; errors go to standard error. empty: what
 * is said there when nothing came, or NULL. Returns the exit status. */
int command_ask(const char *socket, const char *const *words, unsigned word_cnt, FILE *out,
                const char *empty) BASE_WARN_UNUSED;

/* ": what to do" about an error of a file or directory; "" where the error says it. */
const char *command_next(int error);

/* Connects to the gateway's socket; flags: SOCK_NONBLOCK or 0. Returns the descriptor, which the
 * caller closes, or a negative error: -ENAMETOOLONG, or of socket() and connect(). */
int command_dial(const char *socket, int flags) BASE_WARN_UNUSED;

/* "PATH: cause: next step" of such an error. */
#define COMMAND_WHY_CAP 256
void command_dial_why(char why[COMMAND_WHY_CAP], const char *socket, int error);

/* Likewise, waiting as long as it takes. Returns the descriptor, or -1 after it told why not. */
int command_connect(const char *socket) BASE_WARN_UNUSED;

#endif
