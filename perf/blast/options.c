#include "options.h"

#include "arguments.h"
#include "base_time.h"
#include "mode.h"
#include "smtp_client.h"
#include "tls.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX   64   /* of a load */
#define LOADS_CONN 4096 /* connections of loads at most, when not given */
#define RATE_MAX   100000000
#define COUNT_MAX  UINT64_C(1000000000000)
#define CONN_MAX   1048576
#define SIZE_MIN_  400 /* the header section, and a line */
#define SIZE_MAX_  (UINT64_C(1) << 30)
#define FROM_MAX   65536

enum key {
    KEY_PORT = 256, /* about the port, and the process as a whole */
    KEY_KERNEL,
    KEY_TO,
    KEY_FROM,
    KEY_GATEWAY,
    KEY_LANES,
    KEY_CPUS,
    KEY_POLL,
    KEY_LOADS,
    KEY_JSON,
    KEY_HELP,
    KEY_CONNECTIONS, /* about a load */
    KEY_PER_CONNECTION,
    KEY_RATE,
    KEY_MESSAGES,
    KEY_SIZE,
    KEY_FLOOD_RATE,
    KEY_FRAMES,
    KEY_TIME,
    KEY_TIMEOUT,
    KEY_SENDER,
    KEY_RECIPIENT,
    KEY_SEED,
    KEY_CASE,
    KEY_WHO,
    KEY_MESSAGE_RATE,
    KEY_TLS,
    KEY_TLS_VERSION,
    KEY_TLS_RESUME,
    KEY_PROXY,
    KEY_CLIENTS,
    KEY_AUTH,
    KEY_RECIPIENTS,
    KEY_BDAT,
    KEY_NO_PIPELINING,
    KEY_EHLO,
    KEY_RUN,
    KEY_LEDGER,
    KEY_HISTOGRAM,
};

/* In the order of enum key. */
static const struct option long_options[] = {
    {"port", required_argument, NULL, KEY_PORT},
    {"kernel", no_argument, NULL, KEY_KERNEL},
    {"to", required_argument, NULL, KEY_TO},
    {"from", required_argument, NULL, KEY_FROM},
    {"gateway", required_argument, NULL, KEY_GATEWAY},
    {"lanes", required_argument, NULL, KEY_LANES},
    {"cpus", required_argument, NULL, KEY_CPUS},
    {"poll", no_argument, NULL, KEY_POLL},
    {"loads", no_argument, NULL, KEY_LOADS},
    {"json", no_argument, NULL, KEY_JSON},
    {"help", no_argument, NULL, KEY_HELP},
    {"connections", required_argument, NULL, KEY_CONNECTIONS},
    {"per-connection", required_argument, NULL, KEY_PER_CONNECTION},
    {"rate", required_argument, NULL, KEY_RATE},
    {"messages", required_argument, NULL, KEY_MESSAGES},
    {"size", required_argument, NULL, KEY_SIZE},
    {"flood-rate", required_argument, NULL, KEY_FLOOD_RATE},
    {"frames", required_argument, NULL, KEY_FRAMES},
    {"time", required_argument, NULL, KEY_TIME},
    {"timeout", required_argument, NULL, KEY_TIMEOUT},
    {"sender", required_argument, NULL, KEY_SENDER},
    {"recipient", required_argument, NULL, KEY_RECIPIENT},
    {"seed", required_argument, NULL, KEY_SEED},
    {"case", required_argument, NULL, KEY_CASE},
    {"who", required_argument, NULL, KEY_WHO},
    {"message-rate", required_argument, NULL, KEY_MESSAGE_RATE},
    {"tls", required_argument, NULL, KEY_TLS},
    {"tls-version", required_argument, NULL, KEY_TLS_VERSION},
    {"tls-resume", no_argument, NULL, KEY_TLS_RESUME},
    {"proxy", required_argument, NULL, KEY_PROXY},
    {"clients", required_argument, NULL, KEY_CLIENTS},
    {"auth", required_argument, NULL, KEY_AUTH},
    {"recipients", required_argument, NULL, KEY_RECIPIENTS},
    {"bdat", no_argument, NULL, KEY_BDAT},
    {"no-pipelining", no_argument, NULL, KEY_NO_PIPELINING},
    {"ehlo", no_argument, NULL, KEY_EHLO},
    {"run", required_argument, NULL, KEY_RUN},
    {"ledger", required_argument, NULL, KEY_LEDGER},
    {"histogram", required_argument, NULL, KEY_HISTOGRAM},
    {NULL, 0, NULL, 0},
};

static const char *const flood_names[FLOOD_KIND_CNT] = {
    [FLOOD_SYN] = "synflood", [FLOOD_ACK] = "ackflood",   [FLOOD_RST] = "rstflood",
    [FLOOD_UDP] = "udpflood", [FLOOD_FRAG] = "fragflood",
};

/* "10.0.0.2-10.0.0.17", or one address, up to end: of either family, alike but for the last 32
 * bits. */
static int range(const char *text, const char *end, uint32_t max, struct net_addr *first,
                 uint32_t *cnt)
{
    const char *dash = memchr(text, '-', (size_t)(end - text));
    const char *first_end = dash != NULL ? dash : end;
    struct net_addr last;

    if (net_addr_parse(first, base_span_of(text, (size_t)(first_end - text))) != 0)
        return -EINVAL;
    last = *first;
    if (dash != NULL &&
        net_addr_parse(&last, base_span_of(dash + 1, (size_t)(end - dash - 1))) != 0)
        return -EINVAL;
    uint32_t from = base_be32(first->b + 12), to = base_be32(last.b + 12);
    if (memcmp(first->b, last.b, 12) != 0 || to < from || to - from >= max)
        return -EINVAL;
    *cnt = to - from + 1;
    return 0;
}

static int source_range(struct options *o, const char *text)
{
    const char *slash = strchr(text, '/');
    uint64_t len;

    if (slash == NULL || range(text, slash, FROM_MAX, &o->from, &o->from_cnt) != 0)
        return -EINVAL;
    bool v4 = net_addr_is_v4(&o->from);
    if (arguments_number(slash + 1, 1, v4 ? 32 : 128, &len) != 0)
        return -EINVAL;
    o->from_prefix_len = (uint8_t)(len + (v4 ? 96 : 0));
    return 0;
}

static struct net_addr behind(struct net_addr a, uint32_t i)
{
    base_put_be32(a.b + 12, base_be32(a.b + 12) + i);
    return a;
}

struct net_addr options_from(const struct options *o, uint32_t i)
{
    base_assert(i < o->from_cnt);
    return behind(o->from, i);
}

struct net_addr options_client(const struct options *o, uint32_t i)
{
    return behind(o->clients, i % o->client_cnt);
}

static int mailbox(const char *text, const char **out)
{
    size_t len = strlen(text);

    if (len == 0 || len > 250 || strpbrk(text, "<> \r\n") != NULL)
        return -EINVAL;
    *out = text;
    return 0;
}

/* It goes into JSON as it is. */
static int json_name(const char *text, const char **out)
{
    static const char taken[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

    *out = text;
    return *text != 0 && text[strspn(text, taken)] == 0 ? 0 : -EINVAL;
}

/* One of the words: its place in them, the first being 1. */
static int word(const char *arg, const char *const *words, int *out)
{
    for (int i = 0; words[i] != NULL; i++)
        if (strcmp(arg, words[i]) == 0) {
            *out = i + 1;
            return 0;
        }
    return -EINVAL;
}

static int credentials(struct options *o, const char *arg)
{
    static char text[2 * SMTP_SASL_LOGIN_MAX]; /* of the last one that was given */
    char *colon;

    if (strlen(arg) >= sizeof(text))
        return -EINVAL;
    snprintf(text, sizeof(text), "%s", arg);
    if ((colon = strchr(text, ':')) == NULL || colon == text || colon[1] == 0)
        return -EINVAL;
    *colon = 0;
    o->user = text;
    o->password = colon + 1;
    return 0;
}

/* What a connection speaks. */
static int take_protocol(struct options *o, int key, const char *arg)
{
    static const char *const tls[] = {"none", "starttls", "implicit", NULL};
    static const char *const versions[] = {"1.2", "1.3", NULL}, *const proxies[] = {"v1", "v2",
                                                                                    NULL};
    int n = 0;

    switch (key) {
    case KEY_TLS:
        if (word(arg, tls, &n) != 0)
            return -EINVAL;
        o->tls = (enum options_tls)n;
        return 0;
    case KEY_TLS_VERSION:
        if (word(arg, versions, &n) != 0)
            return -EINVAL;
        o->tls_version = n == 1 ? TLS_VERSION_12 : TLS_VERSION_13;
        return 0;
    case KEY_TLS_RESUME:
        o->tls_resume = true;
        return 0;
    case KEY_PROXY:
        if (word(arg, proxies, &n) != 0)
            return -EINVAL;
        o->proxy = (uint8_t)n;
        return 0;
    case KEY_CLIENTS:
        return range(arg, arg + strlen(arg), UINT32_MAX, &o->clients, &o->client_cnt);
    case KEY_AUTH:
        return credentials(o, arg);
    case KEY_RECIPIENTS:
        return arguments_number32(arg, 1, SMTP_CLIENT_RCPT_MAX, &o->recipient_cnt);
    case KEY_BDAT:
        o->bdat = true;
        return 0;
    case KEY_NO_PIPELINING:
        o->no_pipelining = true;
        return 0;
    default: /* KEY_EHLO */
        o->ehlo = true;
        return 0;
    }
}

static int take(struct options *o, int key, const char *arg)
{
    if (key >= KEY_TLS && key <= KEY_EHLO)
        return take_protocol(o, key, arg);
    switch (key) {
    case KEY_MESSAGE_RATE:
        return arguments_number(arg, 1, RATE_MAX, &o->message_rate);
    case KEY_RUN:
        return arguments_number(arg, 1, UINT64_MAX, &o->run);
    case KEY_LEDGER:
        o->ledger = arg;
        return *arg != 0 ? 0 : -EINVAL;
    case KEY_HISTOGRAM:
        o->histogram = arg;
        return *arg != 0 ? 0 : -EINVAL;
    case KEY_PORT:
        o->device = arg;
        return *arg != 0 ? 0 : -EINVAL;
    case KEY_KERNEL:
        o->kernel = true;
        return 0;
    case KEY_POLL:
        o->poll = true;
        return 0;
    case KEY_TO:
        return net_endpoint_parse(&o->to, base_span_str(arg));
    case KEY_FROM:
        return source_range(o, arg);
    case KEY_GATEWAY:
        return net_addr_parse(&o->gateway, base_span_str(arg));
    case KEY_CONNECTIONS:
        return arguments_number32(arg, 1, CONN_MAX, &o->connection_cnt);
    case KEY_PER_CONNECTION:
        return arguments_number32(arg, 1, UINT32_MAX, &o->per_connection);
    case KEY_RATE:
        return arguments_number(arg, 1, RATE_MAX, &o->rate);
    case KEY_MESSAGES:
        return arguments_number(arg, 1, COUNT_MAX, &o->unit_max);
    case KEY_SIZE:
        return arguments_number(arg, SIZE_MIN_, SIZE_MAX_, &o->size_bytes);
    case KEY_FLOOD_RATE:
        return arguments_number(arg, 1, RATE_MAX, &o->flood_rate);
    case KEY_FRAMES:
        return arguments_number(arg, 1, COUNT_MAX, &o->frame_max);
    case KEY_TIME:
        return arguments_seconds(arg, &o->duration_ns);
    case KEY_TIMEOUT:
        return arguments_seconds(arg, &o->timeout_ns);
    case KEY_SENDER:
        return mailbox(arg, &o->sender);
    case KEY_RECIPIENT:
        return mailbox(arg, &o->recipient);
    case KEY_LANES:
        return arguments_number32(arg, 1, OPTIONS_LANE_MAX, &o->lane_cnt);
    case KEY_CPUS:
        o->cpus_given = true;
        return arguments_cpus(arg, o->cpu, OPTIONS_LANE_MAX);
    case KEY_SEED:
        return arguments_number(arg, 0, UINT64_MAX, &o->seed);
    case KEY_JSON:
        o->json = true;
        return 0;
    case KEY_LOADS:
        o->loads = true;
        return 0;
    case KEY_CASE:
        return json_name(arg, &o->case_name);
    default: /* KEY_WHO */
        return json_name(arg, &o->who);
    }
}

/* A word that is not an option: a mode or a flood. */
static int take_word(struct options *o, const char *word)
{
    for (const struct mode *const *m = modes; *m != NULL; m++)
        if (strcmp(word, (*m)->name) == 0 && o->mode == NULL) {
            o->mode = *m;
            return 0;
        }
    for (int kind = FLOOD_SYN; kind < FLOOD_KIND_CNT; kind++)
        if (strcmp(word, flood_names[kind]) == 0 && o->flood == FLOOD_NONE) {
            o->flood = (enum flood_kind)kind;
            return 0;
        }
    return -EINVAL;
}

static void fill_defaults(struct options *o)
{
    const struct mode *m = o->mode;

    if (o->recipient_cnt == 0)
        o->recipient_cnt = 1;
    if (m != NULL && o->connection_cnt == 0)
        o->connection_cnt = m->connection_cnt;
    if (m != NULL && o->per_connection == 0)
        o->per_connection = m->per_connection;
    if (m != NULL && o->size_bytes == 0)
        o->size_bytes = m->size_bytes;
    if (m != NULL && o->tls == OPTIONS_TLS_DEFAULT)
        o->tls = m->needs_tls ? OPTIONS_TLS_STARTTLS : OPTIONS_TLS_NONE;
}

static int check(const struct options *o, char *err, size_t cap)
{
    if (o->kernel && o->device != NULL)
        return arguments_fail(err, cap, "--port and --kernel exclude each other");
    if (o->kernel && o->to.port == 0)
        return arguments_fail(err, cap, "--to is needed");
    if (!o->kernel && (o->device == NULL || o->to.port == 0 || o->from_cnt == 0))
        return arguments_fail(err, cap, "--port, --to and --from are needed, or --kernel and --to");
    if (o->kernel && o->flood != FLOOD_NONE)
        return arguments_fail(err, cap, "floods need --port: the kernel forges nothing");
    if (o->loads != (o->mode == NULL && o->flood == FLOOD_NONE))
        return arguments_fail(err, cap,
                              o->loads ? "with --loads the modes come on standard input"
                                       : "a mode or a flood is needed");
    if (o->from_cnt > 0 && net_addr_is_v4(&o->to.addr) != net_addr_is_v4(&o->from))
        return arguments_fail(err, cap, "--to and --from are of two families");
    if (o->flood != FLOOD_NONE && !net_addr_is_v4(&o->to.addr))
        return arguments_fail(err, cap, "floods are IPv4 only");
    if (!o->kernel && o->from_cnt > NET_ADDRESS_MAX * o->lane_cnt)
        return arguments_fail(err, cap, "--from: more than 16 addresses a lane");
    if (!o->kernel && o->from_cnt < o->lane_cnt)
        return arguments_fail(err, cap, "each lane needs an address of its own: --from A-B/LEN");
    if (o->tls == OPTIONS_TLS_NONE &&
        ((o->mode != NULL && o->mode->needs_tls) || o->tls_resume || o->tls_version != 0))
        return arguments_fail(err, cap, "that is without TLS: --tls starttls, or implicit");
    if (o->mode != NULL && !o->mode->sends &&
        (o->ledger != NULL || o->user != NULL || o->bdat || o->recipient_cnt > 1))
        return arguments_fail(err, cap,
                              "%s sends no message: no --ledger, --auth, --bdat, --recipients",
                              o->mode->name);
    if (o->message_rate > 0 && (o->mode == NULL || !o->mode->paced))
        return arguments_fail(err, cap, "--message-rate is for modes with messages or round trips");
    if (o->recipient_cnt > 1 && strchr(o->recipient, '@') == NULL)
        return arguments_fail(err, cap, "--recipients needs a --recipient with a domain");
    if (o->mode != NULL && o->connection_cnt < o->lane_cnt)
        return arguments_fail(err, cap, "each lane needs a connection");
    return 0;
}

/* Takes the words; those before first are not allowed. Returns 0, 1 for help, -EINVAL. */
static int take_words(struct options *o, int argc, char **argv, int first, char *err, size_t cap)
{
    int key;

    opterr = 0;
    optind = 0; /* from anew: glibc */
    while ((key = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (key == '?')
            return arguments_fail(err, cap, "%s: no such option, or its value is missing",
                                  argv[optind - 1]);
        if (key < first)
            return arguments_fail(err, cap, "--%s: not of a load",
                                  long_options[key - KEY_PORT].name);
        if (key == KEY_HELP)
            return 1;
        if (take(o, key, optarg) != 0)
            return arguments_fail(err, cap, "--%s: what is %s?", long_options[key - KEY_PORT].name,
                                  optarg != NULL ? optarg : "");
    }
    for (; optind < argc; optind++)
        if (take_word(o, argv[optind]) != 0)
            return arguments_fail(err, cap, "%s: not a mode nor a flood, or one too many",
                                  argv[optind]);
    return 0;
}

int options_parse(struct options *o, int argc, char **argv, char *err, size_t err_cap)
{
    *o = (struct options){
        .duration_ns = 10 * BASE_NS_S,
        .timeout_ns = 10 * BASE_NS_S,
        .lane_cnt = 1,
        .case_name = "blast",
        .who = "sluice",
        .sender = "blast@client.example",
        .recipient = "sink@example.org",
        .seed = 1,
    };
    device_default_cpus(o->cpu);
    (void)take(o, KEY_CLIENTS, "198.18.0.0-198.19.255.255"); /* RFC 2544: for measurements */
    int result = take_words(o, argc, argv, KEY_PORT, err, err_cap);
    if (result != 0)
        return result;
    fill_defaults(o);
    if (o->loads && o->connection_cnt == 0)
        o->connection_cnt = LOADS_CONN;
    return check(o, err, err_cap);
}

int options_parse_load(struct options *o, const struct options *base, char *line, char *err,
                       size_t err_cap)
{
    char *argv[WORD_MAX + 2] = {(char[]){"load"}}, *save = NULL;
    int argc = 1;

    for (char *w = strtok_r(line, " \t\r\n", &save); w != NULL && argc <= WORD_MAX;
         w = strtok_r(NULL, " \t\r\n", &save))
        argv[argc++] = w;
    *o = *base;
    o->loads = false;
    o->connection_cnt = 0;
    if (take_words(o, argc, argv, KEY_CONNECTIONS, err, err_cap) != 0)
        return -EINVAL;
    fill_defaults(o);
    if (o->connection_cnt > base->connection_cnt)
        return arguments_fail(err, err_cap, "more connections than --connections of the start");
    return check(o, err, err_cap);
}
