#include "control_clients.h"
#include "base_time.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_ring.h>

#define STOP_WAIT_MS 2000
#define CLIENT_NS    (10 * BASE_NS_S)
#define PAUSE_NS     (3600 * BASE_NS_S) /* who stopped reading, while nobody needs the place */
#define ACCEPT_BURST 16
#define KEPT_PLACES  2 /* for who may make changes */

/* It has hung up, or has room, while the courier is busy with its request: no news. */
static void unwatch(struct control *c, struct control_client *client)
{
    client->unwatched = true;
    epoll_ctl(c->epoll, EPOLL_CTL_DEL, client->fd, NULL);
}

static void drop_client(struct control *c, struct control_client *client)
{
    if (client->asking)
        return; /* the courier or a lane has its request: the answer's arrival ends it */
    if (client->stream != NULL)
        client->stream->end(c, client);
    close(client->fd);
    free(client->out);
    free(client->text);
    free(client->ask);
    *client = (struct control_client){.fd = -1};
}

/* Who has fewer rights gives way; so does, among equals, who has not asked yet, or does not read
 * on.
 */
static bool gives_way(const struct control_client *client, enum control_right right,
                      uint64_t now_ns)
{
    return !client->asking &&
           (client->right < right ||
            (client->right == right && (!client->answering || now_ns > client->deadline_ns)));
}

/* Places of one user (or of all: -1) who may not make changes. */
static uint32_t places_of(const struct control *c, uid_t uid)
{
    uint32_t cnt = 0;

    for (uint32_t i = 0; i < CONTROL_CLIENT_MAX; i++)
        cnt += c->client[i].fd >= 0 && c->client[i].right < CONTROL_CHANGE &&
               (uid == (uid_t)-1 || c->client[i].uid == uid);
    return cnt;
}

/* A free place, or that of the client which has been silent for longest. Who may only look has half
 * of the places at most, and all of those together leave some: what the courier is busy with cannot
 * be dropped, and nobody is to keep others out. CONTROL_CLIENT_MAX: there is none. */
static uint32_t client_place(struct control *c, enum control_right right, uid_t uid)
{
    bool own_full = right < CONTROL_CHANGE && places_of(c, uid) >= CONTROL_CLIENT_MAX / 2;
    bool full = own_full || (right < CONTROL_CHANGE &&
                             places_of(c, (uid_t)-1) >= CONTROL_CLIENT_MAX - KEPT_PLACES);
    uint32_t oldest = CONTROL_CLIENT_MAX;
    uint64_t now_ns = loop_now_ns();

    for (uint32_t i = 0; i < CONTROL_CLIENT_MAX; i++) {
        const struct control_client *client = &c->client[i];
        if (client->fd < 0 && !full)
            return i;
        if (client->fd >= 0 && (!own_full || client->uid == uid) &&
            gives_way(client, right, now_ns) &&
            (oldest == CONTROL_CLIENT_MAX || client->deadline_ns < c->client[oldest].deadline_ns))
            oldest = i;
    }
    if (oldest < CONTROL_CLIENT_MAX)
        drop_client(c, &c->client[oldest]);
    return oldest;
}

/* Who cannot be served is told why at once, and takes no place. */
static void turn_away(int fd, const char *why)
{
    (void)!send(fd, why, strlen(why), MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

/* Returns whether there was one. */
static bool accept_client(struct control *c)
{
    int fd = accept4(c->config.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    uid_t uid;

    if (fd < 0)
        return false;
    enum control_right right =
        control_right_of(fd, &settings_current(&c->config.gateway->hub)->conf->control, &uid);
    if (right == CONTROL_NONE) {
        turn_away(fd, "error: not permitted: be root, or in the group of control: group or "
                      "change_group\n");
        return true;
    }
    uint32_t i = client_place(c, right, uid);
    char *out = i < CONTROL_CLIENT_MAX
                    ? malloc(CONTROL_HEAD_CAP + CONTROL_BODY_CAP + CONTROL_TAIL_CAP)
                    : NULL;
    if (out == NULL || control_watch(c, fd, EPOLLIN, i) != 0) {
        free(out);
        turn_away(fd, "error: too many clients at a time: end one that waits (trace, top, log "
                      "tail), or try again\n");
        return true;
    }
    c->client[i] = (struct control_client){
        .fd = fd,
        .right = right,
        .uid = uid,
        .out = out,
        .deadline_ns = loop_now_ns() + CLIENT_NS,
    };
    return true;
}

void control_clients_accept(struct control *c)
{
    for (int i = 0; i < ACCEPT_BURST && accept_client(c); i++)
        ;
}

/* Makes the body that is there a block, with what has to stand before and behind it. */
static void block_close(struct control_client *client)
{
    char head[CONTROL_HEAD_CAP] = "";
    char *tail = client->out + CONTROL_HEAD_CAP + client->body_len;
    const char *error = client->request.error;
    size_t len = 0;

    client->out_at = CONTROL_HEAD_CAP;
    client->out_end = CONTROL_HEAD_CAP + client->body_len;
    if (client->refused)
        return;
    /* Nothing was said: the error is the whole answer. */
    bool only_error = error != NULL && !client->ok_said && client->body_len == 0;
    if (!client->ok_said && !only_error)
        len = (size_t)snprintf(head, sizeof(head), "ok\n");
    client->ok_said |= !only_error;
    if (client->body_len > 0)
        len += (size_t)snprintf(head + len, sizeof(head) - len, "data %zu\n", client->body_len);
    client->out_at -= len;
    memcpy(client->out + client->out_at, head, len);
    if (error != NULL)
        client->out_end += (size_t)snprintf(tail, CONTROL_TAIL_CAP, "error: %.200s\n", error);
    else if (!client->more)
        client->out_end += (size_t)snprintf(tail, CONTROL_TAIL_CAP, "%s%s%send\n",
                                            client->note[0] != 0 ? "note " : "", client->note,
                                            client->note[0] != 0 ? "\n" : "");
}

/* Sends what is there; asks for more of a list, or ends the client when all is out. */
static void answer_client(struct control *c, uint32_t i)
{
    struct control_client *client = &c->client[i];

    while (client->out_at < client->out_end) {
        ssize_t n = send(client->fd, client->out + client->out_at, client->out_end - client->out_at,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            struct epoll_event e = {.events = EPOLLOUT, .data.u64 = i};
            epoll_ctl(c->epoll, EPOLL_CTL_MOD, client->fd, &e);
            return;
        }
        if (n <= 0)
            return drop_client(c, client);
        client->out_at += (size_t)n;
        client->deadline_ns = loop_now_ns() + CLIENT_NS;
    }
    if (client->asking)
        return;
    if (!client->more)
        return drop_client(c, client);
    client->body_len = 0;
    if (client->stream != NULL) { /* more in the next tick */
        struct epoll_event e = {.events = client->leaving ? 0 : EPOLLIN, .data.u64 = i};
        epoll_ctl(c->epoll, EPOLL_CTL_MOD, client->fd, &e);
        return;
    }
    control_continue(c, client);
    if (!client->asking) {
        block_close(client); /* the courier could not be asked */
        answer_client(c, i);
    }
}

/* A client of a stream has nothing more to say, but may go. */
static void read_stream_client(struct control *c, struct control_client *client)
{
    char bytes[64];
    ssize_t n = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    if (n < 0 && errno != EAGAIN)
        return drop_client(c, client);
    if (n == 0 && !client->leaving) { /* it may still read: the stream comes to its end */
        struct epoll_event e = {.events = 0, .data.u64 = (uint64_t)(client - c->client)};
        client->leaving = true;
        epoll_ctl(c->epoll, EPOLL_CTL_MOD, client->fd, &e);
    } else if (n == 0 && client->out_at == client->out_end) { /* and now it has gone */
        return drop_client(c, client);
    }
    if (client->out_at < client->out_end)
        answer_client(c, (uint32_t)(client - c->client));
}

/* What streams have to say by now. */
static void tend_streams(struct control *c)
{
    for (uint32_t i = 0; i < CONTROL_CLIENT_MAX; i++) {
        struct control_client *client = &c->client[i];
        if (client->fd < 0 || client->stream == NULL || client->out_at < client->out_end)
            continue;
        client->deadline_ns = loop_now_ns() + CLIENT_NS;
        client->more = client->stream->more(c, client);
        if (client->body_len == 0 && client->more)
            continue;
        if (!client->more) {
            client->stream->end(c, client);
            client->stream = NULL;
        }
        block_close(client);
        answer_client(c, i);
    }
}

static void read_client(struct control *c, uint32_t i)
{
    struct control_client *client = &c->client[i];
    ssize_t n =
        read(client->fd, client->line + client->line_len, sizeof(client->line) - client->line_len);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        return drop_client(c, client);
    client->line_len += (size_t)n;
    const char *end = memchr(client->line, '\n', client->line_len);
    if (end == NULL && client->line_len < sizeof(client->line))
        return;
    client->answering = true;
    if (end == NULL)
        control_refuse(client,
                       "the command is longer than %zu bytes: give fewer words, or conditions in "
                       "place of ids\n",
                       sizeof(client->line) - 1);
    else
        control_command(c, client, (size_t)(end - client->line));
    if (client->asking)
        return;
    block_close(client);
    answer_client(c, i);
}

static void client_answered(struct control *c, struct control_client *client)
{
    client->asking = false;
    if (client->unwatched &&
        control_watch(c, client->fd, EPOLLIN, (uint64_t)(client - c->client)) != 0)
        return drop_client(c, client);
    client->unwatched = false;
    block_close(client);
    answer_client(c, (uint32_t)(client - c->client));
}

/* Answers that lanes have sent back. One client's next question is answered in the next round. */
static void lane_answers(struct control *c)
{
    struct control_client *client;

    for (uint32_t i = 0;
         i < CONTROL_CLIENT_MAX && (client = control_connections_answered(c)) != NULL; i++)
        client_answered(c, client);
}

void control_clients_await(struct control *c)
{
    for (uint32_t i = 0; i < CONTROL_CLIENT_MAX; i++)
        if (c->client[i].fd >= 0 && c->client[i].stream != NULL)
            drop_client(c, &c->client[i]);
    for (uint32_t ms = 0; control_capture_pending(c) && ms < STOP_WAIT_MS; ms++) {
        struct control_client *answered = control_connections_answered(c);
        if (answered != NULL)
            answered->asking = false;
        usleep(1000);
    }
    for (uint32_t i = 0; i < CONTROL_CLIENT_MAX; i++) {
        struct control_client *client = &c->client[i];
        for (uint32_t ms = 0; client->asking && client->ask != NULL; ms++) {
            struct control_client *answered = control_connections_answered(c);
            if (answered != NULL)
                answered->asking = false;
            else if (ms == STOP_WAIT_MS)
                client->ask = NULL; /* left to it for good */
            else
                usleep(1000);
        }
    }
}

/* Answers that the courier has sent back. */
static void courier_answers(struct control *c)
{
    struct rte_ring *ring =
        topology_ring(&c->config.gateway->topology, TOPOLOGY_COURIER_CONTROL, 0);
    struct courier_request *r;

    while (rte_ring_sc_dequeue(ring, (void **)&r) == 0) {
        if (control_tlsrpt_answered(c, r))
            continue;
        struct control_client *client = base_container_of(r, struct control_client, request);
        client->body_len += r->text_len;
        client->more = r->more && r->error == NULL;
        client_answered(c, client);
    }
}

void control_clients_answers(struct control *c)
{
    courier_answers(c);
    lane_answers(c);
}

void control_clients_event(struct control *c, uint32_t i)
{
    struct control_client *client = &c->client[i];

    if (client->fd < 0)
        return; /* it was dropped by what came before in this round */
    if (client->asking)
        unwatch(c, client);
    else if (client->stream != NULL)
        read_stream_client(c, client);
    else if (client->answering)
        answer_client(c, i);
    else
        read_client(c, i);
}

void control_clients_tend(struct control *c)
{
    uint64_t now_ns = loop_now_ns();

    tend_streams(c);
    for (uint32_t i = 0; i < CONTROL_CLIENT_MAX; i++)
        if (c->client[i].fd >= 0 &&
            now_ns > c->client[i].deadline_ns + (c->client[i].answering ? PAUSE_NS : 0))
            drop_client(c, &c->client[i]);
}

void control_clients_init(struct control *c)
{
    for (uint32_t i = 0; i < CONTROL_CLIENT_MAX; i++)
        c->client[i].fd = -1;
}

void control_clients_fini(struct control *c)
{
    for (uint32_t i = 0; i < CONTROL_CLIENT_MAX; i++)
        if (c->client[i].fd >= 0) {
            c->client[i].asking = false;
            drop_client(c, &c->client[i]);
        }
}
