/*
 * The web page over HTTP (http_server.h): its files, and its questions and changes as JSON.
 *
 *   /  /page.css  /page.js  /queue.js  /icon.svg what is embedded (web_files.h)
 *   /api/live?after=N     samples since the N-th, rates, lanes, latencies, lists
 *   /api/state            the gateway's status and its last refusals
 *   /api/queue?...        a page of messages; conditions by their names (web_work.h)
 *   /api/message?id=ID    one message
 *   POST /api/change      verb, which, id or conditions, as a form; X-Sluice-Token as LIVE told it
 *
 * Who may: by Host (no name that is not ours: DNS rebinding), then by the password or, without one,
 * by the user of the socket's other end; /api by Sec-Fetch-Site and Origin, changes by the token,
 * too. There are no cookies. What the gateway refuses is an "error" in the JSON, with status 200.
 *
 * Threads: the server's, and the caller's, which waits for a signal. Bounds: those of the server; a
 * form has WEB_FORM_MAX bytes.
 */
#ifndef WEB_HTTP_H
#define WEB_HTTP_H

#include "base_assert.h"

#include <stdbool.h>

#define WEB_FORM_MAX 16384

struct web_options {
    const char *socket_path;
    const char *listen;
    const char *host;        /* a name that it is asked under, too; NULL: none */
    const char *certificate; /* files; NULL: without TLS */
    const char *key;
    const char *password_file; /* NULL: without */
    bool read_only;
};

/* Serves until SIGINT or SIGTERM. Returns the exit status (command.h), after a word on standard
 * error about what is wrong. */
int web_http_serve(const struct web_options *options) BASE_WARN_UNUSED;

#endif
