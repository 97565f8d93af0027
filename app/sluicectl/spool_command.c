#include "spool_command.h"

#include "disk_readonly.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

void spool_command_usage(FILE *out)
{
    fprintf(
        out,
        "Of a gateway that is stopped, DIR being what its configuration says as spool: path;\n"
        "nothing in DIR is ever written:\n"
        "  spool check [--json] DIR   read all of it: what is damaged, and whose mail it is\n"
        "  spool dump [--json] DIR    one line a message: state, sender, recipients, places\n"
        "  spool export DIR OUT       every queued message as OUT/ID.eml and OUT/ID.envelope;\n"
        "                             files that are there already stay as they are\n"
        "Exit status: 0 done, 1 refused, damaged or not all exported, 2 wrong use, no gateway,\n"
        "or a spool that cannot be read (in use, of another version).\n");
}

struct command {
    bool json;
    bool quiet; /* standard output is the list */
};

static void found(void *arg, const struct spool_finding *f)
{
    const struct command *c = arg;
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
    return rc < 0 ? 2 : t.there_cnt + t.damaged_cnt > 0;
}

static int run(struct spool_inspect *in, const char *verb, const char *out, bool json)
{
    struct spool_inspect_totals t;
    int status = 0;

    spool_inspect_totals(in, &t);
    if (strcmp(verb, "check") == 0)
        spool_print_totals(stdout, &t, json);
    else if (strcmp(verb, "dump") == 0)
        status = dump(in, json) < 0 ? 2 : 0;
    else
        status = export(in, out);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "sluicectl: standard output: %s\n", strerror(errno));
        return 2;
    }
    return status != 0 ? status : t.damage_cnt > 0;
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

static int usage_wrong(void)
{
    spool_command_usage(stderr);
    return 2;
}

int spool_command_run(int argc, char **argv)
{
    struct command c = {0};
    char err[512] = "";
    const char *verb = argc > 0 ? argv[0] : "";
    int at = 1;

    bool exports = strcmp(verb, "export") == 0;
    if (!exports && strcmp(verb, "check") != 0 && strcmp(verb, "dump") != 0)
        return usage_wrong();
    c.quiet = strcmp(verb, "check") != 0;
    if (at < argc && strcmp(argv[at], "--json") == 0 && !exports) {
        c.json = true;
        at++;
    }
    if (argc - at != (exports ? 2 : 1) || argv[at][0] == '-')
        return usage_wrong();
    const char *dir = argv[at];

    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0) {
        fprintf(stderr, "sluicectl: %s: %s\n", dir, strerror(errno));
        return 2;
    }
    if (exports && inside(dir_fd, argv[at + 1])) {
        fprintf(stderr, "sluicectl: %s is the spool itself, where nothing is written\n",
                argv[at + 1]);
        close(dir_fd);
        return 2;
    }
    struct spool_inspect_config config = {.found = found, .arg = &c};
    struct spool_inspect *in = NULL;
    int status = 2;
    int rc = disk_readonly_open(&config.disk, dir_fd, err, sizeof(err));
    if (rc == 0) {
        rc = spool_inspect_open(&in, &config, err, sizeof(err));
        if (rc == 0) {
            status = run(in, verb, exports ? argv[at + 1] : NULL, c.json);
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
