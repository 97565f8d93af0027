/*
 * packet_script [--v6] [--must-fail] FILE...
 *
 * Runs packet scripts. With --must-fail each case must fail at a line whose comment says
 * "fails: TEXT", and with that text. With --v6 the two ends have IPv6 addresses. Exit status 1 when
 * a case did otherwise.
 */
#include "script.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct script script;

/* An assertion of the stack: say where the script was. */
static void aborted(int signal)
{
    char text[SCRIPT_TEXT_CAP * 2];
    int n = snprintf(text, sizeof(text), "%s:%u: [%s] the stack aborts here\n", script.file,
                     script.line, script.case_name);

    (void)!write(STDERR_FILENO, text, (size_t)n);
    (void)signal;
    _exit(1);
}

int main(int argc, char **argv)
{
    uint32_t file_cnt = 0;
    int rc = 0;

    signal(SIGABRT, aborted);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--must-fail") == 0) {
            script.quiet = true;
            continue;
        }
        if (strcmp(argv[i], "--v6") == 0) {
            script.v6 = true;
            continue;
        }
        uint32_t before_cnt = script.case_cnt;
        if (!script_run(&script, argv[i])) {
            printf("%s: cannot be read\n", argv[i]);
            rc = 1;
        } else if (script.case_cnt == before_cnt) {
            printf("%s: has no case\n", argv[i]);
            rc = 1;
        }
        file_cnt++;
    }
    printf("%u files, %u cases, %u failed\n", file_cnt, script.case_cnt, script.failed_cnt);
    return rc != 0 || script.failed_cnt > 0 || file_cnt == 0;
}
