/*
 * System calls by role: allow-lists, taken from what the tests do (strace -f) and read through.
 * What a list has beyond that is a close relative of what was seen, so that another version of the
 * C library, of DPDK or of its drivers finds what it needs.
 */
#include "sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Only an intruder makes these: the process ends. */
static const int deadly[] = {SYS_ptrace,
                             SYS_process_vm_readv,
                             SYS_process_vm_writev,
                             SYS_pidfd_getfd,
                             SYS_kcmp,
                             SYS_mount,
                             SYS_umount2,
                             SYS_fsopen,
                             SYS_fsconfig,
                             SYS_fsmount,
                             SYS_fspick,
                             SYS_move_mount,
                             SYS_open_tree,
                             SYS_mount_setattr,
                             SYS_pivot_root,
                             SYS_chroot,
                             SYS_unshare,
                             SYS_setns,
                             SYS_init_module,
                             SYS_finit_module,
                             SYS_delete_module,
                             SYS_kexec_load,
                             SYS_kexec_file_load,
                             SYS_reboot,
                             SYS_swapon,
                             SYS_swapoff,
                             SYS_bpf,
                             SYS_add_key,
                             SYS_request_key,
                             SYS_keyctl,
                             SYS_userfaultfd,
                             SYS_perf_event_open,
                             SYS_open_by_handle_at,
                             SYS_io_uring_setup,
                             SYS_settimeofday,
                             SYS_clock_settime,
                             SYS_adjtimex,
                             SYS_clock_adjtime,
                             SYS_sethostname,
                             SYS_setdomainname,
                             SYS_acct,
                             SYS_quotactl,
                             SYS_personality,
                             SYS_iopl,
                             SYS_ioperm,
                             SYS_modify_ldt,
                             -1};

/* Likewise of a role that starts no program. */
static const int deadly_programs[] = {SYS_execve, SYS_execveat, -1};

/* What every program has a use for: its memory, its threads, time, signals to itself, and the
 * descriptors that it has. */
static const int common[] = {SYS_read,
                             SYS_write,
                             SYS_readv,
                             SYS_writev,
                             SYS_pread64,
                             SYS_pwrite64,
                             SYS_lseek,
                             SYS_close,
                             SYS_fstat,
                             SYS_newfstatat,
                             SYS_fcntl,
                             SYS_dup,
                             SYS_poll,
                             SYS_ppoll,
                             SYS_select,
                             SYS_pselect6,
                             SYS_epoll_wait,
                             SYS_epoll_pwait,
                             SYS_epoll_pwait2,
                             SYS_epoll_ctl,
                             SYS_epoll_create,
                             SYS_epoll_create1,
                             SYS_eventfd2,
                             SYS_pipe2,
                             SYS_sendto,
                             SYS_recvfrom,
                             SYS_sendmsg,
                             SYS_recvmsg,
                             SYS_sendmmsg,
                             SYS_recvmmsg,
                             SYS_getsockopt,
                             SYS_setsockopt,
                             SYS_getsockname,
                             SYS_getpeername,
                             SYS_shutdown,
                             SYS_munmap,
                             SYS_mremap,
                             SYS_madvise,
                             SYS_brk,
                             SYS_mlock,
                             SYS_munlock,
                             SYS_mincore,
                             SYS_futex,
                             SYS_set_robust_list,
                             SYS_get_robust_list,
                             SYS_rseq,
                             SYS_membarrier,
                             SYS_sched_yield,
                             SYS_sched_getaffinity,
                             SYS_sched_setaffinity,
                             SYS_exit,
                             SYS_exit_group,
                             SYS_rt_sigaction,
                             SYS_rt_sigprocmask,
                             SYS_rt_sigreturn,
                             SYS_rt_sigtimedwait,
                             SYS_rt_sigpending,
                             SYS_sigaltstack,
                             SYS_tgkill,
                             SYS_restart_syscall,
                             SYS_nanosleep,
                             SYS_clock_nanosleep,
                             SYS_clock_gettime,
                             SYS_clock_getres,
                             SYS_gettimeofday,
                             SYS_time,
                             SYS_getrandom,
                             SYS_getpid,
                             SYS_gettid,
                             SYS_getppid,
                             SYS_getuid,
                             SYS_geteuid,
                             SYS_getgid,
                             SYS_getegid,
                             SYS_getrusage,
                             SYS_sysinfo,
                             SYS_uname,
                             SYS_getcpu,
                             SYS_times,
                             -1};

/* Connections to others. */
static const int network[] = {SYS_bind, SYS_connect, SYS_ioctl, -1};

/* main: files below what Landlock allows, io_uring's rings that are there, memory of DPDK and its
 * devices, the control socket's clients, the roles' ends. */
static const int gateway[] = {SYS_open,
                              SYS_openat,
                              SYS_access,
                              SYS_faccessat,
                              SYS_faccessat2,
                              SYS_stat,
                              SYS_lstat,
                              SYS_statx,
                              SYS_readlink,
                              SYS_readlinkat,
                              SYS_getdents64,
                              SYS_unlink,
                              SYS_unlinkat,
                              SYS_rename,
                              SYS_renameat,
                              SYS_renameat2,
                              SYS_mkdir,
                              SYS_mkdirat,
                              SYS_rmdir,
                              SYS_ftruncate,
                              SYS_fallocate,
                              SYS_fadvise64,
                              SYS_fsync,
                              SYS_fdatasync,
                              SYS_sync_file_range,
                              SYS_fstatfs,
                              SYS_statfs,
                              SYS_flock,
                              SYS_fchmod,
                              SYS_fchown,
                              SYS_umask,
                              SYS_io_uring_enter,
                              SYS_io_uring_register,
                              SYS_bind,
                              SYS_connect,
                              SYS_listen,
                              SYS_accept,
                              SYS_accept4,
                              SYS_socketpair,
                              SYS_ioctl,
                              SYS_timerfd_create,
                              SYS_timerfd_settime,
                              SYS_timerfd_gettime,
                              SYS_signalfd4,
                              SYS_mbind,
                              SYS_get_mempolicy,
                              SYS_set_mempolicy,
                              SYS_memfd_create,
                              SYS_msync,
                              SYS_wait4,
                              SYS_waitid,
                              SYS_prlimit64,
                              SYS_getrlimit,
                              SYS_getgroups,
                              SYS_capget,
                              SYS_prctl,
                              SYS_dup2,
                              SYS_dup3,
                              -1};

/* The opener: reading, a log to be appended to, and starting a role, dynamic linker, sandbox and
 * all. The first call of a role that is not here either is its own later list's, which holds, too.
 */
static const int opener[] = {SYS_open,
                             SYS_openat,
                             SYS_openat2,
                             SYS_access,
                             SYS_faccessat,
                             SYS_faccessat2,
                             SYS_stat,
                             SYS_lstat,
                             SYS_statx,
                             SYS_readlink,
                             SYS_readlinkat,
                             SYS_getdents64,
                             SYS_execve,
                             SYS_fork,
                             SYS_vfork,
                             SYS_wait4,
                             SYS_waitid,
                             SYS_close_range,
                             SYS_dup2,
                             SYS_dup3,
                             SYS_socketpair,
                             SYS_arch_prctl,
                             SYS_set_tid_address,
                             SYS_prctl,
                             SYS_prlimit64,
                             SYS_getrlimit,
                             SYS_setrlimit,
                             SYS_seccomp,
                             SYS_landlock_create_ruleset,
                             SYS_landlock_add_rule,
                             SYS_landlock_restrict_self,
                             SYS_capget,
                             SYS_capset,
                             SYS_setgroups,
                             SYS_getgroups,
                             SYS_setresuid,
                             SYS_setresgid,
                             SYS_get_mempolicy,
                             SYS_set_mempolicy,
                             SYS_mbind,
                             SYS_bind,
                             SYS_connect,
                             SYS_ioctl,
                             SYS_kill,
                             -1};

static const int auth[] = {SYS_connect, SYS_prctl, -1};
static const int https[] = {SYS_socketpair, -1};

struct list {
    const int *calls[3]; /* beside common; NULL: no more */
    int families[5];     /* of socket(), ended by 0: it makes none */
    bool starts;         /* other processes, and maps code */
};

static const struct list lists[SANDBOX_ROLE_CNT] = {
    [SANDBOX_MAIN] = {{gateway}, {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK}, false},
    [SANDBOX_OPENER] = {{opener}, {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK}, true},
    [SANDBOX_RESOLVER] = {{network}, {AF_INET, AF_INET6}, false},
    [SANDBOX_HTTPS] = {{network, https}, {AF_INET, AF_INET6}, false},
    [SANDBOX_AUTH] = {{auth}, {AF_UNIX}, false},
};

#define CODE_MAX 1024
#define X32_BIT  0x40000000u

struct filter {
    struct sock_filter code[CODE_MAX];
    unsigned cnt;
};

static void put(struct filter *f, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
    base_assert(f->cnt < CODE_MAX);
    f->code[f->cnt++] = (struct sock_filter){.code = code, .k = k, .jt = yes, .jf = no};
}

static void end_with(struct filter *f, uint32_t result)
{
    put(f, BPF_RET | BPF_K, result, 0, 0);
}

static void load(struct filter *f, size_t offset)
{
    put(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void put_call(struct filter *f, int call, uint32_t result)
{
    put(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1);
    end_with(f, result);
}

static void put_calls(struct filter *f, const int *calls, uint32_t result)
{
    for (; calls != NULL && *calls >= 0; calls++)
        put_call(f, *calls, result);
}

/* The call may be made where its argument has (or has not) one of the bits. */
static void put_bits(struct filter *f, int call, unsigned argument, uint32_t bits, bool has)
{
    put(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 4);
    load(f, offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t));
    put(f, BPF_JMP | BPF_JSET | BPF_K, bits, has ? 1 : 0, has ? 0 : 1);
    end_with(f, SECCOMP_RET_ERRNO | EPERM);
    end_with(f, SECCOMP_RET_ALLOW);
}

static void put_sockets(struct filter *f, const int *families)
{
    uint8_t cnt = 0;

    while (families[cnt] != 0)
        cnt++;
    put(f, BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, (uint8_t)(2 * cnt + 2));
    load(f, offsetof(struct seccomp_data, args));
    for (uint8_t i = 0; i < cnt; i++)
        put_call(f, families[i], SECCOMP_RET_ALLOW);
    end_with(f, SECCOMP_RET_ERRNO | EPERM);
}

static void put_list(struct filter *f, const struct list *l)
{
    load(f, offsetof(struct seccomp_data, arch));
    put(f, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
    end_with(f, SECCOMP_RET_KILL_PROCESS);
    load(f, offsetof(struct seccomp_data, nr));
    /* The x32 numbers are other ways to the same calls. */
    put(f, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
    end_with(f, SECCOMP_RET_KILL_PROCESS);
    put_calls(f, common, SECCOMP_RET_ALLOW);
    for (size_t i = 0; i < BASE_ARRAY_CNT(l->calls) && l->calls[i] != NULL; i++)
        put_calls(f, l->calls[i], SECCOMP_RET_ALLOW);
    put_calls(f, deadly, SECCOMP_RET_KILL_PROCESS);
    /* Its flags lie in memory, which a filter does not see: the C library then takes clone. */
    put_call(f, SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS);
    put_sockets(f, l->families);
    if (l->starts) {
        put_calls(f, (const int[]){SYS_clone, SYS_mmap, SYS_mprotect, -1}, SECCOMP_RET_ALLOW);
    } else {
        put_calls(f, deadly_programs, SECCOMP_RET_KILL_PROCESS);
        put_bits(f, SYS_clone, 0, CLONE_THREAD, true);
        put_bits(f, SYS_mmap, 2, PROT_EXEC, false);
        put_bits(f, SYS_mprotect, 2, PROT_EXEC, false);
    }
    end_with(f, SECCOMP_RET_ERRNO | EPERM);
}

int sandbox_allow(enum sandbox_role role, char why[SANDBOX_ERROR_CAP])
{
    struct filter f = {.cnt = 0};

    put_list(&f, &lists[role]);
    struct sock_fprog program = {.len = (unsigned short)f.cnt, .filter = f.code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) {
        int error = errno;
        snprintf(why, SANDBOX_ERROR_CAP, "no seccomp filter (%s): running without",
                 strerror(error));
        return -error;
    }
    return 0;
}
