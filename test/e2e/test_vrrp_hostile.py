"""Adverts that must not be believed: each is counted by its reason, and nothing changes.

    lan ==+==========+==   lb1: sluice-vrrp: master, or backup of keepalived at lb2
        lb1        lb2     lb2: scapy, which forges
"""

import json
import math
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import PYTHON, wait_for
from testbed.lab import Lab
from vrrp_match import Match
from vrrp_peers import Adverts, Keepalived, Sluice

# What is forged is told in JSON: in the argument what all have in common, then what is to be sent, a line each.
FORGE = """
import ipaddress, json, random, sys
from scapy.all import Ether, IP, IPv6, Raw, conf, get_if_hwaddr, sendp
from scapy.utils import checksum
conf.verb = 0
AT = json.loads(sys.argv[1])
VERSION, VIPS, STRANGER, SRC, TARGET, UNICAST = (AT[key] for key in ("version", "vips", "stranger", "src", "target", "unicast"))
SIX = ":" in SRC
GROUP = "ff02::12" if SIX else "224.0.0.18"
USUAL = TARGET if UNICAST else GROUP
MAC = get_if_hwaddr("lan")  # scapy would ask for a route to the group, and without one leave it zero
MACS = {GROUP: "33:33:00:00:00:12" if SIX else "01:00:5e:00:00:12", TARGET: AT["target_mac"]}

def packed(address):
    return ipaddress.ip_address(address).packed

def sum_of(message, src, dst, plain):
    pseudo = b"" if plain else packed(src) + packed(dst) + (len(message).to_bytes(4, "big") + b"\\0\\0\\0\\x70" if SIX else b"\\0\\x70" + len(message).to_bytes(2, "big"))
    return checksum(pseudo + message)

def advert(vrid=61, priority=255, interval=None, auth=b"1111", auth_type=1, addresses=VIPS, version=VERSION, kind=1, src=SRC, dst=USUAL, plain=False):
    words = [auth_type, interval or 1] if VERSION == 2 else list((100 if interval is None else interval).to_bytes(2, "big"))
    head = bytes([version << 4 | kind, vrid, priority, len(addresses), *words])
    tail = b"".join(map(packed, addresses)) + (auth.ljust(8, b"\\0")[:8] if VERSION == 2 else b"")
    return head + sum_of(head + b"\\0\\0" + tail, src, dst, plain or VERSION == 2).to_bytes(2, "big") + tail

def packet(payload, ttl=255, src=SRC, dst=USUAL):
    ip = IPv6(src=src, dst=dst, hlim=ttl, nh=112, tc=0xc0) if SIX else IP(src=src, dst=dst, ttl=ttl, proto=112, tos=0xc0)
    return Ether(src=MAC, dst=MACS[dst]) / ip / Raw(payload)

def is_right(data):
    return data[1:2] == good[1:2] and any(sum_of(data, SRC, USUAL, plain) == 0 for plain in (True, False))

good = advert()
other = GROUP if UNICAST else TARGET  # where none is expected
PACKETS = {
    "ttl": packet(good, ttl=254),
    "version": packet(advert(version=5 - VERSION)),
    "type": packet(advert(kind=2)),
    "checksum": packet(bytes([*good[:6], good[6] ^ 1, *good[7:]])),
    "no-pseudo-header": packet(advert(plain=True)),
    "another's-pseudo-header": packet(advert(dst=other)),
    "auth_data": packet(advert(auth=b"2222")),
    "auth_type": packet(advert(auth_type=0, auth=b"")),
    "auth_trailer": packet(good + bytes(16)),
    "interval": packet(advert(interval=7)),
    "no-interval": packet(advert(interval=0)),
    "addresses": packet(advert(addresses=[STRANGER])),
    "no-addresses": packet(advert(addresses=[])),
    "length": packet(good[:-3]),
    "destination": packet(advert(dst=other), dst=other),
    "source": packet(advert(src=STRANGER), src=STRANGER),
    "own": packet(advert(src=TARGET), src=TARGET),
    "other_addresses": packet(advert(priority=1, addresses=[*VIPS, STRANGER])),
    "unknown": packet(advert(vrid=99)),
}

def randoms(number, seed):
    dice = random.Random(seed)
    for _ in range(number):
        data = bytearray(dice.choice([good, advert(priority=0), advert(version=5 - VERSION), bytes(dice.randrange(60))]))
        for _ in range(dice.randrange(1, 6)):
            if data:
                data[dice.randrange(len(data))] = dice.randrange(256)
        if data and not is_right(bytes(data)):
            yield packet(bytes(data), ttl=dice.choice([255, 255, 1]))

print("ready", flush=True)
for line in sys.stdin:
    kind, number, more = json.loads(line)
    if kind == "random":
        frames = list(randoms(number, more))
    elif kind == "replay":
        frames = [Ether(bytes.fromhex(more))] * number
    else:
        frames = [PACKETS[kind]] * number
    sendp(frames, iface="lan")
    print(len(frames), flush=True)
"""

# Packets that are refused, by what lb1 speaks, and their reason where it has another name.
COMMON = ["ttl", "version", "type", "checksum", "auth_trailer", "addresses", "no-addresses", "length", "destination", "own"]
REASONS = {"no-pseudo-header": "checksum", "another's-pseudo-header": "checksum", "no-interval": "interval", "no-addresses": "addresses"}
VARIANTS = {
    "v2": ({"version": 2, "auth_pass": "1111"}, [*COMMON, "auth_data", "auth_type", "interval"]),
    "v3": ({"version": 3}, [*COMMON, "another's-pseudo-header", "no-interval"]),
    "v3-ipv6": ({"family": 6}, [*COMMON, "no-pseudo-header", "another's-pseudo-header", "no-interval"]),
    "v3-unicast": ({"version": 3, "unicast": True, "check_unicast_src": True}, ["checksum", "another's-pseudo-header", "destination", "source", "own"]),
}


class Target:
    """A speaker at lb1 that has settled in a state, and what lb2 does to it."""

    def __init__(self, lab, variant, state):
        self.lab, self.state = lab, state
        self.speaker, other = Match(lab, (Sluice, Keepalived), VARIANTS[variant][0], ({"priority": 100}, {"priority": 200})).speakers
        self.unicast, self.peer = "unicast_peer" in self.speaker.vrrp, str(other.source())
        # IPv4 takes what comes from an address of its own for a mistake, and drops it before VRRP could say so.
        lab.run("lb1", "sysctl", "-qw", "net.ipv4.conf.all.accept_local=1")
        self.speaker.start()
        if state == "BACKUP":
            other.start()
        wait_for(lambda: self.is_as_it_was(0), f"{state}")
        self.forger = self.start_forger()
        self.changes = self.entered()

    def start_forger(self):
        script = self.lab.state / "forge.py"
        script.write_text(FORGE)
        link = json.loads(self.lab.run("lb1", "ip", "-j", "link", "show", "dev", "lan").stdout)[0]
        vrrp, stranger = self.speaker.vrrp, f"{self.lab.front6}:77" if ":" in self.peer else f"{self.lab.front4}.77"
        at = {"version": vrrp["version"], "vips": [a.split("/")[0] for a in vrrp["addresses"]], "stranger": stranger, "src": self.peer,
              "target": str(self.speaker.source()), "target_mac": link["address"], "unicast": self.unicast}
        forger = self.lab.start("lb2", PYTHON, script, json.dumps(at), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert forger.stdout.readline() == "ready\n"
        return forger

    def forge(self, kind, number=1, more=None):
        """Returns how many were sent."""
        self.forger.stdin.write(json.dumps([kind, number, more]) + "\n")
        self.forger.stdin.flush()
        return int(self.forger.stdout.readline())

    def entered(self):
        return self.speaker.text().count("Entering")

    def is_as_it_was(self, changes=None):
        """In its state, having been in no other meanwhile; a backup that still hears its master."""
        shown = self.speaker.show()
        return (shown["state"] == self.state and self.speaker.is_master() == (self.state == "MASTER")
                and (self.state == "MASTER" or shown["master"] == self.peer)
                and (changes == 0 or self.entered() == self.changes))

    def counted(self, reason=None):
        """How many were refused, for this reason, or {reason: number}."""
        counts = {refusal["reason"]: refusal["packets"] for refusal in self.speaker.show()["refusals"]}
        return counts.get(reason, 0) if reason else counts

    def unknown(self):
        shown = self.lab.run("lb1", *self.speaker.cli("show", "vrrp", "--json")).stdout
        return json.loads(shown)["unknown_vrid"]


class Quiet:
    """While the `with` block lasts the log gets one line in ten seconds about each reason at most, and no others."""

    def __init__(self, target):
        self.target = target

    def __enter__(self):
        self.lines, self.counted, self.began = len(self.target.speaker.text().splitlines()), self.target.counted(), time.monotonic()

    def __exit__(self, error, *_):
        if error:
            return
        reasons = [reason for reason, packets in self.target.counted().items() if packets > self.counted.get(reason, 0)]
        lines = self.target.speaker.text().splitlines()[self.lines:]
        assert all("dropped advert from" in line for line in lines), lines
        assert len(lines) <= len(reasons) * math.ceil((time.monotonic() - self.began) / 10), lines


TARGETS = [(variant, state) for variant in VARIANTS for state in ("MASTER", "BACKUP")]


@pytest.fixture(scope="module")
def targets(request):
    """(variant, state) -> future of the target, a lab each. They wait for their states at the same time."""
    asked = {item.callspec.params["target"] for item in request.session.items if item.module is request.module}
    labs = {which: Lab.up("pair", servers=1, prefix="e2e") for which in asked}
    try:
        with ThreadPoolExecutor(len(TARGETS)) as pool:
            yield {which: pool.submit(Target, lab, *which) for which, lab in labs.items()}
    finally:
        for lab in labs.values():
            lab.down()


@pytest.fixture
def target(request, targets):
    return targets[request.param].result()


every_target = pytest.mark.parametrize("target", TARGETS, ids="-".join, indirect=True)
REFUSED = [pytest.param(target, kind, id=f"{'-'.join(target)}-{kind}") for target in TARGETS for kind in VARIANTS[target[0]][1]]


@pytest.mark.parametrize("target, kind", REFUSED, indirect=["target"])
def test_is_refused_and_counted(target, kind):
    reason = REASONS.get(kind, kind)
    before = target.counted(reason)
    target.forge(kind, 5)
    wait_for(lambda: target.counted(reason) == before + 5, f"5 counted as {reason}; {target.counted()}")
    assert target.is_as_it_was()


@every_target
def test_foreign_virtual_routers_are_not_ours(target):
    before, refused = target.unknown(), target.counted()
    target.forge("unknown", 10)
    wait_for(lambda: target.unknown() == before + 10, "foreign adverts to be counted")
    assert target.counted() == refused and target.is_as_it_was()


@every_target
def test_a_router_with_other_addresses_is_named(target):
    """As keepalived does from 2.3.3 on: its adverts count, and the operator hears of it."""
    target.forge("other_addresses")
    at = target.peer
    said = f"{at} advertises other addresses than are configured here"
    if target.state == "MASTER":  # a backup hears its true master a moment later, whose list is right
        wait_for(lambda: [peer["other_addresses"] for peer in target.speaker.show()["peers"] if peer["address"] == at] == [True], "show vrrp --json to tell")
        assert f"VI_1: {said}" in target.lab.run("lb1", *target.speaker.cli("show", "vrrp")).stdout
    wait_for(lambda: said in target.speaker.text(), "the log to tell")
    assert target.is_as_it_was()


@every_target
def test_adverts_that_are_sent_back_change_nothing(target):
    """Of a master: its own, which nobody else may send; of a backup: its master's, once more."""
    with Adverts(target.lab) as adverts:
        wait_for(lambda: adverts.count() >= 1, "an advert")
    lines = subprocess.run(["tshark", "-r", adverts.file, "-T", "json", "-x", "-c", "1"], capture_output=True, text=True, check=True).stdout
    frame = json.loads(lines)[0]["_source"]["layers"]["frame_raw"][0]
    own, received = target.counted("own"), target.speaker.show()["adverts_received"]
    target.forge("replay", 20, frame)
    if target.state == "BACKUP":
        wait_for(lambda: target.speaker.show()["adverts_received"] >= received + 20, "the copies to be received")
    elif not target.unicast:  # else they are for lb2, and lb1's kernel does not take them
        wait_for(lambda: target.counted("own") == own + 20, "the copies to be counted as its own")
    count = "adverts_sent" if target.state == "MASTER" else "adverts_received"
    after = target.speaker.show()[count]
    wait_for(lambda: target.speaker.show()[count] > after, "the next advert")
    assert target.is_as_it_was()


@every_target
def test_a_flood_fills_neither_log_nor_patience(target):
    before = target.counted("checksum")
    with Quiet(target):
        target.forge("checksum", 5000)
        wait_for(lambda: target.counted("checksum") == before + 5000, "the flood to be counted", 60)
    assert target.is_as_it_was()


@every_target
def test_random_bytes_change_nothing(target):
    total = lambda: sum(target.counted().values()) + target.unknown()
    before = total()
    with Quiet(target):
        sent = target.forge("random", 3000, 20261123)
        wait_for(lambda: total() == before + sent, f"all {sent} to be refused")
    assert target.is_as_it_was()
