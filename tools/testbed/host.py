"""One of two hosts with sluice that share a virtual IP: who has it, and what may happen to a host."""

import json
import os
import pathlib
import signal

from testbed import balancer
from testbed.lab import LabError


class Host:
    """Its sluice, and what may befall it. Each fault has its end."""

    def __init__(self, lab, number, config):
        self.lab, self.number, self.node = lab, number, f"lb{number}"
        self.interface = lab.interface(lab.nics[0])
        self.sluice = balancer.Balancer(lab, config, node=self.node)

    def run(self, *command, check=True):
        return self.lab.run(self.node, *command, check=check)

    # --- what it is ----------------------------------------------------------------------------------------------

    def holds(self):
        """Whether the kernel has the address, on its interface or a macvlan, and would answer for it."""
        shown = json.loads(self.run("ip", "-j", "addr", "show", "up", check=False).stdout or "[]")
        return self.lab.vip4 in {address["local"] for link in shown for address in link.get("addr_info", []) if "local" in address}

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
        try:
            return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except OSError:  # it has ended
            return []

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

    def own_address(self):
        """The one that it has on the clients' side without VRRP: ADDRESS/LENGTH."""
        lines = (self.lab.state / f"{self.node}.commands").read_text().splitlines()
        return next(words[2] for words in map(str.split, lines) if words[:2] == ["addr", "replace"] and words[4] == self.interface and ":" not in words[2])

    def delete_own(self):
        self.run("ip", "addr", "del", self.own_address(), "dev", self.interface)

    def secondary_addresses(self):
        """Those that go when the address goes that they are secondary to."""
        shown = json.loads(self.run("ip", "-j", "addr", "show", "dev", self.interface).stdout)
        return {address["local"] for link in shown for address in link["addr_info"] if address.get("secondary")}

    def delete_vip(self):
        self.run("ip", "addr", "del", f"{self.lab.vip4}/24", "dev", self.interface, check=False)
