/* sluicectl top: looks at the gateway once a second and shows it on a terminal. */
#include "top_look.h"
#include "top_terminal.h"
#include "watch_command.h"

#include <curses.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_MS 1000

struct top {
    struct top_look before, now, next;
    char lines[TOP_LINE_MAX][TOP_LINE_CAP];
};

static void end_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
}

/* ---- once ---- */

static int print_once(const struct command_call *call, struct top *t)
{
    char error[GATEWAY_WHY_CAP];

    if (!top_look_at(call->socket, &t->before, true, error) || usleep(INTERVAL_MS * 1000) != 0 ||
        !top_look_at(call->socket, &t->now, true, error)) {
        fprintf(stderr, "sluicectl: the gateway does not answer: %s\n", error);
        return COMMAND_UNREACHABLE;
    }
    if (call->json) {
        top_json(stdout, &t->before, &t->now);
        return COMMAND_DONE;
    }
    uint32_t cnt = top_lines(t->lines, &t->before, &t->now);
    for (uint32_t i = 0; i < cnt; i++)
        puts(t->lines[i]);
    return COMMAND_DONE;
}

/* ---- live ---- */

/* Whether ^C, or another, has asked for the end; they are blocked. */
static bool is_ended(void)
{
    const struct timespec none = {0};
    sigset_t set;

    end_signals(&set);
    return sigtimedwait(&set, NULL, &none) > 0;
}

/* One screen; what does not fit is left out. */
static void draw(char lines[TOP_LINE_MAX][TOP_LINE_CAP], uint32_t cnt, const char *trouble)
{
    erase();
    for (uint32_t i = 0; i < cnt && (int)i < LINES - 1; i++) {
        bool head =
            i == 0 || strncmp(lines[i], "lane ", 5) == 0 || strstr(lines[i], "top clients") != NULL;
        if (head)
            attron(A_BOLD);
        mvaddnstr((int)i, 0, lines[i], COLS);
        if (head)
            attroff(A_BOLD);
    }
    attron(A_REVERSE);
    mvaddnstr(LINES - 1, 0, trouble[0] != 0 ? trouble : "q ends it", COLS);
    attroff(A_REVERSE);
    refresh();
}

static void run_live(const struct command_call *call, struct top *t)
{
    char error[GATEWAY_WHY_CAP], trouble[TOP_LINE_CAP] = "";
    uint32_t cnt = 0;

    while (!is_ended()) {
        if (top_look_at(call->socket, &t->next, true, error)) {
            t->before = t->now.now_ns != 0 ? t->now : t->next;
            t->now = t->next;
            cnt = top_lines(t->lines, &t->before, &t->now);
            trouble[0] = 0;
        } else {
            snprintf(trouble, sizeof(trouble), "trying again: the gateway does not answer: %.180s",
                     error);
        }
        draw(t->lines, cnt, trouble);
        timeout(INTERVAL_MS);
        int key = getch();
        if (key == 'q' || key == 'Q')
            return;
        if (key == KEY_RESIZE)
            draw(t->lines, cnt, trouble);
    }
}

int top_command_run(const struct command_call *call)
{
    struct top *t = calloc(1, sizeof(*t));
    sigset_t set;

    if (t == NULL) {
        fputs("sluicectl: memory is short: end other programs, and try again\n", stderr);
        return COMMAND_UNREACHABLE;
    }
    if (call->json || command_option_value(call, "--once") != NULL) {
        int status = print_once(call, t);
        free(t);
        return status;
    }
    if (!top_terminal_fits()) {
        free(t);
        const char *term = getenv("TERM");
        fprintf(
            stderr,
            "sluicectl: top needs a terminal whose cursor it can move%s%s%s: --once prints what "
            "it shows once, --json too\n",
            term != NULL ? " (TERM=" : "", term != NULL ? term : "", term != NULL ? ")" : "");
        return COMMAND_WRONG_USE;
    }
    (void)setlocale(LC_CTYPE, ""); /* names beyond ASCII, where the terminal shows them */
    SCREEN *screen = newterm(NULL, stdout, stdin);
    if (screen == NULL) {
        free(t);
        fputs("sluicectl: the terminal cannot be used: --once prints what top shows once\n",
              stderr);
        return COMMAND_WRONG_USE;
    }
    end_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    curs_set(0);
    run_live(call, t);
    endwin();
    delscreen(screen);
    free(t);
    return COMMAND_DONE;
}
