"""Round robin chooses the servers in HAProxy's order, from the first connection on.

    client -- sluice, haproxy (test/e2e/oracle.py) -- s1, s2, s3
"""

from oracle import Haproxy
from testbed.lab import http

CONNECTIONS = 120
WEIGHTS = {8001: [1, 1], 8002: [3, 1], 8003: [5, 2, 1], 8004: [1, 1, 1], 8005: [100, 50, 7], 8006: [256, 255],
           8007: [1, 0, 2]}


def weighted(site, port, weights):
    service = site.service(f"rr{port}", port=port, server_port=80, numbers=range(1, len(weights) + 1))
    for server, weight in zip(service["servers"], weights):
        server["weight"] = weight
    return service


def order(site, address, port):
    """The servers' names in the order of connections that are made one after the other."""
    urls = [f"http://{http(address)}:{port}/"] * CONNECTIONS
    done = site.lab.run("client", "curl", "-sS", "--max-time", "5", "-H", "Connection: close", *urls)
    return done.stdout.split()


def test_round_robin_takes_servers_in_haproxys_order(make_site):
    site = make_site().serve()
    services = [weighted(site, port, weights) for port, weights in WEIGHTS.items()]
    haproxy = Haproxy(site.lab, services).start()
    site.balance(*services)
    for port, weights in WEIGHTS.items():
        theirs, ours = order(site, haproxy.address, port), order(site, site.lab.vip4, port)
        assert len(theirs) == CONNECTIONS
        assert ours == theirs, f"weights {weights}: haproxy {' '.join(theirs)}\nsluice {' '.join(ours)}"
