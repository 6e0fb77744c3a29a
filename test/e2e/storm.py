#!/usr/bin/python3
"""Clients that open connection after connection and account for every one, for use at a node of a lab.

  requests HOST PORT THREADS   HTTP requests, a connection each, until the end of standard input; prints a line each:
                               START CONNECT TOTAL OUTCOME SERVER
                               START is Unix time, the others seconds; OUTCOME is "ok", or what failed: "connect-ERROR"
                               (no connection came about) or "broken-ERROR" (it ended before the answer was whole)
  crowd HOST PORT N            N connections to an echo server at once; each makes a round trip once it is open, and
                               stays until a line comes on standard input: from then on each ends when it was served;
                               prints how many were, and how the others failed
"""

import collections
import errno
import selectors
import socket
import sys
import threading
import time

PATIENCE = 8  # seconds; tells a hang from slowness


def name_of(error):
    return "timeout" if isinstance(error, TimeoutError) else errno.errorcode.get(error.errno, str(error))


def request(host, port):
    """One line of `requests`."""
    start, connected, server = time.time(), None, b""
    begin = time.monotonic()
    try:
        with socket.create_connection((host, port), timeout=PATIENCE) as s:
            connected = time.monotonic()
            s.sendall(b"GET / HTTP/1.0\r\nHost: storm\r\n\r\n")
            answer = b""
            while block := s.recv(4096):
                answer += block
        head, _, server = answer.partition(b"\r\n\r\n")
        outcome = "ok" if head.split()[1:2] == [b"200"] and server.endswith(b"\n") else "broken-short"
    except OSError as error:
        outcome = f"{'broken' if connected else 'connect'}-{name_of(error)}"
    end = time.monotonic()
    return f"{start:.4f} {(connected or end) - begin:.4f} {end - begin:.4f} {outcome} {server.decode().strip() or '-'}"


def requests(host, port, threads):
    over, lines = threading.Event(), collections.deque()

    def work():
        while not over.is_set():
            lines.append(request(host, int(port)))

    workers = [threading.Thread(target=work) for _ in range(int(threads))]
    for worker in workers:
        worker.start()
    sys.stdin.read()
    over.set()
    for worker in workers:
        worker.join()
    print("\n".join(lines))


def crowd(host, port, number):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    results, selector, served, told = collections.Counter(), selectors.DefaultSelector(), set(), threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), told.set()), daemon=True).start()

    def leave(s, result):
        results[result] += 1
        selector.unregister(s)
        served.discard(s)
        s.close()

    for _ in range(int(number)):
        s = socket.socket(family)
        s.setblocking(False)
        s.connect_ex((host, int(port)))
        selector.register(s, selectors.EVENT_WRITE)
    give_up = time.monotonic() + 16 * PATIENCE
    while selector.get_map() and time.monotonic() < give_up:
        for key, events in selector.select(0.01):
            s = key.fileobj
            try:
                if events & selectors.EVENT_WRITE:
                    s.send(b"x")
                    selector.modify(s, selectors.EVENT_READ)
                elif s not in served:
                    if s.recv(1) == b"x":
                        served.add(s)
                    else:
                        leave(s, "closed")
                else:
                    leave(s, f"ended {s.recv(1)!r}")  # nothing may come now
            except OSError as error:
                leave(s, name_of(error))
        for s in list(served) if told.is_set() else ():
            leave(s, "served")
    results["hung"] += len(selector.get_map())
    print(f"served {results.pop('served', 0)}", *(f"{result} {count}" for result, count in results.items() if count))


if __name__ == "__main__":
    {"requests": requests, "crowd": crowd}[sys.argv[1]](*sys.argv[2:])
