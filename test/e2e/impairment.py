#!/usr/bin/python3
"""A cable that loses, doubles and reorders the TCP and UDP packets that run through it, each way, by dice from a seed.

    lb lan ==== switch port        becomes        lb lan ==== this program ==== cable ==== switch port

    impairment.py NEAR FAR SEED    forwards frames between two interfaces; prints "ready"; at the end of standard input
                                   prints an object: how many packets met which fate

Each flow and direction has dice of its own: a packet's fate depends on the seed and on how many packets of its flow went
before it, not on what else runs through the cable. All but TCP and UDP (ARP, neighbour discovery, ICMP) passes unharmed.
"""

import collections
import contextlib
import heapq
import itertools
import json
import os
import random
import select
import socket
import subprocess
import sys
import time

LOST, DOUBLED, REORDERED = 0.02, 0.02, 0.04  # of all packets
HELD_BACK = 3  # at most so many later packets of its flow overtake one that is reordered …
HELD_SECONDS = 0.02  # … if they come within this time

SOL_PACKET, PACKET_IGNORE_OUTGOING, SO_RCVBUFFORCE, ETH_P_ALL = 263, 23, 33, 3


def flow_of(frame):
    """Addresses and ports of a TCP or UDP packet, as bytes; None of others, and of fragments."""
    kind = frame[12:14]
    if kind == b"\x08\x00" and frame[23] in (6, 17) and not int.from_bytes(frame[20:22], "big") & 0x3fff:
        ports = 14 + 4 * (frame[14] & 15)
        return frame[23:24] + frame[26:34] + frame[ports:ports + 4]
    if kind == b"\x86\xdd" and frame[20] in (6, 17):
        return frame[20:21] + frame[22:58]
    return None


class Direction:
    """Frames from one interface to the other."""

    def __init__(self, name, source, sink, seed):
        self.name, self.source, self.sink, self.seed = name, source, sink, seed
        self.dice, self.held = {}, collections.defaultdict(list)  # by flow; held: [packets still to wait for, number, frame]
        self.deadlines, self.numbers = [], itertools.count()  # (when, number, flow) of frames held
        self.fates = collections.Counter()

    def send(self, frame):
        with contextlib.suppress(OSError):  # the interface is down or full: a cable's way to lose
            self.sink.send(frame)

    def hold(self, flow, frame, packets):
        number = next(self.numbers)
        self.held[flow].append([packets, number, frame])
        heapq.heappush(self.deadlines, (time.monotonic() + HELD_SECONDS, number, flow))

    def forward(self, frame):
        flow = flow_of(frame)
        if flow is None:
            self.send(frame)
            return
        dice = self.dice.get(flow)
        if dice is None:
            dice = self.dice[flow] = random.Random(f"{self.seed} {self.name} {flow.hex()}")
        roll, packets = dice.random(), dice.randrange(HELD_BACK + 1)
        waiting = self.held.pop(flow, [])
        if roll < LOST:
            self.fates["lost"] += 1
        elif roll < LOST + DOUBLED:
            self.fates["doubled"] += 1
            self.send(frame)
            if packets:
                self.hold(flow, frame, packets)
            else:
                self.send(frame)
        elif roll < LOST + DOUBLED + REORDERED:
            self.fates["reordered"] += 1
            self.hold(flow, frame, packets or 1)
        else:
            self.fates["passed"] += 1
            self.send(frame)
        for each in waiting:
            each[0] -= 1
            if each[0] > 0:
                self.held[flow].append(each)
            else:
                self.send(each[2])

    def release(self, now):
        """Sends what was held for long enough; seconds until there is more to send, None: nothing is held."""
        while self.deadlines and self.deadlines[0][0] <= now:
            _, number, flow = heapq.heappop(self.deadlines)
            due = [each for each in self.held.get(flow, []) if each[1] == number]
            for each in due:
                self.held[flow].remove(each)
                self.send(each[2])
        return self.deadlines[0][0] - now if self.deadlines else None


def tap(interface):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    s.bind((interface, ETH_P_ALL))
    s.setblocking(False)
    return s


def main(near, far, seed):
    near, far = tap(near), tap(far)
    directions = {near: Direction("out", near, far, seed), far: Direction("in", far, near, seed)}
    print("ready", flush=True)
    while True:
        waits = [wait for wait in [each.release(time.monotonic()) for each in directions.values()] if wait is not None]
        ready = select.select([near, far, sys.stdin], [], [], max(0, min(waits)) if waits else None)[0]
        if sys.stdin in ready:
            break
        for source in ready:
            with contextlib.suppress(BlockingIOError):
                for _ in range(32):
                    directions[source].forward(source.recv(65536))
    print(json.dumps(sum((each.fates for each in directions.values()), collections.Counter())))


class Impairment:
    """All cables of a lab's balancer are such ones, for as long as the `with` block lasts; after it they are
    cut, and `fates` has the sum."""

    def __init__(self, lab, seed, node="lb"):
        self.lab, self.seed, self.node, self.processes, self.fates = lab, seed, node, [], collections.Counter()

    def _switch(self, *command):
        self.lab.run("switch", *command)

    def __enter__(self):
        for nic in self.lab.nics:
            near, cable, plug = f"{self.node}-{nic}"[:15], f"cable-{nic}"[:15], f"plug-{nic}"[:15]
            self._switch("ip", "link", "add", cable, "type", "veth", "peer", "name", plug)
            for end in (cable, plug):
                self._switch("ethtool", "-K", end, *[word for name in ("tx", "rx", "sg", "tso", "gso", "gro") for word in (name, "off")])
                self._switch("ip", "link", "set", end, "up")
            self._switch("ip", "link", "set", near, "nomaster")
            self._switch("ip", "link", "set", plug, "master", nic)
            process = self.lab.start("switch", sys.executable, os.path.abspath(__file__), near, cable, self.seed,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.processes.append(process)
            assert process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_):
        for process in self.processes:
            self.fates.update(json.loads(process.communicate("", timeout=20)[0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
