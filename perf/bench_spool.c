/*
 * Durable records a second: the spool over disk/uring, beside a bare io_uring program that writes
 * as many bytes at a time into a file written before, and beside one file a message with fsync, on
 * the same disk. And how long a start takes that finds many messages.
 *
 * usage: bench_spool spool|bare|files DIR BYTES AT_A_TIME     prints lines "metric value unit"
 *        bench_spool recover DIR BYTES MESSAGES              a start that finds so many of them
 *        bench_spool restart DIR BYTES MESSAGES              the same again, on what it left
 *        bench_spool live DIR BYTES PERCENT                  written bytes for each byte taken in,
 * while so much of what a spool takes is queued
 *
 * What this wrote stays in DIR, whoever calls removes it (a spool that is there is used again).
 * Each load ends after RUN_NS or BYTES_MAX.
 */
#include "bench_spool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define RUN_NS      (2 * BASE_NS_S)
#define BYTES_MAX   (3ull << 30)
#define LATENCY_MAX (1u << 20)

static const char usage[] = "usage: bench_spool spool|bare|files DIR BYTES AT_A_TIME\n"
                            "       bench_spool recover|restart DIR BYTES MESSAGES\n"
                            "       bench_spool live DIR BYTES PERCENT\n";

uint64_t bench_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * BASE_NS_S + (uint64_t)t.tv_nsec;
}

double bench_cpu_s(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           1e-6 * (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

void bench_die(const char *what, int error)
{
    fprintf(stderr, "bench_spool: %s: %s\n", what, strerror(error < 0 ? -error : error));
    exit(1);
}

void bench_tally_begin(struct tally *t)
{
    memset(t, 0, sizeof(*t));
    t->us = calloc(LATENCY_MAX, sizeof(*t->us));
    if (t->us == NULL)
        bench_die("memory", ENOMEM);
    t->start_ns = bench_now_ns();
    t->start_cpu_s = bench_cpu_s();
}

void bench_tally_add(struct tally *t, uint64_t ns)
{
    if (t->cnt < LATENCY_MAX)
        t->us[t->cnt++] = (uint32_t)(ns / 1000);
    t->done++;
}

bool bench_tally_over(const struct tally *t, uint64_t bytes)
{
    return bench_now_ns() - t->start_ns >= RUN_NS || t->done * bytes >= BYTES_MAX;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

void bench_tally_end(struct tally *t)
{
    double s = (double)(bench_now_ns() - t->start_ns) / 1e9;
    double cpu = bench_cpu_s() - t->start_cpu_s;
    if (t->cnt == 0)
        bench_die("nothing was done", ENODATA);
    qsort(t->us, t->cnt, sizeof(*t->us), by_value);
    printf("records_per_s %.0f records/s\n", (double)t->done / s);
    printf("p50_us %u us\n", t->us[t->cnt / 2]);
    printf("p99_us %u us\n", t->us[(uint64_t)t->cnt * 99 / 100]);
    printf("cpu_us_per_record %.2f us\n", cpu * 1e6 / (double)t->done);
    free(t->us);
}

static const struct load {
    const char *name;
    void (*run)(const char *dir, uint32_t bytes, uint32_t n);
    uint32_t n_max;
} loads[] = {
    {"spool", bench_load_spool, OUTSTANDING_MAX / 3},
    {"bare", bench_load_bare, OUTSTANDING_MAX / 3},
    {"files", bench_load_files, OUTSTANDING_MAX / 3},
    {"recover", bench_recover, UINT32_MAX},
    {"restart", bench_restart, UINT32_MAX},
    {"live", bench_load_live, 95},
};

int main(int argc, char **argv)
{
    if (argc == 5) {
        unsigned long bytes = strtoul(argv[3], NULL, 10);
        unsigned long n = strtoul(argv[4], NULL, 10);
        for (size_t i = 0; i < BASE_ARRAY_CNT(loads); i++)
            if (strcmp(argv[1], loads[i].name) == 0 && bytes > 0 && bytes <= 1 << 24 && n > 0 &&
                n <= loads[i].n_max) {
                loads[i].run(argv[2], (uint32_t)bytes, (uint32_t)n);
                return 0;
            }
    }
    fputs(usage, stderr);
    return 2;
}
