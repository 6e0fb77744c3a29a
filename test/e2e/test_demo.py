"""The README's first command does what it says, and the host's own network is as before.

    tools/demo: client -- sluice -- web1, web2, web3
"""

import json
import os
import pathlib
import signal
import subprocess
import sys

from conftest import wait_for
from testbed.balancer import BUILD
from testbed.lab import ROOT, STATE_ROOT

DEMO = ROOT / "tools" / "demo"
ENVIRONMENT = {**os.environ, "SLUICE_BUILD": str(BUILD)}


def host_network():
    """All that the host's own network consists of, without counters and clocks."""
    shown = {}
    for command in ("ip -j addr", "ip -j route", "ip -j -6 route", "ip -j rule", "nft -j list ruleset"):
        text = subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout
        shown[command] = json.loads(text or "[]")
    for link in shown["ip -j addr"]:
        for address in link.get("addr_info", []):
            address.pop("valid_life_time", None)
            address.pop("preferred_life_time", None)
    for route in shown["ip -j -6 route"]:
        route.pop("expires", None)
    return shown


def demo_labs():
    return sorted(path.name for path in STATE_ROOT.glob("demo*")) + sorted(path.name for path in pathlib.Path("/run/netns").glob("demo*"))


def test_demo_shows_what_it_claims(device):
    before, labs = host_network(), demo_labs()
    done = subprocess.run([DEMO, "--json", "--device", device], capture_output=True, text=True, env=ENVIRONMENT, timeout=300)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["ok"] and all(step["ok"] for step in shown["steps"])
    first = shown["steps"][0]["data"]["answers"]
    assert len(first) == 3 and all(first.values())
    load, = (step["data"] for step in shown["steps"] if "requests_per_second" in step["data"])
    assert load["failed"] == 0 and load["requests"] > 0
    moves = [step["data"] for step in shown["steps"] if "outage" in step["data"]]
    assert len(moves) == 4 and all(move["outage"] <= move["share"] + 1 for move in moves), moves
    print(f"{device}: {load['requests_per_second']:.0f} requests a second", file=sys.stderr)
    assert demo_labs() == labs
    assert host_network() == before


def test_interrupted_demo_cleans_up():
    before, labs = host_network(), demo_labs()
    demo = subprocess.Popen([DEMO, "--json", "--seconds", "30"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            env=ENVIRONMENT)
    for line in demo.stderr:
        if "nginx of web2 stopped" in line:  # everything runs
            break
    demo.send_signal(signal.SIGTERM)
    demo.communicate(timeout=60)
    assert demo.returncode == 128 + signal.SIGTERM
    assert demo_labs() == labs
    assert host_network() == before


def test_killed_demo_is_cleaned_up_by_the_next_lab():
    before, labs = host_network(), demo_labs()
    demo = subprocess.Popen([DEMO, "--json", "--seconds", "30"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    wait_for(lambda: len(demo_labs()) > len(labs) + 6, "the demo's lab")
    demo.kill()
    demo.wait(timeout=10)
    subprocess.run([ROOT / "tools/lab", "down", "--stale"], check=True)
    assert demo_labs() == labs
    assert host_network() == before
