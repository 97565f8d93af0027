/* Configuration files: their bytes for lib/conf, which opens nothing itself. */
#include "control.h"
#include "small_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (16u << 20)
#define FILE_CNT_MAX   64

struct config_files {
    config_open open_file;
    void *user;
    const char *main_path;
    uint8_t *bytes[FILE_CNT_MAX];
    uint32_t cnt;
    char adopted_path[1024]; /* whose bytes have been looked at and read; empty: none */
    struct base_span adopted;
};

static int read_all(struct config_files *f, int fd, struct base_span *out)
{
    uint8_t *text;
    size_t len;

    if (f->cnt == FILE_CNT_MAX)
        return -EMFILE;
    int error = small_file_read(fd, FILE_BYTES_MAX, false, &text, &len);
    if (text != NULL)
        f->bytes[f->cnt++] = text;
    if (error == 0)
        *out = base_span_of(text, len);
    return error;
}

/* A relative include is looked for beside the main file. */
static int include(void *user, const char *path, struct base_span *out)
{
    struct config_files *f = user;
    char full[1024];
    const char *slash = strrchr(f->main_path, '/');
    int dir_len = slash != NULL ? (int)(slash - f->main_path) + 1 : 0;
    int n = path[0] == '/' ? snprintf(full, sizeof(full), "%s", path)
                           : snprintf(full, sizeof(full), "%.*s%s", dir_len, f->main_path, path);

    if (n < 0 || (size_t)n >= sizeof(full))
        return -ENAMETOOLONG;
    if (f->adopted_path[0] != 0 && strcmp(full, f->adopted_path) == 0) {
        *out = f->adopted;
        return 0;
    }
    int fd = f->open_file(f->user, full);
    if (fd < 0)
        return fd;
    int error = read_all(f, fd, out);
    close(fd);
    return error;
}

/* What is read there is configuration, in a directory that others may write: nobody else may have
 * written it, and no link may lead to it. */
static bool is_trusted(int fd, const char *path)
{
    struct stat st, named;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
           (st.st_uid == 0 || st.st_uid == geteuid()) && (st.st_mode & 022) == 0 &&
           (lstat(path, &named) != 0 || (named.st_ino == st.st_ino && named.st_dev == st.st_dev));
}

/*
 * Spools that were adopted (sluicectl spool adopt) stand in a file of the state directory. When it
 * is there the configuration is read once more, with that file as if it were included at its end;
 * and with the spool that it has when it names none. Takes conf.
 */
static struct conf *with_adopted(struct conf *conf, struct config_files *f, struct base_span text,
                                 struct conf_errors *errors)
{
    char path[1024], *whole = NULL;
    size_t len = 0;
    int n = snprintf(path, sizeof(path), "%s/" CONFIG_ADOPTED, conf->gateway.state_dir);
    int fd = n > 0 && (size_t)n < sizeof(path) ? f->open_file(f->user, path) : -ENOENT;

    /* A running gateway may not look into another state directory: that needs a restart. */
    if (fd == -ENOENT || fd == -EACCES || fd == -EPERM)
        return conf;
    if (fd >= 0) {
        int error = is_trusted(fd, path) ? read_all(f, fd, &f->adopted) : -EPERM;
        close(fd);
        if (error == 0)
            memcpy(f->adopted_path, path, sizeof(path));
        if (error != 0) {
            conf_free(conf);
            errors->error[errors->cnt++] = (struct conf_error){
                .file = f->main_path,
                .key = "gateway: state_dir",
                .why = error == -EPERM ? CONFIG_ADOPTED
                           " in it has to be a file of root's that nobody else may write"
                                       : CONFIG_ADOPTED " in it cannot be read"};
            return NULL;
        }
    }
    bool none = conf->spool_cnt > 0 && conf->spool[0].line == 0;
    FILE *out = open_memstream(&whole, &len);
    base_assert(out != NULL);
    fwrite(text.p, 1, text.len, out);
    fprintf(out, "\n%sinclude \"%s\";\n", none ? "spool { } " : "", path);
    if (fclose(out) != 0 || f->cnt == FILE_CNT_MAX) {
        free(whole);
        return conf;
    }
    f->bytes[f->cnt++] = (uint8_t *)whole;
    conf_free(conf);
    conf_errors_free(errors);
    return conf_parse_partly(f->main_path, base_span_of((const uint8_t *)whole, len), include, f,
                             errors);
}

/* What the operator reads of an error of read_all. */
static const char *why_not(int error)
{
    return error == -EINVAL ? "Not a file" : strerror(-error);
}

struct conf *config_load_partly(const char *path, config_open open_file, void *user,
                                struct conf_errors *errors)
{
    struct config_files f = {.open_file = open_file, .user = user, .main_path = path};
    struct base_span text = {0};
    struct conf *conf = NULL;

    memset(errors, 0, sizeof(*errors));
    int fd = open_file(user, path);
    int error = fd;
    if (fd >= 0) {
        error = read_all(&f, fd, &text);
        close(fd);
    }
    if (error < 0) {
        errors->error[errors->cnt++] =
            (struct conf_error){.file = path, .line = 0, .key = "", .why = why_not(error)};
    } else {
        conf = conf_parse_partly(path, text, include, &f, errors);
    }
    if (conf != NULL && errors->cnt == 0)
        conf = with_adopted(conf, &f, text, errors);
    for (uint32_t i = 0; i < f.cnt; i++)
        free(f.bytes[i]);
    return conf;
}

struct conf *config_load(const char *path, config_open open_file, void *user,
                         struct conf_errors *errors)
{
    struct conf *conf = config_load_partly(path, open_file, user, errors);

    if (errors->cnt == 0)
        return conf;
    conf_free(conf);
    return NULL;
}
