/*
 * Postfix's parameters, a row each, and what becomes of them. To be read as documentation: who
 * misses one adds a row. CODE rows are looked at by import_*.c; what these could do nothing with is
 * told with the row's note.
 */
#include "import_internal.h"

#define NUMBER(name, ours, note)                                                                   \
    {                                                                                              \
        name, ROW_NUMBER, ours, note                                                               \
    }
#define SIZE(name, ours, note)                                                                     \
    {                                                                                              \
        name, ROW_SIZE, ours, note                                                                 \
    }
#define TIME(name, ours, note)                                                                     \
    {                                                                                              \
        name, ROW_TIME, ours, note                                                                 \
    } /* note: unit, blank, words */
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

#define STORE  "the server with the mailboxes does that, behind LMTP"
#define FILTER "no filters here: a filter that speaks SMTP stands in front, or behind by a route"
#define CHECKS "access tables are not asked; see limits, dns_list and recipient"
#define MANGLE "addresses are rewritten by recipient: aliases and srs alone"
#define CIPHER "ciphers are those with forward secrecy; listener: tls_ciphers replaces the list"
#define REPLY  "codes of replies are fixed, as RFC 5321 and 3463 have them"
#define CLIENT "one connection, one pace for all: provider blocks tell destinations apart"

const struct import_row import_rows[] = {
    /* ---- who we are ---- */
    CODE("myhostname", ""),
    CODE("mydomain", "names are written in full here; it went into what uses $mydomain"),
    CODE("myorigin", "addresses without a domain get none here; it went into converted aliases"),
    CODE("inet_interfaces", "listeners take all addresses of their port"),
    CODE("proxy_interfaces", ""),
    CODE("inet_protocols", "families are those of the port's addresses"),
    CODE("smtp_bind_address", ""),
    CODE("smtp_bind_address6", ""),
    CODE("smtp_helo_name", ""),
    SAME("smtpd_banner", "the greeting is gateway: hostname and ESMTP; it tells no product"),
    SAME("mail_name", "not told to anybody"),
    CODE("config_directory", "the directory that was read"),
    CODE("queue_directory", "only sockets below it are of use; the spool block has the queue"),
    CODE("data_directory", "gateway: state_dir"),

    /* ---- domains and addresses ---- */
    CODE("mydestination", ""),
    CODE("relay_domains", ""),
    CODE("virtual_mailbox_domains", ""),
    CODE("virtual_alias_domains", ""),
    CODE("parent_domain_matches_subdomains", "relay: domains has .domain where it matched"),
    CODE("local_recipient_maps", ""),
    CODE("relay_recipient_maps", ""),
    CODE("virtual_mailbox_maps", ""),
    CODE("virtual_alias_maps", ""),
    CODE("virtual_maps", ""),
    CODE("alias_maps", ""),
    OWN("alias_database"),
    CODE("recipient_delimiter", ""),
    CODE("propagate_unmatched_extensions", "without aliases there is nothing to propagate to"),
    NUMBER("virtual_alias_expansion_limit", "recipient.expansion", ""),
    SAME("virtual_alias_recursion_limit", "recipient: expansion bounds it"),
    CODE("smtpd_reject_unlisted_recipient", "by recipient: maps"),
    NONE("smtpd_reject_unlisted_sender", "senders are looked at by sender ownership alone"),
    NONE("append_at_myorigin", "addresses without a domain stay as they are"),
    SAME("append_dot_mydomain", "names are never completed"),
    NONE("swap_bangpath", "no bang paths"),
    NONE("allow_percent_hack", "no routing by %; such recipients are refused to strangers"),
    NONE("canonical_maps", MANGLE),
    CODE("sender_canonical_maps", MANGLE),
    CODE("recipient_canonical_maps", MANGLE),
    CODE("sender_canonical_classes", MANGLE),
    CODE("recipient_canonical_classes", MANGLE),
    NONE("canonical_classes", MANGLE),
    NONE("smtp_generic_maps", MANGLE),
    NONE("masquerade_*", MANGLE),
    NONE("virtual_alias_address_length_limit", "addresses have RFC 5321's length"),
    NONE("always_bcc", "no copies; on the server with the mailboxes"),
    NONE("sender_bcc_maps", "no copies; on the server with the mailboxes"),
    NONE("recipient_bcc_maps", "an alias with both addresses does the same"),
    NONE("relocated_maps", "take the address out of recipient: maps, it gets 550 5.1.1"),
    NONE("local_header_rewrite_clients", "headers of others are not rewritten"),
    NONE("remote_header_rewrite_domain", "headers of others are not rewritten"),
    NONE("owner_request_special", "owner- addresses are plain addresses"),
    NONE("expand_owner_alias", "owner- addresses are plain addresses"),
    NONE("luser_relay", "a catch-all: \"@domain target\" in recipient: aliases"),

    /* ---- who may send ---- */
    CODE("mynetworks", ""),
    CODE("mynetworks_style", "mynetworks counts"),
    CODE("smtpd_*_restrictions", ""),
    NONE("smtpd_restriction_classes", CHECKS),
    SAME("smtpd_relay_before_recipient_restrictions", "relaying is judged first"),
    SAME("smtpd_delay_reject", "clients are refused at RCPT, by dns_list"),
    CODE("smtpd_sender_login_maps", ""),
    NONE("permit_mx_backup_networks", "name the domains in relay: domains"),
    SAME("smtpd_helo_required", "clients without HELO or EHLO are told to say it"),
    SAME("disable_vrfy_command", "VRFY tells nothing"),
    SAME("strict_rfc821_envelopes", "addresses in MAIL and RCPT are read strictly"),
    SAME("allow_untrusted_routing", "source routes are never followed"),
    NONE("smtpd_discard_ehlo_*", "what EHLO offers is fixed, by listener"),
    NONE("smtpd_command_filter", "none"),
    NONE("smtpd_noop_commands", "none"),
    SAME("smtpd_forbidden_commands", "lines of HTTP end the session"),
    CODE("smtpd_forbid_bare_newline", ""),
    CODE("smtpd_forbid_bare_newline_exclusions", ""),
    SAME("smtpd_forbid_unauth_pipelining", "counted; limits: early_commands = refuse refuses"),
    CODE("smtpd_authorized_xclient_hosts", ""),
    NONE("smtpd_authorized_xforward_hosts", "XFORWARD is not spoken; XCLIENT is"),
    NONE("smtpd_authorized_verp_clients", "no VERP"),
    NONE("smtpd_etrn_*", "no ETRN"),
    NONE("authorized_*", "there is no sendmail command; mail comes in by SMTP alone"),
    NONE("smtpd_*_reject_code", REPLY),
    NONE("unknown_*_reject_code", REPLY),
    NONE("unverified_*", REPLY),
    NONE("*_reject_code", REPLY),
    NONE("*_reject_reason", REPLY),
    NONE("*_defer_code", REPLY),
    NONE("default_rbl_reply", "554 with the list's own words"),
    NONE("rbl_reply_maps", "554 with the list's own words"),
    NONE("smtpd_reject_footer*", REPLY),
    NONE("smtpd_sasl_exceptions_networks", "AUTH is offered on listeners for users alone"),

    /* ---- users ---- */
    CODE("smtpd_sasl_auth_enable", ""),
    CODE("smtpd_sasl_type", "without AUTH there is nothing to ask"),
    CODE("smtpd_sasl_path", "without AUTH there is nothing to ask"),
    CODE("smtpd_sasl_local_domain", "logins are as the accounts have them; sender: login_domain"),
    SAME("smtpd_sasl_security_options", "never anonymous, in clear only by auth_cleartext = yes"),
    SAME("smtpd_sasl_tls_security_options", "never anonymous"),
    CODE("smtpd_sasl_authenticated_header", ""),
    NONE("smtpd_sasl_mechanism_filter", "auth: mechanisms is the list of those that are offered"),
    NONE("smtpd_sasl_service", "Cyrus SASL is not asked"),
    NONE("smtpd_sasl_response_limit", "bounded"),
    NONE("cyrus_sasl_config_path", "Cyrus SASL is not asked"),
    NONE("broken_sasl_auth_clients", "AUTH= is not said; no client of this century needs it"),
    CODE("smtpd_tls_auth_only", ""),

    /* ---- TLS from clients ---- */
    CODE("smtpd_tls_security_level", ""),
    CODE("smtpd_use_tls", ""),
    CODE("smtpd_enforce_tls", ""),
    CODE("smtpd_tls_wrappermode", ""),
    CODE("smtpd_tls_*cert_file", ""),
    CODE("smtpd_tls_*key_file", ""),
    CODE("smtpd_tls_chain_files", ""),
    CODE("tls_server_sni_maps", ""),
    CODE("smtpd_tls_protocols", ""),
    CODE("smtpd_tls_mandatory_protocols", ""),
    NONE("smtpd_tls_CA*", "chain has the intermediate ones; listener: tls_client_ca for clients"),
    NONE("smtpd_tls_ask_ccert", "listener: tls_client_ca, which logs users in by EXTERNAL"),
    NONE("smtpd_tls_req_ccert", "listener: tls_client_ca, which logs users in by EXTERNAL"),
    NONE("smtpd_tls_ccert_verifydepth", "as OpenSSL has it"),
    NONE("smtpd_tls_fingerprint_digest", "no map of fingerprints of clients"),
    NONE("relay_clientcerts", "listener: tls_client_ca, which logs users in by EXTERNAL"),
    NONE("smtpd_tls_dh*", "no DHE: keys are exchanged by X25519, P-256 or P-384"),
    NONE("smtpd_tls_eecdh_grade", "keys are exchanged by X25519, P-256 or P-384"),
    NONE("tls_eecdh_*", "listener: tls_groups"),
    NONE("tls_ffdhe_*", "no DHE"),
    NONE("smtpd_tls_*ciphers", CIPHER),
    NONE("tls_*cipherlist", CIPHER),
    NONE("tls_medium_cipherlist", CIPHER),
    SAME("tls_preempt_cipherlist", "ours is the order"),
    SAME("tls_ssl_options", "no compression, no renegotiation"),
    NONE("tls_disable_workarounds", "as OpenSSL has it"),
    OWN("tls_random_*"),
    OWN("tls_daemon_random_bytes"),
    OWN("tls_append_default_CA"),
    OWN("tls_config_*"),
    OWN("smtpd_tls_session_cache_*"),
    OWN("smtp_tls_session_cache_*"),
    OWN("lmtp_tls_session_cache_*"),
    OWN("tlsproxy_*"),
    OWN("tlsmgr_*"),
    NONE("smtpd_tls_loglevel", "the log tells version and cipher of each connection"),
    SAME("smtpd_tls_received_header", "Received tells version and cipher"),
    NONE("smtpd_tls_always_issue_session_ids", "listener: tls_tickets"),
    TIME("smtpd_starttls_timeout", "tls.handshake_timeout", "s"),
    NONE("smtpd_tls_enable_rpk", "no raw public keys"),

    /* ---- PROXY ---- */
    CODE("smtpd_upstream_proxy_protocol", ""),
    CODE("postscreen_upstream_proxy_protocol", ""),
    CODE("smtpd_upstream_proxy_timeout", "no listener has proxy = required"),
    CODE("postscreen_upstream_proxy_timeout", "no listener has proxy = required"),

    /* ---- limits ---- */
    SIZE("message_size_limit", "smtp.message_size", ""),
    NUMBER("smtpd_recipient_limit", "smtp.recipients", ""),
    NONE("smtpd_recipient_overshoot_limit", "recipients over the limit get 452"),
    NUMBER("smtpd_hard_error_limit", "smtp.errors", ""),
    NONE("smtpd_soft_error_limit", "no slowing down: smtp: errors ends the session"),
    NONE("smtpd_error_sleep_time", "no slowing down: smtp: errors ends the session"),
    NUMBER("smtpd_junk_command_limit", "smtp.junk", ""),
    SIZE("header_size_limit", "smtp.header_size", ""),
    NUMBER("hopcount_limit", "smtp.hops", ""),
    NONE("line_length_limit", "smtp: line_length refuses what is longer; lines are never cut"),
    NONE("smtp_line_length_limit", "lines go out as they came"),
    NONE("header_address_token_limit", "bounded"),
    NONE("mime_*", "messages are not taken apart"),
    NONE("strict_*", "8-bit and MIME are taken as they come"),
    TIME("smtpd_timeout", "smtp.command_timeout", "s"),
    NONE("smtpd_per_record_deadline", "limits: data_rate_min"),
    NONE("smtpd_per_request_deadline", "limits: data_rate_min"),
    NONE("smtpd_min_data_rate", "limits: data_rate_min"),
    NUMBER("smtpd_client_connection_count_limit", "limits.connections_per_client", ""),
    NUMBER("smtpd_client_connection_rate_limit", "limits.connection_rate", ""),
    NUMBER("smtpd_client_message_rate_limit", "limits.message_rate", ""),
    NUMBER("smtpd_client_recipient_rate_limit", "limits.recipient_rate", ""),
    NUMBER("smtpd_client_ipv4_prefix_length", "limits.client_prefix", ""),
    NUMBER("smtpd_client_ipv6_prefix_length", "limits.client_prefix6", ""),
    CODE("smtpd_client_event_limit_exceptions", ""),
    NONE("smtpd_client_new_tls_session_rate_limit", "tls: handshakes_per_client"),
    NONE("smtpd_client_auth_rate_limit", "auth: failures_client, failures_login"),
    NONE("smtpd_client_port_logging", "the log tells the port"),
    CODE("anvil_rate_time_unit", "rates here are for a minute"),
    OWN("anvil_status_update_time"),

    /* ---- postscreen ---- */
    CODE("postscreen_greet_wait", ""),
    CODE("postscreen_greet_action", ""),
    NONE("postscreen_greet_banner", "no banner before the greeting: waiting is the test"),
    CODE("postscreen_dnsbl_sites", ""),
    CODE("postscreen_dnsbl_threshold", ""),
    CODE("postscreen_dnsbl_action", ""),
    TIME("postscreen_dnsbl_timeout", "limits.dns_list_timeout", "s"),
    NONE("postscreen_dnsbl_reply_map", "554 names the zone: one with a key in it is told, too"),
    NONE("postscreen_dnsbl_*", "answers are kept for as long as they say"),
    CODE("postscreen_access_list", ""),
    CODE("postscreen_bare_newline_*", "by listener: bare_newline"),
    NONE("postscreen_*", "postscreen is the listener itself: greet_pause, dns_list, limits"),

    /* ---- the queue ---- */
    TIME("maximal_queue_lifetime", "queue.lifetime", "d"),
    NONE("bounce_queue_lifetime", "reports wait as long as other mail: queue: lifetime"),
    TIME("minimal_backoff_time", "queue.backoff_min", "s"),
    TIME("maximal_backoff_time", "queue.backoff_max", "s"),
    SAME("queue_run_delay", "what is due goes at once"),
    TIME("delay_warning_time", "queue.warn_after", "h"),
    SIZE("bounce_size_limit", "queue.dsn_quote", ""),
    CODE("default_process_limit", ""),
    NUMBER("default_destination_concurrency_limit", "queue.destination_deliveries", ""),
    NUMBER("smtp_destination_concurrency_limit", "queue.destination_deliveries", ""),
    NONE("*_destination_recipient_limit", "100, or provider: recipients"),
    CODE("*_destination_concurrency_limit", "provider: connections"),
    CODE("*_destination_rate_delay", "provider: rate, as 1/s"),
    CODE("*_transport_rate_delay", "provider: rate, as 1/s"),
    NONE("*_destination_concurrency_*", "the pace of a destination finds itself"),
    NONE("initial_destination_concurrency", "the pace of a destination finds itself"),
    NONE("destination_concurrency_feedback_debug", "none"),
    NONE("*_initial_destination_concurrency", "the pace of a destination finds itself"),
    NONE("qmgr_*", "the spool block bounds the queue"),
    NONE("queue_minfree", "the spool has its space before it takes mail"),
    NONE("in_flow_delay", "the queue's own"),
    NONE("hash_queue_*", "the spool has no directories"),
    SAME("enable_long_queue_ids", "ids never come again"),
    NONE("notify_classes", "metrics and the log tell: conf/alerts.rules.yml"),
    NONE("*_notice_recipient", "metrics and the log tell: conf/alerts.rules.yml"),
    NONE("bounce_template_file", "texts of reports are fixed"),
    NONE("double_bounce_sender", "reports have no reports"),
    NONE("empty_address_*", "the null sender is <>"),
    NONE("address_verify_sender", "MAIL FROM:<>"),
    NONE("address_verify_map", "recipient: verify_cache; in memory"),
    TIME("address_verify_positive_expire_time", "recipient.verify_positive_expire", "s"),
    TIME("address_verify_positive_refresh_time", "recipient.verify_positive_refresh", "s"),
    TIME("address_verify_negative_expire_time", "recipient.verify_negative_expire", "s"),
    TIME("address_verify_negative_refresh_time", "recipient.verify_negative_refresh", "s"),
    NONE("address_verify_*", "recipient: verify asks by the routes of mail"),

    /* ---- routes ---- */
    CODE("transport_maps", ""),
    CODE("relayhost", ""),
    CODE("relay_transport", ""),
    CODE("default_transport", ""),
    CODE("local_transport", ""),
    CODE("virtual_transport", ""),
    CODE("mailbox_transport", ""),
    CODE("smtp_fallback_relay", "more than one host in a route: the next one when one is away"),
    NONE("fallback_relay", "more than one host in a route: the next one when one is away"),
    NONE("sender_dependent_relayhost_maps", "routes are by recipient; source: sender_domains "
                                            "chooses the address that a sender's mail leaves from"),
    NONE("sender_dependent_default_transport_maps",
         "routes are by recipient; source: sender_domains chooses the address that a sender's mail "
         "leaves from"),
    NONE("fallback_transport*", STORE),
    NONE("mailbox_transport_maps", STORE),
    NONE("mailbox_command*", STORE),
    NONE("mailbox_*", STORE),
    NONE("home_mailbox", STORE),
    NONE("mail_spool_directory", STORE),
    NONE("virtual_mailbox_*", STORE),
    NONE("virtual_uid_maps", STORE),
    NONE("virtual_gid_maps", STORE),
    NONE("virtual_minimum_uid", STORE),
    NONE("dovecot_*", STORE),
    NONE("local_command_shell", STORE),
    NONE("local_delivery_*", STORE),
    NONE("lmtp_*", "delivery by LMTP is a route with via = lmtp"),
    NONE("forward_*", STORE),
    NONE("allow_mail_to_*", STORE),
    NONE("*_command_maps", STORE),
    NONE("*_command_time_limit", STORE),
    OWN("biff"),
    SAME("disable_dns_lookups", "a route to [host] asks for no MX records"),
    NONE("smtp_host_lookup", "names are looked up in the DNS alone"),
    SAME("smtp_dns_support_level", "answers are validated always"),
    NONE("smtp_dns_*", "dns block"),
    NONE("smtp_address_preference", "both families, each address in its turn"),
    NONE("smtp_mx_address_limit", "five addresses in an attempt"),
    NONE("smtp_mx_session_limit", "five addresses in an attempt"),
    SAME("ignore_mx_lookup_error", "a failed lookup is no answer: the mail waits"),
    NONE("smtp_skip_*", "a host that greets by 4xx or 5xx is followed by the next one"),
    SAME("smtp_send_dummy_mail_auth", "no AUTH= is sent"),
    NONE("smtp_send_xforward_command", "route: proxy tells a next hop the client"),
    NONE("smtp_*_checks", FILTER),
    NONE("smtp_reply_filter", "provider: on_reply"),
    NONE("smtp_delivery_status_filter", "provider: on_reply"),
    NONE("smtp_pix_*", "CHUNKING and a plain end of data need no workarounds"),
    SAME("smtp_quote_rfc821_envelope", "addresses are quoted where they have to be"),
    SAME("smtp_always_send_ehlo", "EHLO first, HELO where it is refused"),
    NONE("smtp_never_send_ehlo", "EHLO first, HELO where it is refused"),
    SAME("smtp_balance_inet_protocols", "both families"),
    SAME("smtp_randomize_addresses", "ties by chance"),
    NONE("smtp_per_record_deadline", "limits of time are by message"),
    NONE("smtp_min_data_rate", "500 bytes a second and an hour"),
    TIME("smtp_connect_timeout", "smtp.client_connect_timeout", "s"),
    NONE("smtp_*_timeout", "time-outs of RFC 5321, section 4.5.3.2"),
    TIME("smtp_connection_cache_time_limit", "smtp.client_idle", "s"),
    NUMBER("smtp_connection_reuse_count_limit", "smtp.client_reuse", ""),
    NONE("smtp_connection_*", "connections are kept for smtp: client_idle"),
    NONE("smtp_cname_overrides_servername", "names stay as they are written"),
    NONE("smtp_discard_ehlo_*", "what next hops offer is used"),
    NONE("smtp_defer_if_no_mx_address_found", "a route's host without an address: its mail waits"),
    NONE("best_mx_transport", "mail whose MX leads to us is left out: name it in relay: domains"),

    /* ---- TLS and logins to next hops ---- */
    CODE("smtp_tls_security_level", ""),
    CODE("smtp_use_tls", ""),
    CODE("smtp_enforce_tls", ""),
    CODE("smtp_tls_wrappermode", ""),
    CODE("smtp_tls_policy_maps", ""),
    CODE("smtp_tls_CAfile", ""),
    NONE("smtp_tls_CApath", "delivery: ca_file is one file: /etc/ssl/certs/ca-certificates.crt"),
    NONE("smtp_tls_per_site", "destination blocks"),
    CODE("smtp_tls_fingerprint_cert_match", "destination: fingerprints, by domain"),
    NONE("smtp_tls_fingerprint_digest", "destination: fingerprints are SHA-256"),
    NONE("smtp_tls_verify_cert_match", "destination: names"),
    NONE("smtp_tls_secure_cert_match", "destination: names"),
    NONE("smtp_tls_*cert_file", "next hops are shown no certificate"),
    NONE("smtp_tls_*key_file", "next hops are shown no certificate"),
    NONE("smtp_tls_chain_files", "next hops are shown no certificate"),
    NONE("smtp_tls_dane_*", "RFC 7672 as it stands"),
    NONE("tls_dane_*", "RFC 7672 as it stands"),
    NONE("smtp_tls_trust_anchor_file", "delivery: ca_file, or TLSA records"),
    NONE("smtp_tls_*protocols", "TLS 1.2 and 1.3; nothing older"),
    NONE("smtp_tls_*ciphers", CIPHER),
    NONE("smtp_tls_servername", "the next hop's own name"),
    NONE("smtp_tls_loglevel", "each delivery's line tells tls=level/result"),
    NONE("smtp_tls_note_starttls_offer", "each delivery's line tells tls=level/result"),
    NONE("smtp_tls_block_early_mail_reply", "bytes in clear behind STARTTLS end the session"),
    NONE("smtp_tls_connection_reuse", "connections are kept for smtp: client_idle"),
    NONE("smtp_tls_force_insecure_host_tlsa_lookup", "RFC 7672 as it stands"),
    NONE("smtp_tls_*", "delivery and destination blocks"),
    CODE("smtp_sasl_auth_enable", ""),
    CODE("smtp_sasl_password_maps", ""),
    CODE("smtp_sasl_security_options",
         "passwords go out inside TLS alone, but for route: auth_cleartext = yes"),
    SAME("smtp_sasl_tls_*security_options", "inside TLS any mechanism may be used"),
    CODE("smtp_sasl_mechanism_filter", ""),
    CODE("smtp_sender_dependent_authentication", "logins are by route, not by sender"),
    SAME("smtp_sasl_type", "our own client"),
    NONE("smtp_sasl_*", "route: auth_user, auth_password_file"),

    /* ---- filters ---- */
    NONE("content_filter", FILTER),
    NONE("receive_override_options", FILTER),
    NONE("smtpd_proxy_*", FILTER),
    NONE("smtpd_milters", FILTER "; DKIM is signed there, too"),
    NONE("non_smtpd_milters", FILTER "; DKIM is signed there, too"),
    NONE("smtpd_milter_maps", FILTER),
    NONE("milter_*", FILTER),
    NONE("internal_mail_filter_classes", FILTER),
    NONE("*header_checks", FILTER),
    NONE("body_checks*", FILTER),
    NONE("message_*_characters", FILTER),

    /* ---- the log ---- */
    CODE("syslog_name", "log: ident is one for all; the log tells the listener"),
    CODE("syslog_facility", ""),
    CODE("maillog_file", ""),
    OWN("maillog_*"),
    OWN("postlog*"),
    OWN("debug*"),
    NONE("soft_bounce", "none; sluicectl queue hold keeps mail"),
    NONE("info_log_address_format", "log: format"),
    NONE("smtputf8_*", "SMTPUTF8 is always there"),
    NONE("enable_*", "none"),

    /* ---- the installation ---- */
    OWN("compatibility_level"),
    OWN("*_directory"),
    OWN("mail_owner"),
    OWN("setgid_group"),
    OWN("*_path"),
    OWN("mail_version"),
    OWN("default_database_type"),
    OWN("default_privs"),
    OWN("import_environment"),
    OWN("export_environment"),
    OWN("max_use"),
    OWN("max_idle"),
    OWN("ipc_*"),
    OWN("proxy_read_maps"),
    OWN("proxy_write_maps"),
    OWN("multi_instance_*"),
    OWN("berkeley_db_*"),
    OWN("lmdb_*"),
    OWN("daemon_*"),
    OWN("trigger_timeout"),
    OWN("shlib_directory"),
    OWN("meta_directory"),
    OWN("process_*"),
    OWN("service_*"),
    OWN("milter_macro_daemon_name"),
    OWN("*_service_name"),
    {0},
};

static bool matches(const char *pattern, const char *name)
{
    const char *star = strchr(pattern, '*');

    if (star == NULL)
        return strcmp(pattern, name) == 0;
    size_t before = (size_t)(star - pattern), behind = strlen(star + 1), len = strlen(name);
    return len >= before + behind && strncmp(pattern, name, before) == 0 &&
           strcmp(name + len - behind, star + 1) == 0;
}

const struct import_row *import_row_find(const struct import_row *rows, const char *name)
{
    for (const struct import_row *r = rows; r->name != NULL; r++)
        if (strcmp(r->name, name) == 0)
            return r;
    for (const struct import_row *r = rows; r->name != NULL; r++)
        if (matches(r->name, name))
            return r;
    return NULL;
}

static const struct import_item *user_in(const struct import_items *items, const char *name)
{
    size_t len = strlen(name);

    for (const struct import_item *i = items->first; i != NULL; i = i->next)
        for (const char *p = i->value; p != NULL && (p = strstr(p, name)) != NULL; p += len)
            if (p > i->value && strchr("${(", p[-1]) != NULL &&
                strspn(p + len, "abcdefghijklmnopqrstuvwxyz_0123456789") == 0)
                return i;
    return NULL;
}

/* Whether another value has it in: a parameter of the operator's own. */
static const struct import_item *user_of(const struct import *im, const char *name)
{
    const struct import_item *i = user_in(&im->items, name);

    for (const struct import_service *v = im->services.first; i == NULL && v != NULL; v = v->next)
        i = user_in(&v->options, name);
    return i;
}

static void rest(struct import *im, const struct import_items *items)
{
    static const enum import_part part[] = {[ROW_SAME] = IMPORT_SAME, [ROW_OWN] = IMPORT_OWN};

    for (struct import_item *i = items->first; i != NULL; i = i->next) {
        if (i->told)
            continue;
        if (i->value == NULL) {
            import_part(&im->doc, IMPORT_NONE, "%s: %s\n    not understood: no name = value",
                        i->where, i->name);
            i->told = true;
            continue;
        }
        const struct import_row *r = import_row_find(import_rows, i->name);
        const char *note = i->again    ? "set again further down, which counts"
                           : r != NULL ? r->note
                                       : "";
        enum import_part at =
            r != NULL && (r->kind == ROW_SAME || r->kind == ROW_OWN) ? part[r->kind] : IMPORT_NONE;
        const struct import_item *user = r == NULL ? user_of(im, i->name) : NULL;
        if (user != NULL)
            note = import_format(&im->arena, "put in where it is used, in %s", user->name);
        else if (r == NULL && !i->again)
            note = "Postfix has no such parameter, or the import does not know it: look it up in "
                   "postconf(5) and see sluice.conf(5) for what is there instead";
        if (r != NULL && r->kind == ROW_CODE && note[0] == 0)
            note = "nothing came of it as the other settings are";
        const char *told = import_tell(im, i);
        import_part(&im->doc, at, note[0] != 0 && at != IMPORT_OWN ? "%s\n    %s" : "%s%.0s", told,
                    note);
    }
}

void import_rest(struct import *im)
{
    rest(im, &im->items);
    for (struct import_service *v = im->services.first; v != NULL; v = v->next) {
        rest(im, &v->options);
        if (!v->told && strcmp(v->type, "") == 0)
            import_part(&im->doc, IMPORT_NONE, "%s: %s\n    not understood: a service has 8 fields",
                        v->where, v->name);
    }
}
