/*
 * Compares two ledgers. usage: ledger SENT SEEN
 *
 * Prints a line "metric value" for each count of struct ledger_result. Exit status: 0, 1 when
 * something was lost or damaged, or seen that nobody has sent; 2: they cannot be compared. What is
 * doubled or refused and yet seen is the caller's to judge: after a crash both may be.
 */
#include "ledger.h"

#include <errno.h>
#include <stdio.h>

static int fail(const char *path, const char *why)
{
    fprintf(stderr, "ledger: %s: %s\n", path, why);
    return 2;
}

int main(int argc, char **argv)
{
    struct ledger sent, seen;
    struct ledger_result r;
    int error;

    if (argc != 3) {
        fputs("usage: ledger SENT SEEN\n", stderr);
        return 2;
    }
    if ((error = ledger_open(&sent, argv[1])) != 0)
        return fail(argv[1], error == -EINVAL ? "not a whole ledger" : strerror(-error));
    if ((error = ledger_open(&seen, argv[2])) != 0)
        return fail(argv[2], error == -EINVAL ? "not a whole ledger" : strerror(-error));
    if (ledger_compare(&sent, &seen, &r) != 0)
        return fail(argv[2], "not what a next hop has seen of the run of the first file, with as "
                             "many recipients");
    printf("acked %lu\nunknown %lu\nrefused %lu\nseen %lu\nlost %lu\ndoubled %lu\ndamaged %lu\n"
           "unknown_seen %lu\nrefused_seen %lu\nunsent_seen %lu\n",
           r.acked, r.unknown, r.refused, r.seen, r.lost, r.doubled, r.damaged, r.unknown_seen,
           r.refused_seen, r.unsent_seen);
    if (r.lost > 0)
        printf("first_lost %lu\n", r.first_lost);
    return r.lost > 0 || r.damaged > 0 || r.unsent_seen > 0 ? 1 : 0;
}
