#include "metrics_read.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX (16 << 20)

/* ---- the form ---- */

/* The next field of a line, ended by a tab or the line's end. NULL: there is none. */
static char *next_field(char **line)
{
    char *field = *line;

    if (field == NULL)
        return NULL;
    char *tab = strchr(field, '\t');
    if (tab != NULL)
        *tab++ = 0;
    *line = tab;
    return field;
}

static bool read_number(const char **p, uint64_t *out)
{
    uint64_t n = 0;
    const char *at = *p;

    if (*at < '0' || *at > '9')
        return false;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*at - '0'), &n))
            return false;
    *p = at;
    *out = n;
    return true;
}

static bool whole_number(const char *field, uint64_t *out)
{
    return field != NULL && read_number(&field, out) && *field == 0;
}

static uint32_t width_of(const struct metrics_row *row)
{
    return row->kind == METRICS_HISTOGRAM ? row->bound_cnt + 2 : 1;
}

static uint32_t find_thread(const struct metrics *m, const char *name, size_t len)
{
    for (uint32_t i = 0; i < m->thread_cnt; i++)
        if (strlen(m->thread[i]) == len && memcmp(m->thread[i], name, len) == 0)
            return i;
    return m->thread_cnt;
}

/* "lane0=12 courier=3", or "lane0=99:0,1,2". */
static bool read_values(struct metrics *m, const struct metrics_row *row, const char *p)
{
    uint32_t width = width_of(row);

    while (*p != 0) {
        p += *p == ' ';
        const char *equals = strchr(p, '=');
        if (equals == NULL)
            return false;
        uint32_t thread = find_thread(m, p, (size_t)(equals - p));
        if (thread == m->thread_cnt)
            return false;
        uint64_t *v = m->values + row->first + (size_t)thread * width;
        p = equals + 1;
        if (!read_number(&p, &v[width - 1]))
            return false;
        for (uint32_t i = 0; i + 1 < width; i++)
            if (*p++ != (i == 0 ? ':' : ',') || !read_number(&p, &v[i]))
                return false;
        if (*p != 0 && *p != ' ')
            return false;
    }
    return true;
}

/* The line of a row, behind its kind. */
static int read_row(struct metrics *m, enum metrics_kind kind, char *line, size_t *value_cnt)
{
    struct metrics_row row = {.kind = kind};
    uint64_t shift = 0, bounds = 0;

    row.group = next_field(&line);
    row.name = next_field(&line);
    row.unit = next_field(&line);
    row.help = next_field(&line);
    if (kind == METRICS_HISTOGRAM &&
        (!whole_number(next_field(&line), &shift) || !whole_number(next_field(&line), &bounds) ||
         shift > 40 || bounds == 0 || bounds > STATS_BOUND_MAX))
        return -EBADMSG;
    const char *values = next_field(&line);
    if (values == NULL || line != NULL || m->row_cnt == METRICS_ROW_MAX)
        return -EBADMSG;
    row.shift = (uint32_t)shift;
    row.bound_cnt = (uint32_t)bounds;
    size_t more = (size_t)width_of(&row) * m->thread_cnt;
    uint64_t *grown = realloc(m->values, (*value_cnt + more + 1) * sizeof(*grown));
    if (grown == NULL)
        return -ENOMEM;
    memset(grown + *value_cnt, 0, more * sizeof(*grown));
    m->values = grown;
    row.first = (uint32_t)*value_cnt;
    *value_cnt += more;
    m->row[m->row_cnt++] = row;
    return read_values(m, &m->row[m->row_cnt - 1], values) ? 0 : -EBADMSG;
}

/* Another line than the first one. *over: it was the last. */
static int read_line(struct metrics *m, char *line, size_t *value_cnt, bool *over)
{
    static const char *const kinds[] = {[METRICS_COUNTER] = "counter",
                                        [METRICS_GAUGE] = "gauge",
                                        [METRICS_HISTOGRAM] = "histogram"};
    const char *what = next_field(&line);

    for (uint32_t k = 0; k < BASE_ARRAY_CNT(kinds); k++)
        if (strcmp(what, kinds[k]) == 0)
            return read_row(m, (enum metrics_kind)k, line, value_cnt);
    if (strcmp(what, "end") == 0) {
        *over = true;
        return line == NULL ? 0 : -EBADMSG;
    }
    if (strcmp(what, "cycles_per_second") == 0)
        return whole_number(line, &m->cycles_per_s) ? 0 : -EBADMSG;
    bool thread = strcmp(what, "thread") == 0, spool = strcmp(what, "spool") == 0;
    if ((thread || spool) &&
        (line == NULL || m->row_cnt > 0 || m->thread_cnt == METRICS_THREAD_MAX ||
         m->spool_cnt == METRICS_SPOOL_MAX))
        return -EBADMSG;
    if (thread)
        m->thread[m->thread_cnt++] = line;
    if (spool)
        m->spool[m->spool_cnt++] = line;
    return 0; /* what a later version tells, too, is none of ours */
}

int metrics_parse(struct metrics *out, char *text, size_t len)
{
    static const char first[] = "sluice-metrics\t1\n";
    size_t value_cnt = 0;
    bool over = false;
    int error = 0;

    *out = (struct metrics){.text = text};
    out->row = calloc(METRICS_ROW_MAX, sizeof(*out->row));
    if (out->row == NULL)
        error = -ENOMEM;
    else if (strlen(text) != len || strncmp(text, first, sizeof(first) - 1) != 0)
        error = -EBADMSG;
    for (char *at = text + sizeof(first) - 1; error == 0 && !over;) {
        char *end = strchr(at, '\n');
        if (end == NULL) {
            error = -EBADMSG;
            break;
        }
        *end = 0;
        error = read_line(out, at, &value_cnt, &over);
        at = end + 1;
        if (over && *at != 0)
            error = -EBADMSG;
    }
    if (error != 0)
        metrics_free(out);
    return error;
}

void metrics_free(struct metrics *m)
{
    free(m->row);
    free(m->values);
    free(m->text);
    *m = (struct metrics){0};
}

/* ---- looking ---- */

const struct metrics_row *metrics_find(const struct metrics *m, const char *group, const char *name)
{
    for (uint32_t i = 0; i < m->row_cnt; i++)
        if (strcmp(m->row[i].group, group) == 0 && strcmp(m->row[i].name, name) == 0)
            return &m->row[i];
    return NULL;
}

uint64_t metrics_value(const struct metrics *m, const struct metrics_row *row, uint32_t thread,
                       uint32_t place)
{
    return m->values[row->first + (size_t)thread * width_of(row) + place];
}

uint64_t metrics_total(const struct metrics *m, const struct metrics_row *row, uint32_t place)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < m->thread_cnt; i++)
        sum += metrics_value(m, row, i, place);
    return sum;
}

/* ---- the gateway ---- */

static uint64_t clock_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* All until the end, with a NUL behind it. Returns NULL with errno. */
static char *read_all(int fd, size_t *len)
{
    uint64_t end_ms = clock_ms() + METRICS_WAIT_S * 1000;
    size_t cap = 256 << 10;
    char *text = malloc(cap + 1);

    *len = 0;
    errno = ENOMEM;
    while (text != NULL) {
        uint64_t now_ms = clock_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = now_ms < end_ms ? poll(&p, 1, (int)(end_ms - now_ms)) : 0;
        ssize_t n = ready > 0 ? read(fd, text + *len, cap - *len) : -1;
        if (ready == 0)
            errno = ETIMEDOUT;
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            break;
        *len += (size_t)n;
        text[*len] = 0;
        if (n == 0)
            return text;
        if (*len < cap)
            continue;
        char *grown = cap < ANSWER_MAX ? realloc(text, 2 * cap + 1) : NULL;
        if (grown == NULL) {
            errno = EMSGSIZE;
            break;
        }
        text = grown;
        cap *= 2;
    }
    int error = errno;
    free(text);
    errno = error;
    return NULL;
}

ssize_t metrics_join(char *text, size_t len)
{
    static const char ok[] = "ok\n";
    size_t out = 0, at = sizeof(ok) - 1;

    if (strncmp(text, ok, at) != 0)
        return -1;
    while (strncmp(text + at, "data ", 5) == 0) {
        const char *p = text + at + 5;
        uint64_t n;
        if (!read_number(&p, &n) || *p != '\n')
            return -1;
        size_t from = (size_t)(p + 1 - text);
        if (n > len - from)
            return -1;
        memmove(text + out, text + from, n);
        out += n;
        at = from + n;
    }
    if (strcmp(text + at, "end\n") != 0)
        return -1;
    text[out] = 0;
    return (ssize_t)out;
}

static int told(int error, char why[METRICS_WHY_CAP], const char *path, const char *what)
{
    snprintf(why, METRICS_WHY_CAP, "%s: %s: %s", path, strerror(-error), what);
    return error;
}

int metrics_fetch(struct metrics *out, const char *socket_path, char why[METRICS_WHY_CAP])
{
    static const char command[] = "metrics\n";
    int fd = command_dial(socket_path, SOCK_NONBLOCK);
    size_t len;

    if (fd < 0) {
        command_dial_why(why, socket_path, fd);
        return fd;
    }
    char *text = send(fd, command, sizeof(command) - 1, MSG_NOSIGNAL) == sizeof(command) - 1
                     ? read_all(fd, &len)
                     : NULL;
    int error = text == NULL ? -errno : 0;
    close(fd);
    if (text == NULL)
        return told(error, why, socket_path, "the gateway does not answer");
    if (strncmp(text, "error: ", 7) == 0) {
        snprintf(why, METRICS_WHY_CAP, "%.*s", (int)strcspn(text + 7, "\n"), text + 7);
        free(text);
        return -EPERM;
    }
    ssize_t joined = metrics_join(text, len);
    if (joined < 0) {
        free(text);
        return told(-EBADMSG, why, socket_path, "the answer broke off: the gateway is going down");
    }
    error = metrics_parse(out, text, (size_t)joined);
    return error == 0 ? 0 : told(error, why, socket_path, "it speaks another version's form");
}
