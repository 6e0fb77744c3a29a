"""sluice and HAProxy (test/e2e/oracle.py) with the same services, to which the same things happen at the same time: what
they log of it, service by service, must be the same text, and as grave. Only the duration of a check may differ."""

import re
import time
from collections import defaultdict

from oracle import Haproxy, Screen, lines_of_sluice, state_changes
from testbed.lab import LabError, wait_for

# What HAProxy calls a line's gravity: what sluice does.
GRAVITY = {"emerg": "error", "alert": "warn", "notice": "info"}


def signed(code):
    """The exit code of a command that a signal ended is -1; HAProxy shows it without its sign."""
    return "-1" if code == str(2**32 - 1) else code


def as_in_logs(text):
    return "".join(c if 0x20 <= ord(c) < 0x7f and c != '"' else f"<{ord(c):02X}>" for c in text)


class Pair:
    """Both programs, and the same services in both. Expects no more than that all servers are at rest: UP, or as `disabled`
    has it. A test's own pair says in behave() what the servers do then."""

    def __init__(self, site, services):
        self.site = site
        self.screens = [Screen(site.lab, f"s{number}") for number in site.lab.server_numbers()]
        self.disabled = {(service["name"], server["name"]) for service in services for server in service["servers"]
                         if server.get("disabled")}
        self.listen_anew()
        self.haproxy = Haproxy(site.lab, services).start()
        site.balance(*services)

    def behave(self):
        """Servers do what they do when all is well."""

    def listen_anew(self):
        """Nothing that was told until now counts."""
        self.start, self.expected = time.time(), defaultdict(int)

    def settle(self):
        """Everything is as it should be."""
        self.behave()
        for screen in self.screens:
            screen.set("accept")

        def at_rest(row, server):
            return row["status"] in (("MAINT",) if server in self.disabled else ("UP", "no check"))

        wait_for(lambda: all(at_rest(row, server) for server, row in self.haproxy.stat().items() if server[1].startswith("web")),
                 "haproxy's servers to be at rest")
        wait_for(lambda: all(at_rest(row, server) for server, row in self.site.sluice.servers().items()), "sluice's servers to be at rest")
        self.listen_anew()

    def told(self, lines, services):
        """service → what was said about it so far."""
        # The connection whose failure is the last straw is over for sluice; HAProxy still counts it.
        own = (r"check duration: \d+ms", r"(?<=unsuccessful connection\"\. )(.*) \d+ sessions active")
        texts = [f"{GRAVITY.get(line.level, line.level)}: "
                 + re.sub(own[1], r"\1 N sessions active", re.sub(own[0], "check duration: Nms", line.text))
                 for line in state_changes(lines) if line.when >= self.start]
        return {name: [text for text in texts if re.search(rf"(Server {name}/|backend {name} )", text)] for name in services}

    def expect(self, event, **lines):
        """After an event both must have told the same, in so many more lines about each of these services."""
        for service, number in lines.items():
            self.expected[service] += number

        def both():
            return self.told(lines_of_sluice(self.site), lines), self.told(self.haproxy.lines, lines)

        def same():
            ours, theirs = both()
            return ours == theirs and all(len(theirs[name]) == self.expected[name] for name in lines)

        try:
            wait_for(same, "the same lines", seconds=8)
        except LabError:
            ours, theirs = both()
            for name in lines:
                assert ours[name] == theirs[name], f"after: {event}:\nsluice:  {ours[name]}\nhaproxy: {theirs[name]}"
                assert len(theirs[name]) == self.expected[name], f"after: {event}: {theirs[name]}"

    def operate(self, server, kind, word, lines):
        """An operator's command to both: kind "state", "health" or "agent"."""
        self.haproxy.do(f"set server {server} {kind} {word}")
        words = {"state": ("server", word), "health": ("health", word), "agent": ("health", f"agent-{word}")}[kind]
        self.site.sluice.order(*words, server)
        self.expect(f"{server} {kind} {word}", **{server.split("/")[0]: lines})

    def found(self, services):
        """What both show of the last check of these services' first servers: code, answer's code and what was seen."""
        theirs, ours = self.haproxy.stat(), {row["service"]: row["check"] for row in reversed(self.site.sluice.show("health"))}
        rows = [theirs[name, "web1"] for name in services]
        return ({name: (ours[name]["status"], str(ours[name].get("code", "")), ours[name]["info"]) for name in services},
                {name: (row["check_status"], signed(row["check_code"]), as_in_logs(row["last_chk"])) for name, row in zip(services, rows)})

    def expect_found(self, event, codes):
        """After an event checks of these services end so, and both show the same of them. HAProxy does not while it checks."""
        left = dict(codes)

        def same():
            ours, theirs = self.found(left)
            for name, found in theirs.items():
                if ours[name] == found and found[0] == codes[name]:
                    del left[name]
            return not left

        try:
            wait_for(same, "the same results", seconds=8)
        except LabError:
            ours, theirs = self.found(left)
            raise AssertionError(f"after: {event}:\nsluice:  {ours}\nhaproxy: {theirs}") from None

    def shown(self, server, theirs, ours):
        """What both show of a server, "web/web1": HAProxy in the column `theirs`, sluice under the key `ours`."""
        name = tuple(server.split("/"))
        return str(self.haproxy.stat()[name][theirs]), str(self.site.sluice.servers()[name][ours])
