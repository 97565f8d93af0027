/* Answers of the gateway about its queue, as JSON for the web page (web_work.h). */
#ifndef WEB_QUEUE_H
#define WEB_QUEUE_H

#include "web_work.h"

/* Each writes one object, which has "error" where the gateway did not do it, or not all. stopped:
 * asked between messages; true ends a change. Threads: web_work's. web_queue_change returns false,
 * and writes a sentence instead: more match by now than were shown. */
void web_queue_page(FILE *out, const char *socket_path, const struct web_request *r);
void web_queue_message(FILE *out, const char *socket_path, const struct web_request *r);
bool web_queue_change(FILE *out, const char *socket_path, const struct web_request *r,
                      bool (*stopped)(void *user), void *user) BASE_WARN_UNUSED;

/* What is wrong with a change before anybody is asked: a static text, or NULL. */
const char *web_queue_wrong(const struct web_request *r);

#endif
