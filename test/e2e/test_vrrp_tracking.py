"""What a host must be able to do to have the virtual IP: scripts, interfaces, services, its data plane.

    lan ==+=========+==   lb1: .2, priority 90: loses something, and has it again
        lb1       lb2     lb2: .3, priority 80: keepalived, takes over meanwhile

What sluice-vrrp does at lb1, keepalived in its place does, too.
"""

import ctypes
import json
import os
import pathlib
import re

import pytest

from conftest import tell, wait_for
from pair import Pair, changes, counters, grown, now
from testbed import backends
from testbed.lab import Lab
from vrrp_match import Match, side_by_side
from vrrp_peers import Keepalived, Sluice

FAST = {"version": 3, "advert_int": "100ms"}
KINDS = [Sluice, Keepalived]


def shown(speaker, *, tracker, reason, weight, effective):
    """Of sluice: `show vrrp` and the log name what is wrong."""
    if not isinstance(speaker, Sluice):
        return
    wait_for(lambda: speaker.show()["troubles"], "`show vrrp` to name the trouble")
    row = speaker.show()
    assert row["troubles"] == [{"tracker": tracker, "reason": reason, "weight": weight}], row
    if weight == 0:
        assert (row["state"], row["reason"]) == ("FAULT", reason), row
        assert re.search(rf"\(VI_1\) is FAULT: (tracked )?{tracker} ", speaker.text()), speaker.text()
    else:
        assert (row["state"], row["effective_priority"]) == ("BACKUP", effective), row
        assert f"(VI_1) Changing effective priority from 90 to {effective}" in speaker.text()


def well(speaker):
    """Nothing is left of it."""
    if isinstance(speaker, Sluice):
        row = speaker.show()
        assert (row["state"], row["troubles"], row["effective_priority"]) == ("MASTER", [], 90), row


def tracked_match(lab, kind, weight, **tracked):
    """Priority 90 while all is well, whatever the weight."""
    match = Match(lab, (kind, Keepalived), FAST, ({"priority": 90 - max(weight, 0), **tracked}, {}))
    match.start()
    match.becomes("lb1", after="the start")
    return match


def script_of(lab, weight):
    """Succeeds while the file `ok` is there; takes for ever while `hang` is."""
    path = lab.state / "check"
    path.write_text(f"#!/bin/sh\n[ ! -e {lab.state}/hang ] || sleep 600\nexec test -e {lab.state}/ok\n")
    path.chmod(0o755)
    (lab.state / "ok").touch()
    return {"name": "chk", "script": [str(path)], "interval": "1s", "timeout": "1s", "weight": weight}


def fails(lab, kind, weight):
    match = tracked_match(lab, kind, weight, track_script=[script_of(lab, weight)])
    one, ok = match.speakers[0], lab.state / "ok"
    ok.unlink()
    match.becomes("lb2", after="the script's failure")
    shown(one, tracker="script", reason="script chk exited with 1", weight=weight, effective=90 - abs(weight))
    ok.touch()
    match.becomes("lb1", after="its success")
    well(one)


def commands_at(lab, node):
    for pid in lab.run(node, "ip", "netns", "pids", f"{lab.name}-{node}").stdout.split():
        try:
            yield pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:  # it has ended meanwhile
            pass


def hangs(lab, kind, weight):
    """A script that takes too long has failed, and is killed with all that it has started."""
    match = tracked_match(lab, kind, weight, track_script=[script_of(lab, weight)])
    one, hang = match.speakers[0], lab.state / "hang"
    hang.touch()
    match.becomes("lb2", after="the script's hanging")
    shown(one, tracker="script", reason="script chk took longer than 1.0 s and was killed", weight=weight, effective=90 - abs(weight))
    hang.unlink()
    match.becomes("lb1", after="its success")
    well(one)
    if kind is Sluice:
        wait_for(lambda: not [command for command in commands_at(lab, "lb1") if b"sleep" in command], "the script's own child to end")


def interface_down(lab, kind, weight):
    link = lambda *words: lab.run("lb1", "ip", "link", *words)

    def make():
        link("add", "aside", "type", "veth", "peer", "name", "beside")
        link("set", "beside", "up")
        link("set", "aside", "up")

    make()
    match = tracked_match(lab, kind, weight, track_interface=[{"interface": "aside", "weight": weight}])
    one = match.speakers[0]
    troubles = [("is down", lambda: link("set", "aside", "down"), lambda: link("set", "aside", "up")),
                ("has no link", lambda: link("set", "beside", "down"), lambda: link("set", "beside", "up")),
                ("does not exist", lambda: link("del", "aside"), make)]
    for words, begin, end in troubles:
        begin()
        match.becomes("lb2", after=f"a tracked interface that {words}")
        shown(one, tracker="interface", reason=f"tracked interface aside {words}", weight=weight, effective=90 - abs(weight))
        end()
        match.becomes("lb1", after=f"one that {words} is well again")
        well(one)


PLAYS = [(fails, 0), (fails, -20), (fails, 20), (hangs, 0), (hangs, -20), (interface_down, 0), (interface_down, -20), (interface_down, 20)]


def play(scene, weight, kind):
    lab = Lab.up("pair", servers=1, prefix="e2e")
    try:
        scene(lab, kind, weight)
    finally:
        lab.down()


@pytest.fixture(scope="module")
def played(request):
    yield from side_by_side(request, play)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
@pytest.mark.parametrize("scene, weight", PLAYS, ids=[f"{scene.__name__}-{weight}" for scene, weight in PLAYS])
def test_moves_and_comes_back(played, scene, weight, kind):
    played[scene, weight, kind].result()


# --- what sluice alone knows of: its data plane and its services -----------------------------------------------------


@pytest.fixture(scope="module")
def pair(make_shared_site):
    """Both hosts with all of sluice."""
    return Pair(make_shared_site("pair", servers=2), advert_int="100ms", track_dataplane={"timeout": "1s"}).start()


def trouble(pair, tracker, reason, weight=0):
    """lb2 has the addresses, traffic flows there, and lb1 says why."""
    one = pair.one
    wait_for(pair.has_moved, f"lb2 to take over; {pair.told()}")
    for row in one.instances():
        assert row["troubles"] == [{"tracker": tracker, "reason": reason, "weight": weight}], row
        if weight == 0:
            assert (row["state"], row["reason"]) == ("FAULT", reason), row
            assert f"({row['name']}) is FAULT: {reason}" in pair.lab.read(one.sluice.log)


def is_well(pair):
    pair.wait_settled()
    assert not any(shown["troubles"] for shown in pair.one.instances()), pair.told()


def noticed(pair, began):
    """Silence is borne with for a second, the data plane asked five times in one."""
    wait_for(lambda: pair.one.is_in("FAULT"), "lb1 to notice")
    taken = now() - began
    tell(f"  {pair.lab.device:10} noticed after {taken:.3f} s, of which 1 s is the timeout")
    assert taken <= 1 + 0.6 + pair.late.seconds()


def test_data_plane_that_is_frozen(pair):
    is_well(pair)
    began = now()
    pair.one.freeze(True, "sluice-dp")
    try:
        noticed(pair, began)
        trouble(pair, "dataplane", "the data plane has not answered for 1.0 s")
    finally:
        pair.one.freeze(False, "sluice-dp")
    is_well(pair)


class Halted:
    """One thread of a process stands still; the others go on. Only the thread that began can end it."""

    SEIZE, INTERRUPT, DETACH, WAIT_ALL = 0x4206, 0x4207, 17, 0x40000000

    def __init__(self, pid, name):
        self.thread = next(int(task.name) for task in pathlib.Path(f"/proc/{pid}/task").iterdir() if name in (task / "comm").read_text())
        self.libc = ctypes.CDLL(None, use_errno=True)

    def ptrace(self, request):
        if self.libc.ptrace(request, self.thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def __enter__(self):
        self.ptrace(self.SEIZE)
        self.ptrace(self.INTERRUPT)
        os.waitpid(self.thread, self.WAIT_ALL)

    def __exit__(self, *_):
        self.ptrace(self.DETACH)


def test_worker_that_does_not_advance(pair):
    """The process answers all the same."""
    is_well(pair)
    began = now()
    with Halted(pair.one.sluice.child("sluice-dp"), "worker"):
        noticed(pair, began)
        trouble(pair, "dataplane", "worker 0 of the data plane has not advanced for 1.0 s")
    is_well(pair)


class Servers:
    """They are dead for lb1 alone: else both hosts would be without."""

    def __init__(self, pair):
        self.pair, self.route = pair, ("blackhole", f"{pair.lab.front4}.2/32")

    def change(self, word, state):
        for number in self.pair.lab.server_numbers():
            self.pair.lab.run(f"s{number}", "ip", "route", word, *self.route)
            self.pair.one.sluice.wait_server("web", f"web{number}", state)

    def __enter__(self):
        self.change("add", "down")

    def __exit__(self, *_):
        self.change("del", "up")


def reload(host, **settings):
    """With these of its instances."""
    config = json.loads(host.sluice.config.read_text())
    for vrrp in config["vrrp"]:
        vrrp |= settings
    host.sluice.write(config)
    host.sluice.order("reload")


def test_servers_are_not_tracked_unless_wanted(pair):
    is_well(pair)
    with Servers(pair):
        heard = pair.two.vrrp()["adverts_received"]
        wait_for(lambda: pair.two.vrrp()["adverts_received"] >= heard + 10, "ten more adverts")
        assert pair.masters() == ["lb1"] and not any(shown["troubles"] for shown in pair.one.instances()), pair.told()
    is_well(pair)


@pytest.mark.parametrize("weight", [0, -20])
def test_service_without_servers(pair, weight):
    is_well(pair)
    reload(pair.one, track_service=[{"service": "web", "weight": weight}])
    is_well(pair)
    with Servers(pair):
        trouble(pair, "service", "service web has 0 usable servers, fewer than 1", weight)
        assert {shown["effective_priority"] for shown in pair.one.instances()} == {90 + weight}
    is_well(pair)
    reload(pair.one, track_service=[])


def test_reload_is_not_noticed(pair):
    """By clients, nor by the other host: new settings of VRRP, and the old ones again."""
    is_well(pair)
    one, two = pair.hosts
    before, texts = [changes(host) for host in pair.hosts], [host.sluice.config.read_text() for host in pair.hosts]
    new = {"advert_int": "200ms", "down_timer_adverts": 4, "preempt_delay": "1s", "garp_master_refresh": "1s", "notify": ["/bin/true"],
           "track_interface": [{"interface": "lo", "weight": -5}], "track_service": [{"service": "web"}]}

    def adverts(number):
        heard = counters(two)
        wait_for(lambda: grown(two, heard, "adverts_received") >= number, f"{number} more adverts; {pair.told()}")

    pair.late.anew()
    with pair.traffic() as beats:
        began = now()
        for host, priority in zip(pair.hosts, (85, 75)):
            reload(host, priority=priority, **new)
        wait_for(lambda: {(shown["advert_ms"], shown["priority"]) for host in pair.hosts for shown in host.instances()} == {(200, 85), (200, 75)},
                 f"the new settings; {pair.told()}")
        adverts(10)
        for host, text in zip(pair.hosts, texts):
            host.sluice.write(json.loads(text))
            host.sluice.order("reload")
        adverts(10)
    is_well(pair)
    for family, beat in beats.items():
        tell(f"  {pair.lab.device:10} four reloads of VRRP's settings: IPv{family} {beat.outage(began):.3f} s without service")
        assert beat.outage(began) <= 0.1 + pair.late.seconds()
        assert {each.outcome for each in beat.beats} == {"ok"}
    assert [changes(host) for host in pair.hosts] == before


@pytest.mark.parametrize("device", ["af_xdp", "af_packet"])
def test_lost_servers_side_moves_the_clients_side(make_site, device):
    """A segment for the clients, another for the servers, whose gateway moves with the virtual IPs."""
    pair = Pair(make_site("pair-two-armed", device=device, servers=2), advert_int="100ms").start()
    lab, one = pair.lab, pair.one
    pair.late.anew()
    with pair.traffic() as beats:
        began = now()
        one.unplug("back")
        wait_for(pair.has_moved, f"lb2 to take over; {pair.told()}")
        # Under af_xdp the interface of its addresses says so, too, and sooner.
        wait_for(lambda: all(row["state"] == "FAULT" and "port back of the data plane has no link" in [trouble["reason"] for trouble in row["troubles"]]
                             for row in one.instances()), f"lb1 to say why; {pair.told()}")
    assert [pair.seen_from(family) for family in pair.families] == [pair.local(family) for family in pair.families]
    for gateway in (f"{lab.back4}.10", f"{lab.back6}:10"):
        assert backends.ping(lab, gateway, node="s1")
    tell(f"  {device:10} lost link to the servers: {' '.join(f'IPv{family} {beat.outage(began):.3f} s' for family, beat in beats.items())} without service")
    assert max(beat.outage(began) for beat in beats.values()) <= 0.6 + pair.skew(80) + pair.late.seconds()
    one.plug("back")
    is_well(pair)
