"""A server that comes back takes its weight step by step, as under HAProxy.

    sluice, haproxy (test/e2e/oracle.py): an operator takes s1 and s2 out of maintenance at the same time in both
"""

import math
import time

from conftest import wait_for
from oracle import Haproxy, Slack

# Service: seconds of slowstart, weight. All ramp at the same time.
RAMPS = {"minute": (60, 100), "half": (30, 256), "short": (12, 100), "odd": (7, 37)}
CLOCK = 1.0  # seconds between two looks of either program at how far a ramp has come


def table(seconds, weight):
    """Weight shown at each whole second of the ramp: the effective weight has 16 steps."""
    steps = [1, *(min((16 * t + seconds) // seconds, 16) for t in range(1, seconds + 1))]
    return [math.ceil(weight * step / 16) for step in steps]


class Ramp:
    """The weights of one server on its way up: the moments (latest before, first at) at which each was first read."""

    def __init__(self, seconds, weight):
        self.table, self.ready, self.read_at, self.seen = table(seconds, weight), None, 0.0, {}

    def take(self, asked, weight):
        if self.ready is not None and weight is not None and weight not in self.seen:
            self.seen[weight] = self.read_at, time.monotonic()
        self.read_at = asked

    def check(self, slack, told):
        """Every weight that showed is one of the table's, in its order, and came when the table has it."""
        assert list(self.seen) == [value for value in dict.fromkeys(self.table) if value in self.seen], told
        assert self.table[0] in self.seen and self.table[-1] in self.seen, told
        for step, value in enumerate(dict.fromkeys(self.table)):
            # The clock ticks once a second, and need not tick at the moment when the ramp began. A weight of one
            # second may fall between two of its ticks, or two of our looks, when the machine makes them late.
            due = [self.ready[edge] + self.table.index(value) for edge in (0, 1)]
            if value in self.seen:
                before, at = self.seen[value]
                assert at >= due[0] - CLOCK - slack and before <= due[1] + CLOCK + slack, f"{value}, {told}"
            else:
                assert self.table.count(value) * CLOCK <= CLOCK + slack, f"{value} never seen, {told}"


def test_weights_rise_as_haproxys(make_site):
    site = make_site(servers=2)
    services = []
    for port, (name, (seconds, weight)) in enumerate(RAMPS.items(), 8001):
        service = site.service(name, port=port)
        service["servers"][0].update(slowstart=f"{seconds}s", weight=weight)
        services.append(service)
    haproxy = Haproxy(site.lab, services).start()
    site.balance(*services)
    late = Slack().start()

    def weights(rows):
        return {name: None if rows[name, "web1"]["status"].startswith("MAINT") else int(rows[name, "web1"]["weight"]) for name in RAMPS}

    read = {"haproxy": lambda: weights(haproxy.stat()), "sluice": lambda: weights(site.sluice.servers())}
    order = {"haproxy": lambda word, name: haproxy.do(f"set server {name}/web1 state {word}"),
             "sluice": lambda word, name: site.sluice.order("server", word, f"{name}/web1")}
    full = {name: weight for name, (_, weight) in RAMPS.items()}
    assert read["haproxy"]() == read["sluice"]() == full  # none ramps at the start

    ramps = {program: {name: Ramp(*ramp) for name, ramp in RAMPS.items()} for program in read}

    def take(program):
        asked = time.monotonic()
        for name, weight in read[program]().items():
            ramps[program][name].take(asked, weight)

    def ramped():
        for program in ramps:
            take(program)
        return all(full[name] in ramp.seen for each in ramps.values() for name, ramp in each.items())

    for name in RAMPS:
        for program in ramps:
            order[program]("maint", name)
    for name in RAMPS:
        for program in ramps:
            asked = time.monotonic()
            order[program]("ready", name)
            ramps[program][name].ready = asked, time.monotonic()
            for each in ramps:
                take(each)
    wait_for(ramped, "all to have their full weight", seconds=80, every=0.1)
    for program, each in ramps.items():
        for name, ramp in each.items():
            ramp.check(late.seconds(), f"{program}, {name}, slack {late.seconds():.2f}: {ramp.ready} {ramp.seen}")
