#include "spool_command.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_CAP = SPOOL_ID_TEXT_LEN + 32 };

struct export
{
    struct spool_inspect *in;
    uint64_t index;
    struct spool_inspect_message message;
    int dir_fd;
    const char *dir;
};

static int fail(const struct export *x, const char *name)
{
    int rc = -errno;
    fprintf(stderr, "sluicectl: %s/%s: %s%s\n", x->dir, name, strerror(-rc), command_next(-rc));
    return rc;
}

/* Header section, then body. Returns 0, -EBADMSG, or the disk's error. */
static int content_write(const struct export *x, FILE *out)
{
    uint64_t bytes = 0;
    for (unsigned part = SPOOL_PART_HEADER; part <= SPOOL_PART_BODY; part++)
        for (uint32_t n = 0; n < x->message.piece_cnt; n++) {
            struct spool_inspect_piece p;
            struct base_span data;
            spool_inspect_piece(x->in, x->index, n, &p);
            if (p.segment == 0)
                return -EBADMSG;
            if (p.part != part)
                continue;
            int rc = spool_inspect_read(x->in, x->index, n, &data);
            if (rc < 0)
                return rc;
            fwrite(data.p, 1, data.len, out);
            bytes += data.len;
        }
    return bytes == x->message.content_bytes ? 0 : -EBADMSG;
}

/*
 * Writes one of a message's two files under a name of its own and gives it its right name when it
 * is whole and on stable storage. Returns 1; 0 when that name is taken; -EBADMSG when the message
 * cannot be read; or another error, which was printed.
 */
static int file_write(const struct export *x, const char *name, bool content)
{
    char part[NAME_CAP + 8];
    struct stat st;

    if (fstatat(x->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    snprintf(part, sizeof(part), "%s.%ld", name, (long)getpid());
    int fd = openat(x->dir_fd, part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (out == NULL) {
        int rc = fail(x, part);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    int rc = 0;
    if (content)
        rc = content_write(x, out);
    else
        spool_print_message(out, x->in, x->index, &x->message, false, true);
    if (rc == 0 && (fflush(out) != 0 || ferror(out) || fsync(fd) < 0))
        rc = fail(x, name);
    if (fclose(out) != 0 && rc == 0)
        rc = fail(x, name);
    if (rc == 0 && renameat2(x->dir_fd, part, x->dir_fd, name, RENAME_NOREPLACE) < 0)
        rc = errno == EEXIST ? -EEXIST : fail(x, name);
    if (rc < 0)
        unlinkat(x->dir_fd, part, 0);
    return rc == 0 ? 1 : rc == -EEXIST ? 0 : rc;
}

/* As file_write: 1 when both files are there now, and at least one was not. */
static int message_export(const struct export *x)
{
    char id[SPOOL_ID_TEXT_LEN + 1];
    char name[NAME_CAP];

    if (x->message.envelope.len == 0)
        return -EBADMSG;
    spool_id_format(id, &x->message.id);
    snprintf(name, sizeof(name), "%s.eml", id);
    int content = file_write(x, name, true);
    if (content < 0)
        return content;
    snprintf(name, sizeof(name), "%s.envelope", id);
    int envelope = file_write(x, name, false);
    return envelope < 0 ? envelope : content + envelope > 0;
}

static int messages_export(struct export *x, struct spool_export_totals *t)
{
    const struct spool_inspect_message *m = &x->message;
    int rc;
    for (; (rc = spool_inspect_message(x->in, x->index, &x->message)) == 1; x->index++) {
        char id[SPOOL_ID_TEXT_LEN + 1];
        if (m->state == SPOOL_INSPECT_UNFINISHED)
            continue;
        spool_id_format(id, &m->id);
        rc = message_export(x);
        if (rc == -EBADMSG)
            fprintf(stderr,
                    "sluicectl: message %s cannot be read whole: not exported; sluicectl spool "
                    "check tells what is damaged\n",
                    id);
        else if (rc == 0)
            fprintf(stderr, "sluicectl: %s/%s.eml is there already: left as it is\n", x->dir, id);
        else if (rc < 0)
            return rc;
        t->written_cnt += rc == 1;
        t->there_cnt += rc == 0;
        t->damaged_cnt += rc == -EBADMSG;
    }
    return rc;
}

int spool_export_run(struct spool_inspect *in, const char *dir, struct spool_export_totals *totals)
{
    struct export x = {.in = in, .dir = dir};
    if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
        fprintf(stderr, "sluicectl: %s: %s%s\n", dir, strerror(errno), command_next(errno));
        return -1;
    }
    x.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (x.dir_fd < 0) {
        fprintf(stderr, "sluicectl: %s: %s%s\n", dir, strerror(errno), command_next(errno));
        return -1;
    }
    int rc = messages_export(&x, totals);
    if (fsync(x.dir_fd) < 0)
        rc = fail(&x, ".");
    close(x.dir_fd);
    return rc < 0 ? -1 : 0;
}
