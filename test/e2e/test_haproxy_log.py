"""Each change of a server's state is told in HAProxy's words.

    sluice, haproxy (test/e2e/side_by_side.py) -- s1, s2, s3
"""

import subprocess

import pytest

from conftest import PYTHON, STORM, LabError, wait_for
from side_by_side import Pair

CHECK = {"type": "tcp", "interval": "200ms", "rise": 2, "fall": 2}
PONG = {"type": "tcp-check", "steps": [{"send": "PING\r\n\r\n"}, {"expect": {"string": "PONG"}}]}
# What an agent's answer makes of a server's weight and maxconn; what is not here leaves them.
VALUES = {"25% maxconn:30": ("10", "30"), "100% up": ("40", "30"), "50%": ("20", "30"),
          "maxconn:11,30%": ("12", "11"), "maxconn:50\t100% up": ("40", "50")}


class ThreeServers(Pair):
    def __init__(self, site):
        lab = site.lab
        self.agent, self.page = lab.state / "agent", lab.state / "page"
        self.behave()
        for server in ("s1", "s2", "s3"):
            site.listen(server, "echo", "80,81,82,83,84,89")
        site.listen("s1", "say", 7000, self.agent)
        site.listen("s1", "answer", 8080, self.page)
        backups = site.service("backups", port=82, check=CHECK)
        for server in backups["servers"][1:]:
            server["backup"] = True
        agent = site.service("agent", port=83, numbers=[1, 2])
        agent["servers"][0].update(weight=40, maxconn=50, agent={"port": 7000, "interval": "200ms"})
        observed = site.service("observed", port=88, numbers=[1], retries=0, check={**CHECK, "interval": "1s", "down_interval": "200ms", "port": 80})
        observed["servers"][0].update(observe="layer4", error_limit=3, on_error="mark-down")
        small = {"server_port": 89, "check": CHECK, "timeouts": {"queue": "5m"}}
        queued = site.service("queued", port=89, numbers=[1, 2], **small)
        tied = site.service("tied", port=90, numbers=[1, 2], balance="source", **small)
        tied["servers"][1]["backup"] = True
        for server in queued["servers"] + tied["servers"]:
            server["maxconn"] = 1
        super().__init__(site, [
            queued, tied,
            site.service("checked", port=80, numbers=[1, 2], check=CHECK),
            site.service("bare", port=87, server_port=80, numbers=[1], check={**CHECK, "type": "tcp-check"}),
            site.service("operated", port=81, numbers=[2, 3], check=CHECK),
            site.service("unchecked", port=84, numbers=[2, 3]),
            backups, agent, observed,
            site.service("http", port=85, server_port=8080, numbers=[1], check={**CHECK, "type": "http"}),
            site.service("script", port=86, server_port=8080, numbers=[1], check={**CHECK, **PONG}),
        ])

    def behave(self):
        self.agent.write_text("up ready 100%\n")
        self.page.write_text("HTTP/1.0 200 OK\r\n\r\nPONG")


@pytest.fixture(scope="module")
def shared_pair(make_shared_site):
    return ThreeServers(make_shared_site())


@pytest.fixture
def pair(shared_pair):
    shared_pair.settle()
    return shared_pair


def test_checks(pair):
    first, second, _ = pair.screens
    first.set("refuse", ports=[80])
    pair.expect("web1 refuses", checked=1, bare=2)  # and: no server available
    second.set("refuse", ports=[80])
    pair.expect("web2 refuses, too", checked=2)
    first.set("accept")
    pair.expect("web1 accepts", checked=1, bare=1)
    second.set("accept")
    pair.expect("web2 accepts, too", checked=1)
    first.set("silent", ports=[80])
    pair.expect("web1 falls silent", checked=1, bare=2)
    first.set("accept")
    pair.expect("web1 answers", checked=1, bare=1)


def test_open_connections_are_counted(pair):
    clients = [pair.site.peer("client", "hold", address, 80, 6, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
               for address in (pair.haproxy.address, pair.site.lab.vip4)]
    for client in clients:
        assert client.stdout.readline() == "open\n"
    pair.screens[0].set("refuse", ports=[80])
    pair.expect("web1 refuses while it has connections", checked=1)
    assert "3 sessions active" in pair.told(pair.haproxy.lines, ["checked"])["checked"][-1]
    pair.screens[0].set("accept")
    pair.expect("web1 accepts", checked=1)
    for client in clients:
        client.communicate("close\n", timeout=20)


def waiting(pair, service):
    """How many connections wait for a place: at haproxy, at sluice."""
    theirs = sum(int(row["qcur"] or 0) for (proxy, name), row in pair.haproxy.stat().items() if proxy == service and name != "FRONTEND")
    ours, = (row["queue"]["waiting"] for row in pair.site.sluice.show("queue") if row["name"] == service)
    return theirs, ours


def crowds(pair, service, port, number, places):
    """As many clients at both programs; those who find a place keep it until they are told to leave."""
    clients = [pair.site.lab.start("client", PYTHON, STORM, "crowd", address, port, number, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
               for address in (pair.haproxy.address, pair.site.lab.vip4)]
    wait_for(lambda: waiting(pair, service) == (number - places,) * 2, f"the others to wait at {service}")
    return clients


def test_those_who_wait_are_counted(pair):
    first, second, _ = pair.screens
    second.set("refuse", ports=[89])
    pair.expect("web2 refuses", queued=1, tied=1)
    clients = crowds(pair, "queued", 89, 4, places=1)
    second.set("accept")
    pair.expect("web2 accepts, and has a place", queued=1, tied=1)
    assert "1 sessions requeued" in pair.told(pair.haproxy.lines, ["queued"])["queued"][-1]
    clients += crowds(pair, "tied", 90, 4, places=1)
    first.set("refuse", ports=[89])
    pair.expect("web1 refuses", queued=1, tied=1)
    assert "1 sessions active, 3 requeued" in pair.told(pair.haproxy.lines, ["tied"])["tied"][-1]
    first.set("accept")
    pair.expect("web1 accepts, its place being taken", queued=1, tied=1)
    for client in clients:
        assert client.communicate("leave\n", timeout=60)[0].strip() == "served 4"


def test_observed_connections(pair):
    for address in (pair.haproxy.address, pair.site.lab.vip4):
        # Nobody listens there. Quickly: a check that passes in between makes up for those that failed before.
        pair.site.lab.run("client", "curl", "-s", "-m", "5", *[f"http://{address}:88/"] * 3, check=False)
    pair.expect("three connections in a row failed", observed=3)  # no server available, and back by its checks


def test_backups(pair):
    for screen, lines in zip(pair.screens, (1, 1, 2)):
        screen.set("refuse", ports=[82])
        pair.expect("one more refuses", backups=lines)
    for screen in reversed(pair.screens):
        screen.set("accept")
        pair.expect("one more accepts", backups=1)
    for server, word in (("web1", "drain"), ("web2", "drain"), ("web2", "maint"), ("web2", "ready"), ("web1", "ready")):
        pair.operate(f"backups/{server}", "state", word, 1)


def test_operators_states(pair):
    for word, lines in (("maint", 1), ("ready", 1), ("drain", 1), ("maint", 1), ("drain", 2), ("ready", 1), ("drain", 1)):
        pair.operate("operated/web2", "state", word, lines)
    pair.operate("operated/web3", "state", "drain", 2)  # and: no server available
    pair.operate("operated/web3", "state", "ready", 1)
    pair.operate("operated/web3", "state", "ready", 0)  # as it is already
    pair.operate("operated/web2", "state", "ready", 1)
    pair.operate("operated/web2", "state", "maint", 1)
    pair.operate("operated/web3", "state", "maint", 2)
    pair.operate("operated/web2", "state", "ready", 1)
    pair.operate("operated/web3", "state", "ready", 1)


def test_drain_and_checks_together(pair):
    screen = pair.screens[2]
    screen.set("refuse", ports=[81])
    pair.expect("web3 refuses", operated=1)
    pair.operate("operated/web3", "state", "drain", 1)
    screen.set("accept")
    pair.expect("web3 accepts while it drains", operated=2)
    screen.set("refuse", ports=[81])
    pair.expect("web3 refuses while it drains", operated=2)
    pair.operate("operated/web3", "state", "ready", 1)
    screen.set("accept")
    pair.expect("web3 accepts", operated=1)


def test_operators_view_of_health(pair):
    pair.operate("operated/web2", "health", "down", 2)  # the check brings it back
    pair.operate("operated/web2", "health", "stopping", 2)
    pair.operate("operated/web2", "health", "up", 0)
    pair.operate("unchecked/web2", "health", "down", 1)
    pair.operate("unchecked/web2", "health", "stopping", 1)
    pair.operate("unchecked/web2", "health", "up", 1)
    pair.operate("unchecked/web3", "state", "drain", 1)
    pair.operate("unchecked/web3", "state", "ready", 1)


def test_agent(pair):
    answers = [("down", 1), ("up", 1), ("fail #out of order", 1), ("up", 1), ("stopped", 1), ("up ready", 1), ("drain", 1),
               ("ready", 1), ("maint", 1), ("ready", 1), ("25% maxconn:30", 0), ("100% up", 0), ("nonsense", 0),
               ("50%", 0), ("maxconn:11,30%", 0), ("stopped #for a while", 1), ("maxconn:50\t100% up", 1), ("down", 1),
               ("up", 1)]
    values = "40", "50"
    for answer, lines in answers:
        pair.agent.write_text(answer + "\n")
        pair.expect(f"agent says {answer}", agent=lines)
        values = VALUES.get(answer, values)
        try:
            wait_for(lambda: pair.shown("agent/web1", "uweight", "user_weight") == (values[0],) * 2
                     and pair.shown("agent/web1", "slim", "user_maxconn") == (values[1],) * 2, "weight and maxconn", seconds=8)
        except LabError:
            raise AssertionError(f"after {answer}: {values} is wanted of haproxy and sluice, there are "
                                 f"{pair.shown('agent/web1', 'uweight', 'user_weight')}, {pair.shown('agent/web1', 'slim', 'user_maxconn')}") from None
    pair.operate("agent/web1", "agent", "down", 2)  # the agent brings it back
    pair.operate("agent/web1", "agent", "up", 0)


def test_http_and_scripts(pair):
    answers = [("HTTP/1.0 503 Unavailable\r\n\r\nno", 2, 2), ("HTTP/1.0 200 OK\r\n\r\nPONG", 1, 1), ("garbage", 2, 2),
               ("HTTP/1.0 302 Found\r\n\r\nPONG", 1, 1), ("HTTP/1.0 404 Not Found\r\n\r\nPONG", 2, 0),
               ("HTTP/1.0 200 OK\r\n\r\nPONG", 1, 0), ("", 2, 2), ("HTTP/1.1 204 No Content\r\nX: PONG\r\n\r\n", 1, 1)]
    for answer, http, script in answers:
        pair.page.write_text(answer)
        pair.expect(f"the server answers {answer!r}", http=http, script=script)
