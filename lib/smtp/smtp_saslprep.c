#include "smtp_saslprep.h"
#include "smtp_params.h"

#include <openssl/crypto.h>
#include <stringprep.h>

#define ROOM 4096 /* a character may become 18 (U+FDFA), and each of them takes up to 4 bytes */

static bool is_plain(struct base_span in)
{
    for (size_t i = 0; i < in.len; i++)
        if (in.p[i] < ' ' || in.p[i] > '~')
            return false;
    return true;
}

bool smtp_saslprep(struct base_span in, char *out, size_t cap, size_t *len)
{
    char room[ROOM];
    bool good = false;

    if (in.len == 0 || in.len > 1000)
        return false;
    if (is_plain(in)) { /* nothing of ASCII is mapped */
        if (in.len >= cap)
            return false;
        memcpy(out, in.p, in.len);
        out[in.len] = 0;
        *len = in.len;
        return true;
    }
    if (!smtp_utf8_valid(in))
        return false;
    memcpy(room, in.p, in.len);
    room[in.len] = 0;
    if (stringprep(room, sizeof(room), 0, stringprep_saslprep) == STRINGPREP_OK) {
        *len = strlen(room);
        good = *len > 0 && *len < cap;
        if (good)
            memcpy(out, room, *len + 1);
    }
    OPENSSL_cleanse(room, sizeof(room));
    return good;
}
