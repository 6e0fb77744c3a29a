"""An operator takes a server out of service without breaking anything.

    client: 200 connections, and new ones all the time -- sluice -- s1 (drained), s2, s3
"""

import subprocess
import time

from conftest import Storm, wait_for


def ask(client, word):
    client.stdin.write(word + "\n")
    client.stdin.flush()
    return client.stdout.readline().strip()


def hold(site, number):
    client = site.peer("client", "hold", site.lab.vip4, 7, number, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert client.stdout.readline() == "open\n"
    return client


def test_drain_breaks_nothing(site):
    for server in ("s1", "s2", "s3"):
        site.listen(server, "echo", 7)
    site.balance(site.service("echo", port=7))
    at_servers = lambda: [site.established(server, 7) for server in ("s1", "s2", "s3")]
    old = hold(site, 200)
    before = wait_for(lambda: sum(at_servers()) == 200 and at_servers(), "200 connections at the servers")
    assert before[0] >= 66

    site.sluice.order("server", "drain", "echo/web1")
    waiting = site.lab.start("lb", site.sluice.program, "wait", "echo/web1", "drained", "--runtime-dir", site.sluice.runtime)
    new = hold(site, 60)
    wait_for(lambda: sum(at_servers()) == 260, "60 more")
    assert at_servers() == [before[0], before[1] + 30, before[2] + 30]  # none new at s1
    assert ask(old, "check") == "200" and ask(new, "check") == "60"
    assert site.sluice.servers()["echo", "web1"]["status"].startswith("DRAIN")
    timed_out = site.sluice.order("wait", "echo/web1", "drained", "--timeout", "300ms", check=False)
    assert timed_out.returncode == 1 and "web1" in timed_out.stderr
    assert waiting.poll() is None

    assert ask(old, "close") == "closed"
    assert waiting.wait(timeout=20) == 0
    wait_for(lambda: at_servers() == [0, 30, 30], "the old ones to be gone at the servers, too")

    site.sluice.order("server", "ready", "echo/web1")
    again = hold(site, 30)
    wait_for(lambda: at_servers() == [10, 40, 40], "each server to have a third of the new ones")
    assert ask(new, "check") == "60" and ask(again, "check") == "30"


def test_drain_holds_for_the_very_next_connection(make_site):
    """Under load, from the moment when the command says that it is done."""
    site = make_site().serve()
    site.balance(site.service("web"))
    drained = []
    with Storm(site, site.lab.vip4) as storm:
        for _ in range(10):
            site.sluice.order("server", "drain", "web/web1")
            start = time.time()
            site.sluice.order("wait", "web/web1", "drained")
            drained.append((start, time.time()))
            site.sluice.order("server", "ready", "web/web1")
    assert {request.outcome for request in storm.requests} == {"ok"}
    assert any(request.server == "web1" for request in storm.requests)
    # A SYN goes out, and is decided on, anywhere between a request's start and its connect.
    within = [request for request in storm.requests for start, end in drained
              if start < request.start and request.start + request.connect < end]
    late = [request for request in within if request.server == "web1"]
    assert within and not late, f"{len(late)} of {len(within)} requests came to a drained server: {late[:5]}"


def test_what_does_not_exist_is_named(site):
    site.balance(site.service("echo", port=7))
    for words, hints in ((("server", "drain", "echo/web4"), ('no server "web4" in "echo"', "web1, web2, web3")),
                         (("server", "drain", "ech/web1"), ('no service "ech"', "echo")),
                         (("show", "servers", "--service", "nosuch"), ('no service "nosuch"', "echo"))):
        done = site.sluice.order(*words, check=False)
        assert done.returncode == 1 and all(hint in done.stderr for hint in hints), done.stderr
