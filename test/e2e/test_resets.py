"""A segment in the middle of a connection that sluice does not know is answered with a correct RST.

    client (scapy) -- sluice -- s1
"""

import json

PROBE = """
import json, sys
from scapy.all import Ether, IP, IPv6, TCP, Raw, srp1, conf
conf.verb = 0
mac, vip, flags = sys.argv[1:]
ip = IPv6(dst=vip) if ":" in vip else IP(dst=vip)
segment = TCP(sport=40123, dport=80, flags=flags, seq=1000, ack=777000)
answer = srp1(Ether(dst=mac) / ip / segment / Raw(b"x" * 10), iface="eth0", timeout=5)
got = answer and answer.getlayer(TCP)
from_ = answer and (answer.getlayer(IPv6) or answer.getlayer(IP)).src
print(json.dumps(got and {"flags": str(got.flags), "seq": got.seq, "ack": got.ack, "sport": got.sport, "from": from_}))
"""


def probe(site, family, flags):
    """Sends a segment of no connection to the VIP; returns what TCP says to it, None: nothing in 5 s."""
    mac = site.sluice.show("ports")[0]["mac"]
    done = site.lab.run("client", "/usr/bin/python3", "-c", PROBE, mac, site.lab.vip(family), flags)
    return json.loads(done.stdout)


def test_mid_stream_segment_is_reset(site, family):
    """RFC 9293 §3.5.2: to a segment with ACK the RST's sequence number is that acknowledgment."""
    site.serve()
    site.balance(*site.both_families("web"))
    answer = probe(site, family, "PA")
    assert answer is not None, "silence: a client would hang until its own time-outs"
    assert "R" in answer["flags"] and answer["seq"] == 777000
    assert answer["sport"] == 80 and answer["from"] == site.lab.vip(family)


def test_a_reset_is_not_answered(site, family):
    site.serve()
    site.balance(*site.both_families("web"))
    assert probe(site, family, "RA") is None


def test_a_service_without_a_server_refuses(site, family):
    """A client learns at once that nobody is there."""
    site.serve()
    web = site.service("web", family=family)
    for server in web["servers"]:
        server["weight"] = 0
    site.balance(web)
    done = site.lab.run("client", "curl", "-sS", "--globoff", "-m", "10",
                        f"http://{'[' + site.lab.vip6 + ']' if family == 6 else site.lab.vip4}/", check=False)
    assert done.returncode == 7, done.stderr  # refused, not timed out
