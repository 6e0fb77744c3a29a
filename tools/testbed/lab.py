"""A lab (tools/lab) as a value: nodes to run commands at, processes that end with it, conditions to wait for."""

import itertools
import os
import pathlib
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAB = str(ROOT / "tools" / "lab")
STATE_ROOT = pathlib.Path("/run/sluice-lab")


class LabError(Exception):
    """Something in the lab is not as it must be; the text is a sentence for the user."""


def wait_for(condition, what, seconds=20.0, every=0.02):
    """Polls until `condition()` is true and returns its value; the time limit only tells a hang from slowness."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise LabError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(every)


class Lab:
    """Network namespaces joined by switches. Addresses: see the drawing in tools/lab."""

    def __init__(self, name, topology, device, path_mtu=None):
        self.name, self.topology, self.device, self.path_mtu = name, topology, device, path_mtu
        self.state = STATE_ROOT / name
        one_arm = topology in ("one-armed", "pair")
        self.front4 = "192.0.2" if one_arm else "198.51.100"
        self.back4 = "192.0.2" if one_arm else "10.20.0"
        self.front6 = "2001:db8:1:"
        self.back6 = "2001:db8:1:" if one_arm else "2001:db8:2:"
        self.vip4, self.vip6 = f"{self.front4}.10", f"{self.front6}:10"
        self.client4, self.client6 = f"{self.front4}.100", f"{self.front6}:100"
        self.nics = ["lan"] if one_arm else ["front", "back"]
        self.pair = topology.startswith("pair")

    @classmethod
    def up(cls, topology="one-armed", *, device="af_xdp", prefix="lab", servers=3, queues=1, routed_client=False, path_mtu=None):
        """Builds a lab that `tools/lab` takes down by itself should this process be killed."""
        for number in itertools.count(1):
            name = f"{prefix}{number}"
            if (STATE_ROOT / name).exists():
                continue
            command = [LAB, "up", topology, "--name", name, "--device", device, "--servers", str(servers),
                       "--queues", str(queues), "--owner", str(os.getpid()),
                       *(["--routed-client"] if routed_client else []),
                       *(["--path-mtu", str(path_mtu)] if path_mtu else [])]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode == 0:
                return cls(name, topology, device, path_mtu)
            if "exists already" not in done.stderr:  # else somebody else took the name meanwhile
                raise LabError(done.stderr.strip())

    def down(self):
        if self.state.exists():
            subprocess.run([LAB, "down", self.name], check=True)

    def keep(self):
        """The lab outlives this process."""
        (self.state / "owner").unlink(missing_ok=True)

    def interface(self, nic):
        """The kernel's interface of a balancer's NIC."""
        return nic + ("-twin" if self.device == "af_packet" else "")

    def vip(self, family):
        return self.vip4 if family == 4 else self.vip6

    def server(self, number, family=4):
        if self.path_mtu and number == 1:
            return "10.30.0.11" if family == 4 else "2001:db8:3::11"
        return f"{self.back4}.{10 + number}" if family == 4 else f"{self.back6}:{10 + number}"

    def server_numbers(self):
        return [int(node[1:]) for node in self.nodes() if node[0] == "s" and node[1:].isdigit()]

    def nodes(self):
        return (self.state / "nodes").read_text().split()

    def at(self, node, *command):
        """The argument vector that runs `command` at `node`."""
        return ["ip", "netns", "exec", f"{self.name}-{node}", *map(str, command)]

    def run(self, node, *command, check=True, timeout=120, stdin=None):
        """Runs a command at a node to its end; its output is text. With `check`, failing is an error."""
        done = subprocess.run(self.at(node, *command), capture_output=True, text=True, timeout=timeout, input=stdin)
        if check and done.returncode != 0:
            words = " ".join(map(str, command))
            raise LabError(f"{node}: `{words}` ended with {done.returncode}: {(done.stderr or done.stdout).strip()}")
        return done

    def start(self, node, *command, log=None, **more):
        """Starts a process at a node; it ends with the lab at the latest. Its output goes to the file `log`."""
        out = open(self.state / log, "ab") if log else subprocess.DEVNULL
        more = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out, "start_new_session": True, **more}
        try:
            return subprocess.Popen(self.at(node, *command), **more)
        finally:
            if log:
                out.close()

    def make_nic(self, node, nic):
        """One that was deleted, anew, as tools/lab makes it, with what a network service gives it."""
        far, offloads = f"{node}-{nic}"[:15], [word for name in ("tx", "rx", "sg", "tso", "gso", "gro", "txvlan", "rxvlan") for word in (name, "off")]
        queues = ["numrxqueues", 1, "numtxqueues", 1]
        self.run("switch", "ip", "link", "add", far, *queues, "type", "veth", "peer", "name", nic, "netns", f"{self.name}-{node}", *queues)
        self.run("switch", "ethtool", "-K", far, *offloads)
        self.run(node, "ethtool", "-K", nic, *offloads)
        self.run("switch", "ip", "link", "set", far, "master", nic, "up")
        self.run(node, "ip", "link", "set", nic, "up")
        for line in (self.state / f"{node}.commands").read_text().splitlines():
            self.run(node, "ip", *line.split())

    def read(self, log):
        path = self.state / log
        return path.read_text(errors="replace") if path.exists() else ""


def http(address):
    """Host part of a URL."""
    return f"[{address}]" if ":" in str(address) else str(address)
