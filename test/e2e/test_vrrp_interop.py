"""sluice-vrrp and its peers elect as keepalived does among its own.

    lan ==+=========+==   lb1: .2, priority 90
        lb1       lb2     lb2: .3, priority 80: each sluice-vrrp, keepalived or FRR's vrrpd

Every row is played by keepalived against keepalived, too: what it then comes to is what is asked of sluice.
"""

import pytest

from conftest import wait_for
from testbed.lab import Lab
from vrrp_match import Match, side_by_side
from vrrp_peers import Adverts, Frr, Keepalived, Sluice, Speaker

SETTINGS = {
    "v2-pass": {"version": 2, "auth_pass": "1111"},
    "v2": {"version": 2},
    "v3": {"version": 3},
    "v3-ipv6": {"family": 6},
    "v3-unicast": {"version": 3, "unicast": True},
}
OF_FRR = ["v2", "v3"]
PAIRS = [(Keepalived, Keepalived), (Sluice, Keepalived), (Keepalived, Sluice), (Sluice, Sluice)]
PAIRS_WITH_FRR = [(Sluice, Frr), (Frr, Sluice), (Keepalived, Frr)]


def elect(match):
    """The higher priority has it, loses it, has it again."""
    one, two = match.speakers
    two.start()
    match.becomes("lb2", after="a start alone")
    one.start()
    match.becomes("lb1", after="the start of the higher priority")
    one.stop()
    match.becomes("lb2", after="its clean stop")
    one.start()
    match.becomes("lb1", after="its second start")
    one.kill()
    wait_for(lambda: match.masters() == ["lb2"], "the backup to notice a kill", 30, every=0.1)


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
    version = one.vrrp["version"]
    if version == 2:
        match.becomes("lb1", "lb2", after="the start of another with another interval")
    else:
        match.becomes("lb1", after="the start of another with another interval")


PLAYS = {elect: ({}, {}), tie: ({"priority": 80}, {}), no_preempt: ({"nopreempt": True}, {}),
         intervals: ({}, {"advert_int": "2s"})}


def play(name, kinds):
    """One pairing through some plays, in a lab of its own; returns what its packets and logs were complained about."""
    complaints = []
    for scene in (elect, tie) if Frr in kinds else PLAYS:
        lab = Lab.up("pair", servers=1, prefix="e2e")
        try:
            match = Match(lab, kinds, SETTINGS[name], PLAYS[scene])
            with Adverts(lab, "all.pcapng") as adverts:
                scene(match)
            told = f"{name}, {' and '.join(kind.kind for kind in kinds)}, {scene.__name__}"
            complaints += [f"{told}: tshark: {row}" for row in adverts.read() if row.complaint]
            if not (scene is intervals and SETTINGS[name].get("version") == 2):
                complaints += [f"{told}: {speaker.kind}: {line}" for speaker in match.speakers for line in speaker.complaints()]
        finally:
            lab.down()
    return complaints


@pytest.fixture(scope="module")
def played(request):
    """(settings, kinds) -> future of its complaints."""
    yield from side_by_side(request, play)


def rows():
    for name in SETTINGS:
        for kinds in PAIRS + (PAIRS_WITH_FRR if name in OF_FRR else []):
            yield pytest.param(name, kinds, id=f"{name}-{kinds[0].kind}-{kinds[1].kind}")


@pytest.mark.parametrize("name, kinds", rows())
def test_elects_as_keepalived(played, name, kinds):
    complaints = played[name, kinds].result()
    # What keepalived says of keepalived, and FRR of keepalived, is not ours to answer for.
    assert Sluice not in kinds or not complaints, "\n".join(complaints)
