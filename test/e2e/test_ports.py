"""Source ports towards a server: used again soon without harm, and counted when there are none left.

    client, s2, s3 (as clients) -- sluice with few source ports -- s1
"""

import subprocess

from conftest import tell, wait_for
from testbed.load import parse_wrk, wrk_command


def test_ports_are_used_again_while_the_server_is_in_time_wait(site, family):
    """Case 6: three clients with clocks of their own share 200 ports towards one server, which closes first and
    keeps each in TIME_WAIT for a minute; TCP timestamps are on. Not one request may fail."""
    site.serve()
    site.balance(site.service("web", family=family, numbers=[1], source_ports="20000-20199"))
    loads = [site.lab.start(node, *wrk_command(site.lab.vip(family), seconds=4, connections=8, close=True),
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for node in ("client", "s2", "s3")]
    results = [parse_wrk(load.communicate(timeout=60)[0]) for load in loads]
    tell(f"short connections over 200 ports: {[round(result.requests_per_second) for result in results]} per second and client")
    assert [result.failed for result in results] == [0, 0, 0], [result.detail for result in results]
    assert sum(result.requests for result in results) > 10 * 200  # each port many times


def test_exhaustion_is_counted_and_passes(site):
    """Case 7: 32 ports, 100 connections at once: 32 open, the rest is dropped and counted, and all is well after."""
    site.listen("s1", "echo", 7)
    site.balance(site.service("echo", port=7, numbers=[1], source_ports="20000-20031"))
    def open_at_once(number):
        client = site.peer("client", "open", site.lab.vip4, 7, number, 3, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return client, int(client.stdout.readline())

    crowd, opened = open_at_once(100)
    assert opened == 32
    crowd.stdin.write("check\n")
    crowd.stdin.flush()
    assert crowd.stdout.readline() == "32\n"
    exhausted = {reason: packets for reason, packets in site.sluice.drops().items() if "port" in reason and packets}
    assert exhausted, f"no drop reason tells of it: {site.sluice.drops()}"
    row = site.sluice.servers()["echo", "web1"]
    assert row["ports_total"] == 32 and row["ports_free"] == 0

    crowd.communicate("close\n", timeout=30)
    wait_for(lambda: site.sluice.servers()["echo", "web1"]["ports_free"] >= 8, "ports to come back", seconds=150)
    late, opened = open_at_once(8)
    assert opened == 8
    late.communicate("close\n", timeout=30)
