"""Plays the conversations of test/e2e/conversations.py in a lab. One process has both ends in its hands, since a socket
stays in the network namespace that it was made in: it knows what was said at one end when it looks at the other.

    client --- (lb) --- s1, s2, s3          sockets at client and servers; nothing here knows what is between them

A TCP client says the conversation's number first (after the server, where that speaks first), so that the server's end
is found whichever server it came to; every datagram of UDP has it in front.
"""

import asyncio
import contextlib
import errno
import heapq
import itertools
import socket
import struct
from dataclasses import dataclass, field

from conversations import OTHER, SHIFT, TCP_SERVICES, UDP_SERVICES
from ends import AGAIN, End, Voice, socket_at

PATIENCE = 120  # seconds a conversation may take; tells a hang from slowness
HEAD = struct.Struct("!QI")  # of a datagram: the conversation's number, the datagram's


@dataclass
class Outcome:
    """Of a conversation, at both ends: how many bytes came, of UDP how many datagrams, whether they were those that were said,
    and how it ended there. `stuck`: the step that did not come to its end."""

    client: str = ""
    server: str = ""
    stuck: str = ""


class Turns:
    """Pauses that last until others have got on with so many steps, or nobody is left who could."""

    def __init__(self, players):
        self.players, self.steps, self.waiting, self.numbers = players, 0, [], itertools.count()

    def step(self):
        self.steps += 1
        self._wake()

    def leave(self):
        self.players -= 1
        self._wake()

    async def pause(self, steps):
        over = asyncio.get_running_loop().create_future()
        heapq.heappush(self.waiting, (self.steps + steps, next(self.numbers), over))
        self._wake()
        await over

    def _wake(self):
        while self.waiting and (self.waiting[0][0] <= self.steps or len(self.waiting) >= self.players):
            over = heapq.heappop(self.waiting)[2]
            if not over.done():
                over.set_result(None)


@dataclass
class Datagrams:
    """Those of a conversation: (who, number, bytes) of what was sent, the numbers of what came to either end."""

    sent: set = field(default_factory=set)
    at_client: set = field(default_factory=set)
    at_server: set = field(default_factory=set)
    sources: set = field(default_factory=set)  # addresses and ports that the server got them from
    way_back: tuple = None  # the server's socket, and whom it answers
    refused: bool = False


class Stage:
    """A lab with sockets at its ends. After play(): `outcomes` by conversation, and `strangers`, what came and nobody had
    sent. What a conversation left open stays open until close()."""

    def __init__(self, lab, seed):
        self.lab, self.seed = lab, seed
        self.sockets, self.tasks, self.unclaimed = [], [], []
        self.outcomes, self.strangers = {}, []
        self.arrivals, self.datagrams = {}, {}

    def close(self):
        for each in self.sockets:
            each.close()

    def socket_at(self, node, family, kind, address):
        """Bound to an address and port."""
        made = socket_at(f"{self.lab.name}-{node}", family, kind)
        self.sockets.append(made)
        made.bind(address)
        return made

    def client_address(self, conversation):
        return self.lab.client4 if conversation.family == 4 else self.lab.client6, conversation.client_port

    # --- servers ----------------------------------------------------------------------------------------------------

    async def open_servers(self):
        for number, family in itertools.product(self.lab.server_numbers(), (4, 6)):
            for services, kind, serve in ((TCP_SERVICES, socket.SOCK_STREAM, self.accept), (UDP_SERVICES, socket.SOCK_DGRAM, self.answer)):
                for port, first in services.items():
                    if first is not None:
                        made = self.socket_at(f"s{number}", family, kind, (self.lab.server(number, family), port + SHIFT))
                        if kind == socket.SOCK_STREAM:
                            made.listen(1024)
                        self.tasks.append(asyncio.create_task(serve(made, port)))

    async def accept(self, listener, port):
        while True:
            accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
            self.sockets.append(accepted)
            self.tasks.append(asyncio.create_task(self.greet(accepted, port)))

    async def greet(self, accepted, port):
        """Until it is known which conversation this is the server's end of."""
        end = End(accepted, Voice(self.seed, "greeting", port), None)
        self.unclaimed.append(end)
        loop, head = asyncio.get_running_loop(), b""
        try:
            await end.say(TCP_SERVICES[port])
            while len(head) < 8:
                data = await loop.sock_recv(accepted, 8 - len(head))
                if not data:
                    return
                head += data
        except OSError:
            return  # a ghost's; play() sees to its end
        number, = struct.unpack("!Q", head)
        arrival = self.arrivals.get(number)
        if arrival is None or arrival.done():
            self.strangers.append(f"a connection to port {port} that says it is conversation {number}")
            return
        self.unclaimed.remove(end)
        arrival.set_result(End(accepted, Voice(self.seed, number, "server"), Voice(self.seed, number, "client")))

    def datagram(self, number, index, who, size):
        head = HEAD.pack(number, index)
        return head + Voice(self.seed, number, who, index).next(size - len(head))

    def known(self, data, who):
        """(conversation, index) of a datagram that is as `who` sent it; else it is a stranger."""
        if len(data) >= HEAD.size:
            number, index = HEAD.unpack_from(data)
            sent = number in self.datagrams and (who, index, len(data)) in self.datagrams[number].sent
            if sent and data == self.datagram(number, index, who, len(data)):
                return number, index
        self.strangers.append(f"{len(data)} bytes of UDP from the {who}: {data[:16].hex()}")
        return None

    async def answer(self, bound, port):
        loop = asyncio.get_running_loop()
        while True:
            data, source = await loop.sock_recvfrom(bound, 65536)
            if (known := self.known(data, "client")) is None:
                continue
            number, index = known
            at = self.datagrams[number]
            at.at_server.add(index)
            at.sources.add(source[:2])
            at.way_back = bound, source
            for who, of, size in at.sent:
                if who == "server" and of == index:
                    with contextlib.suppress(BlockingIOError):
                        bound.sendto(self.datagram(number, index, "server", size), source)

    # --- conversations ----------------------------------------------------------------------------------------------

    async def connect(self, conversation):
        """A client's socket. While its kernel still holds the pair (TIME_WAIT, a FIN unanswered), it is tried again."""
        loop = asyncio.get_running_loop()
        while True:
            made = self.socket_at("client", conversation.family, socket.SOCK_STREAM, self.client_address(conversation))
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                await loop.sock_connect(made, (self.lab.vip(conversation.family), conversation.service_port))
                return made
            except OSError as error:
                made.close()
                if error.errno != errno.EADDRNOTAVAIL:
                    raise
            await asyncio.sleep(AGAIN)  # no event tells when the kernel lets go of it

    async def tcp(self, conversation, outcome):
        try:
            sock = await self.connect(conversation)
        except OSError as error:
            outcome.client = errno.errorcode[error.errno]
            return
        if conversation.steps == (("ghost",),):
            End(sock, None, None).reset()
            outcome.client = "resets"
            return
        number, first = conversation.number, TCP_SERVICES[conversation.service_port]
        ends = {"client": End(sock, Voice(self.seed, number, "client"), Voice(self.seed, number, "server"))}
        try:
            greeting = End(sock, None, Voice(self.seed, "greeting", conversation.service_port))
            await greeting.hear(first)
            if greeting.garbled is not None:
                self.strangers.append(f"a greeting in conversation {number}")
            self.arrivals[number] = asyncio.get_running_loop().create_future()
            await asyncio.get_running_loop().sock_sendall(sock, struct.pack("!Q", number))
            ends["server"] = await self.arrivals[number]
            for step in conversation.steps:
                outcome.stuck = f"in {step}"
                await self.tcp_step(step, ends)
                self.turns.step()
        finally:
            for who, end in ends.items():
                setattr(outcome, who, end.told())

    async def tcp_step(self, step, ends):
        client, server = ends["client"], ends["server"]
        match step:
            case "say", who, size, piece:
                await asyncio.gather(ends[who].say(size, piece), ends[OTHER[who]].hear(size))
            case "both", of_client, of_server:
                await asyncio.gather(client.say(of_client), server.say(of_server), client.hear(of_server), server.hear(of_client))
            case "pause", steps:
                await self.turns.pause(steps)
            case "shut", who:
                ends[who].shut()
                await ends[OTHER[who]].hear_end()
            case "close", who:
                ends[who].shut()
                if ends[OTHER[who]].ended == "open":
                    await ends[OTHER[who]].hear_end()
                ends[OTHER[who]].sock.close()
                if ends[who].ended == "open":
                    await ends[who].hear_end()
                ends[who].sock.close()
            case ("cross",):
                client.shut()
                server.shut()
                await asyncio.gather(client.hear_end(), server.hear_end())
                client.sock.close()
                server.sock.close()
            case "reset", who:
                ends[who].reset()
                await ends[OTHER[who]].hear_reset()
            case "cut", who, size, linger:
                await self.cut(ends[OTHER[who]], ends[who], size, linger)
            case ("leave",):
                pass

    async def cut(self, speaker, cutter, size, linger):
        saying = asyncio.create_task(speaker.say(size))
        await cutter.hear(1)
        with contextlib.suppress(TimeoutError):  # until there is something unread
            await asyncio.wait_for(self.unread(cutter.sock), PATIENCE)
        cutter.counts = speaker.counts = False
        cutter.reset(linger)
        with contextlib.suppress(OSError):
            await saying
        await speaker.hear_reset()

    async def unread(self, sock):
        """Returns when there is data to read, and reads none."""
        loop, readable = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
        loop.add_reader(sock, lambda: readable.done() or readable.set_result(None))
        try:
            await readable
        finally:
            loop.remove_reader(sock)

    async def udp(self, conversation, outcome):
        number = conversation.number
        at = self.datagrams[number] = Datagrams()
        sock = self.socket_at("client", conversation.family, socket.SOCK_DGRAM, self.client_address(conversation))
        sock.connect((self.lab.vip(conversation.family), conversation.service_port))
        hearing = asyncio.create_task(self.hear_datagrams(sock, at))
        self.tasks.append(hearing)
        try:
            for index, step in enumerate(conversation.steps):
                outcome.stuck = f"in {step}"
                await self.udp_step(step, number, 10 * index, sock, at)
                self.turns.step()
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
            sock.close()
        if at.refused:
            outcome.client = "ECONNREFUSED"
        else:
            outcome.client, outcome.server = f"{len(at.at_client)} datagrams", f"{len(at.at_server)} datagrams from {len(at.sources)} address"

    async def hear_datagrams(self, sock, at):
        while True:
            try:
                data = await asyncio.get_running_loop().sock_recv(sock, 65536)
            except ConnectionRefusedError:
                at.refused = True
                continue
            if known := self.known(data, "server"):
                self.datagrams[known[0]].at_client.add(known[1])

    async def udp_step(self, step, number, index, sock, at):
        async def until(condition, send):
            while not condition():
                try:
                    send()
                except BlockingIOError:
                    pass
                except ConnectionRefusedError:  # of a datagram before
                    at.refused = True
                for _ in range(10):
                    if condition():
                        return
                    await asyncio.sleep(AGAIN / 10)

        match step:
            case "ask", size, answer:
                at.sent |= {("client", index, size), ("server", index, answer)}
                await until(lambda: index in at.at_client, lambda: sock.send(self.datagram(number, index, "client", size)))
            case "tell", size:
                at.sent.add(("client", index, size))
                await until(lambda: index in at.at_server, lambda: sock.send(self.datagram(number, index, "client", size)))
            case "push", size, datagrams:
                pushed = range(index, index + datagrams)
                at.sent |= {("server", each, size) for each in pushed}
                bound, source = at.way_back

                def push():
                    for each in pushed:
                        bound.sendto(self.datagram(number, each, "server", size), source)

                await until(lambda: at.at_client.issuperset(pushed), push)
            case "pause", steps:
                await self.turns.pause(steps)
            case ("refused",):
                at.sent.add(("client", index, 100))
                await until(lambda: at.refused, lambda: sock.send(self.datagram(number, index, "client", 100)))

    async def chain(self, conversations):
        for conversation in conversations:
            outcome = self.outcomes[conversation.number] = Outcome(stuck="before its first step")
            play = self.tcp if conversation.protocol == "tcp" else self.udp
            try:
                await asyncio.wait_for(play(conversation, outcome), PATIENCE)
                outcome.stuck = ""
            except (OSError, EOFError) as error:
                outcome.stuck += f": {error!r}"
            if outcome.stuck:
                break
        self.turns.leave()

    async def play(self, chains):
        """All of them to their ends; then the ends of ghosts that servers still have."""
        self.turns = Turns(len(chains))
        await self.open_servers()
        await asyncio.gather(*map(self.chain, chains))
        for end in self.unclaimed:
            if end.sock.fileno() >= 0:
                await asyncio.wait_for(end.hear_reset(), PATIENCE)
        for task in self.tasks:
            task.cancel()
        for result in await asyncio.gather(*self.tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
