/* The commands, a row each (command.h), in the order in which the help tells them. */
#include "command.h"
#include "adopt_command.h"
#include "command_options.h"
#include "doctor_command.h"
#include "drain_command.h"
#include "import_command.h"
#include "metrics_command.h"
#include "spool_command.h"
#include "watch_command.h"
#include "web_command.h"

#define WHICH                                                                                      \
    "Which messages: one by its ID, or those that meet all conditions given. A recipient that "    \
    "is delivered meets none."

#define NARROW                                                                                     \
    WHICH " An ID, a condition or --all has to be there: a slip of the pen is not to hit the "     \
          "whole queue."

const struct command command_table[] = {
    /* ---- the gateway ---- */
    {
        .section = "The gateway",
        .name = "status",
        .arguments = "",
        .json = true,
        .right = COMMAND_GROUP,
        .help = "is it well: connections, spools, certificates, maps, counters",
        .run = command_send,
    },
    {
        .section = "The gateway",
        .name = "top",
        .arguments = "",
        .options = top_options,
        .json = true,
        .right = COMMAND_GROUP,
        .help = "live: lanes, rates, queue, top clients and destinations",
        .text = "Looks once a second; q ends it. It outlives a restart of the gateway. --json "
                "prints once, as --once does.",
        .run = top_command_run,
    },
    {
        .section = "The gateway",
        .name = "connections",
        .arguments = "[ID]",
        .max = 1,
        .options = connection_options,
        .json = true,
        .right = COMMAND_GROUP,
        .help = "who is connected, in and out: state, TLS, user, age, bytes",
        .text = "Which connections: one by its ID (17.4), or those that meet all conditions given. "
                "Each lane tells its own in pieces, and goes on working meanwhile: who comes or "
                "goes in between may be missing.",
        .run = command_send,
    },
    {
        .section = "The gateway",
        .name = "connections kick",
        .arguments = "[ID]",
        .max = 1,
        .narrows = true,
        .options = kick_options,
        .json = true,
        .changes = true,
        .right = COMMAND_ROOT,
        .help = "close connections, and tell how many",
        .text =
            "An ID, a condition or --all has to be there. Clients hear 421 4.3.2, after the "
            "answer to a message that is whole; deliveries are tried again. A next hop that has "
            "a whole message and has not answered is left alone: it would get it twice.",
        .run = command_send,
    },
    {
        .section = "The gateway",
        .name = "trace",
        .arguments = "WHO",
        .min = 1,
        .max = 1,
        .options = trace_options,
        .json = true,
        .right = COMMAND_ROOT,
        .help = "follow a client or a domain through every layer",
        .text =
            "WHO is an address or a network, of clients or of next hops, or a domain of senders "
            "or recipients. TCP, the PROXY header, TLS, each command and reply, the message, "
            "the spool, the courier's choice and the dialog with the next hop, as they come. "
            "What is said to log in and content are left out. Lines of several threads may come "
            "out of order: their times tell. ^C ends it.",
        .run = trace_command_run,
    },
    {
        .section = "The gateway",
        .name = "capture",
        .arguments = "",
        .options = capture_options,
        .right = COMMAND_ROOT,
        .help = "packets of all lanes in both directions, as pcapng",
        .text =
            "A condition or --all has to be there. Packets hold all that is said in clear. What "
            "finds no room on the way is dropped; how much is told at the end and in the file. "
            "^C ends it. Large segments are as the port takes and gives them: before they are "
            "cut, or after they were joined.",
        .run = capture_command_run,
    },
    {
        .section = "The gateway",
        .name = "refusals",
        .arguments = "",
        .json = true,
        .right = COMMAND_GROUP,
        .help = "the last 100 refusals: who was refused what, and why",
        .text = "Commands and messages of clients, logins, handshakes and PROXY headers, as the "
                "log tells them, the oldest first; whatever log: level is, and wherever the log "
                "goes. They are kept in memory until a restart.",
        .empty = "nothing was refused since the start\n",
        .run = command_send,
    },
    {
        .section = "The gateway",
        .name = "metrics",
        .arguments = "",
        .options = metrics_options,
        .json = true,
        .right = COMMAND_GROUP,
        .help = "all counters and histograms, for Prometheus",
        .text = "Prints them once, or serves them over HTTP to Prometheus, in the form that it "
                "asks for. A gateway that does not answer is status 503 with the reason; it may "
                "come and go. Nobody is asked for a password, so it listens at addresses of this "
                "machine alone unless told otherwise.\n"
                "\n"
                "conf/grafana-dashboard.json and conf/alerts.rules.yml are for what it serves.",
        .run = metrics_command_run,
    },
    {
        .section = "The gateway",
        .name = "web",
        .arguments = "",
        .options = web_options,
        .changes = true,
        .right = COMMAND_GROUP,
        .help = "a page for a browser: rates, queue, TLS, refusals, certificates",
        .text =
            "Serves one page until stopped. Messages can be held, released, tried and deleted by "
            "it, with the rights of whoever runs this; --read-only leaves that out. It outlives a "
            "restart of the gateway, and reads certificate, key and password again when they "
            "change.\n"
            "\n"
            "At an address of this machine alone it needs no password: then it is for root, for "
            "the user who started it, and for whom sudo made root to do so. Reach it from "
            "elsewhere by\n"
            "\n"
            "    ssh -t -L 8025:127.0.0.1:8025 MACHINE sluicectl web\n"
            "\n"
            "and open http://localhost:8025/. Other addresses are taken with --certificate, --key "
            "and --password-file alone; the browser then asks for a user, which may be any, and "
            "the password. Five wrong ones in a row, and a client has to wait.",
        .run = web_command_run,
    },
    {
        .section = "The gateway",
        .name = "reload",
        .arguments = "",
        .changes = true,
        .right = COMMAND_ROOT,
        .help = "read the configuration again",
        .text = "Settings, maps, certificates and routes are swapped without losing a connection. "
                "Tells which changed settings need a restart. A configuration with errors is "
                "refused, with all of them, and the old one stays.",
        .run = command_send,
    },
    {
        .section = "The gateway",
        .name = "drain",
        .arguments = "",
        .options = drain_options,
        .changes = true,
        .right = COMMAND_ROOT,
        .help = "take no new mail (421), deliver what is there",
        .text = "Waits until clients and deliveries under way have ended, then tells what stays in "
                "the queue. It holds until undrain, or a restart.",
        .run = drain_command_run,
    },
    {
        .section = "The gateway",
        .name = "undrain",
        .arguments = "",
        .changes = true,
        .right = COMMAND_ROOT,
        .help = "take mail again",
        .run = command_send,
    },
    {
        .section = "The gateway",
        .name = "stop",
        .arguments = "",
        .changes = true,
        .right = COMMAND_ROOT,
        .help = "drain, and stop",
        .text = "What is under way has gateway: stop_timeout to end.",
        .run = command_send,
    },
    {
        .section = "The gateway",
        .name = "config show",
        .arguments = "",
        .options = config_options,
        .json = true,
        .right = COMMAND_GROUP,
        .help = "the configuration in use, and what waits for a restart",
        .run = command_send,
    },
    {
        .section = "The gateway",
        .name = "log level",
        .arguments = "[LEVEL]",
        .max = 1,
        .kind = COMMAND_WORD,
        .words = "error warn info debug",
        .json = true,
        .right = COMMAND_GROUP,
        .help = "the least important lines that are written",
        .text = "With LEVEL, one of error, warn, info and debug, it is changed, until the next "
                "reload; that needs the right to make changes.",
        .run = command_send,
    },
    {
        .section = "The gateway",
        .name = "log tail",
        .arguments = "",
        .json = true,
        .right = COMMAND_ROOT,
        .help = "the log's last lines, wherever it is written to",
        .run = command_send,
    },
    {
        .section = "The gateway",
        .name = "log reopen",
        .arguments = "",
        .changes = true,
        .right = COMMAND_ROOT,
        .help = "let go of a log file that was renamed",
        .run = command_send,
    },

    {
        .section = "The gateway",
        .name = "doctor",
        .arguments = "[FILE]",
        .max = 1,
        .kind = COMMAND_FILE,
        .options = doctor_options,
        .json = true,
        .right = COMMAND_HERE,
        .help = "what this machine lacks for a gateway with that configuration",
        .text =
            "FILE is /etc/sluice/sluice.conf unless named. Processor, memory, kernel, NIC and "
            "IOMMU, limits, the spool's disk (32 small writes into a file that is removed at "
            "once), clock, user, keys and certificates, what the DNS says of its own names: each "
            "is ok, warn or fail, with what to do. Needs no gateway, and changes nothing; as root "
            "it sees all.\n"
            "\n"
            "The DNS is asked for the root's SOA record (or that of dns: trust_anchor's zone), "
            "gateway: hostname, the addresses of "
            "ports (PTR) and the TLSA record of port 25, for 10 s at most. Nothing else is sent "
            "but by --probe.\n"
            "\n"
            "Status 1: something has to be mended; 3: FILE cannot be read; 0 else, whatever it "
            "warns of.",
        .run = doctor_command_run,
    },

    /* ---- the queue ---- */
    {
        .section = "The queue",
        .name = "queue list",
        .arguments = "[ID]",
        .max = 1,
        .options = list_options,
        .json = true,
        .right = COMMAND_GROUP,
        .help = "messages, their recipients, states and last words",
        .text = WHICH,
        .empty = "no such message in the queue\n",
        .empty_all = "the queue is empty\n",
        .run = command_send,
    },
    {
        .section = "The queue",
        .name = "queue show",
        .arguments = "ID",
        .min = 1,
        .max = 1,
        .json = true,
        .right = COMMAND_GROUP,
        .help = "one message, with all its recipients",
        .run = command_send,
    },
    {
        .section = "The queue",
        .name = "queue cat",
        .arguments = "ID",
        .min = 1,
        .max = 1,
        .right = COMMAND_ROOT,
        .help = "its header section and body, byte for byte as they are stored",
        .run = command_send,
    },
    {
        .section = "The queue",
        .name = "queue stat",
        .arguments = "[ID]",
        .max = 1,
        .options = conditions,
        .json = true,
        .right = COMMAND_GROUP,
        .help = "how many there are, by destination and state",
        .text = WHICH,
        .run = command_send,
    },
    {
        .section = "The queue",
        .name = "queue destinations",
        .arguments = "",
        .json = true,
        .right = COMMAND_GROUP,
        .help = "where mail goes: what waits, deliveries, limits, suspensions",
        .run = command_send,
    },
    {
        .section = "The queue",
        .name = "queue flush",
        .arguments = "[ID]",
        .max = 1,
        .options = conditions,
        .changes = true,
        .right = COMMAND_ROOT,
        .help = "try deferred recipients now",
        .text = WHICH,
        .run = command_send,
    },
    {
        .section = "The queue",
        .name = "queue hold",
        .arguments = "[ID]",
        .max = 1,
        .narrows = true,
        .options = conditions,
        .changes = true,
        .right = COMMAND_ROOT,
        .help = "do not try until released, also after a restart",
        .text = NARROW,
        .run = command_send,
    },
    {
        .section = "The queue",
        .name = "queue release",
        .arguments = "[ID]",
        .max = 1,
        .narrows = true,
        .options = conditions,
        .changes = true,
        .right = COMMAND_ROOT,
        .help = "held messages are tried at their times again",
        .text = NARROW,
        .run = command_send,
    },
    {
        .section = "The queue",
        .name = "queue requeue",
        .arguments = "[ID]",
        .max = 1,
        .narrows = true,
        .options = conditions,
        .changes = true,
        .right = COMMAND_ROOT,
        .help = "as if never tried: no hold, tried now, its route chosen anew",
        .text = "The lifetime still counts from the arrival.\n\n" NARROW,
        .run = command_send,
    },
    {
        .section = "The queue",
        .name = "queue delete",
        .arguments = "[ID]",
        .max = 1,
        .narrows = true,
        .options = conditions,
        .changes = true,
        .right = COMMAND_ROOT,
        .help = "take messages out of the queue; nobody is told, but the log",
        .text = NARROW,
        .run = command_send,
    },

    /* ---- delivery ---- */
    {
        .section = "Delivery",
        .name = "explain",
        .arguments = "ADDRESS",
        .min = 1,
        .max = 1,
        .json = true,
        .right = COMMAND_GROUP,
        .help = "where its mail goes and why, without sending",
        .text =
            "Route, MX, addresses, TLSA records, the state of DNSSEC of each, and what the next "
            "hop must prove.",
        .run = command_send,
    },
    {
        .section = "Delivery",
        .name = "probe",
        .arguments = "DOMAIN",
        .min = 1,
        .max = 1,
        .json = true,
        .changes = true,
        .right = COMMAND_ROOT,
        .help = "explain, then connects as for a delivery: would each be accepted?",
        .text = "DOMAIN may also be an address, or one next hop as routes name them: [HOST], "
                "[HOST]:PORT, HOST:PORT (by its MX), or an IP address; then without a login.",
        .run = command_send,
    },
    {
        .section = "Delivery",
        .name = "providers",
        .arguments = "",
        .json = true,
        .right = COMMAND_GROUP,
        .help = "limits of groups of destinations, and what replies have made of them",
        .run = command_send,
    },
    {
        .section = "Delivery",
        .name = "suspend",
        .arguments = "NAME",
        .min = 1,
        .max = 1,
        .options = suspend_options,
        .changes = true,
        .right = COMMAND_ROOT,
        .help = "nothing goes to a destination or a provider, also after a restart",
        .text = "NAME is as queue destinations and providers tell it. Mail for it grows older; it "
                "does not expire meanwhile.",
        .run = command_send,
    },
    {
        .section = "Delivery",
        .name = "resume",
        .arguments = "NAME",
        .min = 1,
        .max = 1,
        .changes = true,
        .right = COMMAND_ROOT,
        .help = "ends that, and what replies have made of its limits",
        .run = command_send,
    },
    {
        .section = "Delivery",
        .name = "sources",
        .arguments = "",
        .json = true,
        .right = COMMAND_GROUP,
        .help = "addresses that mail leaves from: what each has had today",
        .run = command_send,
    },
    {
        .section = "Delivery",
        .name = "sources release",
        .arguments = "WHICH",
        .min = 1,
        .max = 1,
        .changes = true,
        .right = COMMAND_ROOT,
        .help = "a source that is set aside is used again at once",
        .text = "WHICH is a source, SOURCE@DESTINATION as sources tells it, or all.",
        .run = command_send,
    },
    {
        .section = "Delivery",
        .name = "tlsrpt",
        .arguments = "",
        .json = true,
        .right = COMMAND_GROUP,
        .help = "sessions of TLS by domain and day, counted for reports",
        .run = command_send,
    },
    {
        .section = "Delivery",
        .name = "tlsrpt show",
        .arguments = "DOMAIN",
        .min = 1,
        .max = 1,
        .json = true,
        .right = COMMAND_GROUP,
        .help = "the report of the domain's day as it would be now",
        .text = "It is JSON with and without --json (RFC 8460).",
        .run = command_send,
    },
    {
        .section = "Delivery",
        .name = "tlsrpt sent",
        .arguments = "",
        .json = true,
        .right = COMMAND_GROUP,
        .help = "what has become of the reports of the last 30 days",
        .run = command_send,
    },
    {
        .section = "Delivery",
        .name = "sts show",
        .arguments = "[DOMAIN]",
        .max = 1,
        .json = true,
        .right = COMMAND_GROUP,
        .help = "policies of MTA-STS that are kept",
        .text = "Mode, id, age, until when it holds, hosts, and what failed when it was to be "
                "fetched last; of a domain, or of all.",
        .run = command_send,
    },
    {
        .section = "Delivery",
        .name = "sts refresh",
        .arguments = "[DOMAIN]",
        .max = 1,
        .json = true,
        .changes = true,
        .right = COMMAND_ROOT,
        .help = "asks for policies of MTA-STS again, at once",
        .text = "With DOMAIN its record and its host are asked, however lately that has failed, "
                "and the answer tells what came of it; mail goes by it from then on. Without, all "
                "that are kept are asked again, beside everything, eight at a time.",
        .run = command_send,
    },

    /* ---- addresses ---- */
    {
        .section = "Addresses",
        .name = "sender check",
        .arguments = "LOGIN ADDRESS",
        .min = 2,
        .max = 2,
        .json = true,
        .right = COMMAND_GROUP,
        .help = "may the login send as the address, and why",
        .run = command_send,
    },
    {
        .section = "Addresses",
        .name = "recipient check",
        .arguments = "ADDRESS",
        .min = 1,
        .max = 1,
        .json = true,
        .right = COMMAND_GROUP,
        .help = "is it known, and where does its mail go",
        .run = command_send,
    },

    /* ---- spools ---- */
    {
        .section = "The spool of a gateway that is stopped",
        .name = "spool check",
        .arguments = "DIR",
        .min = 1,
        .max = 1,
        .kind = COMMAND_DIRECTORY,
        .json = true,
        .right = COMMAND_HERE,
        .help = "read all of it: what is damaged, and whose mail it is",
        .text = "DIR is what its configuration says as spool: path. Nothing in it is ever written.",
        .run = spool_command_check,
    },
    {
        .section = "The spool of a gateway that is stopped",
        .name = "spool dump",
        .arguments = "DIR",
        .min = 1,
        .max = 1,
        .kind = COMMAND_DIRECTORY,
        .json = true,
        .right = COMMAND_HERE,
        .help = "one line a message: state, sender, recipients, places",
        .text = "Nothing in DIR is ever written.",
        .run = spool_command_dump,
    },
    {
        .section = "The spool of a gateway that is stopped",
        .name = "spool export",
        .arguments = "DIR OUT",
        .min = 2,
        .max = 2,
        .kind = COMMAND_DIRECTORY,
        .changes = true,
        .right = COMMAND_HERE,
        .help = "every queued message as OUT/ID.eml and OUT/ID.envelope",
        .text = "Files that are there already stay as they are. Nothing in DIR is ever written.",
        .run = spool_command_export,
    },
    {
        .section = "The spool of a gateway that is stopped",
        .name = "spool adopt",
        .arguments = "DIR",
        .min = 1,
        .max = 1,
        .kind = COMMAND_DIRECTORY,
        .changes = true,
        .right = COMMAND_HERE,
        .help = "the running gateway takes it over at its next start",
        .text = "The directory stays where it is and becomes one more spool, which takes no new "
                "mail: what is queued there is delivered from there, with its ids, attempts and "
                "holds. Nothing is copied, so that a crash loses and doubles nothing. It needs a "
                "running gateway, and the right to write into its state directory, where "
                "adopted.conf tells what was adopted.",
        .run = adopt_command_run,
    },

    /* ---- coming from elsewhere ---- */
    {
        .section = "Coming from another mail server",
        .name = "import postfix",
        .arguments = "DIR",
        .min = 1,
        .max = 1,
        .kind = COMMAND_DIRECTORY,
        .options = import_options,
        .changes = true,
        .right = COMMAND_HERE,
        .help = "main.cf, master.cf and their maps as a configuration",
        .text =
            "DIR is /etc/postfix or a copy of it; a file with what 'postconf -n' printed, or - for "
            "standard input, is taken, too, without services then. Above each setting stands the "
            "parameter that it was made of; what has no counterpart is at the end, with what to "
            "do. Lines '# TO"
            "DO:' are what only you know; the settings below them are "
            "placeholders.\n\n"
            "Maps in Postfix's texthash, hash, lmdb and pcre form are read in place, from the "
            "texts that databases are made of. Passwords of smarthosts, and lists that have to be "
            "written anew, go into FILE.password1, FILE.aliases and so on. Nothing of Postfix is "
            "changed. For example: sluicectl import postfix /etc/postfix --output "
            "/etc/sluice/sluice.conf",
        .run = import_command_postfix,
    },
    {
        .section = "Coming from another mail server",
        .name = "import docker-mailserver",
        .arguments = "DIR",
        .min = 1,
        .max = 1,
        .kind = COMMAND_DIRECTORY,
        .options = import_options,
        .changes = true,
        .right = COMMAND_HERE,
        .help = "the container's environment and configuration files likewise",
        .text =
            "DIR is the directory that the container has as /tmp/docker-mailserver, or the one "
            "with compose.yaml above it. Read are mailserver.env, the environment of compose.yaml, "
            "postfix-accounts.cf (which is used in place), postfix-virtual.cf, postfix-regexp.cf, "
            "postfix-aliases.cf, postfix-relaymap.cf, postfix-sasl-password.cf, postfix-main.cf "
            "and "
            "postfix-master.cf; of the others is told what to do. Mailboxes stay with Dovecot: "
            "the routes lead to its LMTP.",
        .run = import_command_dms,
    },

    {0},
};
