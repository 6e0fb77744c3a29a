"""What VRRP daemons die of, or fall silent over: each is told by name, and heals without a hand.

    client --+-- lb1, priority 90: something befalls it       client --+-- lb1, lb2: 100 things befall them
             `-- lb2, priority 80: takes over meanwhile
"""

import os
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from conftest import tell, wait_for
from pair import Pair, now
from testbed.lab import Lab
from testbed.outage import Beats
from vrrp_peers import Sluice, instance

DEVICES = ["af_xdp", "af_packet"]


@pytest.fixture(scope="module", params=DEVICES)
def pair(request, make_shared_site):
    return Pair(make_shared_site("pair", device=request.param, servers=2)).start()


@dataclass
class Case:
    """Something that befalls lb1. `told`: what `show vrrp` and the log call it while it lasts; `takes_over`: lb2 does;
    `without`: what the protocol allows clients to be without service, of "good-bye" (priority 0 goes out) and "silence"."""

    name: str
    begin: Callable
    end: Callable | None = None
    told: str = ""
    takes_over: bool = False
    without: str = ""


CASES = [
    Case("interface down", lambda host: host.link("down"), lambda host: host.link("up"), "is down", True, "silence"),
    Case("cable pulled", lambda host: host.unplug(), lambda host: host.plug(), "has no link", True, "silence"),
    Case("addresses flushed", lambda host: host.flush(), lambda host: host.own_addresses(), "address to send from", True, "good-bye"),
    Case("own address deleted", lambda host: host.delete_own(), lambda host: host.own_addresses(), "address to send from", True, "good-bye"),
    Case("virtual IP deleted by hand", lambda host: host.delete_vip()),
    Case("network restarted", lambda host: (host.flush(), host.link("down"), host.link("up")), without="good-bye"),
    Case("data plane killed", lambda host: host.kill("sluice-dp"), without="silence"),
    Case("control plane killed", lambda host: host.kill("sluice-cp")),
    Case("VRRP killed", lambda host: host.kill("sluice-vrrp")),
    Case("VRRP frozen", lambda host: host.freeze(True), lambda host: host.freeze(False), "", True),
    Case("all killed", lambda host: host.kill_all(), lambda host: host.start(), "", True, "silence"),
]
# What else the log has to say.
LINES = {
    "virtual IP deleted by hand": ["Netlink reflector reports IP", "is put back"],
    "network restarted": ["Entering FAULT STATE"],
    "data plane killed": ["Entering FAULT STATE"],
    "VRRP frozen": ["a timer was served"],
}


def trouble_of(host, told):
    """The name, for monitors, of what `show vrrp` tells; empty: it does not tell it."""
    troubles = (host.vrrp() or {"troubles": []})["troubles"]
    return next((trouble["tracker"] for trouble in troubles if told in trouble["reason"]), "")


def trouble_counts(host):
    return {count["tracker"]: count["times"] for count in host.vrrp()["trouble_counts"]}


@pytest.mark.parametrize("case", CASES, ids=[case.name.replace(" ", "-") for case in CASES])
def test_heals(pair, case):
    one, two = pair.hosts
    pair.wait_settled()
    logged, counted = len(pair.lab.read(one.sluice.log)), trouble_counts(one)
    protocol = {"good-bye": pair.skew(80), "silence": pair.master_down(80), "": 0}[case.without]
    with Beats(pair.lab, pair.lab.vip4) as beats:
        began = ended = now()
        case.begin(one)
        if case.takes_over:
            wait_for(lambda: two.holds() and two.is_in("MASTER"), f"lb2 to take over; {pair.told()}", 30)
        if case.told:
            wait_for(lambda: trouble_of(one, case.told), f"`show vrrp` to say \"{case.told}\"; {pair.told()}")
            tracker = trouble_of(one, case.told)
        if case.end is not None:
            ended = now()
            case.end(one)
        pair.wait_settled()
        recovered = now() - ended
    outage = beats.outage(began)
    tell(f"  {pair.lab.device:10} {case.name:28} without service {outage:6.3f} s (the protocol's share: {protocol:.3f} s); as before {recovered:6.3f} s after its end")
    assert outage <= protocol + 0.1 + pair.late.seconds()
    log = pair.lab.read(one.sluice.log)[logged:]
    assert not case.told or re.search(rf"is FAULT: .*{case.told}", log), log
    assert not case.told or trouble_counts(one)[tracker] > counted.get(tracker, 0)
    assert all(line in log for line in LINES.get(case.name, [])), log
    shown = one.vrrp()
    assert shown["troubles"] == [] and shown["addresses_missing"] == [], shown
    assert not two.holds_any()
    assert one.own_address().split("/")[0] not in one.secondary_addresses()


def test_addresses_go_when_nobody_is_left_to_take_them_away(pair):
    one, two = pair.hosts
    pair.wait_settled()
    one.kill_all()
    killed = now()
    # A twin has gone with its data plane, and the addresses with it; on a NIC they are what is to be mended.
    assert one.holds() or pair.lab.device == "af_packet"
    wait_for(lambda: two.holds() and not one.holds_any(), "lb2 alone to have the virtual IPs", 30)
    tell(f"  {pair.lab.device:10} killed and not started again: lb1's kernel gave the virtual IPs up after {now() - killed:.1f} s")
    assert one.own_address()
    one.start()
    pair.wait_settled()


@pytest.mark.parametrize("family", [4, 6])
def test_follows_an_interface_that_is_made_anew(family):
    """Deleted, and as another one under the same name back again; lb1 and lb2 are sluice-vrrp alone."""
    lab = Lab.up("pair", servers=1, prefix="e2e")
    try:
        one, two = (Sluice(lab, f"lb{n}", instance(lab, family=family, priority=priority)).start() for n, priority in ((1, 90), (2, 80)))
        wait_for(lambda: one.is_master() and not two.is_master(), "lb1 to be master")
        began = now()
        lab.run("lb1", "ip", "link", "del", "lan")
        wait_for(two.is_master, "lb2 to take over")
        moved = now() - began
        shown = one.show()
        assert shown["state"] == "FAULT" and shown["troubles"][0]["reason"] == "interface lan does not exist", shown
        began = now()
        lab.run("switch", "ip", "link", "add", "lb1-lan", "type", "veth", "peer", "name", "lan", "netns", f"{lab.name}-lb1")
        lab.run("switch", "ip", "link", "set", "lb1-lan", "master", "lan", "up")
        lab.run("lb1", "ip", "link", "set", "lan", "up")
        for line in (lab.state / "lb1.commands").read_text().splitlines():
            lab.run("lb1", "ip", *line.split())
        wait_for(lambda: one.is_master() and not two.is_master(), f"lb1 to be master again: {one.text()[-2000:]}")
        tell(f"  interface made anew, IPv{family}: taken over {moved:.3f} s after it went, as before {now() - began:.3f} s after it came")
        assert "Interface lan deleted" in one.text() and "Interface lan added" in one.text()
    finally:
        lab.down()


class Dice:
    """Random faults, one after the other or overlapping, from a seed; each fault undone in the end."""

    FAULTS = {
        "link": (lambda host: host.link("down"), lambda host: host.link("up")),
        "cable": (lambda host: host.unplug(), lambda host: host.plug()),
        "flush": (lambda host: host.flush(), lambda host: host.own_addresses()),
        "vip": (lambda host: host.delete_vip(), lambda host: None),
        "dp": (lambda host: host.kill("sluice-dp"), lambda host: None),
        "cp": (lambda host: host.kill("sluice-cp"), lambda host: None),
        "vrrp": (lambda host: host.kill("sluice-vrrp"), lambda host: None),
        "freeze": (lambda host: host.freeze(True), lambda host: host.freeze(False)),
        "all": (lambda host: host.kill_all(), lambda host: host.start()),
        "stop": (lambda host: host.stop(), lambda host: host.start()),
    }

    def __init__(self, seed, pair):
        self.random, self.pair = random.Random(seed), pair
        self.open = {}  # host -> name of the fault that is not undone yet
        self.history = []

    def throw(self):
        host = self.random.choice(self.pair.hosts)
        name = self.random.choice(list(self.FAULTS))
        pause = self.random.uniform(0.05, 1.0)
        self.undo(host)
        self.history.append(f"{host.node} {name} {pause:.2f}")
        self.wait_alive(host)
        self.FAULTS[name][0](host)
        self.open[host] = name
        time.sleep(pause)  # the time between two faults is part of the dice

    def undo(self, host):
        if name := self.open.pop(host, None):
            self.FAULTS[name][1](host)

    def wait_alive(self, host):
        """A fault needs a victim: its processes have come back from the one before. `sluice run` itself ends when one of
        them dies during its first start; a service manager then starts it anew."""
        def alive():
            if host.sluice.process.poll() is not None:
                host.start()
            return all(host.sluice.child(f"sluice-{part}") for part in ("dp", "cp", "vrrp"))

        wait_for(alive, f"{host.node} to run; {self.history[-5:]}", 60)

    def end(self):
        for host in self.pair.hosts:
            self.undo(host)
            self.wait_alive(host)


def test_a_hundred_random_faults(make_site):
    """The same each time, so that who changes something else is not told of it; others by SLUICE_SEED=N."""
    seed = int(os.environ.get("SLUICE_SEED", 9568))
    pair = Pair(make_site("pair", servers=2), advert_int="100ms").start()
    dice = Dice(seed, pair)
    try:
        for _ in range(100):
            dice.throw()
        began = now()
        dice.end()
        pair.wait_settled(90)
    except Exception as error:
        raise AssertionError(f"SLUICE_SEED={seed}: {dice.history}") from error
    tell(f"  100 random faults, SLUICE_SEED={seed}: one master, and traffic, {now() - began:.1f} s after the last")
    answers = pair.lab.run("client", "ip", "neigh", "show", pair.lab.vip4).stdout
    assert pair.flows() and answers


def test_busy_hosts_do_not_take_over(make_site):
    """Both hosts share this machine's processors, which are busy for a minute with more than they can do."""
    pair = Pair(make_site("pair", servers=2), advert_int="100ms").start()
    before = [host.vrrp()["became_master"] for host in pair.hosts]
    busy = [pair.lab.start(host.node, "sh", "-c", "while :; do :; done") for host in pair.hosts for _ in range(os.cpu_count())]
    end = time.monotonic() + 60
    try:
        while time.monotonic() < end:
            assert pair.masters() in (["lb1"], []), pair.told()  # none: nobody answered in time
            assert not pair.two.holds_any(), pair.told()
    finally:
        for process in busy:
            process.kill()
    pair.wait_settled()
    assert [host.vrrp()["became_master"] for host in pair.hosts] == before
    lateness = [host.vrrp()["timer_late_max_us"] / 1000 for host in pair.hosts]
    tell(f"  busy for 60 s with {len(busy)} loops: no take-over at adverts of 100 ms; timers at most {max(lateness):.1f} ms late")
