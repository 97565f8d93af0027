/* The files of the web page (web/), in the program: made by embed.py. */
#ifndef WEB_FILES_H
#define WEB_FILES_H

#include <stddef.h>

struct web_file {
    const char *path; /* as it is asked for; NULL: the last row's end */
    const char *type;
    const unsigned char *bytes;
    size_t len;
};
extern const struct web_file web_files[];

#endif
