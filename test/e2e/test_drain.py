"""An operator takes a server out of service without breaking anything.

    client: 200 connections -- sluice -- s1 (drained), s2, s3
"""

import subprocess

from conftest import wait_for


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
    old = hold(site, 200)
    before = [site.established(server, 7) for server in ("s1", "s2", "s3")]
    assert sum(before) == 200 and before[0] >= 66

    site.sluice.order("server", "drain", "echo/web1")
    waiting = site.lab.start("lb", site.sluice.program, "wait", "echo/web1", "drained", "--runtime-dir", site.sluice.runtime)
    new = hold(site, 60)
    assert site.established("s1", 7) == before[0]  # none new
    assert [site.established(server, 7) for server in ("s2", "s3")] == [number + 30 for number in before[1:]]
    assert ask(old, "check") == "200" and ask(new, "check") == "60"
    assert site.sluice.servers()["echo", "web1"]["status"].startswith("DRAIN")
    timed_out = site.sluice.order("wait", "echo/web1", "drained", "--timeout", "300ms", check=False)
    assert timed_out.returncode == 1 and "web1" in timed_out.stderr
    assert waiting.poll() is None

    assert ask(old, "close") == "closed"
    assert waiting.wait(timeout=20) == 0
    assert site.established("s1", 7) == 0

    site.sluice.order("server", "ready", "echo/web1")
    again = hold(site, 30)
    assert site.established("s1", 7) == 10
    assert ask(new, "check") == "60" and ask(again, "check") == "30"


def test_what_does_not_exist_is_named(site):
    site.balance(site.service("echo", port=7))
    for words, hints in ((("server", "drain", "echo/web4"), ('no server "web4" in "echo"', "web1, web2, web3")),
                         (("server", "drain", "ech/web1"), ('no service "ech"', "echo")),
                         (("show", "servers", "--service", "nosuch"), ('no service "nosuch"', "echo"))):
        done = site.sluice.order(*words, check=False)
        assert done.returncode == 1 and all(hint in done.stderr for hint in hints), done.stderr
