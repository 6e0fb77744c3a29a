"""Whatever a check finds is told in HAProxy's words, by every kind of check that HAProxy has, too.

    sluice, haproxy (test/e2e/side_by_side.py) -- s1: test/e2e/peer.py's `act`, a port for each service
"""

import itertools
import json
import pathlib
import subprocess

import pytest

from side_by_side import Pair

# One failure is enough, and what has failed is asked again soon. Nothing that should be in time fails to be.
CHECK = {"interval": "1s", "down_interval": "200ms", "rise": 1, "fall": 1}
NAME = "srv.test"
PORTS = {"http": 7001, "https": 7002, "tls": 7003, "steps": 7004, "second": 7005, "secret": 7006, "limited": 7007}

STEPS = [{"connect": {}}, {"send": "PING\r\n", "comment": "ask"}, {"expect": {"string": "PONG"}, "comment": "the answer"},
         {"send_binary": "00ff"}, {"expect": {"binary": "0d0a00ff", "min_recv": 6}}, {"connect": {"port": PORTS["second"]}, "comment": "next door"},
         {"send": "x"}, {"expect": {"regex": "^-ERR", "not": True}}]
WELL = {"plain": "L4OK", "http": "L7OK", "https": "L7OK", "tls": "L6OK", "steps": "L7OK", "secret": "L7OK", "external": "PROCOK",
        "limited": "L7OK"}


def make_certificate(directory, name, host=NAME):
    """A certificate of its own authority, and its key, in one PEM file."""
    path = directory / f"{name}.pem"
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                           "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}", "-keyout", "-", "-out", "-"],
                          capture_output=True, text=True, check=True)
    path.write_text(made.stdout)
    return str(path)


class OneServer(Pair):
    def __init__(self, site):
        lab = site.lab
        self.directory, self.script = lab.state, lab.state / "script"
        self.good, self.alien = make_certificate(lab.state, "good"), make_certificate(lab.state, "alien")
        self.other = make_certificate(lab.state, "other", "other.test")
        trusted = lab.state / "trusted.pem"
        trusted.write_text("".join(pathlib.Path(path).read_text() for path in (self.good, self.other)))
        self.behave()
        site.listen("s1", "act", ",".join(map(str, PORTS.values())), lab.state)
        site.listen("s1", "echo", 80)
        command = lab.state / "command"
        command.write_text(f"#!/bin/sh\n. {self.script}\n")
        command.chmod(0o755)
        trust = {"ca_file": str(trusted), "sni": NAME}

        def one(name, check, port=None, **settings):
            return site.service(name, port=9000 + len(self.services), server_port=port or PORTS.get(name, 80), numbers=[1],
                                check={**CHECK, **check}, **settings)

        self.services = []
        for service in [
                ("plain", {"type": "tcp"}), ("http", {"type": "http", "status": "200-299", "body": {"string": "well"}}),
                ("https", {"type": "https", **trust}), ("tls", {"type": "tls", **trust}), ("steps", {"type": "tcp-check", "steps": STEPS}),
                ("secret", {"type": "tcp-check", **trust, "steps": [
                    {"connect": {"tls": True}}, {"send": "PING\r\n"}, {"expect": {"string": "PONG"}}]}),
                ("external", {"type": "external", "command": str(command)}),
                ("limited", {"type": "http", "timeout": "600ms", "interval": "900ms"})]:
            self.services.append(one(*service))
        super().__init__(site, self.services)

    def play(self, name, **play):
        """What becomes of connections to a service's port from now on."""
        new = self.directory / "play"
        new.write_text(json.dumps(play))
        new.rename(self.directory / str(PORTS[name]))

    def command(self, text):
        new = self.directory / "play"
        new.write_text(text)
        new.rename(self.script)

    def see(self, event, codes):
        """After an event checks of these services end so, and both show the same of them."""
        self.expect(event, **{name: 1 if code in WELL.values() else 2 for name, code in codes.items()})
        self.expect_found(event, codes)

    def behave(self):
        well = "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nwell"
        self.play("http", says=[well])
        self.play("limited", says=[well])
        self.play("https", says=[well], tls=self.good)
        self.play("tls", then="hold", tls=self.good)
        self.play("steps", says=["PONG\r\n", "ab\r\n\0\xff"])
        self.play("second", says=["+OK\r\n"])
        self.play("secret", says=["PONG\r\n"], tls=self.good)
        self.command("exit 0")


@pytest.fixture(scope="module")
def shared_pair(make_shared_site):
    return OneServer(make_shared_site(servers=1))


@pytest.fixture
def pair(shared_pair):
    shared_pair.settle()
    return shared_pair


# Round for round: what each service's port does, and how checks of it end then.
ROUNDS = [
    {"http": ({"says": ["HTTP/1.0 503 Unavailable\r\n\r\nno"]}, "L7STS"),
     "https": ({"tls": "alien"}, "L6RSP"),
     "tls": ({"tls": "alien"}, "L6RSP"),
     "steps": ({"says": ["PANG\r\n"]}, "L7RSP"),
     "secret": ({"says": ["-ERR speak plainly\r\n"]}, "L6RSP"),
     "external": ("exit 3", "PROCERR"),
     "limited": ({"then": "hold"}, "L7TOUT")},
    {"http": ({"says": ["HTTP/1.0 200 OK\r\n\r\nsick"]}, "L7RSP"),
     "https": ({"says": ["HTTP/1.0 400 Bad Request\r\n\r\n"]}, "L6RSP"),
     "tls": ({"says": ["-ERR\r\n"]}, "L6RSP"),
     "steps": ({"says": ["PONG\r\n", "ab\r\n\0\0"]}, "L7RSP"),
     "secret": ({"then": "hold"}, "L6TOUT"),
     "external": ("/bin/sleep 60", "PROCTOUT"),
     "limited": ({"says": ["HTTP/1.0 404 Not Found\r\n\r\n"]}, "L7STS")},
    {"http": ({"then": "hold"}, "L7TOUT"),
     "https": ({"then": "hold"}, "L6TOUT"),
     "tls": ({"then": "hold"}, "L6TOUT"),
     "second": ({"says": ["-ERR\r\n"]}, "L7RSP"),
     "secret": ({"tls": "good", "then": "hold"}, "L7TOUT"),
     "external": ("kill -9 $$", "PROCERR"),
     "limited": ({"says": ["HTTP/1.0 20"]}, "L7RSP")},
    {"http": ({"says": [""], "then": "reset"}, "SOCKERR"),
     "https": ({"tls": "good", "says": ["HTTP/1.0 500 Internal Error\r\n\r\n"]}, "L7STS"),
     "tls": ({"says": [""]}, "L6RSP"),
     "steps": ({"says": ["PONG\r\n"], "then": "hold"}, "L7TOUT"),
     "secret": ({"tls": "good", "says": ["PANG\r\n"]}, "L7RSP"),
     "limited": ({"says": [""]}, "L7RSP")},
    {"http": ({"says": ["-ERR\r\n"]}, "L7RSP"),
     "https": ({"tls": "good", "says": [""]}, "L7RSP"),
     "tls": ({"tls": "other", "then": "hold"}, "L6RSP"),
     "steps": ({"then": "hold"}, "L7TOUT")},
    {"http": ({"says": ["HTTP/1.0 204 No Content\r\n\r\n"]}, "L7RSP"),
     "https": ({"tls": "good", "then": "hold"}, "L7TOUT"),
     "steps": ({"says": ["PONG\r\n", ""], "then": "reset"}, "SOCKERR"),
     "secret": ({"tls": "good", "says": [""]}, "L7RSP")},
]


@pytest.mark.parametrize("number", range(len(ROUNDS)))
def test_servers_that_are_not_well(pair, number):
    codes = {}
    for name, (play, code) in ROUNDS[number].items():
        codes["steps" if name == "second" else name] = code
        if name == "external":
            pair.command(play)
        else:
            pair.play(name, **{**play, **({"tls": getattr(pair, play["tls"])} if "tls" in play else {})})
    pair.see(f"round {number}", codes)
    pair.behave()
    pair.see(f"all is well after round {number}", {name: WELL[name] for name in codes})


def out_of_reach(pair, event, code):
    """All checks that connect end so, then all are well."""
    names = [name for name in WELL if name != "external"]
    pair.see(event, {name: code for name in names})
    pair.screens[0].set("accept")
    pair.see("they are reached", {name: WELL[name] for name in names})


def test_ports_that_are_closed_or_silent(pair):
    for how, code in (("refuse", "L4CON"), ("silent", "L4TOUT")):
        pair.screens[0].set(how)
        out_of_reach(pair, how, code)
        pair.screens[0].set(how, ports=[PORTS["second"]])
        pair.see(f"{how}, in a later step", {"steps": code})
        pair.screens[0].set("accept")
        pair.see("it is reached", {"steps": WELL["steps"]})


def test_unreachable_servers(pair):
    codes = dict(zip([80, *PORTS.values()], itertools.cycle([0, 1, 2, 3, 13])))
    peer = pair.site.peer("s1", "unreachable", ",".join(f"{port}:{code}" for port, code in codes.items()), stdout=subprocess.PIPE, text=True)
    try:
        assert peer.stdout.readline() == "ready\n"
        pair.screens[0].set("silent")
        out_of_reach(pair, "ICMP", "L4CON")
    finally:
        peer.terminate()
        peer.wait(timeout=20)
