/* Configurations and all that is wrong with them, word for word. */
#ifndef CONF_GOLDEN_H
#define CONF_GOLDEN_H

/* A whole configuration in one line, behind what is under test. */
#define REST                                                                                       \
    "gateway{hostname=h;}port net0{device=d;address=10.9.0.1/24;}"                                 \
    "listener mx{port=net0;}route default{host=10.9.0.2:25;}"

/* Text, and the lines of its errors. */
static const struct {
    const char *text;
    const char *errors;
} golden[] = {
    {"gateway{hostname=h;}port net0{device=d;address=10.9.0.1/24;}listener "
     "mx{port=net0;repair=yes;}"
     "route default{host=10.9.0.2:25;}",
     "t:1: listener mx: repair: yes is for submission: mail of other servers stays\n"},
    {"gateway { user = \"abc; }\n" REST, "t:1: gateway: string is not closed on its line\n"
                                         "t:2: gateway: hostname: is required\n"},
    {"log { file = \"a\\q\"; }\n" REST,
     "t:1: log: unknown escape in a string; known are \\\" \\\\ \\n \\t \\xNN\n"},
    {"log { file = \"a\\x0\"; }\n" REST,
     "t:1: log: unknown escape in a string; known are \\\" \\\\ \\n \\t \\xNN\n"},
    {"log { file = \"\\x00\"; }\n" REST,
     "t:1: log: unknown escape in a string; known are \\\" \\\\ \\n \\t \\xNN\n"},
    {"gateway { user = 'root'; }\n" REST, "t:1: gateway: strings stand in double quotes\n"},
    {"gateway { user = a\015b; }\n" REST, "t:1: gateway: carriage return that ends no line\n"},
    {"@ gateway { }\n" REST, "t:1: @: unknown block; sluiced --help tells those there are\n"},
    {"gateway { user = \303\244\303\266; }\n" REST,
     "t:1: gateway: byte that must stand in a string\n"},
    {"gateway { user = \"a\tb\"; }\n" REST,
     "t:1: gateway: control character in a string; write \\xNN\n"},
    {"gateway { user = a#b; }\n" REST, "t:1: gateway: user: expected ';' at the end\n"
                                       "t:2: gateway: gateway: expected '=' after the key\n"
                                       "t:2: gateway: hostname: is required\n"},
    {"gateway { user = \"a\\\n" REST,
     "t:1: gateway: unknown escape in a string; known are \\\" \\\\ \\n \\t \\xNN\n"
     "t:2: gateway: hostname: is required\n"},
    {"gateway { user = \"\033[31m\"; eal_prefix = \"a\\x1bb\"; lanes = \"\\x1b\"; }\n" REST,
     "t:1: gateway: control character in a string; write \\xNN\n"
     "t:1: gateway: lanes: must be a number: digits, not ?\n"},
    {"dns { servers = { 192.0.2.1, 192.0.2.1:53, 2001:db8::1, \"[2001:db8::1]:53\" };\n"
     "stubs = { \"bl.example=192.0.2.1\", \"lab=[::1]:5353\" }; trust_anchor = /x; }\n" REST,
     ""},
    {"dns { servers = { ns.example }; }\n" REST,
     "t:1: dns: servers: must be an IP address, or address:port, not ns.example\n"},
    {"dns { servers = { 192.0.2.0/24 }; stubs = { 192.0.2.1 }; }\n" REST,
     "t:1: dns: servers: must be an IP address, or address:port, not 192.0.2.0/24\n"
     "t:1: dns: stubs: must be \"zone=address\" or \"zone=address:port\", not 192.0.2.1\n"},
    {"dns { stubs = { \"a b=192.0.2.1\" }; }\n" REST,
     "t:1: dns: stubs: must be \"zone=address\" or \"zone=address:port\", not a b=192.0.2.1\n"},
    {"dns { stubs = { \"lab=192.0.2.1:0\" }; lookups = 0; }\n" REST,
     "t:1: dns: stubs: must be \"zone=address\" or \"zone=address:port\", not lab=192.0.2.1:0\n"
     "t:1: dns: lookups: must be 1 to 4096, not 0\n"},
    {"gateway { lanes = 2 }\n" REST, "t:1: gateway: lanes: expected ';'\n"},
    {"gateway { lanes = 2\n idle = poll;\n}\n" REST,
     "t:1: gateway: lanes: expected ';' at the end\n"},
    {"gateway { lanes 2;\n idle = pol; }\n" REST,
     "t:1: gateway: lanes: expected '=' after the key\n"
     "t:2: gateway: idle: must be one of: adaptive poll, not pol; did you mean poll?\n"},
    {"gateway { lanes = ; idle = pol; }\n" REST,
     "t:1: gateway: lanes: expected a value\n"
     "t:1: gateway: idle: must be one of: adaptive poll, not pol; did you mean poll?\n"},
    {"gateway { = 2; idle = pol; }\n" REST,
     "t:1: gateway: expected a key\n"
     "t:1: gateway: idle: must be one of: adaptive poll, not pol; did you mean poll?\n"},
    {"gateway { \"lanes\" = 2; }\n" REST, "t:1: gateway: expected a key\n"},
    {"gateway { lanes = 1 2; idle = pol; }\n" REST,
     "t:1: gateway: lanes: expected ';'\n"
     "t:1: gateway: idle: must be one of: adaptive poll, not pol; did you mean poll?\n"},
    {"gateway { lanes = { 1 2 }; }\n" REST,
     "t:1: gateway: lanes: expected ',' or '}' in the list\n"},
    {"gateway { lanes = { 1, 2; idle = poll; }\n" REST,
     "t:1: gateway: lanes: expected ',' or '}' in the list\n"},
    {"gateway { lane_cpus = { 1, , 2 }; idle = pol; }\n" REST,
     "t:1: gateway: lane_cpus: expected ',' or '}' in the list\n"
     "t:1: gateway: idle: must be one of: adaptive poll, not pol; did you mean poll?\n"},
    {"gateway { lane_cpus = { { 1 } }; idle = pol; }\n" REST,
     "t:1: gateway: lane_cpus: expected ',' or '}' in the list\n"
     "t:1: gateway: idle: must be one of: adaptive poll, not pol; did you mean poll?\n"},
    {"}\n" REST, "t:1: expected a block or include\n"},
    {"{ a = b; }\nlog { level = loud; }\n" REST,
     "t:1: expected a block or include\n"
     "t:2: log: level: must be one of: error warn info debug, not loud\n"},
    {"= ; ; ;\n" REST, "t:1: expected a block or include\n"},
    {"gateway lanes = 2; }\n" REST, "t:1: gateway lanes: this block has no name\n"
                                    "t:1: gateway lanes: expected '{'\n"
                                    "t:1: expected a block or include\n"},
    {"" REST "\nlog { level = info;", "t:2: log: block is not closed\n"},
    {"" REST "\nlog", "t:2: log: expected '{'\n"},
    {"" REST "\nlog {", "t:2: log: block is not closed\n"},
    {"" REST "\nlog { level", "t:2: log: level: expected '=' after the key\n"
                              "t:2: log: block is not closed\n"},
    {"" REST "\nlog { level =", "t:2: log: level: expected a value\n"
                                "t:2: log: block is not closed\n"},
    {"" REST "\nlog { level = info", "t:2: log: level: expected ';'\n"
                                     "t:2: log: block is not closed\n"},
    {"gateway { include \"x\"; }\n" REST, "t:1: gateway: include: expected '=' after the key\n"},
    {"include;\n" REST, "t:1: include: expected a path\n"},
    {"include \"x\" \"y\";\n" REST, "t:1: include: expected ';'\n"},
    {"include \"missing.conf\";\nlog { level = loud; }\n" REST,
     "t:1: include: missing.conf: No such file or directory\n"
     "t:2: log: level: must be one of: error warn info debug, not loud\n"},
    {"include \"self.conf\";\n" REST,
     "self.conf:2: include: self.conf: a file cannot include itself\n"},
    {"include \"bad.conf\";\nlog { level = loud; }\n" REST,
     "bad.conf:2: log: level: must be one of: error warn info debug, not loud\n"
     "t:2: log: level: given twice, first at bad.conf:2\n"},
    {"include \"bad.conf\"\n" REST,
     "t:1: include: expected ';' at the end\n"
     "bad.conf:2: log: level: must be one of: error warn info debug, not loud\n"},
    {"gatewya { lanes = 2; }\n" REST, "t:1: gatewya: unknown block; did you mean gateway?\n"},
    {"frobnicate { lanes = 2; lanes = { 3, 4 }; }\n" REST,
     "t:1: frobnicate: unknown block; sluiced --help tells those there are\n"},
    {"frobnicate { lanes 2; }\nlog { level = loud; }\n" REST,
     "t:1: frobnicate: unknown block; sluiced --help tells those there are\n"
     "t:1: frobnicate: lanes: expected '=' after the key\n"
     "t:2: log: level: must be one of: error warn info debug, not loud\n"},
    {"includ \"x\";\n" REST, "t:1: includ: unknown block; did you mean include?\n"
                             "t:1: includ x: expected '{'\n"},
    {"log mx { level = info; }\n" REST, "t:1: log mx: this block has no name\n"},
    {"port { device = x; }\n" REST, "t:1: port: this block needs a name\n"},
    {"port \"\" { device = x; address = 10.9.0.3/24; }\n" REST,
     "t:1: port: the name must be 1 to 31 letters, digits and _\n"},
    {"port a-b { device = x; address = 10.9.0.3/24; }\n" REST,
     "t:1: port a-b: the name must be 1 to 31 letters, digits and _\n"},
    {"port net0123456789012345678901234567 { device = x; address = 10.9.0.3/24; }\n" REST, ""},
    {"route exa_mple { host = 10.9.0.2:25; }\n" REST,
     "t:1: route exa_mple: the name must be a domain, .domain for all below it, or default\n"},
    {"route . { host = 10.9.0.2:25; }\n" REST,
     "t:1: route .: the name must be a domain, .domain for all below it, or default\n"},
    {"route .Example.org { host = 10.9.0.2:25; }\nroute .example.ORG { }\n" REST,
     "t:2: route .example.ORG: given twice, first at t:1\n"},
    {"destination .a { tls = encrypt; }\ndestination A { tls = dane; }\n" REST, ""},
    {"destination a_b { tls = may; }\n" REST,
     "t:1: destination a_b: the name must be a domain, or .domain\n"},
    {"destination a.example { tls = may; }\ndestination A.example { tls = may; }\n" REST,
     "t:2: destination A.example: given twice, first at t:1\n"},
    {"destination a { }\n" REST, "t:1: destination a: tls: is required\n"},
    {"destination a { tls = fingerprint; }\n" REST,
     "t:1: destination a: fingerprints: is required for tls = fingerprint\n"},
    {"destination a { tls = fingerprint; fingerprints = 00112233; }\n" REST,
     "t:1: destination a: fingerprints: must be 64 hexadecimal digits each: SHA-256\n"},
    {"destination a { tls = fingerprint; fingerprints = { "
     "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF, "
     "\"00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:"
     "ee:ff\" }; }\n" REST,
     ""},
    {"destination a { tls = encrypt; names = b; }\n" REST,
     "t:1: destination a: names: has no effect without tls = verify or secure\n"},
    {"destination a { tls = verify; names = { mx.b, 192.0.2.1, \"*.b\" }; }\n" REST,
     "t:1: destination a: names: must be domains, or IP addresses\n"},
    {"delivery { tls = fingerprint; }\n" REST,
     "t:1: delivery: tls: fingerprint is for destination blocks, which have fingerprints\n"},
    {"route Example.org { host = 10.9.0.2:25; }\nroute example.ORG { host = 10.9.0.2:25; }\n" REST,
     "t:2: route example.ORG: given twice, first at t:1\n"},
    {"log { levle = info; }\n" REST, "t:1: log: levle: unknown key; did you mean level?\n"},
    {"log { lanes = 2; }\n" REST, "t:1: log: lanes: unknown key; it belongs into block gateway\n"},
    {"log { message_sise = 2; }\n" REST,
     "t:1: log: message_sise: unknown key; sluiced --help tells those there are\n"},
    {"log { zebra = 2; }\n" REST,
     "t:1: log: zebra: unknown key; sluiced --help tells those there are\n"},
    {"log { level = info; level = loud; }\n" REST, "t:1: log: level: given twice, first at t:1\n"},
    {"log { level = info; }\nlog {\nlevel = warn; }\n" REST,
     "t:3: log: level: given twice, first at t:1\n"},
    {"port net0 { device = d2; address = 10.9.1.1/24; }\n" REST,
     "t:2: port net0: given twice, first at t:1\n"},
    {"port net1 { }\n" REST, "t:1: port net1: device: is required\n"
                             "t:1: port net1: address: is required\n"},
    {"port n { device = dd; address = 10.1.0.1/24; host_device = sixteen-letters-; }\n" REST,
     "t:1: port n: host_device: must be the name of an interface: at most 15 letters, digits, . - "
     "and _\n"},
    {"port n { device = dd; address = 10.1.0.1/24; host_device = h%d; }\n" REST,
     "t:1: port n: host_device: must be the name of an interface: at most 15 letters, digits, . - "
     "and _\n"},
    {"port n { device = \"net_tap0,iface=gw0\"; address = 10.1.0.1/24; host_device = gw0; }\n" REST,
     "t:1: port n: host_device: gw0 is the port's own device\n"},
    {"port n { device = dd; address = 10.1.0.1/24; host_device = h; }\n"
     "port o { device = ee; address = 10.2.0.1/24; host_device = h; }\n" REST,
     "t:2: port o: host_device: is that of port n, too\n"},
    {"port n { device = dd; address = 10.1.0.1/24; host_rate = 0; host_burst = 0; }\n" REST,
     "t:1: port n: host_rate: must be 1 to 10000000, not 0\n"
     "t:1: port n: host_burst: must be 1 to 1000000, not 0\n"},
    {"port net1 { device = \"\"; address = { }; }\n" REST,
     "t:1: port net1: device: must not be empty\n"
     "t:1: port net1: address: must not be empty\n"},
    {"listener mx { port = net0; tcp_port = 26; }\n" REST,
     "t:2: listener mx: given twice, first at t:1\n"},
    {"gateway { lanes = two; }\n" REST, "t:1: gateway: lanes: must be a number: digits, not two\n"},
    {"gateway { lanes = 0; }\n" REST, "t:1: gateway: lanes: must be 1 to 64, not 0\n"},
    {"gateway { lanes = 65; }\n" REST, "t:1: gateway: lanes: must be 1 to 64, not 65\n"},
    {"gateway { lanes = -1; }\n" REST, "t:1: gateway: lanes: must be a number: digits, not -1\n"},
    {"gateway { lanes = 1k; }\n" REST, "t:1: gateway: lanes: must be a number: digits, not 1k\n"},
    {"gateway { lanes = 99999999999999999999999; }\n" REST,
     "t:1: gateway: lanes: must be 1 to 64, not 99999999999999999999999\n"},
    {"gateway { lanes = 18446744073709551616; }\n" REST,
     "t:1: gateway: lanes: must be 1 to 64, not 18446744073709551616\n"},
    {"gateway { lanes = \"\"; }\n" REST, "t:1: gateway: lanes: must not be empty\n"},
    {"gateway { lanes = { 1, 2 }; }\n" REST, "t:1: gateway: lanes: takes one value, not a list\n"},
    {"gateway { lanes = { }; }\n" REST, "t:1: gateway: lanes: takes one value, not a list\n"},
    {"smtp { message_size = 50m; }\n" REST,
     "t:1: smtp: message_size: must be a size: digits with k, M, G, T or no unit, not 50m\n"},
    {"smtp { message_size = 1.5M; }\n" REST,
     "t:1: smtp: message_size: must be a size: digits with k, M, G, T or no unit, not 1.5M\n"},
    {"smtp { message_size = 99999999999999G; }\n" REST,
     "t:1: smtp: message_size: must be 1k to 4G, not 99999999999999G\n"},
    {"smtp { message_size = 5G; }\n" REST, "t:1: smtp: message_size: must be 1k to 4G, not 5G\n"},
    {"smtp { message_size = 1023; }\n" REST,
     "t:1: smtp: message_size: must be 1k to 4G, not 1023\n"},
    {"smtp { message_size = M; }\n" REST,
     "t:1: smtp: message_size: must be a size: digits with k, M, G, T or no unit, not M\n"},
    {"queue { lifetime = 5; }\n" REST,
     "t:1: queue: lifetime: must be a duration: digits with ms, s, m, h, d or w, not 5\n"},
    {"queue { lifetime = 5y; }\n" REST,
     "t:1: queue: lifetime: must be a duration: digits with ms, s, m, h, d or w, not 5y\n"},
    {"queue { lifetime = 1h30m; }\n" REST,
     "t:1: queue: lifetime: must be a duration: digits with ms, s, m, h, d or w, not 1h30m\n"},
    {"queue { lifetime = 0; }\n" REST, "t:1: queue: lifetime: must be 1s to 30d, not 0\n"},
    {"queue { lifetime = 31d; }\n" REST, "t:1: queue: lifetime: must be 1s to 30d, not 31d\n"},
    {"queue { lifetime = 999999999999w; }\n" REST,
     "t:1: queue: lifetime: must be 1s to 30d, not 999999999999w\n"},
    {"tcp { congestion = reno; }\n" REST,
     "t:1: tcp: congestion: must be one of: cubic newreno, not reno\n"},
    {"tcp { ecn = on; }\n" REST, "t:1: tcp: ecn: must be one of: answer ask off, not on\n"},
    {"tcp { sack = 1; timestamps = on; keepalive_probes = 0; }\n" REST,
     "t:1: tcp: sack: must be one of: no yes, not 1\n"
     "t:1: tcp: timestamps: must be one of: no yes, not on\n"
     "t:1: tcp: keepalive_probes: must be 1 to 100, not 0\n"},
    {"tcp { msl = 99ms; }\n" REST, "t:1: tcp: msl: must be 100ms to 2m, not 99ms\n"},
    {"gateway { idle = adaptiv; }\n" REST,
     "t:1: gateway: idle: must be one of: adaptive poll, not adaptiv; did you mean adaptive?\n"},
    {"gateway { idle = sleep; }\n" REST,
     "t:1: gateway: idle: must be one of: adaptive poll, not sleep\n"},
    {"gateway { idle = \"\"; }\n" REST, "t:1: gateway: idle: must not be empty\n"},
    {"gateway { sandbox = true; }\n" REST,
     "t:1: gateway: sandbox: must be one of: no yes, not true\n"},
    {"gateway { run_dir = run; }\n" REST,
     "t:1: gateway: run_dir: must be an absolute path, not run\n"},
    {"gateway { run_dir = \"\"; }\n" REST, "t:1: gateway: run_dir: must not be empty\n"},
    {"spool { path = ./x; }\n" REST, "t:1: spool: path: must be an absolute path, not ./x\n"},
    {"log { file = sluice.log; }\n" REST,
     "t:1: log: file: must be stderr or an absolute path, not sluice.log\n"},
    {"gateway { lane_cpus = { 0, 1 }; }\n" REST,
     "t:1: gateway: lane_cpus: must be as many as lanes (1), not 2\n"},
    {"gateway { lanes = 2; lane_cpus = { 1, 1 }; }\n" REST,
     "t:1: gateway: lane_cpus: 1 stands twice\n"},
    {"gateway { lane_cpus = x; }\n" REST,
     "t:1: gateway: lane_cpus: must be numbers 0 to 1023, not x\n"},
    {"gateway { lane_cpus = 1024; }\n" REST,
     "t:1: gateway: lane_cpus: must be numbers 0 to 1023, not 1024\n"},
    {"tls { key_threads = 2; key_cpus = { 2, 3, x }; }\n" REST,
     "t:1: tls: key_cpus: must be numbers 0 to 1023, not x\n"
     "t:1: tls: key_cpus: must be as many as key_threads (2), not 3\n"},
    {"tls { key_operations = card; key_threads = 65; handshakes_per_client = many; }\n" REST,
     "t:1: tls: key_operations: must be one of: inline pool, not card\n"
     "t:1: tls: key_threads: must be 1 to 64, not 65\n"
     "t:1: tls: handshakes_per_client: must be a number: digits, not many\n"},
    {"gateway { eal_args = { a, \"\" }; }\n" REST, "t:1: gateway: eal_args: must not be empty\n"},
    {"relay { networks = 10.9.0.1/24; }\n" REST,
     "t:1: relay: networks: must be network/length with no bit set behind the length, not "
     "10.9.0.1/24\n"},
    {"relay { networks = { 10.0.0.0/8, 10.9.0.0/33 }; }\n" REST,
     "t:1: relay: networks: must be network/length, not 10.9.0.0/33\n"},
    {"relay { networks = 2001:db8::1/32; }\n" REST,
     "t:1: relay: networks: must be network/length with no bit set behind the length, not "
     "2001:db8::1/32\n"},
    {"relay { networks = localhost; }\n" REST,
     "t:1: relay: networks: must be network/length, not localhost\n"},
    {"relay { networks = 10.0.0.0/; }\n" REST,
     "t:1: relay: networks: must be network/length, not 10.0.0.0/\n"},
    {"relay { networks = 10.0.0.0/8/8; }\n" REST,
     "t:1: relay: networks: must be network/length, not 10.0.0.0/8/8\n"},
    {"relay { networks = 256.0.0.1; }\n" REST,
     "t:1: relay: networks: must be network/length, not 256.0.0.1\n"},
    {"relay { domains = { example.org, -x.org }; }\n" REST,
     "t:1: relay: domains: must be a domain, or .domain for all below it, not -x.org\n"},
    {"relay { domains = ..org; }\n" REST,
     "t:1: relay: domains: must be a domain, or .domain for all below it, not ..org\n"},
    {"relay { domains = a..b; }\n" REST,
     "t:1: relay: domains: must be a domain, or .domain for all below it, not a..b\n"},
    {"relay { domains = . ; }\n" REST,
     "t:1: relay: domains: must be a domain, or .domain for all below it, not .\n"},
    {"relay { domains = \"ex ample\"; }\n" REST,
     "t:1: relay: domains: must be a domain, or .domain for all below it, not ex ample\n"},
    {"relay { domains = x-.org; }\n" REST,
     "t:1: relay: domains: must be a domain, or .domain for all below it, not x-.org\n"},
    {"relay { domains = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.org; "
     "}\n" REST,
     "t:1: relay: domains: must be a domain, or .domain for all below it, not "
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"},
    {"route example.org { }\nroute a.example { host = { a.example, [b.example], a.example:24, "
     "[b.example]:24 }; }\n" REST,
     ""},
    {"route a.example { host = { 10.0.0.1, 10.0.0.1:26, [10.0.0.1], [10.0.0.1]:26, [2001:db8::1], "
     "[2001:db8::1]:26 }; }\n" REST,
     ""},
    {"route a.example { via = mx; }\nroute b.example { via = mx; private_networks = 10.0.0.0/8; "
     "}\n" REST,
     ""},
    {"route a.example { via = host; }\n" REST,
     "t:1: route a.example: host: is required where via = host\n"},
    {"route a.example { via = mx; host = x; }\n" REST,
     "t:1: route a.example: host: has no effect with via = mx\n"},
    {"route a.example { host = x; private_networks = 10.0.0.0/8; }\n" REST,
     "t:1: route a.example: private_networks: has no effect without via = mx\n"},
    {"route a.example { host = { a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q }; }\n" REST,
     "t:1: route a.example: host: must be at most 16, not 17\n"},
    {"route a.example { host = lmtp:unix:run/lmtp; }\n" REST,
     "t:1: route a.example: host: must be unix: and an absolute path of at most 107 bytes without "
     "blanks, not lmtp:unix:run/lmtp\n"},
    {"route a.example { host = \"unix:/run/a b\"; }\n" REST,
     "t:1: route a.example: host: must be unix: and an absolute path of at most 107 bytes without "
     "blanks, not unix:/run/a b\n"},
    {"route a.example { host = lmtp:; }\n" REST,
     "t:1: route a.example: host: must be address, name or [name], each with :port or without, not "
     "lmtp:\n"},
    {"route a.example { host = { lmtp:unix:/a, unix:/b }; }\n" REST,
     "t:1: route a.example: host: lmtp:unix:/a needs via = lmtp, or lmtp: before each host\n"},
    {"route a.example { via = host; host = lmtp:a; }\n" REST,
     "t:1: route a.example: host: lmtp:a needs via = lmtp, or lmtp: before each host\n"},
    {"route a.example { via = lmtp; }\n" REST,
     "t:1: route a.example: host: is required where via = lmtp\n"},
    {"route a.example { via = lmtp; host = { lmtp:unix:/a, unix:/b, [c], inet:d:24 }; }\n" REST,
     ""},
    {"route a.example { host = { lmtp:unix:/a, lmtp:inet:b:24, lmtp:[::1] }; }\n" REST, ""},
    {"route a.example { via = host; host = { unix:/a, 127.0.0.1:2525 }; }\n" REST, ""},
    {"route a.example { host = 10.0.0.1:0; }\n" REST,
     "t:1: route a.example: host: must be address, name or [name], each with :port or without, not "
     "10.0.0.1:0\n"},
    {"route a.example { host = 10.0.0.1:65536; }\n" REST,
     "t:1: route a.example: host: must be address, name or [name], each with :port or without, not "
     "10.0.0.1:65536\n"},
    {"route a.example { host = 10.0.0.1:; }\n" REST,
     "t:1: route a.example: host: must be address, name or [name], each with :port or without, not "
     "10.0.0.1:\n"},
    {"route a.example { host = 10.0.0.300; }\n" REST,
     "t:1: route a.example: host: must be address, name or [name], each with :port or without, not "
     "10.0.0.300\n"},
    {"route a.example { host = 2001:db8::1; }\n" REST,
     "t:1: route a.example: host: must be address, name or [name], each with :port or without, not "
     "2001:db8::1\n"},
    {"route a.example { host = 2001:db8::1:25; }\n" REST,
     "t:1: route a.example: host: must be address, name or [name], each with :port or without, not "
     "2001:db8::1:25\n"},
    {"route a.example { host = [a.example; }\n" REST,
     "t:1: route a.example: host: must be address, name or [name], each with :port or without, not "
     "[a.example\n"},
    {"route a.example { host = [a.example]x; }\n" REST,
     "t:1: route a.example: host: must be address, name or [name], each with :port or without, not "
     "[a.example]x\n"},
    {"route a.example { host = a.example:x; }\n" REST,
     "t:1: route a.example: host: must be address, name or [name], each with :port or without, not "
     "a.example:x\n"},
    {"route a.example { host = []:25; }\n" REST,
     "t:1: route a.example: host: must be address, name or [name], each with :port or without, not "
     "[]:25\n"},
    {"route a.example { host = 10.0.0.1/8:25; }\n" REST,
     "t:1: route a.example: host: must be address, name or [name], each with :port or without, not "
     "10.0.0.1/8:25\n"},
    {"route a.example { host = [::1/8]; }\n" REST,
     "t:1: route a.example: host: must be address, name or [name], each with :port or without, not "
     "[::1/8]\n"},
    {"route a.example { host = a_b.example; }\n" REST,
     "t:1: route a.example: host: must be address, name or [name], each with :port or without, not "
     "a_b.example\n"},
    {"route a.example { host = .example.org; }\n" REST,
     "t:1: route a.example: host: must be address, name or [name], each with :port or without, not "
     ".example.org\n"},
    {"port net1 { device = e; address = 10.9.1.1; }\n" REST,
     "t:1: port net1: address: must be address/length, not 10.9.1.1\n"},
    {"port net1 { device = e; address = fe80::1/129; }\n" REST,
     "t:1: port net1: address: must be address/length, not fe80::1/129\n"},
    {"port net1 { device = e; address = { 10.9.1.1/24, x/24 }; }\n" REST,
     "t:1: port net1: address: must be address/length, not x/24\n"},
    {"port net1 { device = e; address = 10.9.1.1/24; gateway = 10.9.2.1/24; }\n" REST,
     "t:1: port net1: gateway: must be an IP address, not 10.9.2.1/24\n"},
    {"port net1 { device = e; address = 10.9.1.1/24; gateway = 10.9.2.1; }\n" REST,
     "t:1: port net1: gateway: 10.9.2.1 is on no link of this port\n"},
    {"port net1 { device = e; address = 10.9.1.1/24; gateway = 10.9.1.1; }\n" REST,
     "t:1: port net1: gateway: 10.9.1.1 is this port's own address\n"},
    {"port net1 { device = e; address = 10.9.1.1/24; gateway = fe80::1; }\n" REST,
     "t:1: port net1: gateway: fe80::1 is of the other family: IPv4 has gateway, IPv6 has "
     "gateway6\n"},
    {"port net1 { device = e; address = fd00::1/64; gateway6 = fe80::1; vlan = 7; }\n" REST, ""},
    {"port net1 { device = e; address = fd00::1/64; gateway6 = fd00::1; }\n" REST,
     "t:1: port net1: gateway6: fd00::1 is this port's own address\n"},
    {"port net1 { device = e; address = fd00::1/64; gateway6 = fd01::1; }\n" REST,
     "t:1: port net1: gateway6: fd01::1 is on no link of this port\n"},
    {"port net1 { device = e; address = fd00::1/64; gateway6 = ff02::1; }\n" REST,
     "t:1: port net1: gateway6: no host may have ff02::1\n"},
    {"port net1 { device = e; address = fd00::1/64; gateway6 = 10.0.0.1; }\n" REST,
     "t:1: port net1: gateway6: 10.0.0.1 is of the other family: IPv4 has gateway, IPv6 has "
     "gateway6\n"},
    {"port net1 { device = e; address = { ::1/64, ff02::1/64, 224.0.0.1/8 }; }\n" REST,
     "t:1: port net1: address: no host may have ::1/64\n"
     "t:1: port net1: address: no host may have ff02::1/64\n"
     "t:1: port net1: address: no host may have 224.0.0.1/8\n"},
    {"port net1 { device = e; address = fd00::1/64; mtu = 1279; }\n" REST,
     "t:1: port net1: mtu: must be at least 1280 for IPv6, not 1279\n"},
    {"port net1 { device = e; address = 10.9.1.1/24; vlan = 4095; }\n" REST,
     "t:1: port net1: vlan: must be 0 to 4094, not 4095\n"},
    {"port net1 { device = d; address = 10.9.1.1/24; }\n" REST,
     "t:2: port net0: device: is that of port net1, too\n"},
    {"port net1 { device = e; address = 10.9.0.1/16; }\n" REST,
     "t:2: port net0: address: 10.9.0.1 is one of port net1, too\n"},
    {"listener b { port = net1; tcp_port = 26; }\n" REST,
     "t:1: listener b: port: there is no port net1; did you mean net0?\n"},
    {"listener b { port = ethernet; tcp_port = 26; }\n" REST,
     "t:1: listener b: port: there is no port ethernet\n"},
    {"listener b { }\n" REST, "t:1: listener b: port: is required\n"},
    {"listener b { port = net0; address = 10.9.0.2; tcp_port = 26; }\n" REST,
     "t:1: listener b: address: 10.9.0.2 is no address of port net0\n"},
    {"listener b { port = net0; }\n" REST,
     "t:2: listener mx: tcp_port: port 25 of this address is that of listener b\n"},
    {"listener b { port = net0; address = 10.9.0.1; }\n" REST,
     "t:2: listener mx: tcp_port: port 25 of this address is that of listener b\n"},
    {"listener b { port = net0; tcp_port = 0; }\n" REST,
     "t:1: listener b: tcp_port: must be 1 to 65535, not 0\n"},
    {"listener b { port = net0; tcp_port = 26; proxy = required; }\n" REST,
     "t:1: listener b: proxy_from: is required where proxy = required\n"},
    {"listener b { port = net0; tcp_port = 26; tls = may; }\n"
     "listener c { port = net0; tcp_port = 587; kind = submission; }\n"
     "listener d { port = net0; tcp_port = 465; tls = secure; }\n" REST,
     "t:1: listener b: tls: needs a certificate block, or none\n"
     "t:2: listener c: tls: needs a certificate block, or none\n"
     "t:3: listener d: tls: must be one of: auto none may encrypt implicit, not secure\n"},
    {"listener b { port = net0; tcp_port = 26; auth_cleartext = yes; }\n" REST,
     "t:1: listener b: auth_cleartext: has no place where kind = mx\n"},
    {"listener b { port = net0; tcp_port = 26; tls_client_ca = /ca.pem; }\n"
     "listener c { port = net0; tcp_port = 587; kind = submission; tls = none; tls_client_ca = "
     "/ca.pem; }\n"
     "listener d { port = net0; tcp_port = 27; tls_client_ca = ca.pem; }\n"
     "listener e { port = net0; tcp_port = 28; xclient_networks = 192.0.2.1/24; }\n" REST,
     "t:1: listener b: tls_client_ca: has no place where kind = mx\n"
     "t:2: listener c: tls_client_ca: has no effect without TLS\n"
     "t:3: listener d: tls_client_ca: must be an absolute path, not ca.pem\n"
     "t:4: listener e: xclient_networks: must be network/length with no bit set "
     "behind the length, not 192.0.2.1/24\n"},
    {"listener b { port = net0; tcp_port = 587; kind = submission; tls_client_ca = /ca.pem; "
     "}\n" REST,
     "t:1: listener b: tls: needs a certificate block, or none\n"
     "t:1: listener b: tls_client_ca: has no effect without auth: backend\n"},
    {"limits { connections_per_client = -1;\nconnection_rate = many;\nmessage_rate = 200001;\n"
     "recipient_rate = 1m;\nlogin_message_rate = { 1, 2 };\nlogin_recipient_rate = ; }\n" REST,
     "t:1: limits: connections_per_client: must be a number: digits, not -1\n"
     "t:2: limits: connection_rate: must be a number: digits, not many\n"
     "t:3: limits: message_rate: must be 0 to 200000, not 200001\n"
     "t:4: limits: recipient_rate: must be a number: digits, not 1m\n"
     "t:5: limits: login_message_rate: takes one value, not a list\n"
     "t:6: limits: login_recipient_rate: expected a value\n"},
    {"provider p { on_reply = { \"421 stop\", \"4xx\" }; rate = 20; }\nprovider q { mx = { \"a b\" "
     "};\n"
     "recipient_rate = 5/w; connections = x; }\n" REST,
     "t:1: provider p: rate: must be a rate: 20/s, 100/m, 5000/h, or 0, not 20\n"
     "t:1: provider p: mx: is required, or domains\n"
     "t:1: provider p: on_reply: \"421 stop\": must be connections=N, connections=half, "
     "rate=half, wait=TIME, suspend=TIME or retry, behind a code (4xx), an enhanced code (4.7.x) "
     "and a /pattern/, not stop\n"
     "t:1: provider p: on_reply: \"4xx\": needs something to do, not 4xx\n"
     "t:2: provider q: mx: must be a host name with * in it, or without, not a b\n"
     "t:2: provider q: mx: is required, or domains\n"
     "t:3: provider q: recipient_rate: must be a rate: 20/s, 100/m, 5000/h, or 0, not 5/w\n"
     "t:3: provider q: connections: must be a number: digits, not x\n"},
    {"limits { unknown_recipients = 1000001;\nclient_prefix = 33;\nclient_prefix6 = 8;\nclients = "
     "63;\nexempt_networks = { 10.0.0.0/33, 10.0.0.1/8, ten };\nearly_commands = yes; }\n" REST,
     "t:1: limits: unknown_recipients: must be 0 to 1000000, not 1000001\n"
     "t:2: limits: client_prefix: must be 8 to 32, not 33\n"
     "t:3: limits: client_prefix6: must be 16 to 128, not 8\n"
     "t:4: limits: clients: must be 64 to 16777216, not 63\n"
     "t:5: limits: exempt_networks: must be network/length, not 10.0.0.0/33\n"
     "t:6: limits: early_commands: must be one of: count refuse, not yes\n"},
    {"limits { data_rate_min = 500x;\nstress = 101;\nstress_timeout = 10;\nstres = 1; }\n" REST,
     "t:1: limits: data_rate_min: must be a size: digits with k, M, G, T or no unit, not 500x\n"
     "t:2: limits: stress: must be 0 to 100, not 101\n"
     "t:3: limits: stress_timeout: must be a duration: digits with ms, s, m, h, d or w, not 10\n"
     "t:4: limits: stres: unknown key; did you mean stress?\n"},
    {"limits { stress = 1;\nstress = 2; }\nlimits { stress = 3; }\n" REST,
     "t:2: limits: stress: given twice, first at t:1\n"
     "t:3: limits: stress: given twice, first at t:1\n"},
    {"auth { backend = passwd; mechanisms = { PLAIN, CRAM-MD5 }; }\n" REST,
     "t:1: auth: passwd_file: is required for backend = passwd\n"
     "t:1: auth: mechanisms: CRAM-MD5 is none of PLAIN LOGIN SCRAM-SHA-256 "
     "SCRAM-SHA-256-PLUS\n"},
    {"auth { backend = dovecot;\nmechanisms = SCRAM-SHA-256-PLUS; }\n" REST,
     "t:1: auth: dovecot_socket: is required for backend = dovecot\n"
     "t:2: auth: mechanisms: SCRAM-SHA-256-PLUS cannot be carried through to Dovecot\n"},
    {"certificate a { chain = a.pem; }\n" REST,
     "t:1: certificate a: chain: must be an absolute path, not a.pem\n"
     "t:1: certificate a: key: is required\n"},
    {"listener b { port = net0; tcp_port = 26; proxy_from = 10.9.0.7; }\n" REST,
     "t:1: listener b: proxy_from: has no effect without proxy = required\n"},
    {"listener b { port = net0; tcp_port = 26; proxy = yes; }\n" REST,
     "t:1: listener b: proxy: must be one of: none required, not yes\n"},
    {"spool { accept = no; }\n" REST,
     "t:1: spool: accept: no for every spool: no mail could be taken, one has to accept\n"},
    {"spool { size = 255M; }\n" REST, "t:1: spool: size: must be at least 4 segments\n"},
    {"spool { segment_size = 257M; }\n" REST, "t:1: spool: size: must be at least 4 segments\n"},
    {"spool { segment_size = 1025k; }\n" REST,
     "t:1: spool: segment_size: must be whole megabytes\n"},
    {"spool { size = 16M; segment_size = 4M; }\n" REST,
     "t:1: smtp: message_size: does not fit into the spool, which is its size less 2 segments\n"},
    {"smtp { message_size = 1G; }\n" REST,
     "t:1: smtp: message_size: does not fit into the spool, which is its size less 2 segments\n"},
    {"spool { segment_size = 1M; batch_size = 2M; }\n" REST,
     "t:1: spool: batch_size: must not be over segment_size\n"},
    {"spool { batch_size = 65537; }\n" REST, "t:1: spool: batch_size: must be a multiple of 4k\n"},
    {"spool { size = 1024G; segment_size = 1M; batch_size = 64k; }\n" REST,
     "t:1: spool: segment_size: must be larger: size takes too many\n"},
    {"smtp { header_size = 15M; message_size = 1M; }\n" REST,
     "t:1: smtp: header_size: must not be over message_size\n"},
    {"smtp { message_size = 64k; }\n" REST,
     "t:1: smtp: header_size: must not be over message_size\n"},
    {"queue { backoff_min = 2h; }\n" REST,
     "t:1: queue: backoff_max: must not be under backoff_min\n"},
    {"queue { backoff_max = 10s; }\n" REST,
     "t:1: queue: backoff_max: must not be under backoff_min\n"},
    {"queue { backoff_min = 2h; backoff_max = 1x; }\n" REST,
     "t:1: queue: backoff_max: must be a duration: digits with ms, s, m, h, d or w, not 1x\n"},
    {"control { socket = "
     "/ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss"
     "sssssssssssssss; }\n" REST,
     "t:1: control: socket: is longer than 107 bytes\n"},
    {"", "t:1: gateway: hostname: is required\n"
         "t:1: port: at least one is required\n"
         "t:1: listener: at least one is required\n"},
    {"gateway { hostname = a_b; }\n", "t:1: gateway: hostname: must be a domain, not a_b\n"
                                      "t:1: port: at least one is required\n"
                                      "t:1: listener: at least one is required\n"},
    {"gateway{hostname=h;}port net0{device=d;address=10.9.0.1/24;}listener mx{port=net0;}\n", ""},
    {"gateway { hostname = h; }\nport net0 { device = d; address = x; gateway = 10.9.0.2; "
     "}\nlistener mx { port = net0; address = 10.9.0.1; }\nroute default { host = /; }\n",
     "t:2: port net0: address: must be address/length, not x\n"
     "t:4: route default: host: must be address, name or [name], each with :port or without, not "
     "/\n"},
    {"gateway {\n  hostname = mx.example.org;\n  lanez = 2;\n}\nport net0 {\n  device = \"d\";\n  "
     "address = 10.9.0.1/24;\n}\nlistener mx { port = net1; tcp_port = 70000; }\nspool { size = "
     "100M; }\nroute default { host = 10.9.0.2:; }\n",
     "t:3: gateway: lanez: unknown key; did you mean lanes?\n"
     "t:9: listener mx: tcp_port: must be 1 to 65535, not 70000\n"
     "t:9: listener mx: port: there is no port net1; did you mean net0?\n"
     "t:10: spool: size: must be at least 4 segments\n"
     "t:11: route default: host: must be address, name or [name], each with :port or without, not "
     "10.9.0.2:\n"},
};

#endif
