/* The clients of the simulated world, and the messages that they send. */
#include "sim_world_internal.h"
#include "base_time.h"

#define GATEWAY_PORT 25
#define PAUSE_NS     (500 * BASE_NS_MS)

/* ---- messages ---- */

/* A header with the message's number, then lines of all kinds: dots, 8-bit, empty, long. */
void world_make_message(struct world *w, uint32_t i)
{
    struct world_message *m = &w->message[i];
    size_t want = base_rand_below(&w->rand, base_rand_below(&w->rand, w->config.size_max) + 1);

    m->rcpt_cnt = 1 + (uint32_t)base_rand_below(&w->rand, WORLD_RCPT_MAX);
    m->bytes = malloc(want + 4096);
    if (w->config.bounce)
        bounce_fates(&m->bounce, &w->rand);
    m->len = (size_t)sprintf((char *)m->bytes, "Subject: %u\r\nX-Message: %u\r\n\r\n", i, i);
    while (m->len < want) {
        size_t line = base_rand_below(&w->rand, base_rand_below(&w->rand, 998) + 1);
        if (base_rand_below(&w->rand, 8) == 0)
            m->bytes[m->len++] = '.';
        for (size_t k = 0; k < line; k++) {
            uint8_t b = (uint8_t)base_rand_next(&w->rand);
            m->bytes[m->len++] = b == 0 || b == '\r' || b == '\n' ? '.' : b;
        }
        m->bytes[m->len++] = '\r';
        m->bytes[m->len++] = '\n';
    }
}

const char *const world_rcpt_name[WORLD_RCPT_MAX] = {"a@example.org", "b@example.org",
                                                     "c@other.example", "d@third.example"};

struct base_span world_rcpt_text(void *user, uint32_t index)
{
    (void)user;
    return base_span_str(world_rcpt_name[index]);
}

/* What MAIL and RCPT say beside the addresses, by the numbers of message and recipient. */
struct smtp_mail_params world_mail_params(unsigned i, char envid[16])
{
    int len = snprintf(envid, 16, "m+2B%u", i);
    return (struct smtp_mail_params){.envid = base_span_of(envid, (size_t)len),
                                     .ret = (uint8_t)(i % 3),
                                     .body_8bit = true,
                                     .smtputf8 = i % 4 == 3};
}

static struct base_span sender_text(unsigned i, char out[SENDER_CAP])
{
    int len = snprintf(out, SENDER_CAP, "%s%u@client.example",
                       i % 4 == 3 ? "s\xc3\xa4nder" : "sender", i);
    return base_span_of(out, (size_t)len);
}

/* The message whose sender the mailbox is. */
bool world_sender_number(struct base_span mailbox, unsigned *i)
{
    char text[SENDER_CAP] = "", again[SENDER_CAP];
    size_t len = mailbox.len < sizeof(text) ? mailbox.len : 0;

    if (len > 0)
        memcpy(text, mailbox.p, len);
    const char *digit = strpbrk(text, "0123456789");
    return digit != NULL && sscanf(digit, "%u", i) == 1 &&
           base_span_eq(mailbox, sender_text(*i, again));
}

const uint8_t world_rcpt_notify[WORLD_RCPT_MAX] = {
    0, SMTP_NOTIFY_NEVER, SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY, SMTP_NOTIFY_FAILURE};

struct smtp_rcpt_params world_rcpt_params(void *user, uint32_t index)
{
    static const char *const orcpt[WORLD_RCPT_MAX] = {"rfc822;a+2Bx@origin.example", "",
                                                      "utf-8;c\\x{E4}@origin.example", ""};
    (void)user;
    return (struct smtp_rcpt_params){.orcpt = base_span_str(orcpt[index]),
                                     .notify = world_rcpt_notify[index]};
}

/* ---- clients ---- */

static void client_over(struct world *w, struct client *c)
{
    if (c->tcp != NULL)
        tcp_abort(w->tcp, c->tcp);
    c->tcp = NULL;
    c->not_before_ns = w->now_ns + PAUSE_NS;
}

void world_connect_client(struct world *w, struct client *c)
{
    struct net_endpoint any = {0}, gateway = {.port = GATEWAY_PORT};

    gateway.addr = net_addr_v4((const uint8_t[]){10, 0, 0, 1});
    if (c->message == UINT32_MAX) {
        if (w->next_message == w->config.message_cnt)
            return;
        c->message = w->next_message++;
    }
    if (tcp_connect(w->tcp, &any, &gateway, c, &c->tcp, w->now_ns) != 0) {
        c->tcp = NULL;
        c->not_before_ns = w->now_ns + PAUSE_NS;
        return;
    }
    smtp_client_init(&c->smtp, "client.example", &w->stats);
    c->ready = false;
}

static void client_job(struct world *w, struct client *c)
{
    struct world_message *m = &w->message[c->message];
    struct smtp_client_job job = {
        .sender = sender_text(c->message, c->sender),
        .recipient = world_rcpt_text,
        .rcpt_params = world_rcpt_params,
        .recipient_cnt = m->rcpt_cnt,
        .mail = world_mail_params(c->message, c->envid),
    };

    job.mail.size_bytes = m->len;
    c->at = 0;
    c->sending = false;
    c->failed_cnt = c->deferred_cnt = 0;
    smtp_client_start(&c->smtp, &job);
    c->ready = true;
}

static void client_send(struct world *w, struct client *c)
{
    struct world_message *m = &w->message[c->message];

    while (c->sending) {
        uint32_t space = tcp_send_space(c->tcp);
        size_t chunk = 1 + base_rand_below(&w->rand, 9000), used = 0;
        struct base_buf out = {.p = w->scratch, .cap = space < SCRATCH ? space : SCRATCH};
        if (out.cap < 64)
            return;
        if (c->at == m->len) {
            smtp_client_body_end(&c->smtp, &out);
            c->sending = false;
        } else {
            if (chunk > m->len - c->at)
                chunk = m->len - c->at;
            smtp_client_body(&c->smtp, base_span_of(m->bytes + c->at, chunk), &used, &out);
            c->at += used;
        }
        if (tcp_send(w->tcp, c->tcp, out.p, out.len) != (int64_t)out.len)
            return client_over(w, c); /* pool empty: cut, and try again later */
    }
}

/* The gateway's word on the message: all recipients have theirs. */
static void client_message_over(struct world *w, struct client *c)
{
    struct world_message *m = &w->message[c->message];

    if (c->failed_cnt + c->deferred_cnt == 0) {
        m->acked = true;
        c->message = UINT32_MAX;
    } else if (c->failed_cnt > 0) {
        SAY("refused for good", c->message);
    } else {
        c->not_before_ns = w->now_ns + PAUSE_NS;
    }
}

static bool client_step(struct world *w, struct client *c)
{
    struct base_span spans[4], in = {0};
    uint32_t space = tcp_send_space(c->tcp);
    struct base_buf out = {.p = w->scratch, .cap = space < SCRATCH ? space : SCRATCH};
    size_t used = 0;

    if (out.cap < SMTP_OUT_MIN)
        return false;
    uint32_t n = tcp_recv_view(c->tcp, spans, 4);
    if (n > 0)
        in = spans[0];
    enum smtp_client_event e = smtp_client_push(&c->smtp, in, &used, &out);
    if (e == SMTP_CLIENT_MORE && used == 0 && n > 1) { /* a line over two mbufs */
        struct base_buf line = {.p = w->line, .cap = sizeof(w->line)};
        for (uint32_t i = 0; i < n; i++)
            if (base_buf_put_span(&line, spans[i]) != 0)
                break;
        e = smtp_client_push(&c->smtp, base_buf_span(&line), &used, &out);
    }
    tcp_recv_consume(w->tcp, c->tcp, (uint32_t)used);
    if (out.len > 0 && tcp_send(w->tcp, c->tcp, out.p, out.len) != (int64_t)out.len) {
        client_over(w, c);
        return false;
    }
    switch (e) {
    case SMTP_CLIENT_RESULT:
        if (c->smtp.result.code / 100 == 5)
            c->failed_cnt++;
        else if (c->smtp.result.code / 100 != 2)
            c->deferred_cnt++;
        return true;
    case SMTP_CLIENT_BODY:
        c->sending = true;
        client_send(w, c);
        return false;
    case SMTP_CLIENT_DONE:
        client_message_over(w, c);
        if (c->message == UINT32_MAX && w->next_message < w->config.message_cnt) {
            c->message = w->next_message++;
            client_job(w, c);
            return true;
        }
        out.len = 0;
        smtp_client_quit(&c->smtp, &out);
        if (tcp_send(w->tcp, c->tcp, out.p, out.len) != (int64_t)out.len)
            client_over(w, c);
        return false;
    case SMTP_CLIENT_UNTRIED: /* the next connection has it */
        return true;
    case SMTP_CLIENT_CLOSE:
        tcp_close(w->tcp, c->tcp);
        c->tcp = NULL;
        if (c->not_before_ns < w->now_ns)
            c->not_before_ns = w->now_ns;
        return false;
    default:
        return used > 0;
    }
}

void world_client_event(struct world *w, struct client *c, uint32_t flags)
{
    if (flags & TCP_EVENT_FAILED)
        return client_over(w, c);
    if (flags & TCP_EVENT_CONNECTED && !c->ready)
        client_job(w, c);
    if (c->sending)
        client_send(w, c);
    while (c->tcp != NULL && !c->sending && client_step(w, c))
        ;
    if (c->tcp != NULL && tcp_recv_ended(c->tcp))
        client_over(w, c);
}
