#!/usr/bin/python3
"""Clients and servers that do one exact thing, for use at a node of a lab. PORT of a TCP server: one or more, "80,81".

  sink PORT              TCP server: reads to the end, answers with the SHA-256 of what it read
  echo PORT              TCP server: sends back what comes, until the client ends
  ticker PORT            TCP server: sends a byte every 20 ms, reads nothing
  witness PORT           TCP server: sends "hello", prints "open", waits, and prints how the connection ended
  meter PORT             TCP server: echo; prints "open N" and "closed N" with how many connections it has then
  drip PORT              TCP server: sends a byte every 100 ms that is no answer to anything, for ever
  flood PORT             TCP server: sends such bytes as fast as they are taken, for ever
  say PORT FILE          TCP server: sends what the file holds at that moment and closes
  answer PORT FILE       the same once it has read a blank line, as HTTP/1.0 would
  act PORT DIRECTORY     TCP server: each connection goes as the file of the port's number in the directory says at that
                         moment, an object: "tls": the PEM file to shake hands with, "says": texts (Latin-1), each said
                         once something was read, "then": "close" (as without), "reset" or "hold"
  unreachable PORT:CODE,…  answers SYNs (of IPv4) for the ports with ICMP "destination unreachable" of that code, 5 ms
                         after they came; prints "ready"
  udp-echo PORT [HOST]   UDP server: sends each datagram back; at all addresses, or at one
  upload HOST PORT FILE  sends a file, half-closes, prints the answer
  hold HOST PORT N       opens N echo connections, prints "open", then obeys lines on standard input:
                         "check": a round trip on each, prints how many live; "close": ends them all
  keep HOST PORT N       N echo connections with round trips all the time; at the end of standard input prints
                         "alive N trips N slowest SECONDS" and how each of the others ended
  until-reset HOST PORT  a connection on which a byte is sent every 20 ms until it breaks; prints "open", then how
  endure HOST PORT [KEEPALIVE]  a connection to a witness that says nothing; with TCP keepalives every so many seconds;
                         prints "open", then how it ended
  udp-ask HOST PORT [TTL]  sends one datagram, prints the answer or the name of the error
  udp-trips HOST PORT SIZE N [may-fragment]  sends N datagrams of SIZE bytes to an udp-echo, each from a socket of its own
                         and without structure; prints how many came back as they were, "N of N"; with the last word
                         routers may fragment them (IPv4)
  fetch HOST PORT PATH N gets a file by HTTP over N connections at once, slowly (32 KB/s each) until the end of standard
                         input, then quickly; prints "running" with how many were still under way at that moment, and
                         the SHA-256 of each body, or how it broke
  trip-from HOST PORT ADDRESS…  a round trip of an echo connection from each of these addresses, one after the other;
                         prints those that had one
  open HOST PORT N SECONDS tries N connections at once, keeps them; prints how many opened, obeys like hold
"""

import asyncio
import errno
import functools
import hashlib
import json
import os
import select
import socket
import ssl
import struct
import sys
import time


def family_of(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


async def serve(handler, port, *words):
    async def quiet(reader, writer):
        try:
            await handler(*words, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other end reset or left it: what it came to is for the client to tell
        finally:
            writer.close()

    for each in port.split(","):
        server = await asyncio.start_server(quiet, "", int(each), backlog=4096, limit=1 << 20)
    await server.serve_forever()


async def sink(reader, writer):
    digest = hashlib.sha256()
    while block := await reader.read(1 << 18):
        digest.update(block)
    writer.write(digest.hexdigest().encode())
    await writer.drain()


async def echo(reader, writer):
    while block := await reader.read(65536):
        writer.write(block)
        await writer.drain()


def how(error):
    return errno.errorcode.get(error.errno, str(error))


async def witness(reader, writer):
    writer.write(b"hello")
    print("open", flush=True)
    try:
        await reader.read()
        print("closed", flush=True)
    except OSError as error:
        print(how(error), flush=True)


metered = 0


async def meter(reader, writer):
    global metered
    metered += 1
    print("open", metered, flush=True)
    try:
        await echo(reader, writer)
    finally:
        metered -= 1  # before the FIN is sent: no later connection can have taken its place yet
        print("closed", metered, flush=True)


async def drip(_reader, writer):
    while True:
        writer.write(b"\xff")
        await writer.drain()
        await asyncio.sleep(0.1)  # the drip itself


async def flood(_reader, writer):
    while True:
        writer.write(b"\xff\r\x00 " * 4096)
        await writer.drain()


async def ticker(_reader, writer):
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.02)  # the tick itself


async def tell(path, reader, writer, *, asked):
    if asked:
        await reader.readuntil(b"\r\n\r\n")
    with open(path, "rb") as source:
        writer.write(source.read())
    await writer.drain()


async def act(directory, reader, writer):
    socket_ = writer.get_extra_info("socket")
    with open(f"{directory}/{socket_.getsockname()[1]}") as source:
        play = json.load(source)
    if "tls" in play:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(play["tls"])
        await writer.start_tls(context)
    for text in play.get("says", []):
        if not await reader.read(65536):
            return
        writer.write(text.encode("latin-1"))
        await writer.drain()
    if play.get("then") == "hold":
        while await reader.read(65536):
            pass
    elif play.get("then") == "reset":
        socket_.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def unreachable(ports):
    """The pause: an error that comes while connect() still runs is taken for one that may pass."""
    codes = dict(map(int, each.split(":")) for each in ports.split(","))
    seen = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    print("ready", flush=True)
    while True:
        packet, (_, _, kind, *_) = seen.recvfrom(65536)
        header = 4 * (packet[0] & 15)
        if kind != socket.PACKET_HOST or packet[9] != socket.IPPROTO_TCP or packet[header + 13] & 0x12 != 0x02:
            continue
        port, = struct.unpack_from("!H", packet, header + 2)
        if port not in codes:
            continue
        time.sleep(0.005)  # the distance
        quoted = bytes([3, codes[port], 0, 0, 0, 0, 0, 0]) + packet[:header + 8]
        out.sendto(quoted[:2] + checksum(quoted).to_bytes(2, "big") + quoted[4:], (socket.inet_ntoa(packet[12:16]), 0))


def udp_echo(port, host="::"):
    s = socket.socket(family_of(host), socket.SOCK_DGRAM)
    if host == "::":
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind((host, int(port)))
    while True:
        data, sender = s.recvfrom(65536)
        s.sendto(data, sender)


def upload(host, port, path):
    with socket.create_connection((host, int(port)), timeout=60) as s, open(path, "rb") as source:
        s.sendfile(source)
        s.shutdown(socket.SHUT_WR)
        answer = b""
        while block := s.recv(4096):
            answer += block
    print(answer.decode())


def round_trip(s, payload=b"x"):
    s.sendall(payload)
    return s.recv(len(payload)) == payload


def lives(s):
    try:
        return round_trip(s)
    except OSError:
        return False


def obey(connections):
    for line in sys.stdin:
        if line.strip() == "check":
            print(sum(map(lives, connections)), flush=True)
        elif line.strip() == "close":
            for s in connections:
                s.close()
            print("closed", flush=True)
            return


def hold(host, port, number, first_source=None):
    """Connections from any ports, or from `first_source` on."""
    sources = [("", int(first_source) + n) if first_source else None for n in range(int(number))]
    connections = [socket.create_connection((host, int(port)), timeout=10, source_address=source) for source in sources]
    print("open", flush=True)
    obey(connections)


def keep(host, port, number):
    connections = [socket.create_connection((host, int(port)), timeout=10) for _ in range(int(number))]
    for s in connections:
        s.settimeout(60)  # TCP's sixth repetition comes after 13 s: until then an answer is late, not lost
    print("open", flush=True)
    trips, slowest, alive, ended = 0, 0.0, connections, []
    while alive and not select.select([sys.stdin], [], [], 0)[0]:
        asked, alive = alive, []
        for s in asked:
            began = time.monotonic()
            try:
                if not round_trip(s):
                    raise ConnectionError("closed")
                alive.append(s)
                slowest = max(slowest, time.monotonic() - began)
            except OSError as error:
                ended.append(how(error))
        trips += len(alive)
    print(f"alive {len(alive)} trips {trips} slowest {slowest:.2f}", *ended)


def trip_from(host, port, *sources):
    for source in sources:
        try:
            with socket.create_connection((host, int(port)), timeout=10, source_address=(source, 0)) as s:
                if round_trip(s):
                    print(source)
        except ConnectionError:
            pass  # refused, or reset


def until_reset(host, port):
    with socket.create_connection((host, int(port)), timeout=30) as s:
        round_trip(s)
        print("open", flush=True)
        try:
            while round_trip(s):
                time.sleep(0.02)  # the pace of the sending
            print("closed")
        except OSError as error:
            print(how(error))


def endure(host, port, keepalive=None):
    with socket.create_connection((host, int(port)), timeout=20) as s:
        if keepalive:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
                s.setsockopt(socket.IPPROTO_TCP, option, int(keepalive))
        s.recv(5, socket.MSG_WAITALL)
        print("open", flush=True)
        try:
            print("closed" if s.recv(1) == b"" else "data")
        except OSError as error:
            print(how(error))


async def fetch_one(host, port, path, told):
    digest = hashlib.sha256()
    try:
        reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 18)
        writer.write(f"GET {path} HTTP/1.0\r\nHost: fetch\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        while block := await reader.read(1 << 18 if told.is_set() else 3200):
            digest.update(block)
            if not told.is_set():
                await asyncio.sleep(0.1)  # the slowness
        writer.close()
        return digest.hexdigest()
    except OSError as error:
        return how(error)
    except asyncio.IncompleteReadError:
        return "closed"


async def fetch(host, port, path, number):
    told = asyncio.Event()
    transfers = [asyncio.create_task(fetch_one(host, port, path, told)) for _ in range(int(number))]
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print("running", sum(not transfer.done() for transfer in transfers))
    told.set()
    print("\n".join(await asyncio.gather(*transfers)))


def udp_trips(host, port, size, number, *words):
    right = 0
    for _ in range(int(number)):
        with socket.socket(family_of(host), socket.SOCK_DGRAM) as s:
            s.settimeout(5)
            if "may-fragment" in words:
                s.setsockopt(socket.IPPROTO_IP, 10, 0)  # Linux's IP_MTU_DISCOVER, IP_PMTUDISC_DONT
            s.connect((host, int(port)))
            sent = os.urandom(int(size))
            s.send(sent)
            try:
                right += s.recv(65536) == sent
            except TimeoutError:
                pass
    print(f"{right} of {number}")


def udp_ask(host, port, ttl=None):
    s = socket.socket(family_of(host), socket.SOCK_DGRAM)
    s.settimeout(5)
    # Linux's IP_RECVERR and IPV6_RECVERR: ICMP errors that are not fatal by themselves are reported too.
    level, recverr, hops = ((socket.IPPROTO_IPV6, 25, socket.IPV6_UNICAST_HOPS) if ":" in host
                            else (socket.IPPROTO_IP, 11, socket.IP_TTL))
    s.setsockopt(level, recverr, 1)
    if ttl:
        s.setsockopt(level, hops, int(ttl))
    s.connect((host, int(port)))
    try:
        s.send(b"hello")
        print(s.recv(100).decode())
    except TimeoutError:
        print("silence")
    except OSError as error:
        print(errno.errorcode[error.errno])


def open_many(host, port, number, seconds):
    tries = []
    for _ in range(int(number)):
        s = socket.socket(family_of(host))
        s.setblocking(False)
        s.connect_ex((host, int(port)))
        tries.append(s)
    end, connected, waiting = time.monotonic() + float(seconds), [], set(tries)
    while waiting and time.monotonic() < end:
        for s in select.select([], list(waiting), [], 0.1)[1]:
            waiting.discard(s)
            if s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                s.settimeout(10)
                connected.append(s)
    for s in waiting:
        s.close()
    print(len(connected), flush=True)
    obey(connected)


def main(kind, *words):
    servers = {"sink": sink, "echo": echo, "ticker": ticker, "witness": witness, "meter": meter, "drip": drip, "flood": flood, "act": act,
               "say": functools.partial(tell, asked=False), "answer": functools.partial(tell, asked=True)}
    clients = {"udp-echo": udp_echo, "upload": upload, "hold": hold, "keep": keep, "trip-from": trip_from, "until-reset": until_reset,
               "endure": endure, "fetch": lambda *arguments: asyncio.run(fetch(*arguments)), "udp-ask": udp_ask, "udp-trips": udp_trips, "unreachable": unreachable, "open": open_many}
    if kind in servers:
        asyncio.run(serve(servers[kind], *words))
    else:
        clients[kind](*words)


if __name__ == "__main__":
    main(*sys.argv[1:])
