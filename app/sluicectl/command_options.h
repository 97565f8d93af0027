/*
 * The options of the commands, a list for each that has some, in the order in which the help tells
 * them. Part of command_table.c, for it alone.
 */
#ifndef COMMAND_OPTIONS_H
#define COMMAND_OPTIONS_H

#include "command.h"

const struct command_option command_json = {
    .name = "--json",
    .help = "as JSON: one object a line, for programs",
};

const struct command_option command_globals[] = {
    {.name = "--socket",
     .value = "PATH",
     .help = "the gateway's control: socket; -s is the same",
     .kind = COMMAND_FILE},
    {.name = "--help", .help = "this; behind a command, all about it; -h is the same"},
    {.name = "--version", .help = "the version of this program"},
    {0},
};

/* Conditions for messages: lib/queue/queue_filter.h. */
#define CONDITIONS                                                                                 \
    {.name = "--sender",                                                                           \
     .value = "ADDR",                                                                              \
     .help = "from this sender; '<>' is the null sender of reports"},                              \
        {.name = "--recipient",                                                                    \
         .value = "ADDR",                                                                          \
         .help = "with this recipient, who does not have it yet"},                                 \
        {.name = "--domain",                                                                       \
         .value = "DOMAIN",                                                                        \
         .help = "with a recipient there who does not have it yet"},                               \
        {.name = "--older", .value = "SECONDS", .help = "that arrived longer ago"},                \
        {.name = "--state",                                                                        \
         .value = "STATE",                                                                         \
         .help = "with a recipient that is deferred or failed, or held altogether",                \
         .kind = COMMAND_WORD,                                                                     \
         .words = "deferred failed held"},                                                         \
        {.name = "--code",                                                                         \
         .value = "CODE",                                                                          \
         .help = "whose last attempt ended so: 451, 45x, 4xx, or enhanced: 4.7.1, 4.7.x"},         \
    {                                                                                              \
        .name = "--reason", .value = "TEXT",                                                       \
        .help = "with this in the last words or codes, in any case of letters"                     \
    }

static const struct command_option conditions[] = {
    CONDITIONS,
    {.name = "--all", .help = "every message in the queue"},
    {0},
};

static const struct command_option list_options[] = {
    CONDITIONS,
    {.name = "--all", .help = "every message in the queue"},
    {.name = "--limit", .value = "N", .help = "N messages at most, the oldest first"},
    {.name = "--after", .value = "ID", .help = "behind that one: the list goes on from there"},
    {0},
};

/* Conditions for connections: app/sluiced/conn_filter.h. */
#define CONNECTIONS                                                                                \
    {.name = "--address",                                                                          \
     .value = "NET",                                                                               \
     .help = "whose other end, or the proxy before it, is there: 192.0.2.7, 2001:db8::/32"},       \
        {.name = "--state",                                                                        \
         .value = "STATE",                                                                         \
         .help = "in this state, of the session (ready, rcpt, data, idle) or of TCP"},             \
        {.name = "--listener", .value = "NAME", .help = "that came in by it"},                     \
        {.name = "--user", .value = "LOGIN", .help = "logged in so; '' is nobody"},                \
        {.name = "--older", .value = "TIME", .help = "open for longer: 30s, 5m, 2h, 1d"},          \
        {.name = "--in", .help = "from clients"},                                                  \
    {                                                                                              \
        .name = "--out", .help = "to next hops"                                                    \
    }

static const struct command_option connection_options[] = {
    CONNECTIONS,
    {0},
};

static const struct command_option kick_options[] = {
    CONNECTIONS,
    {.name = "--all", .help = "every connection"},
    {0},
};

static const struct command_option trace_options[] = {
    {.name = "--for",
     .value = "TIME",
     .help = "ends by itself after 30s, 5m; 1h at most; 60s without"},
    {.name = "--count", .value = "N", .help = "ends after so many lines; 10000 without"},
    {0},
};

static const struct command_option capture_options[] = {
    {.name = "--address",
     .value = "NET",
     .help = "packets from or to it: 192.0.2.7, 2001:db8::/32"},
    {.name = "--port", .value = "N", .help = "of TCP or UDP, at either end"},
    {.name = "--all", .help = "all packets"},
    {.name = "--out",
     .value = "FILE",
     .help = "a new file for them; without, they go to standard output",
     .kind = COMMAND_FILE},
    {.name = "--for",
     .value = "TIME",
     .help = "ends by itself after 30s, 5m; 1h at most; 60s without"},
    {.name = "--bytes", .value = "N", .help = "ends when the file has 20K, 5M, 1G; 100M without"},
    {.name = "--snap", .value = "N", .help = "keeps the first bytes of each packet; all without"},
    {0},
};

static const struct command_option top_options[] = {
    {.name = "--once", .help = "prints what it shows once, after a second, and ends"},
    {0},
};

static const struct command_option suspend_options[] = {
    {.name = "--for",
     .value = "TIME",
     .help = "ends by itself after 30s, 5m, 2h, 1d; without, it lasts until resumed"},
    {.name = "--reason", .value = "TEXT", .help = "told where the suspension is"},
    {0},
};

static const struct command_option config_options[] = {
    {.name = "--changed", .help = "without what is by default"},
    {0},
};

static const struct command_option import_options[] = {
    {.name = "--output",
     .value = "FILE",
     .help = "writes it there, and what it names beside it; else it is printed",
     .kind = COMMAND_FILE},
    {.name = "--replace", .help = "files that are there already are replaced"},
    {0},
};

static const struct command_option drain_options[] = {
    {.name = "--no-wait", .help = "tells what is under way and does not wait for its end"},
    {0},
};

static const struct command_option doctor_options[] = {
    {.name = "--offline", .help = "asks nobody, not the DNS either"},
    {.name = "--probe",
     .value = "HOST",
     .help = "connects to port 25 of that mail server, or HOST:PORT, and says QUIT"},
    {.name = "--root",
     .value = "DIR",
     .help = "looks at the /proc and /sys below DIR, those of another machine, and at nothing else",
     .kind = COMMAND_DIRECTORY},
    {0},
};

static const struct command_option metrics_options[] = {
    {.name = "--openmetrics", .help = "as OpenMetrics, not as Prometheus' own text"},
    {.name = "--listen",
     .value = "ADDRESS:PORT",
     .help = "serves them at /metrics until stopped: 127.0.0.1:9464, [::1]:9464"},
    {.name = "--allow-remote",
     .help = "lets --listen take an address that other machines can reach"},
    {0},
};

static const struct command_option web_options[] = {
    {.name = "--listen",
     .value = "ADDRESS:PORT",
     .help = "where: 127.0.0.1:8025 without; [::1]:8025, or another address with what is below"},
    {.name = "--certificate",
     .value = "FILE",
     .help = "HTTPS: the certificate and those between, PEM",
     .kind = COMMAND_FILE},
    {.name = "--key",
     .value = "FILE",
     .help = "its private key, PEM, of mode 640 at most",
     .kind = COMMAND_FILE},
    {.name = "--password-file",
     .value = "FILE",
     .help = "who asks needs the password in its first line; mode 600",
     .kind = COMMAND_FILE},
    {.name = "--host",
     .value = "NAME",
     .help = "a name that it is asked under, beside addresses, localhost and the certificate's"},
    {.name = "--read-only", .help = "nothing can be changed by the page"},
    {0},
};

#endif
