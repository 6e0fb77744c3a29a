"""A SYN flood from random addresses, as fast as hping3 makes it: who has a connection keeps it, who wants one gets it.

    client: connections that exchange data all the time, and new ones at a steady pace
    router: hping3 --flood --rand-source       client -- router -- sluice -- s1, s2, s3

SYN_FLOOD_CONNECTIONS (default 1000) and SYN_FLOOD_SECONDS (default 6) set the scale; 10000 and 30 are the long form, which
prints the same table:

    SYN_FLOOD_CONNECTIONS=10000 SYN_FLOOD_SECONDS=30 tools/test e2e -- -k test_syn_flood
"""

import os
import subprocess
import time
from dataclasses import dataclass

import pytest

from conftest import tell, wait_for
from testbed.outage import Beats

CONNECTIONS = int(os.environ.get("SYN_FLOOD_CONNECTIONS", 1000))
SECONDS = float(os.environ.get("SYN_FLOOD_SECONDS", 6))
PACE = 200  # new connections a second
PORT = 7


@dataclass
class Flood:
    """What came of it."""

    syns: int
    alive: int
    ended: list  # how each of the others did
    trips: float  # a second, over all of them
    slowest_trip: float
    opened: int
    tried: int
    slowest: float

    def __str__(self):
        return (f"{self.syns / SECONDS:>9.0f} SYNs/s  {self.alive}/{CONNECTIONS} alive, {self.trips:>6.0f} round trips/s, slowest {self.slowest_trip:.2f} s  "
                f"{self.opened}/{self.tried} new ones ({self.opened / self.tried:.1%}), slowest {self.slowest:.2f} s")


def syns(site):
    """SYNs that sluice has taken in, whatever became of them."""
    return sum(worker["packets"] for worker in site.sluice.show("workers"))


def flood(site):
    """Runs it, with everybody else busy."""
    site.lab.run("router", "ip", "route", "replace", "blackhole", "default")  # who is answered does not exist
    keeper = site.peer("client", "keep", site.lab.vip4, PORT, CONNECTIONS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert keeper.stdout.readline() == "open\n"
    kept_from = time.time()
    with Beats(site.lab, site.lab.vip4, PORT, 1 / PACE, echo=True) as beats:
        before = syns(site)
        flooder = site.lab.start("router", "hping3", "--flood", "--rand-source", "--syn", "-p", PORT, site.lab.vip4,
                                 log="hping3.log")
        began = time.time()
        try:
            time.sleep(SECONDS)  # that is how long the flood lasts
            alive_at_end = flooder.poll() is None
            sent = syns(site) - before
        finally:
            flooder.terminate()
            flooder.wait(timeout=20)
        ended = time.time()
    assert alive_at_end, site.lab.read("hping3.log")
    out, kept = keeper.communicate("", timeout=120)[0].split(), time.time() - kept_from
    during = [beat for beat in beats.beats if began <= beat.start < ended]
    opened = [beat for beat in during if beat.outcome == "ok"]
    return Flood(sent, int(out[1]), out[6:], int(out[3]) / kept, float(out[5]), len(opened), len(during),
                 max((beat.end - beat.start for beat in opened), default=0.0))


@pytest.mark.parametrize("cookies", ["auto", "off"])
def test_flood_takes_nothing_from_those_who_are_there(make_site, device, cookies):
    site = make_site(device=device, routed_client=True)
    for number in site.lab.server_numbers():
        site.listen(f"s{number}", "echo", PORT)
    site.balance(site.service("echo", port=PORT, syn_cookies=cookies, check={"type": "none"}))
    result = flood(site)
    tell(f"{device:9} cookies {cookies:4}: {result}")
    assert result.syns > 10 * PACE * SECONDS, "that was no flood"
    assert result.alive == CONNECTIONS, result.ended
    if cookies == "off":
        return  # how many get through is for the reader: it is chance
    assert result.opened == result.tried
    log = site.lab.read("sluice.log")
    assert "possible SYN flood" in log
    wait_for(lambda: "the SYN flood is over" in site.lab.read("sluice.log"), "the end of it in the log", seconds=60)
