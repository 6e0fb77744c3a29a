"""Two hosts with sluice that share a virtual IP, as values: who has it, what may happen to a host, how long it took.

    client --+--------+--------+-- s1, s2
            lb1      lb2   each: sluice run (dp, cp, vrrp); VIP .10 on one of them
"""

import json
import os
import pathlib
import signal
import subprocess
import time
from dataclasses import dataclass

from conftest import PYTHON, STORM
from oracle import Slack
from testbed import backends, balancer
from testbed.lab import LabError, wait_for
from vrrp_peers import instance, seconds

ECHO = 7  # port of a service whose servers send back what comes
CHECK = {"type": "tcp", "interval": "500ms", "rise": 2, "fall": 2}


class Host:
    """One of the two: its sluice, and what may befall it. Each fault has its end."""

    def __init__(self, lab, number, config):
        self.lab, self.number, self.node = lab, number, f"lb{number}"
        self.interface = lab.interface(lab.nics[0])
        self.sluice = balancer.Balancer(lab, config, node=self.node)

    def run(self, *command, check=True):
        return self.lab.run(self.node, *command, check=check)

    # --- what it is ----------------------------------------------------------------------------------------------

    def holds(self):
        """Whether the kernel has the address and would answer for it."""
        return self.lab.vip4 in self.sluice.addresses()

    def vrrp(self):
        """Its instance, as `sluice show vrrp --json` has it; none while nobody answers."""
        try:
            return self.sluice.show("vrrp")["instances"][0]
        except (LabError, json.JSONDecodeError):
            return None

    def is_in(self, state):
        shown = self.vrrp()
        return shown is not None and shown["state"] == state

    def mac(self):
        return json.loads(self.run("ip", "-j", "link", "show", "dev", self.interface).stdout)[0]["address"]

    # --- what may happen to it -----------------------------------------------------------------------------------

    def start(self):
        self.sluice.launch()

    def stop(self):
        self.sluice.stop()

    def die(self):
        """Every process at once, without a word, and the cable with them: a host without power."""
        self.unplug()
        self.kill_all()
        self.run("ip", "addr", "flush", "dev", self.lab.nics[0], check=False)

    def rise(self):
        """Power is back."""
        self.own_addresses()
        self.plug()
        self.start()

    def kill_all(self):
        pids = [self.sluice.process.pid, *self.children()]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.sluice.process.wait(timeout=20)

    def children(self):
        pid = self.sluice.process.pid
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def kill(self, program):
        self.sluice.kill_child(program)

    def freeze(self, frozen, program="sluice-vrrp"):
        os.kill(self.sluice.child(program), signal.SIGSTOP if frozen else signal.SIGCONT)

    def unplug(self):
        self.switch_port("down")

    def plug(self):
        self.switch_port("up")

    def switch_port(self, state):
        self.lab.run("switch", "ip", "link", "set", f"{self.node}-{self.lab.nics[0]}"[:15], state)

    def link(self, state):
        self.run("ip", "link", "set", self.interface, state)
        if state == "up":
            self.own_addresses()

    def flush(self):
        self.run("ip", "addr", "flush", "dev", self.interface)

    def own_addresses(self):
        """Those that the host has without VRRP, as a network service gives them back."""
        for line in (self.lab.state / f"{self.node}.commands").read_text().splitlines():
            self.run("ip", *line.split(), check=False)

    def delete_vip(self):
        self.run("ip", "addr", "del", f"{self.lab.vip4}/24", "dev", self.interface, check=False)


@dataclass
class Beat:
    """One attempt of storm.py's `beat`: Unix times, "ok" or what went wrong."""

    start: float
    end: float
    outcome: str


class Beats:
    """A client that opens a connection every 10 ms while the `with` block runs."""

    def __init__(self, lab, address, port=80, period=0.01):
        self.lab, self.command, self.beats = lab, (PYTHON, STORM, "beat", address, port, period), []

    def __enter__(self):
        self.process = self.lab.start("client", *self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "begun\n"
        return self

    def __exit__(self, *_):
        lines = self.process.communicate("", timeout=60)[0].splitlines()
        self.beats = [Beat(float(start), float(end), outcome) for start, end, outcome in map(str.split, lines)]

    def outage(self, since):
        """The longest time from `since` on in which no connection came about, seconds."""
        came = [since, *sorted(beat.end for beat in self.beats if beat.outcome == "ok" and beat.end >= since)]
        assert any(beat.outcome == "ok" for beat in self.beats[-2:]), f"no connections in the end: {self.beats[-10:]}"
        return max(later - earlier for earlier, later in zip(came, came[1:]))


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
