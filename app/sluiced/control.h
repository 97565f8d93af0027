/*
 * Control: the main thread after start. Signals, the control socket, reload, the helper processes.
 * Nothing of it is in the way of mail.
 *
 * The control socket (SOCK_STREAM, mode by group): a client sends one command line (control_line.h)
 * and reads the answer. That is a line "error: why" with whatever follows it up to end of file; or
 * a line "ok", then blocks, each a line "data N" and N bytes of any kind, and at last a line "end".
 * Before "end" there may be a line "note TEXT", which is about the answer and no part of it.
 * An answer that breaks off has a line "error: why" in place of "end", or nothing at all: whoever
 * has not seen "end" does not have all of it. The peer's credentials decide: root, the
 * gateway's own user and control: change_group may change things and read mail, control: group may
 * look at states, others are turned away at once.
 *
 * Threads: one. Bounds: CONTROL_CLIENT_MAX clients, a command of CONTROL_LINE_MAX bytes, an answer
 * produced in pieces as the client reads it. A client that reads no more may pause (a pager) until
 * its place is needed.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include "control_capture.h"
#include "control_line.h"
#include "control_tlsa.h"
#include "control_tlsrpt.h"
#include "gateway.h"
#include "lane_watch.h"
#include "log_writer.h"
#include "notify.h"

#define CONTROL_CLIENT_MAX 8
#define CONTROL_LINE_MAX   1024
#define CONTROL_BODY_CAP   65536 /* of one block */
#define CONTROL_HEAD_CAP   32    /* "ok" and "data N" */
#define CONTROL_WHY_CAP    640   /* why a reload was refused */
#define CONTROL_TAIL_CAP   256   /* "end", or why it breaks off */

struct control;

struct control_client {
    int fd; /* -1: free */
    enum control_right right;
    uid_t uid;
    char line[CONTROL_LINE_MAX];
    size_t line_len;
    struct control_line command; /* read from line */
    /* Owned: room for a block's head, its bytes and the answer's end; what lies at out_at, up to
     * out_end, is on its way to the client. */
    char *out;
    size_t body_len, out_at, out_end;
    bool refused;   /* the body is an error's text */
    bool ok_said;   /* a block was sent before */
    bool answering; /* the command was taken */
    bool asking;    /* request is with the courier, or ask with a lane */
    bool unwatched; /* no events of its descriptor are taken */
    bool more;      /* the list goes on after what is in out */
    struct courier_request request;
    char note[CONTROL_TAIL_CAP / 2]; /* said behind the answer; empty: nothing */
    bool leaving;                    /* of a stream: the client wants its end */
    struct control_stream *stream;   /* an answer that goes on by itself; owned */
    struct lane_ask *ask;            /* likewise, with a lane: ask_lane; owned, but while asking */
    uint32_t ask_lane;
    char *text; /* an answer that is there whole, or NULL; owned */
    size_t text_len, text_at;
    uint64_t deadline_ns; /* who does not ask until then is dropped, who does not read may be */
};

struct control_config {
    const char *config_path; /* absolute; the file that reload reads */
    struct gateway *gateway;
    struct opener *opener;
    struct log_writer *log;
    int listener; /* the control socket; owned from here on */
};

struct control {
    struct control_config config;
    struct stats_log log;
    struct control_client client[CONTROL_CLIENT_MAX];
    int epoll, signals;
    uint64_t started_ns;
    uint64_t tended_ns;
    bool sources_failed;                      /* the last write of what they sent */
    uint64_t maps_looked;                     /* what map files looked like a second ago */
    uint64_t tls_looked_ns;                   /* when certificate files were last looked at */
    uint8_t tls_urgency[TLS_CERTIFICATE_MAX]; /* of expiry, that the log knows of */
    uint32_t opener_restarts;                 /* that the log knows of */
    struct control_tlsa tlsa;
    struct control_tlsrpt tlsrpt;
    struct control_capture *capture; /* NULL: none runs */
    bool opener_lost;
    struct notify notify;
    uint64_t notified_ns; /* the last WATCHDOG=1 */
    bool ready_told, still_told;
    bool stop;
};

/* Makes the socket at the path of the configuration with its mode and group. Returns the
 * descriptor, or a negative error with a sentence in err. */
int control_listen(const struct conf *conf, char *err, size_t err_cap) BASE_WARN_UNUSED;

/* What the peer of a connection may do; *uid: who it is. */
enum control_right control_right_of(int fd, const struct conf_control *conf, uid_t *uid);

int control_init(struct control *c, const struct control_config *config) BASE_WARN_UNUSED;
void control_fini(struct control *c);

/* Runs until SIGTERM, SIGINT or the command stop. */
void control_run(struct control *c);

/* ---- the log (control_log.c) ---- */

/* Opens the log's file anew, after a rotation; when it cannot be the old one stays in use. Returns
 * 0, also where there is no file to be opened, or a negative error. */
int control_reopen_log(struct control *c);
void control_log_reopen(struct control *c, struct control_client *client);
void control_log_level(struct control *c, struct control_client *client);
void control_log_tail(struct control *c, struct control_client *client);

/* ---- commands (control_commands.c) ---- */

/* Takes the client's line, of which len bytes are there without the line end. */
void control_command(struct control *c, struct control_client *client, size_t len);

/* Runs the client's command, or goes on with it: fills the body, or starts a request to the
 * courier. */
void control_continue(struct control *c, struct control_client *client);

/* Ends the answer, to which nothing was said yet, by "error: " and the text. */
__attribute__((format(printf, 2, 3))) void control_refuse(struct control_client *client,
                                                          const char *format, ...);

/* Appends to the client's answer; what does not fit is cut. */
__attribute__((format(printf, 2, 3))) void control_print(struct control_client *client,
                                                         const char *format, ...);

/* Reads the configuration again and publishes it. The lines about it go to the client (NULL: to the
 * log only). */
void control_reload(struct control *c, struct control_client *client);

/* The sum over all threads. */
uint64_t control_total(const struct gateway *g, enum stats_id id);

/* ---- status, and answers that are made whole (control_status.c) ---- */

/* The first piece of the answer, or the next. */
void control_status(struct control *c, struct control_client *client);

/* Gives out client->text piece by piece; NULL: refuses, as memory is short. */
void control_text_piece(struct control_client *client);

/* Makes of the lines in the answer one JSON object: {members "lines": [...]}. members: with their
 * commas, or "". */
void control_json_lines(struct control_client *client, const char *members);

/* ---- drain (control_drain.c) ---- */

/* Takes no new mail from now on, or again; says what is under way. */
void control_drain(struct control *c, struct control_client *client, bool on);

/* ---- config show (control_config.c) ---- */

/* The first piece of the answer, or the next. */
/* All counters, for programs: see control_metrics.c. */
void control_metrics(struct control *c, struct control_client *client);
void control_config_show(struct control *c, struct control_client *client);

/* ---- connections (control_connections.c) ---- */

/* Asks a lane for the first piece of the answer, or the next; client->asking then. */
void control_connections(struct control *c, struct control_client *client);
/* Takes a lane's answer to one of them. Returns whose it is, or NULL: none has come. */
struct control_client *control_connections_answered(struct control *c);
/* As a JSON string: what is not printable ASCII as \u00NN, byte for byte. */
void control_print_json(struct control_client *client, const char *text);

/* ---- top (control_top.c) ---- */

void control_top(struct control *c, struct control_client *client);

/* ---- answers that go on by themselves ----
 *
 * A stream makes what there is whenever the client has read what was there, in each tick, until it
 * or the client ends. */
struct control_stream {
    /* Fills the body; returns false when that was the last of it. */
    bool (*more)(struct control *c, struct control_client *client);
    /* The client goes, or all is said: gives back what it holds, itself too. */
    void (*end)(struct control *c, struct control_client *client);
};

/* ---- trace (control_trace.c) ---- */

void control_trace(struct control *c, struct control_client *client);

/* ---- capture (control_capture.c) ---- */

void control_capture(struct control *c, struct control_client *client);

/* ---- the service manager (control_watchdog.c) ---- */

/* Before the sandbox. */
void control_watchdog_start(struct control *c);
/* In each round. */
void control_watchdog_tend(struct control *c, uint64_t now_ns);
/* A stop begins, which takes stop_ns and GATEWAY_END_NS at most. */
void control_watchdog_stop(struct control *c, uint64_t stop_ns);

/* ---- certificates (control_tls.c) ---- */

/* Once, when the log is there. */
void control_tls_start(struct control *c);
/* Each second. */
void control_tls_tend(struct control *c);
/* Loads those of conf. Returns 0, or a negative error with a sentence in why: the old ones stay. */
int control_tls_load(struct control *c, const struct conf *conf,
                     char why[GATEWAY_TLS_WHY_CAP]) BASE_WARN_UNUSED;
/* After that, when conf is the current one: warns of what is in use now. */
void control_tls_loaded(struct control *c);

/* ---- maps of addresses (control_maps.c) ---- */

/* Once, when the log is there: tells what was found in the files at the start. */
void control_maps_start(struct control *c);
/* Each second: loads files that have changed. */
void control_maps_tend(struct control *c);
/* Reads those of conf. Returns them, or NULL with a sentence in why. */
struct policy_tables *control_maps_read(struct control *c, const struct conf *conf,
                                        char why[MAPS_TEXT_CAP]) BASE_WARN_UNUSED;
/* Takes them into use, with conf's settings published before. */
void control_maps_use(struct control *c, struct policy_tables *tables);
/* sender check, recipient check */
void control_maps_check_sender(struct control *c, struct control_client *client);
void control_maps_check_recipient(struct control *c, struct control_client *client);

/* ---- configuration files, through the opener (config_file.c) ---- */

/* In the state directory: blocks of spools that were adopted, read behind the configuration. */
#define CONFIG_ADOPTED "adopted.conf"

/* Reads and parses the configuration; files are read by fd_open (the opener's, or plain open at
 * start). Returns it, or NULL with errors. */
typedef int (*config_open)(void *user, const char *path);
/* Reads the certificates of conf, which may be one with errors, and tells of each what is wrong
 * with it, "file:line: key: why", and what an operator should know; likewise what listeners ask of
 * TLS. Returns whether all can be used. */
bool config_check_certificates(FILE *out, const struct conf *conf, config_open open_file,
                               void *user, int64_t now_s);
struct conf *config_load(const char *path, config_open open_file, void *user,
                         struct conf_errors *errors) BASE_WARN_UNUSED;
/* Likewise, but returns what could be read beside errors, too (conf_parse_partly); NULL when there
 * is nothing to look at. */
struct conf *config_load_partly(const char *path, config_open open_file, void *user,
                                struct conf_errors *errors) BASE_WARN_UNUSED;

/* What sluiced --check does (config_check.c): tells every error of the configuration and of the
 * files that it names, each as "file:line: key: why", and what an operator should know. Returns
 * whether a gateway would start by it. */
bool config_check(FILE *out, const char *path, config_open open_file, void *user, int64_t now_s);

#endif
