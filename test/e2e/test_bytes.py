"""Bytes arrive as they were sent, in packets whose checksums are right on both sides of sluice.

    client (tcpdump) -- sluice -- s1 (tcpdump)        100 MB each way
"""

import hashlib

import pytest

from capture import Capture
from testbed.lab import http


def sha256_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def all_good(capture):
    """The counts of checksums in a capture, none of them bad."""
    found = capture.checksums()
    assert not any(verdict == "bad" for _, verdict in found), f"at {capture.node}: {dict(found)} {capture.bad_packets()}"
    return found


@pytest.mark.parametrize("syn_cookies", ["off", "always"])
def test_100_mb_each_way_with_good_checksums(site, family, syn_cookies, big_file, tmp_path):
    """Where a cookie began the connection, numbers of both ends, windows and SACK are translated; nothing of it may show."""
    path, digest = big_file
    site.serve()
    site.listen("s1", "sink", 9000)
    (site.servers["web1"].files / "big").symlink_to(path)
    site.balance(site.service("web", family=family, numbers=[1], syn_cookies=syn_cookies),
                 site.service("sink", family=family, port=9000, numbers=[1], syn_cookies=syn_cookies))
    vip, copy = site.lab.vip(family), tmp_path / "copy"

    with Capture(site.lab, "client", tmp_path) as client, Capture(site.lab, "s1", tmp_path) as server:
        site.lab.run("client", "curl", "-sS", "--fail", "--globoff", "-o", copy, f"http://{http(vip)}/files/big")
        assert sha256_of(copy) == digest
        copy.unlink()
        assert site.talk("client", "upload", vip, 9000, path) == digest

    for capture in (client, server):
        assert all_good(capture)["tcp", "good"] > 100_000  # 200 MB in segments: they were looked at
        capture.forget()
    began = sum(worker["cookies_returned"] for worker in site.sluice.show("workers"))
    assert began == (2 if syn_cookies == "always" else 0)


def test_udp_of_every_length_with_good_checksums(site, family, tmp_path):
    site.listen("s1", "udp-echo", 7000)
    site.balance(site.service("echo", family=family, port=7000, protocol="udp", numbers=[1]))
    ask = ("import socket,sys; s=socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)\n"
           "s.settimeout(5); s.connect((sys.argv[1], 7000))\n"
           "for n in [*range(64), *range(1380, 1453)]: s.send(b'%c' % (n % 251) * n); assert s.recv(2000) == b'%c' % (n % 251) * n, n\n")
    with Capture(site.lab, "client", tmp_path) as client, Capture(site.lab, "s1", tmp_path) as server:
        site.lab.run("client", "/usr/bin/python3", "-c", ask, site.lab.vip(family))
    for capture in (client, server):
        assert all_good(capture)["udp", "good"] >= 2 * 137
