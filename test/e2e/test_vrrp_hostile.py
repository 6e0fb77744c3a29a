"""Adverts that must not be believed: each is counted by its reason, and nothing changes.

    lan ==+==========+==   lb1: sluice-vrrp: master, or backup of keepalived at lb2
        lb1        lb2     lb2: scapy, which forges
"""

import json
import subprocess

import pytest

from conftest import PYTHON, wait_for
from testbed.lab import Lab
from vrrp_peers import Adverts, Keepalived, Sluice, instance

FORGE = """
import json, random, sys
from scapy.all import Ether, IP, Raw, conf, get_if_hwaddr, sendp
from scapy.utils import checksum
conf.verb = 0
MAC = get_if_hwaddr("lan")  # scapy would ask for a route to the group, and without one leave it zero

def vrrp2(vrid=61, priority=255, interval=1, auth=b"1111", auth_type=1, addresses=(VIP,), version=2, kind=1):
    head = bytes([version << 4 | kind, vrid, priority, len(addresses), auth_type, interval])
    tail = b"".join(bytes(map(int, a.split("."))) for a in addresses) + auth.ljust(8, b"\\0")[:8]
    sum_ = checksum(head + b"\\0\\0" + tail)
    return head + sum_.to_bytes(2, "big") + tail

def packet(payload, ttl=255, dst="224.0.0.18"):
    return Ether(src=MAC, dst="01:00:5e:00:00:12") / IP(src=SRC, dst=dst, ttl=ttl, proto=112, tos=0xc0) / Raw(payload)

good = vrrp2()
broken = bytes([good[0], *good[1:6], good[6] ^ 1, *good[7:]])
PACKETS = {
    "ttl": packet(good, ttl=254),
    "version": packet(vrrp2(version=3)),
    "type": packet(vrrp2(kind=2)),
    "checksum": packet(broken),
    "auth_data": packet(vrrp2(auth=b"2222")),
    "auth_type": packet(vrrp2(auth_type=0, auth=b"")),
    "interval": packet(vrrp2(interval=7)),
    "addresses": packet(vrrp2(addresses=("192.0.2.77",))),
    "length": packet(good[:-3]),
    "other_addresses": packet(vrrp2(priority=1, addresses=(VIP, "192.0.2.77"))),
}
kind, number, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if kind == "unknown":
    sendp([packet(vrrp2(vrid=99))] * number, iface="lan")
elif kind == "random":
    dice = random.Random(seed)
    frames = []
    for _ in range(number):
        data = bytearray(dice.choice([good, vrrp2(priority=0), vrrp2(version=3), bytes(dice.randrange(60))]))
        for _ in range(dice.randrange(1, 6)):
            if data:
                data[dice.randrange(len(data))] = dice.randrange(256)
        if data[:1] and bytes(data) != good and not (data[1:2] == good[1:2] and checksum(bytes(data)) == 0):
            frames.append(packet(bytes(data), ttl=dice.choice([255, 255, 1])))
    sendp(frames, iface="lan")
    print(len(frames))
elif kind == "replay":
    sendp([Ether(src=MAC, dst="01:00:5e:00:00:12") / IP(bytes.fromhex(sys.argv[4]))] * number, iface="lan")
else:
    sendp([PACKETS[kind]] * number, iface="lan")
"""
REFUSED = ["ttl", "version", "type", "checksum", "auth_data", "auth_type", "interval", "addresses", "length"]


class Target:
    """A speaker at lb1 that has settled in a state, and what lb2 does to it."""

    def __init__(self, lab, state):
        self.lab, self.state = lab, state
        self.speaker = Sluice(lab, "lb1", instance(lab, auth_pass="1111", priority=100)).start()
        if state == "BACKUP":
            Keepalived(lab, "lb2", instance(lab, auth_pass="1111", priority=200)).start()
        wait_for(lambda: self.is_as_it_was(0), f"{state}")
        self.script = lab.state / "forge.py"
        self.script.write_text(f"VIP, SRC = {lab.vip4!r}, {lab.front4 + '.3'!r}\n{FORGE}")
        self.changes = self.entered()

    def forge(self, kind, number=1, seed=0, *more):
        return self.lab.run("lb2", PYTHON, self.script, kind, number, seed, *more).stdout

    def entered(self):
        return self.speaker.text().count("Entering")

    def is_as_it_was(self, changes=None):
        """In its state, having been in no other meanwhile; a backup that still hears its master."""
        shown = self.speaker.show()
        return (shown["state"] == self.state and self.speaker.is_master() == (self.state == "MASTER")
                and (self.state == "MASTER" or shown["master"] == f"{self.lab.front4}.3")
                and (changes == 0 or self.entered() == self.changes))

    def counted(self):
        return {refusal["reason"]: refusal["packets"] for refusal in self.speaker.show()["refusals"]}

    def unknown(self):
        shown = self.lab.run("lb1", *self.speaker.cli("show", "vrrp", "--json")).stdout
        return json.loads(shown)["unknown_vrid"]


@pytest.fixture(scope="module", params=["MASTER", "BACKUP"])
def target(request):
    lab = Lab.up("pair", servers=1, prefix="e2e")
    try:
        yield Target(lab, request.param)
    finally:
        lab.down()


@pytest.mark.parametrize("reason", REFUSED)
def test_is_refused_and_counted(target, reason):
    before = target.counted().get(reason, 0)
    target.forge(reason, 5)
    wait_for(lambda: target.counted().get(reason, 0) == before + 5, f"5 counted as {reason}")
    assert target.is_as_it_was()


def test_foreign_virtual_routers_are_not_ours(target):
    before, refused = target.unknown(), target.counted()
    target.forge("unknown", 10)
    wait_for(lambda: target.unknown() == before + 10, "foreign adverts to be counted")
    assert target.counted() == refused and target.is_as_it_was()


def test_a_router_with_other_addresses_is_named(target):
    """As keepalived does from 2.3.3 on: its adverts count, and the operator hears of it."""
    target.forge("other_addresses")
    at = f"{target.lab.front4}.3"
    said = f"{at} advertises other addresses than are configured here"
    if target.state == "MASTER":  # a backup hears its true master a moment later, whose list is right
        wait_for(lambda: [peer["other_addresses"] for peer in target.speaker.show()["peers"] if peer["address"] == at] == [True], "show vrrp --json to tell")
        assert f"VI_1: {said}" in target.lab.run("lb1", *target.speaker.cli("show", "vrrp")).stdout
    wait_for(lambda: said in target.speaker.text(), "the log to tell")
    assert target.is_as_it_was()


def test_adverts_that_are_sent_back_change_nothing(target):
    """Of a master: its own, which nobody else may send; of a backup: its master's, once more."""
    with Adverts(target.lab) as adverts:
        wait_for(lambda: adverts.count() >= 1, "an advert")
    lines = subprocess.run(["tshark", "-r", adverts.file, "-T", "json", "-x", "-c", "1"], capture_output=True, text=True, check=True).stdout
    frame = json.loads(lines)[0]["_source"]["layers"]["frame_raw"][0]
    target.forge("replay", 20, 0, frame[28:])
    after = target.speaker.show()["adverts_sent" if target.state == "MASTER" else "adverts_received"]
    wait_for(lambda: target.speaker.show()["adverts_sent" if target.state == "MASTER" else "adverts_received"] > after, "the next advert")
    assert target.is_as_it_was()


def test_a_flood_fills_neither_log_nor_patience(target):
    lines, before = len(target.speaker.text().splitlines()), target.counted().get("checksum", 0)
    target.forge("checksum", 5000)
    wait_for(lambda: target.counted().get("checksum", 0) == before + 5000, "the flood to be counted", 60)
    assert target.is_as_it_was()
    assert len(target.speaker.text().splitlines()) - lines < 30


def test_random_bytes_change_nothing(target):
    total = lambda: sum(target.counted().values()) + target.unknown()
    before = total()
    sent = int(target.forge("random", 3000, 20261123))
    wait_for(lambda: total() == before + sent, f"all {sent} to be refused")
    assert target.is_as_it_was()
