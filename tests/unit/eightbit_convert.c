/* Reads a message and writes it 7-bit, for a script that compares: argument 1 is the size of the
 * pieces that it is read in. Status 0: converted; 3: nothing to convert; 4: header section beyond
 * ASCII; 5: cannot be converted, with the reason. */
#include "mail_eightbit.h"

#include <stdio.h>
#include <stdlib.h>

#define MESSAGE_MAX (4u << 20)

int main(int argc, char **argv)
{
    static uint8_t message[MESSAGE_MAX];
    static struct mail_eightbit converter;
    struct mail_eightbit *m = &converter;
    size_t piece = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 4096;
    size_t len = fread(message, 1, sizeof(message), stdin), used;
    uint8_t room[MAIL_EIGHTBIT_OUT_MIN];

    if (piece == 0)
        return 1;
    mail_eightbit_init(m);
    for (size_t at = 0; at < len; at += piece)
        mail_eightbit_look(m, base_span_of(message + at, len - at < piece ? len - at : piece));
    mail_eightbit_looked(m);
    if (m->header)
        return 4;
    if (!m->body)
        return 3;
    if (m->why_not != NULL) {
        printf("%s\n", m->why_not);
        return 5;
    }
    mail_eightbit_begin(m);
    for (size_t at = 0; at < len; at += used) {
        struct base_buf out = {room, 0, sizeof(room)};
        mail_eightbit_convert(m, base_span_of(message + at, len - at < piece ? len - at : piece),
                              &used, &out);
        fwrite(out.p, 1, out.len, stdout);
    }
    struct base_buf out = {room, 0, sizeof(room)};
    mail_eightbit_end(m, &out);
    fwrite(out.p, 1, out.len, stdout);
    return 0;
}
