#!/usr/bin/python3
"""Configurations to begin with for fuzz_conf: whole ones, with a value of every type.

    seeds_conf.py all DIRECTORY [COUNT]"""
import pathlib
import sys

BASE = 'gateway{hostname=h;}port n{device="d,a=b";address=10.9.0.1/24;}listener m{port=n;}\n'
MORE = [
    "",
    "spool a{path=/a;size=1G;}spool b{path=/b;}",
    'route default{host={"[a.b]:26",c.d,10.9.0.2};tls=implicit;}route .x.y{via=mx;}',
    'dns_list a{zone=x.y;weight=-3;answers="127.0.0.[2..11;14]";}limits{dns_list_threshold=2;}',
    'dns{servers={10.9.0.3,"10.9.0.4:53"};stubs="x.y=10.9.0.5";}destination a.b{tls=verify;}',
    'recipient{maps={/m,"pcre:/p"};}relay{networks={10.9.0.0/24,2001:db8::/32};domains={a.b,.c.d};}',
    "gateway{lanes=2;lane_cpus={1,2};sandbox=no;}queue{backoff_min=90s;lifetime=2d;}log{level=debug;}",
]
folder = pathlib.Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
for number, more in enumerate(MORE):
    (folder / f"conf{number}").write_text(BASE + more)
