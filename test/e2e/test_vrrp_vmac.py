"""Traffic to a virtual IP that has a MAC address of its own (use_vmac): it moves, and no client notices by its ARP.

    client --+-- lb1, priority 90     both have a macvlan with 00:00:5e:00:01:3d; who is master has the address on it
             `-- lb2, priority 80
"""

import pytest

from capture import Capture
from conftest import wait_for
from pair import Pair
from testbed import backends

VMAC = "00:00:5e:00:01:3d"


@pytest.fixture(scope="module", params=["af_xdp", "af_packet"])
def pair(request, make_shared_site):
    return Pair(make_shared_site("pair", device=request.param, servers=2), advert_int="100ms", use_vmac=True).start()


def neighbour(pair):
    return pair.lab.run("client", "ip", "neigh", "show", pair.lab.vip4).stdout


def is_served(pair):
    answers, failed = backends.ask_http(pair.lab, pair.lab.vip4, 20)
    assert failed == 0 and len(answers) == 2, answers
    assert VMAC in neighbour(pair)


def new_connections(host):
    return [row["counters"]["connections_new"] for row in host.sluice.show("services")]


def test_takes_over_with_the_same_mac(pair):
    pair.wait_settled()
    is_served(pair)
    pair.one.kill_all()
    wait_for(lambda: pair.two.holds() and pair.flows(), f"lb2 to take over; {pair.told()}", 30)
    is_served(pair)
    pair.one.start()
    pair.wait_settled()
    is_served(pair)
    assert pair.log_disorder() == []


@pytest.mark.parametrize("rp_filter", [1, 2])
def test_the_backup_hears_and_no_switch_hears_of_it(pair, rp_filter):
    """A host's reverse path filter counts for its macvlan, too; a frame from the macvlan would move the MAC address to the
    backup's port of the switch."""
    pair.wait_settled()
    lab = pair.lab
    for host in pair.hosts:
        lab.run(host.node, "sysctl", "-qw", f"net.ipv4.conf.all.rp_filter={rp_filter}")
    try:
        pair.two.stop()
        with Capture(lab, "switch", lab.state, nic=f"lb2-{lab.nics[0]}"[:15], only=f"ether src {VMAC} and inbound") as capture:
            pair.two.start()
            wait_for(lambda: (pair.two.vrrp() or {}).get("adverts_received", 0) >= 30, f"lb2 to hear adverts; {pair.told()}", 30)
            assert pair.is_settled(), pair.told()
        assert capture.packets() == []
        assert pair.two.vrrp()["became_master"] == 0, pair.told()
    finally:
        for host in pair.hosts:
            lab.run(host.node, "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0")


def test_frames_for_the_master_that_a_switch_floods_are_left_to_it(pair):
    """A switch that has forgotten where the MAC address is sends the frames to the backup, too."""
    pair.wait_settled()
    lab, ignored = pair.lab, pair.two.sluice.drops()["other_host"]
    before = new_connections(pair.two)
    lab.run("switch", "ip", "link", "set", lab.nics[0], "type", "bridge", "ageing_time", "0")
    try:
        is_served(pair)
    finally:
        lab.run("switch", "ip", "link", "set", lab.nics[0], "type", "bridge", "ageing_time", "30000")
    assert new_connections(pair.two) == before
    # Under af_xdp they end here; else they go to the kernel, which has no such address.
    assert lab.device != "af_xdp" or pair.two.sluice.drops()["other_host"] > ignored
