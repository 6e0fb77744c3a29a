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


def crowd(site):
    """The clients. Those who get through stay until leave()."""
    return site.lab.start("client", PYTHON, STORM, "crowd", site.lab.vip4, 7, CLIENTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def leave(clients):
    """What became of all of them."""
    return clients.communicate("leave\n", timeout=180)[0].strip()


def limited(site, **settings):
    for server in ("s1", "s2"):
        site.listen(server, "meter", 7)
    echo = site.service("echo", port=7, **settings)
    for server in echo["servers"]:
        server["maxconn"] = MAXCONN
    return echo


def queue(site):
    return site.sluice.show("queue")[0]["queue"]


@pytest.mark.parametrize("workers", [1, 4])
def test_nobody_gets_more_than_maxconn_and_everybody_is_served(make_site, device, workers):
    site = make_site(device=device, servers=2)
    site.balance(limited(site, timeouts={"queue": "10m"}), workers=workers)

    clients = crowd(site)
    wait_for(lambda: queue(site)["waiting"] == CLIENTS - 2 * MAXCONN, "the others to wait in the queue", seconds=60)
    row = next(line.split() for line in site.sluice.table("queue").splitlines() if "(all)" in line)
    assert str(CLIENTS - 2 * MAXCONN) in row, row
    assert leave(clients) == f"served {CLIENTS}"
    for server in ("s1", "s2"):
        assert max(counts(site, server)) == MAXCONN
    assert sum(len(counts(site, server)) for server in ("s1", "s2")) == CLIENTS
    assert queue(site)["waiting"] == 0


def test_who_waits_too_long_is_refused(make_site):
    site = make_site(servers=2)
    site.balance(limited(site, timeouts={"queue": "500ms"}))
    clients = crowd(site)
    wait_for(lambda: queue(site)["timed_out"] == CLIENTS - 2 * MAXCONN, "the others to be refused", seconds=60)
    assert leave(clients) == f"served {2 * MAXCONN} ECONNREFUSED {CLIENTS - 2 * MAXCONN}"
