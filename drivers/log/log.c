#include "log.h"
#include "log_target.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define LINE_MAX_CNT (LOG_BATCH_MAX * LOG_LINES_MAX)

struct line {
    const char *p;
    uint32_t len;
    uint16_t event;
};

struct log {
    struct log_config config;
    int fd; /* -1: not connected */
    bool own_fd;
    bool torn; /* what was written last broke off inside a line, which is not pending any more */
    /* Pending: cnt lines from first on, of the first of which done bytes are written. */
    struct line line[LINE_MAX_CNT];
    uint32_t first, cnt;
    uint32_t done;
    char buf[LINE_MAX_CNT * LOG_LINE_CAP];
};

static bool is_socket(const struct log *l)
{
    return l->config.target == LOG_TARGET_SYSLOG || l->config.target == LOG_TARGET_JOURNALD;
}

int log_open(struct log **out, const struct log_config *config)
{
    struct log *l = calloc(1, sizeof(*l));

    if (l == NULL)
        return -ENOMEM;
    l->config = *config;
    l->config.style.frame = config->target == LOG_TARGET_SYSLOG     ? LOG_FRAME_SYSLOG
                            : config->target == LOG_TARGET_JOURNALD ? LOG_FRAME_JOURNAL
                                                                    : LOG_FRAME_LINE;
    l->fd = config->target == LOG_TARGET_STDERR ? log_target_stderr(&l->own_fd)
            : is_socket(l)                      ? log_target_connect(config->path)
                                                : log_target_open(config->path);
    if (config->target != LOG_TARGET_STDERR)
        l->own_fd = true;
    if (l->fd < 0 && !is_socket(l)) {
        int error = l->fd;
        free(l);
        return error;
    }
    *out = l;
    return 0;
}

bool log_connected(const struct log *l)
{
    return l->fd >= 0;
}

static void close_fd(struct log *l)
{
    if (l->own_fd && l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}

void log_close(struct log *l)
{
    close_fd(l);
    free(l);
}

int log_reopen(struct log *l)
{
    if (l->config.target == LOG_TARGET_STDERR)
        return 0;
    int fd = is_socket(l) ? log_target_connect(l->config.path) : log_target_open(l->config.path);
    if (fd < 0)
        return fd;
    log_set_fd(l, fd);
    return 0;
}

void log_set_fd(struct log *l, int fd)
{
    close_fd(l);
    l->fd = fd;
    l->own_fd = true;
    l->torn = false;
    l->done = 0;
}

void log_set_level(struct log *l, enum stats_log_level level)
{
    l->config.level = level;
}

bool log_pending(const struct log *l)
{
    return l->cnt > 0;
}

void log_caught_up(struct log *l)
{
    if (l->config.stats != NULL)
        stats_inc(l->config.stats, STATS_LOG_CAUGHT_UP);
}

static bool is_kept(const struct line *line)
{
    return stats_log_kept((enum stats_log_event)line->event);
}

uint32_t log_pending_kept_cnt(const struct log *l)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < l->cnt; i++)
        n += is_kept(&l->line[l->first + i]);
    return n;
}

int log_fd(const struct log *l)
{
    return l->fd;
}

/* ---- losses ---- */

static void lose(struct log *l, uint16_t event)
{
    if (l->config.stats != NULL)
        stats_inc(l->config.stats, STATS_LOG_LOST);
    if (l->config.lost == NULL)
        return;
    _Atomic uint64_t *cnt = &l->config.lost->cnt[event];
    atomic_store_explicit(cnt, atomic_load_explicit(cnt, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* The target fails: what may be lost is. A line that was begun is finished later. */
static int fail(struct log *l, int error)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < l->cnt; i++) {
        struct line line = l->line[l->first + i];
        bool begun = i == 0 && l->done > 0;
        if (l->config.keep && (begun || is_kept(&line))) {
            l->line[l->first + kept++] = line;
            continue;
        }
        l->torn |= begun;
        l->done = begun ? 0 : l->done;
        lose(l, line.event);
    }
    l->cnt = kept;
    return error;
}

/* ---- writing ---- */

static void written(struct log *l, size_t bytes)
{
    while (l->cnt > 0 && bytes >= l->line[l->first].len - l->done) {
        bytes -= l->line[l->first].len - l->done;
        l->done = 0;
        l->first++;
        l->cnt--;
        if (l->config.stats != NULL)
            stats_inc(l->config.stats, STATS_LOG_LINES);
    }
    l->done += (uint32_t)bytes;
}

/* Lines lie behind each other but where one between them was lost: mostly it is one piece, of which
 * the kernel makes less work than of many. */
static void add_piece(struct iovec *v, int *n, char *p, size_t len)
{
    struct iovec *last = *n > 0 ? &v[*n - 1] : NULL;

    if (last != NULL && (char *)last->iov_base + last->iov_len == p)
        last->iov_len += len;
    else
        v[(*n)++] = (struct iovec){.iov_base = p, .iov_len = len};
}

static int flush_stream(struct log *l)
{
    struct iovec v[LINE_MAX_CNT + 1];
    char end = '\n';

    while (l->cnt > 0) {
        int n = 0;
        if (l->torn)
            v[n++] = (struct iovec){.iov_base = &end, .iov_len = 1};
        for (uint32_t i = 0; i < l->cnt; i++) {
            const struct line *line = &l->line[l->first + i];
            uint32_t skip = i == 0 ? l->done : 0;
            add_piece(v, &n, (char *)(uintptr_t)line->p + skip, line->len - skip);
        }
        ssize_t bytes = log_target_write(l->fd, v, n);
        if (bytes == -EINTR)
            continue;
        if (bytes == -EAGAIN)
            return -EAGAIN;
        if (bytes <= 0)
            return fail(l, bytes < 0 ? (int)bytes : -EIO);
        bytes -= l->torn;
        l->torn = false;
        written(l, (size_t)bytes);
    }
    return 0;
}

static int send_some(struct log *l)
{
    struct mmsghdr m[LINE_MAX_CNT] = {0};
    struct iovec v[LINE_MAX_CNT];

    for (uint32_t i = 0; i < l->cnt; i++) {
        const struct line *line = &l->line[l->first + i];
        v[i] = (struct iovec){.iov_base = (char *)(uintptr_t)line->p, .iov_len = line->len};
        m[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1};
    }
    int n = sendmmsg(l->fd, m, l->cnt, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return -errno;
    for (int i = 0; i < n; i++)
        written(l, l->line[l->first].len);
    return 0;
}

/* Who listened may have gone, and another come: one more connection is tried at once. */
static int flush_socket(struct log *l)
{
    bool again = true;

    while (l->cnt > 0) {
        int error = l->fd >= 0 ? send_some(l) : -ENOTCONN;
        if (error == 0 || error == -EINTR)
            continue;
        if (error == -EAGAIN || error == -ENOBUFS)
            return -EAGAIN;
        if (error == -EMSGSIZE) { /* none of ours is so long but by a small socket buffer */
            lose(l, l->line[l->first].event);
            l->first++;
            l->cnt--;
            continue;
        }
        close_fd(l);
        int fd = again ? log_target_connect(l->config.path) : error;
        if (fd < 0)
            return fail(l, fd);
        l->fd = fd;
        again = false;
    }
    return 0;
}

int log_flush(struct log *l)
{
    return is_socket(l) ? flush_socket(l) : flush_stream(l);
}

int log_write(struct log *l, const struct stats_log_record *records, uint32_t cnt)
{
    char *p = l->buf;

    base_assert(l->cnt == 0 && cnt <= LOG_BATCH_MAX);
    l->first = 0;
    l->done = 0;
    for (uint32_t i = 0; i < cnt; i++) {
        const struct stats_log_record *r = &records[i];
        base_assert(r->event < STATS_LOG_EVENT_CNT);
        if (stats_log_rows[r->event].level > l->config.level)
            continue;
        uint32_t lines = log_format_cnt(&l->config.style, r);
        for (uint32_t j = 0; j < lines; j++) {
            size_t len = log_format(p, &l->config.style, r, j);
            l->line[l->cnt++] = (struct line){.p = p, .len = (uint32_t)len, .event = r->event};
            p += len;
        }
    }
    return log_flush(l);
}
