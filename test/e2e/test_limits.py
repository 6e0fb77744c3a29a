"""Servers get no more connections at once than they were promised; who comes too many waits, and is served in the end.

    client: 50 connections at once -- sluice -- s1, s2 (maxconn 10 each)
"""

import subprocess

import pytest

from conftest import PYTHON, STORM, wait_for

CLIENTS, MAXCONN = 50, 10


def counts(site, server):
    """How many connections a meter had at each change."""
    lines = site.lab.read(f"peer-{server}-meter-7.log").splitlines()
    return [int(line.split()[1]) for line in lines if line.startswith("open")]


def crowd(site, hold):
    return site.lab.start("client", PYTHON, STORM, "crowd", site.lab.vip4, 7, CLIENTS, hold, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("workers", [1, 4])
def test_nobody_gets_more_than_maxconn_and_everybody_is_served(make_site, device, workers):
    site = make_site(device=device, servers=2)
    for server in ("s1", "s2"):
        site.listen(server, "meter", 7)
    echo = site.service("echo", port=7, timeouts={"queue": "30s"})
    for server in echo["servers"]:
        server["maxconn"] = MAXCONN
    site.balance(echo, workers=workers)

    clients = crowd(site, 1)
    waiting = lambda: site.sluice.show("queue")[0]["queue"]["waiting"]
    wait_for(lambda: waiting() == CLIENTS - 2 * MAXCONN, "the others to wait in the queue")
    row = next(line.split() for line in site.sluice.table("queue").splitlines() if "(all)" in line)
    assert str(CLIENTS - 2 * MAXCONN) in row, row
    assert clients.communicate(timeout=60)[0].strip() == f"served {CLIENTS}"
    for server in ("s1", "s2"):
        assert max(counts(site, server)) == MAXCONN
    assert sum(len(counts(site, server)) for server in ("s1", "s2")) == CLIENTS
    assert waiting() == 0


def test_who_waits_too_long_is_refused(make_site):
    site = make_site(servers=2)
    for server in ("s1", "s2"):
        site.listen(server, "meter", 7)
    echo = site.service("echo", port=7, timeouts={"queue": "500ms"})
    for server in echo["servers"]:
        server["maxconn"] = MAXCONN
    site.balance(echo)
    said = crowd(site, 3).communicate(timeout=60)[0].strip()
    assert said == f"served {2 * MAXCONN} ECONNREFUSED {CLIENTS - 2 * MAXCONN}"
