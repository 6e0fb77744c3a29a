"""A connection that is ended while data is in flight: no RST can carry a number that is still right when it arrives.

    client -- sluice -- s1

Each end then asks back with a challenge ACK (RFC 5961), which is answered with the number that it names.
"""

import json
import socket
import subprocess

from conftest import wait_for


def kill(site, **which):
    """dp.sock's own words: the operator's command goes by way of sluice-cp. Returns how many flows were ended."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(str(site.sluice.runtime / "dp.sock"))
        s.sendall(json.dumps({"op": "kill", "filter": which}).encode() + b"\n")
        reply = json.loads(s.makefile().readline())
    assert reply["ok"], reply
    return reply["killed"]


def connections(site, node, port):
    return site.lab.run(node, "ss", "-Htn", "state", "connected", f"( sport = :{port} or dport = :{port} )").stdout


def is_moving(site, node, port):
    """Bytes have gone through the connection lately."""
    return "unacked:" in site.lab.run(node, "ss", "-Htin", f"( sport = :{port} or dport = :{port} )").stdout


def test_both_ends_of_a_transfer_are_reset(site, family):
    site.listen("s1", "flood", 8001)
    site.listen("s1", "sink", 8002)
    site.balance(*[site.service(f"s{port}", family=family, port=port, numbers=[1]) for port in (8001, 8002)])
    vip = f"[{site.lab.vip6}]" if family == 6 else site.lab.vip4
    down = site.lab.start("client", "socat", "-d", "-u", f"TCP:{vip}:8001", "OPEN:/dev/null", stderr=subprocess.PIPE, text=True)
    up = site.lab.start("client", "socat", "-d", "-u", "OPEN:/dev/zero", f"TCP:{vip}:8002", stderr=subprocess.PIPE, text=True)
    wait_for(lambda: is_moving(site, "s1", 8001), "the download")
    wait_for(lambda: is_moving(site, "client", 8002), "the upload")
    for port, client in ((8001, down), (8002, up)):
        assert kill(site, service=f"s{port}", state="established") == 1
        said = client.communicate(timeout=30)[1]
        assert "reset by peer" in said or "Broken pipe" in said, said
        for node in ("s1", "client"):
            wait_for(lambda: not connections(site, node, port), f"the end at {node}, port {port}", seconds=10)
    assert kill(site, service="s8001") == 0
