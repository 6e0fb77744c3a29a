"""ICMP errors cross sluice translated, and sluice sends its own (facts: RFC 792, 1191, 4443, 8201).

    client -- sluice -- s1                  port unreachable from s1; time exceeded from sluice
    client -- sluice -- narrow =1400= s1    fragmentation needed / packet too big from the router `narrow`
    client -- sluice =1280= narrow -- s1    the same without them: the MSS alone
"""

import hashlib

from testbed.lab import wait_for


def test_port_unreachable_reaches_the_client(site, family):
    """Case 2: the server's ICMP error comes with the client's view of the connection inside."""
    site.balance(site.service("closed", family=family, port=5999, protocol="udp", numbers=[1]))
    assert site.talk("client", "udp-ask", site.lab.vip(family), 5999) == "ECONNREFUSED"


def test_a_narrow_path_to_the_server_is_discovered(make_site, device, family, tmp_path):
    """Case 10: `narrow` says fragmentation needed to sluice's address; the client must learn of it and go on."""
    payload = tmp_path / "payload"
    payload.write_bytes(bytes(range(251)) * 40_000)
    site = make_site(device=device, path_mtu=1400)
    site.listen("s1", "sink", 9000)
    site.balance(site.service("sink", family=family, port=9000, numbers=[1]))
    vip = site.lab.vip(family)
    digest = hashlib.sha256(payload.read_bytes()).hexdigest()
    assert site.talk("client", "upload", vip, 9000, payload, timeout=60) == digest
    route = site.lab.run("client", "ip", "route", "get", vip).stdout
    assert "mtu 1400" in route, f"the client did not learn the path's MTU: {route}"


def test_time_exceeded_for_the_last_hop(site, family):
    """A traceroute sees sluice as a hop."""
    site.listen("s1", "udp-echo", 7000)
    site.balance(site.service("echo", family=family, port=7000, protocol="udp", numbers=[1]))
    vip = site.lab.vip(family)
    assert site.talk("client", "udp-ask", vip, 7000, 1) == "EHOSTUNREACH"
    assert site.talk("client", "udp-ask", vip, 7000, 2) == "hello"
    wait_for(lambda: site.sluice.drops(), "drop counters")


def without_icmp(lab):
    """Neither end hears what ICMP errors tell: of a path's MTU, among other things."""
    rules = """table inet blocked { chain input {
        type filter hook input priority 0; icmp type destination-unreachable drop; icmpv6 type packet-too-big drop;
    }
    }"""
    for node in ("client", "s1"):
        lab.run(node, "nft", "-f", "-", stdin=rules)


def segment_size(lab, host, port):
    """What a new connection of the client sends at most, in bytes of TCP payload."""
    ask = f"import socket; s = socket.create_connection(({host!r}, {port})); print(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))"
    return int(lab.run("client", "/usr/bin/python3", "-c", ask).stdout)


def test_a_narrow_path_needs_no_icmp(make_site, device, family, tmp_path):
    """Case 10: sluice's route to the server says what the path carries, and neither end is told to send more."""
    body = bytes(range(251)) * 40_000
    (tmp_path / "body").write_bytes(body)
    (tmp_path / "answer").write_bytes(b"HTTP/1.0 200 OK\r\n\r\n" + body)
    site = make_site(device=device, path_mtu=1280)
    lab, vip = site.lab, site.lab.vip(family)
    without_icmp(lab)
    lab.run("narrow", "ip", "route", "add", vip, "dev", "lan", "mtu", "lock", "1280")  # as narrow on the way back
    site.listen("s1", "sink", 9000)
    site.listen("s1", "answer", 9001, tmp_path / "answer")
    site.balance(*(site.service(f"port{port}", family=family, port=port, numbers=[1]) for port in (9000, 9001)))
    route = ("10.30.0.0/24", "via", "192.0.2.3") if family == 4 else ("2001:db8:3::/64", "via", "2001:db8:1::3")
    lab.run("lb", "ip", "route", "replace", *route, "mtu", "1280")
    carried = 1280 - (40 if family == 4 else 60)
    wait_for(lambda: segment_size(lab, vip, 9000) <= carried, "the route's MTU in the MSS")

    assert site.talk("client", "upload", vip, 9000, tmp_path / "body", timeout=60) == hashlib.sha256(body).hexdigest()
    url = f"http://{vip if family == 4 else f'[{vip}]'}:9001/"
    lab.run("client", "curl", "-sS", "--max-time", "60", "-o", tmp_path / "got", url)
    assert (tmp_path / "got").read_bytes() == body
    assert site.sluice.drops().get("icmp_sent", 0) == 0, "sluice had no need to tell either"
