"""What dies comes back, and what it took along is no more than it must be.

    sluice run -- sluice-dp   forwards: its death resets connections, and new ones are served at once
              `-- sluice-cp   decides: its death goes unnoticed
"""

import os
import signal
import subprocess
import time

from conftest import tell, wait_for
from oracle import lines_of_sluice, state_changes
from testbed.load import parse_wrk, wrk_command


def running(pid):
    return os.path.exists(f"/proc/{pid}")


def remains(site):
    """What a stopped sluice must not leave behind in its namespace."""
    links = site.lab.run("lb", "ip", "-d", "link").stdout
    left = [word for word in ("xdp", "-twin") if word in links]
    processes = site.lab.run("lb", "sh", "-c", "for p in $(ip netns pids $(ip netns identify $$)); do cat /proc/$p/comm; done",
                             check=False).stdout.split()
    left += [name for name in processes if name.startswith("sluice")]
    if site.sluice.runtime.exists():
        left += [path.name for path in site.sluice.runtime.iterdir() if path.is_socket()]
    return left


def talkers(site, number):
    """Connections with round trips all the time; end() tells what became of them."""
    process = site.peer("client", "keep", site.lab.vip4, 7, number, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "open\n"
    return process


def end(process):
    said = process.communicate(timeout=60)[0].split()
    return int(said[1]), int(said[3])


def test_cp_killed_and_nobody_notices(site, big_file):
    site.serve()
    site.listen("s1", "echo", 7)
    (site.servers["web1"].files / "big").symlink_to(big_file[0])
    site.balance(site.service("web", numbers=[1]), site.service("echo", port=7, numbers=[1]))
    clients = talkers(site, 20)
    load = site.lab.start("client", *wrk_command(site.lab.vip4, seconds=6), stdout=subprocess.PIPE, text=True)
    transfer = site.lab.start("client", "sh", "-c", f"curl -sS --limit-rate 20M http://{site.lab.vip4}/files/big | sha256sum",
                              stdout=subprocess.PIPE, text=True)
    for _ in range(2):
        killed = site.sluice.kill_child("sluice-cp")
        wait_for(lambda: site.sluice.child("sluice-cp") not in (None, killed) and site.sluice.forwards(), "a new sluice-cp")
        assert site.sluice.show("services")

    assert parse_wrk(load.communicate(timeout=60)[0]).failed == 0
    assert transfer.communicate(timeout=60)[0].split()[0] == big_file[1]
    alive, trips = end(clients)
    assert alive == 20 and trips > 20


def test_cp_killed_and_what_it_knew_is_kept(site):
    """Health, what the operator ordered and the counters; and no second word about what was told before."""
    site.serve()
    web = site.service("web", check={"type": "tcp", "interval": "200ms", "rise": 2, "fall": 2})
    site.balance(web)
    site.get()
    site.servers["web3"].stop_nginx()
    site.sluice.wait_server("web", "web3", "down")
    site.sluice.order("server", "drain", "web/web2")
    site.sluice.order("server", "weight", "web/web1", "50%")
    keep = ("name", "status", "weight")
    before = [[row[key] for key in keep] for row in site.sluice.show("servers")]
    told = state_changes(lines_of_sluice(site))
    counted = site.sluice.servers()["web", "web1"]["counters"]["connections_new"]

    killed = site.sluice.kill_child("sluice-cp")
    wait_for(lambda: site.sluice.child("sluice-cp") not in (None, killed) and site.sluice.forwards(), "a new sluice-cp")
    assert [[row[key] for key in keep] for row in site.sluice.show("servers")] == before
    assert site.sluice.servers()["web", "web1"]["counters"]["connections_new"] == counted
    assert site.get(requests=10) == {"web1": 10}
    start = time.monotonic()
    checked = lambda: site.sluice.servers()["web", "web3"]["check"].get("age_ms", 1e9) / 1000 < time.monotonic() - start - 0.1
    wait_for(checked, "a further check of web3")
    assert state_changes(lines_of_sluice(site)) == told


def test_dp_killed_and_new_connections_are_served(site):
    site.serve()
    site.balance(*site.both_families("web"))
    site.get()
    killed = site.sluice.kill_child("sluice-dp")
    start = time.monotonic()
    answered = lambda: site.lab.run("client", "curl", "-s", "--connect-timeout", "0.2", "-m", "1", f"http://{site.lab.vip4}/",
                                    check=False).stdout.startswith("web")
    wait_for(answered, "an answer after sluice-dp was killed")
    tell(f"sluice-dp killed: first answer after {time.monotonic() - start:.2f} s")
    assert site.sluice.child("sluice-dp") != killed
    assert set(site.get(4)) == set(site.get(6)) == {"web1", "web2", "web3"}


def test_dp_killed_and_old_connections_are_reset(site, family):
    """Silence would leave both ends waiting for many minutes: client and server each get a RST when they speak."""
    site.listen("s1", "echo", 7)
    site.listen("s2", "ticker", 8)
    site.balance(site.service("echo", family=family, port=7, numbers=[1]),
                 site.service("ticker", family=family, port=8, numbers=[2]))
    vip = site.lab.vip(family)
    speaker = site.peer("client", "until-reset", vip, 7, stdout=subprocess.PIPE, text=True)
    assert speaker.stdout.readline() == "open\n"
    # A client that only listens: it is the server's segments that must be answered.
    listener = site.lab.start("client", "socat", "-u", f"TCP:{'[' + vip + ']' if family == 6 else vip}:8", "STDOUT")
    open_at_server = lambda: site.lab.run("s2", "ss", "-Htn", "state", "established", "sport = :8").stdout
    wait_for(open_at_server, "the ticker's connection")

    site.sluice.kill_child("sluice-dp")
    assert speaker.communicate(timeout=60)[0].strip() == "ECONNRESET"
    wait_for(lambda: not open_at_server(), "the server's end of the connection to be reset", seconds=60)
    listener.kill()


def test_run_killed_takes_its_children_along(site):
    site.serve()
    site.balance(*site.both_families("web"))
    children = [site.sluice.child(name) for name in ("sluice-dp", "sluice-cp")]
    site.sluice.process.kill()
    site.sluice.process.wait(timeout=10)
    wait_for(lambda: not any(map(running, children)), "the children of a killed `sluice run` to end")
    # A new one takes the same runtime directory and the same interface.
    site.sluice.start()
    assert set(site.get(4)) == set(site.get(6)) == {"web1", "web2", "web3"}
    assert site.sluice.stop() == 0
    assert remains(site) == []


def test_sigterm_stops_cleanly(site):
    site.serve()
    site.balance(*site.both_families("web"))
    site.get()
    assert site.sluice.stop() == 0
    assert remains(site) == []


def test_sigint_stops_cleanly(site):
    site.balance(*site.both_families("web"))
    site.sluice.process.send_signal(signal.SIGINT)
    assert site.sluice.process.wait(timeout=30) == 0
    assert remains(site) == []
