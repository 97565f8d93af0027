/*
 * The sandbox of each role, in a child of its own that tries what must fail: refused (EPERM), or
 * the end of the process. And what must go on working.
 */
#include "unit.h"

#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum outcome { WORKS, REFUSED, DEADLY };

#define BIT(role) (1u << SANDBOX_##role)
#define ALL       (BIT(MAIN) | BIT(OPENER) | BIT(RESOLVER) | BIT(HTTPS) | BIT(AUTH))

static char base[] = "/var/tmp/test_sandbox.XXXXXX";
static int inherited_fd; /* of /dev/zero */

static int open_shadow(void)
{
    return open("/etc/shadow", O_RDONLY | O_CLOEXEC);
}

static int execute(void)
{
    return execl("/bin/true", "true", (char *)NULL);
}

static int start_process(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    return pid < 0 ? -1 : 0;
}

static void *nothing(void *arg)
{
    return arg;
}

static int start_thread(void)
{
    pthread_t t;
    int error = pthread_create(&t, NULL, nothing, NULL);

    if (error == 0)
        pthread_join(t, NULL);
    errno = error;
    return error == 0 ? 0 : -1;
}

static int trace(void)
{
    return (int)syscall(SYS_ptrace, 16 /* PTRACE_ATTACH */, getppid(), 0, 0);
}

static int make_ring(void)
{
    char params[120] = {0};

    return (int)syscall(SYS_io_uring_setup, 4, params);
}

static int load_bpf(void)
{
    return (int)syscall(SYS_bpf, 0, NULL, 0);
}

static int x32_call(void)
{
    return (int)syscall(0x40000000 + SYS_getpid);
}

static int mount_there(void)
{
    return (int)syscall(SYS_mount, "none", base, "tmpfs", 0, NULL);
}

static int packet_socket(void)
{
    return socket(AF_PACKET, SOCK_RAW, 0);
}

static int unix_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int inet_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}

static int map_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
               ? -1
               : 0;
}

static int make_code(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return page == MAP_FAILED ? -1 : mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static int become_root(void)
{
    return (int)syscall(SYS_setresuid, 0, 0, 0);
}

static int signal_parent(void)
{
    return kill(getppid(), 0);
}

static int read_open_one(void)
{
    char byte;

    return read(inherited_fd, &byte, 1) == 1 ? 0 : -1;
}

static int allocate(void)
{
    void *p = malloc(64u << 20);

    free(p);
    return p != NULL ? 0 : -1;
}

/* What a role may beyond the row's default has its bit in the outcome's column. */
static const struct {
    const char *name;
    int (*try)(void);
    unsigned works, deadly; /* roles; the others: refused */
} rows[] = {
    {"read what it has", read_open_one, ALL, 0},
    {"memory", allocate, ALL, 0},
    {"a thread", start_thread, ALL, 0},
    {"execve", execute, BIT(OPENER), ALL & ~BIT(OPENER)},
    {"fork", start_process, BIT(OPENER), 0},
    {"ptrace", trace, 0, ALL},
    {"io_uring_setup", make_ring, 0, ALL},
    {"bpf", load_bpf, 0, ALL},
    {"mount", mount_there, 0, ALL},
    {"x32", x32_call, 0, ALL},
    {"open /etc/shadow", open_shadow, BIT(MAIN) | BIT(OPENER), 0}, /* Landlock's, the user's */
    {"a packet socket", packet_socket, 0, 0},
    {"a unix socket", unix_socket, BIT(MAIN) | BIT(OPENER) | BIT(AUTH), 0},
    {"an inet socket", inet_socket, ALL & ~BIT(AUTH), 0},
    {"memory to be executed", map_code, BIT(OPENER), 0},
    {"written memory to be executed", make_code, BIT(OPENER), 0},
    {"another user", become_root, BIT(OPENER), 0},
    {"a signal to another", signal_parent, BIT(OPENER), 0},
};

/* In a child: 0 it worked, 1 EPERM, 2 another error, 3 no sandbox; or the signal that ended it. */
static int outcome_of(enum sandbox_role role, int (*try)(void))
{
    char why[SANDBOX_ERROR_CAP];
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        if (sandbox_allow(role, why) != 0)
            _exit(3);
        int rc = try();
        _exit(rc >= 0 ? 0 : errno == EPERM ? 1 : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 100 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void each_role_has_its_calls(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++)
        for (unsigned role = 0; role < SANDBOX_ROLE_CNT; role++) {
            int want = rows[i].works & 1u << role    ? 0
                       : rows[i].deadly & 1u << role ? 100 + SIGSYS
                                                     : 1;
            int got = outcome_of((enum sandbox_role)role, rows[i].try);
            if (got != want)
                print_error("%s, role %u\n", rows[i].name, role);
            assert_int_equal(got, want);
        }
}

/* ---- Landlock ---- */

static bool landlock_here(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* the version */) >= 6;
}

static bool may_open(const char *name, int flags)
{
    int fd = open(name, flags | O_CLOEXEC, 0600);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool may_listen(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
}

/* The status of what the child says; 0: all was as it had to be. */
static void in_child(int (*what)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(what());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int confined_to_paths(void)
{
    char why[SANDBOX_ERROR_CAP], inside[64], outside[64];
    const char *const read[] = {"/usr", "/etc/passwd", "/missing", NULL};
    const char *const write[] = {inside, "/dev", NULL};

    snprintf(inside, sizeof(inside), "%s/in", base);
    snprintf(outside, sizeof(outside), "%s/out", base);
    if (mkdir(inside, 0700) != 0 || !may_open("/etc/group", O_RDONLY))
        return 1;
    struct sandbox_paths paths = {
        .read = read, .write = write, .no_tcp_listen = true, .no_signals = true};
    if (sandbox_confine(&paths, why) != 0)
        return 2;
    if (!may_open("/etc/passwd", O_RDONLY) || !may_open("/usr/bin/env", O_RDONLY) ||
        !may_open("/dev/null", O_RDWR))
        return 3;
    snprintf(inside + strlen(inside), 8, "/file");
    if (!may_open(inside, O_RDWR | O_CREAT) || truncate(inside, 0) != 0)
        return 4;
    if (may_open("/etc/group", O_RDONLY) || may_open("/etc/shadow", O_RDONLY))
        return 5;
    if (may_open(outside, O_WRONLY | O_CREAT) || may_open("/etc/passwd", O_WRONLY) ||
        rename(inside, outside) == 0)
        return 6;
    return may_listen() ? 7 : kill(getppid(), 0) == 0 ? 8 : 0;
}

static int confined_whole(void)
{
    char why[SANDBOX_ERROR_CAP], byte;

    if (sandbox_confine_all(why) != 0)
        return 1;
    if (may_open("/etc/passwd", O_RDONLY) || may_open("/dev/null", O_RDWR) ||
        may_open(".", O_RDONLY))
        return 2;
    return read(inherited_fd, &byte, 1) == 1 ? 0 : 3;
}

static int confined_in_writing(void)
{
    char why[SANDBOX_ERROR_CAP];
    const char *const write[] = {"/dev/null", NULL};

    if (sandbox_confine(&(struct sandbox_paths){.write = write, .write_only = true}, why) != 0)
        return 1;
    if (!may_open("/etc/passwd", O_RDONLY) || !may_open("/dev/null", O_RDWR))
        return 2;
    return may_open("/etc/passwd", O_WRONLY) || may_open("/etc/new", O_WRONLY | O_CREAT) ? 3 : 0;
}

/* After 16 layers the kernel takes no more, and says so. */
static int confined_too_often(void)
{
    char why[SANDBOX_ERROR_CAP];
    int error = 0;

    for (int i = 0; i < 17 && error == 0; i++)
        error = sandbox_confine_all(why);
    return error == -E2BIG ? 0 : 1;
}

static void paths_are_confined(void **state)
{
    (void)state;
    if (!landlock_here())
        skip(); /* older than version 6, or not in the kernel */
    in_child(confined_to_paths);
    in_child(confined_whole);
    in_child(confined_in_writing);
    in_child(confined_too_often);
}

/* ---- rights ---- */

/* A line of /proc/self/status as a hexadecimal number. */
static unsigned long long status_of(const char *name)
{
    char line[256];
    unsigned long long value = ~0ull;
    FILE *f = fopen("/proc/self/status", "re");

    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
            value = strtoull(line + strlen(name) + 1, NULL, 16);
    if (f != NULL)
        fclose(f);
    return value;
}

static int without_rights(void)
{
    static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
    char why[SANDBOX_ERROR_CAP];

    if (sandbox_drop_to_nobody(why) != 0)
        return 1;
    sandbox_close_memory();
    for (size_t i = 0; i < BASE_ARRAY_CNT(sets); i++)
        if (status_of(sets[i]) != 0)
            return 2;
    return getuid() == 65534 && getegid() == 65534 && prctl(PR_GET_DUMPABLE) == 0 &&
                   setresuid(0, 0, 0) != 0
               ? 0
               : 3;
}

static int with_two_rights(void)
{
    if (sandbox_keep_rights(1 << 2 | 1 << 7) != 0) /* DAC_READ_SEARCH, SETUID */
        return 1;
    return status_of("CapPrm") == 0x84 && status_of("CapBnd") == 0x84 && status_of("CapInh") == 0
               ? 0
               : 2;
}

static void rights_are_given_up(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip(); /* nothing to give up */
    in_child(without_rights);
    in_child(with_two_rights);
}

static int setup(void **state)
{
    (void)state;
    inherited_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    return mkdtemp(base) != NULL && inherited_fd >= 0 ? 0 : -1;
}

static int teardown(void **state)
{
    char name[64];

    (void)state;
    snprintf(name, sizeof(name), "%s/in/file", base);
    unlink(name);
    snprintf(name, sizeof(name), "%s/in", base);
    rmdir(name);
    return rmdir(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_role_has_its_calls),
        cmocka_unit_test(paths_are_confined),
        cmocka_unit_test(rights_are_given_up),
    };

    return cmocka_run_group_tests_name("sandbox", tests, setup, teardown);
}
