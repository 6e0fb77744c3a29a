"""Servers, agents and users that misbehave harm nobody but themselves.

    sluice -- s1: drips and floods where checks and agents ask; s2: an orderly server
       \\ clients of its own socket that send rubbish, never end a line, or never read
"""

import pathlib
import socket
import time

from conftest import tell, wait_for

PORTS = {"drip": 9001, "flood": 9002}
KINDS = {"http": {"path": "/"}, "https": {"verify": False}, "tls": {}, "tcp-check": {"steps": [{"expect": {"string": "PONG"}}]}}
ORDERLY = {"type": "tcp", "interval": "200ms", "rise": 2, "fall": 2}


def misbehaved(site):
    """A service for each kind of check and each kind of nuisance, and one with agents that are nuisances."""
    port = 8100
    for kind, settings in KINDS.items():
        for nuisance, at in PORTS.items():
            port += 1
            yield site.service(f"{kind}-{nuisance}", port=port, server_port=at, numbers=[1],
                               check={"type": kind, "interval": "500ms", "timeout": "1s", "fall": 1, **settings})
    for nuisance, at in PORTS.items():
        port += 1
        service = site.service(f"agent-{nuisance}", port=port, numbers=[1], server_port=80)
        service["servers"][0]["agent"] = {"port": at, "interval": "500ms"}
        yield service


def memory_of(pid):
    """Resident memory of a process, bytes."""
    pages = pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * 4096


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(5)
    s.connect(str(path))
    return s


def test_nuisances_harm_nobody_else(make_site):
    site = make_site(servers=2).serve()
    for nuisance, port in PORTS.items():
        site.listen("s1", nuisance, port)
    services = list(misbehaved(site))
    site.balance(site.service("web", numbers=[2], check=ORDERLY), *services)
    cp = site.sluice.child("sluice-cp")

    own = site.sluice.runtime / "cp.sock"
    nuisances = []
    for line in (b"", b"\xff\x00rubbish\n" * 100, b'{"show":', b'{"show": "flows"}\n' * 200, b"x" * 200_000):
        for _ in range(5):
            s = connect(own)
            s.setblocking(False)
            try:
                s.send(line)  # and never a word more, nor is anything read
            except OSError:
                pass  # it need not take it
            nuisances.append(s)
    for name in ("http", "https", "tls", "tcp-check"):
        for nuisance in PORTS:
            site.sluice.wait_server(f"{name}-{nuisance}", "web1", "down")
    before = memory_of(cp)
    end = time.monotonic() + 5  # of nuisance, while all else must go on
    while time.monotonic() < end:
        site.servers["web2"].stop_nginx()
        start = time.monotonic()
        site.sluice.wait_server("web", "web2", "down", seconds=5)
        noticed = time.monotonic() - start
        site.servers["web2"].start_nginx()
        site.sluice.wait_server("web", "web2", "up", seconds=5)
        assert site.get(requests=5) == {"web2": 5}
    grown = memory_of(cp) - before
    tell(f"amid nuisances: web2's end noticed after {noticed:.2f} s, cp's memory grew by {grown / 1e6:.1f} MB")
    assert site.sluice.child("sluice-cp") == cp and grown < 30e6
    rows = site.sluice.servers()
    for nuisance in PORTS:
        assert rows[f"agent-{nuisance}", "web1"]["status"] in ("UP", "no check")
    for s in nuisances:
        s.close()
