/* sluicectl_pages WHICH: writes one of the pages to standard output, for the build. */
#include "conf_manual.h"
#include "pages.h"
#include "sluiced_usage.h"

#include <string.h>

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*write)(FILE *out);
    } pages[] = {
        {"bash", pages_write_bash},           {"zsh", pages_write_zsh},
        {"sluicectl.1", pages_write_man},     {"sluiced.8", sluiced_usage_write_man},
        {"sluice.conf.5", conf_manual_write},
    };

    for (size_t i = 0; argc == 2 && i < sizeof(pages) / sizeof(pages[0]); i++)
        if (strcmp(argv[1], pages[i].name) == 0) {
            pages[i].write(stdout);
            return fflush(stdout) == 0 ? 0 : 1;
        }
    fputs("usage: sluicectl_pages bash|zsh|sluicectl.1|sluiced.8|sluice.conf.5\n", stderr);
    return 2;
}
