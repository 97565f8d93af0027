#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct log {
    struct log_config config;
    int fd;
    bool own_fd; /* stderr is not ours to close */
    bool torn;   /* the last write broke off inside a line */
    char buf[1 + LOG_BATCH_MAX * LOG_LINE_CAP];
};

static int open_path(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
    return fd >= 0 ? fd : -errno;
}

int log_open(struct log **out, const struct log_config *config)
{
    struct log *l = calloc(1, sizeof(*l));

    if (l == NULL)
        return -ENOMEM;
    l->config = *config;
    l->own_fd = config->path != NULL;
    l->fd = l->own_fd ? open_path(config->path) : STDERR_FILENO;
    if (l->fd < 0) {
        int error = l->fd;
        free(l);
        return error;
    }
    *out = l;
    return 0;
}

void log_close(struct log *l)
{
    if (l->own_fd)
        close(l->fd);
    free(l);
}

int log_reopen(struct log *l)
{
    if (l->config.path == NULL)
        return 0;
    int fd = open_path(l->config.path);
    if (fd < 0)
        return fd;
    log_set_fd(l, fd);
    return 0;
}

void log_set_fd(struct log *l, int fd)
{
    if (l->own_fd)
        close(l->fd);
    l->fd = fd;
    l->own_fd = true;
    l->torn = false;
}

void log_set_level(struct log *l, enum stats_log_level level)
{
    l->config.level = level;
}

static void count(struct log *l, enum stats_id id, uint32_t n)
{
    if (l->config.stats != NULL)
        stats_add(l->config.stats, id, n);
}

/* Writes what has been gathered behind the first byte of buf: room for the line feed that ends a
 * torn line. */
static int write_batch(struct log *l, size_t len, uint32_t lines)
{
    char *p = l->buf + 1;

    if (l->torn) {
        *--p = '\n';
        len++;
    }
    while (len > 0) {
        ssize_t n = write(l->fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int error = n < 0 ? -errno : -EIO;
            uint32_t lost = 0;
            for (size_t i = 0; i < len; i++)
                lost += p[i] == '\n';
            /* A line feed that was only to end a torn line is none of the lines. */
            lost = lost < lines ? lost : lines;
            count(l, STATS_LOG_LOST, lost);
            count(l, STATS_LOG_LINES, lines - lost);
            return error;
        }
        l->torn = p[n - 1] != '\n';
        p += n;
        len -= (size_t)n;
    }
    count(l, STATS_LOG_LINES, lines);
    return 0;
}

int log_write(struct log *l, const struct stats_log_record *records, uint32_t cnt)
{
    int result = 0;

    for (uint32_t done = 0; done < cnt;) {
        size_t len = 0;
        uint32_t lines = 0;
        for (; done < cnt && lines < LOG_BATCH_MAX; done++) {
            const struct stats_log_record *r = &records[done];
            base_assert(r->event < STATS_LOG_EVENT_CNT);
            if (stats_log_rows[r->event].level > l->config.level)
                continue;
            len += log_format(l->buf + 1 + len, r, l->config.id_format);
            lines++;
        }
        int error = lines > 0 ? write_batch(l, len, lines) : 0;
        if (error != 0)
            result = error;
    }
    return result;
}
