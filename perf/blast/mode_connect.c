/*
 * connect and pingpong: what can be done without a message. The greeting, NOOP as often as there
 * are units (none in connect, whose unit is the connection), QUIT, its answer, the server's end.
 */
#include "mode.h"
#include "session.h"

enum step { STEP_GREETING, STEP_PING, STEP_QUIT };

static void start(struct lane *l, struct session *s)
{
    (void)l;
    s->step = STEP_GREETING;
}

static void command(struct lane *l, struct session *s, enum step step)
{
    s->step = (uint8_t)step;
    if (step == STEP_QUIT)
        session_send(l, s, "QUIT\r\n", 6);
    else
        session_send(l, s, "NOOP\r\n", 6);
}

static void run(struct lane *l, struct session *s, bool pings)
{
    static const uint32_t wanted[] = {[STEP_GREETING] = 220, [STEP_PING] = 250, [STEP_QUIT] = 221};
    uint32_t code;

    while (!s->bye && (code = session_reply(l, s)) != 0) {
        if (code != wanted[s->step])
            return session_fail(l, s, LANE_FAIL_REPLY);
        if (s->step == STEP_PING)
            session_unit_done(l, s);
        else if (s->step == STEP_GREETING && pings)
            s->unit_ns = l->now_ns;
        if (s->step == STEP_QUIT)
            s->bye = true;
        else
            command(l, s, pings && s->unit_left > 0 ? STEP_PING : STEP_QUIT);
    }
}

static void run_connect(struct lane *l, struct session *s)
{
    run(l, s, false);
}

static void run_pingpong(struct lane *l, struct session *s)
{
    run(l, s, true);
}

const struct mode mode_connect = {
    .name = "connect",
    .unit = "connections",
    .connection_cnt = 64,
    .per_connection = 1,
    .start = start,
    .run = run_connect,
};

const struct mode mode_pingpong = {
    .name = "pingpong",
    .unit = "roundtrips",
    .connection_cnt = 64,
    .per_connection = 50, /* a server may take more for an attack */
    .start = start,
    .run = run_pingpong,
};
