"""A reload takes what the file says and breaks nothing; a file that is wrong changes nothing.

    client: wrk and 50 transfers -- sluice, reloaded 100 times -- s1, s2, s3
"""

import copy
import hashlib
import json
import os
import signal
import subprocess

from capture import Capture
from conftest import tell, wait_for
from testbed.load import parse_wrk, wrk_command

RELOADS, TRANSFERS = 100, 50


def first_and_second(site):
    """Two configurations: weights differ, a server and a service come and go."""
    first = json.loads(site.sluice.config.read_text())
    second = copy.deepcopy(first)
    web, = [service for service in second["services"] if service["name"] == "web"]
    web["servers"][0]["weight"] = 30
    del web["servers"][2]
    second["services"].append(site.service("late", port=8080, server_port=80))
    return first, second


def test_a_hundred_reloads_go_unnoticed(make_site, tmp_path):
    site = make_site().serve()
    payload = os.urandom(8_000_000)
    digest = hashlib.sha256(payload).hexdigest()
    for server in site.servers.values():
        (server.files / "big").write_bytes(payload)
    site.balance(site.service("web", check={"type": "tcp", "interval": "500ms"}))
    states = first_and_second(site)
    vip = site.lab.vip4
    transfers = site.peer("client", "fetch", vip, 80, "/files/big", TRANSFERS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: sum(site.established(server, 80) for server in ("s1", "s2", "s3")) >= TRANSFERS, "the transfers to run")
    with Capture(site.lab, "client", tmp_path, only=f"src host {vip} and tcp[tcpflags] & tcp-rst != 0") as resets:
        loads = [site.lab.start("client", *wrk_command(vip, seconds=600, connections=8, close=close), stdout=subprocess.PIPE, text=True)
                 for close in (False, True)]
        for number in range(RELOADS):
            site.sluice.write(states[(number + 1) % 2])
            done = site.sluice.order("reload")
            assert "late" in done.stdout, done.stdout
            if number % 2 == 0 and number < 10:
                assert site.get(port=8080, requests=3)
        assert [load.poll() for load in loads] == [None, None]
        for load in loads:
            load.send_signal(signal.SIGINT)  # wrk then ends, and reports
        results = [parse_wrk(load.communicate(timeout=60)[0]) for load in loads]
        running, *sums = transfers.communicate(timeout=120)[0].splitlines()
    tell(f"{RELOADS} reloads in {results[0].seconds:.0f} s: {[result.requests for result in results]} requests")
    assert [result.failed for result in results] == [0, 0], [result.detail for result in results]
    assert running == f"running {TRANSFERS}" and sums == [digest] * TRANSFERS
    assert resets.packets() == []
    assert {row["name"] for row in site.sluice.show("services")} == {"web"}
    assert set(site.get()) == {"web1", "web2", "web3"}


def test_a_broken_file_changes_nothing(site):
    site.serve()
    site.balance(site.service("web", check={"type": "tcp", "interval": "200ms"}))
    first, second = first_and_second(site)
    wait_for(lambda: {row["status"] for row in site.sluice.show("servers")} == {"UP"}, "all servers to be fully up")
    before = site.sluice.show("servers"), site.sluice.show("info")["generation"]
    broken = copy.deepcopy(second)
    broken["services"][0]["balanse"] = "random"
    other_ports = copy.deepcopy(second)
    other_ports["dataplane"]["workers"] = 2
    for text, hint in ((json.dumps(broken), "balanse"), ("{", "sluice.json"), (json.dumps(other_ports), "workers")):
        site.sluice.config.write_text(text)
        done = site.sluice.order("reload", check=False)
        assert done.returncode == 1 and hint in done.stderr, done.stderr
    keep = ("service", "name", "weight", "configured_weight", "status")
    assert [[row[key] for key in keep] for row in site.sluice.show("servers")] == [[row[key] for key in keep] for row in before[0]]
    assert site.sluice.show("info")["generation"] == before[1]
    assert site.get() == {"web1": 10, "web2": 10, "web3": 10}

    # The same by signal, and then the good one.
    services = lambda: {row["name"] for row in site.sluice.show("services")}
    site.sluice.config.write_text(json.dumps(broken))
    site.sluice.process.send_signal(signal.SIGHUP)
    wait_for(lambda: site.lab.read(site.sluice.log).count("balanse") >= 1, "the complaint in the log")
    assert services() == {"web"}
    site.sluice.write(second)
    site.sluice.process.send_signal(signal.SIGHUP)
    wait_for(lambda: services() == {"web", "late"}, "the new service")
    assert set(site.get()) == {"web1", "web2"}


def test_a_removed_server_drains_and_is_stopped_in_the_end(site):
    for server in ("s1", "s2"):
        site.listen(server, "echo", 7)
    site.balance(site.service("echo", port=7, numbers=[1, 2]))
    config = json.loads(site.sluice.config.read_text())
    client = site.peer("client", "hold", site.lab.vip4, 7, 10, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert client.stdout.readline() == "open\n"

    def alive():
        client.stdin.write("check\n")
        client.stdin.flush()
        return int(client.stdout.readline())

    del config["services"][0]["servers"][1]
    site.sluice.write(config)
    site.sluice.order("reload")
    assert alive() == 10
    config["global"] = {"hard_stop_after": "1s"}
    site.sluice.write(config)
    site.sluice.order("reload")
    wait_for(lambda: site.established("s2", 7) == 0, "the removed server's connections to be ended")
    assert alive() == 5
