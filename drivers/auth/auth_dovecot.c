#include "auth_dovecot.h"
#include "base_list.h"
#include "base_pool.h"
#include "base_time.h"
#include "smtp_base64.h"
#include "smtp_params.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/crypto.h>

#define IN_BYTES   16384
#define OUT_BYTES  (256u << 10)
#define LINE_BYTES 8192
#define INDEX_BITS 12
#define RETRY_NS   (200 * BASE_NS_MS) /* between tries to connect */
#define WAIT_NS    (3 * BASE_NS_S)    /* for a connection */

struct own {
    struct auth_exchange *x;
    struct base_list place; /* of those that wait for a connection, or of those that are asked */
    uint32_t id;            /* on the connection; 0: not asked yet */
    uint64_t since_ns;
    bool checked; /* the client's first message has been looked at */
    bool none;    /* there is no response */
    bool pending; /* its answer is due: nothing else of Dovecot's counts */
    uint16_t response_len;
    uint8_t response[SMTP_SASL_RESPONSE_MAX];
    char login[SMTP_SASL_LOGIN_MAX + 1]; /* as the client said, when it did */
};

struct auth_dovecot {
    struct auth_dovecot_settings settings;
    struct base_pool owns;
    struct own **by_index; /* of asked ones */
    struct base_list waiting, asked;
    uint64_t now_ns, tried_ns;
    uint32_t serial;
    uint32_t mechanisms; /* bits, that it has */
    int fd;
    bool ready;     /* its greeting is over */
    bool said_lost; /* the operator knows */
    struct base_buf in, out;
};

/* ---- answers ---- */

static void forget(struct auth_dovecot *d, struct own *o)
{
    base_list_remove(&o->place);
    d->by_index[base_pool_index(&d->owns, o)] = NULL;
    OPENSSL_cleanse(o->response, sizeof(o->response));
    base_pool_put(&d->owns, o);
}

static void end(struct auth_dovecot *d, struct own *o, enum auth_result result,
                struct base_span login)
{
    struct auth_exchange *x = o->x;
    char copy[SMTP_SASL_LOGIN_MAX + 1];
    size_t len = login.len < SMTP_SASL_LOGIN_MAX ? login.len : SMTP_SASL_LOGIN_MAX;

    if (len > 0)
        memcpy(copy, login.p, len);
    forget(d, o);
    x->own = NULL;
    d->settings.done.done(
        d->settings.done.user, x,
        &(struct auth_answer){.result = result, .login = base_span_of(copy, len)});
}

static void note(const struct auth_dovecot *d, const char *text)
{
    if (d->settings.note != NULL)
        d->settings.note(d->settings.done.user, text);
}

/* ---- the connection ---- */

static void disconnect(struct auth_dovecot *d, const char *why)
{
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
    d->ready = false;
    OPENSSL_cleanse(d->out.p, d->out.len);
    d->in.len = d->out.len = 0;
    if (!d->said_lost) {
        char text[160];
        snprintf(text, sizeof(text), "dovecot: %.100s; logins must wait", why);
        note(d, text);
        d->said_lost = true;
    }
    while (!base_list_empty(&d->asked))
        end(d, base_container_of(d->asked.next, struct own, place), AUTH_UNAVAILABLE,
            base_span_of(NULL, 0));
}

static void flush(struct auth_dovecot *d)
{
    while (d->fd >= 0 && d->out.len > 0) {
        ssize_t n = send(d->fd, d->out.p, d->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            return disconnect(d, "the connection broke");
        memmove(d->out.p, d->out.p + n, d->out.len - (size_t)n);
        d->out.len -= (size_t)n;
        OPENSSL_cleanse(d->out.p + d->out.len, (size_t)n);
    }
}

static void try_connect(struct auth_dovecot *d)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char text[192];

    if (d->fd >= 0 || (d->tried_ns != 0 && d->now_ns - d->tried_ns < RETRY_NS))
        return;
    d->tried_ns = d->now_ns;
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", d->settings.path);
    d->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (d->fd < 0 || connect(d->fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
        snprintf(text, sizeof(text), "%.100s: %s", d->settings.path, strerror(errno));
        return disconnect(d, text);
    }
    d->mechanisms = 0;
    int n = snprintf(text, sizeof(text), "VERSION\t1\t1\nCPID\t%u\n", (unsigned)getpid());
    base_assert(base_buf_put(&d->out, text, (size_t)n) == 0);
    flush(d);
}

/* ---- questions ---- */

static void put_client(struct base_buf *line, const struct auth_exchange *x)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    bool v4 = memcmp(x->client, mapped, sizeof(mapped)) == 0;
    char text[INET6_ADDRSTRLEN];

    if (inet_ntop(v4 ? AF_INET : AF_INET6, x->client + (v4 ? 12 : 0), text, sizeof(text)) == NULL)
        return;
    base_buf_puts(line, "\trip=");
    base_buf_puts(line, text);
}

/* Writes the request, or the next response of one that goes on. */
static void send_response(struct auth_dovecot *d, struct own *o, bool begins)
{
    uint8_t room[LINE_BYTES];
    struct base_buf line = {room, 0, sizeof(room)};
    char head[128];
    int failed = 0;

    if (begins) {
        snprintf(head, sizeof(head), "AUTH\t%u\t%s\tservice=smtp\tnologin%s", o->id,
                 smtp_sasl_name((enum smtp_sasl_mechanism)o->x->mechanism),
                 o->x->secure ? "\tsecured" : "");
        failed |= base_buf_puts(&line, head);
        put_client(&line, o->x);
        if (o->x->mechanism == SMTP_SASL_EXTERNAL) {
            failed |= base_buf_puts(&line, "\tvalid-client-cert\tcert_username=");
            failed |= base_buf_puts(&line, o->login);
        }
        if (!o->none)
            failed |= base_buf_puts(&line, "\tresp=");
    } else {
        snprintf(head, sizeof(head), "CONT\t%u\t", o->id);
        failed |= base_buf_puts(&line, head);
    }
    failed |= smtp_base64_encode(&line, base_span_of(o->response, o->response_len));
    failed |= base_buf_puts(&line, "\n");
    base_assert(failed == 0);
    o->pending = true;
    bool full = base_buf_put_span(&d->out, base_buf_span(&line)) != 0;
    OPENSSL_cleanse(room, line.len);
    OPENSSL_cleanse(o->response, sizeof(o->response));
    if (full)
        return end(d, o, AUTH_BUSY, base_span_of(NULL, 0));
    flush(d);
}

/* The greeting is over: those that waited have their turn. */
static void ask(struct auth_dovecot *d, struct own *o)
{
    base_list_remove(&o->place);
    if ((d->mechanisms & 1U << o->x->mechanism) == 0) {
        note(d, "dovecot: a mechanism of auth: mechanisms is not among its auth_mechanisms");
        return end(d, o, AUTH_UNAVAILABLE, base_span_of(NULL, 0));
    }
    if (++d->serial >= 1u << (32 - INDEX_BITS))
        d->serial = 1;
    o->id = d->serial << INDEX_BITS | base_pool_index(&d->owns, o);
    d->by_index[base_pool_index(&d->owns, o)] = o;
    base_list_push_back(&d->asked, &o->place);
    send_response(d, o, true);
}

static void ask_waiting(struct auth_dovecot *d)
{
    while (d->ready && !base_list_empty(&d->waiting))
        ask(d, base_container_of(d->waiting.next, struct own, place));
}

/* ---- lines ---- */

static struct base_span take_word(struct base_span *line)
{
    const uint8_t *tab = line->len > 0 ? memchr(line->p, '\t', line->len) : NULL;
    struct base_span word = *line;

    if (tab == NULL) {
        *line = base_span_of(NULL, 0);
        return word;
    }
    word.len = (size_t)(tab - line->p);
    *line = base_span_of(tab + 1, line->len - word.len - 1);
    return word;
}

static bool is(struct base_span word, const char *text)
{
    return base_span_eq(word, base_span_str(text));
}

static struct own *find(struct auth_dovecot *d, struct base_span number)
{
    uint64_t id = 0;

    for (size_t i = 0; i < number.len; i++) {
        if ((uint8_t)(number.p[i] - '0') > 9 || id > UINT32_MAX)
            return NULL;
        id = id * 10 + (uint8_t)(number.p[i] - '0');
    }
    uint64_t index = id & ((1u << INDEX_BITS) - 1);
    struct own *o = index < d->owns.object_cnt ? d->by_index[index] : NULL;
    return o != NULL && o->id == id ? o : NULL;
}

static void take_challenge(struct auth_dovecot *d, struct own *o, struct base_span text)
{
    uint8_t room[SMTP_SASL_CHALLENGE_MAX];
    struct base_buf challenge = {room, 0, sizeof(room)};

    if (smtp_base64_decode(&challenge, text) != 0)
        return end(d, o, AUTH_UNAVAILABLE, base_span_of(NULL, 0));
    o->pending = false;
    struct auth_answer a = {.result = AUTH_CHALLENGE, .challenge = base_buf_span(&challenge)};
    d->settings.done.done(d->settings.done.user, o->x, &a);
}

/* OK and FAIL have parameters: user=..., temp, code=temp_fail, ... */
static void take_end(struct auth_dovecot *d, struct own *o, bool ok, struct base_span rest)
{
    struct base_span user = base_span_str(ok ? "" : o->login);
    bool temporary = false;

    while (rest.len > 0) {
        struct base_span word = take_word(&rest);
        if (word.len > 5 && memcmp(word.p, "user=", 5) == 0)
            user = base_span_of(word.p + 5, word.len - 5);
        temporary |= is(word, "temp") || is(word, "code=temp_fail");
    }
    bool named = user.len > 0 && user.len <= SMTP_SASL_LOGIN_MAX && smtp_utf8_valid(user);
    if ((ok && !named) || (!ok && temporary))
        return end(d, o, AUTH_UNAVAILABLE, base_span_of(NULL, 0));
    end(d, o, ok ? AUTH_ACCEPTED : AUTH_REFUSED, named ? user : base_span_of(NULL, 0));
}

/* False: it speaks another language. */
static bool take_line(struct auth_dovecot *d, struct base_span line)
{
    struct base_span command = take_word(&line), word = take_word(&line);
    struct own *o;

    if (is(command, "VERSION"))
        return is(word, "1");
    if (is(command, "MECH")) {
        enum smtp_sasl_mechanism m = smtp_sasl_find(word);
        d->mechanisms |= m < SMTP_SASL_MECHANISM_CNT ? 1U << m : 0;
    }
    if (is(command, "DONE")) {
        d->ready = true;
        if (d->said_lost)
            note(d, "dovecot: it answers again");
        d->said_lost = false;
        ask_waiting(d);
    }
    bool goes_on = is(command, "CONT"), ok = is(command, "OK");
    if (!goes_on && !ok && !is(command, "FAIL"))
        return true; /* SPID, CUID, COOKIE, and what later versions say */
    o = find(d, word);
    if (o == NULL || !o->pending)
        return true; /* given up meanwhile; or it speaks while the client thinks */
    if (goes_on)
        take_challenge(d, o, take_word(&line));
    else
        take_end(d, o, ok, line);
    return true;
}

static void read_lines(struct auth_dovecot *d)
{
    uint8_t line[LINE_BYTES];

    while (d->fd >= 0) {
        const uint8_t *lf = d->in.len > 0 ? memchr(d->in.p, '\n', d->in.len) : NULL;
        if (lf == NULL)
            break;
        size_t len = (size_t)(lf - d->in.p);
        if (len > sizeof(line))
            return disconnect(d, "a line without end");
        memcpy(line, d->in.p, len); /* an answer may end the connection, and the buffer with it */
        memmove(d->in.p, lf + 1, d->in.len - len - 1);
        d->in.len -= len + 1;
        if (!take_line(d, base_span_of(line, len)))
            return disconnect(d, "it speaks another version of the protocol");
    }
    if (d->in.len == d->in.cap)
        disconnect(d, "a line without end");
}

static void receive(struct auth_dovecot *d)
{
    while (d->fd >= 0) {
        ssize_t n = recv(d->fd, d->in.p + d->in.len, d->in.cap - d->in.len, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            return disconnect(d, n == 0 ? "it closed the connection" : strerror(errno));
        d->in.len += (size_t)n;
        read_lines(d);
    }
}

/* ---- the driver ---- */

/* The first message of a client says for whom it acts: itself alone. True: it may go on. */
static bool check_first(struct auth_dovecot *d, struct own *o, struct base_span response)
{
    struct smtp_sasl_facts facts = {.identity = base_span_str(o->login)};
    uint8_t room[SMTP_SASL_CHALLENGE_MAX];
    struct base_buf unused = {room, 0, sizeof(room)};
    struct smtp_sasl s;

    if (o->checked || response.p == NULL || o->x->mechanism == SMTP_SASL_LOGIN)
        return true;
    o->checked = true;
    smtp_sasl_init(&s, (enum smtp_sasl_mechanism)o->x->mechanism, &facts);
    enum smtp_sasl_step step = smtp_sasl_push(&s, response, &unused);
    memcpy(o->login, s.login, sizeof(o->login));
    smtp_sasl_clear(&s);
    if (step == SMTP_SASL_PASSWORD || step == SMTP_SASL_VERIFIER || step == SMTP_SASL_ACCOUNT)
        return true;
    end(d, o, step == SMTP_SASL_MALFORMED ? AUTH_MALFORMED : AUTH_REFUSED, base_span_str(o->login));
    return false;
}

static void set_response(struct own *o, struct base_span response)
{
    base_assert(response.len <= sizeof(o->response));
    o->none = response.p == NULL;
    o->response_len = (uint16_t)response.len;
    if (response.p != NULL)
        memcpy(o->response, response.p, response.len);
}

/* Whom the certificate names, as the line has it: a word. */
static bool take_identity(struct own *o)
{
    struct base_span name = o->x->identity;

    if (name.len == 0 || name.len > SMTP_SASL_LOGIN_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.p[i] <= ' ' || name.p[i] > '~')
            return false;
    memcpy(o->login, name.p, name.len);
    o->login[name.len] = 0;
    return true;
}

static void begin(void *state, struct auth_exchange *x, struct base_span response)
{
    struct auth_dovecot *d = state;
    struct own *o = base_pool_get(&d->owns);

    if (o == NULL) {
        struct auth_answer a = {.result = AUTH_BUSY};
        return d->settings.done.done(d->settings.done.user, x, &a);
    }
    o->x = x;
    x->own = o;
    base_list_init(&o->place);
    o->login[0] = 0;
    if (x->mechanism == SMTP_SASL_EXTERNAL && !take_identity(o))
        return end(d, o, AUTH_REFUSED, base_span_of(NULL, 0));
    if (!check_first(d, o, response))
        return;
    set_response(o, response);
    o->since_ns = d->now_ns;
    base_list_push_back(&d->waiting, &o->place);
    try_connect(d);
    ask_waiting(d);
}

static void resume(void *state, struct auth_exchange *x, struct base_span response)
{
    struct auth_dovecot *d = state;
    struct own *o = x->own;

    if (o == NULL) { /* its connection broke while the client thought */
        struct auth_answer a = {.result = AUTH_UNAVAILABLE};
        return d->settings.done.done(d->settings.done.user, x, &a);
    }
    if (!check_first(d, o, response))
        return;
    set_response(o, response);
    send_response(d, o, false);
}

static void cancel(void *state, struct auth_exchange *x)
{
    struct auth_dovecot *d = state;
    struct own *o = x->own;
    char line[64];

    if (o == NULL)
        return;
    x->own = NULL;
    if (o->id != 0) {
        int n = snprintf(line, sizeof(line), "CANCEL\t%u\n", o->id);
        base_buf_put(&d->out, line, (size_t)n); /* without room its answer will find nobody */
    }
    forget(d, o);
    flush(d);
}

static int wait_fd(void *state)
{
    return ((struct auth_dovecot *)state)->fd;
}

static void run(void *state, uint64_t now_ns)
{
    struct auth_dovecot *d = state;

    d->now_ns = now_ns;
    receive(d);
    try_connect(d);
    flush(d);
    receive(d);
    while (!base_list_empty(&d->waiting)) {
        struct own *o = base_container_of(d->waiting.next, struct own, place);
        if (now_ns - o->since_ns < WAIT_NS)
            break;
        end(d, o, AUTH_UNAVAILABLE, base_span_of(NULL, 0));
    }
}

static const struct auth_driver_ops ops = {
    .name = "dovecot",
    .begin = begin,
    .resume = resume,
    .cancel = cancel,
    .wait_fd = wait_fd,
    .run = run,
};

int auth_dovecot_open(struct auth_dovecot **out, const struct auth_dovecot_settings *settings)
{
    struct auth_dovecot *d = calloc(1, sizeof(*d));

    if (d == NULL)
        return -ENOMEM;
    d->settings = *settings;
    d->fd = -1;
    base_list_init(&d->waiting);
    base_list_init(&d->asked);
    d->in = (struct base_buf){malloc(IN_BYTES), 0, IN_BYTES};
    d->out = (struct base_buf){malloc(OUT_BYTES), 0, OUT_BYTES};
    uint32_t max = settings->exchange_max;
    max = max < 1u << INDEX_BITS ? max : 1u << INDEX_BITS;
    d->by_index = calloc(max, sizeof(struct own *));
    if (d->in.p == NULL || d->by_index == NULL || d->out.p == NULL ||
        base_pool_init(&d->owns, max, sizeof(struct own), 16, sizeof(struct own)) != 0) {
        auth_dovecot_close(d);
        return -ENOMEM;
    }
    *out = d;
    return 0;
}

void auth_dovecot_close(struct auth_dovecot *d)
{
    if (d->fd >= 0)
        close(d->fd);
    if (d->owns.memory != NULL) {
        d->owns.free_cnt = d->owns.object_cnt; /* exchanges end with the driver */
        base_pool_fini(&d->owns);
    }
    free(d->by_index);
    free(d->in.p);
    free(d->out.p);
    free(d);
}

struct auth_driver auth_dovecot_driver(struct auth_dovecot *d)
{
    return (struct auth_driver){&ops, d};
}
