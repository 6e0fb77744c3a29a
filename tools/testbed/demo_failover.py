"""The demo's second act: two hosts with sluice share the virtual IP, and clients hardly notice when one dies."""

import time

from testbed import backends, balancer
from testbed.host import Host
from testbed.lab import LabError, wait_for
from testbed.outage import Beats

CHECK = {"type": "tcp", "interval": "500ms", "rise": 2, "fall": 2}
PRIORITIES = (90, 80)
ADVERT = 1.0  # seconds; sluice's default, and keepalived's
ALLOWANCE = 1.0  # seconds, for a machine that has other things to do, too


def skew(priority):
    """Skew_Time (RFC 9568 §6.1), seconds: how much longer than its peers a backup of this priority waits."""
    return (256 - priority) / 256 * ADVERT


class Failover:
    """`note` tells of a step: what was tried, what came of it, whether it is as it should be."""

    TOPOLOGY = {"topology": "pair", "servers": 2}

    def __init__(self, lab, note):
        self.lab, self.note, self.hosts, self.sluices = lab, note, [], []

    def drawing(self):
        return f"""
Two hosts with sluice share the virtual IP {self.lab.vip4}; a client opens a connection every 10 ms:

   client {self.lab.client4}  ---  lb1 (priority {PRIORITIES[0]}), lb2 (priority {PRIORITIES[1]})  ---  web1, web2
"""

    def hints(self, enter, program):
        """What to try and how; `enter`: words that run a command at a node, `program`: sluice."""
        one, two = (sluice.runtime for sluice in self.sluices)
        return [("a request as a client", f"{enter} client curl http://{self.lab.vip4}/"),
                ("who has the virtual IP", f"{program} show vrrp --runtime-dir {one}"),
                ("", f"(lb2: {two}; also: services servers flows ports drops workers info)"),
                ("give it away, take it again", f"{program} vrrp yield VI_1 --runtime-dir {one}"),
                ("", "(and resume)")]

    def config(self, priority):
        instance = {"name": "VI_1", "interface": self.lab.interface(self.lab.nics[0]), "virtual_router_id": 61, "version": 3,
                    "priority": priority, "advert_int": f"{ADVERT:g}s", "addresses": [f"{self.lab.vip4}/24"]}
        return {"dataplane": {"workers": 1}, "ports": balancer.ports_for(self.lab),
                "services": [balancer.service(self.lab, "web", check=CHECK)], "vrrp": [instance]}

    def start(self):
        backends.start_backends(self.lab)
        self.hosts = [Host(self.lab, number, self.config(priority)) for number, priority in enumerate(PRIORITIES, 1)]
        self.sluices = [host.sluice for host in self.hosts]
        for host in self.hosts:
            host.start()
        for host in self.hosts:
            host.sluice.wait_ready()

    def show(self):
        one, two = self.hosts
        wait_for(lambda: self.serves(one), "lb1 to have the virtual IP")
        self.note("lb1 and lb2 are started", "lb1 has the virtual IP", True)
        self.moves("lb1 dies: kill -9 of all, and its cable cut", one.die, two, 3 * ADVERT + skew(PRIORITIES[1]), "at most 3 adverts + skew")
        self.moves("lb1 is back", one.rise, one)
        self.moves("`sluice vrrp yield VI_1` at lb1, for maintenance", lambda: one.sluice.order("vrrp", "yield", "VI_1"), two,
                   skew(PRIORITIES[1]), "skew")
        self.moves("`sluice vrrp resume VI_1`", lambda: one.sluice.order("vrrp", "resume", "VI_1"), one)

    def serves(self, host):
        """Whether it alone has the address, and clients are answered."""
        others = [other for other in self.hosts if other is not host]
        return (host.is_in("MASTER") and host.holds() and not any(other.holds_any() for other in others)
                and backends.ask_http(self.lab, self.lab.vip4, 1)[1] == 0)

    def moves(self, what, happen, heir, share=0.0, words=""):
        """Something happens, and `heir` has the address; clients are without service for the protocol's share (seconds; what
        that consists of) at most, and what a busy machine takes."""
        try:
            with Beats(self.lab, self.lab.vip4) as beats:
                start = time.time()
                happen()
                wait_for(lambda: self.serves(heir), f"{heir.node} to have the virtual IP", 60)
            outage = beats.outage(start)
            told = f" (the protocol: {words} = {share:.2f} s)" if words else ""
            self.note(what, f"{heir.node} has the virtual IP; {outage:.2f} s without service{told}", outage <= share + ALLOWANCE,
                      outage=outage, share=share)
        except LabError as error:
            self.note(what, str(error), False)
