/*
 * sluicectl doctor: looks at a machine and says what a gateway with this configuration lacks there.
 * Each finding is a line: how bad, what was looked at, what is so, and what to do.
 *
 * doctor_machine.c and doctor_device.c read /proc and /sys alone, below root: a copy of these from
 * another machine, or a test's, does as well. doctor_place.c looks at this machine's disk, clock
 * and files, doctor_net.c asks the DNS, and connects to port 25 where it was told to.
 *
 * Threads: one. Bounds: no further write begins after DOCTOR_DISK_NS, one that the disk does not
 * answer hangs as long as the kernel lets it; questions to the DNS take DOCTOR_DNS_S. A probe has
 * DOCTOR_PROBE_S for all addresses together and as much for the greeting, after getaddrinfo, which
 * takes what /etc/resolv.conf gives it.
 */
#ifndef DOCTOR_H
#define DOCTOR_H

#include "conf.h"

#include <stdbool.h>
#include <stdio.h>

#define DOCTOR_DISK_NS UINT64_C(2000000000)
#define DOCTOR_DNS_S   10 /* all questions together */
#define DOCTOR_PROBE_S 10 /* connecting; and once more for the greeting */

enum doctor_level {
    DOCTOR_OK,
    DOCTOR_WARN, /* it works, slower or less safe */
    DOCTOR_FAIL, /* it does not work, or mail is in danger */
};

struct doctor {
    const struct conf *conf; /* borrowed; with errors in it, it is what could be read */
    const char *conf_path;
    const char *root; /* "" or a directory without the last slash */
    FILE *out;
    bool json;
    unsigned cnt[DOCTOR_FAIL + 1];
};

/* A finding. next: what to do, "" with DOCTOR_OK. */
void doctor_say(struct doctor *d, enum doctor_level level, const char *check, const char *cause,
                const char *next);
/* Likewise, with a cause to be composed. */
__attribute__((format(printf, 5, 6))) void doctor_sayf(struct doctor *d, enum doctor_level level,
                                                       const char *check, const char *next,
                                                       const char *format, ...);

/* The first line of a file below root, without its end. Returns false, and "", where it cannot be
 * read. */
__attribute__((format(printf, 4, 5))) bool doctor_read(const struct doctor *d, char *out,
                                                       size_t cap, const char *format, ...);
/* The value behind a line's name and colon in a file as /proc/meminfo or /proc/cpuinfo, the first
 * one. */
bool doctor_field(const struct doctor *d, const char *path, const char *name, char *out,
                  size_t cap);
/* Whether there is something at the path below root. */
bool doctor_exists(const struct doctor *d, const char *path);
/* Whether a list of processors ("0-3,8") has this one. */
bool doctor_cpu_in(const char *list, unsigned cpu);
/* The processor of a lane; with lane_cpus too short: as the gateway has it. */
unsigned doctor_lane_cpu(const struct doctor *d, uint32_t lane);

void doctor_machine(struct doctor *d);
void doctor_devices(struct doctor *d);
void doctor_places(struct doctor *d);
void doctor_names(struct doctor *d);
/* target: a host, an address, [IPv6] or with a port behind a colon. */
void doctor_probe(struct doctor *d, const char *target);

#endif
