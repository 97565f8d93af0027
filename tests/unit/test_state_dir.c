/* Directories of state, and files that are replaced as a whole. */
#include "unit.h"

#include "state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64], state[80];

static void directories(void **arg)
{
    char why[200];
    struct stat st;

    (void)arg;
    assert_int_equal(state_dir_open(state, "one"), -ENOENT);
    assert_int_equal(state_dir_make(state, "one", NULL, why, sizeof(why)), 0);
    assert_int_equal(state_dir_make(state, "one", "", why, sizeof(why)), 0); /* they are there */
    assert_int_equal(stat(state, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    int dir = state_dir_open(state, "one");
    assert_true(dir >= 0);
    close(dir);
    assert_true(state_dir_make("/proc/nothing/there", "one", NULL, why, sizeof(why)) < 0);
    assert_non_null(strstr(why, "state_dir: cannot make /proc/nothing/there"));
}

static void files(void **arg)
{
    char why[200];
    uint8_t *data;
    size_t len;

    (void)arg;
    assert_int_equal(state_dir_make(state, "two", NULL, why, sizeof(why)), 0);
    int dir = state_dir_open(state, "two");
    assert_true(dir >= 0);
    assert_int_equal(state_file_read(dir, "f", 100, &data, &len), -ENOENT);
    assert_null(data);
    assert_int_equal(state_file_replace(dir, "f", base_span_str("first")), 0);
    assert_int_equal(state_file_replace(dir, "f", base_span_str("the second")), 0);
    assert_int_equal(faccessat(dir, "f.new", F_OK, 0), -1);
    assert_int_equal(state_file_read(dir, "f", 9, &data, &len), -EFBIG);
    assert_int_equal(state_file_read(dir, "f", 10, &data, &len), 0);
    assert_int_equal(len, 10);
    assert_memory_equal(data, "the second", 10);
    free(data);
    /* What a crash has left is no obstacle; a link is no file. */
    assert_int_equal(state_file_replace(dir, "f.new", base_span_str("left over")), 0);
    assert_int_equal(state_file_replace(dir, "f", base_span_str("")), 0);
    assert_int_equal(state_file_read(dir, "f", 10, &data, &len), 0);
    assert_int_equal(len, 0);
    free(data);
    assert_int_equal(symlinkat("f", dir, "link"), 0);
    assert_int_equal(state_file_read(dir, "link", 10, &data, &len), -ELOOP);
    close(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(directories),
        cmocka_unit_test(files),
    };
    char command[100];

    snprintf(root, sizeof(root), "/tmp/sluice-state-XXXXXX");
    if (mkdtemp(root) == NULL)
        return 1;
    snprintf(state, sizeof(state), "%s/state", root);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(command, sizeof(command), "rm -rf %s", root);
    return system(command) != 0 ? 1 : failed;
}
