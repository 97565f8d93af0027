/* Prints the report of a case by its name, for test_mail_dsn.py. */
#include "dsn_rig.h"

#include <stdio.h>

#define S(text)                                                                                    \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
#define HOUR UINT64_C(3600000000000)
#define NOW  UINT64_C(1700000000000000000)

#define ORIGINAL                                                                                   \
    "Received: from a\r\n\tby b; Tue, 14 Nov 2023 22:13:20 +0000\r\n"                              \
    "From: Alice <alice@example.com>\r\nTo: bob@example.org\r\nSubject: lunch\r\n"                 \
    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=inner\r\n\r\n"                   \
    "--inner\r\n\r\nfirst\r\n--inner\r\nContent-Type: text/html\r\n\r\n<p>second</p>\r\n"          \
    "--inner--\r\n"

static const struct mail_dsn_recipient failed[] = {{
    .kind = MAIL_DSN_FAILED,
    .address = S("bob@example.org"),
    .orcpt = S("rfc822;Bob+2Blunch@example.org"),
    .status = S("5.1.1"),
    .remote_mta = S("mx.example.org"),
    .diagnostic = S("550-5.1.1 The mailbox is not known here, and has never been; see the page\r\n"
                    "550 5.1.1 https://example.org/unknown for what to do about it"),
    .last_attempt_wall_ns = NOW - HOUR,
}};

static const struct mail_dsn_recipient several[] = {
    {
        .kind = MAIL_DSN_RELAYED,
        .address = S("dave@example.net"),
        .status = S("2.1.9"),
        .remote_mta = S("mx.example.net"),
        .diagnostic = S("250 2.0.0 queued"),
    },
    {
        .kind = MAIL_DSN_DELAYED,
        .address = S("carol@example.org"),
        .status = S("4.4.1"),
        .reason = S("No mail server of example.org could be reached."),
        .last_attempt_wall_ns = NOW - HOUR,
        .retry_until_wall_ns = NOW + 120 * HOUR,
    },
    {
        .kind = MAIL_DSN_FAILED,
        .address = S("\"b  o\\\"b\"@example.org"),
        .status = S("4.4.7"),
        .reason = S("It was tried for five days."),
    },
    {.kind = MAIL_DSN_DELIVERED, .address = S("erin@example.com")},
    {.kind = MAIL_DSN_FAILED, .address = S("frank@example.com"), .diagnostic = S("554 no")},
};

/* A server that wants to write parts and fields of its own, and to end the report. */
static const struct mail_dsn_recipient hostile[] = {{
    .kind = MAIL_DSN_FAILED,
    .address = S("bob@example.org\r\nStatus: 2.0.0"),
    .orcpt = S("rfc822;a+0D+0AAction:delivered"),
    .status = S("5.1.1\r\nX: y"),
    .remote_mta = S("evil\r\n\r\nFinal-Recipient: rfc822;nobody@example.org"),
    .diagnostic = S("550 \x1b[2Jno\r\n\r\n--=_00000000000000000000000000000000--\r\n\r\n"
                    "Action: delivered\0\xff\xfe\xe2\x80\xae"),
}};

static const struct mail_dsn_recipient international[] = {{
    .kind = MAIL_DSN_FAILED,
    .address = S("j\xc3\xb6rg+x@b\xc3\xbc"
                 "cher.example"),
    .orcpt = S("utf-8;j\xc3\xb6rg\\x{2B}x@b\xc3\xbc"
               "cher.example"),
    .status = S("5.1.1"),
    .remote_mta = S("mx.b\xc3\xbc"
                    "cher.example"),
    .diagnostic = S("550 5.1.1 <j\xc3\xb6rg+x@b\xc3\xbc"
                    "cher.example> unbekannt"),
}};

#define COMMON                                                                                     \
    .hostname = S("gw.example.net"), .sender = S("alice@example.com"), .id = S("id.1"),            \
    .envid = S("QQ+2B314159"), .wall_ns = NOW, .arrival_wall_ns = NOW - 5 * HOUR,                  \
    .quote_max_bytes = 10000
#define TO(rows) .recipients = rows, .recipient_cnt = BASE_ARRAY_CNT(rows)

static const struct {
    const char *name;
    struct mail_dsn_report report;
    struct base_span original;
} cases[] = {
    {"failed", {COMMON, TO(failed), .content = MAIL_DSN_RETURN_FULL}, S(ORIGINAL)},
    {"several", {COMMON, TO(several), .content = MAIL_DSN_RETURN_HEADERS}, S(ORIGINAL)},
    {"without", {COMMON, TO(several), .content = MAIL_DSN_RETURN_NONE}, S(ORIGINAL)},
    {"hostile",
     {COMMON, TO(hostile), .content = MAIL_DSN_RETURN_FULL},
     S("Subject: x\r\n\r\na\r\n--=_00000000000000000000000000000000\r\nContent-Type: text/html\r\n"
       "\r\n<script>\r\n--=_00000000000000000000000000000000--\r\nend")},
    {"large",
     {COMMON, TO(failed), .content = MAIL_DSN_RETURN_FULL, .original_bytes = 10001},
     S(ORIGINAL)},
    {"eightbit",
     {COMMON, TO(failed), .content = MAIL_DSN_RETURN_FULL, .eightbit = true},
     S("Subject: x\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
       "Content-Transfer-Encoding: 8bit\r\n\r\ncaf\xe9\r\n")},
    {"international",
     {COMMON, TO(international), .content = MAIL_DSN_RETURN_FULL, .utf8 = true},
     S("Subject: Gr\xc3\xbc\xc3\x9f"
       "e\r\n\r\nHallo\r\n")},
    {"downgraded",
     {COMMON, TO(international), .content = MAIL_DSN_RETURN_HEADERS},
     S("Subject: Gr\xc3\xbc\xc3\x9f"
       "e\r\n\r\nHallo\r\n")},
};

int main(int argc, char **argv)
{
    static struct mail_dsn dsn;
    static uint8_t text[65536];
    struct base_buf out = {.p = text, .cap = sizeof(text)};

    for (size_t i = 0; argc == 2 && i < BASE_ARRAY_CNT(cases); i++) {
        if (strcmp(argv[1], cases[i].name) != 0)
            continue;
        int failed_open = mail_dsn_open(&dsn, &cases[i].report);
        if (failed_open != 0 || !dsn_write(&dsn, &out, cases[i].original, 100, 7))
            return 1;
        return fwrite(text, 1, out.len, stdout) == out.len && fflush(stdout) == 0 ? 0 : 1;
    }
    fprintf(stderr, "usage: dsn_print CASE\n");
    return 2;
}
