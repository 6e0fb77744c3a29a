"""`sluice explain` tells of a packet what then comes true, and what other tools see of it.

    client:40001… -- sluice -- s1, s2, s3 (echo)
"""

import json
import subprocess

import pytest

from capture import Capture
from conftest import wait_for

BALANCES = ["roundrobin", "leastconn", "source", "hash", "random", "first"]
ECHO = 7


def endpoint(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def explain(site, source, destination, protocol="tcp"):
    return json.loads(site.sluice.order("explain", protocol, source, destination, "--json").stdout)


def text(site, source, destination):
    """The lines of the human form, as {label: sentence}; of several with one label the last."""
    lines = site.sluice.order("explain", "tcp", source, destination).stdout.splitlines()
    return {line[:15].strip(): line[16:] for line in lines}


def balance(site, *services, **settings):
    """sluice, once it knows every server's link address: until then packets would have to wait for it."""
    site.balance(*services, **settings)
    wait_for(lambda: all(" via " in row["next_hop"] for row in site.sluice.show("servers")), "the servers' link addresses")


def hold(site, family, port, number, first_source):
    """Open connections from source ports `first_source` on; "close" ends them."""
    process = site.peer("client", "hold", site.lab.vip(family), port, number, first_source, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "open\n"
    return process


def flows(site, service):
    return {flow["client"]: flow for flow in site.sluice.show("flows", "--service", service)}


@pytest.fixture
def echo_site(make_site, device):
    site = make_site(device=device)
    for server in ("s1", "s2", "s3"):
        site.listen(server, "echo", ECHO)
    return site


@pytest.mark.parametrize("workers", [1, 3])
def test_the_server_that_was_foretold(echo_site, family, workers):
    site = echo_site
    client, vip = (site.lab.client4, site.lab.vip4) if family == 4 else (site.lab.client6, site.lab.vip6)
    balance(site, *(site.service(name, family=family, port=100 + n, server_port=ECHO, balance=name)
                   for n, name in enumerate(BALANCES)), workers=workers)
    for n, way in enumerate(BALANCES):
        port, held = 100 + n, []
        for source in range(40000 + 100 * n, 40009 + 100 * n):  # a client's TIME_WAIT keeps ports from being taken again
            told = explain(site, endpoint(client, source), endpoint(vip, port))
            assert "flow" not in told and told["start"]["fate"] == "forward", told
            assert told["start"]["schedule"]["balance"] == way
            held.append(hold(site, family, port, 1, source))
            flow = flows(site, way)[endpoint(client, source)]
            seen = flow["server"], flow["local"], flow["worker"]
            assert (told["start"]["server"], told["start"]["source"], told["worker"]) == seen, (way, source)
        for process in held:
            process.communicate("close\n", timeout=60)


def test_a_flow_as_show_flows_and_the_wire_have_it(echo_site, family, tmp_path):
    site = echo_site
    client, vip = (site.lab.client4, site.lab.vip4) if family == 4 else (site.lab.client6, site.lab.vip6)
    balance(site, site.service("echo", family=family, port=ECHO), workers=2)
    source, destination = endpoint(client, 40001), endpoint(vip, ECHO)
    node = "s" + explain(site, source, destination)["start"]["server"].removeprefix("web")
    with Capture(site.lab, node, tmp_path, only=f"tcp port {ECHO}") as capture:
        process = hold(site, family, ECHO, 1, 40001)
        process.stdin.write("check\n")
        process.stdin.flush()
        assert process.stdout.readline() == "1\n"
        told, listed = explain(site, source, destination), flows(site, "echo")[source]
    flow = told["flow"]
    assert "start" not in told and told["service"] == "echo" and told["held_by"] == site.lab.interface("lan")
    for key in ("service", "server", "client", "vip", "local", "real", "state", "worker"):
        assert flow["flow"][key] == listed[key], key
    assert flow["flow"]["state"] == "established"
    assert (flow["bytes_from_client"], flow["bytes_from_server"]) == (1, 1)

    first = capture.rows("eth.dst", "ipv6.src" if family == 6 else "ip.src", "tcp.srcport")[0]
    assert first == [flow["towards_server"]["mac"], vip, flow["flow"]["local"].rpartition(":")[2]]
    mac = json.loads(site.lab.run("client", "ip", "-j", "link", "show", "eth0").stdout)[0]["address"]
    assert told["towards_client"]["mac"] == mac
    assert told["towards_client"]["gateway"] == client and told["towards_client"]["port"] == "lan"
    assert told["towards_client"]["mtu"] == 1500

    reply = explain(site, flow["flow"]["real"], flow["flow"]["local"])
    assert reply["claim"] == "reply" and reply["flow"]["flow"]["client"] == source and not reply["flow"]["to_server"]
    assert text(site, source, destination)["flow"].startswith("established")
    process.communicate("close\n", timeout=60)


def test_full_servers_and_the_queue(echo_site):
    site = echo_site
    client, vip = site.lab.client4, site.lab.vip4
    echo = site.service("echo", port=ECHO, numbers=[1, 2], timeouts={"queue": "10m"})
    for server in echo["servers"]:
        server["maxconn"] = 1
    balance(site, echo, workers=3)
    first = hold(site, 4, ECHO, 1, 40001)
    told = explain(site, endpoint(client, 40002), endpoint(vip, ECHO))
    standings = {server["name"]: server["standing"] for server in told["start"]["servers"]}
    taken = flows(site, "echo")[endpoint(client, 40001)]["server"]
    assert told["start"]["server"] != taken
    assert standings[told["start"]["server"]] == "chosen" and standings[taken] in ("full", "not_asked")
    second = hold(site, 4, ECHO, 1, 40002)

    full = explain(site, endpoint(client, 40003), endpoint(vip, ECHO))["start"]
    assert (full["fate"], full["obstacle"]) == ("hold", "servers_full"), full
    assert [server["standing"] for server in full["servers"]] == ["full", "full"]
    third = site.peer("client", "hold", vip, ECHO, 1, 40003, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: site.sluice.show("queue")[0]["queue"]["waiting"] == 1, "the third SYN to wait")
    held = explain(site, endpoint(client, 40003), endpoint(vip, ECHO))["held"]
    assert held["waiting"] == 1 and held["timeout_ms"] == 600_000 and not held["between_attempts"]
    assert "waits for a place at any server" in text(site, endpoint(client, 40003), endpoint(vip, ECHO))["waits"]
    first.communicate("close\n", timeout=60)
    assert third.stdout.readline() == "open\n"
    assert "flow" in explain(site, endpoint(client, 40003), endpoint(vip, ECHO))
    for process in (second, third):
        process.communicate("close\n", timeout=60)


def test_why_a_server_gets_nothing(echo_site):
    site = echo_site
    balance(site, site.service("echo", port=ECHO, check={"type": "tcp", "interval": "200ms", "rise": 2, "fall": 2}))
    packet = endpoint(site.lab.client4, 40001), endpoint(site.lab.vip4, ECHO)
    site.sluice.order("server", "maint", "echo/web1")
    site.sluice.order("server", "drain", "echo/web2")
    told = explain(site, *packet)["start"]
    why = {server["name"]: server["known"]["why_no_weight"] for server in told["servers"]}
    assert why == {"web1": "in maintenance", "web2": "drained", "web3": ""} and told["server"] == "web3"
    site.sluice.order("health", "down", "echo/web3")
    told = explain(site, *packet)["start"]
    assert told["fate"] == "answer" and told["reason"] == "no_server" and told["obstacle"] == "no_usable_server", told
    assert "is refused (no_server" in text(site, *packet)["a first SYN"]


def test_a_hundred_questions_change_nothing(echo_site):
    site = echo_site
    balance(site, *(site.service(name, port=100 + n, server_port=ECHO, balance=name) for n, name in enumerate(BALANCES)))
    counters = lambda: ([row["counters"] for row in site.sluice.show("servers")], site.sluice.show("flows"))
    before = counters()
    for n, _ in enumerate(BALANCES):
        packet = endpoint(site.lab.client4, 40001), endpoint(site.lab.vip4, 100 + n)
        answers = [explain(site, *packet) for _ in range(20)]
        assert all(answer == answers[0] for answer in answers)
    assert counters() == before


def test_what_is_not_sluices_and_what_is_no_question(echo_site):
    site = echo_site
    balance(site, site.service("echo", port=ECHO))
    client, vip = endpoint(site.lab.client4, 40001), site.lab.vip4
    assert explain(site, client, endpoint(vip, 22))["claim"] == "foreign_port"
    assert explain(site, client, endpoint(site.lab.server(1), ECHO))["claim"] == "foreign_address"
    assert explain(site, endpoint(vip, 2000), endpoint(site.lab.server(1), ECHO))["claim"] == "sent"
    for words, sentence in ((("sctp", client, endpoint(vip, ECHO)), '"sctp": expected tcp or udp'),
                            (("tcp", site.lab.client4, endpoint(vip, ECHO)), "expected an address with its port"),
                            (("tcp", client, endpoint(site.lab.vip6, ECHO)), "of one family")):
        wrong = site.sluice.order("explain", *words, check=False)
        assert wrong.returncode == 2 and sentence in wrong.stderr, wrong
    looker = site.lab.run("lb", "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", site.sluice.program,
                          "explain", "tcp", client, endpoint(vip, ECHO), "--runtime-dir", site.sluice.runtime)
    assert "begins a connection to" in looker.stdout
    site.sluice.stop()
    gone = site.sluice.order("explain", "tcp", client, endpoint(vip, ECHO), check=False)
    assert gone.returncode == 1 and "no sluice runs" in gone.stderr
