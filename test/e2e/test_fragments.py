"""Datagrams larger than the MTU cross sluice in fragments; those for the kernel's own addresses still reach it.

    client -- sluice, MTU 1500 -- s1
"""

import re

import pytest

from testbed.lab import wait_for


def fragments_dropped(site):
    return {reason: packets for reason, packets in site.sluice.drops().items() if reason.startswith("fragment") and packets}


def sizes(device, family):
    """What can be sent: net_af_packet has the kernel put IPv4 fragments together, and its ring's frames are small."""
    return (1473, 1800) if (device, family) == ("af_packet", 4) else (1473, 8000, 60000)


@pytest.mark.parametrize("workers", [1, 4])
def test_large_datagrams_go_both_ways(make_site, device, workers):
    """Case 3: a datagram of 8,000 bytes is six fragments, one of 60,000 forty-one."""
    site = make_site(device=device)
    site.listen("s1", "udp-echo", 7000)
    site.balance(*site.both_families("echo", port=7000, protocol="udp", numbers=[1]), workers=workers)
    for family in (4, 6):
        for size in sizes(device, family):
            assert site.talk("client", "udp-trips", site.lab.vip(family), 7000, size, 20) == "20 of 20", f"IPv{family}, {size}"
    assert fragments_dropped(site) == {}
    if workers > 1:
        assert site.sluice.handed_over() > 0


def test_large_datagrams_for_the_kernel_reach_it(make_site, device):
    """What is for no service is the kernel's, in fragments too; but net_af_packet joins those of IPv4, for its twin's MTU."""
    site = make_site(device=device)
    site.listen("s1", "udp-echo", 7000)
    site.balance(*site.both_families("echo", port=7000, protocol="udp", numbers=[1]), workers=2)
    for family in (6,) if device == "af_packet" else (4, 6):
        vip, size = site.lab.vip(family), sizes(device, family)[1]
        # Bound to the VIP, so that it answers from there. sluice looks every second for ports that the kernel has taken.
        site.listen("lb", "udp-echo", 7000 + family, vip)
        wait_for(lambda: site.talk("client", "udp-trips", vip, 7000 + family, 9, 1) == "1 of 1", "the kernel to have its port")
        assert site.talk("client", "udp-trips", vip, 7000 + family, size, 20) == "20 of 20", f"IPv{family}"
        pinged = site.lab.run("client", "ping", "-c", "5", "-i", "0.05", "-s", size, "-W", "5", vip).stdout
        assert " 5 received" in pinged, pinged
        assert site.talk("client", "udp-trips", vip, 7000, size, 5) == "5 of 5", f"IPv{family}"
    assert fragments_dropped(site) == {}


def test_what_is_too_big_for_the_next_hop_is_fragmented(make_site, device):
    """RFC 4787 REQ-13a: s1 is behind a smaller MTU; the client lets routers fragment."""
    site = make_site(device=device)
    site.listen("s1", "udp-echo", 7000)
    site.balance(site.service("echo", port=7000, protocol="udp", numbers=[1]))
    site.lab.run("lb", "ip", "route", "replace", f"{site.lab.server(1)}/32", "dev", site.lab.interface("lan"), "mtu", 1000)

    def trips(size, number):
        return site.talk("client", "udp-trips", site.lab.vip(4), 7000, size, number, "may-fragment")

    def joined():
        shown = site.lab.run("s1", "nstat", "-asz", "IpReasmOKs").stdout
        return int(re.search(r"^IpReasmOKs +([0-9]+)", shown, re.MULTILINE).group(1))

    wait_for(lambda: trips(1400, 1) == "1 of 1" and joined() > 0, "sluice to follow the route's MTU")
    before = joined()
    for size in (1400, sizes(device, 4)[1]):
        assert trips(size, 10) == "10 of 10", size
    assert joined() == before + 20
