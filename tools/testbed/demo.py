"""The demo: clients talk through a virtual IP to real servers, and every sentence about it is checked."""

import argparse
import json
import signal
import sys
from dataclasses import asdict, dataclass, field

from testbed import backends, balancer, load
from testbed.lab import ROOT, Lab, LabError

REQUESTS = 30
CHECK = {"type": "tcp", "interval": "500ms", "rise": 2, "fall": 2}


@dataclass
class Step:
    """One thing tried: what, what came of it, whether it is as it should be."""

    what: str
    saw: str
    ok: bool
    data: dict = field(default_factory=dict)


def config_for(lab):
    both = [(4, ""), (6, "6")]
    web = [balancer.service(lab, f"web{suffix}", family=family, port=80, check=CHECK) for family, suffix in both]
    dns = [balancer.service(lab, f"dns{suffix}", family=family, port=53, protocol="udp") for family, suffix in both]
    return {"dataplane": {"workers": 1}, "ports": balancer.ports_for(lab), "services": web + dns}


class Demo:
    def __init__(self, lab, out):
        self.lab, self.out, self.steps = lab, out, []
        self.servers = self.sluice = None

    def say(self, text=""):
        print(text, file=self.out, flush=True)

    def note(self, what, saw, ok, **data):
        step = Step(what, saw, ok, data)
        self.steps.append(step)
        self.say(f"  {'ok ' if ok else 'NO '}  {what:<50}  {saw}")

    def spread(self, what, ask, address, expected, amount=REQUESTS):
        """Requests to the VIP must all be answered, by exactly the expected servers, each at least once."""
        answers, failed = ask(self.lab, address, amount)
        saw = ", ".join(f"{name} {number}" for name, number in answers.items()) or "no answer"
        if failed:
            saw += f"; {failed} of {amount} failed"
        self.note(what, saw, failed == 0 and set(answers) == set(expected), answers=answers, failed=failed)

    def start(self):
        self.servers = backends.start_backends(self.lab, dns=True)
        self.sluice = balancer.Balancer(self.lab, config_for(self.lab))
        self.sluice.start()
        for service in ("web", "web6"):
            for name in self.servers:
                self.sluice.wait_server(service, name, "up")

    def show(self, seconds):
        everyone = list(self.servers)
        for family, address in ((4, self.lab.vip4), (6, self.lab.vip6)):
            self.spread(f"{REQUESTS} web requests over IPv{family}", backends.ask_http, address, everyone)
            self.spread(f"{REQUESTS} DNS queries over UDP and IPv{family}", backends.ask_dns, address, everyone)
            answered = backends.ping(self.lab, address)
            self.note(f"ping of the virtual IP over IPv{family}", "answered" if answered else "no answer", answered)

        stopped = everyone[1]
        others = [name for name in everyone if name != stopped]
        self.servers[stopped].stop_nginx()
        self.health(stopped, "down", f"nginx of {stopped} stopped")
        self.spread(f"{REQUESTS} web requests without {stopped}", backends.ask_http, self.lab.vip4, others)
        self.servers[stopped].start_nginx()
        self.health(stopped, "up", f"nginx of {stopped} started again")
        self.spread(f"{REQUESTS} web requests with all", backends.ask_http, self.lab.vip4, everyone)

        result = load.run_wrk(self.lab, self.lab.vip4, seconds=seconds)
        saw = f"{result.requests} requests, {result.requests_per_second:,.0f} a second, {result.failed} failed"
        self.note(f"{seconds} s of load by wrk, 32 connections", f"{saw} {result.detail}".strip(),
                  result.failed == 0 and result.requests > 0, **result.as_json())

    def health(self, server, state, what):
        try:
            for service in ("web", "web6"):
                self.sluice.wait_server(service, server, state, seconds=20)
            self.note(what, f"health check: {server} is {state}", True)
        except LabError as error:
            self.note(what, str(error), False)


def how_to_go_on(lab, sluice):
    enter = f"sudo tools/lab exec {lab.name}"
    program = sluice.program.relative_to(ROOT) if sluice.program.is_relative_to(ROOT) else sluice.program
    return f"""Everything is still running. Go on by hand, from {ROOT}:

  a request as a client          {enter} client curl http://{lab.vip4}/
  the same over IPv6             {enter} client curl 'http://[{lab.vip6}]/'
  what sluice does               sudo {program} show servers --runtime-dir {sluice.runtime}
                                 (also: services flows ports drops workers info)
  its configuration, its log     {sluice.config}, {lab.state / sluice.log}
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
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)

    out = sys.stderr if options.json else sys.stdout
    lab, reason, kept, services = None, None, False, None
    demo = Demo(None, out)
    try:
        lab = demo.lab = Lab.up("one-armed", device=options.device, prefix="demo")
        demo.say(f"""
One client, sluice as the balancer, three servers (nginx and a DNS server each), in network namespaces:

   client {lab.client4}  ---  sluice {lab.vip4}, {lab.vip6}  ---  web1, web2, web3
                                 (the virtual IP; device {options.device})
""")
        demo.start()
        demo.show(options.seconds)
        services = demo.sluice.show("services")
        demo.say(f"\nWhat `sluice show services` says now:\n\n{demo.sluice.table('services')}")
        wrong = [step.what for step in demo.steps if not step.ok]
        if wrong:
            reason = f"not as it should be: {'; '.join(wrong)}"
        if options.keep:
            lab.keep()
            kept = True
            demo.say(how_to_go_on(lab, demo.sluice))
    except LabError as error:
        reason = str(error)
    finally:
        if reason and demo.sluice:
            demo.say(f"\nThe end of sluice's log:\n{''.join(demo.lab.read(demo.sluice.log).splitlines(True)[-20:])}")
        if lab and not kept:
            # From here on nothing may come between: the lab is to be gone when the demo is.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            if demo.sluice and demo.sluice.process and demo.sluice.process.poll() is None:
                demo.sluice.stop()
            lab.down()
    if options.json:
        print(json.dumps({"ok": reason is None, "reason": reason, "device": options.device, "kept": lab.name if kept else None,
                          "steps": [asdict(step) for step in demo.steps], "services": services}, indent=2))
    if reason:
        print(f"demo: {reason}", file=sys.stderr)
        return 1
    demo.say("All of it held." if kept else
             "All of it held, and everything is cleaned up. `sudo tools/demo --keep` leaves it running for you to try.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
