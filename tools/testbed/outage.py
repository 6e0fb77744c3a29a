"""How long clients are without service: a connection every few milliseconds, and what became of each."""

import pathlib
import subprocess
from dataclasses import dataclass

from testbed.lab import LabError

CLIENT = pathlib.Path(__file__).with_name("beat.py")


@dataclass
class Beat:
    """One attempt: Unix times, "ok" or what went wrong."""

    start: float
    end: float
    outcome: str


class Beats:
    """A client (beat.py) that opens a connection every `period` seconds while the `with` block runs. `echo`: its port is an
    echo server's, and a connection counts once a byte has come back."""

    def __init__(self, lab, address, port=80, period=0.01, *, echo=False):
        self.lab, self.beats = lab, []
        self.command = ("/usr/bin/python3", CLIENT, address, port, period, *(["echo"] if echo else []))

    def __enter__(self):
        self.process = self.lab.start("client", *self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "begun\n":
            raise LabError(f"no connection to {self.command[2]} came about")
        return self

    def __exit__(self, *_):
        lines = self.process.communicate("", timeout=60)[0].splitlines()
        self.beats = [Beat(float(start), float(end), outcome) for start, end, outcome in map(str.split, lines)]

    def outage(self, since):
        """The longest time from `since` on in which no connection came about, seconds."""
        came = [since, *sorted(beat.end for beat in self.beats if beat.outcome == "ok" and beat.end >= since)]
        if not any(beat.outcome == "ok" for beat in self.beats[-2:]):
            raise LabError(f"no connection came about in the end: {self.beats[-10:]}")
        return max(later - earlier for earlier, later in zip(came, came[1:]))
