#include "command.h"

#include <string.h>

#define NAME_CAP 64

/* Length of the first word of a name. */
static size_t first_len(const char *name)
{
    return strcspn(name, " ");
}

static bool first_is(const struct command *c, const char *word)
{
    size_t len = first_len(c->name);

    return strlen(word) == len && strncmp(c->name, word, len) == 0;
}

const struct command *command_find(int word_cnt, char *const *words, int *used)
{
    const struct command *found = NULL;

    *used = 0;
    for (const struct command *c = command_table; c->name != NULL; c++) {
        if (word_cnt == 0 || !first_is(c, words[0]))
            continue;
        const char *second = c->name + first_len(c->name);
        int cnt = second[0] == ' ' ? 2 : 1;
        if (cnt > word_cnt || cnt <= *used || (cnt == 2 && strcmp(second + 1, words[1]) != 0))
            continue;
        found = c;
        *used = cnt;
    }
    return found;
}

bool command_is_family(const char *word)
{
    for (const struct command *c = command_table; c->name != NULL; c++)
        if (first_is(c, word) && c->name[first_len(c->name)] == ' ')
            return true;
    return false;
}

const struct command_option *command_option_at(const struct command *command, unsigned n)
{
    const struct command_option *o = command->options;

    for (; o != NULL && o->name != NULL; o++)
        if (n-- == 0)
            return o;
    return command->json && n == 0 ? &command_json : NULL;
}

const char *command_option_value(const struct command_call *call, const char *name)
{
    for (int i = call->option_cnt - 1; i >= 0; i--)
        if (strcmp(call->option[i].option->name, name) == 0)
            return call->option[i].value != NULL ? call->option[i].value : "";
    return NULL;
}

/* ---- what was meant ---- */

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* How many letters have to be put in, taken out, changed, or swapped with the next one. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[3][NAME_CAP + 1];
    size_t a_len = strlen(a), b_len = strlen(b);

    if (a_len > NAME_CAP || b_len > NAME_CAP)
        return NAME_CAP;
    for (unsigned j = 0; j <= b_len; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *now = row[i % 3], *last = row[(i + 2) % 3], *older = row[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned change = last[j - 1] + (a[i - 1] != b[j - 1]);
            now[j] = least(least(last[j] + 1, now[j - 1] + 1), change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], older[j - 2] + 1);
        }
    }
    return row[a_len % 3][b_len];
}

/* A slip in a short word is one letter, in a longer one two. */
static bool near(unsigned away, const char *typed)
{
    return away <= (strlen(typed) < 5 ? 1U : 2U);
}

static const struct command_option *option_meant(const struct command *c, const char *typed)
{
    const struct command_option *o, *best = NULL;
    unsigned best_away = NAME_CAP;

    for (unsigned n = 0; (o = command_option_at(c, n)) != NULL; n++) {
        unsigned away = distance(typed, o->name);
        if (away < best_away) {
            best_away = away;
            best = o;
        }
    }
    return best != NULL && near(best_away, typed) ? best : NULL;
}

/* The command nearest to the words: by both, and by the first where the name has one alone. */
static const char *command_meant(int word_cnt, char *const *words)
{
    const char *best = NULL;
    unsigned best_away = NAME_CAP;
    char both[NAME_CAP + 1] = "";

    if (word_cnt > 1)
        snprintf(both, sizeof(both), "%s %s", words[0], words[1]);
    for (const struct command *c = command_table; c->name != NULL; c++) {
        const char *second = c->name + first_len(c->name);
        const char *typed = second[0] == ' ' ? both : words[0];
        unsigned away = distance(typed, c->name);
        /* "list" alone: the family was forgotten */
        if (second[0] == ' ' && strcmp(second + 1, words[0]) == 0)
            away = 1;
        if (away < best_away && near(away, typed)) {
            best_away = away;
            best = c->name;
        }
    }
    return best;
}

void command_unknown(int word_cnt, char *const *words, FILE *err)
{
    const char *meant = command_meant(word_cnt, words);
    bool family = command_is_family(words[0]);

    if (family && (word_cnt == 1 || words[1][0] == '-'))
        fprintf(err, "sluicectl: %s is not a whole command\n", words[0]);
    else
        fprintf(err, "sluicectl: there is no command '%s%s%s'\n", words[0], family ? " " : "",
                family ? words[1] : "");
    if (meant != NULL)
        fprintf(err, "Did you mean 'sluicectl %s'?\n", meant);
    else if (family)
        command_write_family(err, words[0]);
    else
        fputs("'sluicectl --help' lists all commands.\n", err);
}

/* ---- what was typed ---- */

static int wrong_option(const struct command *c, const char *typed, FILE *err)
{
    const struct command_option *meant = option_meant(c, typed);

    fprintf(err, "sluicectl: %s has no option %s\n", c->name, typed);
    if (meant != NULL)
        fprintf(err, "Did you mean %s?\n", meant->name);
    fprintf(err, "'sluicectl help %s' tells what it takes.\n", c->name);
    return COMMAND_WRONG_USE;
}

/* Whether a list of words has one. */
static bool in_words(const char *words, const char *word)
{
    base_assert(words != NULL && word != NULL);
    size_t len = strlen(word);

    for (const char *p = words; *p != 0; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        if (n == len && strncmp(p, word, n) == 0)
            return true;
        p += n;
    }
    return false;
}

static int wrong_word(const struct command *c, const char *of, const char *word, const char *words,
                      FILE *err)
{
    fprintf(err, "sluicectl: %s%s%s is one of '%s', not '%s'\n", c->name, of[0] != 0 ? " " : "", of,
            words, word);
    return COMMAND_WRONG_USE;
}

/* The option at argv[*at], with its value. */
static int take_option(struct command_call *call, int argc, char *const *argv, int *at, FILE *err)
{
    const struct command_option *o;
    const char *typed = argv[*at], *equals = strchr(typed, '=');
    size_t len = equals != NULL ? (size_t)(equals - typed) : strlen(typed);
    const char *value = equals != NULL ? equals + 1 : NULL;

    for (unsigned n = 0; (o = command_option_at(call->command, n)) != NULL; n++)
        if (strlen(o->name) == len && strncmp(o->name, typed, len) == 0)
            break;
    if (o == NULL)
        return wrong_option(call->command, typed, err);
    if (o->value == NULL && value != NULL) {
        fprintf(err, "sluicectl: %s takes no value\n", o->name);
        return COMMAND_WRONG_USE;
    }
    if (o->value != NULL && value == NULL && *at + 1 < argc)
        value = argv[++*at];
    if (o->value != NULL && value == NULL) {
        fprintf(err, "sluicectl: %s needs a value: %s %s\n", o->name, o->name, o->value);
        return COMMAND_WRONG_USE;
    }
    if (o->kind == COMMAND_WORD && !in_words(o->words, value))
        return wrong_word(call->command, o->name, value, o->words, err);
    if (o == &command_json)
        call->json = true;
    call->option[call->option_cnt].option = o;
    call->option[call->option_cnt++].value = value;
    return COMMAND_DONE;
}

static int check_arguments(const struct command_call *call, FILE *err)
{
    const struct command *c = call->command;
    unsigned cnt = (unsigned)call->argument_cnt;
    bool some = cnt > 0 || call->option_cnt > (call->json ? 1 : 0);

    if (c->narrows && !some)
        fprintf(err,
                "sluicectl: %s: which ones? Give an ID, conditions, or --all; "
                "'sluicectl help %s' tells the conditions\n",
                c->name, c->name);
    else if (cnt < c->min || cnt > c->max) {
        fprintf(err, "sluicectl: %s ", c->name);
        if (c->max == 0)
            fprintf(err, "takes no argument: '%s'\n", call->argument[0]);
        else if (cnt > c->max)
            fprintf(err, "takes %s and nothing more: '%s'\n", c->arguments, call->argument[c->max]);
        else
            fprintf(err, "needs %s\n", c->arguments);
        fputs("usage: sluicectl ", err);
        command_write_synopsis(err, c);
        fputc('\n', err);
    } else {
        for (unsigned i = 0; c->kind == COMMAND_WORD && i < cnt; i++)
            if (!in_words(c->words, call->argument[i]))
                return wrong_word(c, "", call->argument[i], c->words, err);
        return COMMAND_DONE;
    }
    return COMMAND_WRONG_USE;
}

int command_parse(struct command_call *call, int argc, char *const *argv, FILE *err)
{
    bool options = true;

    base_assert(call->command != NULL);
    for (int i = 0; i < argc; i++) {
        if (call->argument_cnt == COMMAND_ARGUMENT_MAX ||
            call->option_cnt == COMMAND_ARGUMENT_MAX) {
            fputs("sluicectl: too many words\n", err);
            return COMMAND_WRONG_USE;
        }
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && argv[i][0] == '-' && argv[i][1] != 0) {
            int status = take_option(call, argc, argv, &i, err);
            if (status != COMMAND_DONE)
                return status;
        } else {
            call->argument[call->argument_cnt++] = argv[i];
        }
    }
    return check_arguments(call, err);
}
