"""What VRRP daemons die of, or fall silent over: each is told by name, and heals without a hand.

    client --+-- lb1, priority 90: something befalls it       client --+-- lb1, lb2: 100 things befall them
             `-- lb2, priority 80: takes over meanwhile
"""

import contextlib
import json
import os
import pathlib
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from conftest import tell, wait_for
from pair import Pair, changes, counters, grown, now
from testbed.host import PARTS
from testbed.lab import Lab
from vrrp_peers import Sluice, instance

DEVICES = ["af_xdp", "af_packet"]


@pytest.fixture(scope="module", params=DEVICES)
def pair(request, make_shared_site):
    return Pair(make_shared_site("pair", device=request.param, servers=2)).start()


@dataclass
class Case:
    """Something that befalls a host, lb1 if nothing else is said. `counter`: what in `show vrrp --json` tells of it afterwards, by
    growing so much. `told`: what `show vrrp` and the log call it while it lasts; `takes_over`: lb2 does; `without`: what the
    protocol allows clients to be without service, of "good-bye" (priority 0 goes out) and "silence"; `kills`: which programs."""

    name: str
    begin: Callable
    end: Callable | None = None
    counter: str = ""
    growth: int = 1
    told: str = ""
    takes_over: bool = False
    without: str = ""
    kills: tuple = ()


CASES = [
    Case("interface down", lambda host: host.link("down"), lambda host: host.link("up"), "interface", told="is down", takes_over=True, without="silence"),
    Case("cable pulled", lambda host: host.unplug(), lambda host: host.plug(), "link", told="has no link", takes_over=True, without="silence"),
    Case("interface deleted", lambda host: host.delete_interface(), lambda host: host.make_interface(), "interface", told="does not exist",
         takes_over=True, without="silence", kills=("sluice-dp",)),
    Case("addresses flushed", lambda host: host.flush(), lambda host: host.own_addresses(), "address", told="address to send from", takes_over=True, without="good-bye"),
    Case("own address deleted", lambda host: host.delete_own(), lambda host: host.own_addresses(), "address", told="address to send from", takes_over=True, without="good-bye"),
    Case("virtual IP deleted by hand", lambda host: host.delete_vip(), counter="addresses_repaired"),
    Case("network restarted", lambda host: (host.flush(), host.link("down"), host.link("up")), counter="became_fault", takes_over=True, without="good-bye"),
    Case("data plane killed", lambda host: host.kill("sluice-dp"), counter="dataplane", takes_over=True, without="good-bye", kills=("sluice-dp",)),
    Case("control plane killed", lambda host: host.kill("sluice-cp"), kills=("sluice-cp",)),
    Case("VRRP killed", lambda host: host.kill("sluice-vrrp"), kills=("sluice-vrrp",)),
    Case("VRRP frozen", lambda host: host.freeze(True), lambda host: host.freeze(False), "timer_late_max_us", 2_000_000, takes_over=True),
    Case("all killed", lambda host: host.kill_all(), lambda host: host.start(), takes_over=True, without="silence", kills=PARTS),
]
# What else the log has to say.
LINES = {
    "virtual IP deleted by hand": ["Netlink reflector reports IP", "is put back"],
    "network restarted": ["Entering FAULT STATE"],
    "data plane killed": ["Entering FAULT STATE"],
    "VRRP frozen": ["a timer was served"],
}


def parametrize(cases):
    return pytest.mark.parametrize("case", cases, ids=[case.name.replace(" ", "-") for case in cases])


def twin_dies(pair, case):
    """Together with its data plane. Through a dead one no good-bye can leave."""
    return case.name in ("interface deleted", "data plane killed") and pair.lab.device == "af_packet"


def told(pair, case):
    """A new data plane makes a new twin before long: sooner than anybody is sure to have looked."""
    return "" if twin_dies(pair, case) else case.told


@contextlib.contextmanager
def befalling(host, case):
    case.begin(host)
    try:
        yield
    finally:
        if case.end is not None:
            case.end(host)


def share(pair, case):
    """The protocol's, of the time without service."""
    if not case.without:
        return 0
    return pair.skew(80) if case.without == "good-bye" and not twin_dies(pair, case) else pair.master_down(80)


def take_overs(pair, case):
    """How often lb2 may have become master, and given way again."""
    if case.name == "VRRP killed":  # the new process and lb2 wait for the master about equally long
        return 0, 1
    return (int(case.takes_over),)


def tells(pair, case, host, logged):
    """The log, from that length on, has what it must have."""
    log = pair.lab.read(host.sluice.log)[logged:]
    lines = LINES.get(case.name, []) + [f"Interface {host.interface} {what}" for what in ("deleted", "added") if twin_dies(pair, case)]
    assert all(line in log for line in lines), log
    assert re.search(rf"is (still )?FAULT: .*{told(pair, case)}", log) or not told(pair, case), log


def troubles(host, told):
    """The names, for monitors, of what `show vrrp` tells so."""
    return {trouble["tracker"] for shown in host.instances() for trouble in shown["troubles"] if told in trouble["reason"]}


@parametrize(CASES)
def test_heals(pair, case):
    one, two = pair.hosts
    pair.wait_settled()
    logged, counted, changed = len(pair.lab.read(one.sluice.log)), counters(one), changes(one)
    ran, heirs, heir = one.parts(), two.parts(), counters(two)
    counter = case.counter
    pair.late.anew()
    with pair.traffic() as beats:
        began = now()
        with befalling(one, case):
            if case.takes_over:
                wait_for(lambda: two.holds() and two.is_in("MASTER"), f"lb2 to take over; {pair.told()}", 30)
            if told(pair, case):
                wait_for(lambda: counter in troubles(one, case.told), f"`show vrrp` to say \"{case.told}\"; {pair.told()}")
            if case.end is None and counter:
                wait_for(lambda: grown(one, counted, counter), f"{counter} to be counted; {pair.told()}")
            ended = began if case.end is None else now()
        pair.wait_settled()
        recovered = now() - ended
    outages = {family: beat.outage(began) for family, beat in beats.items()}
    tell(f"  {pair.lab.device:10} {case.name:28} without service {' '.join(f'IPv{family} {outage:.3f} s' for family, outage in outages.items())}"
         f" (the protocol's share: {share(pair, case):.3f} s); as before {recovered:.3f} s after its end")
    assert max(outages.values()) <= share(pair, case) + 0.1 + pair.late.seconds()
    tells(pair, case, one, logged)
    # Nothing else has ended, to be started again unseen.
    assert {part for part, pid in one.parts().items() if pid != ran[part]} == set(case.kills) and two.parts() == heirs
    if "sluice-vrrp" in case.kills:
        assert one.sluice.show("vrrp")["uptime_ms"] < (now() - began) * 1000
    elif counter:
        assert grown(one, counted, counter) >= case.growth, pair.told()
    else:
        assert changes(one) == changed
    assert grown(two, heir, "became_master") == grown(two, heir, "became_backup") in take_overs(pair, case), pair.told()
    assert all(shown["troubles"] == [] and shown["addresses_missing"] == [] for shown in one.instances()), pair.told()
    assert one.own_address().split("/")[0] not in one.secondary_addresses()


@parametrize([case for case in CASES if case.name in ("interface down", "cable pulled", "data plane killed")])
def test_backup_hears_its_master_again(pair, case):
    """What befalls lb2 no client notices, but lb1 alone keeps it from taking over afterwards, by its adverts."""
    one, two = pair.hosts
    pair.wait_settled()
    logged, changed, counted = len(pair.lab.read(two.sluice.log)), changes(one), counters(two)

    def hears():
        return [(shown["state"], shown["master"]) for shown in two.instances()] == [("BACKUP", shown["source"]) for shown in one.instances()]

    counter = case.counter
    pair.late.anew()
    with pair.traffic() as beats:
        began = now()
        with befalling(two, case):
            wait_for(lambda: grown(two, counted, counter), f"{counter} to be counted; {pair.told()}")
        wait_for(lambda: two.runs() and hears(), f"lb2 to know its master; {pair.told()}")
        heard, enough = counters(two), pair.master_down(80) / pair.advert() + 1
        wait_for(lambda: grown(two, heard, "adverts_received") > enough or not hears(), f"more adverts; {pair.told()}")
        assert hears() and grown(two, counted, "became_master") == 0, pair.told()
    assert max(beat.outage(began) for beat in beats.values()) <= 0.1 + pair.late.seconds()
    assert changes(one) == changed
    tells(pair, case, two, logged)


def test_is_served_in_real_time(pair):
    """What `show vrrp` says of the process holds."""
    shown, pid = pair.one.sluice.show("vrrp"), pair.one.sluice.child("sluice-vrrp")
    assert shown["pid"] == pid and shown["realtime"] and shown["memory_locked"]
    threads = {(task / "comm").read_text().strip(): int(task.name) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()}
    policies = {name: (os.sched_getscheduler(thread), os.sched_getparam(thread).sched_priority) for name, thread in threads.items()}
    speaker, kernel = policies["vrrp-speaker"], policies["vrrp-kernel"]
    assert speaker[0] == kernel[0] == os.SCHED_FIFO and speaker[1] > kernel[1] > 0, policies
    assert policies["sluice-vrrp"][0] == os.SCHED_OTHER, policies
    status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    locked, resident = (int(status[key].split()[0]) for key in ("VmLck", "VmRSS"))
    assert locked >= resident > 0


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
        lab.make_nic("lb1", "lan")
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
        "own": (lambda host: host.delete_own(), lambda host: host.own_addresses()),
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
        self.history, self.kills = [], []
        self.ended = {host.node: 0 for host in pair.hosts}  # how often `sluice run` did so by itself

    def throw(self):
        host = self.random.choice(self.pair.hosts)
        name = self.random.choice(list(self.FAULTS))
        pause = self.random.uniform(0.05, 1.0)
        self.undo(host)
        self.history.append(f"{host.node} {name} {pause:.2f}")
        self.wait_alive(host)
        self.FAULTS[name][0](host)
        self.open[host] = name
        if f"sluice-{name}" in PARTS:
            self.kills.append((host.node, f"sluice-{name}"))
        time.sleep(pause)  # the time between two faults is part of the dice

    def undo(self, host):
        if name := self.open.pop(host, None):
            self.FAULTS[name][1](host)

    def wait_alive(self, host):
        """A fault needs a victim: its processes have come back from the one before. `sluice run` itself ends when one of
        them dies during its first start; a service manager then starts it anew."""
        def alive():
            if host.sluice.process.poll() is not None:
                self.ended[host.node] += 1
                host.start()
            return host.runs()

        wait_for(alive, f"{host.node} to run; {self.history[-5:]}", 60)

    def end(self):
        for host in self.pair.hosts:
            self.undo(host)
            self.wait_alive(host)

    def deaths(self):
        """(host, program) of each that ended as the log has it, by a kill; with others it is not by one."""
        for host in self.pair.hosts:
            log = self.pair.lab.read(host.sluice.log)
            again = re.findall(r"(sluice-\w+) (\w.*) after [\d.]+ s; it is started again", log)
            first = re.findall(r"(sluice-\w+) (\w.*) before it was ready", log)
            assert len(first) == self.ended[host.node], first
            for program, how in again + first:
                yield (host.node, program) if how.startswith("was killed by signal 9 ") else (host.node, program, how)


@pytest.mark.parametrize("device, number", [("af_xdp", 100), ("af_packet", 50)], ids=DEVICES)
def test_heals_from_random_faults(make_site, device, number):
    """The same each time, so that who changes something else is not told of it; others by SLUICE_SEED=N."""
    seed = int(os.environ.get("SLUICE_SEED", 9568))
    pair = Pair(make_site("pair", device=device, servers=2), advert_int="100ms").start()
    dice = Dice(seed, pair)
    try:
        for _ in range(number):
            dice.throw()
        began = now()
        dice.end()
        pair.wait_settled(90)
        assert sorted(dice.deaths()) == sorted(dice.kills)
    except Exception as error:
        raise AssertionError(f"SLUICE_SEED={seed}: {dice.history}") from error
    tell(f"  {device:10} {number} random faults, SLUICE_SEED={seed}: one master, and traffic, {now() - began:.1f} s after the last")
    assert [host.node for host in pair.hosts if host.holds_any()] == ["lb1"] and pair.one.holds()
    assert {neighbour(pair.lab, address) for address in (pair.lab.vip4, pair.lab.vip6)} == {pair.one.mac()}


def neighbour(lab, address):
    """The MAC address that the client has for it."""
    shown, = json.loads(lab.run("client", "ip", "-j", "neigh", "show", address).stdout)
    return shown["lladdr"]


def test_busy_hosts_do_not_take_over(make_site):
    """Both hosts share this machine's processors, which are busy for a minute with more than they can do."""
    pair = Pair(make_site("pair", servers=2), advert_int="100ms").start()
    before = [changes(host) for host in pair.hosts]
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
    assert [changes(host) for host in pair.hosts] == before
    lateness = [of["timer_late_max_us"] / 1000 for host in pair.hosts for of in counters(host).values()]
    tell(f"  busy for 60 s with {len(busy)} loops: no take-over at adverts of 100 ms; timers at most {max(lateness):.1f} ms late")
