"""Limits by client: prefixes, connections at one time, new ones a second.

    client, s3: crowds of connections -- sluice -- s1, s2 (echo)
"""

import json
import subprocess

import pytest

from conftest import PYTHON, STORM, wait_for

CROWD, MAXCONN = 30, 7


@pytest.fixture
def crowded(make_site):
    """A site with echo servers at s1 and s2."""
    site = make_site(servers=3)
    for server in ("s1", "s2"):
        site.listen(server, "meter", 7)
    return site


def echo(site, **clients):
    return site.service("echo", port=7, numbers=[1, 2], clients=clients)


def crowd(site, number=CROWD, node="client"):
    """Connections at once, which stay until leave() if they are let in."""
    return site.lab.start(node, PYTHON, STORM, "crowd", site.lab.vip4, 7, number, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def leave(clients):
    """What became of all of them."""
    return clients.communicate("leave\n", timeout=180)[0].strip()


def counters(site):
    return site.sluice.show("services")[0]["clients"]


def current(site):
    return site.sluice.show("services")[0]["counters"]["connections_current"]


def wait_empty(site):
    wait_for(lambda: current(site) == 0, "all connections to end")


@pytest.mark.parametrize("workers", [1, 4])
def test_nobody_has_more_than_maxconn_and_those_that_end_make_room(crowded, workers):
    crowded.balance(echo(crowded, maxconn=MAXCONN), workers=workers)
    for times in range(1, 4):  # each crowd finds the places that the one before had
        clients = crowd(crowded)
        wait_for(lambda: counters(crowded)["over_maxconn"] == times * (CROWD - MAXCONN), "the others to be refused")
        assert leave(crowd(crowded, 3, node="s3")) == "served 3", "another client has places of its own"
        told = crowded.sluice.order("explain", "tcp", f"{crowded.lab.client4}:1", f"{crowded.lab.vip4}:7").stdout
        assert f"{MAXCONN} of {MAXCONN} connections" in told and "client_maxconn" in told, told
        assert leave(clients) == f"served {MAXCONN} ECONNREFUSED {CROWD - MAXCONN}"
        wait_empty(crowded)
    refused = 3 * (CROWD - MAXCONN)
    assert counters(crowded) == {"denied": 0, "over_rate": 0, "over_maxconn": refused, "untracked": 0}
    assert next(row["packets"] for row in crowded.sluice.show("drops") if row["reason"] == "client_maxconn") == refused
    metrics = crowded.sluice.order("show", "metrics").stdout
    assert f'sluice_service_clients_refused_total{{service="echo",reason="maxconn"}} {refused}' in metrics
    wait_for(lambda: 'service "echo": refused' in crowded.lab.read("sluice.log"), "a line in the log")


def test_limits_change_by_reload_and_open_connections_stay(crowded):
    crowded.balance(echo(crowded, maxconn=MAXCONN, table=64), workers=2)
    first = crowd(crowded, MAXCONN)
    wait_for(lambda: current(crowded) == MAXCONN, "the first crowd")

    def reload(**clients):
        config = json.loads(crowded.sluice.config.read_text())
        crowded.sluice.write({**config, "services": [echo(crowded, **clients)]})
        return crowded.sluice.order("reload", check=False)

    assert reload(maxconn=MAXCONN - 1, table=64).returncode == 0
    assert leave(crowd(crowded, 2)) == "served 0 ECONNREFUSED 2"
    assert reload(maxconn=MAXCONN + 1, table=64).returncode == 0
    assert leave(crowd(crowded, 2)) == "served 1 ECONNREFUSED 1", "the count goes on"
    assert reload(deny=[f"{crowded.lab.front4}.0/25"], maxconn=MAXCONN, table=64).returncode == 0
    assert leave(crowd(crowded, 2)) == "served 0 ECONNREFUSED 2"
    refused = reload(maxconn=MAXCONN, table=128)
    assert refused.returncode != 0 and "clients.table 64 -> 128" in refused.stderr, refused.stderr
    assert leave(first) == f"served {MAXCONN}", "nothing of it concerns those that are open"


def test_prefixes_tell_clients_apart(crowded):
    crowded.balance(echo(crowded, allow=[f"{crowded.lab.front4}.0/24"], deny=[f"{crowded.lab.client4}/32"]))
    assert leave(crowd(crowded, 3)) == "served 0 ECONNREFUSED 3"
    assert leave(crowd(crowded, 3, node="s3")) == "served 3"
    assert counters(crowded)["denied"] == 3


def test_rate_is_kept_also_where_cookies_come_first(crowded):
    """One token a second adds little to the burst in the time that a crowd takes, on whatever machine."""
    for cookies in ("off", "always"):
        service = echo(crowded, rate=1, burst=CROWD)
        service["syn_cookies"] = cookies
        if crowded.sluice:
            crowded.sluice.stop()
        crowded.balance(service, workers=2)
        clients = crowd(crowded, 3 * CROWD)
        wait_for(lambda: sum(counters(crowded).values()) + current(crowded) >= 3 * CROWD, "all to be judged")
        let_in = current(crowded)
        over = counters(crowded)["over_rate"]
        assert let_in + over == 3 * CROWD and CROWD <= let_in < 2 * CROWD, (let_in, over)
        leave(clients)
