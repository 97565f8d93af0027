#include "answer.h"
#include "command.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define LINE_CAP 1024

static int broken_off(FILE *err)
{
    fputs("sluicectl: the answer broke off: what came is not whole; ask again\n", err);
    return COMMAND_UNREACHABLE;
}

/* The line "data N". Returns whether it is one. */
static bool data_line(const char *line, uint64_t *len)
{
    if (strncmp(line, "data ", 5) != 0 || line[5] < '0' || line[5] > '9')
        return false;
    *len = 0;
    for (line += 5; *line >= '0' && *line <= '9' && *len < UINT64_MAX / 16; line++)
        *len = *len * 10 + (uint64_t)(*line - '0');
    return strcmp(line, "\n") == 0;
}

static bool block_copy(FILE *in, FILE *out, uint64_t len)
{
    char buf[65536];

    while (len > 0) {
        size_t n = fread(buf, 1, len < sizeof(buf) ? (size_t)len : sizeof(buf), in);
        if (n == 0)
            return false;
        fwrite(buf, 1, n, out); /* its errors are seen at the end */
        len -= n;
    }
    return true;
}

/* The rest of an error. */
static int refused(FILE *in, FILE *err, const char *line)
{
    char rest[LINE_CAP];

    fputs(line, err);
    while (fgets(rest, sizeof(rest), in) != NULL)
        fputs(rest, err);
    return COMMAND_REFUSED;
}

int answer_print(FILE *in, FILE *out, FILE *err, const char *empty)
{
    char line[LINE_CAP];
    uint64_t len, printed = 0;

    if (fgets(line, sizeof(line), in) == NULL) {
        fputs("sluicectl: the gateway gave no answer: it is busy or going down; ask again\n", err);
        return COMMAND_UNREACHABLE;
    }
    if (strcmp(line, "ok\n") != 0)
        return refused(in, err, line);
    while (fgets(line, sizeof(line), in) != NULL && data_line(line, &len)) {
        if (!block_copy(in, out, len))
            return fflush(out), broken_off(err);
        printed += len;
        fflush(out); /* a trace is read as it comes; errors are seen below */
        if (ferror(out))
            break; /* nobody reads on */
        line[0] = '\0';
    }
    if (fflush(out) != 0 || ferror(out)) {
        fprintf(err, "sluicectl: standard output: %s\n", strerror(errno));
        return COMMAND_REFUSED;
    }
    if (strncmp(line, "note ", 5) == 0) {
        fputs(line + 5, err);
        if (fgets(line, sizeof(line), in) == NULL)
            line[0] = '\0';
    }
    if (strncmp(line, "error: ", 7) == 0)
        return refused(in, err, line);
    if (strcmp(line, "end\n") != 0)
        return broken_off(err);
    if (printed == 0)
        fputs(empty, err); /* standard output is the list, for programs */
    return 0;
}
