#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DENY_EVERYWHERE                                                                            \
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_getfd, SYS_kcmp, SYS_mount, \
        SYS_umount2, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_move_mount,            \
        SYS_open_tree, SYS_mount_setattr, SYS_pivot_root, SYS_chroot, SYS_open_by_handle_at,       \
        SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_kexec_file_load, \
        SYS_reboot, SYS_swapon, SYS_swapoff, SYS_bpf, SYS_add_key, SYS_request_key, SYS_keyctl,    \
        SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime, SYS_sethostname,     \
        SYS_setdomainname, SYS_acct, SYS_quotactl, SYS_personality

/* main parses outside data: it never starts a program. */
const int sandbox_deny_main[] = {DENY_EVERYWHERE, SYS_execve,  SYS_execveat, SYS_perf_event_open,
                                 SYS_userfaultfd, SYS_unshare, SYS_setns,    -1};

/* A filter is inherited by what a process starts, and the opener starts the other roles: so it may
 * deny only what none of them needs. */
const int sandbox_deny_opener[] = {DENY_EVERYWHERE,
                                   SYS_io_uring_setup,
                                   SYS_perf_event_open,
                                   SYS_userfaultfd,
                                   SYS_unshare,
                                   SYS_setns,
                                   -1};

const int sandbox_deny_resolver[] = {DENY_EVERYWHERE,    SYS_execve,          SYS_execveat,
                                     SYS_io_uring_setup, SYS_perf_event_open, SYS_userfaultfd,
                                     SYS_unshare,        SYS_setns,           -1};

/* libunbound has its keys and its root servers in memory by then, libcurl its authorities. */
const int sandbox_deny_resolver_running[] = {SYS_open,
                                             SYS_openat,
                                             SYS_openat2,
                                             SYS_creat,
                                             SYS_truncate,
                                             SYS_unlink,
                                             SYS_unlinkat,
                                             SYS_rename,
                                             SYS_renameat,
                                             SYS_renameat2,
                                             SYS_mkdir,
                                             SYS_mkdirat,
                                             SYS_rmdir,
                                             SYS_link,
                                             SYS_linkat,
                                             SYS_symlink,
                                             SYS_symlinkat,
                                             SYS_mknod,
                                             SYS_mknodat,
                                             SYS_chmod,
                                             SYS_fchmod,
                                             SYS_fchmodat,
                                             SYS_chown,
                                             SYS_fchown,
                                             SYS_fchownat,
                                             SYS_fork,
                                             SYS_vfork,
                                             SYS_kill,
                                             SYS_tkill,
                                             SYS_pidfd_send_signal,
                                             SYS_setuid,
                                             SYS_setgid,
                                             SYS_setreuid,
                                             SYS_setregid,
                                             SYS_setresuid,
                                             SYS_setresgid,
                                             SYS_setgroups,
                                             SYS_listen,
                                             SYS_memfd_create,
                                             SYS_shmget,
                                             SYS_shmat,
                                             SYS_msgget,
                                             -1};

/* It has passwords: it starts nothing and opens nothing. Connecting is left to it: Dovecot. */
const int sandbox_deny_auth[] = {DENY_EVERYWHERE,    SYS_execve,          SYS_execveat,
                                 SYS_fork,           SYS_vfork,           SYS_open,
                                 SYS_openat,         SYS_openat2,         SYS_creat,
                                 SYS_io_uring_setup, SYS_perf_event_open, SYS_userfaultfd,
                                 SYS_unshare,        SYS_setns,           -1};

#define DENY_MAX 96
#define X32_BIT  0x40000000u

int sandbox_deny(const int *syscalls, char why[SANDBOX_ERROR_CAP])
{
    struct sock_filter code[DENY_MAX * 2 + 8];
    unsigned n = 0;

    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    /* The x32 numbers are other ways to the same calls. */
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    for (unsigned i = 0; syscalls[i] >= 0; i++) {
        base_assert(i < DENY_MAX);
        code[n++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)syscalls[i], 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = (unsigned short)n, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) {
        int error = errno;
        snprintf(why, SANDBOX_ERROR_CAP, "no seccomp filter (%s): running without",
                 strerror(error));
        return -error;
    }
    return 0;
}

/* Rights of Landlock's first version that change something. */
#define WRITE_RIGHTS                                                                               \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                               \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |   \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

/* Since its second version a file may be put into another directory, such as a damaged segment into
 * quarantine/; before, under any rule at all, none may. */
static uint64_t write_rights(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    return WRITE_RIGHTS | (version >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0);
}

int sandbox_confine_writes(const char *const *directories, char why[SANDBOX_ERROR_CAP])
{
    uint64_t rights = write_rights();
    struct landlock_ruleset_attr attr = {.handled_access_fs = rights};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    int error = 0;

    if (ruleset < 0) {
        error = errno;
        snprintf(why, SANDBOX_ERROR_CAP, "no Landlock (%s): running without", strerror(error));
        return -error;
    }
    for (; *directories != NULL; directories++) {
        struct landlock_path_beneath_attr beneath = {.allowed_access = rights};
        beneath.parent_fd = open(*directories, O_PATH | O_CLOEXEC | O_DIRECTORY);
        if (beneath.parent_fd < 0)
            continue;
        if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0)
            error = errno;
        close(beneath.parent_fd);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        error = errno;
    close(ruleset);
    if (error != 0)
        snprintf(why, SANDBOX_ERROR_CAP, "Landlock rules not in force (%s)", strerror(error));
    return -error;
}

int sandbox_drop_to_nobody(char why[SANDBOX_ERROR_CAP])
{
    const unsigned nobody = 65534;

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
        snprintf(
            why, SANDBOX_ERROR_CAP,
            "gateway: user: there is no user '%s': make it (useradd --system %s), or name another",
            user, user);
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
