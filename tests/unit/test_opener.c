/*
 * The opener as a process of its own, which this program becomes when it is exec'ed as a role: what
 * it opens, what it refuses, and that its death costs nothing.
 */
#include "unit.h"

#include "opener.h"
#include "role.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static char base[64], path[256];
static struct opener o;

static const char *at(const char *name)
{
    snprintf(path, sizeof(path), "%s/%s", base, name);
    return path;
}

static void write_file(const char *name)
{
    int fd = open(at(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, name, strlen(name)), strlen(name));
    close(fd);
}

static int setup(void **state)
{
    (void)state;
    strcpy(base, "/tmp/sluice-opener-XXXXXX");
    assert_non_null(mkdtemp(base));
    assert_int_equal(mkdir(at("conf"), 0700), 0);
    assert_int_equal(mkdir(at("conf/more"), 0700), 0);
    assert_int_equal(mkdir(at("spool"), 0700), 0);
    write_file("secret");
    write_file("secret.pem");
    write_file("main");
    write_file("conf/a");
    write_file("conf/more/b");
    write_file("conf/a..b");
    write_file("a..b.pem");
    write_file("..c");
    write_file("spool/segment");
    assert_int_equal(symlink("../secret", at("conf/out")), 0);
    assert_int_equal(symlink("/etc/passwd", at("conf/abs")), 0);
    assert_int_equal(symlink("more/b", at("conf/in")), 0);
    assert_int_equal(symlink("../secret", at("spool/out")), 0);
    assert_int_equal(opener_start(&o), 0);
    assert_int_equal(opener_allow(&o, at("main")), 0);
    assert_int_equal(opener_allow(&o, at("conf/")), 0);
    assert_int_equal(opener_allow(&o, at("spool/.")), 0);
    assert_int_equal(opener_allow(&o, at("a..b.pem")), 0);
    assert_int_equal(opener_allow(&o, at("..c")), 0);
    assert_int_equal(opener_allow(&o, at("spool/../secret.pem")), 0);
    assert_int_equal(opener_allow(&o, "relative"), -EINVAL);
    assert_int_equal(opener_open(&o, at("main")), -EACCES); /* not before the seal */
    assert_int_equal(opener_seal(&o), 0);
    assert_int_equal(opener_allow(&o, "/"), -EACCES);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    opener_stop(&o);
    snprintf(command, sizeof(command), "rm -r %s", base);
    return system(command);
}

static void opens_what_is_allowed(void **state)
{
    static const struct {
        const char *name;
        int error;
    } rows[] = {
        {"main", 0},
        {"conf/a", 0},
        {"conf/more/b", 0},
        {"conf/in", 0}, /* a link that stays inside */
        {"spool/.", 0},
        {"conf/", 0},
        {"conf/a..b", 0},
        {"a..b.pem", 0},
        {"..c", 0},
        {"spool/../secret.pem", 0}, /* as it stands in the list */
        {"secret.pem", -EACCES},
        {"conf/..", -EACCES},
        {"conf/...", -ENOENT},
        {"secret", -EACCES},
        {"conf", -EACCES},
        {"main/", -EACCES},
        {"spool/", -EACCES},
        {"spool/segment", -EACCES},
        {"spool/out", -EACCES},
        {"conf/../secret", -EACCES},
        {"conf/more/../../secret", -EACCES},
        {"conf/out", -EXDEV},
        {"conf/abs", -EXDEV},
        {"conf/none", -ENOENT},
        {"conf/a/", -ENOTDIR},
        {"conf//a", -EXDEV},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        int fd = opener_open(&o, at(rows[i].name));
        if (rows[i].error == 0 ? fd < 0 : fd != rows[i].error)
            fail_msg("%s: %d", rows[i].name, fd);
        if (fd >= 0) {
            assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
            assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
            close(fd);
        }
    }
    assert_int_equal(opener_open(&o, ""), -EACCES);
    assert_int_equal(opener_open(&o, "main"), -EACCES);
    memset(path, 'x', sizeof(path) - 1);
    assert_int_equal(opener_open(&o, path), -EACCES);
}

static void usable(void)
{
    int fd = opener_open(&o, at("conf/a"));
    char text[16];

    assert_true(fd >= 0);
    assert_int_equal(read(fd, text, sizeof(text)), 6);
    close(fd);
    assert_int_equal(opener_open(&o, at("secret")), -EACCES);
    assert_int_equal(opener_allow(&o, "/"), -EACCES);
}

static void ended(pid_t pid)
{
    assert_true(pid > 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    for (int ms = 0; ms < 5000 && !opener_tend(&o); ms++) /* its socket closes when it has died */
        usleep(1000);
}

static void the_reserve_takes_over(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= 3; n++) {
        ended(o.pid[0]);
        assert_int_equal(o.restart_cnt, n);
        usable();
    }
    ended(o.pid[1]); /* the reserve itself */
    assert_int_equal(o.restart_cnt, 4);
    usable();
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie of ours is left */
}

static void a_dead_one_is_noticed_by_a_question(void **state)
{
    (void)state;
    pid_t pid = o.pid[0];
    assert_int_equal(kill(pid, SIGKILL), 0);
    usable();
    assert_int_equal(o.restart_cnt, 1);
}

/* One that hangs: its answer, when it comes, is for nobody. */
static void one_that_hangs_is_left(void **state)
{
    (void)state;
    pid_t pid = o.pid[0];
    assert_int_equal(kill(pid, SIGSTOP), 0);
    usable();
    assert_int_equal(o.restart_cnt, 1);
    assert_int_equal(kill(pid, SIGCONT), 0);
    usable();
}

static void both_dead(void **state)
{
    (void)state;
    assert_int_equal(kill(o.pid[0], SIGKILL), 0);
    assert_int_equal(kill(o.pid[1], SIGKILL), 0);
    for (int ms = 0; ms < 5000 && !opener_lost(&o); ms++) {
        opener_tend(&o);
        usleep(1000);
    }
    assert_true(opener_lost(&o));
    assert_int_equal(opener_open(&o, at("main")), -ENOTCONN);
    assert_false(opener_tend(&o));
}

static void on_alarm(int signal)
{
    (void)signal;
}

/* Signals come to control all the time (net_tap's): none of them is a death. */
static void signals_are_no_death(void **state)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval often = {.it_interval = {.tv_usec = 20}, .it_value = {.tv_usec = 20}};
    struct itimerval off = {0};

    (void)state;
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    for (int i = 0; i < 20000; i++)
        assert_false(opener_tend(&o));
    for (int i = 0; i < 100; i++)
        usable();
    setitimer(ITIMER_REAL, &off, NULL);
    assert_int_equal(o.restart_cnt, 0);
}

/* It lives beside the opener and ends with its socket. */
static void starts_another_role(void **state)
{
    char proc[64];
    int socket = -1, none = -1;

    (void)state;
    assert_int_equal(opener_spawn(&o, "nobody", &none), -EINVAL);
    assert_int_equal(none, -1);
    int pid = opener_spawn(&o, "resolver", &socket);
    assert_true(pid > 0 && socket >= 0);
    assert_int_equal(kill(pid, 0), 0);
    close(socket);
    snprintf(proc, sizeof(proc), "/proc/%d", pid);
    for (int i = 0; i < 10000 && access(proc, F_OK) == 0; i++)
        usleep(1000);
    assert_int_equal(access(proc, F_OK), -1);
    usable();
}

static void there_is_no_other_role(void **state)
{
    (void)state;
    assert_null(role_find("nobody"));
    assert_non_null(role_find("opener"));
    assert_non_null(role_find("resolver"));
    assert_int_equal(role_run("nobody"), 2);
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(opens_what_is_allowed),
        CASE(the_reserve_takes_over),
        CASE(a_dead_one_is_noticed_by_a_question),
        CASE(one_that_hangs_is_left),
        CASE(both_dead),
        CASE(signals_are_no_death),
        CASE(starts_another_role),
        cmocka_unit_test(there_is_no_other_role),
    };

    if (argc == 2 && strncmp(argv[1], "--role=", 7) == 0)
        return role_run(argv[1] + 7);
    return cmocka_run_group_tests_name("opener", tests, NULL, NULL);
}
