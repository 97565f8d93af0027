/* What Dovecot says, or somebody in its place: whatever comes over the socket, and however it is
 * cut, each exchange has one answer to each message, nobody is accepted but by a line "OK" with a
 * user, and when the connection is gone no exchange is left. */
#include "auth_dovecot.h"
#include "base_time.h"
#include "fuzz_token.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define EXCHANGE_CNT 4
#define STREAM_CAP   8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fuzz_token tokens[] = {
    FUZZ_TOKEN("VERSION\t1\t2\n"),
    FUZZ_TOKEN("MECH\tPLAIN\tplaintext\nMECH\tLOGIN\nMECH\tEXTERNAL\nDONE\n"),
    FUZZ_TOKEN("SPID\t7\nCUID\t8\nCOOKIE\tff\n"),
    FUZZ_TOKEN("OK\t"),
    FUZZ_TOKEN("FAIL\t"),
    FUZZ_TOKEN("CONT\t"),
    FUZZ_TOKEN("4096"),
    FUZZ_TOKEN("8193"),
    FUZZ_TOKEN("12290"),
    FUZZ_TOKEN("16387"),
    FUZZ_TOKEN("\tuser=bob\n"),
    FUZZ_TOKEN("\tuser=\n"),
    FUZZ_TOKEN("\ttemp\n"),
    FUZZ_TOKEN("\tcode=temp_fail\n"),
    FUZZ_TOKEN("\tUGFzc3dvcmQ6\n"),
    FUZZ_TOKEN("\t"),
    FUZZ_TOKEN("\n"),
    FUZZ_TOKEN("18446744073709551616"),
    FUZZ_TOKEN("\xff\xfe"),
};

static char path[64];
static int listener = -1;

static void leave(void)
{
    unlink(path);
}

static void listen_once(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    if (listener >= 0)
        return;
    snprintf(path, sizeof(path), "/tmp/sluice-fuzz-dovecot-%d", (int)getpid());
    unlink(path);
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    base_assert(listener >= 0 && bind(listener, (struct sockaddr *)&a, sizeof(a)) == 0);
    base_assert(listen(listener, 8) == 0);
    atexit(leave);
}

struct one {
    struct auth_exchange x;
    bool asked; /* an answer is due */
    bool over;
    uint32_t answer_cnt, ask_cnt;
};

static struct one ones[EXCHANGE_CNT];
static bool may_accept; /* the stream has what it takes */

static void done(void *user, struct auth_exchange *x, const struct auth_answer *a)
{
    struct one *o = base_container_of(x, struct one, x);

    (void)user;
    base_assert(o >= ones && o < ones + EXCHANGE_CNT && !o->over);
    base_assert(o->asked || a->result == AUTH_UNAVAILABLE); /* that, when the connection breaks */
    o->asked = false;
    o->answer_cnt++;
    if (a->result == AUTH_CHALLENGE) {
        base_assert(a->challenge.len <= SMTP_SASL_CHALLENGE_MAX);
        return;
    }
    o->over = true;
    base_assert(x->own == NULL);
    base_assert(a->login.len <= SMTP_SASL_LOGIN_MAX);
    base_assert(a->result != AUTH_ACCEPTED || (may_accept && a->login.len > 0));
}

static void begin(struct auth_driver *d)
{
    static const uint8_t plain[] = "\0bob\0secret";

    memset(ones, 0, sizeof(ones));
    for (int i = 0; i < EXCHANGE_CNT; i++) {
        ones[i].asked = true;
        ones[i].x.mechanism = i == 0   ? SMTP_SASL_LOGIN
                              : i == 1 ? SMTP_SASL_EXTERNAL
                                       : SMTP_SASL_PLAIN;
        ones[i].x.identity = base_span_str("bob@example.org");
        struct base_span says =
            i < 2 ? base_span_of(NULL, 0) : base_span_of(plain, sizeof(plain) - 1);
        d->ops->begin(d->state, &ones[i].x, says);
    }
}

/* One of those that go on has another message. */
static void answer_challenges(struct auth_driver *d)
{
    for (int i = 0; i < EXCHANGE_CNT; i++)
        if (!ones[i].over && ones[i].answer_cnt > ones[i].ask_cnt && ones[i].ask_cnt < 3) {
            ones[i].ask_cnt = ones[i].answer_cnt;
            ones[i].asked = true;
            d->ops->resume(d->state, &ones[i].x, base_span_str("bob"));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t room[STREAM_CAP];
    struct base_buf stream = {room, 0, sizeof(room)};
    struct auth_dovecot *dovecot;
    struct auth_dovecot_settings settings = {.path = path, .exchange_max = 8, .done = {done, NULL}};
    uint64_t now_ns = BASE_NS_S;

    if (size < 2)
        return 0;
    size_t cut = data[0] + 1u;
    fuzz_expand(&stream, base_span_of(data + 1, size - 1), tokens, BASE_ARRAY_CNT(tokens));
    may_accept = memmem(stream.p, stream.len, "OK\t", 3) != NULL &&
                 memmem(stream.p, stream.len, "user=", 5) != NULL;
    listen_once();
    base_assert(auth_dovecot_open(&dovecot, &settings) == 0);
    struct auth_driver d = auth_dovecot_driver(dovecot);
    d.ops->run(d.state, now_ns);
    begin(&d);
    int peer = accept(listener, NULL, NULL);
    base_assert(peer >= 0);
    for (size_t at = 0; at < stream.len; at += cut) {
        size_t n = cut < stream.len - at ? cut : stream.len - at;
        if (send(peer, stream.p + at, n, MSG_NOSIGNAL) < 0)
            break; /* it has had enough */
        d.ops->run(d.state, now_ns);
        answer_challenges(&d);
    }
    close(peer);
    now_ns += 10 * BASE_NS_S;
    d.ops->run(d.state, now_ns); /* it hears of the end, and connects anew */
    d.ops->run(d.state, now_ns + 10 * BASE_NS_S);
    for (int i = 0; i < EXCHANGE_CNT; i++) {
        if (!ones[i].over)
            d.ops->cancel(d.state, &ones[i].x);
        base_assert(ones[i].x.own == NULL);
    }
    auth_dovecot_close(dovecot);
    while ((peer = accept(listener, NULL, NULL)) >= 0)
        close(peer);
    return 0;
}
