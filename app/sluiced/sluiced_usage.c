#include "sluiced_usage.h"
#include "base_mdoc.h"

#include <stddef.h>
#include <string.h>

#define COLUMN 40

struct use {
    const char *option; /* "": none */
    const char *argument;
    const char *help; /* lines */
};

static const struct use uses[] = {
    {"", "FILE", "run with this configuration, in the foreground"},
    {"--accept-corruption", "FILE",
     "the same, for a spool that is damaged: starts past the\n"
     "damage, and tells what it was; for this start alone"},
    {"--check", "FILE", "tell every error in it; status 2 when there are any"},
    {"--default", "", "print the default configuration with comments"},
    {"--help", "", "this, and every setting"},
    {"--version", "", "the version of this program"},
};

void sluiced_usage_write(FILE *out)
{
    for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
        const struct use *u = &uses[i];
        int n =
            fprintf(out, "%s%s%s%s%s", i == 0 ? "usage: sluiced " : "       sluiced ", u->option,
                    u->option[0] != 0 && u->argument[0] != 0 ? " " : "", u->argument, "");
        for (const char *line = u->help; *line != 0;) {
            size_t len = strcspn(line, "\n");
            if (n >= COLUMN)
                n = fprintf(out, "\n") - 1;
            fprintf(out, "%*s%.*s\n", COLUMN - n, "", (int)len, line);
            line += len + (line[len] != 0);
            n = 0;
        }
    }
}

static const char head[] = ".Dd November 1, 2026\n"
                           ".Dt SLUICED 8\n"
                           ".Os\n"
                           ".Sh NAME\n"
                           ".Nm sluiced\n"
                           ".Nd SMTP gateway that brings its own network stack\n"
                           ".Sh SYNOPSIS\n";

static const char foot[] =
    ".Sh SIGNALS\n"
    ".Bl -tag -width SIGTERM,\\ SIGINT\n"
    ".It Dv SIGHUP\n"
    "reads the configuration again, and opens the log file anew.\n"
    ".It Dv SIGUSR1\n"
    "opens the log file anew.\n"
    ".It Dv SIGTERM , SIGINT\n"
    "take no new mail, let what is under way end, and stop.\n"
    ".El\n"
    ".Sh SERVICE MANAGER\n"
    "Started by\n"
    ".Xr systemd 1\n"
    "with Type=notify it tells READY=1 when each thread has made its first round with all "
    "listeners "
    "open, STOPPING=1 with the time that a stop may take (gateway: stop_timeout), and WATCHDOG=1 "
    "four times within WATCHDOG_USEC, but only while every lane, each spooler, the courier and the "
    "other threads make rounds: one that stands still is named in the log, and the gateway is "
    "started again.\n"
    "Without NOTIFY_SOCKET in the environment nothing is told; what stands still is logged after "
    "30 "
    "seconds.\n"
    ".Sh RIGHTS\n"
    "It opens NICs, spools and sockets as root and then becomes gateway: user, with no capability "
    "left in any set of any thread, an allow-list of system calls (others fail, those that only an "
    "intruder makes end the process), Landlock for paths, TCP and signals as far as the kernel has "
    "it (what it lacks is told at the start) and rings of io_uring that read and write files of "
    "the "
    "spool and do nothing else.\n"
    "The opener remains to read keys and certificates: root with rights to read any file, to "
    "change "
    "users and nothing else.\n"
    "gateway: sandbox = no leaves the filters out.\n"
    ".Sh EXIT STATUS\n"
    "0 after a clean end; 1 when it ended otherwise, or something could not be written at the "
    "end;\n"
    "2 when it did not start, because of the configuration or of what it names.\n"
    ".Sh SEE ALSO\n"
    ".Xr sluicectl 1 ,\n"
    ".Xr sluice.conf 5\n";

void sluiced_usage_write_man(FILE *out)
{
    fputs(head, out);
    for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
        fputs(".Nm\n", out);
        if (uses[i].option[0] != 0)
            fprintf(out, ".Fl %s\n", uses[i].option + 1);
        if (uses[i].argument[0] != 0)
            fprintf(out, ".Ar %s\n", uses[i].argument);
    }
    fputs(
        ".Sh DESCRIPTION\n"
        "Takes mail on network ports that it drives by itself, keeps it in its spool, and delivers "
        "it.\n"
        "What it does is told by its configuration,\n"
        ".Xr sluice.conf 5 ;\n"
        "what it is doing, by\n"
        ".Xr sluicectl 1 .\n"
        ".Bl -tag -width indent\n",
        out);
    for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
        fputs(".It", out);
        if (uses[i].option[0] != 0)
            fprintf(out, " Fl %s", uses[i].option + 1);
        if (uses[i].argument[0] != 0)
            fprintf(out, " Ar %s", uses[i].argument);
        fputc('\n', out);
        base_mdoc_text(out, uses[i].help, true);
    }
    fputs(".El\n", out);
    fputs(foot, out);
}
