"""Random conversations from a seed: what is said, by whom, and how each ends. What plays them is test/e2e/stage.py.

Those of one client port make a chain: they come one after the other, often to the same service, so that a balancer sees
the same addresses and ports again, whatever has become of the conversation before. Chains run side by side.

Steps of a TCP conversation; one is over when all that was said in it was heard:
    ("say", who, bytes, piece)    in pieces of so many bytes
    ("both", bytes, bytes)        client and server at once
    ("pause", steps)              nothing, until so many steps were done elsewhere
    ("shut", who)                 who says no more, and the other hears so
and the last:
    ("close", who)                who closes first, the other when it has heard so
    ("cross",)                    both close at once
    ("reset", who)                who ends it by RST
    ("cut", who, bytes, linger)   who ends it while the other still says so much: by RST, or (linger) by closing with
                                  data unread, which is a RST, too (RFC 2525 §2.17)
    ("leave",)                    it stays as it is
    ("ghost",)                    instead of all others: the client ends it by RST once it is open
    ("refused",)                  likewise: nobody listens

Steps of a UDP conversation; each datagram is sent again until the other end got it, or answered:
    ("ask", bytes, bytes)         a datagram and its answer
    ("tell", bytes)               a datagram that is not answered
    ("push", bytes, datagrams)    of the server; after the first "ask" only
    ("pause", steps), ("refused",) as above
"""

import random
from dataclasses import dataclass

MTU = 1500
SHIFT = 1000  # a server's port is its service's and this
# The service's port: how many bytes the server says first; of one with None nobody listens.
TCP_SERVICES = {7001: 1, 7002: 20_000, 7003: 0, 7004: 0, 7005: None}
UDP_SERVICES = {7101: 0, 7102: 0, 7105: None}
FIRST_CLIENT_PORT = 20_000
OTHER = {"client": "server", "server": "client"}


@dataclass(frozen=True)
class Conversation:
    number: int
    family: int
    protocol: str
    client_port: int
    service_port: int
    steps: tuple

    @property
    def key(self):
        """Whose state a balancer keeps: family, protocol, the client's port, the service's port."""
        return self.family, self.protocol, self.client_port, self.service_port

    @property
    def end_state(self):
        """How a balancer must see it in the end; "over": closed, reset, or forgotten; "refused": that, too, or opening, if a
        doubled SYN came after the refusal, and was refused in vain: nobody sends it again."""
        kinds = [step[0] for step in self.steps]
        if self.protocol == "udp":
            return "answered" if "ask" in kinds else "unanswered"
        if kinds[-1] != "leave":
            return "refused" if kinds[-1] == "refused" else "over"
        return "half_closed" if "shut" in kinds else "established"


def end_states(chains):
    """Key: end state, of all that are not over. A flow of UDP does not see where one conversation ends."""
    states = {}
    for conversation in [each for chain in chains for each in chain]:
        if states.get(conversation.key) != "answered":
            states[conversation.key] = conversation.end_state
    return {key: state for key, state in states.items() if state != "over"}


def some_bytes(dice):
    """Mostly little, sometimes more than a window."""
    return dice.choice([dice.randint(1, 20), dice.randint(1, 1460), dice.randint(1461, 20_000), dice.randint(20_000, 150_000)])


def tcp_steps(dice):
    if dice.random() < 0.05:
        return (("ghost",),)
    steps, speakers = [], ["client", "server"]

    def talk(least, most):
        for _ in range(dice.randint(least, most)):
            kind = dice.choice(["say", "say", "say", "both", "pause"])
            if kind == "pause":
                steps.append(("pause", dice.randint(1, 100)))
            elif kind == "both" and len(speakers) == 2:
                steps.append(("both", some_bytes(dice), some_bytes(dice)))
            else:
                size = some_bytes(dice)
                steps.append(("say", dice.choice(speakers), size, max(size // 50, dice.choice([1, 100, 1460, 1 << 20]))))

    talk(0, 4)
    if dice.random() < 0.3:
        who = dice.choice(speakers)
        steps.append(("shut", who))
        speakers.remove(who)
        talk(0, 2)
    last = dice.choices(["close", "cross", "reset", "cut", "leave"], [45, 15, 20, 12, 8])[0]
    if last == "cut":
        steps.append(("cut", OTHER[dice.choice(speakers)], dice.randint(50_000, 200_000), dice.random() < 0.5))
    elif last == "reset":
        steps.append(("reset", dice.choice(["client", "server"])))
    elif last == "leave":
        steps.append(("leave",))
    else:
        steps.append(("cross",) if last == "cross" and len(speakers) == 2 else ("close", dice.choice(speakers)))
    return tuple(steps)


def udp_steps(dice, family):
    largest = MTU - (28 if family == 4 else 48)

    def size():
        return dice.choice([dice.randint(12, 64), dice.randint(12, largest), largest])

    if dice.random() < 0.15:
        return tuple(("tell", size()) for _ in range(dice.randint(1, 3)))
    steps = [("ask", size(), size())]
    for _ in range(dice.randint(0, 6)):
        steps.append(dice.choice([("ask", size(), size()), ("ask", size(), size()), ("tell", size()), ("push", size(), dice.randint(1, 5)),
                                  ("pause", dice.randint(1, 100))]))
    return tuple(steps)


def make_chains(seed, number):
    """So many chains for each family: one of UDP to two of TCP."""
    dice, chains, conversations = random.Random(seed), [], 0
    for family in (4, 6):
        for index in range(number):
            protocol = "udp" if index % 3 == 2 else "tcp"
            services, chain, left = list(TCP_SERVICES if protocol == "tcp" else UDP_SERVICES), [], set()
            port = dice.choice(services)
            for _ in range(dice.randint(1, 4)):
                if port in left or dice.random() < 0.4:
                    port = dice.choice([each for each in services if each not in left])
                if {**TCP_SERVICES, **UDP_SERVICES}[port] is None:
                    steps = (("refused",),)
                else:
                    steps = tcp_steps(dice) if protocol == "tcp" else udp_steps(dice, family)
                conversations += 1
                chain.append(Conversation(conversations, family, protocol, FIRST_CLIENT_PORT + index, port, steps))
                if steps[-1] in (("leave",), ("ghost",)):
                    left.add(port)  # what a ghost's server has not heard the end of refuses the next one's SYN (SYN-RECEIVED)
            chains.append(chain)
    return chains
