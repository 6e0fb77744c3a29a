"""Next hops that the kernel forgets or that change their MAC, under load.

    client -- sluice (neighbour table flushed again and again) -- s1, s2 (gets another MAC), s3
"""

import subprocess

from testbed.load import parse_wrk, wrk_command


def load(site, family, seconds=4):
    return site.lab.start("client", *wrk_command(site.lab.vip(family), seconds=seconds, connections=8, close=True),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_flushed_neighbours_lose_no_request(site, family):
    """Case 14: the first packets to an unresolved next hop wait for it."""
    site.serve()
    site.balance(*site.both_families("web"))
    wrk = load(site, family)
    flushes = 0
    while wrk.poll() is None:
        # Without check: `ip` gives up when entries come back faster than it flushes, which is what is wanted here.
        site.lab.run("lb", "ip", "neigh", "flush", "all", check=False)
        flushes += 1
    result = parse_wrk(wrk.communicate(timeout=60)[0])
    assert flushes > 10 and result.requests > 100
    assert result.failed == 0, result.detail


def test_a_server_changes_its_mac(site, family):
    site.serve()
    site.lab.run("s2", "sysctl", "-qw", "net.ipv4.conf.eth0.arp_notify=1", "net.ipv6.conf.eth0.ndisc_notify=1")
    site.balance(*site.both_families("web"))
    assert set(site.get(family)) == {"web1", "web2", "web3"}
    wrk = load(site, family)
    site.lab.run("s2", "ip", "link", "set", "eth0", "address", "02:00:00:00:00:22")
    result = parse_wrk(wrk.communicate(timeout=60)[0])
    assert result.failed == 0, result.detail
    assert set(site.get(family)) == {"web1", "web2", "web3"}


def test_first_packet_after_start_is_not_lost(site, family):
    """Nothing is resolved yet when the first connection comes."""
    site.serve()
    site.balance(*site.both_families("web"))
    site.lab.run("lb", "ip", "neigh", "flush", "all")
    seconds = float(site.lab.run("client", "curl", "-sS", "-o", "/dev/null", "-w", "%{time_total}", "--globoff",
                                 f"http://{'[' + site.lab.vip6 + ']' if family == 6 else site.lab.vip4}/").stdout)
    assert seconds < 0.9  # a lost SYN is sent again after 1 s
