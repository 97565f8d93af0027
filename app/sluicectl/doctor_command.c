#include "doctor_command.h"
#include "doctor.h"
#include "base_json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_FILE   "/etc/sluice/sluice.conf"
#define TEXT_CAP       1024
#define FILE_BYTES_MAX (16u << 20)
#define FILE_CNT_MAX   64

/* ---- what is said ---- */

void doctor_say(struct doctor *d, enum doctor_level level, const char *check, const char *cause,
                const char *next)
{
    static const char *const names[] = {"ok", "warn", "fail"};

    d->cnt[level]++;
    if (!d->json) {
        fprintf(d->out, "%-4s  %s: %s\n", names[level], check, cause);
        if (next[0] != 0)
            fprintf(d->out, "      -> %s\n", next);
        return;
    }
    fprintf(d->out, "{\"level\":\"%s\",\"check\":", names[level]);
    base_json_print(d->out, base_span_str(check));
    fputs(",\"cause\":", d->out);
    base_json_print(d->out, base_span_str(cause));
    fputs(",\"next\":", d->out);
    base_json_print(d->out, base_span_str(next));
    fputs("}\n", d->out);
}

void doctor_sayf(struct doctor *d, enum doctor_level level, const char *check, const char *next,
                 const char *format, ...)
{
    char cause[TEXT_CAP];
    va_list list;

    va_start(list, format);
    vsnprintf(cause, sizeof(cause), format, list);
    va_end(list);
    doctor_say(d, level, check, cause, next);
}

/* ---- files below root ---- */

bool doctor_read(const struct doctor *d, char *out, size_t cap, const char *format, ...)
{
    char path[TEXT_CAP];
    int n = snprintf(path, sizeof(path), "%s", d->root);
    va_list list;

    out[0] = 0;
    va_start(list, format);
    vsnprintf(path + n, sizeof(path) - (size_t)n, format, list);
    va_end(list);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    bool ok = fgets(out, (int)cap, f) != NULL;
    fclose(f);
    out[ok ? strcspn(out, "\n") : 0] = 0;
    return ok;
}

bool doctor_field(const struct doctor *d, const char *path, const char *name, char *out, size_t cap)
{
    char full[TEXT_CAP], line[8192];
    size_t len = strlen(name);
    bool found = false;

    out[0] = 0;
    snprintf(full, sizeof(full), "%s%s", d->root, path);
    FILE *f = fopen(full, "re");
    while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL) {
        size_t at = len + strspn(line + (strncmp(line, name, len) == 0 ? len : 0), " \t");
        if (strncmp(line, name, len) != 0 || line[at] != ':')
            continue;
        at += 1 + strspn(line + at + 1, " \t");
        line[strcspn(line, "\n")] = 0;
        snprintf(out, cap, "%s", line + at);
        found = true;
    }
    if (f != NULL)
        fclose(f);
    return found;
}

bool doctor_exists(const struct doctor *d, const char *path)
{
    char full[TEXT_CAP];

    snprintf(full, sizeof(full), "%s%s", d->root, path);
    return access(full, F_OK) == 0;
}

bool doctor_cpu_in(const char *list, unsigned cpu)
{
    while (*list != 0) {
        char *end;
        unsigned long from = strtoul(list, &end, 10), to = from;
        if (end == list)
            return false;
        if (*end == '-')
            to = strtoul(end + 1, &end, 10);
        if (cpu >= from && cpu <= to)
            return true;
        list = end + (*end != 0);
    }
    return false;
}

/* How many a list has; 0: it cannot be read. */
static unsigned cpus_in(const char *list)
{
    unsigned cnt = 0;

    while (*list != 0) {
        char *end;
        unsigned long from = strtoul(list, &end, 10), to = from;
        if (end == list)
            return cnt;
        if (*end == '-')
            to = strtoul(end + 1, &end, 10);
        cnt += to >= from ? (unsigned)(to - from) + 1 : 0;
        list = end + (*end != 0);
    }
    return cnt;
}

unsigned doctor_lane_cpu(const struct doctor *d, uint32_t lane)
{
    const struct conf_list *cpus = &d->conf->gateway.lane_cpus;
    char online[256];

    if (lane < cpus->cnt)
        return (unsigned)strtoul(cpus->item[lane], NULL, 10);
    (void)doctor_read(d, online, sizeof(online), "/sys/devices/system/cpu/online");
    unsigned cnt = cpus_in(online);
    return cnt > 0 ? lane % cnt : lane;
}

/* ---- the configuration ---- */

struct files {
    const char *main_path;
    char *bytes[FILE_CNT_MAX]; /* owned */
    unsigned cnt;
};

static int read_file(struct files *f, const char *path, struct base_span *out)
{
    FILE *in = fopen(path, "re");

    if (in == NULL)
        return -errno;
    char *bytes = f->cnt < FILE_CNT_MAX ? malloc(FILE_BYTES_MAX) : NULL;
    size_t len = bytes != NULL ? fread(bytes, 1, FILE_BYTES_MAX, in) : 0;
    int error = bytes == NULL ? -ENOMEM : ferror(in) ? -EIO : len == FILE_BYTES_MAX ? -EFBIG : 0;
    fclose(in);
    if (bytes != NULL)
        f->bytes[f->cnt++] = bytes;
    *out = base_span_of((const uint8_t *)bytes, len);
    return error;
}

/* A relative include is looked for beside the main file. */
static int include(void *user, const char *path, struct base_span *out)
{
    struct files *f = user;
    const char *slash = strrchr(f->main_path, '/');
    char full[TEXT_CAP];
    int dir_len = path[0] != '/' && slash != NULL ? (int)(slash - f->main_path) + 1 : 0;
    int n = snprintf(full, sizeof(full), "%.*s%s", dir_len, f->main_path, path);

    return n < 0 || (size_t)n >= sizeof(full) ? -ENAMETOOLONG : read_file(f, full, out);
}

static void tell_errors(struct doctor *d, const struct conf_errors *errors)
{
    for (uint32_t i = 0; i < errors->cnt; i++)
        doctor_sayf(d, DOCTOR_FAIL, "configuration",
                    "mend it; sluiced --check FILE tells all errors, those of keys and maps too",
                    "%s:%u: %s%s%s", errors->error[i].file, errors->error[i].line,
                    errors->error[i].key, errors->error[i].key[0] != 0 ? ": " : "",
                    errors->error[i].why);
    if (errors->cnt == 0)
        doctor_sayf(d, DOCTOR_OK, "configuration", "", "%s can be read", d->conf_path);
}

/* NULL: told on standard error. */
static struct conf *load(struct doctor *d, struct files *f)
{
    struct conf_errors *errors = calloc(1, sizeof(*errors));
    struct base_span text = {0};
    struct conf *conf = NULL;
    int error = errors == NULL ? -ENOMEM : read_file(f, d->conf_path, &text);

    if (error == 0)
        conf = conf_parse_partly(d->conf_path, text, include, f, errors);
    if (conf == NULL)
        fprintf(stderr, "sluicectl: doctor: %s: %s; name a configuration: sluicectl doctor FILE\n",
                d->conf_path, strerror(error != 0 ? -error : ENOMEM));
    else
        tell_errors(d, errors);
    if (errors != NULL)
        conf_errors_free(errors);
    free(errors);
    return conf;
}

/* ---- the command ---- */

static void look(struct doctor *d, bool offline, const char *probe)
{
    doctor_machine(d);
    doctor_devices(d);
    if (d->root[0] != 0)
        return; /* another machine's files: ours has no say */
    doctor_places(d);
    if (!offline)
        doctor_names(d);
    if (probe != NULL)
        doctor_probe(d, probe);
    else
        doctor_say(d, DOCTOR_OK, "port 25 outbound",
                   "not tried; --probe HOST connects to that mail server and says QUIT", "");
}

int doctor_command_run(const struct command_call *call)
{
    const char *root = command_option_value(call, "--root");
    const char *probe = command_option_value(call, "--probe");
    bool offline = command_option_value(call, "--offline") != NULL;
    struct doctor d = {.conf_path = call->argument_cnt > 0 ? call->argument[0] : DEFAULT_FILE,
                       .root = root != NULL && strcmp(root, "/") != 0 ? root : "",
                       .out = stdout,
                       .json = call->json};
    struct files files = {.main_path = d.conf_path};

    if (probe != NULL && (offline || d.root[0] != 0)) {
        fprintf(stderr,
                "sluicectl: doctor: --probe connects; it does not go with --offline or --root\n");
        return COMMAND_WRONG_USE;
    }
    struct conf *conf = load(&d, &files);
    if (conf != NULL) {
        d.conf = conf;
        look(&d, offline, probe);
        if (!d.json)
            printf("%u ok, %u to look at, %u to mend\n", d.cnt[DOCTOR_OK], d.cnt[DOCTOR_WARN],
                   d.cnt[DOCTOR_FAIL]);
        conf_free(conf);
    }
    for (unsigned i = 0; i < files.cnt; i++)
        free(files.bytes[i]);
    if (fflush(stdout) != 0)
        return COMMAND_UNREACHABLE;
    return conf == NULL             ? COMMAND_UNREACHABLE
           : d.cnt[DOCTOR_FAIL] > 0 ? COMMAND_REFUSED
                                    : COMMAND_DONE;
}
