/*
 * The gateway's side of the process that makes HTTPS requests (https_process.h): they go there over
 * a socket pair, at most HTTPS_CURL_SLOTS of them at a time; the others wait here. When the process
 * ends, what it had not answered is asked of the next one; a request that has seen three processes
 * end is answered HTTPS_FAILED: it may be what kills them. A process that breaks the format, or
 * leaves a deadline behind by HTTPS_CURL_HUNG_NS, is given up as if it had ended. So a POST may be
 * made twice.
 *
 * Who starts processes is another one's business: https_curl_wants tells that one is missing,
 * https_curl_attach brings it.
 *
 * Threads: one. Memory: HTTPS_WIRE_MAX bytes twice; an answer's body is copied once.
 */
#ifndef HTTPS_CURL_H
#define HTTPS_CURL_H

#include "base_time.h"
#include "https_client.h"
#include "stats.h"

#define HTTPS_CURL_SLOTS   16
#define HTTPS_CURL_HUNG_NS (2 * BASE_NS_S)
#define HTTPS_CURL_IDLE_NS (60 * BASE_NS_S) /* without a request: the process is let go */
#define HTTPS_CURL_NEWS    192

struct https_curl;

/* Returns NULL when memory or descriptors are short. */
struct https_curl *https_curl_open(struct stats_block *stats, uint64_t now_ns) BASE_WARN_UNUSED;
/* Requests that are out are forgotten; the process ends with its socket. */
void https_curl_close(struct https_curl *u);

/* Requests wait and no process is there. */
bool https_curl_wants(const struct https_curl *u);
bool https_curl_attached(const struct https_curl *u);

/* A new process, in place of the one that is there, if any: then it is asked what that one was
 * still busy with. Takes the socket and the descriptor of the authorities' file, PEM; -1: there is
 * none, and no certificate is trusted. */
void https_curl_attach(struct https_curl *u, int socket, int authorities, uint64_t now_ns);

/* What happened to processes since the last call: one sentence for the log. False: nothing. */
bool https_curl_news(struct https_curl *u, char text[HTTPS_CURL_NEWS]);

struct https_client https_curl_client(struct https_curl *u);

#endif
