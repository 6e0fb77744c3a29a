"""HAProxy beside sluice, as the measure of what sluice does: the same services, the same servers, the same events.

    client --+-- sluice   VIP .10 \\
             |                      > s1, s2, s3
             +-- haproxy      .4 /      both at the node `lb`; haproxy over its kernel, from an address of its own
"""

import csv
import datetime
import io
import re
import socket
import threading
import time
from dataclasses import dataclass

from testbed.lab import LabError, wait_for

# Keys of sluice's configuration and what HAProxy calls them on a `server` line; of a flag: what it is called when true.
SERVER_KEYS = {"weight": "weight", "maxconn": "maxconn", "maxqueue": "maxqueue", "slowstart": "slowstart",
               "observe": "observe", "error_limit": "error-limit", "on_error": "on-error",
               "on_marked_down": "on-marked-down", "on_marked_up": "on-marked-up"}
SERVER_FLAGS = {"backup": "backup", "disabled": "disabled"}
CHECK_KEYS = {"interval": "inter", "fast_interval": "fastinter", "down_interval": "downinter", "rise": "rise",
              "fall": "fall", "port": "port"}
AGENT_KEYS = {"port": "agent-port", "interval": "agent-inter", "send": "agent-send", "address": "agent-addr"}
TLS_KEYS = {"ca_file": "ca-file", "certificate_file": "crt", "sni": "check-sni"}
TIMEOUTS = {"connect": "5s", "client": "1h", "server": "1h"}


@dataclass
class Line:
    """One line of a log: when it came (Unix time, seconds), how grave the program says it is, and the text alone."""

    when: float
    level: str
    text: str


def server_line(server, check):
    words = ["server", server["name"], f"{server['address']}:{server['port']}"]
    words += [word for key, name in SERVER_KEYS.items() if key in server for word in (name, str(server[key]))]
    words += [name for key, name in SERVER_FLAGS.items() if server.get(key)]
    check = server.get("check", check)
    if check.get("type", "none") != "none":
        words.append("check")
        words += [word for key, name in CHECK_KEYS.items() if key in check for word in (name, str(check[key]))]
        words += tls_words(check)
    if "agent" in server:
        words.append("agent-check")
        words += [word for key, name in AGENT_KEYS.items() if key in server["agent"]
                  for word in (name, str(server["agent"][key]))]
    return " ".join(words)


def tls_words(check):
    """How a check that speaks TLS, all the time or in a step, is told whom to trust."""
    in_steps = any((step.get("connect") or {}).get("tls") for step in check.get("steps", []))
    if check["type"] not in ("https", "tls") and not in_steps:
        return
    if not in_steps:
        yield "check-ssl"
    yield from ("verify", "required" if check.get("verify", True) else "none")
    for key, name in TLS_KEYS.items():
        if key in check and not (in_steps and key == "sni"):
            yield from (name, str(check[key]))


def check_lines(check):
    """What HAProxy's backend says about checks of this type."""
    kind = check.get("type")
    if "timeout" in check:
        yield f"timeout check {check['timeout']}"
    if kind == "tcp-check":
        yield "option tcp-check"
    if kind in ("http", "https"):
        yield "option httpchk"
        yield f"http-check send meth {check.get('method', 'GET')} uri {check.get('path', '/')}"
    if "status" in check:
        yield f"http-check expect status {check['status']}"
    if "body" in check:
        yield f"http-check expect {expectation(check['body'])}"
    if kind == "external":
        yield "option external-check"
        yield f"external-check command {check['command']}"
    for step in check.get("steps", []):
        yield "tcp-check " + step_words(step, check.get("sni"))


def step_words(step, sni):
    comment = f"comment {escaped(step['comment'])} " if "comment" in step else ""
    (kind, value), = ((key, value) for key, value in step.items() if key != "comment")
    if kind == "connect":
        words = [*(["port", str(value["port"])] if "port" in value else []),
                 *(["ssl", *(["sni", sni] if sni else [])] if value.get("tls") else []),
                 *(["linger"] if value.get("linger") else [])]
        return " ".join(["connect", *words, comment])
    if kind in ("send", "send_binary"):
        return f"{kind.replace('_', '-')} {escaped(value)} {comment}"
    at_least = f"min-recv {value['min_recv']} " if "min_recv" in value else ""
    return f"expect {at_least}{comment}{expectation(value)}"


def expectation(value):
    match, pattern = next((key, value[key]) for key in ("string", "regex", "binary") if key in value)
    return f"{'! ' if value.get('not') else ''}{'rstring' if match == 'regex' else match} {escaped(pattern)}"


def escaped(text):
    return re.sub(r"([\\ #'\"])", r"\\\1", text).replace("\r", r"\r").replace("\n", r"\n")


def client_lines(service, directory):
    """What HAProxy's frontend says of limits by client; a map in `directory` has the networks, of which the longest decides."""
    clients = service.get("clients", {})
    if "allow" in clients or "deny" in clients:
        networks = directory / f"{service['name']}.map"
        networks.write_text("".join(f"{network} {word}\n" for word in ("allow", "deny") for network in clients.get(word, [])))
        others = "deny" if "allow" in clients else "allow"
        yield f"tcp-request connection reject if {{ src,map_ip({networks},{others}) -m str deny }}"
    if "maxconn" in clients or "rate" in clients:
        yield "stick-table type ip size 1k expire 1h store conn_cur,conn_rate(1s)"
        yield "tcp-request connection track-sc0 src"
    if "maxconn" in clients:
        yield f"tcp-request connection reject if {{ sc0_conn_cur gt {clients['maxconn']} }}"
    if "rate" in clients:
        yield f"tcp-request connection reject if {{ sc0_conn_rate gt {clients['rate']} }}"


def proxy_sections(service, address, directory):
    """The frontend and the backend, both of its name, that stand for a service of sluice."""
    name, check = service["name"], service.get("check", {})
    timeouts = {key.replace("_", "-"): value for key, value in {**TIMEOUTS, **service.get("timeouts", {})}.items() if key != "udp"}
    yield f"frontend {name}"
    yield f"  bind {address}:{service['port']}"
    yield from (f"  timeout {key} {value}" for key, value in timeouts.items() if key.startswith("client"))
    yield from (f"  {line}" for line in client_lines(service, directory))
    yield f"  default_backend {name}"
    yield f"backend {name}"
    yield f"  source {address}"
    yield f"  balance {service.get('balance', 'roundrobin')}"
    yield from (f"  timeout {key} {value}" for key, value in timeouts.items() if not key.startswith("client"))
    if service.get("redispatch", True):
        yield "  option redispatch 1"
    if "retries" in service:
        yield f"  retries {service['retries']}"
    if service.get("allbackups"):
        yield "  option allbackups"
    yield from (f"  {line}" for line in check_lines(check))
    yield from (f"  {server_line(server, check)}" for server in service["servers"])


class Haproxy:
    """haproxy (one thread) at the lab's node `lb`, on `address`, with the given services of sluice."""

    def __init__(self, lab, services):
        self.lab, self.address = lab, f"{lab.front4}.4"
        self.lines = []
        self._api = str(lab.state / "haproxy.sock")
        self._log = str(lab.state / "haproxy-log.sock")
        self._file = lab.state / "haproxy.cfg"
        self._file.write_text("\n".join([
            "global", "  nbthread 1", "  user root", "  spread-checks 0",
            "  external-check", "  insecure-fork-wanted", f"  stats socket {self._api} level admin",
            f"  log {self._log} len 8192 format short local0", "", "defaults", "  mode tcp", "  log global",
            *[line for service in services for line in ["", *proxy_sections(service, self.address, lab.state)]], ""]))

    def start(self):
        self.lab.run("lb", "ip", "addr", "add", f"{self.address}/24", "dev", self.lab.nics[0])
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self._log)
        threading.Thread(target=self._receive, daemon=True).start()
        self.process = self.lab.start("lb", "haproxy", "-db", "-f", self._file, log="haproxy.log")
        def answers():
            if self.process.poll() is not None:
                raise LabError(f"haproxy ended: {self.lab.read('haproxy.log').strip()}")
            try:
                return self.stat()
            except OSError:
                return None

        wait_for(answers, "haproxy to answer")
        return self

    def _receive(self):
        levels = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]
        while True:
            when_received = self._socket.recv(16384), time.time()
            priority, text = re.fullmatch(rb"<(\d+)>(.*?)\n?", when_received[0], re.DOTALL).groups()
            self.lines.append(Line(when_received[1], levels[int(priority) & 7], text.decode()))

    def ask(self, command):
        """What the runtime API answers to a command."""
        with socket.socket(socket.AF_UNIX) as api:
            api.settimeout(10)
            api.connect(self._api)
            api.sendall(command.encode() + b"\n")
            answer = b""
            while block := api.recv(65536):
                answer += block
        return answer.decode().strip()

    def do(self, command):
        """A command that changes something, which HAProxy answers with silence."""
        answer = self.ask(command)
        assert answer == "", f"haproxy, {command}: {answer}"

    def stat(self):
        """(proxy, server) → its row of `show stat`."""
        rows = csv.DictReader(io.StringIO(self.ask("show stat").removeprefix("# "), newline=""))
        return {(row["pxname"], row["svname"]): row for row in rows}


SLUICE_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}) sluice-cp (\w+): (.*)")


def lines_of_sluice(site):
    """The log of sluice-cp."""
    found = map(SLUICE_LINE.fullmatch, site.lab.read(site.sluice.log).splitlines())
    return [Line(datetime.datetime.fromisoformat(line[1]).timestamp(), line[2], line[3]) for line in found if line]


def state_changes(lines):
    """Those lines that tell what became of servers and backends."""
    return [line for line in lines if re.match(r"(Backup )?Server \S+/\S+ |backend \S+ has ", line.text)]


class Slack:
    """How late a process may be that wants to run at a given moment: what this one finds itself to be, and a little more."""

    def __init__(self):
        self.late = 0.0

    def start(self):
        threading.Thread(target=self._measure, daemon=True).start()
        return self

    def _measure(self):
        while True:
            due = time.monotonic() + 0.01
            time.sleep(0.01)  # being late for this is what is measured
            self.late = max(self.late, time.monotonic() - due)

    def anew(self):
        """What was found until now does not count."""
        self.late = 0.0

    def seconds(self):
        return 0.2 + 2 * self.late


class Screen:
    """nftables at a server: how it meets new connections, at the stroke of one command."""

    RULES = {"accept": "", "refuse": "reject with tcp reset", "silent": "drop"}

    def __init__(self, lab, node):
        self.lab, self.node = lab, node

    def set(self, how, *, ports=None, established=False):
        """`how`: one of RULES; to SYNs for these ports (all), or with `established` to every segment."""
        match = ("" if established else "tcp flags & (syn | ack) == syn ") + (
            f"tcp dport {{ {', '.join(map(str, ports))} }} " if ports else "meta l4proto tcp ")
        rule = f"add rule inet screen in {match}{self.RULES[how]}" if self.RULES[how] else ""
        self.lab.run(self.node, "nft", "-f", "-", stdin=f"""
            table inet screen {{ chain in {{ type filter hook input priority 0; }}; }}
            flush chain inet screen in
            {rule}
        """)
