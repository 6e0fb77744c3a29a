"""Two NATs with the same services (test/e2e/conversations.py) on the same lab, who tell their states in the same words:
sluice, and the kernel's own (nftables, conntrack). Both replace source and destination, and have the VIP as source."""

import re

from conversations import SHIFT, TCP_SERVICES, UDP_SERVICES

SERVICES = [(family, protocol, port) for family in (4, 6) for protocol, ports in (("tcp", TCP_SERVICES), ("udp", UDP_SERVICES)) for port in ports]


def without_over(states):
    return {key: state for key, state in states.items() if state != "over"}


class Sluice:
    STATES = {"udp_opening": "unanswered", "udp_open": "answered", "syn_sent": "opening", "syn_received": "opening",
              "established": "established", "fin_client": "half_closed", "fin_server": "half_closed", "closing": "closing",
              "time_wait": "over", "reset": "over"}

    def __init__(self, site, workers):
        # So patient that a handshake may lose several segments in a row.
        self.site, timeouts = site, {"connect": "30s", "udp": "1h"}
        site.balance(*[site.service(f"{protocol}{port}-{family}", family=family, port=port, server_port=port + SHIFT, protocol=protocol,
                                    timeouts=timeouts) for family, protocol, port in SERVICES], workers=workers)

    def states(self):
        """Conversation.key: state, of what is not over."""
        def key(flow):
            client, vip = (flow[end].rpartition(":") for end in ("client", "vip"))
            return 6 if ":" in client[0] else 4, flow["protocol"], int(client[2]), int(vip[2])

        return without_over({key(flow): self.STATES[flow["state"]] for flow in self.site.sluice.show("flows", "--limit", 1_000_000)})


class KernelNat:
    STATES = {"SYN_SENT": "opening", "SYN_SENT2": "opening", "SYN_RECV": "opening", "ESTABLISHED": "established", "FIN_WAIT": "half_closed",
              "CLOSE_WAIT": "half_closed", "LAST_ACK": "closing", "TIME_WAIT": "over", "CLOSE": "over"}
    ENTRY = re.compile(r"\b(tcp|udp)\s+\d+ \d+ (?:([A-Z_0-9]+) )?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)(.*)")
    SYSCTLS = {
        "ipv4.ip_forward": 1, "ipv6.conf.all.forwarding": 1,
        # A segment out of window would not be translated, hence be for the VIP's own kernel, whose RST ends what lives.
        "netfilter.nf_conntrack_tcp_be_liberal": 1,
        # What was left open is still there when the states are read.
        **{f"netfilter.nf_conntrack_{name}": 3600 for name in ("tcp_timeout_fin_wait", "tcp_timeout_close_wait", "tcp_timeout_unacknowledged",
                                                               "tcp_timeout_max_retrans", "udp_timeout", "udp_timeout_stream")},
    }

    def __init__(self, lab):
        """In the place of a balancer; the lab's NICs are the kernel's."""
        self.lab = lab
        for name, value in self.SYSCTLS.items():
            lab.run("lb", "sysctl", "-qw", f"net.{name}={value}")
        lab.run("lb", "nft", "-f", "-", stdin="""
            table inet nat {
              chain to_server { type nat hook prerouting priority dstnat; }
              chain from_vip { type nat hook postrouting priority srcnat; }
            }
        """ + "\n".join(self._rules()))

    def _rules(self):
        numbers = self.lab.server_numbers()
        for family, protocol, port in SERVICES:
            ip, vip = "ip" if family == 4 else "ip6", self.lab.vip(family)
            turns = ", ".join(f"{turn} : {self.lab.server(number, family)}" for turn, number in enumerate(numbers))
            yield (f"add rule inet nat to_server {ip} daddr {vip} {protocol} dport {port} "
                   f"dnat {ip} to numgen inc mod {len(numbers)} map {{ {turns} }} : {port + SHIFT}")
            yield f"add rule inet nat from_vip ct status dnat {protocol} dport {port + SHIFT} {ip} daddr != {vip} snat {ip} to {vip}"

    def states(self):
        """Conversation.key: state, of what clients began and is not over."""
        states = {}
        for family, client in ((4, self.lab.client4), (6, self.lab.client6)):
            listed = self.lab.run("lb", "conntrack", "-L", "-f", f"ipv{family}").stdout
            for protocol, state, source, vip, client_port, port, rest in self.ENTRY.findall(listed):
                if (source, vip) == (client, self.lab.vip(family)):
                    state = self.STATES[state] if protocol == "tcp" else "unanswered" if "[UNREPLIED]" in rest else "answered"
                    states[family, protocol, int(client_port), int(port)] = state
        return without_over(states)
