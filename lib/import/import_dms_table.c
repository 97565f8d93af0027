/* docker-mailserver's environment, a row each, and what becomes of it. CODE rows are looked at by
 * import_dms.c. */
#include "import_internal.h"

#define CODE(name, note)                                                                           \
    {                                                                                              \
        name, ROW_CODE, NULL, note                                                                 \
    }
#define SAME(name, note)                                                                           \
    {                                                                                              \
        name, ROW_SAME, NULL, note                                                                 \
    }
#define NONE(name, note)                                                                           \
    {                                                                                              \
        name, ROW_NONE, NULL, note                                                                 \
    }
#define OWN(name)                                                                                  \
    {                                                                                              \
        name, ROW_OWN, NULL, ""                                                                    \
    }

#define FILTER "no filters here: one that speaks SMTP stands in front, or behind by a route"
#define STORE  "of Dovecot, which stays where the mailboxes are"
#define REPORT "metrics and the log tell; pflogsumm reads log: format = postfix"

const struct import_row import_dms_rows[] = {
    CODE("OVERRIDE_HOSTNAME", ""),
    NONE("POSTMASTER_ADDRESS", "postmaster is an alias like others: recipient: aliases"),
    CODE("ACCOUNT_PROVISIONER", ""),
    CODE("PERMIT_DOCKER", ""),
    CODE("TLS_LEVEL", ""),
    CODE("SPOOF_PROTECTION", ""),
    CODE("ENABLE_SRS", ""),
    CODE("SRS_DOMAINNAME", "without ENABLE_SRS=1 nothing is rewritten"),
    CODE("SRS_SECRET", "without ENABLE_SRS=1 nothing is rewritten"),
    NONE("SRS_EXCLUDE_DOMAINS", "own domains are never rewritten; others cannot be left out"),
    NONE("SRS_SENDER_CLASSES", "the envelope's sender alone is rewritten"),
    CODE("ENABLE_DNSBL", ""),
    CODE("POSTSCREEN_ACTION", ""),
    CODE("SSL_TYPE", ""),
    CODE("SSL_CERT_PATH", "SSL_TYPE is not manual"),
    CODE("SSL_KEY_PATH", "SSL_TYPE is not manual"),
    CODE("SSL_ALT_CERT_PATH", "SSL_TYPE is not manual"),
    CODE("SSL_ALT_KEY_PATH", "SSL_TYPE is not manual"),
    CODE("POSTFIX_DAGENT", ""),
    CODE("POSTFIX_MESSAGE_SIZE_LIMIT", ""),
    NONE("POSTFIX_MAILBOX_SIZE_LIMIT", STORE),
    NONE("POSTFIX_REJECT_UNKNOWN_CLIENT_HOSTNAME", "names of clients are not judged"),
    CODE("POSTFIX_INET_PROTOCOLS", ""),
    CODE("DEFAULT_RELAY_HOST", ""),
    CODE("RELAY_HOST", ""),
    CODE("RELAY_PORT", "without RELAY_HOST it says nothing"),
    CODE("RELAY_USER", "without RELAY_HOST it says nothing"),
    CODE("RELAY_PASSWORD", "without RELAY_HOST it says nothing"),
    CODE("SASL_PASSWD", ""),
    SAME("ENABLE_MTA_STS", "built in: delivery: mta_sts = yes"),
    NONE("SMTP_ONLY", "this is SMTP only"),
    NONE("ENABLE_OPENDKIM", "no DKIM: sign where the mail comes from, or by a filter in front"),
    NONE("ENABLE_OPENDMARC", FILTER),
    NONE("ENABLE_POLICYD_SPF", FILTER),
    NONE("ENABLE_RSPAMD*", FILTER),
    NONE("RSPAMD_*", FILTER),
    NONE("ENABLE_AMAVIS", FILTER),
    NONE("AMAVIS_*", FILTER),
    NONE("ENABLE_CLAMAV", FILTER),
    NONE("CLAMAV_*", FILTER),
    NONE("ENABLE_SPAMASSASSIN*", FILTER),
    NONE("SPAM*", FILTER),
    NONE("SA_*", FILTER),
    NONE("MOVE_SPAM_TO_JUNK", STORE),
    NONE("MARK_SPAM_AS_READ", STORE),
    NONE("VIRUSMAILS_DELETE_DELAY", FILTER),
    NONE("ENABLE_POSTGREY", "no greylisting; listener: greet_pause and dns_list"),
    NONE("POSTGREY_*", "no greylisting; listener: greet_pause and dns_list"),
    NONE("ENABLE_FAIL2BAN", "fail2ban's filter postfix reads log: format = postfix; auth: "
                            "failures_client and limits hold back by themselves"),
    NONE("FAIL2BAN_*", "fail2ban's own"),
    NONE("ENABLE_POP3", STORE),
    NONE("ENABLE_IMAP", STORE),
    NONE("ENABLE_QUOTAS", STORE "; it refuses by LMTP"),
    NONE("ENABLE_MANAGESIEVE", STORE),
    NONE("DOVECOT_*", STORE),
    NONE("ENABLE_OAUTH2", STORE ": auth: backend = dovecot asks it"),
    NONE("OAUTH2_*", STORE),
    NONE("ENABLE_FETCHMAIL", "a program of its own: it delivers by SMTP"),
    NONE("FETCHMAIL_*", "a program of its own: it delivers by SMTP"),
    NONE("ENABLE_GETMAIL", "a program of its own: it delivers by SMTP"),
    NONE("GETMAIL_*", "a program of its own: it delivers by SMTP"),
    NONE("ENABLE_LDAP", "LDAP is not asked: auth: backend = dovecot, which asks it"),
    NONE("LDAP_*", "LDAP is not asked: auth: backend = dovecot, which asks it"),
    NONE("ENABLE_SASLAUTHD", "Cyrus SASL is not asked: auth: backend = dovecot"),
    NONE("SASLAUTHD_*", "Cyrus SASL is not asked: auth: backend = dovecot"),
    NONE("PFLOGSUMM_*", REPORT),
    NONE("LOGWATCH_*", REPORT),
    NONE("REPORT_*", REPORT),
    NONE("LOG_LEVEL", "log: level"),
    NONE("DMS_DEBUG", "log: level"),
    OWN("LOGROTATE_*"),
    OWN("SUPERVISOR_LOGLEVEL"),
    OWN("DMS_*"),
    OWN("ENABLE_UPDATE_CHECK"),
    OWN("UPDATE_CHECK_INTERVAL"),
    OWN("TZ"),
    OWN("NETWORK_INTERFACE"),
    {0},
};
