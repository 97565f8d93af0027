/*
 * What the web page asks of the gateway: samples of its rates, looks at its state, lists of the
 * queue, changes of messages. The server's thread (http_server.h) never waits for the gateway: a
 * request that needs it is suspended, and a thread of its own asks, one question after the other.
 *
 * Every WEB_SAMPLE_MS the counters are looked at, and the last WEB_SAMPLE_CNT samples kept, whoever
 * watches; lists of clients, and the state, only while somebody does. So many browsers cost the
 * gateway no more than one.
 *
 * Threads: web_work_... by the server's; start and stop by main. Memory: some 600 KiB, and the
 * answers under way, each bounded by GATEWAY_ASK_MAX. Bounds: as many requests wait as there are
 * connections (HTTP_PLACE_MAX).
 */
#ifndef WEB_WORK_H
#define WEB_WORK_H

#include "base_assert.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define WEB_SAMPLE_MS  2000
#define WEB_SAMPLE_CNT 300
#define WEB_PAGE_MAX   50 /* messages of one page */
#define WEB_ID_MAX     64 /* messages of one change */

enum web_kind {
    WEB_LIVE,    /* the last samples */
    WEB_STATE,   /* status and refusals */
    WEB_QUEUE,   /* a page of messages */
    WEB_MESSAGE, /* one message, with all its recipients */
    WEB_CHANGE,
};

/* What a request may name. */
enum web_field {
    WEB_ID, /* of a change there may be several: id[] */
    WEB_SENDER,
    WEB_RECIPIENT,
    WEB_DOMAIN,
    WEB_OLDER,
    WEB_MAIL_STATE,
    WEB_CODE,
    WEB_REASON,
    WEB_CONDITION_CNT,
    WEB_AFTER = WEB_CONDITION_CNT, /* of LIVE: the number of a sample; of QUEUE: an id */
    WEB_VERB,                      /* of CHANGE: hold, release, delete, flush */
    WEB_WHICH,                     /* of CHANGE: ids, matching, or all */
    WEB_SHOWN, /* of CHANGE, with matching and all: how many the page said they are */
    WEB_FIELD_CNT
};
/* "id", "sender": as the page names them. */
extern const char *const web_field_names[WEB_FIELD_CNT];

struct web_request {
    enum web_kind kind;
    struct MHD_Connection *connection;
    char *field[WEB_FIELD_CNT]; /* owned; NULL: it was not given */
    char *id[WEB_ID_MAX];       /* owned */
    uint32_t id_cnt;
    bool unclear; /* a field that we do not know, or twice */
    /* The answer: JSON; of a change that was refused, a sentence. */
    bool done, refused;
    char *text; /* owned, until it is taken; NULL: memory is short, or it goes down */
    size_t len;
    struct web_request *next;
};

struct web_work;

/* Returns NULL: memory is short, or no thread can be made. */
struct web_work *web_work_start(const char *socket_path) BASE_WARN_UNUSED;
void web_work_stop(struct web_work *w);

/* Suspends the request's connection until it is answered; then the handler finds it done. Returns
 * false, and has not: too many wait, or the server ends. */
bool web_work_push(struct web_work *w, struct web_request *r) BASE_WARN_UNUSED;

/* Writes the members of LIVE or STATE, as they were seen last. Returns false, and nothing: they are
 * not of now, and have to be asked for. */
bool web_work_seen(struct web_work *w, enum web_kind kind, const char *after,
                   FILE *out) BASE_WARN_UNUSED;

/* With on: the server ends; all that wait are answered, without a text, and no other is taken. */
void web_work_pause(struct web_work *w, bool on);

#endif
