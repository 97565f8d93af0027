/* Processors, memory, the kernel and its limits: /proc and /sys alone. */
#include "doctor.h"

#include <stdlib.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)

/* ---- processors ---- */

static bool has_word(const char *words, const char *word)
{
    size_t len = strlen(word);

    for (const char *at = words; (at = strstr(at, word)) != NULL; at += len)
        if ((at == words || at[-1] == ' ') && (at[len] == ' ' || at[len] == 0))
            return true;
    return false;
}

static void cpu_flags(struct doctor *d)
{
    static const char *const needed[] = {"sse4_2", "popcnt", "cx16"};
    char flags[4096];

    if (!doctor_field(d, "/proc/cpuinfo", "flags", flags, sizeof(flags))) {
        doctor_say(d, DOCTOR_FAIL, "processor", "/proc/cpuinfo tells no flags",
                   "is this an x86-64 machine with /proc?");
        return;
    }
    for (size_t i = 0; i < BASE_ARRAY_CNT(needed); i++)
        if (!has_word(flags, needed[i])) {
            doctor_sayf(d, DOCTOR_FAIL, "processor",
                        "DPDK does not start without it; in a virtual machine give it the host's "
                        "processor (-cpu host)",
                        "it has no %s", needed[i]);
            return;
        }
    bool wide = has_word(flags, "vaes") && has_word(flags, "avx512f");
    if (!has_word(flags, "aes") || !has_word(flags, "pclmulqdq"))
        doctor_say(d, DOCTOR_WARN, "processor", "no AES instructions: TLS is ten times slower",
                   "in a virtual machine give it the host's processor (-cpu host)");
    else
        doctor_sayf(d, DOCTOR_OK, "processor", "", "SSE4.2, AES%s%s",
                    has_word(flags, "avx2") ? ", AVX2" : "", wide ? ", AVX-512 and VAES" : "");
    if (!has_word(flags, "constant_tsc") || !has_word(flags, "nonstop_tsc"))
        doctor_say(d, DOCTOR_WARN, "time stamp counter",
                   "it is not told to run at one pace: reading the time may be a system call",
                   "in a virtual machine give it the host's processor with an invariant TSC");
}

/* Returns whether it has its processor alone among those before it. */
static bool has_own_cpu(struct doctor *d, uint32_t lane)
{
    unsigned cpu = doctor_lane_cpu(d, lane);

    for (uint32_t other = 0; other < lane; other++)
        if (doctor_lane_cpu(d, other) == cpu) {
            doctor_sayf(d, DOCTOR_WARN, "lanes",
                        "gateway: lanes: one for each processor at most, or lane_cpus",
                        "lanes %lu and %lu share processor %u", (unsigned long)other,
                        (unsigned long)lane, cpu);
            return false;
        }
    return true;
}

static void lane_cpu(struct doctor *d, uint32_t lane)
{
    unsigned cpu = doctor_lane_cpu(d, lane);
    char online[256], isolated[256], governor[64], siblings[64];
    bool poll = d->conf->gateway.idle == CONF_IDLE_POLL;

    if (doctor_read(d, online, sizeof(online), "/sys/devices/system/cpu/online") &&
        !doctor_cpu_in(online, cpu)) {
        doctor_sayf(d, DOCTOR_FAIL, "lanes", "gateway: lanes and lane_cpus have to fit the machine",
                    "lane %u is to run on processor %u; there are %s", lane, cpu, online);
        return;
    }
    if (!has_own_cpu(d, lane))
        return;
    (void)doctor_read(d, isolated, sizeof(isolated), "/sys/devices/system/cpu/isolated");
    if (poll && !doctor_cpu_in(isolated, cpu))
        doctor_sayf(d, DOCTOR_WARN, "isolated processors",
                    "isolcpus=, nohz_full= and rcu_nocbs= on the kernel's command line: "
                    "/usr/share/sluice/cpu-isolation.conf tells how",
                    "lane %u takes all of processor %u (idle = poll), on which the kernel runs "
                    "other work, too",
                    lane, cpu);
    else if (poll)
        doctor_sayf(d, DOCTOR_OK, "isolated processors", "", "lane %u has processor %u for itself",
                    lane, cpu);
    if (doctor_read(d, governor, sizeof(governor),
                    "/sys/devices/system/cpu/cpu%u/cpufreq/scaling_governor", cpu) &&
        strcmp(governor, "performance") != 0)
        doctor_sayf(d, DOCTOR_WARN, "processor clock",
                    "cpupower frequency-set -g performance (package linux-cpupower)",
                    "processor %u of lane %u is governed by '%s': it wakes up slowly", cpu, lane,
                    governor);
    if (!doctor_read(d, siblings, sizeof(siblings),
                     "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu))
        return;
    for (uint32_t other = 0; other < lane; other++)
        if (doctor_cpu_in(siblings, doctor_lane_cpu(d, other)))
            doctor_sayf(d, DOCTOR_WARN, "SMT siblings",
                        "give them processors of different cores by gateway: lane_cpus",
                        "lanes %u and %u run on one core (processors %s)", other, lane, siblings);
}

static void cpus(struct doctor *d)
{
    char online[256] = "?";

    cpu_flags(d);
    (void)doctor_read(d, online, sizeof(online), "/sys/devices/system/cpu/online");
    unsigned warned = d->cnt[DOCTOR_WARN] + d->cnt[DOCTOR_FAIL];
    for (uint32_t i = 0; i < d->conf->gateway.lanes; i++)
        lane_cpu(d, i);
    if (warned == d->cnt[DOCTOR_WARN] + d->cnt[DOCTOR_FAIL])
        doctor_sayf(d, DOCTOR_OK, "lanes", "", "%lu on processors out of %s",
                    (unsigned long)d->conf->gateway.lanes, online);
}

/* ---- memory ---- */

static uint64_t meminfo(const struct doctor *d, const char *name)
{
    char text[64];

    return doctor_field(d, "/proc/meminfo", name, text, sizeof(text)) ? strtoull(text, NULL, 10)
                                                                      : 0;
}

/* Of all sizes that the gateway counts, by which of nr and free, bytes; where the kernel tells of
 * none, those of its default size. */
static uint64_t huge_bytes(struct doctor *d, const char *which, const char *field)
{
    static const unsigned kib[] = {2048, 1048576};
    uint64_t sum = 0;
    bool told = false;
    char text[32];

    for (size_t i = 0; i < BASE_ARRAY_CNT(kib); i++)
        if (doctor_read(d, text, sizeof(text), "/sys/kernel/mm/hugepages/hugepages-%ukB/%s", kib[i],
                        which)) {
            sum += (strtoull(text, NULL, 10) * kib[i]) << 10;
            told = true;
        }
    return told ? sum : meminfo(d, field) * (meminfo(d, "Hugepagesize") << 10);
}

static void huge_pages(struct doctor *d)
{
    uint64_t want = d->conf->gateway.memory_bytes,
             total = huge_bytes(d, "nr_hugepages", "HugePages_Total"),
             available = huge_bytes(d, "free_hugepages", "HugePages_Free");
    char next[160];

    snprintf(next, sizeof(next),
             "HUGEPAGES=%lu in /etc/sluice/nic.conf, systemctl restart sluice-prepare; or gateway: "
             "memory",
             (unsigned long)((want + 2 * MIB - 1) / (2 * MIB)));
    if (d->conf->gateway.huge_pages == CONF_HUGE_NO)
        doctor_say(d, DOCTOR_OK, "huge pages", "not wanted (gateway: huge_pages = no)", "");
    else if (total < want)
        doctor_sayf(d, d->conf->gateway.huge_pages == CONF_HUGE_YES ? DOCTOR_FAIL : DOCTOR_WARN,
                    "huge pages", next, "%lu MiB; gateway: memory is %lu MiB",
                    (unsigned long)(total / MIB), (unsigned long)(want / MIB));
    else
        doctor_sayf(d, DOCTOR_OK, "huge pages", "", "%lu MiB, %lu MiB are free",
                    (unsigned long)(total / MIB), (unsigned long)(available / MIB));
}

static void memory(struct doctor *d)
{
    uint64_t have = meminfo(d, "MemTotal") << 10, want = d->conf->gateway.memory_bytes;

    for (uint32_t i = 0; i < d->conf->spool_cnt; i++)
        want += d->conf->spool[i].memory_bytes +
                d->conf->spool[i].buffers * 16384 * d->conf->gateway.lanes;
    huge_pages(d);
    if (have < want + 512 * MIB)
        doctor_sayf(d, have < want ? DOCTOR_FAIL : DOCTOR_WARN, "memory",
                    "lower gateway: memory and spool: buffers, or add memory",
                    "%lu MiB in all; packets and spools alone take %lu MiB",
                    (unsigned long)(have / MIB), (unsigned long)(want / MIB));
    else
        doctor_sayf(d, DOCTOR_OK, "memory", "", "%lu MiB in all, %lu MiB for packets and spools",
                    (unsigned long)(have / MIB), (unsigned long)(want / MIB));
}

/* ---- the kernel ---- */

static void kernel(struct doctor *d)
{
    char release[128], text[128];
    unsigned major = 0, minor = 0;

    (void)doctor_read(d, release, sizeof(release), "/proc/sys/kernel/osrelease");
    (void)!sscanf(release, "%u.%u", &major, &minor);
    if (major < 5 || (major == 5 && minor < 10))
        doctor_sayf(d, DOCTOR_FAIL, "kernel", "Linux 5.10 or later; Debian 12 has 6.1",
                    "it is %s: io_uring cannot be restricted", release);
    else
        doctor_sayf(d, DOCTOR_OK, "kernel", "", "%s", release);
    (void)doctor_read(d, text, sizeof(text), "/proc/sys/kernel/io_uring_disabled");
    if (strcmp(text, "2") == 0)
        doctor_say(d, DOCTOR_FAIL, "io_uring",
                   "it is switched off (kernel.io_uring_disabled = 2): no spool can be written",
                   "sysctl kernel.io_uring_disabled=1, in /etc/sysctl.d too; 1 leaves it to root, "
                   "as who the gateway opens its ring");
    else
        doctor_say(d, DOCTOR_OK, "io_uring",
                   text[0] == '1' ? "for root and a group alone; the gateway opens its ring as root"
                                  : "it is there",
                   "");
    (void)doctor_read(d, text, sizeof(text), "/sys/kernel/security/lsm");
    if (text[0] != 0 && strstr(text, "landlock") == NULL)
        doctor_sayf(d, DOCTOR_WARN, "Landlock", "lsm=landlock,... on the kernel's command line",
                    "not among the kernel's security modules (%s): the gateway runs without", text);
    else if (major < 6 || (major == 6 && minor < 7))
        doctor_sayf(d, DOCTOR_OK, "Landlock", "",
                    "this kernel's restricts paths; TCP and signals need a later one");
    else
        doctor_say(d, DOCTOR_OK, "Landlock", "paths and TCP", "");
    if (doctor_read(d, text, sizeof(text),
                    "/sys/devices/system/clocksource/clocksource0/current_clocksource") &&
        strcmp(text, "tsc") != 0 && strcmp(text, "kvm-clock") != 0)
        doctor_sayf(d, DOCTOR_WARN, "clock source",
                    "clocksource=tsc tsc=reliable on the kernel's command line, where the hardware "
                    "is sound",
                    "it is '%s': each look at the time is a system call", text);
}

/* "Max open files            1024                 524288               files": the soft limit. */
static uint64_t limit_of(const struct doctor *d, const char *name)
{
    char path[512], line[256];
    uint64_t limit = UINT64_MAX;

    snprintf(path, sizeof(path), "%s/proc/self/limits", d->root);
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        if (strncmp(line, name, strlen(name)) == 0) {
            const char *at = line + strlen(name) + strspn(line + strlen(name), " ");
            limit = strncmp(at, "unlimited", 9) == 0 ? UINT64_MAX : strtoull(at, NULL, 10);
        }
    if (f != NULL)
        fclose(f);
    return limit;
}

static void limits(struct doctor *d)
{
    uint64_t files = limit_of(d, "Max open files"), locked = limit_of(d, "Max locked memory"),
             want = 512;

    /* A segment is an open file. */
    for (uint32_t i = 0; i < d->conf->spool_cnt; i++)
        want += 2 * (d->conf->spool[i].size_bytes / (d->conf->spool[i].segment_bytes + 1)) + 64;
    if (files < want)
        doctor_sayf(d, DOCTOR_WARN, "open files",
                    "LimitNOFILE= of the unit (systemctl edit sluice), ulimit -n in a shell",
                    "%lu here; segments of the spool and the rest may need %lu",
                    (unsigned long)files, (unsigned long)want);
    else
        doctor_say(d, DOCTOR_OK, "open files", "enough may be open", "");
    if (locked < 64 * MIB)
        doctor_sayf(d, DOCTOR_WARN, "locked memory",
                    "LimitMEMLOCK=infinity of the unit has it; ulimit -l unlimited in a shell",
                    "%lu KiB here: vfio and io_uring's buffers need more where the gateway is not "
                    "started as root",
                    (unsigned long)(locked >> 10));
    else
        doctor_say(d, DOCTOR_OK, "locked memory", "enough may be locked", "");
}

void doctor_machine(struct doctor *d)
{
    cpus(d);
    memory(d);
    kernel(d);
    limits(d);
}
