"""A connection that must end is ended at both ends, by a RST that real sockets take; none is just forgotten.

    client -- sluice -- s1 (witness: says how each connection ended)
"""

import subprocess
import time

from conftest import wait_for
from oracle import Screen

# Port of the service: its settings. Clients and server say nothing at all. The first is the one that lives on.
TIMEOUTS = {8005: {"timeouts": {"client": "2500ms"}, "idle_refresh": "any"},
            8001: {"timeouts": {"client": "2s", "server": "1h"}},
            8002: {"timeouts": {"client": "1h", "server": "2s"}},
            8003: {"timeouts": {"tunnel": "2s"}},
            8004: {"timeouts": {"client": "2500ms"}, "idle_refresh": "data"}}
KEEPALIVES = (8004, 8005)  # every second


def endure(site, port, *words, family=4):
    client = site.peer("client", "endure", site.lab.vip(family), port, *words, stdout=subprocess.PIPE, text=True)
    assert client.stdout.readline() == "open\n"
    return client


def ends_at_server(site, port, server="s1"):
    lines = site.lab.read(f"peer-{server}-witness-{port}.log").split()
    return [line for line in lines if line != "open"]


def test_idle_connections_are_reset_at_both_ends(site, family):
    for port in TIMEOUTS:
        site.listen("s1", "witness", port)
    site.balance(*[site.service(f"s{port}", family=family, port=port, numbers=[1], **settings) for port, settings in TIMEOUTS.items()])
    start = time.monotonic()
    clients = {port: endure(site, port, *([1] if port in KEEPALIVES else []), family=family) for port in TIMEOUTS}
    for port, client in clients.items():
        if port != 8005:
            assert client.stdout.readline().strip() == "ECONNRESET", port
            wait_for(lambda: ends_at_server(site, port) == ["ECONNRESET"], f"the server's end, port {port}")
    assert time.monotonic() - start > 2
    # Older than the one on port 8004, which was idle for as long and has ended: keepalives keep this one.
    assert clients[8005].poll() is None and ends_at_server(site, 8005) == []


def test_sessions_are_shut_down_when_their_server_goes_down(site, family):
    site.listen("s1", "witness", 8001)
    site.listen("s1", "witness", 8002)
    check = {"type": "tcp", "interval": "200ms", "rise": 1, "fall": 1}
    services = [site.service(name, family=family, port=port, numbers=[1], check=check) for name, port in (("cut", 8001), ("kept", 8002))]
    services[0]["servers"][0]["on_marked_down"] = "shutdown-sessions"
    site.balance(*services)
    cut, kept = endure(site, 8001, family=family), endure(site, 8002, family=family)
    Screen(site.lab, "s1").set("refuse")
    assert cut.stdout.readline().strip() == "ECONNRESET"
    wait_for(lambda: ends_at_server(site, 8001) == ["ECONNRESET"], "the server's end")
    site.sluice.wait_server("kept", "web1", "down")
    assert kept.poll() is None and ends_at_server(site, 8002) == []


def test_an_operator_kills_flows(site):
    site.listen("s1", "witness", 8001)
    site.listen("s1", "witness", 8002)
    site.balance(*[site.service(f"s{port}", port=port, numbers=[1]) for port in (8001, 8002)])
    killed, spared = endure(site, 8001), endure(site, 8002)
    refused = site.sluice.order("flow", "kill", check=False)
    assert refused.returncode != 0 and "--client" in refused.stderr
    site.sluice.order("flow", "kill", "--service", "s8001")
    assert killed.stdout.readline().strip() == "ECONNRESET"
    wait_for(lambda: ends_at_server(site, 8001) == ["ECONNRESET"], "the server's end")
    assert spared.poll() is None and ends_at_server(site, 8002) == []
