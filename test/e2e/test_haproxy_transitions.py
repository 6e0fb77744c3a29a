"""Servers go DOWN and come UP after the same checks, at the same pace, as under HAProxy.

    sluice, haproxy (test/e2e/oracle.py) -- s1, whose listeners refuse, fall silent and return while both check them
"""

import re
import signal
import time
from collections import defaultdict

from conftest import wait_for
from oracle import Haproxy, Screen, Slack, lines_of_sluice, state_changes

# Each a service of its own, with a check of its own to s1, all at the same time. No check may wait for as long as a
# second: its SYN would be sent again, and be the first that is answered although it is the check of before.
PACES = {
    9001: {"interval": "900ms", "rise": 2, "fall": 3},
    9002: {"interval": "900ms", "fast_interval": "300ms", "down_interval": "600ms", "rise": 2, "fall": 3},
    9003: {"interval": "600ms", "down_interval": "1500ms", "rise": 3, "fall": 2},
    9004: {"interval": "700ms", "fast_interval": "200ms", "rise": 1, "fall": 1},
    9005: {"interval": "500ms", "fast_interval": "900ms", "down_interval": "200ms", "rise": 4, "fall": 4},
}


def seconds(text):
    return float(text[:-2]) / 1000 if text.endswith("ms") else float(text[:-1])


class Probes:
    """When SYNs of checks reached a server, by who sent them and the port that they went to."""

    def __init__(self, lab, node):
        self.lab, self.node = lab, node

    def __enter__(self):
        self.process = self.lab.start(
            self.node, "tcpdump", "-tt", "-n", "-l", "-i", "eth0", "--immediate-mode",
            "ip and tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn and dst portrange 9001-9099", log="probes.log")
        wait_for(lambda: "listening on" in self.lab.read("probes.log"), "tcpdump")
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=20)

    def times(self):
        """(address, port) → times. A SYN that was repeated counts once: it comes from the same port."""
        seen = {}
        for line in self.lab.read("probes.log").splitlines():
            if match := re.match(r"([\d.]+) IP ([\d.]+)\.(\d+) > [\d.]+\.(\d+):", line):
                seen.setdefault((match[2], match[3], int(match[4])), float(match[1]))
        times = defaultdict(list)
        for (address, _, port), when in seen.items():
            times[address, port].append(when)
        return times


class Program:
    """One of the two, as the test sees it: what it logged, and the checks that came from its address."""

    def __init__(self, address, lines, probes):
        self.address, self.lines, self.probes = address, lines, probes

    def changes(self, since, up):
        """port → when its server was said to be UP, or DOWN, after a moment."""
        word = "UP" if up else "DOWN"
        found = [(line.when, re.match(rf"Server p(\d+)/web1 is {word}", line.text)) for line in state_changes(self.lines())]
        return {int(match[1]): when for when, match in found if match and when >= since}

    def pace(self, port, checks, event, until):
        """Of the checks that brought about a logged change: seconds from the event to the first, then each pause, the
        last one up to the log line. `event`: the moments just before and just after it."""
        times = [when for when in self.probes.times()[self.address, port] if when < until + 0.05]
        before, *mine = times[-checks - 1:]
        assert before <= event[1] and mine[0] >= event[0], f"{event}, {checks} checks until {until}: {times[-checks - 3:]}"
        return [later - earlier for earlier, later in zip([event[0], *mine], [*mine, max(until, mine[-1])])]


def alike(ours, theirs, slack):
    return len(ours) == len(theirs) and all(abs(a - b) <= slack for a, b in zip(ours, theirs))


def test_transitions_keep_haproxys_time(make_site):
    site = make_site(servers=1)
    site.listen("s1", "echo", ",".join(map(str, PACES)))
    services = [site.service(f"p{port}", port=port, check={"type": "tcp", **pace}) for port, pace in PACES.items()]
    screen, late = Screen(site.lab, "s1"), Slack().start()
    with Probes(site.lab, "s1") as probes:
        haproxy = Haproxy(site.lab, services).start()
        site.balance(*services)
        theirs = Program(haproxy.address, lambda: haproxy.lines, probes)
        ours = Program(f"{site.lab.front4}.2", lambda: lines_of_sluice(site), probes)
        for program in (ours, theirs):
            wait_for(lambda: all(len(probes.times()[program.address, port]) >= 2 for port in PACES), "two checks of each")

        for how in ("refuse", "accept", "silent", "accept"):
            start, up = time.time(), how == "accept"
            screen.set(how)
            event = start, time.time()
            for program in (ours, theirs):
                wait_for(lambda: set(program.changes(start, up)) == set(PACES), f"all to be {'UP' if up else 'DOWN'}", 60)
            for port, settings in PACES.items():
                ends = [program.changes(start, up)[port] for program in (ours, theirs)]
                checks = settings["rise" if up else "fall"]
                wait, *pace = ours.pace(port, checks, event, ends[0])
                their_wait, *their_pace = theirs.pace(port, checks, event, ends[1])
                # A check that was under way may first have to time out; then comes the longest pause there is.
                tick = seconds(settings["interval"]) + max(map(seconds, (settings[key] for key in settings if "interval" in key)))
                slack = late.seconds()
                told = f"slack {slack:.2f}, {how}, {settings}: haproxy {their_wait:.2f} {their_pace}, sluice {wait:.2f} {pace}"
                assert alike(pace, their_pace, slack), told
                assert max(wait, their_wait) <= tick + slack and abs(ends[0] - ends[1]) <= tick + slack, told
