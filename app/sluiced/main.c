/*
 * sluiced: reads the configuration, starts the helper processes, DPDK and the gateway, and becomes
 * control. An operator's mistake ends here, with one line that says what to do and exit status 2;
 * other failures to start with status 1.
 */
#include "base_time.h"
#include "control.h"
#include "device.h"
#include "eal.h"
#include "gateway.h"
#include "gateway_source.h"
#include "role.h"
#include "sandbox.h"
#include "sluiced_usage.h"
#include "state_dir.h"
#include "telemetry.h"
#include "tls_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_directly(void *user, const char *path)
{
    (void)user;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

/* What config_check has found good. NULL: it has changed since. */
static struct conf *load(const char *path)
{
    struct conf_errors *errors = calloc(1, sizeof(*errors));

    base_assert(errors != NULL);
    struct conf *conf = config_load(path, open_directly, NULL, errors);
    conf_write_errors(stderr, errors);
    conf_errors_free(errors);
    free(errors);
    return conf;
}

/* Prints what is wrong, all of it, and what is to be known. */
static bool check(const char *path)
{
    return config_check(stderr, path, open_directly, NULL, (int64_t)(loop_wall_ns() / BASE_NS_S));
}

static void warn(const char *text)
{
    if (text[0] != 0)
        fprintf(stderr, "sluiced: warning: %s\n", text);
}

/* Makes the last part of the path when it is missing. */
static int make_directory(const char *key, const char *path, mode_t mode)
{
    struct stat st;

    if (mkdir(path, mode) == 0)
        return 0;
    if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    int error = errno;
    fprintf(stderr, "sluiced: %s: cannot make the directory %s (%s): make it, or start as root\n",
            key, path, strerror(error));
    return -error;
}

static void parent_of(const char *path, char *out, size_t cap)
{
    snprintf(out, cap, "%s", path);
    char *slash = strrchr(out, '/');
    if (slash != NULL)
        slash[slash == out ? 1 : 0] = 0;
}

static int allow(void *arg, const char *path)
{
    return opener_allow(arg, path);
}

/* The opener's list: this file and what it may include, the certificates, maps, and the spool. */
static int start_opener(struct opener *o, const struct conf *conf, const char *config_path)
{
    char path[OPENER_PATH_MAX];
    int error = opener_start(o);

    if (error == 0)
        error = opener_allow(o, config_path);
    parent_of(config_path, path, sizeof(path) - 1);
    size_t len = strlen(path);
    if (strcmp(path, "/") != 0)
        snprintf(path + len, sizeof(path) - len, "/");
    if (error == 0)
        error = opener_allow(o, path);
    for (uint32_t i = 0; i < conf->spool_cnt && error == 0; i++) {
        snprintf(path, sizeof(path), "%s/.", conf->spool[i].path);
        error = opener_allow(o, path);
    }
    /* For CONFIG_ADOPTED. The directory, as the gateway's user may write there: no link leads out.
     */
    snprintf(path, sizeof(path), "%s/", conf->gateway.state_dir);
    if (error == 0)
        error = opener_allow(o, path);
    for (uint32_t i = 0; i < conf->certificate_cnt && error == 0; i++) {
        error = opener_allow(o, conf->certificate[i].chain);
        if (error == 0)
            error = opener_allow(o, conf->certificate[i].key);
    }
    if (error == 0 && conf->delivery.ca_file != NULL && conf->delivery.ca_file[0] != 0)
        error = opener_allow(o, conf->delivery.ca_file);
    for (uint32_t i = 0; i < conf->listener_cnt && error == 0; i++)
        if (conf->listener[i].tls_client_ca != NULL)
            error = opener_allow(o, conf->listener[i].tls_client_ca);
    if (error == 0 && conf->dns.trust_anchor != NULL && conf->dns.trust_anchor[0] != 0)
        error = opener_allow(o, conf->dns.trust_anchor);
    if (error == 0)
        error = maps_each(conf, allow, o);
    for (uint32_t i = 0; i < conf->route_cnt && error == 0; i++)
        if (conf->route[i].auth_password_file != NULL)
            error = opener_allow(o, conf->route[i].auth_password_file);
    if (error == 0 && conf->auth.backend == CONF_AUTH_PASSWD)
        error = opener_allow(o, conf->auth.passwd_file);
    if (error == 0 && conf->log.target == CONF_LOG_FILE && conf->log.file[0] == '/')
        error = opener_allow_append(o, conf->log.file);
    if (error == 0)
        error = opener_seal(o);
    if (error != 0)
        fprintf(stderr, "sluiced: the opener does not start (%s)\n", strerror(-error));
    return error;
}

/* Once and for all, for every thread that comes: DPDK's and its drivers' own directories, the
 * configuration's, and what the C library and OpenSSL read. Keys and maps come by the opener. */
static void confine(const struct conf *conf)
{
    static const char *const readable[] = {"/usr",
                                           "/lib",
                                           "/lib64",
                                           "/etc/passwd",
                                           "/etc/group",
                                           "/etc/nsswitch.conf",
                                           "/etc/localtime",
                                           "/etc/ld.so.cache",
                                           "/etc/hosts",
                                           "/etc/host.conf",
                                           "/etc/ssl/openssl.cnf",
                                           "/etc/libnl",
                                           "/etc/libibverbs.d",
                                           NULL};
    char why[SANDBOX_ERROR_CAP] = "", log_dir[OPENER_PATH_MAX] = "/nowhere",
         socket_dir[OPENER_PATH_MAX];

    if (!conf->gateway.sandbox)
        return;
    if (conf->log.file[0] == '/')
        parent_of(conf->log.file, log_dir, sizeof(log_dir));
    parent_of(conf->control.socket, socket_dir, sizeof(socket_dir));
    const char *writable[CONF_SPOOL_MAX + 10] = {
        conf->gateway.run_dir,
        conf->gateway.state_dir,
        log_dir,
        socket_dir,
        "/run",
        "/tmp",
        "/dev",
        "/proc",
        "/sys", /* DPDK and its drivers */
    };
    for (uint32_t i = 0; i < conf->spool_cnt; i++)
        writable[9 + i] = conf->spool[i].path;
    const struct sandbox_paths paths = {
        .read = readable, .write = writable, .no_tcp_listen = true, .no_signals = true};
    if (sandbox_confine(&paths, why) != 0 || why[0] != 0) /* none, or not all of it */
        warn(why);
}

/* The gateway's own user may use the control socket: it is its owner. */
static int give_socket(const struct conf *conf, char *why, size_t cap)
{
    const struct passwd *p = getpwnam(conf->gateway.user);

    if (p == NULL || geteuid() != 0 || chown(conf->control.socket, p->pw_uid, (gid_t)-1) == 0)
        return 0; /* an unknown user is told of by the others */
    int error = errno;
    snprintf(why, cap, "control: socket: cannot be given to gateway: user %s (%s)",
             conf->gateway.user, strerror(error));
    return -error;
}

/* After the last thing that needs it. Returns 0 or 2. */
static int give_up_rights(struct gateway *g, const struct conf *conf)
{
    char why[SANDBOX_ERROR_CAP] = "";

    if (conf->gateway.user != NULL && conf->gateway.user[0] != 0 &&
        (gateway_give_spool(g, conf->gateway.user, why, sizeof(why)) != 0 ||
         give_socket(conf, why, sizeof(why)) != 0 ||
         sandbox_drop_user(conf->gateway.user, why) != 0)) {
        fprintf(stderr, "sluiced: %s\n", why);
        return 2;
    }
    if (!conf->gateway.sandbox)
        return 0;
    sandbox_close_memory();
    if (sandbox_allow(SANDBOX_MAIN, why) != 0)
        warn(why);
    return 0;
}

/* What lines look like, and where they go. */
static struct log_config log_config_of(const struct gateway *g, const struct conf *conf)
{
    /* By the places of the words of log: facility; RFC 5424 section 6.2.1. */
    static const uint8_t facilities[] = {2, 3, 16, 17, 18, 19, 20, 21, 22, 23};
    static const enum log_form forms[] = {[CONF_LOG_TEXT] = LOG_FORM_TEXT,
                                          [CONF_LOG_JSON] = LOG_FORM_JSON,
                                          [CONF_LOG_POSTFIX] = LOG_FORM_POSTFIX};
    const char *ident = conf->log.format == CONF_LOG_POSTFIX ? "postfix" : "sluiced";
    const char *socket = conf->log.socket != NULL && conf->log.socket[0] != 0 ? conf->log.socket
                         : conf->log.target == CONF_LOG_SYSLOG                ? "/dev/log"
                                                               : "/run/systemd/journal/socket";
    struct log_config l = {
        .target = LOG_TARGET_STDERR,
        .path = socket,
        .level = (enum stats_log_level)conf->log.level,
        .keep = conf->log.mail_waits,
        .style = {.form = forms[conf->log.format],
                  .ident =
                      conf->log.ident != NULL && conf->log.ident[0] != 0 ? conf->log.ident : ident,
                  .hostname = conf->gateway.hostname,
                  .id_format = log_writer_id_format,
                  .pid = (uint32_t)getpid(),
                  .facility = facilities[conf->log.facility]},
        .stats = topology_stats(&g->topology, TOPOLOGY_LOG, 0),
        .lost =
            &g->topology.lost[topology_stats(&g->topology, TOPOLOGY_LOG, 0) - g->topology.stats],
    };

    if (conf->log.target == CONF_LOG_SYSLOG) {
        l.target = LOG_TARGET_SYSLOG;
    } else if (conf->log.target == CONF_LOG_JOURNALD) {
        l.target = LOG_TARGET_JOURNALD;
    } else if (conf->log.file[0] == '/') {
        l.target = LOG_TARGET_FILE;
        l.path = conf->log.file;
    }
    return l;
}

static struct log *open_log(const struct gateway *g, const struct conf *conf)
{
    struct log_config l = log_config_of(g, conf);
    struct log *log;
    int error = log_open(&log, &l);

    if (error != 0) {
        fprintf(stderr, "sluiced: log: file: cannot open %s (%s)\n", conf->log.file,
                strerror(-error));
        return NULL;
    }
    if (!log_connected(log))
        fprintf(stderr,
                "sluiced: warning: log: nobody listens at %s yet: lines wait, and then mail does\n",
                l.path);
    return log;
}

static void note(struct stats_log *log, enum stats_log_event event, const char *text)
{
    struct stats_log_record r = {.wall_ns = loop_wall_ns(), .event = (uint16_t)event};

    stats_log_text(&r, base_span_str(text));
    stats_log_push(log, &r);
}

/* Lets what is under way end. Returns false when something was left that should not have been.
 */
static bool drain(struct gateway *g)
{
    struct stats_log last = topology_log(&g->topology, TOPOLOGY_CONTROL, 0), *log = &last;
    struct gateway_end end;
    char text[STATS_LOG_TEXT_CAP];

    gateway_drain(g, settings_current(&g->hub)->conf->gateway.stop_timeout_ns, &end);
    bool clean = end.unwritten_cnt == 0 && !end.unfinished;
    snprintf(text, sizeof(text), "stopped; connections cut off: %" PRIu64, end.cut_cnt);
    note(log, STATS_LOG_NOTE, text);
    if (end.unwritten_cnt > 0) {
        snprintf(text, sizeof(text),
                 "outcomes that no spool could write: %u; these deliveries will be made again",
                 end.unwritten_cnt);
        note(log, STATS_LOG_WARNING, text);
    }
    if (end.unfinished)
        note(log, STATS_LOG_WARNING,
             "a spool could not write all in time; nothing of it was "
             "acknowledged");
    return clean;
}

/* When no other thread runs. Returns how many lines about messages are lost. */
static uint32_t stop_log(struct gateway *g, struct log_writer *writer)
{
    struct stats_log *courier = &g->courier.log;
    uint64_t end_ns = loop_now_ns() + GATEWAY_END_NS;

    for (stats_log_flush(courier);
         stats_log_waits(courier) && writer->started && loop_now_ns() < end_ns;
         stats_log_flush(courier))
        usleep(1000);
    return log_writer_stop(writer, GATEWAY_END_NS) + courier->cnt;
}

/* From a running gateway to its end. */
static int serve(struct gateway *g, struct opener *opener, const char *config_path, int listener)
{
    const struct conf *conf = settings_current(&g->hub)->conf;
    struct log *log = open_log(g, conf);
    struct log_writer *writer = calloc(1, sizeof(*writer));
    struct control *control = calloc(1, sizeof(*control));
    char err[GATEWAY_ERROR_CAP] = "telemetry: DPDK takes no more commands";
    int status = 1;

    base_assert(control != NULL && writer != NULL);
    struct control_config c = {.config_path = config_path,
                               .gateway = g,
                               .opener = opener,
                               .log = writer,
                               .listener = listener};
    if (log == NULL) {
        status = 2;
        goto out;
    }
    if (log_writer_start(writer, log, (enum stats_log_level)conf->log.level, &g->topology,
                         eal_free_affinity) != 0)
        goto out;
    if (telemetry_start(&g->topology) != 0 || telemetry_permit(conf, err, sizeof(err)) != 0) {
        fprintf(stderr, "sluiced: %s\n", err);
        status = 2;
        goto out;
    }
    if (control_init(control, &c) != 0)
        goto out;
    status = give_up_rights(g, conf);
    if (status != 0)
        goto out;
    if (g->source_warning[0] != 0)
        note(&control->log, STATS_LOG_WARNING, g->source_warning);
    fprintf(stderr, "sluiced: ready\n");
    control_run(control);
out:
    if (!drain(g) && status == 0)
        status = 1;
    uint32_t unwritten = stop_log(g, writer);
    if (unwritten > 0)
        fprintf(stderr, "sluiced: the log could not be written: %u lines about messages are lost\n",
                unwritten);
    control_fini(control);
    telemetry_stop();
    gateway_stop(g);
    if (log != NULL)
        log_close(log);
    free(control);
    free(writer);
    return status;
}

static int run(const char *path, bool accept_corruption)
{
    char err[GATEWAY_ERROR_CAP] = "", warning[EAL_ERROR_CAP] = "";
    char config_path[PATH_MAX];
    struct opener opener;
    sigset_t all;

    if (realpath(path, config_path) == NULL || strlen(config_path) >= OPENER_PATH_MAX) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 2;
    }
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    if (!tls_memory_use()) /* before OpenSSL allocates */
        warn("OpenSSL keeps its own allocator: slower handshakes");
    if (!check(config_path))
        return 2;
    struct conf *conf = load(config_path);
    if (conf == NULL)
        return 2;
    if (make_directory("gateway: run_dir", conf->gateway.run_dir, 0755) != 0)
        return 2;
    for (uint32_t i = 0; i < conf->spool_cnt; i++)
        /* One that is only emptied and is not there is missed, not begun anew. */
        if (conf->spool[i].accept && make_directory("spool: path", conf->spool[i].path, 0700) != 0)
            return 2;
    if (gateway_source_make(conf, err, sizeof(err)) != 0) {
        fprintf(stderr, "sluiced: %s\n", err);
        return 2;
    }
    if (conf->tlsrpt.enable && state_dir_make(conf->gateway.state_dir, CONTROL_TLSRPT_SUB,
                                              conf->gateway.user, err, sizeof(err)) != 0) {
        fprintf(stderr, "sluiced: %s\n", err);
        return 2;
    }
    if (start_opener(&opener, conf, config_path) != 0)
        return 1;
    int status = 2, error;
    sandbox_close_rights(); /* of threads to come and programs: main starts none */
    confine(conf);
    int listener = control_listen(conf, err, sizeof(err));
    sigfillset(&all);
    sigdelset(&all, SIGABRT); /* the service manager's watchdog: it is to end us at once */
    pthread_sigmask(SIG_SETMASK, &all, NULL); /* EAL's threads inherit this */
    struct gateway *g = aligned_alloc(64, (sizeof(*g) + 63) & ~(size_t)63);
    base_assert(g != NULL);
    if (listener < 0)
        goto refuse;
    if (device_claim(conf, err, sizeof(err)) != 0 || eal_start(conf, err, warning) != 0)
        goto refuse;
    warn(warning);
    warning[0] = 0;
    device_polls(conf, warning, sizeof(warning));
    warn(warning);
    error = gateway_start(g, conf, &opener, accept_corruption, err, sizeof(err));
    if (error != 0) {
        fprintf(stderr, "sluiced: %s\n", err);
        gateway_stop(g);
        status = 2;
    } else {
        status = serve(g, &opener, config_path, listener);
    }
    eal_stop();
    opener_stop(&opener);
    free(g);
    return status;
refuse:
    fprintf(stderr, "sluiced: %s\n", err);
    opener_stop(&opener);
    free(g);
    return status;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strncmp(argv[1], "--role=", 7) == 0)
        return role_run(argv[1] + 7);
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        sluiced_usage_write(stdout);
        printf("\nSettings:\n");
        conf_write_help(stdout);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("sluiced %s\n", SLUICE_VERSION);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--default") == 0) {
        conf_write_default(stdout);
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "--check") == 0) {
        if (!check(argv[2]))
            return 2;
        printf("%s: ok\n", argv[2]);
        return 0;
    }
    if (argc == 2 && argv[1][0] != '-')
        return run(argv[1], false);
    if (argc == 3 && strcmp(argv[1], "--accept-corruption") == 0 && argv[2][0] != '-')
        return run(argv[2], true);
    sluiced_usage_write(stderr);
    return 2;
}
