/* What web_http.c (requests) and web_serve.c (the server around them) share: web_http.h. */
#ifndef WEB_INTERNAL_H
#define WEB_INTERNAL_H

#include "http_server.h"
#include "web_guess.h"
#include "web_http.h"
#include "web_secret.h"
#include "web_work.h"

#define WEB_TOKEN_CAP 33

struct web {
    const struct web_options *options;
    struct web_secret secret; /* in use */
    struct web_secret fresh;  /* read, and in use when the server begins anew */
    struct web_work *work;
    struct web_guess guess;
    char token[WEB_TOKEN_CAP];
    long sudo_uid;          /* who became root by sudo to start us; -1: nobody */
    uint64_t refused_looks; /* of files that were no good */
    uint32_t ticks;
    _Atomic uint32_t change_cnt; /* from a change's start until its answer is sent */
    _Atomic bool restarts;       /* no question is taken: the server begins anew */
    char what[512];              /* is said when it listens */
};

/* Of http_config; user is a struct web. */
enum MHD_Result web_handle(void *user, struct MHD_Connection *c, const char *url,
                           const char *method, const char *version, const char *upload,
                           size_t *upload_len, void **own);
void web_completed(void *user, struct MHD_Connection *c, void **own,
                   enum MHD_RequestTerminationCode why);

#endif
