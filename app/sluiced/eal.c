#include "eal.h"

#include "device.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

#define ARG_MAX_CNT 64
#define ARG_CAP     512

struct args {
    char text[ARG_MAX_CNT][ARG_CAP];
    char *argv[ARG_MAX_CNT + 1];
    int cnt;
};

__attribute__((format(printf, 2, 3))) static void add(struct args *a, const char *format, ...)
{
    va_list list;

    base_assert(a->cnt < ARG_MAX_CNT);
    va_start(list, format);
    vsnprintf(a->text[a->cnt], ARG_CAP, format, list);
    va_end(list);
    a->argv[a->cnt] = a->text[a->cnt];
    a->cnt++;
}

static bool is_virtual(const struct conf_port *port)
{
    return strncmp(port->device, "net_", 4) == 0;
}

/* Free huge pages of any size, bytes. */
static uint64_t free_huge_bytes(void)
{
    static const struct {
        const char *path;
        uint64_t bytes;
    } size[] = {
        {"/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", 2048u << 10},
        {"/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", 1024u << 20},
    };
    uint64_t total = 0;

    for (size_t i = 0; i < BASE_ARRAY_CNT(size); i++) {
        FILE *f = fopen(size[i].path, "re");
        unsigned long pages = 0;
        if (f == NULL)
            continue;
        if (fscanf(f, "%lu", &pages) == 1)
            total += pages * size[i].bytes;
        fclose(f);
    }
    return total;
}

static const struct conf_port *uio_port(const struct conf *conf)
{
    for (uint32_t i = 0; i < conf->port_cnt; i++) {
        if (device_is_uio(&conf->port[i]))
            return &conf->port[i];
    }
    return NULL;
}

/* 0 when huge pages are to be used, 1 when not; negative: an error with its line. */
static int choose_pages(const struct conf *conf, char err[EAL_ERROR_CAP], char warn[EAL_ERROR_CAP])
{
    uint64_t want = conf->gateway.memory_bytes, have = free_huge_bytes();

    if (conf->gateway.huge_pages != CONF_HUGE_NO && have >= want)
        return 0;
    const struct conf_port *uio = uio_port(conf);
    if (uio != NULL) {
        snprintf(err, EAL_ERROR_CAP,
                 "port %s: device: bound to uio, which needs huge pages (%lu MiB are free, %lu "
                 "needed): echo %lu > /proc/sys/vm/nr_hugepages, or bind it to vfio-pci",
                 uio->name, (unsigned long)(have >> 20), (unsigned long)(want >> 20),
                 (unsigned long)(want >> 21));
        return -ENOMEM;
    }
    if (conf->gateway.huge_pages == CONF_HUGE_NO)
        return 1;
    if (conf->gateway.huge_pages == CONF_HUGE_YES) {
        snprintf(err, EAL_ERROR_CAP,
                 "%lu MiB of huge pages are free and %lu are needed: echo %lu > "
                 "/proc/sys/vm/nr_hugepages, or set gateway: huge_pages = auto",
                 (unsigned long)(have >> 20), (unsigned long)(want >> 20),
                 (unsigned long)(want >> 21));
        return -ENOMEM;
    }
    snprintf(
        warn, EAL_ERROR_CAP,
        "no huge pages (%lu MiB free, %lu needed): running on ordinary ones, slower; echo %lu > "
        "/proc/sys/vm/nr_hugepages",
        (unsigned long)(have >> 20), (unsigned long)(want >> 20), (unsigned long)(want >> 21));
    return 1;
}

/* lcore 0 (control) over all CPUs, then one lcore a lane on its CPU. */
static void add_lcores(struct args *a, const struct conf *conf)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    char text[ARG_CAP];
    size_t n = (size_t)snprintf(text, sizeof(text), "0@(0-%ld)", cpus > 1 ? cpus - 1 : 0);

    for (uint64_t i = 0; i < conf->gateway.lanes && n < sizeof(text) - 32; i++) {
        long cpu = i < conf->gateway.lane_cpus.cnt ? atol(conf->gateway.lane_cpus.item[i])
                                                   : (long)i % cpus;
        n += (size_t)snprintf(text + n, sizeof(text) - n, ",%lu@%ld", (unsigned long)i + 1, cpu);
    }
    add(a, "--lcores=%s", text);
}

static void add_devices(struct args *a, const struct conf *conf)
{
    bool pci = false;

    for (uint32_t i = 0; i < conf->port_cnt; i++) {
        const struct conf_port *port = &conf->port[i];
        pci = pci || !is_virtual(port);
        add(a, is_virtual(port) ? "--vdev=%s" : "--allow=%s", port->device);
    }
    if (!pci)
        add(a, "--no-pci");
}

int eal_start(const struct conf *conf, char err[EAL_ERROR_CAP], char warn[EAL_ERROR_CAP])
{
    static const size_t bytes = sizeof(struct args);
    struct args *a = calloc(1, bytes); /* EAL keeps pointers into it: it stays */
    int no_huge = choose_pages(conf, err, warn);

    if (no_huge < 0 || a == NULL) {
        free(a);
        return no_huge < 0 ? no_huge : -ENOMEM;
    }
    add(a, "sluiced");
    add_lcores(a, conf);
    add(a, "--file-prefix=%s", conf->gateway.eal_prefix);
    add(a, "--log-level=lib.eal:error");
    add(a, "--log-level=lib.telemetry:error");
    add(a, "--log-level=pmd.net.tap:critical"); /* its complaints about multiq mean nothing here */
    if (no_huge) {
        add(a, "--no-huge");
        add(a, "--no-shconf");
        add(a, "--iova-mode=va");
    } else {
        add(a, "--in-memory"); /* leaves no files in the huge pages' file system */
    }
    add(a, "-m");
    add(a, "%lu", (unsigned long)(conf->gateway.memory_bytes >> 20));
    if (!conf->telemetry.enabled)
        add(a, "--no-telemetry");
    add_devices(a, conf);
    for (uint32_t i = 0; i < conf->gateway.eal_args.cnt && a->cnt < ARG_MAX_CNT; i++)
        add(a, "%s", conf->gateway.eal_args.item[i]);
    int used = rte_eal_init(a->cnt, a->argv);
    if (used >= 0)
        return 0;
    int error = rte_errno;
    const char *what =
        error == EACCES || error == EPERM ? "start as root, or with CAP_NET_ADMIN and CAP_NET_RAW"
        : error == EALREADY || error == EAGAIN
            ? "is another gateway running with this gateway: eal_prefix?"
        : error == ENOMEM ? "too little memory: lower gateway: memory"
                          : "see the lines above; check port: device and gateway: eal_args";
    snprintf(err, EAL_ERROR_CAP, "DPDK does not start (%s): %s", rte_strerror(error), what);
    free(a);
    return error > 0 ? -error : -EINVAL;
}

void eal_stop(void)
{
    char leaf[256], socket[288];

    snprintf(leaf, sizeof(leaf), "%s", rte_eal_get_runtime_dir());
    snprintf(socket, sizeof(socket), "%s/dpdk_telemetry.v2", leaf);
    rte_eal_cleanup();
    /* DPDK removes the socket only when the process exits, and its directory never. After gateway:
     * user we may not: no harm. */
    if (unlink(socket) == 0 || errno == ENOENT)
        rmdir(leaf);
}

void eal_free_affinity(void)
{
    cpu_set_t all;

    CPU_ZERO(&all);
    for (int i = 0; i < CPU_SETSIZE; i++)
        CPU_SET(i, &all);
    sched_setaffinity(0, sizeof(all), &all); /* the kernel takes those that exist */
}
