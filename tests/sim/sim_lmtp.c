#include "sim_lmtp.h"
#include "base_rand.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define STREAM_MAX  256
#define RCPT_MAX    8
#define ADDRESS_CAP 80
#define OUT_CAP     4096
#define BODY_CAP    (1 << 20)

struct store {
    bool open, ended, data;
    bool news; /* since poll has told of it */
    char path[NET_STREAM_PATH_CAP];
    char sender[ADDRESS_CAP], rcpt[RCPT_MAX][ADDRESS_CAP];
    uint32_t rcpt_cnt;
    char line[2048];
    size_t line_len;
    uint8_t *body;
    size_t body_len;
    char out[OUT_CAP];
    size_t out_len, out_at;
};

struct sim_lmtp {
    struct sim_lmtp_config config;
    struct base_rand rand;
    uint64_t taken_cnt, cut_cnt;
    struct store store[STREAM_MAX];
};

static bool trouble(struct sim_lmtp *s)
{
    return base_rand_below(&s->rand, 100) < s->config.trouble_percent;
}

static void say(struct store *t, const char *text)
{
    size_t len = strlen(text);

    base_assert(len <= OUT_CAP - t->out_len);
    memcpy(t->out + t->out_len, text, len);
    t->out_len += len;
    t->news = true;
}

/* The address between < and >. */
static bool address(char out[ADDRESS_CAP], const char *line)
{
    const char *from = strchr(line, '<'), *to = from != NULL ? strchr(from, '>') : NULL;

    if (to == NULL || to - from - 1 >= ADDRESS_CAP)
        return false;
    memcpy(out, from + 1, (size_t)(to - from - 1));
    out[to - from - 1] = 0;
    return true;
}

/* Where each recipient is alone (the path says so) Delivered-To is put first, too. */
static void check_fields(const struct sim_lmtp *s, const struct store *t, const char *recipient)
{
    char want[400];
    int n = snprintf(want, sizeof(want), "Return-Path: <%s>\r\n", t->sender);

    if (strcmp(t->path, "/alone") == 0)
        n += snprintf(want + n, sizeof(want) - (size_t)n, "Delivered-To: %s\r\n", recipient);
    n += snprintf(want + n, sizeof(want) - (size_t)n, "Received: from client.example");
    if (t->body_len >= (size_t)n && memcmp(t->body, want, (size_t)n) == 0)
        return;
    fprintf(stderr, "seed %lu: fields of final delivery missing or wrong, not %s\n",
            (unsigned long)s->config.seed, want);
    abort();
}

/* One reply for each recipient; the session may end before any of them. */
static void end_of_data(struct sim_lmtp *s, struct store *t)
{
    t->data = false;
    for (uint32_t i = 0; i < t->rcpt_cnt; i++) {
        if (trouble(s) && trouble(s)) {
            s->cut_cnt++;
            t->ended = true;
            return;
        }
        if (trouble(s)) {
            say(t, "452 4.2.2 Mailbox full\r\n");
            continue;
        }
        s->taken_cnt++;
        check_fields(s, t, t->rcpt[i]);
        s->config.take(s->config.user, base_span_str(t->sender), base_span_str(t->rcpt[i]),
                       base_span_of(t->body, t->body_len));
        say(t, "250 2.0.0 Saved\r\n");
    }
    t->rcpt_cnt = 0;
}

static void data_line(struct sim_lmtp *s, struct store *t)
{
    const char *line = t->line;
    size_t len = t->line_len;

    if (len == 3 && line[0] == '.')
        return end_of_data(s, t);
    if (line[0] == '.') {
        line++;
        len--;
    }
    base_assert(len <= BODY_CAP - t->body_len);
    memcpy(t->body + t->body_len, line, len);
    t->body_len += len;
}

static void command(struct sim_lmtp *s, struct store *t)
{
    t->line[t->line_len - 2] = 0;
    if (strncmp(t->line, "LHLO ", 5) == 0) {
        say(t, "250-store.example\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-SMTPUTF8\r\n"
               "250 8BITMIME\r\n");
    } else if (strncmp(t->line, "MAIL ", 5) == 0) {
        base_assert(address(t->sender, t->line));
        t->rcpt_cnt = 0;
        say(t, "250 2.1.0 Ok\r\n");
    } else if (strncmp(t->line, "RCPT ", 5) == 0) {
        bool later = trouble(s);
        base_assert(later || (t->rcpt_cnt < RCPT_MAX && address(t->rcpt[t->rcpt_cnt], t->line)));
        t->rcpt_cnt += !later;
        say(t, later ? "451 4.2.1 Asleep\r\n" : "250 2.1.5 Ok\r\n");
    } else if (strcmp(t->line, "DATA") == 0) {
        t->data = t->rcpt_cnt > 0;
        t->body_len = 0;
        say(t, t->data ? "354 Go on\r\n" : "503 5.5.1 Nobody\r\n");
    } else if (strcmp(t->line, "QUIT") == 0) {
        say(t, "221 2.0.0 Bye\r\n");
        t->ended = true;
    } else {
        base_assert(strcmp(t->line, "RSET") == 0);
        t->rcpt_cnt = 0;
        say(t, "250 2.0.0 Ok\r\n");
    }
}

/* ---- the driver ---- */

static int open_stream(void *state, uint32_t number, const struct net_stream_target *target)
{
    struct sim_lmtp *s = state;
    struct store *t = &s->store[number];

    base_assert(number < STREAM_MAX && !t->open && target->path[0] == '/');
    if (trouble(s))
        return base_rand_below(&s->rand, 2) ? -EAGAIN : -ENOENT;
    *t = (struct store){.open = true};
    memcpy(t->path, target->path, sizeof(t->path));
    t->body = malloc(BODY_CAP);
    base_assert(t->body != NULL);
    say(t, "220 store.example LMTP\r\n");
    return 0;
}

static int error_of(void *state, uint32_t number)
{
    (void)number;
    return trouble(state) && trouble(state) ? -ECONNREFUSED : 0;
}

static ssize_t send_bytes(void *state, uint32_t number, const void *p, size_t len)
{
    struct sim_lmtp *s = state;
    struct store *t = &s->store[number];
    const char *in = p;
    size_t n = 1 + base_rand_below(&s->rand, len);

    if (t->ended || t->out_len > OUT_CAP / 2)
        return t->ended ? -EPIPE : -EAGAIN;
    for (size_t i = 0; i < n; i++) {
        base_assert(t->line_len < sizeof(t->line));
        t->line[t->line_len++] = in[i];
        if (in[i] != '\n')
            continue;
        base_assert(t->line_len >= 2 && t->line[t->line_len - 2] == '\r');
        if (t->data)
            data_line(s, t);
        else
            command(s, t);
        t->line_len = 0;
        if (t->ended)
            break;
    }
    if (s->config.trouble_percent > 0 && base_rand_below(&s->rand, 2000) == 0)
        t->ended = true;
    t->news |= t->ended;
    return (ssize_t)n;
}

static ssize_t recv_bytes(void *state, uint32_t number, void *p, size_t cap)
{
    struct sim_lmtp *s = state;
    struct store *t = &s->store[number];
    size_t n = t->out_len - t->out_at < cap ? t->out_len - t->out_at : cap;

    if (n == 0)
        return t->ended ? 0 : -EAGAIN;
    n = 1 + base_rand_below(&s->rand, n);
    memcpy(p, t->out + t->out_at, n);
    t->out_at += n;
    if (t->out_at == t->out_len)
        t->out_at = t->out_len = 0;
    t->news = true; /* there is room for what is sent */
    return (ssize_t)n;
}

static void close_stream(void *state, uint32_t number)
{
    struct store *t = &((struct sim_lmtp *)state)->store[number];

    base_assert(t->open);
    t->open = false;
    free(t->body);
    t->body = NULL;
}

static uint32_t poll_streams(void *state, struct net_stream_event *events, uint32_t cap)
{
    struct sim_lmtp *s = state;
    uint32_t n = 0;

    for (uint32_t i = 0; i < STREAM_MAX && n < cap; i++)
        if (s->store[i].open && s->store[i].news && base_rand_below(&s->rand, 2) == 0) {
            s->store[i].news = false;
            events[n++] = (struct net_stream_event){
                .number = i, .flags = NET_STREAM_READABLE | NET_STREAM_WRITABLE};
        }
    return n;
}

static int wait_fd(void *state)
{
    (void)state;
    return -1;
}

static const struct net_stream_ops ops = {
    .open = open_stream,
    .error = error_of,
    .send = send_bytes,
    .recv = recv_bytes,
    .close = close_stream,
    .poll = poll_streams,
    .wait_fd = wait_fd,
};

struct sim_lmtp *sim_lmtp_open(const struct sim_lmtp_config *config)
{
    struct sim_lmtp *s = calloc(1, sizeof(*s));

    base_assert(s != NULL);
    s->config = *config;
    base_rand_init(&s->rand, config->seed ^ 0x10);
    return s;
}

void sim_lmtp_close(struct sim_lmtp *s)
{
    for (uint32_t i = 0; i < STREAM_MAX; i++)
        if (s->store[i].open)
            close_stream(s, i);
    free(s);
}

struct net_stream_driver sim_lmtp_driver(struct sim_lmtp *s)
{
    return (struct net_stream_driver){.ops = &ops, .state = s};
}

void sim_lmtp_calm(struct sim_lmtp *s)
{
    s->config.trouble_percent = 0;
}

bool sim_lmtp_idle(const struct sim_lmtp *s)
{
    for (uint32_t i = 0; i < STREAM_MAX; i++)
        if (s->store[i].open)
            return false;
    return true;
}

void sim_lmtp_count(const struct sim_lmtp *s, uint64_t *taken_cnt, uint64_t *cut_cnt)
{
    *taken_cnt += s->taken_cnt;
    *cut_cnt += s->cut_cnt;
}
