#include "pages.h"
#include "command.h"

#include <string.h>

static const char head[] = "#compdef sluicectl\n"
                           "# zsh completion for sluicectl; written from its table of commands\n"
                           "\n";

static const char body[] =
    "_sluicectl() {\n"
    "    local curcontext=$curcontext state line name\n"
    "    typeset -A opt_args\n"
    "    _arguments -C \\\n"
    "        '(-s --socket)'{-s,--socket}\"[the gateway's control socket]:socket:_files\" \\\n"
    "        '(- *)'{-h,--help}'[all commands]' '(- *)--version[the version]' \\\n"
    "        '*:: :->command' && return\n"
    "    [[ $state == command ]] || return 1\n"
    "    if [[ $words[1] == help ]] && (( CURRENT > 1 )); then\n"
    "        shift words\n"
    "        (( CURRENT-- ))\n"
    "    fi\n"
    "    if (( CURRENT == 1 )); then\n"
    "        _sluicectl_firsts\n"
    "        return\n"
    "    fi\n"
    "    name=$words[1]\n"
    "    if (( CURRENT == 2 )); then\n"
    "        _sluicectl_seconds $name && return\n"
    "    elif (( $+functions[_sluicectl_of_${name}_$words[2]] )); then\n"
    "        name+=_$words[2]\n"
    "        shift words\n"
    "        (( CURRENT-- ))\n"
    "    fi\n"
    "    (( $+functions[_sluicectl_of_$name] )) && _sluicectl_of_$name\n"
    "}\n"
    "\n"
    "_sluicectl \"$@\"\n";

/* Inside '': what _arguments and _describe take for their own is escaped. */
static void write_text(FILE *out, const char *text)
{
    for (; *text != 0; text++)
        if (*text == '\'')
            fputs("'\\''", out);
        else if (strchr("[]:\\", *text) != NULL)
            fprintf(out, "\\%c", *text);
        else
            fputc(*text, out);
}

static void write_action(FILE *out, enum command_kind kind, const char *words)
{
    switch (kind) {
    case COMMAND_WORD:
        fprintf(out, "(%s)", words);
        break;
    case COMMAND_DIRECTORY:
        fputs("_files -/", out);
        break;
    case COMMAND_FILE:
        fputs("_files", out);
        break;
    case COMMAND_TEXT:
        fputs("()", out); /* a message in its place would keep options from being completed */
    }
}

static void write_function(FILE *out, const struct command *c)
{
    const struct command_option *o;

    fputs("_sluicectl_of_", out);
    for (const char *p = c->name; *p != 0; p++)
        fputc(*p == ' ' ? '_' : *p, out);
    fputs("() {\n    _arguments '--help[all about it]'", out);
    for (unsigned n = 0; (o = command_option_at(c, n)) != NULL; n++) {
        fprintf(out, " \\\n        '%s%s[", o->name, o->value != NULL ? "=" : "");
        write_text(out, o->help);
        fputc(']', out);
        if (o->value != NULL) {
            fprintf(out, ":%s:", o->value);
            write_action(out, o->kind, o->words);
        }
        fputc('\'', out);
    }
    for (unsigned n = 0; n < c->max; n++) {
        fprintf(out, " \\\n        '%u:", n + 1);
        write_text(out, c->arguments);
        fputc(':', out);
        write_action(out, c->kind, c->words);
        fputc('\'', out);
    }
    fputs("\n}\n\n", out);
}

/* One row of _describe. */
static void write_row(FILE *out, const char *name, size_t len, const char *help)
{
    fprintf(out, "        '%.*s:", (int)len, name);
    write_text(out, help);
    fputs("'\n", out);
}

static void write_firsts(FILE *out)
{
    fputs("_sluicectl_firsts() {\n    local -a commands=(\n"
          "        'help:all about a command'\n",
          out);
    for (const struct command *c = command_table; c->name != NULL; c++) {
        size_t len = strcspn(c->name, " ");
        bool seen = false;
        for (const struct command *b = command_table; b < c && !seen; b++)
            seen = strcspn(b->name, " ") == len && strncmp(b->name, c->name, len) == 0;
        if (!seen)
            write_row(out, c->name, len, c->name[len] == 0 ? c->help : c->section);
    }
    fputs("    )\n    _describe command commands\n}\n\n", out);
}

/* Fails for a name that has none, so that its own options are offered. */
static void write_seconds(FILE *out)
{
    fputs("_sluicectl_seconds() {\n    local -a commands\n", out);
    for (const struct command *c = command_table; c->name != NULL; c++) {
        size_t len = strcspn(c->name, " ");
        if (c->name[len] == 0)
            continue;
        fprintf(out, "    [[ $1 != %.*s ]] || commands+=(\n", (int)len, c->name);
        write_row(out, c->name + len + 1, strlen(c->name) - len - 1, c->help);
        fputs("    )\n", out);
    }
    fputs("    (( $#commands )) && _describe command commands\n}\n\n", out);
}

void pages_write_zsh(FILE *out)
{
    fputs(head, out);
    for (const struct command *c = command_table; c->name != NULL; c++)
        write_function(out, c);
    write_firsts(out);
    write_seconds(out);
    fputs(body, out);
}
