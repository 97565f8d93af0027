/* This machine's spool directories, its clock, its users, keys and certificates. */
#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define SYNC_TRIES 32
#define BLOCK      4096
#define XFS_MAGIC  0x58465342
#define PATH_CAP   1024

/* ---- spools ---- */

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* The middle one of some durable writes, ns, into what was written once before, as segments are; 0:
 * none succeeded. */
static uint64_t time_syncs(int fd)
{
    uint64_t took[SYNC_TRIES], begin = now_ns();
    unsigned cnt = 0;
    void *block = NULL;

    if (posix_memalign(&block, BLOCK, BLOCK) != 0)
        return 0;
    memset(block, 0x5a, BLOCK);
    while (cnt < SYNC_TRIES && now_ns() - begin < DOCTOR_DISK_NS / 2 &&
           pwrite(fd, block, BLOCK, (off_t)cnt * BLOCK) == BLOCK)
        cnt++;
    unsigned written = cnt;
    cnt = 0;
    for (; cnt < written && now_ns() - begin < DOCTOR_DISK_NS; cnt++) {
        uint64_t from = now_ns();
        if (pwrite(fd, block, BLOCK, (off_t)cnt * BLOCK) != BLOCK)
            break;
        took[cnt] = now_ns() - from;
    }
    free(block);
    qsort(took, cnt, sizeof(took[0]), by_value);
    return cnt > 0 ? took[cnt / 2] : 0;
}

static void disk_speed(struct doctor *d, const char *check, const char *directory)
{
    char path[PATH_CAP + 32];
    bool direct = true;

    snprintf(path, sizeof(path), "%s/.doctor.%d", directory, (int)getpid());
    int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_DSYNC;
    int fd = open(path, flags | O_DIRECT, 0600);
    if (fd < 0 && errno == EINVAL) {
        (void)unlink(path);
        direct = false;
        fd = open(path, flags, 0600);
    }
    if (fd < 0) {
        doctor_sayf(d, DOCTOR_WARN, check, "run sluicectl doctor as root",
                    "%s: its speed is not known: cannot write there (%s)", directory,
                    strerror(errno));
        return;
    }
    (void)unlink(path);
    uint64_t ns = time_syncs(fd);
    close(fd);
    if (!direct)
        doctor_sayf(d, DOCTOR_WARN, check, "a spool on ext4 or xfs",
                    "%s: its file system has no O_DIRECT: slower, and a failed write may go unseen",
                    directory);
    if (ns == 0)
        doctor_sayf(d, DOCTOR_FAIL, check, "look at the disk (dmesg, smartctl)",
                    "%s: a write failed", directory);
    else if (ns > 10000000)
        doctor_sayf(d, DOCTOR_WARN, check,
                    "a disk with a cache that outlives a power failure (SSD with capacitors), or "
                    "one more spool on another disk",
                    "%s: a durable write takes %.1f ms, the least that a sender waits for its 250",
                    directory, (double)ns / 1e6);
    else if (ns < 15000)
        doctor_sayf(d, DOCTOR_WARN, check,
                    "make sure that the disk's cache outlives a power failure, and that a "
                    "hypervisor passes flushes on",
                    "%s: a durable write takes %.0f us, faster than a disk is", directory,
                    (double)ns / 1e3);
    else
        doctor_sayf(d, DOCTOR_OK, check, "", "%s: a durable write of 4 KiB takes %.2f ms%s",
                    directory, (double)ns / 1e6, direct ? ", with O_DIRECT" : "");
}

/* "sda1" of a directory there; false where the kernel does not tell. */
static bool device_of(const char *directory, char *out, size_t cap)
{
    char path[64], target[PATH_CAP];
    struct stat st;

    if (stat(directory, &st) != 0)
        return false;
    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(st.st_dev), minor(st.st_dev));
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    if (n <= 0)
        return false;
    target[n] = 0;
    const char *slash = strrchr(target, '/');
    snprintf(out, cap, "%.60s", slash != NULL ? slash + 1 : target);
    return true;
}

/* A directory's new name is durable on ext4 by its journal alone: without one a power failure takes
 * the directory, whatever was synced. */
static void journal(struct doctor *d, const char *check, const char *directory)
{
    char device[64], task[64];

    if (device_of(directory, device, sizeof(device)) &&
        doctor_read(d, task, sizeof(task), "/sys/fs/ext4/%s/journal_task", device) &&
        strcmp(task, "<none>") == 0)
        doctor_sayf(d, DOCTOR_WARN, check,
                    "spool: path on a disk with a journal, or, with the file system unmounted, "
                    "tune2fs -O has_journal and e2fsck",
                    "%s is ext4 without a journal (/dev/%s): a power failure may take whole "
                    "directories, and acknowledged mail with them",
                    directory, device);
}

static void file_system(struct doctor *d, const char *check, const struct conf_spool *s,
                        const char *directory)
{
    struct statfs f;

    if (statfs(directory, &f) != 0) {
        doctor_sayf(d, DOCTOR_FAIL, check, "make the directory, or mount its disk", "%s: %s",
                    directory, strerror(errno));
        return;
    }
    uint64_t available = (uint64_t)f.f_bavail * (uint64_t)f.f_bsize;
    if (f.f_type == TMPFS_MAGIC || f.f_type == RAMFS_MAGIC)
        doctor_sayf(d, DOCTOR_FAIL, check, "spool: path on a disk",
                    "%s is memory: mail that was acknowledged is lost when the power fails",
                    directory);
    else if (f.f_type == NFS_SUPER_MAGIC || f.f_type == OVERLAYFS_SUPER_MAGIC)
        doctor_sayf(d, DOCTOR_WARN, check, "spool: path on ext4 or xfs of a disk of its own",
                    "%s is a %s", directory,
                    f.f_type == NFS_SUPER_MAGIC ? "network file system" : "container's layer");
    else if (f.f_type == EXT4_SUPER_MAGIC)
        journal(d, check, directory);
    if (available < s->size_bytes && strcmp(directory, s->path) != 0)
        doctor_sayf(d, DOCTOR_WARN, check, "a larger disk, or a smaller spool: size",
                    "%s has %lu MiB left, the spool will take %lu", directory,
                    (unsigned long)(available >> 20), (unsigned long)(s->size_bytes >> 20));
}

static void spool(struct doctor *d, const struct conf_spool *s)
{
    char check[96], directory[PATH_CAP];
    struct stat st;

    snprintf(check, sizeof(check), "spool %s", s->name);
    snprintf(directory, sizeof(directory), "%s", s->path);
    if (stat(directory, &st) != 0 && errno == ENOENT) { /* the gateway makes its last part */
        char *slash = strrchr(directory, '/');
        if (slash != NULL)
            slash[slash == directory ? 1 : 0] = 0;
    }
    unsigned failed = d->cnt[DOCTOR_FAIL];
    file_system(d, check, s, directory);
    if (d->cnt[DOCTOR_FAIL] == failed)
        disk_speed(d, check, directory);
}

/* ---- the clock ---- */

static void clock_state(struct doctor *d)
{
    struct timex t = {0};
    int state = adjtimex(&t);

    if (state < 0)
        doctor_sayf(d, DOCTOR_WARN, "clock", "timedatectl", "its state is not known (%s)",
                    strerror(errno));
    else if (state == TIME_ERROR || (t.status & STA_UNSYNC) != 0)
        doctor_say(d, DOCTOR_WARN, "clock",
                   "nothing keeps it: times in mail and logs drift, DNSSEC and certificates fail "
                   "with a wrong one",
                   "apt-get install chrony, or systemctl enable --now systemd-timesyncd");
    else
        doctor_sayf(d, DOCTOR_OK, "clock", "", "kept, within %ld ms", t.maxerror / 1000);
}

/* ---- users ---- */

static void users(struct doctor *d)
{
    const char *user = d->conf->gateway.user;
    const char *const groups[] = {d->conf->control.group, d->conf->control.change_group};

    if (user == NULL || user[0] == 0)
        doctor_say(d, DOCTOR_WARN, "user", "gateway: user is not set: the gateway stays root",
                   "gateway { user = sluice; }, a user of its own");
    else if (getpwnam(user) == NULL)
        doctor_sayf(d, DOCTOR_FAIL, "user", "adduser --system --group --no-create-home NAME",
                    "gateway: user: there is no user '%s'", user);
    else
        doctor_sayf(d, DOCTOR_OK, "user", "", "the gateway becomes %s", user);
    for (size_t i = 0; i < BASE_ARRAY_CNT(groups); i++)
        if (groups[i] != NULL && groups[i][0] != 0 && getgrnam(groups[i]) == NULL)
            doctor_sayf(d, DOCTOR_FAIL, "group", "groupadd --system NAME",
                        "control: %s: there is no group '%s'", i == 0 ? "group" : "change_group",
                        groups[i]);
    if (!d->conf->gateway.sandbox)
        doctor_say(d, DOCTOR_WARN, "sandbox", "gateway: sandbox = no",
                   "leave it out, unless you look into the process with a debugger");
}

/* ---- certificates ---- */

static void key_file(struct doctor *d, const char *check, const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        doctor_sayf(d, DOCTOR_FAIL, check,
                    errno == EACCES ? "run sluicectl doctor as root"
                                    : "put the key there, or change certificate: key",
                    "%s: %s", path, strerror(errno));
    else if ((st.st_mode & 0137) != 0)
        doctor_sayf(d, DOCTOR_FAIL, check,
                    "chmod 600, or 640 with a group that may read it: the gateway refuses it else",
                    "%s may be read by too many (mode %o)", path, (unsigned)(st.st_mode & 0777));
    else
        doctor_sayf(d, DOCTOR_OK, check, "", "%s has mode %o", path, (unsigned)(st.st_mode & 0777));
}

static void certificate(struct doctor *d, const struct conf_certificate *c)
{
    char check[96];
    int days = 0, seconds = 0;

    snprintf(check, sizeof(check), "certificate %s", c->name);
    if (c->key != NULL)
        key_file(d, check, c->key);
    if (c->chain == NULL)
        return;
    FILE *f = fopen(c->chain, "re");
    X509 *x = f != NULL ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
    if (x == NULL)
        doctor_sayf(d, DOCTOR_FAIL, check, "sluiced --check FILE tells more", "%s: %s", c->chain,
                    f == NULL ? strerror(errno) : "holds no certificate");
    else if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x)) != 1 || days < 0 ||
             seconds < 0)
        doctor_sayf(d, DOCTOR_FAIL, check, "renew it", "%s has expired", c->chain);
    else if (days < 21)
        doctor_sayf(d, DOCTOR_WARN, check, "is its renewal (certbot.timer, acme) at work?",
                    "%s expires in %d days", c->chain, days);
    else
        doctor_sayf(d, DOCTOR_OK, check, "", "%s is good for %d days", c->chain, days);
    if (x != NULL && d->conf->gateway.hostname != NULL && d->conf->certificate_cnt == 1 &&
        X509_check_host(x, d->conf->gateway.hostname, 0, 0, NULL) != 1)
        doctor_sayf(d, DOCTOR_WARN, check,
                    "a certificate for gateway: hostname, which is the name in the MX record",
                    "it is not for %s", d->conf->gateway.hostname);
    X509_free(x);
    if (f != NULL)
        fclose(f);
}

static void certificates(struct doctor *d)
{
    for (uint32_t i = 0; i < d->conf->certificate_cnt; i++)
        certificate(d, &d->conf->certificate[i]);
    if (d->conf->certificate_cnt == 0)
        doctor_say(d, DOCTOR_WARN, "certificate",
                   "there is none: mail comes in clear, and users can not log in",
                   "certificate NAME { chain = ...; key = ...; }, from Let's Encrypt for example");
    for (uint32_t i = 0; i < d->conf->route_cnt; i++)
        if (d->conf->route[i].auth_password_file != NULL &&
            d->conf->route[i].auth_password_file[0] != 0)
            key_file(d, "password file", d->conf->route[i].auth_password_file);
}

void doctor_places(struct doctor *d)
{
    for (uint32_t i = 0; i < d->conf->spool_cnt; i++)
        spool(d, &d->conf->spool[i]);
    clock_state(d);
    users(d);
    certificates(d);
}
