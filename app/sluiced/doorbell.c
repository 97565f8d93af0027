#include "doorbell.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

int doorbell_init(struct doorbell *d)
{
    atomic_init(&d->armed, 0);
    d->owed = 0;
    d->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return d->fd < 0 ? -errno : 0;
}

void doorbell_init_silent(struct doorbell *d)
{
    atomic_init(&d->armed, 0);
    d->owed = 0;
    d->fd = -1;
}

void doorbell_fini(struct doorbell *d)
{
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}

void doorbell_arm(struct doorbell *d)
{
    atomic_store_explicit(&d->armed, 1, memory_order_relaxed);
    base_fence(&d->armed);
}

void doorbell_disarm(struct doorbell *d)
{
    uint64_t rung;

    /* Who has taken the arming off writes, sooner or later: the descriptor is read until all that
     * was owed has come, and not when nobody has rung. */
    d->owed += atomic_exchange_explicit(&d->armed, 0, memory_order_relaxed) == 0;
    if (d->owed == 0 || d->fd < 0 || read(d->fd, &rung, sizeof(rung)) != sizeof(rung))
        return; /* EAGAIN: not yet */
    base_assert(rung <= d->owed);
    d->owed -= (uint32_t)rung;
}

void doorbell_wake(struct doorbell *d)
{
    static const uint64_t one = 1;

    if (atomic_exchange_explicit(&d->armed, 0, memory_order_relaxed) == 0)
        return; /* another producer has woken it */
    if (write(d->fd, &one, sizeof(one)) < 0)
        return; /* EAGAIN: the counter is full, so it is awake */
}
