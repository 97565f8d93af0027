/*
 * sluicectl: the operator's tool. Sends one command to the control socket of a running gateway and
 * prints the answer; spool commands read a stopped gateway's spool themselves (spool_command.h).
 * Exit status: 0 done, 1 the gateway refused, 2 wrong use or no gateway.
 */
#include "answer.h"
#include "drain_command.h"
#include "spool_command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/sluice/control.sock"

static void usage(FILE *out)
{
    fprintf(
        out,
        "usage: sluicectl [-s SOCKET] COMMAND\n"
        "  status             is it well: rates, connections, counters\n"
        "  queue list WHICH   messages in the queue, their recipients, states and last words\n"
        "  queue show ID      one of them, with all its recipients\n"
        "  queue cat ID       its header section and body, byte for byte as they are stored\n"
        "  queue stat WHICH   how many there are, by destination and state\n"
        "  queue destinations where mail goes: how much waits, deliveries, limits, suspensions\n"
        "  queue flush WHICH  try deferred recipients now\n"
        "  queue hold WHICH   do not try until released, also after a restart\n"
        "  queue release WHICH  held messages are tried at their times again\n"
        "  queue requeue WHICH  as if never tried: no attempts, no hold, tried now, their route\n"
        "                     chosen anew; the lifetime still counts from the arrival\n"
        "  queue delete WHICH take messages out of the queue; nobody is told, but the log\n"
        "WHICH is an ID, or conditions, all of which must hold:\n"
        "    --sender ADDR      --sender '<>' is the null sender\n"
        "    --domain DOMAIN    of a recipient\n"
        "    --older SECONDS    since arrival\n"
        "    --state STATE      deferred, failed or held\n"
        "    --code CODE        of the last attempt: 451, 45x, 4xx, or enhanced: 4.7.1, 4.7.x\n"
        "    --reason TEXT      part of the last words or codes, in any case of letters\n"
        "  hold, release, requeue and delete need one of them, or --all. A recipient that is\n"
        "  delivered meets no condition. --json: list, show and stat as one JSON object a line.\n"
        "  explain ADDRESS    where its mail goes and why, without sending: route, MX, addresses,\n"
        "                     TLSA records, the state of DNSSEC of each, what the next hop must\n"
        "                     prove. Also with --json\n"
        "  probe DOMAIN       likewise, of a domain or an address; then connects as for a\n"
        "                     delivery: would each be accepted? Of one next hop by [HOST],\n"
        "                     [HOST]:PORT, HOST:PORT (by its MX) or an IP address, as routes\n"
        "                     name them, without a login. Also with --json\n"
        "  sources            the addresses that mail leaves from: what each has had today and "
        "may\n"
        "                     have, where it is set aside and why. Also with --json\n"
        "  sources release WHICH  is used again at once: a source, SOURCE@DESTINATION as sources\n"
        "                     tells it, or all\n"
        "  tlsrpt             sessions of TLS by domain and day, counted for reports; with --json\n"
        "  tlsrpt show DOMAIN the report of the domain's day as it would be now\n"
        "  tlsrpt sent        what has become of the reports of the last 30 days; with --json\n"
        "  providers          limits of each group of destinations, what its replies have made of\n"
        "                     them, and why. These two also with --json\n"
        "  suspend NAME [--for TIME] [--reason TEXT]  nothing goes to a destination, or to a\n"
        "                     provider, for TIME (30s, 5m, 2h, 1d) or until resumed, also after a\n"
        "                     restart. Mail for it grows older; it does not expire meanwhile\n"
        "  resume NAME        ends that, and what replies have made of its limits\n"
        "  sender check LOGIN ADDRESS  may the login send as the address, and why\n"
        "  recipient check ADDRESS     is it known, and where does its mail go\n"
        "  config show        the configuration that is in use, and what waits for a restart; "
        "with\n"
        "                     --changed without what is by default. Also with --json\n"
        "  drain              take no new mail (421), deliver what is there; waits until clients "
        "and\n"
        "                     deliveries under way have ended, then tells what stays in the "
        "queue;\n"
        "                     --no-wait does not. Until undrain, or a restart\n"
        "  undrain            take mail again\n"
        "  log reopen         let go of a log file that was renamed\n"
        "  log level [LEVEL]  the least important lines that are written: error, warn, info or\n"
        "                     debug; until a reload\n"
        "  log tail           its last lines, wherever it is written to\n"
        "  reload             read the configuration again; tells which changes need a restart\n"
        "  stop               drain and stop\n"
        "The socket is %s unless -s says otherwise. Its group may use status,\n"
        "queue list, show, stat and destinations, providers, explain, sources, tlsrpt, check,\n"
        "config show and log level; root and the gateway's user all.\n",
        DEFAULT_SOCKET);
    spool_command_usage(out);
}

static int connect_to(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof(a.sun_path)) {
        fprintf(stderr, "sluicectl: %s: the path is too long\n", path);
        return -1;
    }
    memcpy(a.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
        return fd;
    fprintf(
        stderr, "sluicectl: %s: %s: %s\n", path, strerror(errno),
        errno == EACCES
            ? "you need to be root, or in the group of control: group"
            : "is the gateway running? -s takes what its configuration says as control: socket");
    close(fd);
    return -1;
}

/* A word of the command: as it is, or in quotes (queue_filter.h). Returns 0, or -1 after telling
 * why not. */
static int word_append(char *line, size_t cap, const char *word)
{
    size_t len = strlen(line);
    const char *quote = "";

    for (const char *p = word; *p != 0; p++)
        if ((unsigned char)*p < 32 || *p == 127) {
            fprintf(stderr, "sluicectl: a word has a control character\n");
            return -1;
        }
    if (word[0] == 0 || strpbrk(word, " \"'") != NULL)
        quote = strchr(word, '"') == NULL ? "\"" : "'";
    if (quote[0] != 0 && strchr(word, quote[0]) != NULL) {
        fprintf(stderr, "sluicectl: a word cannot have both kinds of quotes: %s\n", word);
        return -1;
    }
    int n = snprintf(line + len, cap - len, "%s%s%s%s", len > 0 ? " " : "", quote, word, quote);
    if (n >= 0 && (size_t)n < cap - len)
        return 0;
    fprintf(stderr, "sluicectl: the command is too long\n");
    return -1;
}

/* Sends a line, which has room for its end, and prints the answer. Returns an exit status. */
static int ask(const char *path, char *line, size_t len, FILE *out, const char *empty)
{
    int fd = connect_to(path);
    if (fd < 0)
        return 2;
    line[len++] = '\n';
    FILE *in = send(fd, line, len, MSG_NOSIGNAL) == (ssize_t)len ? fdopen(fd, "r") : NULL;
    if (in == NULL) {
        fprintf(stderr, "sluicectl: %s\n", strerror(errno));
        close(fd);
        return 2;
    }
    int status = answer_print(in, out, stderr, empty);
    fclose(in);
    return status;
}

static int run(const char *path, char *line, size_t len)
{
    return ask(path, line, len, stdout,
               strncmp(line, "queue list", 10) == 0 ? "no such message in the queue\n" : "");
}

static int ask_drain(void *path, FILE *out)
{
    char line[16] = "drain";

    return ask(path, line, strlen(line), out, "");
}

int main(int argc, char **argv)
{
    const char *path = DEFAULT_SOCKET;
    char line[1024] = "";
    int first = 1;

    if (argc > 2 && strcmp(argv[1], "-s") == 0) {
        path = argv[2];
        first = 3;
    }
    if (argc > first && (strcmp(argv[first], "--help") == 0 || strcmp(argv[first], "-h") == 0)) {
        usage(stdout);
        return 0;
    }
    if (argc <= first || argv[first][0] == '-') {
        usage(stderr);
        return 2;
    }
    if (strcmp(argv[first], "spool") == 0)
        return spool_command_run(argc - first - 1, argv + first + 1);
    if (strcmp(argv[first], "drain") == 0)
        return drain_command_run(argc - first - 1, argv + first + 1, ask_drain,
                                 (void *)(uintptr_t)path);
    for (int i = first; i < argc; i++)
        if (word_append(line, sizeof(line) - 1, argv[i]) != 0)
            return 2;
    return run(path, line, strlen(line));
}
