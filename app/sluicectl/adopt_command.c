#include "adopt_command.h"
#include "conf.h"
#include "disk_readonly.h"
#include "spool_inspect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB           (UINT64_C(1) << 20)
#define SPARE_SEGMENT 4 /* for outcomes, while nothing can be freed */

struct adoption {
    const char *socket;
    char dir[PATH_MAX];  /* absolute */
    char file[PATH_MAX]; /* adopted.conf */
    struct conf *conf;   /* that the gateway runs by */
    uint64_t message_cnt;
    uint32_t damage_cnt;
    uint8_t number; /* in the ids of its messages */
    uint64_t segment_bytes, segment_cnt;
};

__attribute__((format(printf, 1, 2))) static int refuse(const char *format, ...)
{
    va_list args;

    fputs("sluicectl: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return COMMAND_REFUSED;
}

/* What the gateway answers, from malloc; NULL: none, *status tells. */
static char *answer_of(const char *socket, const char *const *words, unsigned cnt, int *status)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    *status = COMMAND_UNREACHABLE;
    if (out == NULL)
        return NULL;
    *status = command_ask(socket, words, cnt, out, NULL);
    if (fclose(out) == 0 && *status == COMMAND_DONE)
        return text;
    free(text);
    return NULL;
}

/* Its configuration: where its state is, and which spools it has. */
static int ask_configuration(struct adoption *a)
{
    static const char *const words[] = {"config", "show"};
    int status;
    char *text = answer_of(a->socket, words, 2, &status);

    if (text == NULL)
        return status;
    struct conf_errors *errors = calloc(1, sizeof(*errors));
    base_assert(errors != NULL);
    a->conf = conf_parse("the gateway's configuration", base_span_str(text), NULL, NULL, errors);
    conf_write_errors(stderr, errors);
    conf_errors_free(errors);
    free(errors);
    free(text);
    if (a->conf == NULL)
        return refuse("this sluicectl does not understand the gateway's configuration: is it of "
                      "another version?");
    int n = snprintf(a->file, sizeof(a->file), "%s/adopted.conf", a->conf->gateway.state_dir);
    base_assert(n > 0 && (size_t)n < sizeof(a->file));
    return COMMAND_DONE;
}

/* Ids are told apart by the number of their spool. */
static int ask_number(const struct adoption *a)
{
    static const char *const words[] = {"status"};
    int status;
    char *text = answer_of(a->socket, words, 1, &status);

    if (text == NULL)
        return status;
    for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL;) {
        char name[128];
        unsigned number;
        if (sscanf(line, "spool %127s number=%u", name, &number) == 2 && number == a->number)
            status = refuse("%s: its messages have the number of this gateway's spool %s, %u, in "
                            "their ids: let a gateway of its own deliver them (spool: accept = no "
                            "keeps new mail away)",
                            a->dir, name, number);
    }
    free(text);
    return status;
}

/* The file of what was adopted before; its directory is others' to write: no link, no pipe, and
 * nobody else's. *in is NULL where there is none. */
static int open_adopted(const struct adoption *a, FILE **in)
{
    struct stat st;
    int fd = open(a->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    *in = NULL;
    if (fd < 0)
        return errno == ENOENT ? COMMAND_DONE
                               : refuse("%s: %s%s", a->file, strerror(errno), command_next(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_mode & 022) != 0 ||
        (st.st_uid != 0 && st.st_uid != geteuid())) {
        close(fd);
        return refuse("%s: it has to belong to root, and nobody else may write it: see what is in "
                      "it, then chown and chmod it",
                      a->file);
    }
    *in = fdopen(fd, "r");
    base_assert(*in != NULL);
    return COMMAND_DONE;
}

/* The gateway has it already; or it will. */
static int check_known(const struct adoption *a)
{
    struct stat own, other;
    char line[PATH_MAX + 64], path[PATH_MAX];

    if (stat(a->dir, &own) != 0)
        return refuse("%s: %s%s", a->dir, strerror(errno), command_next(errno));
    for (uint32_t i = 0; i < a->conf->spool_cnt; i++)
        if (stat(a->conf->spool[i].path, &other) == 0 && own.st_dev == other.st_dev &&
            own.st_ino == other.st_ino)
            return refuse("%s is this gateway's spool %s already: nothing is to be done", a->dir,
                          a->conf->spool[i].name);
    FILE *f;
    int status = open_adopted(a, &f);
    while (f != NULL && status == COMMAND_DONE && fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, "    path = \"%4095[^\"]\";", path) != 1)
            continue;
        bool runs = false;
        for (uint32_t i = 0; i < a->conf->spool_cnt; i++)
            runs = runs || strcmp(a->conf->spool[i].path, path) == 0;
        if (!runs)
            status = refuse("%s is adopted at the gateway's next start (%s): restart it first",
                            path, a->file);
    }
    if (f != NULL)
        fclose(f);
    return status;
}

/* ---- the other spool ---- */

static void found(void *arg, const struct spool_finding *f)
{
    struct adoption *a = arg;

    a->damage_cnt += f->damage;
}

static int count_segments(struct adoption *a, int dir_fd)
{
    int fd = openat(dir_fd, "seg", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *e;
    struct stat st;

    if (d == NULL)
        return refuse("%s/seg: %s%s", a->dir, strerror(errno), command_next(errno));
    while ((e = readdir(d)) != NULL) {
        if (strstr(e->d_name, ".seg") == NULL || fstatat(fd, e->d_name, &st, 0) != 0)
            continue;
        a->segment_cnt++;
        if ((uint64_t)st.st_size > a->segment_bytes)
            a->segment_bytes = (uint64_t)st.st_size;
    }
    closedir(d);
    a->segment_bytes = (a->segment_bytes + MIB - 1) / MIB * MIB;
    return a->segment_bytes > 0
               ? COMMAND_DONE
               : refuse("%s has no segments: is it the directory of a spool?", a->dir);
}

/* Whether it can be taken: whole, not in use, with mail in it. */
static int look(struct adoption *a, int dir_fd)
{
    struct spool_inspect_config config = {.found = found, .arg = a};
    struct spool_inspect_totals t;
    struct spool_inspect_message m;
    struct spool_inspect *in = NULL;
    char err[512] = "";

    int rc = disk_readonly_open(&config.disk, dir_fd, err, sizeof(err));
    if (rc == 0) {
        rc = spool_inspect_open(&in, &config, err, sizeof(err));
        if (rc != 0)
            disk_readonly_close(&config.disk);
    }
    if (rc != 0) {
        refuse("%s: %s", a->dir, err);
        return COMMAND_UNREACHABLE;
    }
    spool_inspect_totals(in, &t);
    a->message_cnt = t.queued_cnt;
    if (t.queued_cnt > 0 && spool_inspect_message(in, 0, &m) == 1)
        a->number = spool_id_spool(&m.id);
    spool_inspect_close(in);
    disk_readonly_close(&config.disk);
    if (a->damage_cnt > 0)
        return refuse("%s is damaged, nothing was changed: 'sluicectl spool check %s' tells what; "
                      "'sluicectl spool export' saves what is whole",
                      a->dir, a->dir);
    if (a->message_cnt == 0)
        return refuse("%s: nothing is queued there, so nothing is to be adopted", a->dir);
    return count_segments(a, dir_fd);
}

/* ---- adopted.conf ---- */

static bool name_taken(const struct adoption *a, const char *name)
{
    for (uint32_t i = 0; i < a->conf->spool_cnt; i++)
        if (strcmp(a->conf->spool[i].name, name) == 0)
            return true;
    return false;
}

static void write_block(const struct adoption *a, FILE *out)
{
    uint64_t segments = a->segment_cnt + SPARE_SEGMENT;
    char name[32];
    unsigned n = 1;

    do
        snprintf(name, sizeof(name), "adopted%u", n++);
    while (name_taken(a, name));
    fprintf(out,
            "spool %s {\n    path = \"%s\";\n    accept = no;\n    segment_size = %" PRIu64
            "M;\n    size = %" PRIu64 "M;\n}\n",
            name, a->dir, a->segment_bytes / MIB, segments * a->segment_bytes / MIB);
}

/* What was adopted before, copied. The directory is the gateway user's: what is not root's there is
 * not believed. */
static int copy_file(const struct adoption *a, FILE *out)
{
    char line[PATH_MAX + 64];
    FILE *in;
    int status = open_adopted(a, &in);

    if (status != COMMAND_DONE)
        return status;
    if (in == NULL) {
        fputs(
            "# Spools that were adopted: 'sluicectl spool adopt'. Read behind the configuration.\n"
            "# A block may go when its spool is empty (sluicectl status), with a restart.\n",
            out);
        return COMMAND_DONE;
    }
    while (fgets(line, sizeof(line), in) != NULL)
        fputs(line, out);
    fclose(in);
    return COMMAND_DONE;
}

/* The file as it is, and the new block. */
static int write_next(const struct adoption *a, const char *next)
{
    unlink(next); /* of a run that was killed */
    int fd = open(next, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (out == NULL)
        return refuse("%s: %s: be root", next, strerror(errno));
    int status = fchmod(fd, 0644) == 0 ? copy_file(a, out) : COMMAND_REFUSED;
    write_block(a, out);
    bool good = fflush(out) == 0 && fsync(fd) == 0;
    good = fclose(out) == 0 && good;
    return status != COMMAND_DONE || good
               ? status
               : refuse("%s: %s%s", next, strerror(errno), command_next(errno));
}

/* Under another name, which becomes the right one when all is on stable storage. */
static int write_file(const struct adoption *a)
{
    char next[PATH_MAX + 8];
    const char *dir = a->conf->gateway.state_dir;

    snprintf(next, sizeof(next), "%s.new", a->file);
    if (mkdir(dir, 0755) != 0 && errno != EEXIST)
        return refuse("%s: %s: be root", dir, strerror(errno));
    int status = write_next(a, next);
    if (status == COMMAND_DONE && rename(next, a->file) != 0)
        status = refuse("%s: %s%s", a->file, strerror(errno), command_next(errno));
    if (status != COMMAND_DONE) {
        unlink(next);
        return status;
    }
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        refuse("warning: %s: %s: a power failure may undo this", dir, strerror(errno));
    if (fd >= 0)
        close(fd);
    return COMMAND_DONE;
}

static int adopt(struct adoption *a, int dir_fd)
{
    int status = ask_configuration(a);

    if (status == COMMAND_DONE)
        status = check_known(a);
    if (status == COMMAND_DONE)
        status = look(a, dir_fd);
    if (status == COMMAND_DONE)
        status = ask_number(a);
    if (status == COMMAND_DONE && a->conf->spool_cnt == CONF_SPOOL_MAX)
        status = refuse("the gateway has %d spools, which is the most there may be: take out the "
                        "blocks of those that are empty",
                        CONF_SPOOL_MAX);
    if (status == COMMAND_DONE)
        status = write_file(a);
    if (status == COMMAND_DONE)
        printf("%" PRIu64 " messages of %s: the gateway takes them over at its next start, as one "
               "more spool that takes no new mail; restart it, and leave the directory where it "
               "is\n",
               a->message_cnt, a->dir);
    conf_free(a->conf);
    return status;
}

int adopt_command_run(const struct command_call *call)
{
    struct adoption a = {.socket = call->socket};
    const char *dir = call->argument[0];

    if (realpath(dir, a.dir) == NULL || strchr(a.dir, '"') != NULL || strchr(a.dir, '\n') != NULL)
        return refuse("%s: %s%s", dir,
                      errno != 0 ? strerror(errno) : "a path with a quote cannot be configured",
                      errno != 0 ? command_next(errno) : ": rename it"),
               COMMAND_UNREACHABLE;
    int dir_fd = open(a.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return refuse("%s: %s%s", dir, strerror(errno), command_next(errno)), COMMAND_UNREACHABLE;
    int status = adopt(&a, dir_fd);
    close(dir_fd);
    return status;
}
