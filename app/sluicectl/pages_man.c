#include "pages.h"
#include "base_mdoc.h"
#include "command.h"

#include <string.h>

static const char head[] =
    ".Dd November 1, 2026\n"
    ".Dt SLUICECTL 1\n"
    ".Os\n"
    ".Sh NAME\n"
    ".Nm sluicectl\n"
    ".Nd tell and change what the SMTP gateway Sluice does\n"
    ".Sh SYNOPSIS\n"
    ".Nm\n"
    ".Op Fl s Ar SOCKET\n"
    ".Ar COMMAND\n"
    ".Op Ar ARGUMENT ...\n"
    ".Nm\n"
    ".Cm help\n"
    ".Op Ar COMMAND\n"
    ".Sh DESCRIPTION\n"
    "Sends a command to the control socket of a running\n"
    ".Xr sluiced 8\n"
    "and prints the answer; commands about a spool read its files themselves.\n"
    "Options may stand before or behind arguments, their values behind a space or an equals sign;\n"
    "what follows a word\n"
    ".Fl -\n"
    "is no option.\n"
    ".Pp\n"
    "Who may do what is decided by the credentials of the process that connects: root and the\n"
    "gateway's user may all, likewise the group of the setting\n"
    ".Va control : change_group ;\n"
    "the group of\n"
    ".Va control : group\n"
    "may look.\n"
    ".Bl -tag -width indent\n";

static const char foot[] =
    ".Sh FILES\n"
    ".Bl -tag -width indent\n"
    ".It Pa /run/sluice/control.sock\n"
    "the control socket, unless the configuration says otherwise.\n"
    ".El\n"
    ".Sh EXIT STATUS\n"
    ".Bl -tag -width indent\n"
    ".It 0\n"
    "Done.\n"
    ".It 1\n"
    "The gateway refused; or what was asked for is not there; or something is damaged; or not all "
    "could be done.\n"
    ".It 2\n"
    "Wrong use: nothing was done.\n"
    ".It 3\n"
    "The gateway cannot be reached, or its answer broke off; or a spool cannot be read.\n"
    ".El\n"
    ".Sh EXAMPLES\n"
    "What waits for a destination, and why:\n"
    ".Dl sluicectl queue list --domain example.org\n"
    "Try all that failed for a reason again, now:\n"
    ".Dl sluicectl queue flush --code 4.7.x\n"
    "Nothing to a partner who is being moved:\n"
    ".Dl sluicectl suspend partner.example --for 2h --reason \\(dqmoving house\\(dq\n"
    ".Sh SEE ALSO\n"
    ".Xr sluice.conf 5 ,\n"
    ".Xr sluiced 8\n";

static void write_item(FILE *out, const struct command_option *o)
{
    fprintf(out, ".It Fl %s", o->name + 1);
    if (o->value != NULL)
        fprintf(out, " Ar %s", o->value);
    fputc('\n', out);
    base_mdoc_text(out, o->help, true);
}

static void write_command(FILE *out, const struct command *c)
{
    const struct command_option *o;
    bool optional = c->arguments[0] == '[';

    fprintf(out, ".It Ic %s", c->name);
    if (optional)
        fprintf(out, " Op Ar %.*s", (int)strlen(c->arguments) - 2, c->arguments + 1);
    else if (c->arguments[0] != 0)
        fprintf(out, " Ar %s", c->arguments);
    fputc('\n', out);
    base_mdoc_text(out, c->help, true);
    if (c->text != NULL) {
        fputs(".Pp\n", out);
        base_mdoc_text(out, c->text, true);
    }
    if (c->right == COMMAND_ROOT)
        fputs("Not for\n.Va control : group .\n", out);
    if (command_option_at(c, 0) == NULL)
        return;
    fputs(".Bl -tag -width indent -compact\n", out);
    for (unsigned n = 0; (o = command_option_at(c, n)) != NULL; n++)
        write_item(out, o);
    fputs(".El\n", out);
}

void pages_write_man(FILE *out)
{
    const char *section = NULL;

    fputs(head, out);
    for (const struct command_option *o = command_globals; o->name != NULL; o++)
        write_item(out, o);
    fputs(".El\n.Sh COMMANDS\n", out);
    for (const struct command *c = command_table; c->name != NULL; c++) {
        if (section == NULL || strcmp(section, c->section) != 0)
            fprintf(out, "%s.Ss %s\n.Bl -tag -width indent\n", section != NULL ? ".El\n" : "",
                    c->section);
        section = c->section;
        write_command(out, c);
    }
    fputs(".El\n", out);
    fputs(foot, out);
}
