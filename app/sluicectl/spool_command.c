#include "spool_command.h"

#include "disk_readonly.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct look {
    const char *out; /* of export, or NULL */
    bool json;
    bool quiet; /* standard output is the list */
};

static void found(void *arg, const struct spool_finding *f)
{
    const struct look *c = arg;
    if (!c->quiet)
        spool_print_finding(stdout, f, c->json);
    else if (f->damage)
        spool_print_finding(stderr, f, false);
}

static int dump(struct spool_inspect *in, bool json)
{
    struct spool_inspect_message m;
    int rc;
    for (uint64_t i = 0; (rc = spool_inspect_message(in, i, &m)) == 1; i++)
        spool_print_message(stdout, in, i, &m, true, json);
    return rc;
}

static int export(struct spool_inspect *in, const char *out)
{
    struct spool_export_totals t = {0};
    int rc = spool_export_run(in, out, &t);
    printf("%llu messages exported", (unsigned long long)t.written_cnt);
    if (t.there_cnt > 0)
        printf(", %llu were there already", (unsigned long long)t.there_cnt);
    if (t.damaged_cnt > 0)
        printf(", %llu are damaged and were not", (unsigned long long)t.damaged_cnt);
    printf("\n");
    if (rc < 0)
        return COMMAND_UNREACHABLE;
    return t.there_cnt + t.damaged_cnt > 0 ? COMMAND_REFUSED : COMMAND_DONE;
}

static int run(struct spool_inspect *in, const struct look *look)
{
    struct spool_inspect_totals t;
    int status = COMMAND_DONE;

    spool_inspect_totals(in, &t);
    if (look->out != NULL)
        status = export(in, look->out);
    else if (!look->quiet)
        spool_print_totals(stdout, &t, look->json);
    else if (dump(in, look->json) < 0)
        status = COMMAND_UNREACHABLE;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "sluicectl: standard output: %s%s\n", strerror(errno), command_next(errno));
        return COMMAND_REFUSED;
    }
    return status != COMMAND_DONE ? status : t.damage_cnt > 0 ? COMMAND_REFUSED : COMMAND_DONE;
}

/* Whether a path is the spool's own folder, or that of its segments. */
static bool inside(int dir_fd, const char *path)
{
    struct stat out, own;
    if (stat(path, &out) < 0)
        return false;
    bool same = fstat(dir_fd, &own) == 0 && own.st_dev == out.st_dev && own.st_ino == out.st_ino;
    return same || (fstatat(dir_fd, "seg", &own, 0) == 0 && own.st_dev == out.st_dev &&
                    own.st_ino == out.st_ino);
}

static int inspect(const char *dir, struct look *look)
{
    char err[512] = "";
    int status = COMMAND_UNREACHABLE;
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir_fd < 0) {
        fprintf(stderr, "sluicectl: %s: %s%s\n", dir, strerror(errno), command_next(errno));
        return status;
    }
    if (look->out != NULL && inside(dir_fd, look->out)) {
        fprintf(
            stderr,
            "sluicectl: %s is the spool itself, where nothing is written: name another directory\n",
            look->out);
        close(dir_fd);
        return COMMAND_WRONG_USE;
    }
    struct spool_inspect_config config = {.found = found, .arg = look};
    struct spool_inspect *in = NULL;
    int rc = disk_readonly_open(&config.disk, dir_fd, err, sizeof(err));
    if (rc == 0) {
        rc = spool_inspect_open(&in, &config, err, sizeof(err));
        if (rc == 0) {
            status = run(in, look);
            spool_inspect_close(in);
        }
        disk_readonly_close(&config.disk);
    }
    if (rc < 0)
        fprintf(stderr, "sluicectl: %s: %s%s\n", dir, err,
                rc == -EPROTO ? "; nothing was changed" : "");
    close(dir_fd);
    return status;
}

int spool_command_check(const struct command_call *call)
{
    struct look look = {.json = call->json};

    return inspect(call->argument[0], &look);
}

int spool_command_dump(const struct command_call *call)
{
    struct look look = {.json = call->json, .quiet = true};

    return inspect(call->argument[0], &look);
}

int spool_command_export(const struct command_call *call)
{
    struct look look = {.out = call->argument[1], .quiet = true};

    return inspect(call->argument[0], &look);
}
