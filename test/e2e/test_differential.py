"""The same random conversations through sluice and through the kernel's own NAT, over cables that lose, double and reorder
packets: both ends of each must hear the same, it must end alike, and what is left must be in the same state.

    client === impairment === lb: sluice, or nftables === impairment === s1, s2, s3

What is said, by whom, and how each conversation ends is test/e2e/conversations.py, from a seed: SLUICE_SEED=N for another,
SLUICE_CHAINS=N for more of them at once (240 take some two minutes). The dice of the cables (test/e2e/impairment.py) have
the same seed, but do not hit the same segments twice, as kernels do not cut what is said into the same ones twice.

What may rightly differ, and is not compared:
- Which server serves a conversation, and from which source port: schedule and port pools have tests of their own.
- How much was heard of what was still being said when the listener ended it by RST; but it was said so.
- "over" is closed, reset and forgotten: conntrack remembers what is closed for 120 s, sluice for 10 s.
- conntrack does not look whose FIN it sees: a second one of the same side, sent or doubled on the way, is the other
  side's to it. What is half closed may be over to it, or closing. sluice must know better, as the conversation itself says.
"""

import asyncio
import contextlib
import os
import time

import pytest

from conftest import tell
from conversations import end_states, make_chains
from impairment import Impairment
from nats import KernelNat, Sluice
from stage import Stage
from testbed.lab import LabError, wait_for

SEED = int(os.environ.get("SLUICE_SEED", 5382))
CHAINS = int(os.environ.get("SLUICE_CHAINS", 60))
CHAINS_OF_SEED = make_chains(SEED, CHAINS)
WHICH = f"SLUICE_SEED={SEED} SLUICE_CHAINS={CHAINS}"
# (state by the conversation, state that is as good): for both, and for conntrack.
SAME = {("refused", None), ("refused", "opening")}
COARSE = SAME | {("half_closed", None), ("half_closed", "closing")}


def unlike(wanted, found, allowed=()):
    """Key: (wanted, found) of what differs."""
    pairs = {key: (wanted.get(key), found.get(key)) for key in {**wanted, **found}}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1] and pair not in allowed}


class Play:
    """All conversations through one NAT. `outcomes` by their number; `astray`: what is left in another state than the
    conversations say, or one as good. Where it is empty for both NATs, they agree."""

    def __init__(self, lab, nat, name, allowed):
        self.lab = lab
        lab.run("client", "sysctl", "-qw", "net.ipv4.tcp_tw_reuse=1")  # so that clients use their ports again while they are in TIME_WAIT
        stage, began = Stage(lab, SEED), time.monotonic()
        try:
            with Impairment(lab, SEED) as cables:
                asyncio.run(stage.play(CHAINS_OF_SEED))
                seconds = time.monotonic() - began
                wait_for(lambda: not self.unsettled(), "what was closed to be closed at both ends", 60)
                with contextlib.suppress(LabError):  # the last packets may still be in the cables; what differs after that is told below
                    wait_for(lambda: not unlike(end_states(CHAINS_OF_SEED), nat.states(), allowed), "the states", every=0.1)
                self.astray = unlike(end_states(CHAINS_OF_SEED), nat.states(), allowed)
        except LabError as error:
            raise LabError(f"{WHICH}, {name}: {error}; {self.unsettled()}") from error
        finally:
            stage.close()
        assert stage.strangers == [], f"{WHICH}, {name}: this came, and nobody had sent it"
        self.outcomes = stage.outcomes
        assert all(cables.fates[fate] for fate in ("lost", "doubled", "reordered")), cables.fates
        tell(f"  {name:22} {len(self.outcomes)} conversations, {WHICH}: {seconds:.1f} s, packets: {dict(cables.fates)}")

    def unsettled(self):
        """Sockets that still have something to say or to wait for; what a conversation left open has not."""
        numbers = self.lab.server_numbers()
        lines = [f"{node}: {line}" for node in ("client", *(f"s{number}" for number in numbers))
                 for line in self.lab.run(node, "ss", "-Htan", "exclude", "listening").stdout.splitlines()]
        rest = ("ESTAB", "FIN-WAIT-2", "CLOSE-WAIT", "TIME-WAIT")
        return [line for line in lines if line.split()[1] not in rest or line.split()[3] != "0"]


@pytest.fixture(scope="module")
def kernel(make_shared_site):
    """The oracle. What it comes to must be what the conversations say themselves, else they are no good."""
    lab = make_shared_site("two-armed").lab
    play = Play(lab, KernelNat(lab), "kernel", COARSE)
    assert not [outcome for outcome in play.outcomes.values() if outcome.stuck], WHICH
    assert play.astray == {}, f"{WHICH}: states by the conversations, by conntrack"
    return play


@pytest.mark.parametrize("workers", [1, 4])
def test_conversations_are_what_they_are_through_the_kernels_nat(kernel, make_site, device, workers):
    site = make_site("two-armed", device=device)
    play = Play(site.lab, Sluice(site, workers), f"{device}, {workers} worker{'s' * (workers > 1)}", SAME)
    steps = {conversation.number: conversation for chain in CHAINS_OF_SEED for conversation in chain}
    different = unlike(kernel.outcomes, play.outcomes)
    assert not different, f"{WHICH}: through the kernel, through sluice:\n" + "\n".join(
        f"{steps[number]}:\n  {theirs}\n  {ours}" for number, (theirs, ours) in sorted(different.items())[:10])
    assert play.astray == {}, f"{WHICH}: states by the conversations, by sluice"
