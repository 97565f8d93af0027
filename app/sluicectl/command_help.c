#include "command.h"

#include <string.h>

#define HELP_COLUMN 28
#define LINE_WIDTH  88

void command_write_synopsis(FILE *out, const struct command *command)
{
    const struct command_option *o;

    fputs(command->name, out);
    if (command->arguments[0] != 0)
        fprintf(out, " %s", command->arguments);
    for (unsigned n = 0; (o = command_option_at(command, n)) != NULL; n++)
        fprintf(out, " [%s%s%s]", o->name, o->value != NULL ? " " : "",
                o->value != NULL ? o->value : "");
}

static void write_row(FILE *out, const char *left, const char *arguments, const char *help)
{
    int n = fprintf(out, "  %s%s%s", left, arguments[0] != 0 ? " " : "", arguments);

    if (n + 1 > HELP_COLUMN) {
        fputc('\n', out);
        n = 0;
    }
    fprintf(out, "%*s%s\n", HELP_COLUMN - n, "", help);
}

/* Whether sluicectl makes it known by conditions which messages it means. */
static const char *short_arguments(const struct command *c)
{
    return strcmp(c->arguments, "[ID]") != 0 ? c->arguments : c->narrows ? "WHICH" : "[WHICH]";
}

void command_write_usage(FILE *out)
{
    const char *section = "";

    fputs("usage: sluicectl [-s SOCKET] COMMAND [ARGUMENT...]\n", out);
    for (const struct command *c = command_table; c->name != NULL; c++) {
        if (strcmp(section, c->section) != 0)
            fprintf(out, "\n%s\n", c->section);
        section = c->section;
        write_row(out, c->name, short_arguments(c), c->help);
    }
    fputs("\n"
          "WHICH is a message's ID or conditions. 'sluicectl help COMMAND' tells all about a "
          "command,\n"
          "its options, who may use it, and whether it has --json; so does sluicectl(1).\n\n",
          out);
    for (const struct command_option *o = command_globals; o->name != NULL; o++)
        write_row(out, o->name, o->value != NULL ? o->value : "", o->help);
    fputs(
        "\nExit status: 0 done; 1 refused, not found, damaged, or not all done; 2 wrong use; 3 no "
        "gateway\nthere, or no permission, or a spool that cannot be read.\n",
        out);
}

void command_write_family(FILE *out, const char *word)
{
    size_t len = strlen(word);

    for (const struct command *c = command_table; c->name != NULL; c++)
        if (strncmp(c->name, word, len) == 0 && (c->name[len] == ' ' || c->name[len] == 0))
            write_row(out, c->name, short_arguments(c), c->help);
}

/* A line is broken at a space; one that begins with spaces is not. */
static void write_text(FILE *out, const char *text)
{
    size_t at = 0;

    while (*text != 0) {
        bool as_is = at == 0 && *text == ' ';
        size_t len = as_is ? strcspn(text, "\n") : strcspn(text, " \n");
        if (at > 0 && at + 1 + len > LINE_WIDTH) {
            fputc('\n', out);
            at = 0;
        }
        at += (size_t)fprintf(out, "%s%.*s", at > 0 ? " " : "", (int)len, text);
        text += len;
        if (*text == '\n') {
            fputc('\n', out);
            at = 0;
        }
        text += *text != 0;
    }
    if (at > 0)
        fputc('\n', out);
}

static const char *right_text(const struct command *c)
{
    switch (c->right) {
    case COMMAND_GROUP:
        return "Root, the gateway's user and the groups of control: group and change_group may "
               "use it.";
    case COMMAND_ROOT:
        return "Root, the gateway's user and the group of control: change_group may use it.";
    case COMMAND_HERE:
        break;
    }
    return "Whoever may open the files may use it.";
}

void command_write_help(FILE *out, const struct command *c)
{
    const struct command_option *o;

    fputs("usage: sluicectl ", out);
    fputs(c->name, out);
    fprintf(out, "%s%s%s\n\n", c->arguments[0] != 0 ? " " : "", c->arguments,
            command_option_at(c, 0) != NULL ? " [OPTION...]" : "");
    fprintf(out, "%s\n", c->help);
    if (c->text != NULL) {
        fputc('\n', out);
        write_text(out, c->text);
    }
    if (command_option_at(c, 0) != NULL)
        fputc('\n', out);
    for (unsigned n = 0; (o = command_option_at(c, n)) != NULL; n++)
        write_row(out, o->name, o->value != NULL ? o->value : "", o->help);
    fputc('\n', out);
    write_text(out, right_text(c));
}
