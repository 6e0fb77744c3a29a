"""Two hosts with sluice (testbed/host.py) that share virtual IPs, as a value: who has them, and whether traffic flows.

    client --+--------+--------+-- s1, s2
            lb1      lb2   each: sluice run (dp, cp, vrrp); VIP .10, over IPv4 and over IPv6, on one of them,
                           and with it .20, where the services' connections to the servers come from
"""

import contextlib
import re
import time

from oracle import Slack
from testbed import backends, balancer
from testbed.host import Host
from testbed.lab import http, wait_for
from testbed.outage import Beats
from vrrp_peers import instance, seconds

ECHO = 7  # port of a service whose servers send back what comes
CHECK = {"type": "tcp", "interval": "500ms", "rise": 2, "fall": 2}
NAMES = {4: "VI_1", 6: "VI_6"}  # of the instances


class Pair:
    """Both hosts with an instance for each family. `settings` are the instances', `mode` is the services'."""

    def __init__(self, site, *, priorities=(90, 80), families=(4, 6), mode="fullnat", **settings):
        self.mode = mode
        self.site, self.lab, self.families, self.late = site, site.lab, families, Slack().start()
        self.settings = {"version": 3, "advert_int": "1s", **settings}
        self.hosts = [Host(self.lab, number, self.config(priority)) for number, priority in enumerate(priorities, 1)]
        self.one, self.two = self.hosts

    def config(self, priority):
        web = [balancer.service(self.lab, "web" if family == 4 else "web6", family=family, check=CHECK, mode=self.mode,
                                local_addresses=[self.local(family)])
               for family in self.families]
        return {"dataplane": {"workers": 1}, "ports": balancer.ports_for(self.lab),
                "services": [*web, balancer.service(self.lab, "echo", port=ECHO, check=CHECK)],
                "vrrp": [self.instance(family, priority) for family in self.families]}

    def instance(self, family, priority):
        """Where the servers have a segment of their own, their gateway is on that, and by itself the services' local address."""
        behind = {}
        if len(self.lab.nics) > 1:
            length, back = (24, self.lab.back4 + ".") if family == 4 else (64, self.lab.back6 + ":")
            behind = {"addresses_excluded": [f"{back}10/{length} dev {self.lab.interface('back')}"]}
        return instance(self.lab, family=family, name=NAMES[family], priority=priority, **behind, **self.settings)

    def local(self, family):
        return f"{self.lab.back4}.20" if family == 4 else f"{self.lab.back6}:20"

    def start(self):
        self.site.serve()
        for number in self.lab.server_numbers():
            self.site.listen(f"s{number}", "echo", ECHO)
        for host in self.hosts:
            host.start()
        for host in self.hosts:
            host.sluice.wait_ready()
        self.wait_settled()
        return self

    def masters(self):
        return [host.node for host in self.hosts if host.is_in("MASTER") and host.holds()]

    def is_settled(self):
        """The higher priority has all, the other nothing, and traffic flows. Asked in this order, since the question
        whether traffic flows may take long, and be answered once things are no longer as they were."""
        return self.flows() and all(host.runs() for host in self.hosts) and self.masters() == ["lb1"] and not self.two.holds_any()

    def has_moved(self):
        """lb2 has all, lb1 nothing, and traffic flows."""
        return self.two.holds() and self.two.is_in("MASTER") and not self.one.holds_any() and self.flows()

    def wait_settled(self, limit=60):
        wait_for(self.is_settled, f"lb1 to be the only master; {self.told()}", limit, every=0.05)

    def flows(self):
        return all(backends.ask_http(self.lab, self.lab.vip(family), 1)[1] == 0 for family in self.families)

    def seen_from(self, family):
        """The address that a server takes a client's connection to come from."""
        return self.lab.run("client", "curl", "-sS", "--globoff", "--max-time", "5", f"http://{http(self.lab.vip(family))}/from").stdout.strip()

    @contextlib.contextmanager
    def traffic(self):
        """A client's connections to each virtual IP while the `with` block runs: family -> Beats."""
        with contextlib.ExitStack() as stack:
            yield {family: stack.enter_context(Beats(self.lab, self.lab.vip(family))) for family in self.families}

    def log_disorder(self):
        """Lines about addresses that stand before the state that they follow from."""
        wrong = []
        for host in self.hosts:
            states = {}
            for name, what in re.findall(r"\((VI_\d)\) (Entering \w+ STATE|setting VIPs|removing VIPs|stopped)", self.lab.read(host.sluice.log)):
                if not what.endswith("VIPs"):
                    states[name] = what
                elif (what == "setting VIPs") != (states.get(name) == "Entering MASTER STATE"):
                    wrong.append((host.node, name, states.get(name), what))
        return wrong

    def told(self):
        return f"shown: {[host.instances() for host in self.hosts]}"

    def advert(self):
        return seconds(self.settings["advert_int"])

    def skew(self, priority):
        """Skew_Time of version 3, seconds."""
        return (256 - priority) / 256 * self.advert()

    def master_down(self, priority):
        return 3 * self.advert() + self.skew(priority)


def counters(host):
    """Instance -> what `show vrrp` counts of it; its troubles by the names of what was tracked."""
    return {shown["name"]: {key: value for key, value in shown.items() if isinstance(value, int)}
            | {count["tracker"]: count["times"] for count in shown["trouble_counts"]} for shown in host.instances()}


def grown(host, before, counter):
    """By how much a counter is larger, in the instance where that is least."""
    after = counters(host)
    return min(after[name].get(counter, 0) - of.get(counter, 0) for name, of in before.items()) if after else 0


def changes(host):
    """Counters that stand still while nothing befalls an instance."""
    names = ("became_master", "became_backup", "became_fault", "priority_zero_sent", "addresses_repaired")
    return {name: {key: of[key] for key in names} for name, of in counters(host).items()}


def now():
    return time.time()
