#include "top_terminal.h"

#include <curses.h>
#include <term.h>
#include <unistd.h>

bool top_terminal_fits(void)
{
    int known = 0;

    if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO))
        return false;
    if (setupterm(NULL, STDOUT_FILENO, &known) != OK || known != 1)
        return false;
    const char *move = tigetstr("cup");
    return move != NULL && move != (const char *)-1;
}
