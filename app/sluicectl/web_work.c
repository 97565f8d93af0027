#include "web_work.h"
#include "base_json.h"
#include "gateway_ask.h"
#include "http_server.h"
#include "top_look.h"
#include "web_queue.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAMPLE_CAP 768
#define LOOK_CNT   32    /* samples that the last minute is told from */
#define WATCHED_MS 15000 /* after the last question */
#define FRESH_MS   5000  /* what was seen is of now */
#define STATE_MS   4000

struct web_work {
    const char *socket_path;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;
    /* Under the lock. */
    bool stop, pause, busy;
    struct web_request *first, *last;
    uint32_t request_cnt;
    uint64_t watched_ms;
    uint64_t sample_cnt; /* the next one's number */
    char sample[WEB_SAMPLE_CNT][SAMPLE_CAP];
    char *seen[2]; /* LIVE and STATE: members; owned; NULL: never */
    uint64_t seen_ms[2];
    bool watched_last; /* the last LIVE has lists */
    /* The thread's. */
    uint64_t next_ms;
    uint64_t look_cnt; /* of this run of the gateway, without a gap */
    struct top_look look[LOOK_CNT];
    struct top_look now;
};

/* ---- samples ---- */

static uint64_t wall_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static const struct top_look *look_before(const struct web_work *w, uint64_t back)
{
    uint64_t have = w->look_cnt < LOOK_CNT ? w->look_cnt : LOOK_CNT;

    back = back < have ? back : have;
    return back == 0 ? &w->now : &w->look[(w->look_cnt - back) % LOOK_CNT];
}

/* What the gateway is, in words for the page; and a sample for its graphs. */
static void write_up(FILE *live, FILE *sample, const struct web_work *w)
{
    const struct top_look *last = look_before(w, 1), *minute = look_before(w, LOOK_CNT - 1);

    fputs("\"up\":true,\"top\":", live);
    top_json(live, last, &w->now);
    fputs(",\"minute\":{", live);
    top_json_times(live, minute, &w->now);
    fprintf(live, ",\"seconds\":%.0f}",
            w->now.now_ns > minute->now_ns ? (double)(w->now.now_ns - minute->now_ns) / 1e9 : 0.0);
    fprintf(sample, "{\"at_ms\":%" PRIu64 ",\"up\":true,", wall_ms());
    top_json_values(sample, last, &w->now);
    fputc('}', sample);
}

static void write_down(FILE *live, FILE *sample, const char *why)
{
    fputs("\"up\":false,\"why\":", live);
    base_json_print(live, base_span_str(why));
    fprintf(sample, "{\"at_ms\":%" PRIu64 ",\"up\":false}", wall_ms());
}

static void keep(struct web_work *w, enum web_kind kind, char *text)
{
    free(w->seen[kind]);
    w->seen[kind] = text;
    w->seen_ms[kind] = http_now_ms();
}

static void take_sample(struct web_work *w)
{
    char why[GATEWAY_WHY_CAP], sample[SAMPLE_CAP] = "", *text = NULL;
    size_t len;

    pthread_mutex_lock(&w->lock);
    bool watched = http_now_ms() - w->watched_ms < WATCHED_MS;
    pthread_mutex_unlock(&w->lock);
    bool up = top_look_at(w->socket_path, &w->now, watched, why);
    FILE *live = open_memstream(&text, &len), *line = fmemopen(sample, sizeof(sample), "w");
    if (live != NULL && line != NULL && up)
        write_up(live, line, w);
    else if (live != NULL && line != NULL)
        write_down(live, line, why);
    if (live != NULL)
        fclose(live);
    if (line == NULL || fclose(line) != 0)
        sample[0] = 0; /* memory is short, or it was cut */
    w->look[w->look_cnt % LOOK_CNT] = w->now;
    w->look_cnt = up ? w->look_cnt + 1 : 0;
    w->next_ms = http_now_ms() + WEB_SAMPLE_MS;
    pthread_mutex_lock(&w->lock);
    keep(w, WEB_LIVE, text);
    w->watched_last = watched;
    if (sample[0] != 0)
        memcpy(w->sample[w->sample_cnt++ % WEB_SAMPLE_CNT], sample, sizeof(sample));
    pthread_mutex_unlock(&w->lock);
}

/* ---- state ---- */

/* Lines as an array. */
static void write_array(FILE *out, const char *text)
{
    const char *comma = "";

    fputc('[', out);
    for (const char *p = text; p != NULL && *p != 0;) {
        size_t len = strcspn(p, "\n");
        fprintf(out, "%s%.*s", comma, (int)len, p);
        comma = ",";
        p += len;
        p += *p == '\n';
    }
    fputc(']', out);
}

static void look_at_state(struct web_work *w)
{
    char why[GATEWAY_WHY_CAP], *status = NULL, *refusals = NULL, *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (out == NULL)
        return;
    bool up =
        gateway_ask(w->socket_path, "status --json", GATEWAY_LOOK_S, &status, why) == GATEWAY_WHOLE;
    if (up) {
        fprintf(out, "\"up\":true,\"status\":%.*s", (int)strcspn(status, "\n"), status);
        up = gateway_ask(w->socket_path, "refusals --json", GATEWAY_LOOK_S, &refusals, why) ==
             GATEWAY_WHOLE;
        fputs(",\"refusals\":", out);
        write_array(out, up ? refusals : "");
    } else {
        fputs("\"up\":false,\"why\":", out);
        base_json_print(out, base_span_str(why));
    }
    free(status);
    free(refusals);
    fclose(out);
    pthread_mutex_lock(&w->lock);
    keep(w, WEB_STATE, text);
    pthread_mutex_unlock(&w->lock);
}

/* ---- what was seen ---- */

/* Of now, and with what somebody who watches wants; under the lock. */
static bool is_fresh(const struct web_work *w, enum web_kind kind)
{
    return w->seen[kind] != NULL && http_now_ms() - w->seen_ms[kind] < FRESH_MS &&
           (kind != WEB_LIVE || w->watched_last);
}

static void write_samples(const struct web_work *w, const char *after, FILE *out)
{
    uint64_t oldest = w->sample_cnt > WEB_SAMPLE_CNT ? w->sample_cnt - WEB_SAMPLE_CNT : 0;
    uint64_t from = after != NULL ? strtoull(after, NULL, 10) : 0;

    if (from > w->sample_cnt)
        from = 0; /* another run of ours gave it */
    if (from < oldest)
        from = oldest;
    fprintf(out, ",\"next\":%" PRIu64 ",\"interval_ms\":%d,\"samples\":[", w->sample_cnt,
            WEB_SAMPLE_MS);
    for (uint64_t i = from; i < w->sample_cnt; i++)
        fprintf(out, "%s%s", i > from ? "," : "", w->sample[i % WEB_SAMPLE_CNT]);
    fputc(']', out);
}

static void write_seen(const struct web_work *w, enum web_kind kind, const char *after, FILE *out)
{
    fputs(w->seen[kind] != NULL ? w->seen[kind] : "\"up\":false,\"why\":\"memory is short\"", out);
    if (kind == WEB_LIVE)
        write_samples(w, after, out);
}

bool web_work_seen(struct web_work *w, enum web_kind kind, const char *after, FILE *out)
{
    pthread_mutex_lock(&w->lock);
    w->watched_ms = http_now_ms();
    bool fresh = is_fresh(w, kind);
    if (fresh)
        write_seen(w, kind, after, out);
    pthread_mutex_unlock(&w->lock);
    return fresh;
}

/* ---- requests ---- */

bool web_work_push(struct web_work *w, struct web_request *r)
{
    pthread_mutex_lock(&w->lock);
    bool taken = !w->pause && w->request_cnt < HTTP_PLACE_MAX;
    w->watched_ms = http_now_ms();
    if (taken) {
        MHD_suspend_connection(r->connection);
        r->next = NULL;
        *(w->first == NULL ? &w->first : &w->last->next) = r;
        w->last = r;
        w->request_cnt++;
        pthread_cond_signal(&w->wake);
    }
    pthread_mutex_unlock(&w->lock);
    return taken;
}

/* The next one, or NULL; under the lock. */
static struct web_request *take(struct web_work *w)
{
    struct web_request *r = w->first;

    if (r != NULL) {
        w->first = r->next;
        w->request_cnt--;
    }
    return r;
}

static bool is_paused(void *user)
{
    struct web_work *w = user;

    pthread_mutex_lock(&w->lock);
    bool paused = w->pause || w->stop;
    pthread_mutex_unlock(&w->lock);
    return paused;
}

static void answer_seen(struct web_work *w, const struct web_request *r, FILE *out)
{
    pthread_mutex_lock(&w->lock);
    bool fresh = is_fresh(w, r->kind);
    pthread_mutex_unlock(&w->lock);
    if (!fresh && r->kind == WEB_LIVE)
        take_sample(w);
    else if (!fresh)
        look_at_state(w);
    fputc('{', out);
    pthread_mutex_lock(&w->lock);
    write_seen(w, r->kind, r->field[WEB_AFTER], out);
    pthread_mutex_unlock(&w->lock);
    fputc('}', out);
}

static void answer(struct web_work *w, struct web_request *r)
{
    FILE *out = open_memstream(&r->text, &r->len);

    if (out == NULL)
        return;
    switch (r->kind) {
    case WEB_LIVE:
    case WEB_STATE:
        answer_seen(w, r, out);
        break;
    case WEB_QUEUE:
        web_queue_page(out, w->socket_path, r);
        break;
    case WEB_MESSAGE:
        web_queue_message(out, w->socket_path, r);
        break;
    case WEB_CHANGE:
        r->refused = !web_queue_change(out, w->socket_path, r, is_paused, w);
        break;
    }
    if (fclose(out) != 0) {
        free(r->text);
        r->text = NULL;
    }
}

/* ---- the thread ---- */

static void wait_until(struct web_work *w, uint64_t until_ms)
{
    struct timespec t = {.tv_sec = (time_t)(until_ms / 1000),
                         .tv_nsec = (long)(until_ms % 1000) * 1000000};

    while (!w->stop && (w->first == NULL || w->pause) && http_now_ms() < until_ms)
        if (pthread_cond_timedwait(&w->wake, &w->lock, &t) == ETIMEDOUT)
            break;
}

static void tend(struct web_work *w)
{
    if (http_now_ms() >= w->next_ms)
        take_sample(w);
    pthread_mutex_lock(&w->lock);
    uint64_t now_ms = http_now_ms();
    bool state = now_ms - w->watched_ms < WATCHED_MS &&
                 (w->seen[WEB_STATE] == NULL || now_ms - w->seen_ms[WEB_STATE] >= STATE_MS);
    pthread_mutex_unlock(&w->lock);
    if (state)
        look_at_state(w);
}

static void *work_main(void *arg)
{
    struct web_work *w = arg;

    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        wait_until(w, w->next_ms);
        struct web_request *r = w->pause ? NULL : take(w);
        w->busy = r != NULL;
        pthread_mutex_unlock(&w->lock);
        if (r != NULL)
            answer(w, r);
        pthread_mutex_lock(&w->lock);
        if (r != NULL) {
            struct MHD_Connection *c = r->connection; /* r is its handler's from here on */
            r->done = true;
            MHD_resume_connection(c);
        }
        w->busy = false;
        pthread_cond_signal(&w->idle);
        pthread_mutex_unlock(&w->lock);
        tend(w);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

void web_work_pause(struct web_work *w, bool on)
{
    struct web_request *r;

    pthread_mutex_lock(&w->lock);
    w->pause = on;
    while (on && w->busy)
        pthread_cond_wait(&w->idle, &w->lock);
    while (on && (r = take(w)) != NULL) {
        struct MHD_Connection *c = r->connection;
        r->done = true;
        MHD_resume_connection(c);
    }
    pthread_mutex_unlock(&w->lock);
}

struct web_work *web_work_start(const char *socket_path)
{
    struct web_work *w = calloc(1, sizeof(*w));
    pthread_condattr_t attr;

    if (w == NULL)
        return NULL;
    w->socket_path = socket_path;
    w->watched_ms = http_now_ms() - WATCHED_MS;
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &attr);
    pthread_cond_init(&w->idle, NULL);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&w->thread, NULL, work_main, w) == 0)
        return w;
    free(w);
    return NULL;
}

void web_work_stop(struct web_work *w)
{
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->wake);
    pthread_cond_destroy(&w->idle);
    pthread_mutex_destroy(&w->lock);
    free(w->seen[WEB_LIVE]);
    free(w->seen[WEB_STATE]);
    free(w);
}
