"""A server that comes back takes its weight step by step, as under HAProxy.

    sluice, haproxy (test/e2e/oracle.py): an operator takes s1 and s2 out of maintenance at the same time in both
"""

import math
import time

from conftest import wait_for
from oracle import Haproxy

# Service: seconds of slowstart, weight. All ramp at the same time.
RAMPS = {"minute": (60, 100), "half": (30, 256), "short": (12, 100), "odd": (7, 37)}


def table(seconds, weight):
    """Weight shown at each whole second of the ramp: the effective weight has 16 steps."""
    steps = [1, *(min((16 * t + seconds) // seconds, 16) for t in range(1, seconds + 1))]
    return [math.ceil(weight * step / 16) for step in steps]


class Samples:
    """When which weight was first seen of each server that ramps up."""

    def __init__(self, read):
        self.read, self.seen = read, {name: [] for name in RAMPS}

    def take(self):
        weights = self.read()
        now = time.monotonic()
        for name, seen in self.seen.items():
            if weights[name] is not None and (not seen or seen[-1][1] != weights[name]):
                seen.append((now, weights[name]))


def test_weights_rise_as_haproxys(make_site):
    site = make_site(servers=2)
    services = []
    for port, (name, (seconds, weight)) in enumerate(RAMPS.items(), 8001):
        service = site.service(name, port=port)
        service["servers"][0].update(slowstart=f"{seconds}s", weight=weight)
        services.append(service)
    haproxy = Haproxy(site.lab, services).start()
    site.balance(*services)

    def weights(rows):
        return {name: None if rows[name, "web1"]["status"].startswith("MAINT") else int(rows[name, "web1"]["weight"]) for name in RAMPS}

    theirs, ours = lambda: weights(haproxy.stat()), lambda: weights(site.sluice.servers())
    assert ours() == theirs() == {name: weight for name, (_, weight) in RAMPS.items()}  # none ramps at the start
    for word in ("maint", "ready"):
        if word == "ready":
            samples = {"haproxy": Samples(theirs), "sluice": Samples(ours)}
            for each in samples.values():
                each.take()
        for name in RAMPS:
            haproxy.do(f"set server {name}/web1 state {word}")
            site.sluice.order("server", word, f"{name}/web1")
    full = {name: weight for name, (_, weight) in RAMPS.items()}

    def ramped():
        for each in samples.values():
            each.take()
        return all(seen and seen[-1][1] == full[name] for each in samples.values() for name, seen in each.seen.items())

    wait_for(ramped, "all to have their full weight", seconds=80, every=0.1)
    for name, (seconds, weight) in RAMPS.items():
        steps = list(dict.fromkeys(table(seconds, weight)))
        for program, each in samples.items():
            seen = each.seen[name]
            assert [value for _, value in seen] == steps, f"{program}, {name}"
            times = [when - seen[0][0] for when, _ in seen]
            due = [table(seconds, weight).index(value) for value in steps]
            # The clock of the steps ticks once a second, and need not tick at the moment when the ramp began.
            assert all(-0.5 < when - at < 1.6 for when, at in zip(times, due)), f"{program}, {name}: {list(zip(times, due))}"
