"""ICMP errors cross sluice translated, and sluice sends its own (facts: RFC 792, 1191, 4443, 8201).

    client -- sluice -- s1                  port unreachable from s1; time exceeded from sluice
    client -- sluice -- narrow =1400= s1    fragmentation needed / packet too big from the router `narrow`
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
