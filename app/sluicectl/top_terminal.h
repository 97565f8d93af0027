/* Whether standard output and input are a terminal whose cursor can be moved. Apart, as the
 * terminal library's names are macros of common words. Threads: one. */
#ifndef TOP_TERMINAL_H
#define TOP_TERMINAL_H

#include <stdbool.h>

bool top_terminal_fits(void);

#endif
