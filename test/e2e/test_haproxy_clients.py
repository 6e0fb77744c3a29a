"""Limits by client let in whom HAProxy lets in: a map of networks, conn_cur of a stick table; and where conn_rate differs.

    client, s3: crowds of connections -- sluice, haproxy (test/e2e/oracle.py) -- s1, s2 (echo)
"""

import ipaddress
import random
import subprocess

import pytest

from conftest import PYTHON, tell, wait_for
from oracle import Haproxy

MAXCONN, RATE = 5, 4


class Programs:
    """sluice and HAProxy with the same services, and crowds that come to them, and stay until they leave."""

    def __init__(self, site, *services):
        self.site, self.crowds = site, {"sluice": [], "haproxy": []}
        self.haproxy = Haproxy(site.lab, services).start()
        self.address = {"sluice": site.lab.vip4, "haproxy": self.haproxy.address}
        site.balance(*services)

    def come(self, program, number, node="client"):
        """How many of a crowd are served."""
        crowd = self.site.peer(node, "open", self.address[program], 7, number, 10, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        crowd.stdout.readline()  # HAProxy's kernel lets in whom HAProxy then does not
        served = int(self.tell(crowd, "check"))
        self.crowds[program].append((crowd, served))
        return served

    def leave(self, program, which):
        """One of the crowds there; nothing is left of it then."""
        crowd, _ = self.crowds[program].pop(which)
        crowd.communicate("close\n", timeout=30)
        left = sum(served for _, served in self.crowds[program])
        wait_for(lambda: self.current()[program] == left, f"{left} connections at {program}")

    def current(self):
        ours = self.site.sluice.show("services")[0]["counters"]["connections_current"]
        return {"sluice": ours, "haproxy": int(self.haproxy.stat()["echo7", "FRONTEND"]["scur"])}

    @staticmethod
    def tell(crowd, word):
        crowd.stdin.write(word + "\n")
        crowd.stdin.flush()
        return crowd.stdout.readline()

    def served_from(self, program, port, sources):
        """Those of the client's addresses that are served."""
        return self.site.talk("client", "trip-from", self.address[program], port, *sources).split()


@pytest.fixture
def echoing(make_site):
    """A site with echo servers at s1 and s2."""
    site = make_site(servers=3)
    for server in ("s1", "s2"):
        site.listen(server, "meter", 7)
    return site


def echo(site, port=7, **clients):
    return site.service(f"echo{port}", port=port, server_port=7, numbers=[1, 2], clients=clients)


def test_as_many_at_one_time_as_a_stick_table_lets_in(echoing):
    programs, dice = Programs(echoing, echo(echoing, maxconn=MAXCONN)), random.Random(1)
    told = []
    for _ in range(24):
        if programs.crowds["sluice"] and dice.random() < 0.4:
            which = dice.randrange(len(programs.crowds["sluice"]))
            for program in programs.crowds:
                programs.leave(program, which)
            continue
        number, node = dice.randint(1, MAXCONN + 1), dice.choice(["client", "s3"])
        told.append({program: programs.come(program, number, node) for program in programs.crowds})
        assert told[-1]["sluice"] == told[-1]["haproxy"], told
    served = [each["sluice"] for each in told]
    assert 0 in served and MAXCONN in served, "too easy a play"


def test_the_longest_network_decides_as_in_a_map(echoing):
    dice = random.Random(2)
    block = ipaddress.ip_network(f"{echoing.lab.front4}.128/25")
    sources = [str(address) for address in dice.sample(list(block.hosts()), 32)]
    for source in sources:
        echoing.lab.run("client", "ip", "address", "add", f"{source}/24", "dev", "eth0")

    def network():
        length = dice.choice([0, 8, *range(24, 33)])
        return str(ipaddress.ip_network((dice.choice(sources), length), strict=False))

    lists = {}
    for port in range(8001, 8009):
        networks = list({network() for _ in range(16)})
        lists[port] = {"deny": networks[:8], **({"allow": networks[8:]} if port % 2 else {})}
    programs = Programs(echoing, *(echo(echoing, port, **clients) for port, clients in lists.items()))
    told = 0
    for port, clients in lists.items():
        ours, theirs = (programs.served_from(program, port, sources) for program in ("sluice", "haproxy"))
        assert ours == theirs, clients
        told += 0 < len(ours) < len(sources)
    assert told >= len(lists) / 2, "too easy lists"


def test_who_tries_without_pause_gets_the_rate_here_and_nothing_there(echoing):
    """HAProxy's sliding second counts the refused, too; here they take no token (docs/clients.md)."""
    programs = Programs(echoing, echo(echoing, rate=RATE))
    assert programs.come("haproxy", 5 * RATE) >= RATE
    served = {"sluice": programs.come("sluice", 5 * RATE), "haproxy": 0}
    tries = 0
    while served["sluice"] < 5 * RATE:  # four seconds more
        tries += 20
        for program in served:
            served[program] += len(programs.served_from(program, 7, [echoing.lab.client4] * 20))
    tell(f"rate {RATE}, {tries} tries: served by sluice {served['sluice']}, by haproxy {served['haproxy']}")
    assert served["haproxy"] < served["sluice"] / 2
