#!/usr/bin/python3
"""A client for use at a node of a lab: opens connection after connection at a steady pace, and accounts for each.

  beat.py HOST PORT PERIOD [echo]
                              a TCP connection every PERIOD seconds, whatever becomes of the others (with "echo": and a
                              byte on it that the server sends back),
                              until one has come about that began after the end of standard input; prints "begun" once
                              the first has, and in the end a line each: START END OUTCOME (Unix times; "ok" or
                              "connect-ERROR")
"""

import collections
import errno
import selectors
import socket
import struct
import sys
import time

PATIENCE = 8  # seconds; tells a hang from slowness


def unanswered(s):
    """Why no byte has come back; 0: it has."""
    try:
        return 0 if s.recv(1) else errno.ENODATA
    except OSError as error:
        return error.errno


def beat(host, port, period, answer=""):
    """Attempts overlap: each has PATIENCE of its own. The kernel repeats a lost SYN, so one may succeed late."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    selector, lines, due, last = selectors.DefaultSelector(), [], time.monotonic(), float("inf")
    selector.register(sys.stdin, selectors.EVENT_READ)
    attempts, begun, over = collections.OrderedDict(), False, False

    def finish(s, error):
        nonlocal begun, over
        selector.unregister(s)
        start, began = attempts.pop(s)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
        lines.append(f"{start:.4f} {time.time():.4f} {f'connect-{error}' if error else 'ok'}")
        over |= not error and began > last
        if not error and not begun:
            begun = True
            print("begun", flush=True)

    while not over and time.monotonic() < last + PATIENCE:
        now = time.monotonic()
        if now >= due:
            due = max(due + float(period), now)
            s = socket.socket(family)
            s.setblocking(False)
            attempts[s] = time.time(), now
            selector.register(s, selectors.EVENT_WRITE)
            error = s.connect_ex((host, int(port)))
            if error not in (0, errno.EINPROGRESS):
                finish(s, errno.errorcode[error])
        for key, _ in selector.select(max(0.0, due - time.monotonic())):
            if key.fileobj is sys.stdin:
                selector.unregister(sys.stdin)
                last = time.monotonic()
            else:
                error = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if answer and not error and key.events == selectors.EVENT_WRITE:
                    key.fileobj.send(b"x")
                    selector.modify(key.fileobj, selectors.EVENT_READ)
                    continue
                if answer and not error:
                    error = unanswered(key.fileobj)
                finish(key.fileobj, errno.errorcode[error] if error else "")
        while attempts and (first := next(iter(attempts)), attempts[first][1] + PATIENCE < time.monotonic())[1]:
            finish(first, "timeout")
    print("\n".join(sorted(lines)))


if __name__ == "__main__":
    beat(*sys.argv[1:])
