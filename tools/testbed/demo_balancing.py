"""The demo's first act: clients talk through a virtual IP to real servers; one of them fails and comes back."""

from testbed import backends, balancer, load
from testbed.lab import LabError

REQUESTS = 30
CHECK = {"type": "tcp", "interval": "500ms", "rise": 2, "fall": 2}


def config_for(lab):
    both = [(4, ""), (6, "6")]
    web = [balancer.service(lab, f"web{suffix}", family=family, port=80, check=CHECK) for family, suffix in both]
    dns = [balancer.service(lab, f"dns{suffix}", family=family, port=53, protocol="udp") for family, suffix in both]
    return {"dataplane": {"workers": 1}, "ports": balancer.ports_for(lab), "services": web + dns}


class Balancing:
    """`note` tells of a step: what was tried, what came of it, whether it is as it should be."""

    TOPOLOGY = {"topology": "one-armed", "servers": 3}

    def __init__(self, lab, note, seconds):
        self.lab, self.note, self.seconds = lab, note, seconds
        self.servers, self.sluices = {}, []

    def drawing(self):
        return f"""
One client, sluice as the balancer, three servers (nginx and a DNS server each), in network namespaces:

   client {self.lab.client4}  ---  sluice {self.lab.vip4}, {self.lab.vip6}  ---  web1, web2, web3
                                 (the virtual IP; device {self.lab.device})
"""

    def hints(self, enter, program):
        """What to try and how; `enter`: words that run a command at a node, `program`: sluice."""
        return [("a request as a client", f"{enter} client curl http://{self.lab.vip4}/"),
                ("the same over IPv6", f"{enter} client curl 'http://[{self.lab.vip6}]/'"),
                ("what sluice does", f"{program} show servers --runtime-dir {self.sluices[0].runtime}"),
                ("", "(also: services flows ports drops workers info)")]

    def start(self):
        self.servers = backends.start_backends(self.lab, dns=True)
        self.sluices = [balancer.Balancer(self.lab, config_for(self.lab))]
        self.sluices[0].start()
        for service in ("web", "web6"):
            for name in self.servers:
                self.sluices[0].wait_server(service, name, "up")

    def spread(self, what, ask, address, expected, amount=REQUESTS):
        """Requests to the VIP must all be answered, by exactly the expected servers, each at least once."""
        answers, failed = ask(self.lab, address, amount)
        saw = ", ".join(f"{name} {number}" for name, number in answers.items()) or "no answer"
        if failed:
            saw += f"; {failed} of {amount} failed"
        self.note(what, saw, failed == 0 and set(answers) == set(expected), answers=answers, failed=failed)

    def show(self):
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

        result = load.run_wrk(self.lab, self.lab.vip4, seconds=self.seconds)
        saw = f"{result.requests} requests, {result.requests_per_second:,.0f} a second, {result.failed} failed"
        self.note(f"{self.seconds} s of load by wrk, 32 connections", f"{saw} {result.detail}".strip(),
                  result.failed == 0 and result.requests > 0, **result.as_json())

    def health(self, server, state, what):
        try:
            for service in ("web", "web6"):
                self.sluices[0].wait_server(service, server, state, seconds=20)
            self.note(what, f"health check: {server} is {state}", True)
        except LabError as error:
            self.note(what, str(error), False)
