"""One of two hosts with sluice that share virtual IPs: who has them, and what may happen to a host."""

import ipaddress
import json
import os
import pathlib
import signal

from testbed import balancer
from testbed.lab import LabError, wait_for

PARTS = ("sluice-dp", "sluice-cp", "sluice-vrrp")


def state_of(pid):
    """The kernel's letter for that of a process; empty: there is none."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


class Host:
    """Its sluice, and what may befall it. Each fault has its end. `moving`: the addresses that are with the master,
    the virtual ones and those that the services have towards their servers."""

    def __init__(self, lab, number, config):
        self.lab, self.number, self.node = lab, number, f"lb{number}"
        self.interface = lab.interface(lab.nics[0])
        listed = [address for vrrp in config["vrrp"] for key in ("addresses", "addresses_excluded") for address in vrrp.get(key, [])]
        self.moving = {address.split("/")[0] for address in listed} | {
            address for service in config["services"] for address in service.get("local_addresses", [])}
        self.sluice = balancer.Balancer(lab, config, node=self.node)

    def run(self, *command, check=True):
        return self.lab.run(self.node, *command, check=check)

    # --- what it is ----------------------------------------------------------------------------------------------

    def addresses(self):
        """Those that the kernel has, on whichever interface, and would answer for."""
        shown = json.loads(self.run("ip", "-j", "addr", "show", "up", check=False).stdout or "[]")
        return {address["local"] for link in shown for address in link.get("addr_info", []) if "local" in address}

    def holds(self):
        """Whether the kernel has all that moves."""
        return self.moving <= self.addresses()

    def holds_any(self):
        return bool(self.moving & self.addresses())

    def instances(self):
        """What `sluice show vrrp --json` has of each; none while nobody answers."""
        try:
            return self.sluice.show("vrrp")["instances"]
        except (LabError, json.JSONDecodeError):
            return []

    def vrrp(self):
        """The first of them; None while nobody answers."""
        return next(iter(self.instances()), None)

    def is_in(self, state):
        """Whether all of them are."""
        return {shown["state"] for shown in self.instances()} == {state}

    def mac(self):
        """Of the NIC, and of its twin if it has one."""
        return json.loads(self.run("ip", "-j", "link", "show", "dev", self.lab.nics[0]).stdout)[0]["address"]

    def parts(self):
        """Program -> its process id; None: there is none."""
        return {part: self.sluice.child(part) for part in PARTS}

    def runs(self):
        return None not in self.parts().values()

    # --- what may happen to it -----------------------------------------------------------------------------------

    def start(self):
        self.sluice.launch()

    def stop(self):
        self.sluice.stop()

    def die(self):
        """Every process at once, without a word, and the cables with them: a host without power."""
        for nic in self.lab.nics:
            self.unplug(nic)
        self.kill_all()
        for nic in self.lab.nics:
            self.run("ip", "link", "set", nic, "down")
            self.run("ip", "addr", "flush", "dev", nic)

    def rise(self):
        """Power is back."""
        for nic in self.lab.nics:
            self.run("ip", "link", "set", nic, "up")
        self.own_addresses()
        for nic in self.lab.nics:
            self.plug(nic)
        self.start()

    def kill_all(self):
        """All at once. `sluice run` stands still first: it would start again who has died, and who survived it would be told
        to stop, in good order."""
        run = self.sluice.process.pid
        os.kill(run, signal.SIGSTOP)
        wait_for(lambda: state_of(run) == "T", "sluice run to stand still")
        children = self.children()
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: all(state_of(pid) == "Z" for pid in children), "its children to be dead")
        self.sluice.process.kill()
        self.sluice.process.wait(timeout=20)

    def children(self):
        pid = self.sluice.process.pid
        try:
            return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except OSError:  # it has ended
            return []

    def kill(self, program):
        """It is dead on return, maybe another one there already."""
        killed = self.sluice.kill_child(program)
        wait_for(lambda: self.sluice.child(program) != killed, f"{program} to be dead")

    def freeze(self, frozen, program="sluice-vrrp"):
        os.kill(self.sluice.child(program), signal.SIGSTOP if frozen else signal.SIGCONT)

    def unplug(self, nic=None):
        self.switch_port("down", nic)

    def plug(self, nic=None):
        self.switch_port("up", nic)

    def switch_port(self, state, nic):
        """Default: the first NIC."""
        self.lab.run("switch", "ip", "link", "set", f"{self.node}-{nic or self.lab.nics[0]}"[:15], state)

    def link(self, state):
        self.run("ip", "link", "set", self.interface, state)
        if state == "up":
            self.own_addresses()

    def delete_interface(self):
        self.run("ip", "link", "del", self.interface)

    def make_interface(self):
        """A twin comes back with its data plane, and gets its addresses from whoever watches it."""
        if self.interface == self.lab.nics[0]:
            self.lab.make_nic(self.node, self.lab.nics[0])

    def flush(self):
        self.run("ip", "addr", "flush", "dev", self.interface)

    def own_addresses(self):
        """Those that the host has without VRRP, as a network service gives them back."""
        for line in (self.lab.state / f"{self.node}.commands").read_text().splitlines():
            self.run("ip", *line.split(), check=False)
        self.run("ip", "addr", "replace", f"{self.link_local()}/64", "dev", self.interface, check=False)

    def own_address(self):
        """The one that it has on the clients' side without VRRP: ADDRESS/LENGTH."""
        lines = (self.lab.state / f"{self.node}.commands").read_text().splitlines()
        return next(words[2] for words in map(str.split, lines) if words[:2] == ["addr", "replace"] and words[4] == self.interface and ":" not in words[2])

    def link_local(self):
        """What the kernel makes of the MAC address (RFC 4291, appendix A)."""
        first, *rest = bytes.fromhex(self.mac().replace(":", ""))
        identifier = bytes([first ^ 2, *rest[:2], 0xff, 0xfe, *rest[2:]])
        return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + identifier))

    def delete_own(self):
        """Those that adverts come from."""
        for address in (self.own_address(), f"{self.link_local()}/64"):
            self.run("ip", "addr", "del", address, "dev", self.interface)

    def secondary_addresses(self):
        """Those that go when the address goes that they are secondary to."""
        shown = json.loads(self.run("ip", "-j", "addr", "show", "dev", self.interface).stdout)
        return {address["local"] for link in shown for address in link["addr_info"] if address.get("secondary")}

    def delete_vip(self):
        """Of each family, where it is there."""
        for address in (f"{self.lab.vip4}/24", f"{self.lab.vip6}/64"):
            self.run("ip", "addr", "del", address, "dev", self.interface, check=False)
