"""Who listens to adverts tells the switch so (IGMPv3, MLDv2): one that snoops would starve it of them else, and both
hosts would be master.

    lan ==+==========+==   lb1: priority 90
        lb1        lb2     lb2: priority 80
"""

import json

import pytest

from testbed import balancer
from testbed.host import Host
from testbed.lab import Lab, wait_for
from vrrp_match import side_by_side
from vrrp_peers import Adverts, Sluice, instance

FAST = {"version": 3, "advert_int": "100ms"}
GROUPS = {4: "224.0.0.18", 6: "ff02::12"}


class Reports(Adverts):
    """What hosts tell switches of their groups."""

    only = "igmp or ip6[6] == 0"  # MLD: a hop-by-hop option comes first

    def told(self, family):
        """Of VRRP's group, in order: "join", "leave"."""
        names = ["igmp.record_type", "igmp.maddr"] if family == 4 else ["icmpv6.mldr.mar.record_type", "icmpv6.mldr.mar.multicast_address"]
        # RFC 3376 §4.2.12, RFC 3810 §5.2.12: CHANGE_TO_INCLUDE of no sources, CHANGE_TO_EXCLUDE of none
        words = {"3": "leave", "4": "join"}
        records = [record for packet in self.fields(*names) for record in zip(*[field.split(",") for field in packet])]
        return [words[kind] for kind, group in records if group == GROUPS[family] and kind in words]


def tells(lab, family, word, act):
    """`act()` makes a host tell it. Hosts say everything twice: for the same word anew, the interface must have been gone."""
    with Reports(lab, "reports.pcap") as reports:
        act()
        wait_for(lambda: word in reports.told(family), f"a {word} of {GROUPS[family]}", every=0.2)


def members(lab, family):
    """The switch's ports behind which it knows one."""
    shown = json.loads(lab.run("switch", "bridge", "-j", "mdb").stdout)
    return {entry["port"] for bridge in shown for entry in bridge["mdb"] if entry["grp"] == GROUPS[family]}


def speakers(lab, family, number=2):
    return [Sluice(lab, f"lb{n}", instance(lab, family=family, priority=priority, **FAST)) for n, priority in ((1, 90), (2, 80))[:number]]


def hears(backup, master):
    """Is a backup, and stays it for ten more adverts, of which it would miss no more than three."""
    wait_for(lambda: backup.show()["state"] == "BACKUP", "lb2 to be a backup")
    heard = backup.show()["adverts_received"]
    wait_for(lambda: backup.show()["adverts_received"] >= heard + 10, "ten more adverts at lb2")
    shown = backup.show()
    assert (shown["state"], shown["master"], shown["became_master"]) == ("BACKUP", str(master.source()), 0), shown


# --- scenes ----------------------------------------------------------------------------------------------------------


def is_told(lab, family):
    one, = speakers(lab, family, 1)
    tells(lab, family, "join", one.start)
    lab.run("lb1", "ip", "link", "set", "lan", "down")
    tells(lab, family, "join", lambda: lab.run("lb1", "ip", "link", "set", "lan", "up"))
    tells(lab, family, "leave", one.stop)


def is_told_through_the_twin(lab, family):
    """It is the twin's kernel that tells, and the data plane that has it reach the wire."""
    config = {"dataplane": {"workers": 1}, "ports": balancer.ports_for(lab), "services": []}
    vrrp = [instance(lab, family=family, **FAST)]
    host = Host(lab, 1, {**config, "vrrp": vrrp})
    tells(lab, family, "join", host.start)
    host.sluice.wait_ready()
    host.link("down")
    tells(lab, family, "join", lambda: host.link("up"))
    host.kill("sluice-dp")
    tells(lab, family, "join", host.sluice.wait_ready)
    host.sluice.write({**config, "vrrp": []})  # a stop would end the data plane as soon as VRRP
    tells(lab, family, "leave", lambda: host.sluice.order("reload"))


def is_heard_through_a_switch_that_snoops(lab, family):
    # It asks from an address of its own, and goes by the answers once those to its first question must have come.
    lab.run("switch", "sysctl", "-qw", f"net.ipv6.conf.{lab.nics[0]}.disable_ipv6=0")
    wait_for(lambda: "fe80" in lab.run("switch", "ip", "addr", "show", "dev", lab.nics[0], "-tentative").stdout, "the switch's address")
    for setting in (["mcast_query_response_interval", "10"], ["mcast_querier", "1"], ["mcast_snooping", "1"]):
        lab.run("switch", "ip", "link", "set", lab.nics[0], "type", "bridge", *setting)
    one, two = speakers(lab, family)
    one.start()
    wait_for(one.is_master, "lb1 to be master")
    two.start()
    wait_for(lambda: members(lab, family) == {"lb1-lan", "lb2-lan"}, "the switch to know both")
    hears(two, one)
    with Adverts(lab) as sent, Adverts(lab, "elsewhere.pcap", node="client", nic="eth0") as elsewhere:
        wait_for(lambda: sent.count() >= 5, "five adverts")
    assert elsewhere.count() == 0, "who has not joined hears none"


def is_heard_by_an_interface_that_is_made_anew(lab, family):
    one, two = speakers(lab, family)
    one.start()
    wait_for(one.is_master, "lb1 to be master")
    two.start()
    hears(two, one)
    lab.run("lb2", "ip", "link", "del", "lan")
    wait_for(lambda: two.show()["state"] == "FAULT", "lb2 to miss its interface")
    lab.make_nic("lb2", "lan")
    hears(two, one)


# --- rows ------------------------------------------------------------------------------------------------------------

# A Linux bridge takes 224.0.0.0/24 everywhere, whoever has joined.
SCENES = {is_told: [4, 6], is_told_through_the_twin: [4, 6], is_heard_through_a_switch_that_snoops: [6],
          is_heard_by_an_interface_that_is_made_anew: [4, 6]}
ROWS = [(scene, family) for scene, families in SCENES.items() for family in families]


def play(scene, family):
    lab = Lab.up("pair", device="af_packet" if scene is is_told_through_the_twin else "af_xdp", servers=1, prefix="e2e")
    try:
        scene(lab, family)
    finally:
        lab.down()


@pytest.fixture(scope="module")
def played(request):
    yield from side_by_side(request, play)


@pytest.mark.parametrize("scene, family", ROWS, ids=[f"{scene.__name__}-ipv{family}" for scene, family in ROWS])
def test_group(played, scene, family):
    played[scene, family].result()
