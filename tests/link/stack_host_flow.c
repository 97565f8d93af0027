#include "stack_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPAN_CAP 64

bool host_flow_parse(struct host_flow *f, char *words)
{
    char *rest = NULL, *word = strtok_r(words, " ", &rest);

    for (; word != NULL; word = strtok_r(NULL, " ", &rest)) {
        unsigned long long bytes, seed;
        if (strcmp(word, "read") == 0)
            f->reads = true;
        else if (strcmp(word, "echo") == 0)
            f->reads = f->echoes = true;
        else if (strcmp(word, "stay") == 0)
            f->stays = true;
        else if (strcmp(word, "fin") == 0)
            f->fin_due = true;
        else if (sscanf(word, "send=%llu:%llu", &bytes, &seed) == 2) {
            f->to_send = bytes;
            base_rand_init(&f->rand, seed);
        } else
            return false;
    }
    return true;
}

struct host_flow *host_flow_open(struct host *h)
{
    for (uint32_t i = 0; i < HOST_FLOW_MAX; i++) {
        struct host_flow *f = h->flow[i];
        if (f != NULL && f->used)
            continue;
        uint32_t next = f != NULL ? f->number + HOST_FLOW_MAX : i;
        if (f == NULL)
            f = h->flow[i] = malloc(sizeof(*f));
        if (f == NULL)
            return NULL;
        memset(f, 0, sizeof(*f));
        f->number = next;
        f->used = true;
        f->received_sha = EVP_MD_CTX_new();
        f->sent_sha = EVP_MD_CTX_new();
        if (f->received_sha == NULL || f->sent_sha == NULL ||
            EVP_DigestInit_ex(f->received_sha, EVP_sha256(), NULL) != 1 ||
            EVP_DigestInit_ex(f->sent_sha, EVP_sha256(), NULL) != 1)
            abort();
        return f;
    }
    return NULL;
}

static void print_sha(const char *name, EVP_MD_CTX *ctx)
{
    uint8_t sum[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (EVP_DigestFinal_ex(ctx, sum, &len) != 1)
        abort();
    printf(" %s=", name);
    for (unsigned i = 0; i < len; i++)
        printf("%02x", sum[i]);
    EVP_MD_CTX_free(ctx);
}

static void print_end(struct host_flow *f, const char *how)
{
    printf("%u %s received=%llu sent=%llu", f->number, how, (unsigned long long)f->received,
           (unsigned long long)f->sent);
    print_sha("received_sha", f->received_sha);
    print_sha("sent_sha", f->sent_sha);
    puts("");
    f->used = false;
}

void host_flow_end(struct host *h, struct host_flow *f, bool abort_it)
{
    if (abort_it)
        tcp_abort(h->tcp, f->conn);
    else
        tcp_close(h->tcp, f->conn);
    print_end(f, abort_it ? "aborted" : "closed");
}

void host_flow_tell(const struct host_flow *f)
{
    printf("%u is received=%llu sent=%llu waiting=%u pending=%u\n", f->number,
           (unsigned long long)f->received, (unsigned long long)f->sent, tcp_recv_len(f->conn),
           tcp_send_pending(f->conn));
}

/* Gives the stack what is left of the chunk; false when it does not take all. */
static bool send_chunk(struct host *h, struct host_flow *f)
{
    uint32_t len = f->chunk_len - f->chunk_at;
    int64_t n = len > 0 ? tcp_send(h->tcp, f->conn, f->chunk + f->chunk_at, len) : 0;

    if (n <= 0)
        return len == 0;
    if (EVP_DigestUpdate(f->sent_sha, f->chunk + f->chunk_at, (size_t)n) != 1)
        abort();
    f->chunk_at += (uint32_t)n;
    f->sent += (uint64_t)n;
    return n == (int64_t)len;
}

static void make_chunk(struct host_flow *f)
{
    f->chunk_len = f->to_send < HOST_CHUNK_BYTES ? (uint32_t)f->to_send : HOST_CHUNK_BYTES;
    f->chunk_at = 0;
    f->to_send -= f->chunk_len;
    for (uint32_t i = 0; i < f->chunk_len; i += 8) {
        uint64_t word = base_rand_next(&f->rand);
        memcpy(f->chunk + i, &word, 8);
    }
}

/* Reads what waits, as much as one look shows and an echo has room for; false when it was nothing.
 */
static bool read_some(struct host *h, struct host_flow *f)
{
    struct base_span spans[SPAN_CAP];
    uint32_t taken = 0;

    if (f->echoes && !send_chunk(h, f))
        return false;
    if (f->echoes)
        f->chunk_len = f->chunk_at = 0;
    uint32_t n = tcp_recv_view(f->conn, spans, SPAN_CAP);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t len = (uint32_t)spans[i].len;
        if (f->echoes && len > HOST_CHUNK_BYTES - f->chunk_len)
            len = HOST_CHUNK_BYTES - f->chunk_len;
        if (EVP_DigestUpdate(f->received_sha, spans[i].p, len) != 1)
            abort();
        if (f->echoes) {
            memcpy(f->chunk + f->chunk_len, spans[i].p, len);
            f->chunk_len += len;
        }
        taken += len;
        if (len < spans[i].len)
            break;
    }
    f->received += taken;
    if (taken > 0)
        tcp_recv_consume(h->tcp, f->conn, taken);
    return taken > 0;
}

void host_flow_go(struct host *h, struct host_flow *f)
{
    if (!f->up)
        return;
    while (send_chunk(h, f) && f->to_send > 0)
        make_chunk(f);
    while (f->reads && read_some(h, f))
        ;
    bool ended = tcp_recv_ended(f->conn);
    bool all_sent = f->to_send == 0 && f->chunk_at == f->chunk_len;
    if (f->echoes && ended)
        f->fin_due = true;
    if (f->fin_due && !f->fin_sent && all_sent) {
        tcp_shutdown(h->tcp, f->conn);
        f->fin_sent = true;
    }
    if (ended && all_sent && !f->stays)
        host_flow_end(h, f, false);
}

void host_flow_event(struct host *h, struct host_flow *f, uint32_t flags)
{
    char text[NET_ENDPOINT_TEXT_CAP];
    struct net_endpoint e;

    if ((flags & (TCP_EVENT_ACCEPTED | TCP_EVENT_CONNECTED)) != 0) {
        f->up = true;
        if ((flags & TCP_EVENT_ACCEPTED) != 0)
            tcp_remote(f->conn, &e);
        else
            tcp_local(f->conn, &e);
        net_endpoint_format(text, &e);
        printf("%u %s %s\n", f->number,
               (flags & TCP_EVENT_ACCEPTED) != 0 ? "accepted" : "connected", text);
    }
    if ((flags & TCP_EVENT_FAILED) != 0) {
        char how[64];
        snprintf(how, sizeof(how), "failed %s", tcp_error_name(tcp_error(f->conn)));
        tcp_close(h->tcp, f->conn);
        print_end(f, how);
        return;
    }
    if ((flags & TCP_EVENT_PEER_CLOSED) != 0 && !f->peer_closed) {
        f->peer_closed = true;
        printf("%u peer_closed\n", f->number);
    }
    host_flow_go(h, f);
}
