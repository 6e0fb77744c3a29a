"""What VRRP's less common settings do, between two speakers.

    lan ==+=========+==   lb1: .2, priority 90     pair-two-armed: "front" and "back" in place of lan
        lb1       lb2     lb2: .3, priority 80: keepalived

What sluice-vrrp does at lb1, keepalived in its place does, too.
"""

import json
import time

import pytest

from capture import Capture
from conftest import wait_for
from testbed.lab import Lab
from vrrp_match import Match, side_by_side
from vrrp_peers import Adverts, Keepalived, Sluice

FAST = {"version": 3, "advert_int": "100ms"}
VMAC = "00:00:5e:00:01:3d"


# --- the virtual router's own MAC address ----------------------------------------------------------------------------


def on_macvlan(lab, node):
    """Names of the node's interfaces with the virtual router's MAC address, and their addresses."""
    shown = json.loads(lab.run(node, "ip", "-j", "addr").stdout)
    return {link["ifname"]: [address["local"] for address in link["addr_info"]] for link in shown if link.get("address") == VMAC}


def vmac(lab, kind):
    match = Match(lab, (kind, Keepalived), {**FAST, "use_vmac": True})
    one, two = match.speakers
    with Capture(lab, "switch", lab.state, nic=lab.nics[0], only="arp or ip proto 112") as capture:
        one.start()
        match.becomes("lb1", after="a start alone")
        two.start()
        match.becomes("lb1", after="the start of the lower priority")
        assert [lab.vip4] in on_macvlan(lab, "lb1").values()
        one.kill()
        wait_for(two.is_master, "lb2 to notice a kill")
        one.start()
        match.becomes("lb1", after="a start after a kill")
        two.kill()
        two.start()
        match.becomes("lb1", after="the other's end and start")
        one.stop()
        match.becomes("lb2", after="a clean stop")
    rows = capture.rows("eth.src", "vrrp.prio", "ip.src", "arp.src.proto_ipv4", "arp.src.hw_mac")
    adverts = {(mac, source) for mac, priority, source, *_ in rows if priority}
    assert adverts == {(VMAC, f"{lab.front4}.2"), (VMAC, f"{lab.front4}.3")}, adverts
    announced = {(mac, inner) for mac, _, _, address, inner in rows if address == lab.vip4}
    assert announced == {(VMAC, VMAC)}, announced
    if kind is Sluice:
        assert on_macvlan(lab, "lb1") == {}, "what it has made, or taken over, goes with it"


def vmac_xmit_base(lab, kind):
    """The addresses are the virtual router's; the adverts come from the interface itself."""
    match = Match(lab, (kind, Keepalived), {**FAST, "use_vmac": True, "vmac_xmit_base": True})
    with Capture(lab, "switch", lab.state, nic=lab.nics[0], only="arp or ip proto 112") as capture:
        match.start()
        match.becomes("lb1", after="the start")
    own = json.loads(lab.run("lb1", "ip", "-j", "link", "show", "dev", lab.nics[0]).stdout)[0]["address"]
    rows = capture.rows("eth.src", "vrrp.prio", "ip.src", "arp.src.proto_ipv4", "arp.src.hw_mac")
    assert {mac for mac, priority, source, *_ in rows if priority and source.endswith(".2")} == {own}
    assert (VMAC, VMAC) in {(mac, inner) for mac, _, _, address, inner in rows if address == lab.vip4}


# --- sync groups -----------------------------------------------------------------------------------------------------


def families(lab, kind):
    """IPv4 and IPv6 of one interface."""
    six = {"name": "VI_6", "family": 6, "sync_group": "both"}
    match = Match(lab, (kind, Keepalived), FAST, [{"sync_group": "both", "others": [six]}] * 2)
    one, two = match.start()
    match.becomes("lb1", after="the start")
    one.stop()
    match.becomes("lb2", after="a clean stop")
    one.start()
    match.becomes("lb1", after="another start")
    one.kill()
    wait_for(two.is_master, "lb2 to notice a kill")


def two_arms(lab, kind):
    """A fault of the one interface moves the addresses of the other."""
    front = {"interface": "front", "sync_group": "arms"}
    back = {"name": "VI_2", "interface": "back", "sync_group": "arms", "virtual_router_id": 62, "addresses": [f"{lab.back4}.10/24"]}
    match = Match(lab, (kind, Keepalived), FAST, [{**front, "others": [back]}] * 2)
    one, _ = match.start()
    match.becomes("lb1", after="the start")
    for nic, other in (("back", "VI_1"), ("front", "VI_2")):
        lab.run("switch", "ip", "link", "set", f"lb1-{nic}", "down")
        match.becomes("lb2", after=f"{nic} has lost its link")
        assert not any(one.holds(vrrp) for vrrp in one.instances)
        if kind is Sluice:
            row = one.show(other)
            assert (row["state"], [trouble["tracker"] for trouble in row["troubles"]]) == ("FAULT", ["group"]), row
        lab.run("switch", "ip", "link", "set", f"lb1-{nic}", "up")
        match.becomes("lb1", after=f"{nic} has it again")
        if kind is Sluice:
            assert [one.show(name)["troubles"] for name in ("VI_1", "VI_2")] == [[], []]


# --- delays ----------------------------------------------------------------------------------------------------------


def startup_delay(lab, kind):
    """The lower priority has the address first, though it starts later."""
    match = Match(lab, (kind, Keepalived), FAST, ({"startup_delay": "2s"}, {}))
    one, two = match.speakers
    began = time.monotonic()
    one.start()
    two.start()
    wait_for(lambda: match.masters() == ["lb2"], "lb2 to be master")
    match.becomes("lb1", after="startup_delay")
    assert time.monotonic() - began >= 2
    if kind is Sluice:
        assert "waits for startup_delay to pass" in one.text()


def preempt_delay(lab, kind):
    match = Match(lab, (kind, Keepalived), FAST, ({"preempt_delay": "2s"}, {}))
    one, two = match.speakers
    two.start()
    match.becomes("lb2", after="a start alone")
    began = time.monotonic()
    one.start()
    match.becomes("lb2", after="the start of one that is patient")
    match.becomes("lb1", after="preempt_delay")
    assert time.monotonic() - began >= 2
    two.stop()
    one.stop()
    one.start()
    match.becomes("lb1", after="a start alone, with nobody to be patient with")


def nopreempt(lab, kind):
    match = Match(lab, (kind, Keepalived), FAST, ({"nopreempt": True}, {}))
    one, two = match.speakers
    two.start()
    match.becomes("lb2", after="a start alone")
    one.start()
    match.becomes("lb2", after="the start of the higher priority")
    two.stop()
    match.becomes("lb1", after="the end of the master")
    two.start()
    match.becomes("lb1", after="the return of the lower priority")
    lab.run("lb1", "ip", "link", "set", "lan", "down")
    match.becomes("lb2", after="a fault")
    lab.run("lb1", "ip", "link", "set", "lan", "up")
    match.becomes("lb2", after="the fault's end")


# --- addresses -------------------------------------------------------------------------------------------------------


def excluded(lab, kind):
    """They move, and are announced, but no advert names them."""
    moving = [f"{lab.front4}.70/24", f"{lab.front6}:70/64"]
    match = Match(lab, (kind, Keepalived), {**FAST, "addresses_excluded": moving})
    with Adverts(lab, "all.pcapng") as adverts, Capture(lab, "switch", lab.state, nic=lab.nics[0], only="arp or icmp6") as capture:
        one, two = match.start()
        match.becomes("lb1", after="the start")
        wanted = {address.split("/")[0] for address in moving}
        wait_for(lambda: wanted <= one.addresses(), "the further addresses at lb1")
        assert not wanted & two.addresses()
        one.stop()
        match.becomes("lb2", after="a clean stop")
        wait_for(lambda: wanted <= two.addresses(), "the further addresses at lb2")
        assert not wanted & one.addresses()
    assert not [row for row in adverts.read() if row.complaint]
    assert not match.speakers[1].complaints()
    own = json.loads(lab.run("lb1", "ip", "-j", "link", "show", "dev", lab.nics[0]).stdout)[0]["address"]
    rows = capture.rows("eth.src", "arp.src.proto_ipv4", "icmpv6.nd.na.target_address")
    assert wanted <= {address or target for mac, address, target in rows if mac == own}


def source(lab, kind):
    """Adverts come from an address that is not the interface's first; without it there are none."""
    own = ("addr", "add", f"{lab.front4}.52/24", "dev", "lan")
    lab.run("lb1", "ip", *own)
    match = Match(lab, (kind, Keepalived), FAST, ({"mcast_src_ip": f"{lab.front4}.52"}, {}))
    with Adverts(lab, "all.pcapng") as adverts:
        one, _ = match.start()
        match.becomes("lb1", after="the start")
    assert {row.source for row in adverts.read() if row.priority == 90} == {f"{lab.front4}.52"}
    if kind is not Sluice:
        return  # keepalived sends from it still
    lab.run("lb1", "ip", "addr", "del", f"{lab.front4}.52/24", "dev", "lan")
    match.becomes("lb2", after="the loss of the source address")
    row = one.show()
    assert row["troubles"] == [{"tracker": "address", "reason": f"source address {lab.front4}.52 is not there", "weight": 0}], row
    lab.run("lb1", "ip", *own)
    match.becomes("lb1", after="its return")


# --- commands that are told ------------------------------------------------------------------------------------------

COMMANDS = ["notify", "notify_master", "notify_backup", "notify_fault", "notify_stop", "notify_master_rx_lower_pri"]


def told(lab, command):
    """What it was called with, in order, by one command."""
    return [line.split(" ", 1)[1].strip() for line in lab.read("told").splitlines() if line.split(" ", 1)[0] == command]


def notify(lab, kind):
    """Returns what each command was called with, through all states."""
    path = lab.state / "tell"
    path.write_text(f"#!/bin/sh\necho \"$@\" >>{lab.state}/told\n")
    path.chmod(0o755)
    # Each says its own name first; keepalived's commands are words in one line.
    match = Match(lab, (kind, Keepalived), FAST, ({command: [str(path), command, "x"] for command in COMMANDS}, {}))
    one, two = match.speakers
    one.start()
    match.becomes("lb1", after="a start alone")
    two.start()
    match.becomes("lb1", after="the start of the lower priority")
    one.freeze(True)
    wait_for(two.is_master, "lb2 to take over")
    one.freeze(False)
    wait_for(lambda: told(lab, "notify_master_rx_lower_pri"), "lb1 to hear lb2")
    match.becomes("lb1", after="both having been master")
    lab.run("lb1", "ip", "link", "set", "lan", "down")
    match.becomes("lb2", after="a fault")
    lab.run("lb1", "ip", "link", "set", "lan", "up")
    match.becomes("lb1", after="its end")
    one.stop()
    match.becomes("lb2", after="a clean stop")
    wait_for(lambda: told(lab, "notify_stop"), "notify_stop")
    wait_for(lambda: "STOP" in "".join(told(lab, "notify")[-1:]), "the end to be told")
    # How many adverts of the lower one are heard before it gives way is up to when in their seconds the two speak.
    return {command: told(lab, command)[:1 if command.endswith("lower_pri") else None] for command in COMMANDS}


# --- reloads, and what is left behind --------------------------------------------------------------------------------


def entered(speaker):
    return speaker.text().count("Entering")


def leaves_group(lab, kind):
    """Who stays in the configuration stays master; one that was in FAULT for the other's sake is well."""
    back = {"name": "VI_2", "interface": "back", "sync_group": "arms", "virtual_router_id": 62, "addresses": [f"{lab.back4}.10/24"]}
    match = Match(lab, (kind, kind), FAST, [{"interface": "front", "sync_group": "arms", "others": [back]}] * 2)
    one, two = match.start()
    match.becomes("lb1", after="the start")
    front, second = one.instances
    alone = {key: value for key, value in front.items() if key != "sync_group"}
    before = entered(one)
    one.reload(alone)
    wait_for(lambda: not one.holds(second), "the other member's address to go")
    assert one.holds(alone) and one.show()["state"] == "MASTER" and entered(one) == before, one.text()
    one.reload(front, second)
    match.becomes("lb1", after="its return")
    lab.run("switch", "ip", "link", "set", "lb1-back", "down")
    match.becomes("lb2", after="a fault of the other member")
    one.reload(alone)
    wait_for(lambda: one.holds(alone) and not two.holds(alone), "who is alone to be well")
    assert one.show()["troubles"] == []


def prefix_length(lab, kind):
    """Another network for an address that is held, and was left behind by a process that was killed."""
    lengths = lambda node: {a["prefixlen"] for link in json.loads(lab.run(node, "ip", "-j", "addr").stdout) for a in link["addr_info"] if a["local"] == lab.vip4}
    match = Match(lab, (kind, kind), FAST)
    one, _ = match.start()
    match.becomes("lb1", after="the start")
    for length in (25, 32, 24):
        before = entered(one)
        one.reload({**one.vrrp, "addresses": [f"{lab.vip4}/{length}"]})
        wait_for(lambda: lengths("lb1") == {length}, f"the address to be a /{length}; it is {lengths('lb1')}")
        assert one.is_master() and one.show()["addresses_missing"] == [] and entered(one) == before, one.text()
    assert "taken away" not in one.text()


def forgets_who_left(lab, kind):
    """A name that left the configuration has not yielded when it comes again."""
    other = {"name": "VI_2", "virtual_router_id": 62, "addresses": [f"{lab.front4}.70/24"]}
    match = Match(lab, (kind, kind), FAST, ({"others": [other]}, {}))
    one = match.speakers[0].start()
    yielded = one.directory / "yielded"
    for name in ("VI_1", "VI_2"):
        lab.run("lb1", *one.cli("vrrp", "yield", name))
    assert yielded.read_text().split() == ["VI_1", "VI_2"]
    first, second = one.instances
    one.reload(first)
    assert yielded.read_text().split() == ["VI_1"]
    one.reload(first, second)
    wait_for(lambda: one.holds(second), "the one that came again to take part")
    assert one.show("VI_1")["yielded"] and not one.show("VI_2")["yielded"]


# --- rows ------------------------------------------------------------------------------------------------------------

TWO_ARMED = [two_arms, leaves_group]
SCENES = [vmac, vmac_xmit_base, families, two_arms, startup_delay, preempt_delay, nopreempt, excluded, source, notify]
OWN = [leaves_group, prefix_length, forgets_who_left]


def play(scene, kind):
    lab = Lab.up("pair-two-armed" if scene in TWO_ARMED else "pair", servers=1, prefix="e2e")
    try:
        return scene(lab, kind)
    finally:
        lab.down()


@pytest.fixture(scope="module")
def played(request):
    yield from side_by_side(request, play)


@pytest.mark.parametrize("kind", [Sluice, Keepalived], ids=lambda kind: kind.kind)
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_as_keepalived(played, scene, kind):
    outcome = played[scene, kind].result()
    if outcome is not None and kind is Sluice:
        assert outcome == played[scene, Keepalived].result()


@pytest.mark.parametrize("scene, kind", [(scene, Sluice) for scene in OWN], ids=[scene.__name__ for scene in OWN])
def test_after_a_reload(played, scene, kind):
    played[scene, kind].result()
