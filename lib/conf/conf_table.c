/*
 * The settings, one row each: the only source of parser, --check, --help and the default file. The
 * key is the field's name without its unit; a name never changes its meaning.
 */
#include "conf_internal.h"

#define MS UINT64_C(1000000)
#define S  (1000 * MS)
#define M  (60 * S)
#define H  (60 * M)
#define D  (24 * H)
#define K  UINT64_C(1024)
#define MI (K * K)
#define GI (K * MI)

#define ONE(type, help)                                                                            \
    {                                                                                              \
#type, NULL, help, __builtin_offsetof(struct conf, type), 0, sizeof(struct conf_##type),   \
            false, false, false                                                                    \
    }
#define MANY(type, example, reloadable, help)                                                      \
    {                                                                                              \
#type, example, help, __builtin_offsetof(struct conf, type),                               \
            __builtin_offsetof(struct conf, type##_cnt), sizeof(struct conf_##type), reloadable,   \
            false, false                                                                           \
    }
#define SOME(type, example, help)                                                                  \
    {                                                                                              \
#type, example, help, __builtin_offsetof(struct conf, type),                               \
            __builtin_offsetof(struct conf, type##_cnt), sizeof(struct conf_##type), false, true,  \
            false                                                                                  \
    }

const struct conf_block conf_blocks[] = {
    ONE(gateway, "The process: its name to the world, its cores, its memory."),
    MANY(port, "net0", false,
         "A network port, with the addresses it answers for. One block for each."),
    MANY(listener, "mx", false, "Where connections are accepted. One block for each."),
    SOME(
        spool, "main",
        "Where accepted messages are kept until they are delivered. One block for each directory."),
    {"certificate", "mx",
     "A certificate for TLS with its key. One block for each; the first with an EC key and the "
     "first with an RSA key are for clients that ask for no name or an unknown one.",
     __builtin_offsetof(struct conf, certificate), __builtin_offsetof(struct conf, certificate_cnt),
     sizeof(struct conf_certificate), true, false, true},
    ONE(smtp, "Limits and time-outs of SMTP, receiving and sending."),
    ONE(limits,
        "What one client may have and do: all addresses of a prefix, or a login; counted over all "
        "lanes, behind a proxy by the address that its header names."),
    {"dns_list", "blocked",
     "A DNS list (RFC 5782) that clients are looked up in, all lists at once while they connect. "
     "One "
     "block for each. limits: dns_list_threshold says what comes of it.",
     __builtin_offsetof(struct conf, dns_list), __builtin_offsetof(struct conf, dns_list_cnt),
     sizeof(struct conf_dns_list), true, false, true},
    ONE(tcp, "Connections and their buffers."),
    ONE(tls, "Limits of TLS."),
    ONE(relay, "Who may send where."),
    ONE(sender, "Which addresses a login may send as: its own, its aliases (recipient: aliases), "
                "and what maps say."),
    ONE(recipient,
        "The addresses of the relay domains: accounts, aliases, and who else there is. The files "
        "may be changed at any time: they are read again within seconds, whole or not at all."),
    ONE(srs,
        "Senders of other domains, where aliases forward their mail to other domains again: they "
        "are rewritten to a domain of ours (SRS), so that SPF holds, and reports to such an "
        "address go back to the sender."),
    ONE(auth, "Users: where their passwords are, and what is done about guessing."),
    ONE(queue, "When delivery is tried again, and for how long."),
    MANY(route, "default", true,
         "Where mail for a domain goes. One block for each domain, .domain for all below one, and "
         "default for the rest; without that it goes where the MX records of its domain say."),
    {"source", "out1",
     "An address that mail leaves from, with the name that we have there. One block for each; "
     "without "
     "one the address is chosen by where the next hop is. Of several, each message has one by its "
     "id, in proportion to their weights, and keeps it; the next one takes it when the first may "
     "not "
     "(warm_up) or is set aside (delivery: set_aside).",
     __builtin_offsetof(struct conf, source), __builtin_offsetof(struct conf, source_cnt),
     sizeof(struct conf_source), true, false, true},
    ONE(delivery, "Mail on its way out: what next hops must prove. Nothing here is about clients."),
    {"destination", "partner.example",
     "What the next hops of one domain must prove, or, with a dot before it, of all below it; in "
     "place of the delivery block's.",
     __builtin_offsetof(struct conf, destination), __builtin_offsetof(struct conf, destination_cnt),
     sizeof(struct conf_destination), true, false, true},
    ONE(tlsrpt,
        "Reports to other domains of how TLS with their servers went (RFC 8460): one a day for "
        "each that asks for it. What we do not do is to receive any."),
    {"provider", "example",
     "Destinations that share limits, because their mail goes to the same provider's hosts: by "
     "what their MX hosts are called, or by their own names. Also what its replies for now (4xx) "
     "mean; defaults for well-known ones hold without a block, too.",
     __builtin_offsetof(struct conf, provider), __builtin_offsetof(struct conf, provider_cnt),
     sizeof(struct conf_provider), true, false, true},
    ONE(dns, "Questions to the DNS. They leave by this machine's own network, from a process of "
             "their own, which validates what comes (DNSSEC)."),
    ONE(control, "The socket of sluicectl."),
    ONE(telemetry, "DPDK's telemetry socket."),
    ONE(log, "The log."),
    {0},
};

#define AT(block, field) __builtin_offsetof(struct conf_##block, field)
#define TEXT(block, type, key, def, reloadable, example, help)                                     \
    {                                                                                              \
#block, #key, CONF_TYPE_##type, AT(block, key), def, 0, 0, NULL, reloadable, help, example \
    }
#define NUMBER(block, key, def, min, max, reloadable, help)                                        \
    {                                                                                              \
#block, #key, CONF_TYPE_NUMBER, AT(block, key), def, min, max, NULL, reloadable, help,     \
            NULL                                                                                   \
    }
#define SIZE(block, key, field, def, min, max, reloadable, help)                                   \
    {                                                                                              \
#block, #key, CONF_TYPE_SIZE, AT(block, field##_bytes), def, min, max, NULL, reloadable,   \
            help, NULL                                                                             \
    }
#define DURATION(block, key, def, min, max, reloadable, help)                                      \
    {                                                                                              \
#block, #key, CONF_TYPE_DURATION, AT(block, key##_ns), def, min, max, NULL, reloadable,    \
            help, NULL                                                                             \
    }
#define WORDS(block, key, def, words, reloadable, help)                                            \
    {                                                                                              \
#block, #key, CONF_TYPE_ENUM, AT(block, key), def, 0, 0, words, reloadable, help, NULL     \
    }

/* clang-format off */
const struct conf_setting conf_settings[] = {
    TEXT(gateway, DOMAIN, hostname, NULL, true, "mx.example.org", "name in the greeting, in HELO and in Received fields; in the log's lines from the next start on"),
    TEXT(gateway, STRING, user, "", false, NULL, "user to run as after the start; none: stay who we are"),
    TEXT(gateway, PATH, run_dir, "/run/sluice", false, NULL, "directory of sockets and locks"),
    TEXT(gateway, PATH, state_dir, "/var/lib/sluice", false, NULL, "directory of what is kept over restarts beside the spool"),
    WORDS(gateway, idle, "adaptive", "adaptive poll", false, "what an idle lane does: sleep, or take its whole core"),
    NUMBER(gateway, lanes, "1", 1, 64, false, "cores that move packets and speak SMTP"),
    TEXT(gateway, LIST, lane_cpus, "", false, NULL, "processor of each lane; none: 0, 1, and so on"),
    WORDS(gateway, huge_pages, "auto", "auto yes no", false, "use huge pages; auto: where the system has some"),
    SIZE(gateway, memory, memory, "512M", 64 * MI, 1024 * GI, false, "memory for packets and DPDK's tables"),
    TEXT(gateway, LIST, eal_args, "", false, NULL, "more arguments for DPDK's EAL"),
    TEXT(gateway, STRING, eal_prefix, "sluice", false, NULL, "EAL's file prefix; each gateway of a machine needs its own"),
    TEXT(gateway, BOOL, sandbox, "yes", false, NULL, "give up system calls and paths that are not needed"),
    TEXT(gateway, NETWORKS, public_addresses, "", true, NULL, "addresses under which the world reaches the gateway, beside its own: of a proxy or NAT in front of it. Mail whose MX leads to one loops"),
    DURATION(gateway, stop_timeout, "10s", 0, H, true, "at a stop, wait for what is under way: messages being received and delivered"),

    TEXT(port, STRING, device, NULL, false, "\"net_tap0,iface=sluice0\"", "DPDK device: net_... with its arguments, or a PCI address"),
    TEXT(port, ADDRESSES, address, NULL, false, "{ 192.0.2.1/24 }", "own addresses, each with the length of its link's prefix"),
    TEXT(port, ADDRESS, gateway, "", false, "192.0.2.254", "next hop for every IPv4 address that is not on a link; none: links only"),
    TEXT(port, ADDRESS, gateway6, "", false, NULL, "next hop for every IPv6 address that is not on a link, may be fe80::...; none: links only"),
    NUMBER(port, vlan, "0", 0, 4094, false, "802.1Q number of the port's frames, all others are dropped; 0: frames without a tag"),
    NUMBER(port, mtu, "1500", 576, 9216, false, "largest IP packet, bytes"),
    NUMBER(port, rx_descriptors, "1024", 64, 32768, false, "receive descriptors of each queue"),
    NUMBER(port, tx_descriptors, "1024", 64, 32768, false, "transmit descriptors of each queue"),
    TEXT(port, STRING, host_device, "", false, NULL, "interface that is made for this machine's own traffic over the port (ssh, DNS, ...); none: what is not for the gateway is dropped"),
    NUMBER(port, host_rate, "20000", 1, 10000000, false, "most frames a second between that interface and the port, each way; from the port: of each lane"),
    NUMBER(port, host_burst, "1000", 1, 1000000, false, "most of them at once"),

    WORDS(listener, kind, "mx", "mx submission submissions", false, "what is spoken: mail from other servers, or from users"),
    TEXT(listener, STRING, port, NULL, false, "net0", "name of a port block"),
    TEXT(listener, ADDRESS, address, "", false, NULL, "one address of that port; none: all of them"),
    NUMBER(listener, tcp_port, "25", 1, 65535, false, "TCP port"),
    WORDS(listener, proxy, "none", "none required", false, "PROXY header (v1 or v2) before anything else, also before TLS: never, or on every connection"),
    TEXT(listener, NETWORKS, proxy_from, "", false, NULL, "proxies: all that may connect where proxy is required"),
    DURATION(listener, proxy_timeout, "5s", 3 * S, M, false, "wait for the whole PROXY header"),
    WORDS(listener, proxy_unknown, "accept", "accept refuse", false, "headers that name no client (v1 UNKNOWN, v2 UNSPEC)"),

    DURATION(listener, greet_pause, "0", 0, 30 * S, false, "wait before the greeting; who speaks in it gets 521. Not before TLS that is there from the first byte. Servers wait, much of what sends spam does not: 2s to 6s for mx; 0: none"),
    WORDS(listener, bare_newline, "reject", "reject normalize", false, "messages with a bare LF: refused (550 5.5.2) at their end, or it is made CRLF; a bare LF never ends a message, a bare CR is refused"),
    TEXT(listener, NETWORKS, bare_newline_networks, "", false, NULL, "clients for whom it is made CRLF although others are refused"),
    WORDS(listener, tls, "auto", "auto none may encrypt implicit", false, "none; may: offered by STARTTLS; encrypt: STARTTLS is required before mail; implicit: TLS from the first byte. auto: by kind: mx may, submission encrypt, submissions implicit"),
    WORDS(listener, tls_min, "1.2", "1.2 1.3", false, "oldest version of TLS"),
    TEXT(listener, STRING, tls_ciphers, "", false, NULL, "ciphers of TLS 1.2 as OpenSSL spells them; none: those with forward secrecy, AEAD first"),
    TEXT(listener, STRING, tls_ciphersuites, "", false, NULL, "cipher suites of TLS 1.3 as OpenSSL spells them; none: AES-128-GCM, ChaCha20-Poly1305, AES-256-GCM"),
    TEXT(listener, STRING, tls_groups, "", false, NULL, "groups of the key exchange, the best first; none: X25519:P-256:P-384"),
    NUMBER(listener, tls_tickets, "0", 0, 1, false, "session tickets given in a handshake"),
    WORDS(listener, tls_alpn, "strict", "strict ignore", false, "clients whose protocols (ALPN) are all foreign: refused, or taken as if they had named none"),
    TEXT(listener, PATH, tls_client_ca, "", false, NULL, "PEM file of authorities: their certificates log users in by AUTH EXTERNAL, as the one mail address (rfc822Name) in subjectAltName; none: no client is asked for one"),
    TEXT(listener, NETWORKS, xclient_networks, "", false, NULL, "proxies that may say by XCLIENT (Postfix's) who the client is, and on listeners for users who has logged in"),

    WORDS(listener, spoof_protection, "auto", "auto off login strict", false, "login: who is logged in sends as what its account owns alone, who is not may not use an account's address; strict: the From header, too. auto: login for users, off on mx"),
    TEXT(listener, BOOL, reject_unauthenticated_sender, "no", false, NULL, "refuse senders that are addresses of accounts here too, where nobody is logged in; for mx: forgeries of our own users, but also their mail by way of lists and forwarders"),
    TEXT(listener, BOOL, auth_cleartext, "no", false, NULL, "AUTH without TLS too, so that passwords pass in clear; never on mx"),
    TEXT(listener, BOOL, auth_required, "yes", false, NULL, "submission and submissions: MAIL needs a login, but from relay: networks"),
    WORDS(listener, repair, "auto", "auto yes no", false, "messages get Date and Message-ID where they lack them, and lose Bcc; auto: from users. Never on mx, where mail is not ours to change"),

    WORDS(listener, dns_lists, "auto", "auto yes no", false, "look up clients in the dns_list blocks; auto: where kind = mx. Not who has logged in, nor relay: networks, nor limits: exempt_networks"),

    TEXT(certificate, PATH, chain, NULL, true, "/etc/sluice/mx.pem", "PEM file: the certificate, then intermediate ones. Another file than at the start must be below the directory of this file"),
    TEXT(certificate, PATH, key, NULL, true, "/etc/sluice/mx.key", "PEM file: its private key, EC or RSA, not encrypted"),

    TEXT(spool, PATH, path, "/var/spool/sluice", false, NULL, "directory of this spool"),
    TEXT(spool, BOOL, accept, "yes", false, NULL, "take new mail; no: what is there is delivered, and nothing comes to it"),
    SIZE(spool, size, size, "1G", 4 * MI, 64 * K * GI, false, "disk space that it takes"),
    SIZE(spool, segment_size, segment, "64M", MI, GI, false, "size of one of its files, whole megabytes"),
    NUMBER(spool, commits, "2", 1, 8, false, "writes under way at a time"),
    DURATION(spool, write_timeout, "30s", S, H, false, "take no new mail while a write takes longer than this; senders wait 10 minutes"),
    SIZE(spool, batch_size, batch, "1M", 64 * K, 64 * MI, false, "largest write"),
    SIZE(spool, memory, memory, "64M", 0, GI, false, "for what was written last, so that the first delivery reads no disk; 0: none"),
    NUMBER(spool, buffers, "2048", 64, 1048576, false, "buffers of 16 KiB for each lane; those of all spools serve together"),

    SIZE(smtp, message_size, message, "50M", K, 4 * GI, true, "largest message that is accepted"),
    NUMBER(smtp, recipients, "1000", 1, 100000, true, "most recipients of a message"),
    NUMBER(smtp, session_messages, "10000", 0, 999999, true, "MAIL commands of a session, then 421; clients know it by LIMITS; 0: no limit"),
    TEXT(smtp, BOOL, received_login, "no", true, NULL, "the Received field names the login that submitted the message"),
    NUMBER(smtp, errors, "20", 1, 1000, true, "errors after which a client is disconnected"),
    NUMBER(smtp, junk, "100", 1, 10000, true, "commands without a message after which a client is disconnected"),
    SIZE(smtp, header_size, header, "128k", K, 16 * MI, true, "largest header section"),
    NUMBER(smtp, header_fields, "1000", 1, 1000000, true, "most fields of a header section"),
    NUMBER(smtp, line_length, "65536", 0, 4294967293, true, "longest line of a message, bytes without CRLF: RFC 5321 has 998, much real mail is longer; 0: no limit"),
    NUMBER(smtp, hops, "100", 1, 1000, true, "most Received fields, against loops"),
    DURATION(smtp, command_timeout, "5m", S, H, true, "wait for a command"),
    DURATION(smtp, data_timeout, "3m", S, H, true, "wait for more of a message"),
    DURATION(smtp, client_connect_timeout, "30s", S, 10 * M, true, "wait for TCP to a next hop; its greeting has 5 minutes"),
    DURATION(smtp, client_idle, "2s", 0, 5 * M, true, "time that a connection to a next hop is kept open for a further message; 0: none is"),
    NUMBER(smtp, client_reuse, "100", 1, 1000000, true, "most messages over one connection to a next hop"),
    TEXT(smtp, BOOL, client_chunking, "yes", true, NULL, "messages go out by BDAT to next hops that offer CHUNKING"),

    NUMBER(limits, connections_per_client, "50", 0, 1000000, true, "connections of a client at a time, then 421; 0: no limit, here and in the lines below"),
    NUMBER(limits, connection_rate, "0", 0, 200000, true, "connections of a client in a minute, then 421"),
    NUMBER(limits, message_rate, "0", 0, 200000, true, "messages of a client in a minute, then 450 at MAIL"),
    NUMBER(limits, recipient_rate, "0", 0, 200000, true, "recipients of a client in a minute, then 450"),
    NUMBER(limits, login_message_rate, "0", 0, 200000, true, "messages of a login in a minute, from wherever, then 450 at MAIL"),
    NUMBER(limits, login_recipient_rate, "0", 0, 200000, true, "recipients of a login in a minute, then 450"),
    NUMBER(limits, unknown_recipients, "20", 0, 1000000, true, "recipients of a session that nobody has, then 421 to whatever recipient is next"),
    NUMBER(limits, unknown_recipient_rate, "0", 0, 200000, true, "likewise, of a client in a minute"),
    NUMBER(limits, client_prefix, "32", 8, 32, true, "bits of an IPv4 address that make one client"),
    NUMBER(limits, client_prefix6, "64", 16, 128, true, "bits of an IPv6 address that make one client"),
    NUMBER(limits, clients, "65536", 64, 16777216, false, "clients without a connection whose rates are remembered, 80 bytes each"),
    TEXT(limits, NETWORKS, exempt_networks, "", true, NULL, "clients for whom nothing in this block holds but the stress mode, nor greet_pause"),
    WORDS(limits, early_commands, "count", "count refuse", true, "commands or data sent behind one whose answer has to come first (HELO, EHLO, DATA, and all of clients without EHLO): counted, or 554 and the end"),
    SIZE(limits, data_rate_min, data_rate_min, "500", 0, GI, true, "bytes a second that a message has to bring, measured over smtp: data_timeout; else 421"),
    NUMBER(limits, dns_list_threshold, "1", 0, 16000, true, "sum of the weights of the dns_list blocks in which a client stands, from which on its recipients get 554; 0: never"),
    DURATION(limits, dns_list_timeout, "5s", 100 * MS, 30 * S, true, "wait for the answer of a list; one that does not come, or is an error, weighs nothing"),
    NUMBER(limits, dns_list_clients, "4096", 64, 1048576, false, "clients of which each lane keeps the answers, for as long as these say, 300 bytes each"),
    NUMBER(limits, stress, "90", 0, 100, true, "per cent of tcp: connections from which on time-outs are stress_timeout"),
    DURATION(limits, stress_timeout, "10s", S, 5 * M, true, "wait for a command or for more of a message then"),

    TEXT(dns_list, DOMAIN, zone, NULL, true, "bl.example.net", "zone of the list; one that others write to you for yourself, as \"key.zen.example.net\", too"),
    {"dns_list", "weight", CONF_TYPE_WEIGHT, AT(dns_list, weight), "1", 0, 0, NULL, true, "what standing in it weighs, -1000 to 1000; below 0: a list of clients to be let in", NULL},
    TEXT(dns_list, ANSWERS, answers, "", true, NULL, "answers that count, as { 127.0.0.2, \"127.0.0.[4..7;10]\" }; none: 127.0.0.0/8 but 127.255.255.0/24, by which lists tell that they were asked wrongly"),

    NUMBER(tcp, connections, "16384", 16, 1048576, false, "open connections of each lane"),
    NUMBER(tcp, half_open, "4096", 16, 1048576, false, "connections being opened by peers, of each lane"),
    NUMBER(tcp, time_wait, "65536", 16, 4194304, false, "closed connections that are remembered, of each lane"),
    SIZE(tcp, receive_window, receive_window, "4M", 4 * K, 64 * MI, false, "most bytes that a peer may be ahead of us; 64k at first, more as the path can carry and packet_buffers allow"),
    SIZE(tcp, send_buffer, send_buffer, "256k", 16 * K, 64 * MI, false, "most bytes sent and not yet acknowledged"),
    NUMBER(tcp, packet_buffers, "8192", 512, 4194304, false, "packet buffers of each lane"),
    DURATION(tcp, msl, "30s", 100 * MS, 2 * M, false, "maximum segment lifetime; TIME_WAIT lasts twice as long"),
    DURATION(tcp, keepalive, "2h", S, 7 * D, false, "idle time after which a peer is probed"),
    NUMBER(tcp, keepalive_probes, "9", 1, 100, false, "unanswered probes after which an idle peer is given up"),
    DURATION(tcp, keepalive_interval, "75s", S, H, false, "time between those probes"),
    DURATION(tcp, user_timeout, "5m", S, 7 * D, false, "time without progress after which a peer that takes nothing is given up"),
    DURATION(tcp, close_timeout, "1m", S, H, false, "likewise, of a connection that we have closed"),
    DURATION(tcp, rto_min, "200ms", 10 * MS, 2 * S, false, "shortest time after which unacknowledged data is sent again"),
    WORDS(tcp, congestion, "cubic", "cubic newreno", false, "how the congestion window grows: RFC 9438, or RFC 5681"),
    WORDS(tcp, ecn, "answer", "answer ask off", false, "congestion marks: for peers that ask, asked of next hops too, or never"),
    TEXT(tcp, BOOL, timestamps, "yes", false, NULL, "timestamps, for peers that have them (RFC 7323)"),
    TEXT(tcp, BOOL, sack, "yes", false, NULL, "selective acknowledgments, for peers that have them (RFC 2018)"),

    NUMBER(tls, handshakes, "1024", 1, 1048576, false, "unfinished handshakes of each lane; more are refused. When seven of eight are taken, those that wait longest for their client are dropped"),
    NUMBER(tls, handshakes_per_client, "128", 0, 1048576, true, "of these, of one client: an IPv4 address or an IPv6 /64; 0: no limit of its own"),
    DURATION(tls, handshake_timeout, "30s", S, 5 * M, true, "wait for the whole handshake"),
    NUMBER(tls, client_sessions, "512", 0, 1048576, false, "sessions with next hops that each lane keeps, each until its next hop, or what that must prove, is another one: the next connection does without certificates and signatures then. Some 20 KB each; 0: none"),
    WORDS(tls, key_operations, "inline", "inline pool", false, "where our private keys sign: in the lane itself, or in threads of their own, while the lane goes on"),
    NUMBER(tls, key_threads, "1", 1, 64, false, "those threads; with pool"),
    TEXT(tls, LIST, key_cpus, "", false, NULL, "processor of each of them; none: any"),
    DURATION(tls, certificate_check, "1m", S, D, true, "how often the files of certificates are looked at; changed ones are loaded"),

    TEXT(relay, NETWORKS, networks, "", true, NULL, "clients that may send to any domain"),
    TEXT(relay, BOOL, proxied, "no", true, NULL, "networks hold for client addresses out of PROXY headers, too"),
    TEXT(relay, DOMAINS, domains, "", true, "{ example.org, .example.org }", "domains that anyone may send to; names beyond ASCII by their A-labels (xn--...)"),

    TEXT(sender, MAPS, maps, "", true, NULL, "who else may send as an address: key user@domain, user or @domain, value the logins; texthash or pcre as Postfix's smtpd_sender_login_maps"),
    TEXT(sender, LIST, exempt_logins, "", true, NULL, "logins that may send as anyone"),
    TEXT(sender, NETWORKS, exempt_networks, "", true, NULL, "clients that may send as anyone, also without a login"),
    TEXT(sender, DOMAIN, login_domain, "", true, NULL, "domain of logins and accounts that are written without one; none: such own only what maps say"),

    TEXT(recipient, MAPS, accounts, "", true, NULL, "files whose names are the accounts: Dovecot's passwd-file, docker-mailserver's postfix-accounts.cf"),
    TEXT(recipient, MAPS, aliases, "", true, NULL, "where mail for an address goes instead: address, addresses or @domain; texthash as Postfix's virtual_alias_maps, pcre. An account goes before a catch-all"),
    TEXT(recipient, MAPS, maps, "", true, NULL, "all addresses of the relay domains, with accounts and aliases: others are refused at RCPT; none: the next hop knows them"),
    TEXT(recipient, STRING, extension, "+", true, NULL, "character behind which a local part is an extension of the address without it, one of + - _ = #; none: there are no extensions"),
    NUMBER(recipient, expansion, "1000", 1, 4096, true, "most addresses that aliases may make of one"),
    TEXT(recipient, BOOL, extension_propagate, "no", true, NULL, "user+x goes on as target+x where an alias of user, or a catch-all, is taken for it"),
    WORDS(recipient, verify, "no", "no next_hop", true, "ask the next hop, by MAIL FROM:<> and RCPT alone, whether it takes a recipient of the relay domains that no map names; who it refuses is refused at RCPT"),
    DURATION(recipient, verify_timeout, "9s", 100 * MS, 5 * M, true, "wait for it so long, then 450; the answer is there when the client comes again"),
    NUMBER(recipient, verify_cache, "10000", 16, 10000000, true, "addresses of which the answer is kept, 400 bytes each"),
    DURATION(recipient, verify_positive_expire, "31d", S, 365 * D, true, "a good answer holds so long"),
    DURATION(recipient, verify_positive_refresh, "7d", S, 365 * D, true, "and is asked for again, beside, when it is so old"),
    DURATION(recipient, verify_negative_expire, "3d", S, 365 * D, true, "a refusal for good holds so long"),
    DURATION(recipient, verify_negative_refresh, "3h", S, 365 * D, true, "and is asked for again, beside, when it is so old"),

    TEXT(srs, DOMAIN, domain, "", true, NULL, "domain of the rewritten addresses, whose MX is this gateway; none: nothing is rewritten"),
    TEXT(srs, PATHS, secrets, "", true, NULL, "files with a secret each, 16 bytes or more, readable for root and a group at most (640); the first signs, all verify. Read again within seconds after they changed"),
    DURATION(srs, max_age, "21d", D, 365 * D, true, "a rewritten address takes reports for so long"),

    WORDS(auth, backend, "none", "none passwd dovecot", false, "where users are: nowhere, so that AUTH is not offered; in passwd_file; or asked of Dovecot. AUTH is offered on listeners of kind submission and submissions, never on mx"),
    TEXT(auth, PATH, passwd_file, "", false, NULL, "users and hashes, as Dovecot's passwd-file or docker-mailserver's postfix-accounts.cf; read anew within seconds after it changed"),
    TEXT(auth, PATH, dovecot_socket, "", false, NULL, "Dovecot's auth-client socket; gateway: user must be able to connect to it"),
    TEXT(auth, LIST, mechanisms, "", true, NULL, "of PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS; none: PLAIN and LOGIN. Clients prefer SCRAM, which needs verifiers of all users"),
    NUMBER(auth, workers, "2", 1, 64, false, "threads that make hashes"),
    NUMBER(auth, queue, "64", 1, 65536, false, "logins that wait for them; more are told to come later"),
    NUMBER(auth, exchanges, "512", 16, 2048, false, "logins under way on each lane, those held back by failure_delay too"),
    DURATION(auth, timeout, "30s", S, 10 * M, false, "wait for each answer of a client while it logs in, and of the accounts"),
    DURATION(auth, failure_delay, "2s", 0, M, false, "a refused login hears of it so much later"),
    NUMBER(auth, failures_client, "20", 0, 1000000, false, "failures of one client within failures_period, then 421; 0: no limit"),
    NUMBER(auth, failures_login, "50", 0, 1000000, false, "failures of one login, then 454 to clients from which it has never logged in; 0: no limit"),
    NUMBER(auth, failures_all, "0", 0, 100000000, false, "failures of all together, then 454; 0: no limit"),
    DURATION(auth, failures_period, "10m", S, 7 * D, false, "the time in which those numbers are forgotten"),
    NUMBER(auth, client_prefix, "32", 8, 32, false, "bits of an IPv4 address that make one client"),
    NUMBER(auth, client_prefix6, "64", 16, 128, false, "bits of an IPv6 address that make one client"),

    DURATION(queue, backoff_min, "300s", S, D, true, "wait after the first failure"),
    DURATION(queue, backoff_max, "4000s", S, 7 * D, true, "longest wait between attempts"),
    DURATION(queue, lifetime, "5d", S, 30 * D, true, "after that long an undelivered message fails"),
    DURATION(queue, warn_after, "4h", 0, 30 * D, true, "the sender of a message that is so old hears of the delay, once; 0: never"),
    SIZE(queue, dsn_quote, dsn_quote, "50k", K, GI, true, "largest message that goes back whole with the report of a failure; of others the header section"),
    NUMBER(queue, deliveries, "100", 1, CONF_DELIVERIES_MAX, true, "deliveries to next hops at a time"),
    NUMBER(queue, destination_deliveries, "20", 1, CONF_DELIVERIES_MAX, true, "most of them to one next hop"),

    WORDS(route, via, "auto", "auto mx host lmtp", true, "mx: where the MX records of the recipient's domain say, on port 25; host: to host; lmtp: to host by LMTP, into its mail boxes (no MX records are asked for); auto: to host if there is one"),
    TEXT(route, HOSTS, host, "", true, "192.0.2.2:25", "next hops, in the order in which they are tried: address, name (its MX records say where), or [name] (that host itself), each with :port or 25 (LMTP: 24); an IPv6 address stands in brackets; or unix:/path, a socket of this machine: user must be able to write to it. Before each may stand lmtp:, which is via = lmtp. Loopback addresses are reached by the machine's own network"),
    TEXT(route, BOOL, return_path, "yes", true, NULL, "by LMTP: Return-Path with the sender stands first, and those that the message brings are left out"),
    TEXT(route, BOOL, delivered_to, "yes", true, NULL, "by LMTP: Delivered-To with the recipient stands before the message, so that each gets it in a transaction of its own, and mail that has it already loops and fails (5.4.6). Servers may do the former themselves (Dovecot)"),
    TEXT(route, NETWORKS, private_networks, "", true, NULL, "of addresses that are private, of this host or this link: those to which mail goes nevertheless where others' MX records say so"),
    WORDS(route, proxy, "none", "none v1 v2", true, "PROXY header that the next hop gets first, with the address of the client that sent the message: none, or of that version"),
    TEXT(route, STRING, auth_user, "", true, NULL, "login at the next hop (AUTH); none: mail goes there without one. When it fails the mail waits"),
    TEXT(route, PATH, auth_password_file, "", true, NULL, "file with the password of auth_user, mode 640 at most, read anew on reload. Another file than at the start must be below the directory of this file"),
    TEXT(route, BOOL, auth_cleartext, "no", true, NULL, "log in although the connection is not encrypted: a password may pass in clear"),
    TEXT(route, LIST, auth_mechanisms, "", true, NULL, "of SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN, the first that the next hop offers, in this order; none: all of them"),

    TEXT(route, LIST, sources, "", true, NULL, "source blocks that mail leaves by here, or none: by no source's address; without a word all of them where MX records say where to, and none to a host"),

    WORDS(route, tls, "starttls", "starttls implicit none", true, "how TLS begins there: by STARTTLS, as far as delivery: tls asks for it; before the greeting; or never, whatever else says"),
    TEXT(route, BOOL, verify, "no", true, NULL, "the next hop must have a certificate of tls: ca_file's authorities for its name, or for destination: names; as destination: tls = verify"),

    TEXT(source, ADDRESS, address, "", true, "192.0.2.1", "IPv4 address, one of a port's: it says the port, too; none: not to next hops of IPv4"),
    TEXT(source, ADDRESS, address6, "", true, NULL, "IPv6 address, likewise"),
    TEXT(source, DOMAIN, ehlo, NULL, true, "out1.example.org", "name in EHLO; the addresses' PTR records and its own A and AAAA records are to fit"),
    NUMBER(source, weight, "1", 1, 1000, true, "share of messages, beside those of others"),
    TEXT(source, DOMAINS, sender_domains, "", true, NULL, "for mail from these senders alone, which goes by no other source then; none: for all others'"),
    TEXT(source, STRING, warm_up_start, "", true, NULL, "day (2026-01-31, UTC) from which the address is used, by warm_up; none: it is in full use"),
    TEXT(source, LIST, warm_up, "", true, NULL, "recipients in a day, the first, the second and so on ({ 50, 100, 500, 1000, 5000 }); after them there is no limit. More go by other sources, or wait"),
    TEXT(source, LIST, warm_up_destination, "", true, NULL, "likewise, of each destination: all hosts of a provider, else under one registered domain"),

    WORDS(delivery, tls, "dane", "none may encrypt dane dane-only fingerprint verify secure", true, "none: clear text. may: TLS where it is offered, whoever the server is. encrypt: TLS, or no delivery. dane: what the TLSA records of the next hop ask for; may where there are none that can be used. dane-only: such records, or no delivery. fingerprint: destination: fingerprints. verify: a certificate of ca_file's authorities for the next hop's name. secure: one for the destination's own name"),
    TEXT(delivery, BOOL, defer_on_tls_error, "yes", true, NULL, "what does not prove what it must gets no mail: it waits for the next try; no: it is sent all the same, with whatever TLS there is, and the log says so"),
    TEXT(delivery, PATH, ca_file, "/etc/ssl/certs/ca-certificates.crt", true, NULL, "PEM file of the authorities that verify, secure and mta_sts trust. Another file than at the start must be below the directory of this file"),
    TEXT(delivery, BOOL, mta_sts, "yes", true, NULL, "policies that domains publish by MTA-STS (RFC 8461) hold where the TLSA records of a next hop ask for nothing, at the levels may, encrypt and dane. They are fetched by HTTPS over the machine's own network, and kept in gateway: state_dir"),
    DURATION(delivery, mta_sts_timeout, "30s", S, M, true, "for such a policy to be fetched; mail for the domain waits for it"),
    WORDS(delivery, eightbit, "convert", "convert bounce", true, "messages with 8-bit content for a next hop without 8BITMIME: their parts become quoted-printable or base64, or they fail (5.6.3), as signed ones always do"),
    WORDS(delivery, requiretls, "enforce", "enforce starttls opportunistic disable", true, "mail that came with REQUIRETLS (RFC 8689). enforce: to next hops alone that are found securely, prove their name and offer it. starttls: over TLS, whoever the next hop is; opportunistic: as other mail; both say REQUIRETLS where it is offered. disable: as other mail"),

    TEXT(delivery, REPLIES, set_aside, "", true, NULL, "replies by which a next hop refuses a source for its reputation: code, enhanced code (x: any), words, as { \"421 4.7.28\", \"5.7.1 blocked using\" }. That source is set aside there for a while and the next one tries; none: those of usual providers and block lists"),
    DURATION(delivery, set_aside_min, "15m", 0, D, true, "for so long at first, doubled each time again; 0: never"),
    DURATION(delivery, set_aside_max, "4h", S, 7 * D, true, "for so long at most"),

    {"destination", "tls", CONF_TYPE_ENUM, AT(destination, tls), NULL, 0, 0, "none may encrypt dane dane-only fingerprint verify secure", true, "as delivery: tls", "secure"},
    TEXT(destination, BOOL, defer_on_tls_error, "yes", true, NULL, "as delivery: defer_on_tls_error"),
    WORDS(destination, requiretls, "default", "default enforce starttls opportunistic disable", true, "as delivery: requiretls, which default takes"),
    TEXT(destination, LIST, names, "", true, NULL, "names that the certificate may have, with verify and secure; none: that of the next hop, or of the destination"),
    TEXT(destination, LIST, fingerprints, "", true, NULL, "SHA-256 of the certificate, or of its public key, in hexadecimal digits; of several, one"),

    TEXT(tlsrpt, BOOL, enable, "no", false, NULL, "count TLS sessions by domain, and send those that ask for it a report a day"),
    TEXT(tlsrpt, STRING, organization, "", true, NULL, "who reports; none: gateway: hostname"),
    TEXT(tlsrpt, STRING, contact, "", true, NULL, "mail address for questions about reports; none: postmaster at gateway: hostname"),
    DURATION(tlsrpt, spread, "4h", 0, 20 * H, true, "reports leave within this time after midnight UTC, each domain's at its own time"),
    DURATION(tlsrpt, backoff_min, "10m", S, 12 * H, true, "pause after a failed attempt; doubles up to 2h, for a day"),
    TEXT(tlsrpt, BOOL, any_certificate, "no", true, NULL, "send reports to servers that do not prove who they are, too"),
    SIZE(tlsrpt, memory, memory, "16M", MI, GI, false, "memory for the counts; sessions that there is no room for are not reported"),

    TEXT(provider, PATTERNS, mx, "", true, "{ \"*.mail.example.net\", mx.example.net }", "patterns of its hosts: * is any run of letters, digits, dots and -; a destination belongs to the provider when its best host fits one, by name, or by address where a route has that alone"),
    TEXT(provider, DOMAINS, domains, "", true, NULL, "destinations that belong to it whatever their hosts are, .domain for all below it"),
    NUMBER(provider, connections, "0", 0, CONF_DELIVERIES_MAX, true, "to all of its hosts at a time, idle ones among them, exactly; 0: no limit"),
    NUMBER(provider, messages_per_connection, "0", 0, 100000, true, "then another connection; 0: as smtp: client_reuse"),
    NUMBER(provider, recipients, "0", 0, 100, true, "of a message that goes there in one piece; 0: 100"),
    TEXT(provider, RATE, rate, "", true, NULL, "messages, as 20/s, 100/m or 5000/h, by running time and evenly; none: no limit"),
    TEXT(provider, RATE, recipient_rate, "", true, NULL, "recipients likewise; a message goes whole, the next one waits for it"),
    TEXT(provider, LIST, on_reply, "", true, "{ \"421 4.7.x connections=1 wait=1m\", \"4xx /too fast/ rate=half\" }", "rules on replies, the first that fits counts: code 4xx, enhanced code 4.7.x, /pattern/ of the words, then what is done: connections=N or half, rate=half, wait=TIME, suspend=TIME, retry (over another connection). What fell grows again each minute in which mail is taken"),
    TEXT(provider, BOOL, builtin_rules, "yes", true, NULL, "those that are built in come behind them: 421, and what large providers say to who is too fast"),

    TEXT(dns, SERVERS, servers, "", true, NULL, "resolvers that are asked, address or address:port, which have to know DNSSEC; none: the servers of each zone, from the root on"),
    TEXT(dns, STUBS, stubs, "", true, NULL, "zones with servers of their own, as { \"bl.example.net=192.0.2.54\" }, not signed unless trust_anchor has a key of theirs"),
    TEXT(dns, PATH, trust_anchor, "", true, NULL, "file of DS or DNSKEY records to validate by, one a line. Another file than at the start must be below the directory of this file; none: the root's keys of 2017 and 2024"),
    DURATION(dns, timeout, "10s", S, M, true, "wait for an answer"),
    NUMBER(dns, lookups, "256", 1, 4096, false, "questions under way at a time; more wait"),
    SIZE(dns, cache, cache, "16M", MI, GI, true, "memory for answers that are kept"),

    TEXT(control, PATH, socket, "/run/sluice/control.sock", false, NULL, "path of the socket"),
    TEXT(control, STRING, group, "", false, NULL,
         "group that may look: states, lists, explanations; none: root only"),
    TEXT(control, STRING, change_group, "", false, NULL,
         "group that may also make changes, read mail and the log; none: root only"),

    TEXT(telemetry, BOOL, enabled, "yes", false, NULL, "answer on DPDK's telemetry socket"),
    TEXT(telemetry, STRING, group, "", false, NULL, "group that may read it; none: root only"),

    WORDS(log, target, "file", "file syslog journald", false, "where lines go: to file, to the machine's syslog, or to journald"),
    TEXT(log, STRING, file, "stderr", false, NULL, "of target = file: stderr, or an absolute path. A rotated file is let go by sluicectl log reopen, reload, SIGHUP or SIGUSR1"),
    TEXT(log, PATH, socket, "", false, NULL, "of syslog and journald; none: /dev/log, /run/systemd/journal/socket"),
    WORDS(log, format, "text", "text json postfix", false, "text: key=value; json: one object a line; postfix: Postfix's own words, for pflogsumm, fail2ban and the like"),
    TEXT(log, STRING, ident, "", false, NULL, "who speaks, in front of lines; none: sluiced, in Postfix's form postfix, which makes postfix/smtpd and so on"),
    WORDS(log, facility, "mail", "mail daemon local0 local1 local2 local3 local4 local5 local6 local7", false, "of syslog and journald"),
    TEXT(log, BOOL, mail_waits, "yes", false, NULL, "while the log cannot be written mail waits, so that what says where a message went is never lost; no: mail goes on, and what was lost is counted, and told of afterwards"),
    WORDS(log, level, "info", "error warn info debug", true, "least important lines that are written"),
    {0},
};
/* clang-format on */

base_static_assert(BASE_ARRAY_CNT(conf_settings) <= CONF_SETTING_MAX, "seen[] has room");
#define NAMED(type)                                                                                \
    base_static_assert(AT(type, name) == __builtin_offsetof(struct conf_named, name) &&            \
                           AT(type, line) == __builtin_offsetof(struct conf_named, line) &&        \
                           AT(type, file) == __builtin_offsetof(struct conf_named, file),          \
                       "begins as conf_named")
NAMED(port);
NAMED(listener);
NAMED(certificate);
NAMED(route);
NAMED(destination);
NAMED(source);
NAMED(dns_list);
NAMED(provider);
NAMED(spool);

const struct conf_block *conf_block_find(const char *name)
{
    for (const struct conf_block *b = conf_blocks; b->name != NULL; b++)
        if (strcmp(b->name, name) == 0)
            return b;
    return NULL;
}

const struct conf_setting *conf_setting_find(const char *block, const char *key)
{
    for (const struct conf_setting *s = conf_settings; s->block != NULL; s++)
        if (strcmp(s->block, block) == 0 && strcmp(s->key, key) == 0)
            return s;
    return NULL;
}
