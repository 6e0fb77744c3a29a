"""Connections that begin by a SYN cookie are connections like any other to real clients and servers.

    client -- sluice (syn_cookies "always") -- s1, s2, s3
"""

import subprocess

import pytest

from conftest import Storm, wait_for
from oracle import Screen
from testbed.load import run_wrk

ALWAYS = {"syn_cookies": "always"}


def returned(site):
    return sum(worker["cookies_returned"] for worker in site.sluice.show("workers"))


@pytest.mark.parametrize("workers", [1, 4])
def test_requests_reach_every_server(site, workers):
    site.serve().balance(*site.both_families(**ALWAYS), workers=workers)
    for family in (4, 6):
        assert set(site.get(family)) == {"web1", "web2", "web3"}
    assert returned(site) == 60
    assert site.sluice.drops()["syn_cookie_sent"] >= 60
    load = run_wrk(site.lab, site.lab.vip4, seconds=2, connections=16, close=True)
    assert load.requests > 0 and load.failed == 0, load


def test_server_that_speaks_first(make_site):
    """The client has nothing to say, so that it acknowledges the server's SYN-ACK never: sluice does."""
    site = make_site(servers=1)
    site.listen("s1", "witness", 7)
    site.balance(site.service("hello", port=7, **ALWAYS))
    client = site.peer("client", "endure", site.lab.vip4, 7, stdout=subprocess.PIPE, text=True)
    assert client.stdout.readline() == "open\n"
    wait_for(lambda: "open" in site.lab.read("peer-s1-witness-7.log"), "the server's connection")
    client.terminate()
    client.wait(timeout=20)


def test_lost_syn_to_the_server_is_repeated(make_site):
    site = make_site(servers=1).serve()
    site.balance(site.service(check={"type": "none"}, **ALWAYS))
    screen = Screen(site.lab, "s1")
    screen.set("silent")
    with Storm(site, site.lab.vip4, threads=1) as storm:
        wait_for(lambda: returned(site) == 1, "the client's ACK")
        screen.set("accept")
    assert storm.requests[0].outcome == "ok", storm.requests[0]


def test_refusal_reaches_the_client(make_site):
    """It believes to be connected: what ends that must have the number that it expects."""
    site = make_site(servers=1)
    site.balance(site.service(retries=0, **ALWAYS))
    done = site.lab.run("client", "curl", "-sS", "--max-time", 10, f"http://{site.lab.vip4}/", check=False)
    # A reset that it does not believe would make it wait (28). One that comes before it has looked whether it is connected
    # is a connection that failed to it.
    assert (done.returncode == 56 and "reset by peer" in done.stderr) or done.returncode == 7, done
