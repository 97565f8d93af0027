#include "import_command.h"
#include "import.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES (192u << 20) /* of a map: as much as the gateway reads */
#define USUAL_OUTPUT   "/etc/sluice/sluice.conf"
#define POSTFIX_DIR    "/etc/postfix"

/* A file that was read: kept until the import is over. */
struct kept {
    struct kept *next;
    size_t len;
    uint8_t bytes[];
};

struct reading {
    struct kept *first;
    bool input;       /* "-": the parameters come from standard input */
    const char *main; /* whose place they take */
    struct base_span typed;
};

static int read_all(struct reading *r, int fd, struct base_span *text)
{
    size_t cap = 65536;
    struct kept *k = malloc(sizeof(*k) + cap);
    ssize_t n = 0;

    for (size_t len = 0; k != NULL; len += (size_t)n) {
        n = len < FILE_MAX_BYTES ? read(fd, k->bytes + len, cap - len) : 0;
        if (n <= 0) {
            k->len = len;
            break;
        }
        if (len + (size_t)n < cap)
            continue;
        cap *= 2;
        struct kept *more = realloc(k, sizeof(*k) + cap);
        if (more == NULL)
            free(k);
        k = more;
    }
    int error = k == NULL ? -ENOMEM : n < 0 ? -errno : 0;
    if (error != 0) {
        free(k);
        return error;
    }
    k->next = r->first;
    r->first = k;
    *text = base_span_of(k->bytes, k->len);
    return 0;
}

static int read_file(void *user, const char *path, struct base_span *text)
{
    struct reading *r = user;
    struct stat st;

    if (r->input && strcmp(path, r->main) == 0) {
        *text = r->typed;
        return 0;
    }
    /* No waiting for what is no file. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    int error = fstat(fd, &st) != 0    ? -errno
                : S_ISDIR(st.st_mode)  ? -EISDIR
                : !S_ISREG(st.st_mode) ? -EINVAL
                                       : read_all(r, fd, text);
    close(fd);
    return error;
}

static void forget(struct reading *r)
{
    while (r->first != NULL) {
        struct kept *next = r->first->next;
        explicit_bzero(r->first->bytes, r->first->len); /* passwords may be among it */
        free(r->first);
        r->first = next;
    }
}

/* ---- what is written ---- */

/* A new file, whole or not at all; there is none yet, or it may be replaced. */
static bool write_file(const char *path, const char *text, mode_t mode, bool replace)
{
    char temporary[PATH_MAX];
    size_t len = strlen(text);

    if (!replace && access(path, F_OK) == 0) {
        fprintf(stderr, "sluicectl: %s is there already: move it away, or add --replace\n", path);
        return false;
    }
    if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary)) {
        fprintf(stderr, "sluicectl: %s: the path is too long\n", path);
        return false;
    }
    unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    bool good = fd >= 0;
    for (size_t at = 0; good && at < len;) {
        ssize_t n = write(fd, text + at, len - at);
        good = n > 0;
        at += n > 0 ? (size_t)n : 0;
    }
    good = good && fsync(fd) == 0 && rename(temporary, path) == 0;
    if (!good)
        fprintf(stderr, "sluicectl: %s cannot be written: %s\n", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (!good && fd >= 0)
        unlink(temporary);
    return good;
}

static int write_files(const struct import_result *r, const char *output, bool replace)
{
    for (uint32_t i = 0; i < r->file_cnt; i++)
        if (!write_file(r->file[i].path, r->file[i].text, r->file[i].secret ? 0600 : 0644, replace))
            return COMMAND_REFUSED;
    if (!write_file(output, r->text, 0644, replace))
        return COMMAND_REFUSED;
    fprintf(stderr, "%s is written", output);
    for (uint32_t i = 0; i < r->file_cnt; i++)
        fprintf(stderr, "%s%s", i == 0 ? ", and beside it: " : ", ",
                strrchr(r->file[i].path, '/') + 1);
    fprintf(stderr,
            ".\n%u lines in it begin with # TO"
            "DO: look at them, then: sluiced --check %s\n",
            r->todo_cnt, output);
    return COMMAND_DONE;
}

static int print(const struct import_result *r)
{
    fputs(r->text, stdout);
    for (uint32_t i = 0; i < r->file_cnt; i++)
        fprintf(stderr, "sluicectl: %s is named above and not written: give --output FILE\n",
                r->file[i].path);
    return fflush(stdout) == 0 ? COMMAND_DONE : COMMAND_REFUSED;
}

/* The absolute path of what is to be written, whether it is there or not. */
static bool absolute(const char *path, char out[PATH_MAX])
{
    char dir[PATH_MAX], full[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int len = snprintf(dir, sizeof(dir), "%.*s",
                       slash == NULL   ? 1
                       : slash == path ? 1
                                       : (int)(slash - path),
                       slash == NULL ? "." : path);

    if (len >= (int)sizeof(dir) || realpath(dir, full) == NULL) {
        fprintf(stderr, "sluicectl: %s: %s\n", path, strerror(errno));
        return false;
    }
    return snprintf(out, PATH_MAX, "%s/%s", strcmp(full, "/") == 0 ? "" : full,
                    slash == NULL ? path : slash + 1) < PATH_MAX;
}

typedef struct import_result *import_run(const struct import_input *in, const char **why);

static int run(const struct command_call *call, struct import_input *in, import_run *import)
{
    const char *output = command_option_value(call, "--output"), *why = "";
    char path[PATH_MAX] = USUAL_OUTPUT;

    if (output != NULL && !absolute(output, path))
        return COMMAND_REFUSED;
    in->output = path;
    struct import_result *r = import(in, &why);
    if (r == NULL) {
        fprintf(stderr, "sluicectl: %s: %s\n", call->argument[0], why);
        return COMMAND_UNREACHABLE;
    }
    int status = output != NULL
                     ? write_files(r, path, command_option_value(call, "--replace") != NULL)
                     : print(r);
    import_free(r);
    return status;
}

/* DIR, or a file in it (main.cf, or what postconf -n printed): both as absolute paths. */
static bool place(const char *argument, bool file, char dir[PATH_MAX], char main_cf[PATH_MAX])
{
    struct stat st;

    if (realpath(argument, main_cf) == NULL || stat(main_cf, &st) != 0) {
        fprintf(stderr, "sluicectl: %s: %s\n", argument, strerror(errno));
        return false;
    }
    snprintf(dir, PATH_MAX, "%s", main_cf);
    if (S_ISDIR(st.st_mode)) {
        size_t len = strlen(main_cf);
        snprintf(main_cf + len, PATH_MAX - len, "/main.cf");
        return true;
    }
    *strrchr(dir, '/') = 0;
    if (!file)
        fprintf(stderr, "sluicectl: %s is no directory\n", argument);
    return file;
}

int import_command_postfix(const struct command_call *call)
{
    char dir[PATH_MAX] = POSTFIX_DIR, main_cf[PATH_MAX] = "standard input";
    struct reading r = {.input = strcmp(call->argument[0], "-") == 0, .main = main_cf};
    struct import_input in = {.read = read_file, .user = &r, .dir = dir, .main = main_cf};

    if (r.input) {
        int error = read_all(&r, STDIN_FILENO, &r.typed);
        if (error != 0) {
            fprintf(stderr, "sluicectl: standard input: %s\n", strerror(-error));
            return COMMAND_UNREACHABLE;
        }
    } else if (!place(call->argument[0], true, dir, main_cf)) {
        return COMMAND_UNREACHABLE;
    }
    int status = run(call, &in, import_postfix);
    forget(&r);
    return status;
}

int import_command_dms(const struct command_call *call)
{
    char dir[PATH_MAX], main_cf[PATH_MAX];
    struct reading r = {0};
    struct import_input in = {.read = read_file, .user = &r, .dir = dir, .main = main_cf};

    if (!place(call->argument[0], false, dir, main_cf))
        return COMMAND_UNREACHABLE;
    int status = run(call, &in, import_dms);
    forget(&r);
    return status;
}
