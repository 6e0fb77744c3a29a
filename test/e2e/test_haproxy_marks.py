"""What real connections, marks and words from outside make of a server is told, and done, as by HAProxy.

    client --+-- sluice (VIP)  --+-- s1, s2
             +-- haproxy       --+         test/e2e/side_by_side.py
"""

import subprocess

import pytest

from conftest import LabError, wait_for
from side_by_side import Pair

CHECK = {"type": "tcp", "interval": "200ms", "rise": 1, "fall": 1}
# A check that is not seen while the test runs, not even once, unless something makes haste.
RARE = {"type": "tcp", "port": 80, "interval": "10m", "down_interval": "200ms", "rise": 1, "fall": 4}
LIMIT = 3


class Connections:
    """Round trips over connections through one of the two."""

    def __init__(self, site, address, port, number):
        self.process = site.peer("client", "hold", address, port, number, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "open\n"
        assert self.alive() == number  # HAProxy's own connection is a second one

    def alive(self):
        self.process.stdin.write("check\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self):
        self.process.communicate("close\n", timeout=20)


class TwoServers(Pair):
    def __init__(self, site):
        for server in ("s1", "s2"):
            site.listen(server, "echo", "80,81,82,83,8800")

        def observed(name, port, on_error, check, **settings):
            service = site.service(name, port=port, server_port=8800, numbers=[1], check={**RARE, **check}, retries=0, **settings)
            service["servers"][0].update(observe="layer4", error_limit=LIMIT, on_error=on_error)
            return service

        ended = site.service("ended", port=81, numbers=[1, 2], check=CHECK)
        ended["servers"][0]["on_marked_down"] = "shutdown-sessions"
        returning = site.service("returning", port=82, numbers=[1, 2], check=CHECK)
        returning["servers"][0]["on_marked_up"] = "shutdown-backup-sessions"
        returning["servers"][1]["backup"] = True
        # The first checks of all are spread over the smallest interval of a second or more: not over ten minutes.
        halved = site.service("halved", port=83, numbers=[1, 2], check={**CHECK, "interval": "1s"})
        empty = site.service("empty", port=84, server_port=83, numbers=[1, 2])
        for server in (halved["servers"][1], *empty["servers"]):
            server["disabled"] = True
        self.observed = {"sudden": 9001, "failing": 9002, "hasty": 9003, "retried": 9004, "mute": 9005}
        super().__init__(site, [
            ended, returning, halved, empty,
            observed("sudden", 9001, "sudden-death", {"fast_interval": "10m"}),
            observed("failing", 9002, "fail-check", {"fast_interval": "10m"}),
            observed("hasty", 9003, "fastinter", {"fast_interval": "200ms", "port": 81}),
            observed("retried", 9004, "fail-check", {"fast_interval": "10m"}, timeouts={"connect": "300ms"}) | {"retries": 2},
            observed("mute", 9005, "fail-check", {"fast_interval": "10m", "fall": 1}, timeouts={"connect": "300ms"}),
        ])

    def settle(self):
        for name in self.observed:
            self.haproxy.do(f"set server {name}/web1 health up")
            self.site.sluice.order("health", "up", f"{name}/web1")
        super().settle()

    def connect(self, port, number=3):
        """Connections to a service through both."""
        return [Connections(self.site, address, port, number) for address in (self.site.lab.vip4, self.haproxy.address)]

    def try_in_vain(self, service, number):
        for address in (self.haproxy.address, self.site.lab.vip4):
            url = f"http://{address}:{self.observed[service]}/"
            self.site.lab.run("client", "curl", "-s", "-m", "5", *[url] * number, check=False)

    def expect_status(self, event, **statuses):
        def same():
            return all(self.shown(f"{name}/web1", "status", "status") == (status, status) for name, status in statuses.items())

        try:
            wait_for(same, "the same status", seconds=8)
        except LabError:
            raise AssertionError(f"after {event}: " + str({name: self.shown(f'{name}/web1', 'status', 'status') for name in statuses}))


@pytest.fixture(scope="module")
def shared_pair(make_shared_site):
    return TwoServers(make_shared_site(servers=2))


@pytest.fixture
def pair(shared_pair):
    shared_pair.settle()
    return shared_pair


def test_disabled_servers(make_site, shared_pair):
    pair = shared_pair
    pair.expect("both start", halved=0, empty=0)


def test_observed_errors(pair):
    pair.screens[0].set("refuse", ports=[8800])
    for name in ("sudden", "failing"):
        pair.try_in_vain(name, LIMIT)
    pair.expect_status("so many errors", sudden="UP 1/4", failing="UP 3/4")
    pair.expect("that is not told", sudden=0, failing=0)
    pair.try_in_vain("failing", LIMIT - 1)
    pair.screens[0].set("accept")
    for connections in pair.connect(pair.observed["failing"], 1):
        connections.close()
    pair.screens[0].set("refuse", ports=[8800])
    pair.try_in_vain("failing", LIMIT - 1)
    pair.try_in_vain("sudden", LIMIT)
    pair.expect("as many again", sudden=2)
    pair.expect_status("a success in between", failing="UP 3/4")
    pair.try_in_vain("failing", 1)
    pair.expect_status("the third in a row", failing="UP 2/4")
    for name, lines in (("sudden", 1), ("failing", 0)):
        pair.operate(f"{name}/web1", "health", "up", lines)
    pair.try_in_vain("retried", 2)
    pair.expect_status("two connections, each tried three times", retried="UP 2/4")


def test_unanswered_connections_are_errors(pair):
    pair.screens[0].set("silent", ports=[8800])
    pair.try_in_vain("mute", LIMIT)
    pair.expect("so many were not answered", mute=2)


def test_haste(pair):
    pair.screens[0].set("refuse", ports=[8800, 81])
    pair.try_in_vain("hasty", LIMIT)
    pair.expect("checks follow at once", hasty=2)
    pair.screens[0].set("accept")
    pair.expect("all is well", hasty=1)


def test_shutdown_sessions(pair):
    connections = pair.connect(81, 6)
    pair.screens[0].set("refuse", ports=[81])
    pair.expect("web1 refuses", ended=1)
    assert "3 sessions active" in pair.told(pair.haproxy.lines, ["ended"])["ended"][-1]
    wait_for(lambda: [each.alive() for each in connections] == [3, 3], "those of web1 to end")
    pair.screens[0].set("accept")
    pair.expect("web1 accepts", ended=1)
    more = pair.connect(81, 6)
    pair.operate("ended/web1", "state", "drain", 1)
    pair.operate("ended/web1", "state", "ready", 1)
    assert [each.alive() for each in more] == [6, 6]
    pair.operate("ended/web1", "state", "maint", 1)
    wait_for(lambda: [each.alive() for each in more] == [3, 3], "those of web1 to end")
    pair.operate("ended/web1", "state", "ready", 1)
    assert [each.alive() for each in connections] == [3, 3]
    for each in connections + more:
        each.close()


def test_shutdown_backup_sessions(pair):
    pair.screens[0].set("refuse", ports=[82])
    pair.expect("web1 refuses", returning=1)
    connections = pair.connect(82)
    assert [each.alive() for each in connections] == [3, 3]
    pair.screens[0].set("accept")
    pair.expect("web1 accepts", returning=1)
    wait_for(lambda: [each.alive() for each in connections] == [0, 0], "the backup's connections to end")
    pair.operate("returning/web1", "state", "drain", 1)
    connections += pair.connect(82)
    pair.operate("returning/web1", "state", "ready", 1)  # no coming back: they live on
    pair.operate("returning/web1", "state", "maint", 1)
    assert [each.alive() for each in connections[2:]] == [3, 3]
    pair.operate("returning/web1", "state", "ready", 1)
    wait_for(lambda: not any(each.alive() for each in connections), "them to end after a maintenance")
    for each in connections:
        each.close()


def test_all_leave(pair):
    pair.operate("halved/web1", "state", "maint", 2)
    for number, word, lines in ((2, "ready", 1), (1, "ready", 1), (2, "maint", 1)):
        pair.operate(f"halved/web{number}", "state", word, lines)
    for number, word, lines in ((1, "ready", 1), (2, "ready", 1), (1, "drain", 1), (2, "drain", 2), (1, "maint", 1), (2, "maint", 1)):
        pair.operate(f"empty/web{number}", "state", word, lines)
