"""A server that dies costs no client a new connection: what does not answer is replaced before the client hears of it.

    client -- sluice -- s1, s2 (killed, then black-holed), s3
"""

import os
import signal
import time

import pytest

from conftest import Storm, tell, wait_for
from oracle import Screen, Slack
from testbed import load

SLOWSTART = 8
# Slow to notice: until then the dead server is chosen in its turn, and only redispatching saves the connection.
CHECK = {"type": "tcp", "interval": "2s", "rise": 1, "fall": 2}


def kill_nginx(site):
    os.killpg(site.servers["web2"].nginx.pid, signal.SIGKILL)
    site.servers["web2"].nginx.wait(timeout=10)
    # Until the last of its processes is gone, their listeners take connections that nobody will answer.
    wait_for(lambda: not site.lab.run("s2", "ss", "-Hltn", "sport = :80").stdout, "web2 to listen no more")


def black_hole(site):
    Screen(site.lab, "s2").set("silent", established=True)


def share(requests, server, start, end):
    """Of the requests of some seconds, the part that a server answered."""
    mine = [request.server for request in requests if start <= request.start < end]
    return mine.count(server) / len(mine)


def test_no_new_connection_fails(make_site):
    site = make_site().serve()
    web = site.service("web", check=CHECK, timeouts={"connect": "1s"}, redispatch=True)
    for server in web["servers"]:
        server["slowstart"] = f"{SLOWSTART}s"
    site.balance(web)
    late = Slack().start()

    def dies(how):
        """Requests before, while and after web2 dies. Returns those that had to wait for a second attempt."""
        with Storm(site, site.lab.vip4) as storm:
            time.sleep(0.5)  # some traffic before it
            start = time.time()
            how(site)
            death = start, time.time()
            result = load.run_wrk(site.lab, site.lab.vip4, seconds=2, connections=8, close=True)
            assert result.failed == 0 and result.requests > 0, result.detail
            site.sluice.wait_server("web", "web2", "down", seconds=20)
        # One that was open, or half open, when the server died may break: no balancer can mend that.
        failed = [request for request in storm.requests if request.outcome != "ok" and request.start > death[1]]
        # (ECONNRESET from connect() is one that was open already.)
        broken = [request for request in storm.requests
                  if request.outcome.startswith("connect") and request.outcome != "connect-ECONNRESET"]
        assert not failed and not broken, f"of {len(storm.requests)} failed: {(failed + broken)[:5]}"
        after = [request for request in storm.requests if death[1] < request.start]
        slow = [request for request in after if request.connect > 0.9]
        tell(f"{how.__name__}: {len(storm.requests)} requests, {len(after)} since, {len(slow)} of them took a second longer")
        assert {request.server for request in after if request.start > death[1] + 0.1} == {"web1", "web3"}
        return slow

    def returns(how):
        """web2 is back, and gets its part of the requests step by step."""
        with Storm(site, site.lab.vip4) as storm:
            how()
            site.sluice.wait_server("web", "web2", "up", seconds=20)
            up = time.time()
            time.sleep(SLOWSTART + 2)  # the ramp
        assert {request.outcome for request in storm.requests} == {"ok"}
        parts = [share(storm.requests, "web2", up + second, up + second + 2) for second in range(0, SLOWSTART + 1, 2)]
        tell(f"web2's share while it ramps up over {SLOWSTART} s: {', '.join(f'{part:.2f}' for part in parts)}")
        assert parts[0] < 0.20 and parts == sorted(parts[:-1]) + parts[-1:] and parts[-1] == pytest.approx(1 / 3, abs=0.02)

    dies(kill_nginx)
    returns(site.servers["web2"].start_nginx)

    slow = dies(black_hole)
    assert slow  # it was chosen, and replaced after timeouts.connect
    assert all(request.connect < 2 + late.seconds() for request in slow), f"slack {late.seconds():.2f}: {slow[:5]}"
    returns(lambda: Screen(site.lab, "s2").set("accept"))
