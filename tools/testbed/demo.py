"""The demo: clients talk through a virtual IP to real servers, two hosts share it; every sentence about it is checked."""

import argparse
import json
import signal
import sys
from dataclasses import asdict, dataclass, field

from testbed.demo_balancing import Balancing
from testbed.demo_failover import Failover
from testbed.lab import ROOT, Lab, LabError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Step:
    """One thing tried: what, what came of it, whether it is as it should be."""

    what: str
    saw: str
    ok: bool
    data: dict = field(default_factory=dict)


class Demo:
    """Plays acts, each in a lab of its own. An act has a TOPOLOGY, says what it is (drawing), starts its programs
    (`sluices` are those that balance), shows something, and has hints for who wants to go on by hand."""

    def __init__(self, options):
        self.options = options
        self.out = sys.stderr if options.json else sys.stdout
        self.steps, self.kept, self.services = [], [], {}

    def say(self, text=""):
        print(text, file=self.out, flush=True)

    def note(self, what, saw, ok, **data):
        self.steps.append(Step(what, saw, ok, data))
        self.say(f"  {'ok ' if ok else 'NO '}  {what:<50}  {saw}")

    def play(self, act_class, *settings):
        lab = Lab.up(device=self.options.device, prefix="demo", **act_class.TOPOLOGY)
        act, done, first = act_class(lab, self.note, *settings), False, len(self.steps)
        try:
            self.say(act.drawing())
            act.start()
            act.show()
            sluice = act.sluices[0]
            self.services[act_class.__name__.lower()] = sluice.show("services")
            self.say(f"\nWhat `sluice show services` says now:\n\n{sluice.table('services')}")
            wrong = [step.what for step in self.steps[first:] if not step.ok]
            if wrong:
                raise LabError(f"not as it should be: {'; '.join(wrong)}")
            done = True
        finally:
            if not done:
                for sluice in act.sluices:
                    self.say(f"\nThe end of {sluice.log}:\n{''.join(lab.read(sluice.log).splitlines(True)[-20:])}")
            if self.options.keep and act.sluices:
                lab.keep()
                self.kept.append(lab.name)
                self.say(how_to_go_on(lab, act))
            else:
                take_down(lab, act.sluices)


def take_down(lab, sluices):
    """Nothing may come between: the lab is to be gone when the demo is."""
    before = [signal.signal(number, signal.SIG_IGN) for number in SIGNALS]
    for sluice in sluices:
        if sluice.process and sluice.process.poll() is None:
            sluice.stop()
    lab.down()
    for number, handler in zip(SIGNALS, before):
        signal.signal(number, handler)


def how_to_go_on(lab, act):
    enter = f"sudo tools/lab exec {lab.name}"
    sluice = act.sluices[0]
    program = sluice.program.relative_to(ROOT) if sluice.program.is_relative_to(ROOT) else sluice.program
    own = "".join(f"  {words:<30} {command}\n" for words, command in act.hints(enter, f"sudo {program}"))
    return f"""Everything is still running. Go on by hand, from {ROOT}:

{own}  its configuration, its log     {sluice.config}, {lab.state / sluice.log}
  a shell at a node              {enter} NODE bash      (nodes: {' '.join(lab.nodes())})
  remove it all                  sudo tools/lab down {lab.name}
"""


def interrupted(number, _frame):
    raise SystemExit(128 + number)


def main():
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--device", choices=["af_xdp", "af_packet"], default="af_xdp")
    parser.add_argument("--seconds", type=int, default=5, help="length of the load run")
    parser.add_argument("--json", action="store_true", help="the result as JSON on standard output")
    parser.add_argument("--keep", action="store_true", help="leave everything running")
    options = parser.parse_args()
    if options.seconds < 1:
        parser.error("--seconds must be at least 1")
    for number in SIGNALS:
        signal.signal(number, interrupted)
    demo, reason = Demo(options), None
    try:
        demo.play(Balancing, options.seconds)
        demo.play(Failover)
    except LabError as error:
        reason = str(error)
    if options.json:
        print(json.dumps({"ok": reason is None, "reason": reason, "device": options.device, "kept": demo.kept,
                          "steps": [asdict(step) for step in demo.steps], "services": demo.services}, indent=2))
    if reason:
        print(f"demo: {reason}", file=sys.stderr)
        return 1
    demo.say("All of it held." if demo.kept else
             "All of it held, and everything is cleaned up. `sudo tools/demo --keep` leaves it running for you to try.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
