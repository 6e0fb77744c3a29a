"""VRRP speakers at the nodes of a lab, all told what they are to do by an instance of sluice's `vrrp` configuration.

    Sluice      sluice-vrrp alone, without a data plane
    Keepalived  keepalived, unmodified
    Frr         FRR's vrrpd and zebra, with the macvlan that they want
"""

import ipaddress
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass

from testbed import balancer
from testbed.balancer import BUILD
from testbed.lab import LabError, wait_for

# Keys of an instance that keepalived has under the same name; of durations: with how many seconds' unit.
KEEPALIVED_KEYS = ["interface", "virtual_router_id", "priority", "down_timer_adverts", "mcast_src_ip"]
KEEPALIVED_FLAGS = ["check_unicast_src", "lower_prio_no_advert", "higher_prio_send_advert", "vmac_xmit_base", "nopreempt"]
KEEPALIVED_COMMANDS = ["notify", "notify_master", "notify_backup", "notify_fault", "notify_stop", "notify_master_rx_lower_pri"]


def seconds(text):
    """A duration of sluice's configuration."""
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]


def instance(lab, *, family=4, **settings):
    """An instance for the lab's VIP, on the first NIC of its balancers."""
    prefix = 24 if family == 4 else 64
    addresses = [f"{lab.vip(family)}/{prefix}"] if family == 4 else ["fe80::5:10/64", f"{lab.vip6}/64"]
    return {"name": "VI_1", "interface": lab.interface(lab.nics[0]), "virtual_router_id": 61, "priority": 100,
            "version": 2 if family == 4 else 3, "advert_int": "1s", "addresses": addresses, **settings}


def skew(vrrp):
    """Skew_Time of an instance whose master advertises as often as it would itself, seconds."""
    return (256 - vrrp["priority"]) / 256 * (1 if vrrp["version"] == 2 else seconds(vrrp["advert_int"]))


class Speaker:
    """A process that speaks VRRP at a node: as one instance, or as several of which `vrrp` is the first."""

    kind = ""

    def __init__(self, lab, node, vrrp, *others):
        self.lab, self.node, self.vrrp, self.instances = lab, node, vrrp, [vrrp, *others]
        self.log = f"{self.kind}-{node}.log"
        self.directory = lab.state / f"{self.kind}-{node}"
        self.directory.mkdir(exist_ok=True)
        self.process, self.was_frozen = None, False

    def stop(self):
        """As a service manager does: it says good-bye to the others."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=20)

    def kill(self):
        """No good-bye: not even from one process that sees another of them die first."""
        pids = self.pids()
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, number)
        self.process.wait(timeout=20)

    def pids(self):
        return [self.process.pid]

    def freeze(self, frozen):
        self.was_frozen = True
        for pid in self.pids():
            os.kill(pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def text(self):
        """What it has logged."""
        return self.lab.read(self.log)

    def addresses(self):
        """All addresses of the node."""
        shown = json.loads(self.lab.run(self.node, "ip", "-j", "addr").stdout)
        return {address["local"] for link in shown for address in link.get("addr_info", [])}

    def source(self):
        """The address that its multicast adverts come from."""
        shown = json.loads(self.lab.run(self.node, "ip", "-j", "addr", "show", "dev", self.vrrp["interface"], "scope", "link" if ":" in self.vrrp["addresses"][0] else "global").stdout)
        family = ipaddress.ip_interface(self.vrrp["addresses"][0]).version
        own = [a["local"] for a in shown[0]["addr_info"] if "local" in a and ipaddress.ip_address(a["local"]).version == family]
        return next(ipaddress.ip_address(a) for a in own if a not in [v.split("/")[0] for v in self.vrrp["addresses"]])

    def holds(self, vrrp):
        """Whether the node has all addresses of an instance."""
        return {address.split("/")[0] for address in vrrp["addresses"]} <= self.addresses()

    def is_master(self):
        return all(self.holds(vrrp) for vrrp in self.instances)


class Sluice(Speaker):
    """`prefix`: words that run its program."""

    kind = "sluice"

    def __init__(self, lab, node, vrrp, *others, prefix=()):
        super().__init__(lab, node, vrrp, *others)
        self.prefix = prefix

    def write(self):
        config = {"ports": balancer.ports_for(self.lab), "services": [], "vrrp": [{"track_dataplane": False, **vrrp} for vrrp in self.instances]}
        path = self.directory / "sluice.json"
        path.write_text(json.dumps(config, indent=2))
        return path

    def start(self):
        (self.directory / "vrrp.sock").unlink(missing_ok=True)  # of one that was killed
        self.process = self.lab.start(self.node, *self.prefix, BUILD / "vrrp" / "sluice-vrrp", "--config", self.write(), "--runtime-dir", self.directory, log=self.log)
        wait_for(lambda: self.process.poll() is not None or (self.directory / "vrrp.sock").exists(), "sluice-vrrp to serve its socket")
        if self.process.poll() is not None:
            raise LabError(f"sluice-vrrp ended: {self.text()}")
        return self

    def reload(self, *instances):
        """Has these instances from now on."""
        self.vrrp, self.instances = instances[0], list(instances)
        self.write()
        before = self.text().count("reloaded")
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.text().count("reloaded") > before, "sluice-vrrp to reload")
        if "not reloaded" in self.text():
            raise LabError(f"sluice-vrrp did not reload: {self.text()}")

    def complaints(self):
        """Who was frozen may say that it was late."""
        return [line for line in self.text().splitlines()
                if re.search(r" (warn|error): ", line) and not (self.was_frozen and "a timer was served" in line)]

    def cli(self, *words):
        return [BUILD / "tools" / "sluice" / "sluice", *words, "--runtime-dir", self.directory]

    def show(self, name=None):
        """What `sluice show vrrp --json` says of an instance, default the first."""
        shown = json.loads(self.lab.run(self.node, *self.cli("show", "vrrp", "--json")).stdout)["instances"]
        return next(row for row in shown if name in (None, row["name"]))


class Keepalived(Speaker):
    kind = "keepalived"

    def config(self):
        startup = [f"  vrrp_startup_delay {seconds(vrrp['startup_delay']):g}\n" for vrrp in self.instances if "startup_delay" in vrrp]
        yield "global_defs {\n  router_id lab\n  script_user root\n  vrrp_garp_master_delay 1\n" + "".join(startup[:1]) + "}"
        scripts = {script["name"]: script for vrrp in self.instances for script in vrrp.get("track_script", [])}
        for name, script in scripts.items():
            yield f"vrrp_script {name} {{\n  script \"{' '.join(map(str, script['script']))}\""
            yield from (f"  {key} {seconds(script[key]):g}" for key in ("interval", "timeout") if key in script)
            yield from (f"  {key} {script[key]}" for key in ("rise", "fall") if key in script)
            yield "}"
        for group in sorted({vrrp["sync_group"] for vrrp in self.instances if "sync_group" in vrrp}):
            members = [vrrp["name"] for vrrp in self.instances if vrrp.get("sync_group") == group]
            yield f"vrrp_sync_group {group} {{\n  group {{\n" + "".join(f"    {name}\n" for name in members) + "  }\n}"
        for vrrp in self.instances:
            yield from self.instance_config(vrrp)

    def instance_config(self, vrrp):
        yield f"vrrp_instance {vrrp['name']} {{"
        yield f"  state {vrrp.get('state', 'BACKUP')}"
        yield f"  version {vrrp['version']}"
        yield f"  advert_int {seconds(vrrp['advert_int']):g}"
        yield from (f"  {key} {vrrp[key]}" for key in KEEPALIVED_KEYS if key in vrrp)
        yield from (f"  {key}" for key in KEEPALIVED_FLAGS if vrrp.get(key))
        yield from (f"  {key} \"{' '.join(map(str, vrrp[key]))}\"" for key in KEEPALIVED_COMMANDS if key in vrrp)
        if "auth_pass" in vrrp:
            yield f"  authentication {{\n    auth_type PASS\n    auth_pass {vrrp['auth_pass']}\n  }}"
        if "preempt_delay" in vrrp:
            yield f"  preempt_delay {seconds(vrrp['preempt_delay']):g}"
        if "unicast_peer" in vrrp:
            yield f"  unicast_src_ip {vrrp['unicast_src_ip']}"
            yield "  unicast_peer {\n" + "".join(f"    {peer}\n" for peer in vrrp["unicast_peer"]) + "  }"
        if vrrp.get("use_vmac"):
            yield f"  use_vmac vmac{vrrp['virtual_router_id']}"
        for key, name in (("track_interface", "interface"), ("track_script", "name")):
            if key in vrrp:
                rows = [f"    {tracked[name]} weight {tracked.get('weight', 0)}\n" for tracked in vrrp[key]]
                yield f"  {key} {{\n" + "".join(rows) + "  }"
        for block, key in (("virtual_ipaddress", "addresses"), ("virtual_ipaddress_excluded", "addresses_excluded")):
            if key in vrrp:
                yield f"  {block} {{\n" + "".join(f"    {address}\n" for address in vrrp[key]) + "  }"
        yield "}"

    def start(self):
        path = self.directory / "keepalived.conf"
        path.write_text("\n".join(self.config()) + "\n")
        files = {option: self.directory / name for option, name in (("-p", "pid"), ("-r", "vrrp.pid"), ("-c", "checkers.pid"))}
        for file in files.values():
            file.unlink(missing_ok=True)  # of one that was killed: it would be taken to run still
        words = [str(word) for pair in files.items() for word in pair]
        self.process = self.lab.start(self.node, "keepalived", "-n", "-l", "-D", "-P", "-f", path, *words, log=self.log)
        wait_for(lambda: self.process.poll() is not None or "Entering" in self.text(), "keepalived to start")
        if self.process.poll() is not None:
            raise LabError(f"keepalived ended: {self.text()}")
        return self

    def pids(self):
        """The parent, which would start another, first."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [self.process.pid, *map(int, children.split())]

    def complaints(self):
        words = r"bogus|mismatch|invalid|error|Error|wrong|unexpected|ignor"
        return [line for line in self.text().splitlines() if re.search(words, line)]


class Frr(Speaker):
    kind = "frr"

    def start(self):
        vrrp, lan = self.vrrp, self.vrrp["interface"]
        vrid, family = vrrp["virtual_router_id"], ipaddress.ip_interface(vrrp["addresses"][0]).version
        self.macvlan = f"vrrp{family}-{vrid}"
        mac = f"00:00:5e:00:0{1 if family == 4 else 2}:{vrid:02x}"
        if self.process is None:
            self.lab.run(self.node, "ip", "link", "add", self.macvlan, "link", lan, "type", "macvlan", "mode", "bridge")
            self.lab.run(self.node, "ip", "link", "set", self.macvlan, "address", mac, "up")
            for address in vrrp["addresses"]:
                self.lab.run(self.node, "ip", "addr", "add", address, "dev", self.macvlan, "nodad")
        lines = [f"interface {lan}", f" vrrp {vrid} version {vrrp['version']}", f" vrrp {vrid} priority {vrrp['priority']}",
                 f" vrrp {vrid} advertisement-interval {int(seconds(vrrp['advert_int']) * 1000)}"]
        if vrrp.get("nopreempt"):
            lines.append(f" no vrrp {vrid} preempt")
        ip = "ip" if family == 4 else "ipv6"
        lines += [f" vrrp {vrid} {ip} {address.split('/')[0]}" for address in vrrp["addresses"]]
        lines += ["!", "debug vrrp packets", "debug vrrp protocol"]
        (self.directory / "frr.conf").write_text("hostname lab\nlog stdout debugging\n" + "\n".join(lines) + "\n")
        shutil.chown(self.directory, "frr", "frr")
        common = ["--vty_socket", self.directory, "-z", self.directory / "zserv.api", "-u", "frr", "-g", "frr", "-A", "127.0.0.1", "-P", "0", "--log", "stdout"]
        self.zebra = self.lab.start(self.node, "/usr/lib/frr/zebra", "-i", self.directory / "zebra.pid", "-f", "/dev/null", *common, log=f"zebra-{self.node}.log")
        wait_for(lambda: (self.directory / "zserv.api").exists(), "zebra")
        self.process = self.lab.start(self.node, "/usr/lib/frr/vrrpd", "-i", self.directory / "vrrpd.pid", "-f", self.directory / "frr.conf", *common, log=self.log)
        wait_for(lambda: self.process.poll() is not None or (self.directory / "vrrpd.vty").exists(), "vrrpd")
        if self.process.poll() is not None:
            raise LabError(f"vrrpd ended: {self.text()}")
        return self

    def status(self):
        shown = self.lab.run(self.node, "vtysh", "--vty_socket", self.directory, "-d", "vrrpd", "-c", "show vrrp json", check=False).stdout
        router = json.loads(shown[shown.index("["):])[0] if "[" in shown else {}
        return router.get("v4" if ipaddress.ip_interface(self.vrrp["addresses"][0]).version == 4 else "v6", {}).get("status", "")

    def is_master(self):
        """vrrpd leaves the addresses where they are, and has the macvlan say whether they count."""
        return self.status() == "Master"

    def pids(self):
        return [self.process.pid, self.zebra.pid]

    def gone(self):
        (self.directory / "zserv.api").unlink(missing_ok=True)
        (self.directory / "vrrpd.vty").unlink(missing_ok=True)
        self.zebra.kill()
        self.zebra.wait(timeout=20)

    def stop(self):
        super().stop()
        self.gone()

    def kill(self):
        super().kill()
        self.gone()

    def complaints(self):
        words = r"[Ii]nvalid|mismatch|[Bb]ad |failed|discard|unexpected"
        return [line for line in self.text().splitlines() if re.search(words, line) and "vrrp" in line.lower()]


@dataclass
class Seen:
    """An advert as tshark reads it; `complaint`: what is wrong with it, else ""."""

    when: float
    source: str
    priority: int
    complaint: str


class Adverts:
    """VRRP packets on the lab's first segment, or at a node's NIC, while the `with` block runs."""

    only = "ip proto 112 or ip6 proto 112"

    def __init__(self, lab, name="adverts.pcapng", *, node="switch", nic=None):
        self.lab, self.node, self.nic = lab, node, nic or lab.nics[0]
        self.file, self.log = lab.state / name, f"{name}.log"

    def __enter__(self):
        (self.lab.state / self.log).unlink(missing_ok=True)
        self.process = self.lab.start(self.node, "tcpdump", "-i", self.nic, "-U", "-w", self.file, "--immediate-mode",
                                      self.only, log=self.log)
        wait_for(lambda: "listening on" in self.lab.read(self.log), "tcpdump")
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=20)

    def count(self):
        """How many have been written so far."""
        shown = subprocess.run(["tcpdump", "-n", "-r", self.file], capture_output=True, text=True)
        return len(shown.stdout.splitlines())

    def fields(self, *names):
        """Of each packet so far, as tshark has them."""
        shown = subprocess.run(["tshark", "-r", self.file, "-T", "fields", "-E", "separator=;",
                                *[word for name in names for word in ("-e", name)]], capture_output=True, text=True, check=True)
        return [line.split(";") for line in shown.stdout.splitlines()]

    def read(self):
        for when, source4, source6, priority, expert, status in self.fields(
                "frame.time_epoch", "ip.src", "ipv6.src", "vrrp.prio", "_ws.expert.message", "vrrp.checksum.status"):
            yield Seen(float(when), source4 or source6, int(priority), expert or ("" if status in ("1", "") else f"checksum status {status}"))
