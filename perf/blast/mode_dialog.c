/*
 * What can be done without a message: the greeting; EHLO where it is wanted, and STARTTLS; then
 * what the mode is for, as often as there are units; QUIT, its answer, the server's end.
 *
 *   connect, handshake  nothing: the unit is the connection
 *   pingpong            NOOP and its 250
 *   reject              MAIL, a RCPT whose refusal is the unit, RSET; in one go where the server
 *                       offers PIPELINING
 *   hold                stands until the load is over; the unit is that it has come so far
 */
#include "mode.h"
#include "session.h"

#include <stdio.h>

enum step {
    STEP_GREETING,
    STEP_EHLO,
    STEP_STARTTLS,
    STEP_HANDSHAKE,
    STEP_READY, /* for the next unit */
    STEP_PING,
    STEP_MAIL,
    STEP_RCPT,
    STEP_RSET,
    STEP_HOLD,
    STEP_QUIT,
};

#define LINE_CAP 640 /* of all commands of a unit */

static void start(struct lane *l, struct session *s)
{
    (void)l;
    s->step = STEP_GREETING;
}

static void say(struct lane *l, struct session *s, const char *text, enum step step)
{
    s->step = (uint8_t)step;
    session_send(l, s, text, strlen(text));
}

/* A unit of reject; where each command waits for its reply only the one of the step. */
static void reject(struct lane *l, struct session *s, enum step step)
{
    const struct options *o = l->options;
    char mail[300], rcpt[300], all[LINE_CAP];

    snprintf(mail, sizeof(mail), "MAIL FROM:<%s>\r\n", o->sender);
    snprintf(rcpt, sizeof(rcpt), "RCPT TO:<%s>\r\n", o->recipient);
    if (o->no_pipelining)
        return say(l, s, step == STEP_MAIL ? mail : step == STEP_RCPT ? rcpt : "RSET\r\n", step);
    if (step == STEP_MAIL) {
        snprintf(all, sizeof(all), "%s%sRSET\r\n", mail, rcpt);
        say(l, s, all, step);
    }
    s->step = (uint8_t)step;
}

/* The beginning of what the mode is for, or of its end. Returns false when it has to wait. */
static bool go_on(struct lane *l, struct session *s)
{
    const struct mode *m = l->options->mode;

    s->step = STEP_READY;
    if (m == &mode_hold && !l->ending) {
        s->step = STEP_HOLD;
        session_unit_done(l, s);
        session_hold(l, s);
        return false;
    }
    if (m == &mode_connect || m == &mode_handshake || m == &mode_hold) {
        say(l, s, "QUIT\r\n", STEP_QUIT);
        return true;
    }
    if (!session_next(l, s))
        return false;
    if (s->unit_left == 0)
        say(l, s, "QUIT\r\n", STEP_QUIT);
    else if (m == &mode_pingpong)
        say(l, s, "NOOP\r\n", STEP_PING);
    else
        reject(l, s, STEP_MAIL);
    return true;
}

/* The session stands: the time of its first unit begins. */
static bool ready(struct lane *l, struct session *s)
{
    const struct mode *m = l->options->mode;

    if (m == &mode_pingpong || m == &mode_reject)
        s->unit_ns = l->now_ns;
    return go_on(l, s);
}

static bool greeted(struct lane *l, struct session *s)
{
    const struct options *o = l->options;

    if (!o->ehlo && o->tls != OPTIONS_TLS_STARTTLS && o->mode != &mode_hold &&
        o->mode != &mode_reject)
        return ready(l, s);
    say(l, s, "EHLO blast.example\r\n", STEP_EHLO);
    return true;
}

/* What follows a reply that is as it should be. Returns false when the session is gone, or waits.
 */
static bool answered(struct lane *l, struct session *s)
{
    switch ((enum step)s->step) {
    case STEP_GREETING:
        return greeted(l, s);
    case STEP_EHLO:
        if (l->options->tls != OPTIONS_TLS_STARTTLS || s->secured)
            return ready(l, s);
        say(l, s, "STARTTLS\r\n", STEP_STARTTLS);
        return true;
    case STEP_STARTTLS:
        s->step = STEP_HANDSHAKE;
        session_start_tls(l, s);
        return false;
    case STEP_MAIL:
        reject(l, s, STEP_RCPT);
        return true;
    case STEP_RCPT:
        reject(l, s, STEP_RSET);
        return true;
    case STEP_PING:
    case STEP_RSET:
        session_unit_done(l, s);
        return go_on(l, s);
    case STEP_QUIT:
        s->bye = true;
        return false;
    default: /* nothing was asked */
        session_fail(l, s, LANE_FAIL_REPLY);
        return false;
    }
}

static bool is_wanted(enum step step, uint32_t code)
{
    static const uint32_t wanted[] = {
        [STEP_GREETING] = 220, [STEP_EHLO] = 250, [STEP_STARTTLS] = 220, [STEP_PING] = 250,
        [STEP_MAIL] = 250,     [STEP_RSET] = 250, [STEP_QUIT] = 221,
    };

    if (step == STEP_RCPT)
        return code >= 500 && code < 600;
    return code == wanted[step];
}

static void run(struct lane *l, struct session *s)
{
    uint32_t code;

    if (s->bye)
        return;
    if (s->step == STEP_HANDSHAKE && s->secured)
        say(l, s, "EHLO blast.example\r\n", STEP_EHLO);
    if (s->step == STEP_READY && !go_on(l, s))
        return;
    if (s->step == STEP_HOLD && l->ending) {
        session_release(l, s);
        say(l, s, "QUIT\r\n", STEP_QUIT);
    }
    while ((code = session_reply(l, s)) != 0) {
        if (!is_wanted((enum step)s->step, code))
            return session_fail(l, s, LANE_FAIL_REPLY);
        if (!answered(l, s))
            return;
    }
}

const struct mode mode_connect = {
    .name = "connect",
    .unit = "connections",
    .connection_cnt = 64,
    .per_connection = 1,
    .start = start,
    .run = run,
};

const struct mode mode_handshake = {
    .name = "handshake",
    .unit = "connections",
    .connection_cnt = 64,
    .per_connection = 1,
    .needs_tls = true,
    .start = start,
    .run = run,
};

const struct mode mode_pingpong = {
    .name = "pingpong",
    .unit = "roundtrips",
    .connection_cnt = 64,
    .per_connection = 50, /* a server may take more for an attack */
    .paced = true,
    .start = start,
    .run = run,
};

const struct mode mode_reject = {
    .name = "reject",
    .unit = "rejects",
    .connection_cnt = 64,
    .per_connection = 1, /* a server may end a session that has several */
    .paced = true,
    .start = start,
    .run = run,
};

const struct mode mode_hold = {
    .name = "hold",
    .unit = "held",
    .connection_cnt = 1000,
    .per_connection = 1,
    .holds = true,
    .start = start,
    .run = run,
};
