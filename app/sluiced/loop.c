#include "loop.h"
#include "base_time.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define SLEEP_MAX_NS BASE_NS_S

uint64_t loop_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * BASE_NS_S + (uint64_t)t.tv_nsec;
}

uint64_t loop_wall_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * BASE_NS_S + (uint64_t)t.tv_nsec;
}

static int watch(int epoll, int fd)
{
    struct epoll_event e = {.events = EPOLLIN};

    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) != 0 ? -errno : 0;
}

int loop_init(struct loop *l, struct doorbell *bell, const int *fds, unsigned fd_cnt, bool sleeps,
              struct stats_block *stats)
{
    *l = (struct loop){.bell = bell, .sleeps = sleeps, .stats = stats, .spin_ns = LOOP_SPIN_NS};
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0)
        return -errno;
    int error = watch(l->epoll, bell->fd);
    for (unsigned i = 0; i < fd_cnt && error == 0; i++) {
        if (fds[i] < 0)
            l->nap_ns = LOOP_NAP_MIN_NS;
        else
            error = watch(l->epoll, fds[i]);
    }
    return error;
}

void loop_fini(struct loop *l)
{
    if (l->epoll >= 0)
        close(l->epoll);
    l->epoll = -1;
}

int loop_watch(struct loop *l, int fd)
{
    return watch(l->epoll, fd);
}

void loop_unwatch(struct loop *l, int fd)
{
    epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL);
}

void loop_worked(struct loop *l, uint64_t now_ns)
{
    atomic_store_explicit(&l->beat_ns, now_ns, memory_order_relaxed);
    l->idle_since_ns = 0;
    l->nap_cnt = 0;
    if (l->nap_ns != 0)
        l->nap_ns = LOOP_NAP_MIN_NS;
}

bool loop_idle(struct loop *l, bool worked, uint64_t now_ns)
{
    if (worked) {
        loop_worked(l, now_ns);
        return false;
    }
    atomic_store_explicit(&l->beat_ns, now_ns, memory_order_relaxed);
    if (!l->sleeps)
        return false;
    if (l->nap_cnt > 0) /* nothing has come since the last one */
        return true;
    if (l->idle_since_ns == 0) {
        l->idle_since_ns = now_ns;
        return false;
    }
    return now_ns - l->idle_since_ns >= l->spin_ns;
}

/* How long a sleep may be now. */
static uint64_t sleep_max_ns(const struct loop *l)
{
    if (l->nap_ns != 0)
        return l->nap_ns;
    return loop_arms(l) ? SLEEP_MAX_NS : l->rest_ns;
}

void loop_sleep(struct loop *l, uint64_t now_ns, uint64_t deadline_ns)
{
    struct epoll_event events[8];
    uint64_t most = sleep_max_ns(l);
    uint64_t ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    bool arms = loop_arms(l);
    int n;

    if (ns > most)
        ns = most;
    if (ns == 0)
        return;
    stats_inc(l->stats, STATS_LANE_SLEEPS);
    if (l->nap_ns != 0 || !arms) {
        struct timespec t = {.tv_nsec = (long)ns};
        n = epoll_pwait2(l->epoll, events, BASE_ARRAY_CNT(events), &t, NULL);
        l->nap_cnt += !arms;
        if (l->nap_ns != 0 && arms)
            l->nap_ns = l->nap_ns < LOOP_NAP_MAX_NS / 2 ? 2 * l->nap_ns : LOOP_NAP_MAX_NS;
    } else {
        /* Rounded up: a timer never fires early, so waking early would only spin. */
        n = epoll_wait(l->epoll, events, BASE_ARRAY_CNT(events),
                       (int)((ns + BASE_NS_MS - 1) / BASE_NS_MS));
        l->nap_cnt = 0;
    }
    (void)n; /* EINTR (net_tap sends signals) is a wake-up like any other */
    l->idle_since_ns = 0;
}
