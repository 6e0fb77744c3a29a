"""An operator gives the virtual IP away and takes it again; who may only look, looks.

    client -- lb1, priority 90; lb2, priority 80
"""

import json
import os
import signal
import socket

import pytest

from conftest import wait_for
from pair import Pair


@pytest.fixture(scope="module")
def pair(make_shared_site):
    return Pair(make_shared_site("pair", servers=2), families=(4,)).start()


def order(host, word, **more):
    return host.sluice.order("vrrp", word, "VI_1", **more)


def test_what_was_yielded_stays_so_until_it_is_resumed(pair):
    one = pair.one
    told = order(one, "yield").stdout
    assert "gives its addresses away" in told and "reboot" in told
    wait_for(pair.has_moved, "lb2 to have the virtual IP")
    assert one.vrrp()["yielded"]
    assert "already" in order(one, "yield").stdout

    before = one.sluice.kill_child("sluice-vrrp")
    wait_for(lambda: one.vrrp() and one.sluice.child("sluice-vrrp") not in (None, before), "another sluice-vrrp")
    wait_for(lambda: one.is_in("BACKUP"), "it to take part")
    shown = one.vrrp()
    assert shown["yielded"] and shown["reason"].startswith("yielded"), shown
    one.stop()
    one.start()
    one.sluice.wait_ready()
    wait_for(lambda: one.is_in("BACKUP"), "it to take part")
    assert one.vrrp()["yielded"] and pair.has_moved()

    order(one, "resume")
    pair.wait_settled()
    assert not one.vrrp()["yielded"]


def test_the_signals_by_which_keepalived_writes_its_data_end_nothing(pair):
    one = pair.one
    process = one.sluice.child("sluice-vrrp")
    for name in ("SIGUSR1", "SIGUSR2"):
        os.kill(process, getattr(signal, name))
        wait_for(lambda: f"{name} ignored: `sluice show vrrp`" in pair.lab.read(one.sluice.log), "a line about it")
    assert one.sluice.child("sluice-vrrp") == process and pair.flows()


def test_unknown_instances_are_named(pair):
    refused = pair.one.sluice.order("vrrp", "yield", "VI_9", check=False)
    assert refused.returncode == 1 and 'no VRRP instance "VI_9"; there are: "VI_1"' in refused.stderr


def test_who_may_only_look_looks(pair):
    """vrrp-read.sock is open to everybody, and answers reports alone."""
    def ask(text):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(str(pair.one.sluice.runtime / "vrrp-read.sock"))
            s.sendall(text.encode() + b"\n")
            return json.loads(s.makefile().readline())

    nobody = ("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", pair.one.sluice.program)
    shown = pair.one.run(*nobody, "show", "vrrp", "--runtime-dir", pair.one.sluice.runtime).stdout
    assert "VI_1" in shown and "MASTER" in shown
    refused = pair.one.run(*nobody, "vrrp", "yield", "VI_1", "--runtime-dir", pair.one.sluice.runtime, check=False)
    assert refused.returncode == 1 and "vrrp.sock" in refused.stderr
    assert ask('{"op":"report"}')["report"]["instances"]
    for request in ('{"op":"yield","instance":"VI_1"}', '{"op":"resume","instance":"VI_1"}', '{"op":"reload"}'):
        answer = ask(request)
        assert "for looking only" in json.dumps(answer), answer
    assert pair.is_settled()
