#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- Landlock ---- */

/* What later versions than Debian 12's headers have: uapi/linux/landlock.h. */
#define FS_TRUNCATE   (UINT64_C(1) << 14) /* version 3 */
#define FS_IOCTL_DEV  (UINT64_C(1) << 15) /* 5 */
#define NET_BIND      (UINT64_C(1) << 0)  /* 4 */
#define NET_CONNECT   (UINT64_C(1) << 1)
#define SCOPE_SOCKETS (UINT64_C(1) << 0) /* 6: abstract unix sockets */
#define SCOPE_SIGNALS (UINT64_C(1) << 1)

struct ruleset {
    uint64_t fs, net, scoped;
};

#define READ_RIGHTS                                                                                \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE)
#define WRITE_RIGHTS                                                                               \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                               \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |   \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)
/* A rule about a file has these of them alone. */
#define FILE_RIGHTS                                                                                \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE |   \
     FS_TRUNCATE | FS_IOCTL_DEV)

/* What is to be restricted, as far as this version knows it; *lacking tells the rest. Since the
 * second one a file may be put into another directory, such as a damaged segment into quarantine/;
 * before, under any rule at all, none may. */
static struct ruleset ruleset_of(const struct sandbox_paths *p, long version, const char **lacking)
{
    struct ruleset r = {.fs = WRITE_RIGHTS | (p->write_only ? 0 : READ_RIGHTS)};

    if (version >= 2)
        r.fs |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= 3)
        r.fs |= FS_TRUNCATE;
    if (version >= 4)
        r.net = (p->no_tcp_listen ? NET_BIND : 0) | (p->no_tcp_connect ? NET_CONNECT : 0);
    if (version >= 5 && !p->write_only)
        r.fs |= FS_IOCTL_DEV;
    if (version >= 6)
        r.scoped =
            (p->no_signals ? SCOPE_SIGNALS : 0) | (p->no_abstract_sockets ? SCOPE_SOCKETS : 0);
    *lacking = version < 3   ? "truncation, TCP, device controls and signals"
               : version < 4 ? "TCP, device controls and signals"
               : version < 5 ? "device controls and signals"
               : version < 6 ? "signals and abstract sockets"
                             : NULL;
    return r;
}

static int add_paths(int ruleset, const char *const *paths, uint64_t rights)
{
    struct stat st;
    int error = 0;

    for (; paths != NULL && *paths != NULL; paths++) {
        struct landlock_path_beneath_attr beneath = {.allowed_access = rights};
        beneath.parent_fd = open(*paths, O_PATH | O_CLOEXEC);
        if (beneath.parent_fd < 0)
            continue;
        if (fstat(beneath.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
            beneath.allowed_access &= FILE_RIGHTS;
        if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0)
            error = -errno;
        close(beneath.parent_fd);
    }
    return error;
}

int sandbox_confine(const struct sandbox_paths *p, char why[SANDBOX_ERROR_CAP])
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    const char *lacking;
    struct ruleset r = ruleset_of(p, version, &lacking);
    /* An older kernel takes a longer struct whose rest is zero. */
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &r, sizeof(r), 0);
    int error = 0;

    why[0] = 0;
    if (version < 0 || ruleset < 0) {
        error = errno;
        snprintf(why, SANDBOX_ERROR_CAP,
                 "no Landlock (%s): running without; lsm=landlock,... on the kernel's command line",
                 strerror(error));
        return -error;
    }
    error = add_paths(ruleset, p->write, r.fs);
    if (error == 0 && !p->write_only)
        error = add_paths(ruleset, p->read, r.fs & READ_RIGHTS);
    if (error == 0 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
                       syscall(SYS_landlock_restrict_self, ruleset, 0) != 0))
        error = -errno;
    close(ruleset);
    if (error != 0)
        snprintf(why, SANDBOX_ERROR_CAP, "Landlock rules not in force (%s)", strerror(-error));
    else if (lacking != NULL)
        snprintf(why, SANDBOX_ERROR_CAP,
                 "this kernel's Landlock (version %ld) does not restrict %s", version, lacking);
    return error;
}

int sandbox_confine_all(char why[SANDBOX_ERROR_CAP])
{
    static const struct sandbox_paths nothing = {.no_signals = true, .no_abstract_sockets = true};

    return sandbox_confine(&nothing, why);
}

/* ---- rights ---- */

static int set_rights(uint64_t mask)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    if (syscall(SYS_capget, &header, data) != 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        data[i].permitted &= (uint32_t)(mask >> (32 * i));
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    return syscall(SYS_capset, &header, data) != 0 ? -errno : 0;
}

/* Without CAP_SETPCAP none can be taken out of the set: nor is there much to be had by it. */
static void bound_rights(uint64_t mask)
{
    for (unsigned long c = 0; c <= 63 && prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
        if ((mask >> c & 1) == 0)
            (void)prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
}

void sandbox_close_rights(void)
{
    bound_rights(0);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    (void)set_rights(UINT64_MAX);
}

int sandbox_keep_rights(uint64_t mask)
{
    bound_rights(mask);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return set_rights(mask);
}

#ifndef PR_SET_MDWE /* since Linux 6.3 */
#define PR_SET_MDWE              65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

void sandbox_close_memory(void)
{
    const struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_MSGQUEUE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0);
}

int sandbox_drop_to_nobody(char why[SANDBOX_ERROR_CAP])
{
    const unsigned nobody = 65534;

    sandbox_close_rights();
    if (geteuid() != 0)
        return 0;
    if (setgroups(0, NULL) != 0 || setresgid(nobody, nobody, nobody) != 0 ||
        setresuid(nobody, nobody, nobody) != 0) {
        int error = errno;
        snprintf(why, SANDBOX_ERROR_CAP, "cannot become nobody (%s)", strerror(error));
        return -error;
    }
    return 0;
}

int sandbox_drop_user(const char *user, char why[SANDBOX_ERROR_CAP])
{
    struct passwd *p = getpwnam(user);

    if (p == NULL) {
        snprintf(why, SANDBOX_ERROR_CAP, "gateway: user: there is no user '%s'", user);
        return -ENOENT;
    }
    if (initgroups(user, p->pw_gid) != 0 || setresgid(p->pw_gid, p->pw_gid, p->pw_gid) != 0 ||
        setresuid(p->pw_uid, p->pw_uid, p->pw_uid) != 0) {
        int error = errno;
        snprintf(why, SANDBOX_ERROR_CAP, "gateway: user: cannot become '%s' (%s); start as root",
                 user, strerror(error));
        return -error;
    }
    return 0;
}
