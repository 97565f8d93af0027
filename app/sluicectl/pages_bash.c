#include "pages.h"
#include "command.h"

#include <string.h>

static const char head[] =
    "# bash completion for sluicectl; written from its table of commands\n"
    "\n"
    "# What may follow: sets options, argument (kind: words) and value (of the option $2).\n"
    "_sluicectl_command() {\n"
    "    case $1 in\n";

static const char end[] = "    esac\n"
                          "}\n"
                          "\n";

static const char offer[] =
    "# Offers what $1 (kind: words) may be.\n"
    "_sluicectl_offer() {\n"
    "    case $1 in\n"
    "    directory:*) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -d -- \"$cur\")) ;;\n"
    "    file:*) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -f -- \"$cur\")) ;;\n"
    "    word:*) COMPREPLY+=($(compgen -W \"${1#word:}\" -- \"$cur\")) ;;\n"
    "    esac\n"
    "}\n"
    "\n"
    "_sluicectl() {\n";

static const char body[] =
    "    local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} at=1\n"
    "    local name options='' argument='' value='' seconds=''\n"
    "    COMPREPLY=()\n"
    "    while ((at < COMP_CWORD)); do\n"
    "        case ${COMP_WORDS[at]} in\n"
    "        -s | --socket) ((at += 2)) ;;\n"
    "        -h | --help | --version) return ;;\n"
    "        help) options=help; ((at += 1)) ;;\n"
    "        *) break ;;\n"
    "        esac\n"
    "    done\n"
    "    if ((at > COMP_CWORD)); then\n"
    "        _sluicectl_offer file:\n"
    "        return\n"
    "    fi\n"
    "    if ((at == COMP_CWORD)); then\n"
    "        [[ $options == help ]] || _sluicectl_offer \"word:$globals help\"\n"
    "        _sluicectl_offer \"word:$firsts\"\n"
    "        return\n"
    "    fi\n"
    "    local helping=$options\n"
    "    name=${COMP_WORDS[at]} options=''\n"
    "    _sluicectl_family \"$name\"\n"
    "    if ((at + 1 == COMP_CWORD)); then\n"
    "        _sluicectl_offer \"word:$seconds\"\n"
    "    elif [[ \" $seconds \" == *\" ${COMP_WORDS[at+1]} \"* ]]; then\n"
    "        name+=\" ${COMP_WORDS[at+1]}\"\n"
    "    fi\n"
    "    [[ $helping != help ]] || return\n"
    "    _sluicectl_command \"$name\" \"$previous\"\n"
    "    if [[ -n $value ]]; then\n"
    "        _sluicectl_offer \"$value\"\n"
    "    elif [[ $cur == -* ]]; then\n"
    "        _sluicectl_offer \"word:$options --help\"\n"
    "    else\n"
    "        _sluicectl_offer \"$argument\"\n"
    "        [[ -n $cur || -n $seconds || -n $argument ]] || _sluicectl_offer \"word:$options\"\n"
    "    fi\n"
    "}\n"
    "\n"
    "complete -F _sluicectl sluicectl\n";

static void write_kind(FILE *out, enum command_kind kind, const char *words)
{
    static const char *const names[] = {[COMMAND_TEXT] = "text",
                                        [COMMAND_WORD] = "word",
                                        [COMMAND_DIRECTORY] = "directory",
                                        [COMMAND_FILE] = "file"};

    fprintf(out, "'%s:%s'", names[kind], words != NULL ? words : "");
}

static void write_case(FILE *out, const struct command *c)
{
    const struct command_option *o;

    fprintf(out, "    '%s')\n        options='", c->name);
    for (unsigned n = 0; (o = command_option_at(c, n)) != NULL; n++)
        fprintf(out, "%s%s", n > 0 ? " " : "", o->name);
    fputs("'\n", out);
    if (c->max > 0) {
        fputs("        argument=", out);
        write_kind(out, c->kind, c->words);
        fputc('\n', out);
    }
    fputs("        case $2 in\n", out);
    for (unsigned n = 0; (o = command_option_at(c, n)) != NULL; n++)
        if (o->value != NULL) {
            fprintf(out, "        %s) value=", o->name);
            write_kind(out, o->kind, o->words);
            fputs(" ;;\n", out);
        }
    fputs("        esac\n        ;;\n", out);
}

/* Whether no row before this one has the same first word. */
static bool is_first(const struct command *c, size_t len)
{
    for (const struct command *before = command_table; before < c; before++) {
        base_assert(before->name != NULL);
        if (strcspn(before->name, " ") == len && strncmp(before->name, c->name, len) == 0)
            return false;
    }
    return true;
}

static void write_firsts(FILE *out)
{
    fputs("    local firsts='", out);
    for (const struct command *c = command_table; c->name != NULL; c++) {
        size_t len = strcspn(c->name, " ");
        if (is_first(c, len))
            fprintf(out, "%s%.*s", c > command_table ? " " : "", (int)len, c->name);
    }
    fputs("' globals='-s", out);
    for (const struct command_option *o = command_globals; o->name != NULL; o++)
        fprintf(out, " %s", o->name);
    fputs("'\n", out);
}

static void write_families(FILE *out)
{
    fputs("# Second words of names that begin with $1.\n"
          "_sluicectl_family() {\n    case $1 in\n",
          out);
    for (const struct command *c = command_table; c->name != NULL; c++) {
        size_t len = strcspn(c->name, " ");
        const char *space = "";
        if (!is_first(c, len) || (c->name[len] == 0 && !command_is_family(c->name)))
            continue;
        fprintf(out, "    %.*s) seconds='", (int)len, c->name);
        for (const struct command *other = c; other->name != NULL; other++)
            if (strncmp(other->name, c->name, len) == 0 && other->name[len] == ' ') {
                fprintf(out, "%s%s", space, other->name + len + 1);
                space = " ";
            }
        fputs("' ;;\n", out);
    }
    fputs(end, out);
}

void pages_write_bash(FILE *out)
{
    fputs(head, out);
    for (const struct command *c = command_table; c->name != NULL; c++)
        write_case(out, c);
    fputs(end, out);
    write_families(out);
    fputs(offer, out);
    write_firsts(out);
    fputs(body, out);
}
