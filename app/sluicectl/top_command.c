/* sluicectl top: looks at the gateway once a second and shows it on a terminal. */
#include "answer.h"
#include "top_terminal.h"
#include "top_text.h"
#include "watch_command.h"

#include <curses.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_MS 1000
#define TEXT_MAX    (16U << 20) /* of one answer */
#define ANSWER_S    10          /* as long as a piece of an answer may take */

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

/* ---- asking, without a word on the screen ---- */

/* What came before the stream had more than it may, ends there: *whole tells. */
struct limited {
    FILE *to;
    size_t left;
};

static ssize_t write_limited(void *cookie, const char *p, size_t len)
{
    struct limited *l = cookie;

    if (len > l->left) {
        errno = EFBIG;
        return -1;
    }
    l->left -= len;
    return (ssize_t)fwrite(p, 1, len, l->to);
}

/* The answer to a line, or NULL with why in error; to be freed. */
static char *ask(const char *socket_path, const char *line, bool *whole, char *error, size_t cap)
{
    struct limited limit = {.left = TEXT_MAX};
    char *text = NULL, *said = NULL, why[COMMAND_WHY_CAP];
    size_t text_len, said_len;
    struct timeval wait = {.tv_sec = ANSWER_S};
    int fd = command_dial(socket_path, 0);

    if (fd < 0) {
        command_dial_why(why, socket_path, fd);
        snprintf(error, cap, "the gateway does not answer: %.220s", why);
        return NULL;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    FILE *in = send(fd, line, strlen(line), MSG_NOSIGNAL) > 0 ? fdopen(fd, "r") : NULL;
    limit.to = open_memstream(&text, &text_len);
    FILE *err = open_memstream(&said, &said_len);
    FILE *out = fopencookie(&limit, "w", (cookie_io_functions_t){.write = write_limited});
    int status = -1;
    if (in != NULL && limit.to != NULL && err != NULL && out != NULL)
        status = answer_print(in, out, err, "");
    if (out != NULL)
        fclose(out);
    if (limit.to != NULL)
        fclose(limit.to);
    if (err != NULL)
        fclose(err);
    if (in != NULL)
        fclose(in);
    else
        close(fd);
    *whole = status == COMMAND_DONE;
    bool some = status == COMMAND_DONE || (text != NULL && text[0] != 0);
    if (!some)
        snprintf(error, cap, "%.*s", (int)strcspn(said != NULL ? said : "", "\n"),
                 said != NULL && said[0] != 0 ? said : "the gateway does not answer");
    free(said);
    if (some && text != NULL)
        return text;
    free(text);
    return NULL;
}

/* All that is shown. Returns false with why in error. */
static bool look_at(const char *socket_path, struct top_look *look, char *error, size_t cap)
{
    char ignored[TOP_LINE_CAP];
    bool whole;

    *look = (struct top_look){0};
    char *text = ask(socket_path, "top\n", &whole, error, cap);
    if (text == NULL)
        return false;
    top_read_counters(look, text);
    free(text);
    text = ask(socket_path, "connections --in --json\n", &whole, ignored, sizeof(ignored));
    if (text != NULL)
        top_read_connections(look, text, whole);
    free(text);
    text = ask(socket_path, "queue destinations --json\n", &whole, ignored, sizeof(ignored));
    if (text != NULL)
        top_read_destinations(look, text);
    free(text);
    return true;
}

/* ---- once ---- */

static int print_once(const struct command_call *call, struct top *t)
{
    char error[TOP_LINE_CAP];

    if (!look_at(call->socket, &t->before, error, sizeof(error)) ||
        usleep(INTERVAL_MS * 1000) != 0 || !look_at(call->socket, &t->now, error, sizeof(error))) {
        fprintf(stderr, "sluicectl: %s\n", error);
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
    char error[TOP_LINE_CAP], trouble[TOP_LINE_CAP] = "";
    uint32_t cnt = 0;

    while (!is_ended()) {
        if (look_at(call->socket, &t->next, error, sizeof(error))) {
            t->before = t->now.now_ns != 0 ? t->now : t->next;
            t->now = t->next;
            cnt = top_lines(t->lines, &t->before, &t->now);
            trouble[0] = 0;
        } else {
            snprintf(trouble, sizeof(trouble), "trying again: %.200s", error);
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
