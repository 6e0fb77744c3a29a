"""The ends of conversations in a lab: sockets in its network namespaces, and what they say and hear."""

import asyncio
import contextlib
import ctypes
import errno
import os
import random
import socket
import struct

CLONE_NEWNET = 0x40000000
AGAIN = 0.1  # seconds until what had no effect is done again
RESETS = (errno.ECONNRESET, errno.EPIPE)


def socket_at(node, family, kind):
    """A non-blocking socket in the namespace of that name; it stays there."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(path):
        with open(path) as there:
            if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns {path}: {os.strerror(ctypes.get_errno())}")

    with open("/proc/thread-self/ns/net") as here:
        enter(f"/run/netns/{node}")
        try:
            made = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, kind)
        finally:
            enter(f"/proc/self/fd/{here.fileno()}")
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


class Voice:
    """What somebody says in a conversation: bytes without end, of which he says as many as he likes."""

    def __init__(self, *who):
        self.random = random.Random(" ".join(map(str, who)))
        self.ready = b""

    def next(self, size):
        while len(self.ready) < size:
            self.ready += self.random.randbytes(4096)
        said, self.ready = self.ready[:size], self.ready[size:]
        return said


class End:
    """One end of a TCP conversation."""

    def __init__(self, sock, said, heard):
        self.sock, self.said, self.expected = sock, said, heard
        self.length, self.garbled, self.ended, self.counts, self.silent = 0, None, "open", True, False

    def told(self):
        if self.garbled is not None:
            return f"not what was said from byte {self.garbled} on; {self.ended}"
        return f"{f'{self.length} bytes' if self.counts else 'beginning'} as said; {self.ended}"

    async def say(self, size, piece=1 << 20):
        loop = asyncio.get_running_loop()
        for start in range(0, size, piece):
            await loop.sock_sendall(self.sock, self.said.next(min(piece, size - start)))

    def note(self, data):
        if self.expected is None:  # a ghost's
            return
        said = self.expected.next(len(data))
        if said != data and self.garbled is None:
            self.garbled = self.length + next(i for i, (a, b) in enumerate(zip(said, data)) if a != b)
        self.length += len(data)

    async def hear(self, size):
        """So many bytes. Raises EOFError when it ends before."""
        loop = asyncio.get_running_loop()
        while size > 0:
            data = await loop.sock_recv(self.sock, min(size, 65536))
            if not data:
                raise EOFError("it ended early")
            self.note(data)
            size -= len(data)

    async def hear_end(self):
        """That the other says no more."""
        data = await asyncio.get_running_loop().sock_recv(self.sock, 65536)
        if data:
            self.note(data)
            raise EOFError(f"{len(data)} bytes that nobody said")
        self.ended = "closed"

    async def hear_reset(self):
        """That the other is gone, by asking until it is answered by RST, as the first one may have been lost: by bytes that nobody
        hears; who has closed its side, and can say nothing, by keepalives."""
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
            self.sock.setsockopt(socket.IPPROTO_TCP, option, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        loop, heard_end = asyncio.get_running_loop(), self.ended == "closed"
        try:
            while True:
                if not self.silent:
                    with contextlib.suppress(BlockingIOError):
                        self.sock.send(b"?")
                if heard_end:
                    await asyncio.sleep(AGAIN)
                    continue
                with contextlib.suppress(TimeoutError):
                    data = await asyncio.wait_for(loop.sock_recv(self.sock, 65536), AGAIN)
                    if not data:
                        self.ended = "closed"
                        return
                    self.note(data)
        except OSError as error:
            self.ended = "reset" if error.errno in RESETS else errno.errorcode[error.errno]
        finally:
            self.sock.close()

    def reset(self, linger=False):
        if not linger:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.ended = "resets"
        self.sock.close()

    def shut(self):
        self.silent = True
        self.sock.shutdown(socket.SHUT_WR)
