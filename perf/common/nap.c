#include "nap.h"

#include <sys/prctl.h>
#include <time.h>

void nap_init(struct nap *n, bool never, uint64_t now_ns)
{
    *n = (struct nap){.news_ns = now_ns, .never = never};
    (void)prctl(PR_SET_TIMERSLACK, 1); /* else a sleep takes 50 us more */
}

void nap_pass(struct nap *n, bool news, uint64_t now_ns, uint64_t most_ns)
{
    if (news)
        n->news_ns = now_ns;
    if (n->never || most_ns == 0 || now_ns - n->news_ns < NAP_AWAKE_NS)
        return;
    struct timespec t = {.tv_nsec = (long)(most_ns < NAP_NS ? most_ns : NAP_NS)};
    (void)nanosleep(&t, NULL); /* a signal ends it early, which is as good */
}
