"""sluice-vrrp and its peers elect as keepalived does among its own.

    lan ==+=========+==   lb1: .2, priority 90
        lb1       lb2     lb2: .3, priority 80: each sluice-vrrp, keepalived or FRR's vrrpd

Every row is played by keepalived against keepalived, too: what it then comes to is what is asked of sluice.
"""

import pytest

from conftest import tell, wait_for
from oracle import Slack
from testbed.lab import Lab
from vrrp_match import Match, side_by_side
from vrrp_peers import Adverts, Frr, Keepalived, Sluice, Speaker, seconds, skew

SETTINGS = {
    "v2-pass": {"version": 2, "auth_pass": "1111"},
    "v2": {"version": 2},
    "v3": {"version": 3},
    "v3-ipv6": {"family": 6},
    "v3-unicast": {"version": 3, "unicast": True},
}
OF_FRR = ["v2", "v3"]
PAIRS = [(Keepalived, Keepalived), (Sluice, Keepalived), (Keepalived, Sluice), (Sluice, Sluice)]
PAIRS_WITH_FRR = [(Keepalived, Frr), (Frr, Keepalived), (Sluice, Frr), (Frr, Sluice)]
LATE = Slack()
BEYOND = []  # how much later than by the protocol each take-over began, seconds


def is_told(match):
    """The master's good-bye is heard: the backup waits for Skew_Time."""
    last, first = match.succession(match.speakers[0].stop)
    assert last.priority == 0
    takes(first.when - last.when, skew(match.speakers[1].vrrp))


def notices(match):
    """The master is missed: the backup waits for Master_Down_Interval, of the master's adverts."""
    master, backup = [speaker.vrrp for speaker in match.speakers]
    last, first = match.succession(match.speakers[0].kill)
    assert last.priority == master["priority"]
    takes(first.when - last.when, 3 * seconds(master["advert_int"]) + skew({**backup, "advert_int": master["advert_int"]}))


def takes(took, protocol):
    BEYOND.append(took - protocol)
    # FRR has whole centiseconds.
    assert protocol - 0.01 <= took <= protocol + LATE.seconds(), f"{took:.3f} s; by the protocol: {protocol:.3f} s"


def elect(match):
    """The higher priority has it, loses it, has it again."""
    one, two = match.speakers
    two.start()
    match.becomes("lb2", after="a start alone")
    one.start()
    match.becomes("lb1", after="the start of the higher priority")
    is_told(match)
    one.start()
    match.becomes("lb1", after="its second start")
    notices(match)


def tie(match):
    """Of equal priorities the one that came first has it; when both had it, the higher address keeps it."""
    one, two = match.speakers
    one.start()
    match.becomes("lb1", after="a start alone")
    two.start()
    match.becomes("lb1", after="the start of another with the same priority")
    one.freeze(True)
    wait_for(lambda: two.is_master(), "the other to take over", 30, every=0.1)
    one.freeze(False)
    match.becomes(max(match.speakers, key=Speaker.source).node, after="both having been master")


def no_preempt(match):
    one, two = match.speakers
    two.start()
    match.becomes("lb2", after="a start alone")
    one.start()
    match.becomes("lb2", after="the start of the higher priority, which must not preempt")


def intervals(match):
    """Adverts of another interval: version 2 refuses them, so that both are master; version 3 adopts it."""
    one, two = match.speakers
    one.start()
    match.becomes("lb1", after="a start alone")
    two.start()
    if one.vrrp["version"] == 2:
        match.becomes("lb1", "lb2", after="the start of another with another interval")
    else:
        match.becomes("lb1", after="the start of another with another interval")
        notices(match)


SCENES = {elect: ({}, {}), tie: ({"priority": 80}, {}), no_preempt: ({"nopreempt": True}, {}),
          intervals: ({}, {"advert_int": "2s"})}


def play(name, kinds, scene):
    """One pairing through one scene, in a lab of its own; returns what its packets and logs were complained about."""
    lab = Lab.up("pair", servers=1, prefix="e2e")
    try:
        match = Match(lab, kinds, SETTINGS[name], SCENES[scene])
        with Adverts(lab, "all.pcapng") as adverts:
            scene(match)
        complaints = [f"tshark: {row}" for row in adverts.read() if row.complaint]
        if not (scene is intervals and SETTINGS[name].get("version") == 2):
            complaints += [f"{speaker.kind}: {line}" for speaker in match.speakers for line in speaker.complaints()]
        return complaints
    finally:
        lab.down()


@pytest.fixture(scope="module")
def played(request):
    """(settings, kinds, scene) -> future of its complaints."""
    LATE.start()
    yield from side_by_side(request, play)
    if BEYOND:
        tell(f"  {len(BEYOND)} take-overs began {min(BEYOND):.3f} to {max(BEYOND):.3f} s after the protocol's moment; allowed: {LATE.seconds():.3f} s")


def rows():
    for name in SETTINGS:
        for kinds in PAIRS + (PAIRS_WITH_FRR if name in OF_FRR else []):
            for scene in SCENES:
                yield pytest.param(name, kinds, scene, id=f"{name}-{kinds[0].kind}-{kinds[1].kind}-{scene.__name__}")


@pytest.mark.parametrize("name, kinds, scene", rows())
def test_elects_as_keepalived(played, name, kinds, scene):
    complaints = played[name, kinds, scene].result()
    # What keepalived says of keepalived, and FRR of keepalived, is not ours to answer for.
    assert Sluice not in kinds or not complaints, "\n".join(complaints)
