"""Mode dnat: servers see the clients' own addresses, and answer by way of sluice, which is their gateway.

    two-armed:  client == front == lb == back == s1, s2, s3      .2 of lb is the servers' gateway
    one-armed:  client and servers on one network                they would answer directly: full NAT all the same
"""

import hashlib

import pytest

from pair import Pair
from testbed.lab import http, wait_for


def seen_at(lab, address, *, node="client", port=80):
    """The address that a server takes the connection of `node` to be from."""
    return lab.run(node, "curl", "-sS", "--globoff", "--max-time", "5", f"http://{http(address)}:{port}/from").stdout.strip()


def client_address(lab, family):
    return lab.client4 if family == 4 else lab.client6


@pytest.fixture
def seeing(make_site, device):
    """Two arms, and all services in mode dnat."""
    site = make_site("two-armed", device=device).serve(dns=True)
    tcp = site.both_families("web", mode="dnat", check={"type": "tcp", "interval": "200ms"})
    udp = site.both_families("dns", port=53, protocol="udp", mode="dnat")
    return site.balance(*tcp, *udp, workers=2)


def test_servers_see_the_client(seeing, family):
    vip, client = seeing.lab.vip(family), client_address(seeing.lab, family)
    assert set(seeing.get(family)) == {"web1", "web2", "web3"}
    assert {seen_at(seeing.lab, vip) for _ in range(6)} == {client}
    assert set(seeing.resolve(family)) == {"web1", "web2", "web3"}


def test_answers_to_checks_are_the_hosts(seeing):
    """They come from the servers' ports, as those to clients do."""
    web1 = seeing.servers["web1"]
    web1.stop_nginx()
    for service in ("web", "web6"):
        seeing.sluice.wait_server(service, "web1", "down")
    web1.start_nginx()
    for service in ("web", "web6"):
        seeing.sluice.wait_server(service, "web1", "up")


def test_a_server_that_is_the_client_gets_full_nat(seeing, family):
    vip = seeing.lab.vip(family)
    assert set(seeing.get(family, requests=30, node="s1")) == {"web1", "web2", "web3"}
    assert {seen_at(seeing.lab, vip, node="s1") for _ in range(3)} == {vip}


def test_bulk(seeing, family, tmp_path):
    payload = tmp_path / "payload"
    payload.write_bytes(bytes(range(251)) * 40_000)
    digest = hashlib.sha256(payload.read_bytes()).hexdigest()
    for server in seeing.servers.values():
        server.files.joinpath("bulk").write_bytes(payload.read_bytes())
    got = seeing.lab.run("client", "curl", "-sS", "--globoff", f"http://{http(seeing.lab.vip(family))}/files/bulk", "-o", tmp_path / "got")
    assert got.returncode == 0
    assert hashlib.sha256((tmp_path / "got").read_bytes()).hexdigest() == digest


def test_clients_of_the_servers_network_get_full_nat(make_site, device, family):
    site = make_site("one-armed", device=device).serve()
    site.balance(*site.both_families("web", mode="dnat"))
    assert set(site.get(family)) == {"web1", "web2", "web3"}
    assert {seen_at(site.lab, site.lab.vip(family)) for _ in range(3)} == {site.lab.vip(family)}


def test_clients_behind_a_router_are_seen_with_one_arm(make_site, device, family):
    """The way back to them, too, leads through sluice, though their router is a neighbour of the servers."""
    site = make_site("one-armed", device=device, routed_client=True).serve()
    gateway = ("-4", "192.0.2.2") if family == 4 else ("-6", "2001:db8:1::2")
    for number in site.lab.server_numbers():
        site.lab.run(f"s{number}", "ip", gateway[0], "route", "replace", "default", "via", gateway[1])
    site.balance(*site.both_families("web", mode="dnat"))
    assert set(site.get(family)) == {"web1", "web2", "web3"}
    assert {seen_at(site.lab, site.lab.vip(family)) for _ in range(3)} == {"203.0.113.100" if family == 4 else "2001:db8:c::100"}
    assert {seen_at(site.lab, site.lab.vip(family), node="router") for _ in range(3)} == {site.lab.vip(family)}


def test_connections_past_sluice_are_routed_by_the_kernel(make_site, family):
    """A client asks a server itself; what that answers comes through sluice, and is the kernel's."""
    site = make_site("two-armed", device="af_packet").serve()
    site.balance(*site.both_families("web", mode="dnat"))
    lab, server = site.lab, site.lab.server(1, family)
    lab.run("lb", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    network, by = ("10.20.0.0/24", "198.51.100.2") if family == 4 else ("2001:db8:2::/64", "2001:db8:1::2")
    lab.run("client", "ip", "route", "add", network, "via", by)
    assert seen_at(lab, server) == client_address(lab, family)
    assert site.get(family, requests=10)


def test_explain_tells_why(seeing):
    lab = seeing.lab
    told = seeing.sluice.order("explain", "tcp", f"{lab.client4}:40000", f"{lab.vip4}:80").stdout
    assert f"from {lab.client4}:40000" in told and "mode dnat" in told, told
    own = seeing.sluice.order("explain", "tcp", f"{lab.server(1)}:40000", f"{lab.vip4}:80").stdout
    assert "full NAT in spite of mode dnat: the client is on the link to the server" in own, own


def test_gateway_and_vip_move_together(make_site, device):
    """The servers' gateway is an address of the same instance as the virtual IP, so that replies go where its flows are."""
    pair = Pair(make_site("pair-two-armed", device=device, servers=2), mode="dnat").start()
    addresses = {family: client_address(pair.lab, family) for family in pair.families}
    assert {family: pair.seen_from(family) for family in pair.families} == addresses
    pair.one.die()
    wait_for(pair.has_moved, f"lb2 to take over; {pair.told()}", 60, every=0.05)
    assert {family: pair.seen_from(family) for family in pair.families} == addresses
