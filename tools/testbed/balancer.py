"""sluice in a lab: its configuration, its processes, what it shows."""

import json
import os
import pathlib
import signal
import subprocess

from testbed.lab import ROOT, LabError, wait_for

BUILD = pathlib.Path(os.environ.get("SLUICE_BUILD", ROOT / "build"))


def sluice_program(build=None):
    return (build or BUILD) / "tools" / "sluice" / "sluice"


def ports_for(lab, **settings):
    """The `ports` of a configuration for the lab's balancer."""
    ports = []
    for nic in lab.nics:
        port = {"name": nic, "device": f"{lab.device}:{nic}", **settings}
        if lab.device == "af_packet":
            port["twin"] = {"name": f"{nic}-twin"}
        ports.append(port)
    return ports


def service(lab, name, *, family=4, port=80, server_port=None, protocol="tcp", numbers=None, **settings):
    """A service on the lab's VIP over its servers (all, or those with the given numbers)."""
    servers = [{"name": f"web{n}", "address": lab.server(n, family), "port": server_port or port}
               for n in (numbers or lab.server_numbers())]
    return {"name": name, "vip": lab.vip(family), "port": port, "protocol": protocol, "servers": servers, **settings}


class Balancer:
    """`sluice run` at a node of the lab."""

    def __init__(self, lab, config, *, node="lb", build=None):
        self.lab, self.node, self.program = lab, node, sluice_program(build)
        of = node.removeprefix("lb")  # of a pair: which
        self.runtime = lab.state / f"run{of}"
        self.config = lab.state / f"sluice{of}.json"
        self.log = f"sluice{of}.log"
        self.process = None
        self.write(config)

    def write(self, config):
        self.config.write_text(json.dumps(config, indent=2))

    def start(self):
        """Starts it and waits until its workers run the configuration and its kernel answers for the VIP."""
        self.launch()
        self.wait_ready()
        return self

    def launch(self):
        self.process = self.lab.start(self.node, self.program, "run", "-c", self.config, "--runtime-dir", self.runtime, log=self.log)

    def wait_ready(self, seconds=60):
        def ready():
            if self.process.poll() is not None:
                raise LabError(f"sluice run ended with {self.process.returncode}: {self.lab.read(self.log).strip()}")
            return self.forwards()

        wait_for(ready, f"sluice to forward; its log: {self.state_of_log()}", seconds)

    def state_of_log(self):
        return self.lab.state / self.log

    def forwards(self):
        """Whether every worker runs a configuration, the kernel has the VIP, and sluice knows its routes."""
        try:
            workers = self.show("workers")
        except LabError:
            return False
        if not workers or not all(worker["generation"] > 0 for worker in workers):
            return False
        if not self.lab.pair and not {self.lab.vip4, self.lab.vip6} <= self.addresses():
            return False
        return all(server["next_hop"] != "no route" for server in self.show("servers"))

    def addresses(self, nic=None):
        """The addresses that the kernel has on an interface that is up: that of the NIC, default the first."""
        shown = self.lab.run(self.node, "ip", "-j", "addr", "show", "dev", self.lab.interface(nic or self.lab.nics[0]), "up", check=False)
        return {address["local"] for link in json.loads(shown.stdout or "[]") for address in link.get("addr_info", [])}

    def cli(self, *words, check=True):
        return self.lab.run(self.node, self.program, *words, check=check)

    def order(self, *words, check=True):
        """A command to the instance that runs: `order("server", "drain", "web/web1")`."""
        return self.cli(*words, "--runtime-dir", self.runtime, check=check)

    def show(self, what, *filters):
        """`sluice show WHAT --json` as a value."""
        text = self.cli("show", what, "--json", "--runtime-dir", self.runtime, *filters).stdout
        shown = json.loads(text)
        return shown[what] if isinstance(shown, dict) and what in shown else shown

    def table(self, what):
        return self.cli("show", what, "--runtime-dir", self.runtime).stdout

    def servers(self):
        """(service, server) → what is shown of it."""
        return {(row["service"], row["name"]): row for row in self.show("servers")}

    def wait_server(self, service_name, server, state, seconds=60):
        """Waits until the status shown of a server is `state`, "up" or "down"."""
        def reached():
            row = self.servers().get((service_name, server))
            return row is not None and row["status"].lower().startswith(state)

        wait_for(reached, f"server {service_name}/{server} to be {state}", seconds, every=0.05)

    def handed_over(self):
        return sum(worker["handed_over"] for worker in self.show("workers"))

    def drops(self):
        return {row["reason"]: row["packets"] for row in self.show("drops")}

    # --- processes ---------------------------------------------------------------------------------------------------

    def child(self, program):
        """Process id of sluice-dp, sluice-cp or sluice-vrrp; None while there is none."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            pids = children.read_text().split()
        except OSError:  # sluice run itself has ended
            return None
        for pid in pids:
            try:
                name = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
                dead = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
            except OSError:
                continue
            if name == program and not dead:
                return int(pid)
        return None

    def kill_child(self, program):
        pid = self.child(program)
        if pid is None:
            raise LabError(f"{program} does not run")
        os.kill(pid, signal.SIGKILL)
        return pid

    def stop(self):
        """SIGTERM, as a service manager stops it; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def attempt(self, *prefix, config=None, runtime=None, timeout=60):
        """Runs `sluice run` expecting it to refuse; returns the finished process."""
        command = [*prefix, self.program, "run", "-c", config or self.config, "--runtime-dir", runtime or self.runtime]
        return subprocess.run(self.lab.at(self.node, *command), capture_output=True, text=True, timeout=timeout)
