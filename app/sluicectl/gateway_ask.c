#include "gateway_ask.h"
#include "answer.h"
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

/* ---- the line ---- */

const char *gateway_line_word(struct gateway_line *line, const char *word, bool value)
{
    size_t cap = sizeof(line->text) - 1; /* the line's end */
    const char *quote = "";

    for (const char *p = word; *p != 0; p++)
        if ((unsigned char)*p < 32 || *p == 127)
            return "a word has a control character: type it without";
    if (word[0] == 0 || strpbrk(word, " \"'") != NULL || (value && word[0] == '-'))
        quote = strchr(word, '"') == NULL ? "\"" : "'";
    if (quote[0] != 0 && strchr(word, quote[0]) != NULL)
        return "a word cannot have both kinds of quotes, take one of them out";
    int n = snprintf(line->text + line->len, cap - line->len, "%s%s%s%s", line->len > 0 ? " " : "",
                     quote, word, quote);
    if (n < 0 || (size_t)n >= cap - line->len)
        return "the command is longer than 1023 bytes: give fewer words, or conditions in place of "
               "ids";
    line->len += (size_t)n;
    return NULL;
}

/* ---- the answer ---- */

/* What came before the stream had more than it may, ends there. */
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

static void close_file(FILE *file)
{
    if (file != NULL)
        fclose(file);
}

/* The line has its end: whoever is refused at the door has an answer to read all the same. */
static FILE *send_line(int fd, const char *line, size_t len)
{
    ssize_t n = send(fd, line, len, MSG_NOSIGNAL);
    FILE *in = n == (ssize_t)len || (n < 0 && errno == EPIPE) ? fdopen(fd, "r") : NULL;

    if (in == NULL)
        close(fd);
    return in;
}

enum gateway_answer gateway_ask(const char *socket_path, const char *line, uint32_t wait_s,
                                char **text, char error[GATEWAY_WHY_CAP])
{
    struct limited limit = {.left = GATEWAY_ASK_MAX};
    char *said = NULL, with_end[GATEWAY_LINE_CAP + 1];
    size_t text_len, said_len;
    struct timeval limit_s = {.tv_sec = (time_t)wait_s};
    int fd = command_dial(socket_path, 0), status = -1;

    *text = NULL;
    error[0] = 0;
    if (fd < 0) {
        command_dial_why(error, socket_path, fd);
        return GATEWAY_SILENT;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit_s, sizeof(limit_s));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit_s, sizeof(limit_s));
    int len = snprintf(with_end, sizeof(with_end), "%s\n", line);
    FILE *in = send_line(fd, with_end, (size_t)len);
    limit.to = open_memstream(text, &text_len);
    FILE *err = open_memstream(&said, &said_len);
    FILE *out = fopencookie(&limit, "w", (cookie_io_functions_t){.write = write_limited});
    if (in != NULL && limit.to != NULL && err != NULL && out != NULL)
        status = answer_print(in, out, err, "");
    close_file(out);
    close_file(limit.to);
    close_file(err);
    close_file(in);
    static const char none[] = "the gateway gave no answer: ";
    const char *why = said == NULL ? "" : strncmp(said, "error: ", 7) == 0 ? said + 7 : said;
    if (strncmp(why, "sluicectl: ", 11) == 0)
        why += 11;
    if (strncmp(why, none, sizeof(none) - 1) == 0)
        why += sizeof(none) - 1;
    snprintf(error, GATEWAY_WHY_CAP, "%.*s", (int)strcspn(why, "\n"),
             why[0] != 0 ? why : "it says nothing");
    free(said);
    if (status == COMMAND_DONE && *text != NULL)
        return GATEWAY_WHOLE;
    if (*text != NULL && (*text)[0] != 0)
        return GATEWAY_PART;
    free(*text);
    *text = NULL;
    return status == COMMAND_REFUSED ? GATEWAY_REFUSED : GATEWAY_SILENT;
}
