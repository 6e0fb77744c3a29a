"""Two hosts with sluice (testbed/host.py) that share a virtual IP, as a value: who has it, and whether traffic flows.

    client --+--------+--------+-- s1, s2
            lb1      lb2   each: sluice run (dp, cp, vrrp); VIP .10 on one of them
"""

import re
import time

from oracle import Slack
from testbed import backends, balancer
from testbed.host import Host
from testbed.lab import wait_for
from vrrp_peers import instance, seconds

ECHO = 7  # port of a service whose servers send back what comes
CHECK = {"type": "tcp", "interval": "500ms", "rise": 2, "fall": 2}


class Pair:
    """Both hosts with one instance each. `settings` are the instance's."""

    def __init__(self, site, *, priorities=(90, 80), **settings):
        self.site, self.lab, self.late = site, site.lab, Slack().start()
        self.settings = {"version": 3, "advert_int": "1s", **settings}
        self.hosts = []
        for number, priority in enumerate(priorities, 1):
            config = {"dataplane": {"workers": 1}, "ports": balancer.ports_for(self.lab),
                      "services": [balancer.service(self.lab, "web", check=CHECK), balancer.service(self.lab, "echo", port=ECHO, check=CHECK)],
                      "vrrp": [instance(self.lab, priority=priority, **self.settings)]}
            self.hosts.append(Host(self.lab, number, config))
        self.one, self.two = self.hosts

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
        """The higher priority has it, the other not, and traffic flows."""
        return self.masters() == ["lb1"] and not self.two.holds() and self.flows()

    def wait_settled(self, limit=60):
        wait_for(self.is_settled, f"lb1 to be the only master; {self.told()}", limit, every=0.05)

    def flows(self):
        return backends.ask_http(self.lab, self.lab.vip4, 1)[1] == 0

    def log_disorder(self):
        """Lines about addresses that stand before the state that they follow from."""
        wrong = []
        for host in self.hosts:
            state = ""
            for what in re.findall(r"\(VI_1\) (Entering \w+ STATE|setting VIPs|removing VIPs|stopped)", self.lab.read(host.sluice.log)):
                if not what.endswith("VIPs"):
                    state = what
                elif (what == "setting VIPs") != (state == "Entering MASTER STATE"):
                    wrong.append((host.node, state, what))
        return wrong

    def told(self):
        return f"shown: {[host.vrrp() for host in self.hosts]}"

    def advert(self):
        return seconds(self.settings["advert_int"])

    def skew(self, priority):
        """Skew_Time of version 3, seconds."""
        return (256 - priority) / 256 * self.advert()

    def master_down(self, priority):
        return 3 * self.advert() + self.skew(priority)


def now():
    return time.time()
