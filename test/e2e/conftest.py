"""Fixtures of the end-to-end tests: labs (tools/lab) that are gone after the test, whatever happens in it."""

import hashlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass

import pytest

from testbed import backends, balancer
from testbed.lab import ROOT, Lab, LabError, wait_for

PEER = ROOT / "test" / "e2e" / "peer.py"
STORM = ROOT / "test" / "e2e" / "storm.py"
PYTHON = "/usr/bin/python3"


def pytest_configure(config):
    # A test run that is told to end runs its tear-downs: labs are kernel objects that outlive processes.
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    if os.geteuid() != 0:
        pytest.exit("the end-to-end tests need root (sudo tools/test e2e)", returncode=1)
    if not balancer.sluice_program().exists():
        pytest.exit(f"{balancer.sluice_program()} is not built (tools/build)", returncode=1)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of the log of every sluice that took part."""
    report = (yield).get_result()
    if report.failed and call.when == "call":
        logs = [f"\n{path}:\n" + "\n".join(path.read_text(errors="replace").splitlines()[-40:])
                for node in item.listchain() for site in getattr(node, "sites", []) for path in sorted(site.lab.state.glob("sluice*.log"))]
        report.longrepr = str(report.longrepr) + "\n".join(logs)


class Site:
    """A lab with real servers and sluice between them and the client. Its methods are what tests do."""

    def __init__(self, lab):
        self.lab = lab
        self.sluice = None
        self.servers = {}

    def serve(self, *, dns=False):
        """nginx (and DNS) at every server; they answer with their names."""
        self.servers = backends.start_backends(self.lab, dns=dns)
        return self

    def balance(self, *services, workers=1, dataplane=None, **port_settings):
        """sluice with these services (testbed.balancer.service), ready to forward."""
        config = {"dataplane": {"workers": workers, **(dataplane or {})},
                  "ports": balancer.ports_for(self.lab, **port_settings), "services": list(services)}
        self.sluice = balancer.Balancer(self.lab, config)
        self.sluice.start()
        return self

    def service(self, name="web", **settings):
        return balancer.service(self.lab, name, **settings)

    def both_families(self, name="web", **settings):
        return [self.service(name, family=4, **settings), self.service(f"{name}6", family=6, **settings)]

    def get(self, family=4, requests=30, node="client", port=80):
        """Requests by curl, a connection each; answers by server. Every one must be answered."""
        answers, failed = backends.ask_http(self.lab, self.lab.vip(family), requests, port=port, node=node)
        assert failed == 0, f"{failed} of {requests} requests failed; answered: {answers}"
        return answers

    def resolve(self, family=4, queries=30):
        """DNS queries over UDP, a socket each; answers by server. Every one must be answered."""
        answers, failed = backends.ask_dns(self.lab, self.lab.vip(family), queries)
        assert failed == 0, f"{failed} of {queries} queries failed; answered: {answers}"
        return answers

    def ping(self, family=4):
        return backends.ping(self.lab, self.lab.vip(family))

    def peer(self, node, *words, log=None, **more):
        """Starts test/e2e/peer.py at a node."""
        return self.lab.start(node, PYTHON, PEER, *words, log=log or f"peer-{node}-{words[0]}.log", **more)

    def listen(self, node, kind, port, *words):
        """Starts a peer server (sink, echo, ticker, say, answer, udp-echo, …) and waits until it listens."""
        process = self.peer(node, kind, port, *words, log=f"peer-{node}-{kind}-{port}.log")
        transport, last = "--udp" if kind.startswith("udp") else "--tcp", str(port).split(",")[-1]
        wait_for(lambda: self.lab.run(node, "ss", "-Hln", transport, f"sport = :{last}").stdout, f"{kind} at {node}")
        return process

    def established(self, node, port):
        """How many connections of a server at a node are open."""
        return len(self.lab.run(node, "ss", "-Htn", "state", "established", f"sport = :{port}").stdout.splitlines())

    def talk(self, node, *words, timeout=120):
        """Runs a peer client to its end; what it prints, without the line end."""
        return self.lab.run(node, PYTHON, PEER, *words, timeout=timeout).stdout.strip()


class Storm:
    """test/e2e/storm.py's requests from a node, from the start of the `with` block to its end."""

    def __init__(self, site, address, *, port=80, threads=4, node="client"):
        self.command = (node, PYTHON, STORM, "requests", address, port, threads)
        self.site, self.requests = site, []

    def __enter__(self):
        self.process = self.site.lab.start(*self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        """`requests`: what became of each, in order of their starts."""
        lines = [line.split() for line in self.process.communicate("", timeout=60)[0].splitlines()]
        self.requests = sorted((Request(*map(float, line[:3]), *line[3:]) for line in lines), key=lambda request: request.start)


@dataclass
class Request:
    """One of a storm: Unix time, seconds, "ok" or what went wrong and when, the server that answered."""

    start: float
    connect: float
    total: float
    outcome: str
    server: str


@pytest.fixture
def make_site(request):
    """Function that makes a Site: `make_site(topology, device=…, servers=…, …)`, options as of Lab.up."""
    yield from site_maker(request)


@pytest.fixture(scope="module")
def make_shared_site(request):
    """make_site for a fixture of its own that the tests of a file share."""
    yield from site_maker(request)


def site_maker(request):
    request.node.sites = []

    def make(topology="one-armed", **options):
        site = Site(Lab.up(topology, prefix="e2e", **options))
        request.node.sites.append(site)
        return site

    yield make
    for site in request.node.sites:
        site.lab.down()


@pytest.fixture(params=["af_xdp", "af_packet"])
def device(request):
    """How sluice reaches its NIC; every test that takes it runs once with each."""
    return request.param


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def family(request):
    return request.param


@pytest.fixture
def site(make_site, device):
    """One client, sluice, three servers on one segment."""
    return make_site(device=device)


@pytest.fixture(scope="session")
def big_file(tmp_path_factory):
    """(path, SHA-256) of 100 MB without structure."""
    path = tmp_path_factory.mktemp("big") / "100M"
    digest = hashlib.sha256()
    with open(path, "wb") as out:
        for _ in range(100):
            block = os.urandom(1_000_000)
            digest.update(block)
            out.write(block)
    yield path, digest.hexdigest()
    path.unlink()


def tell(text):
    """A measured number for the reader of the test's log; asserted only as far as it tells a hang."""
    print(text, file=sys.stderr)


__all__ = ["PYTHON", "STORM", "LabError", "Site", "Storm", "tell", "wait_for"]
