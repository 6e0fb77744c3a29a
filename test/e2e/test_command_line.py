"""An operator's day: `sluice …` against a load balancer that forwards, as root and as somebody who may only look.

    client -- sluice -- s1, s2, s3 (echo)
"""

import json
import os
import signal
import stat
import subprocess

import pytest

from conftest import wait_for
from testbed.lab import ROOT

PORT = 7


@pytest.fixture
def site(make_site):
    site = make_site(device="af_xdp")
    for server in ("s1", "s2", "s3"):
        site.listen(server, "echo", PORT)
    return site.balance(site.service("echo", port=PORT))


def run(site, *words, check=True):
    """`sluice WORDS`, of the running instance."""
    return site.sluice.cli(*words, "--runtime-dir", site.sluice.runtime, check=check)


def hold(site, number):
    """So many open connections; obeys "check" and "close"."""
    process = site.peer("client", "hold", site.lab.vip4, PORT, number, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "open\n"
    return process


def alive(clients):
    clients.stdin.write("check\n")
    clients.stdin.flush()
    return int(clients.stdout.readline().split()[-1])


def connections(site, server):
    return site.sluice.servers()["echo", server]["counters"]["connections_current"]


def test_drain_wait_and_ready(site):
    clients = hold(site, 30)
    assert connections(site, "web1") == 10
    assert "DRAIN" in run(site, "server", "drain", "echo/web1").stdout
    more = hold(site, 20)
    assert connections(site, "web1") == 10 and connections(site, "web2") == 20
    assert alive(clients) == 30, "a drained server keeps what it has"

    late = run(site, "wait", "echo/web1", "drained", "--timeout", "300ms", check=False)
    assert late.returncode == 1 and "has 10 open connections" in late.stderr
    waiter = site.lab.start("lb", site.sluice.program, "wait", "echo/web1", "drained", "--runtime-dir", site.sluice.runtime)
    clients.communicate("close\n", timeout=60)
    assert waiter.wait(timeout=60) == 0
    run(site, "server", "ready", "echo/web1")
    assert run(site, "wait", "echo/web1", "up").returncode == 0
    assert site.sluice.servers()["echo", "web1"]["usable"]
    more.communicate("close\n", timeout=60)


def test_flow_kill_ends_what_it_names_and_nothing_else(site):
    clients = hold(site, 30)
    assert run(site, "flow", "kill", check=False).returncode == 2, "it must be told which"
    killed = json.loads(run(site, "flow", "kill", "--server", "echo/web2", "--json").stdout)
    assert killed == {"killed": 10}
    wait_for(lambda: connections(site, "web2") == 0, "web2's connections to end")
    assert site.established("s2", PORT) == 0 and alive(clients) == 20
    flow = site.sluice.show("flows", "--service", "echo", "--state", "established")[0]
    assert run(site, "flow", "kill", "--client", flow["client"]).stdout == "1 flow ended.\n"
    assert alive(clients) == 19
    assert len(site.sluice.show("flows", "--state", "established")) == 19


def test_weight_and_maxconn_are_obeyed(site):
    run(site, "server", "weight", "echo/web1", "0")
    run(site, "server", "maxconn", "echo/web2", "3")
    clients = hold(site, 12)
    assert [connections(site, name) for name in ("web1", "web2", "web3")] == [0, 3, 9]
    queue = {row["name"]: row for row in site.sluice.show("queue")[0]["servers"]}
    assert queue["web2"]["maxconn"] == 3 and queue["web2"]["connections_current"] == 3
    clients.communicate("close\n", timeout=60)


def test_reload_by_command_and_by_signal(site):
    clients = hold(site, 6)
    config = json.loads(site.sluice.config.read_text())
    config["services"][0]["servers"].pop()
    site.sluice.write(config)
    said = run(site, "reload").stdout
    assert 'server "echo/web3" removed' in said and "1 change is in force" in said
    assert run(site, "reload").stdout == "Nothing changed.\n"
    assert site.sluice.servers()["echo", "web3"]["status"] == "REMOVED" and alive(clients) == 6

    config["services"][0]["servers"][0]["weight"] = 7
    site.sluice.write(config)
    site.sluice.process.send_signal(signal.SIGHUP)
    wait_for(lambda: site.sluice.servers()["echo", "web1"]["weight"] == 7, "the weight to be taken over")
    wait_for(lambda: "the configuration was reloaded: 1 changes" in site.lab.read(site.sluice.log), "sluice run to say so")

    site.sluice.config.write_text("{")
    refused = run(site, "reload", check=False)
    assert refused.returncode == 1 and "sluice.json:1:" in refused.stderr
    assert site.sluice.servers()["echo", "web1"]["weight"] == 7 and alive(clients) == 6


def test_who_may_look_may_not_touch(site):
    modes = {name: stat.S_IMODE(os.stat(site.sluice.runtime / name).st_mode) for name in ("cp.sock", "cp-read.sock")}
    assert modes == {"cp.sock": 0o660, "cp-read.sock": 0o666}
    site.lab.state.chmod(0o755)
    nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", site.sluice.program)
    there = ("--runtime-dir", site.sluice.runtime)
    assert "web3" in site.lab.run("lb", *nobody, "show", "servers", *there).stdout
    assert site.lab.run("lb", *nobody, "wait", "echo/web1", "up", *there).returncode == 0
    refused = site.lab.run("lb", *nobody, "server", "drain", "echo/web1", *there, check=False)
    assert refused.returncode == 1 and "permission denied" in refused.stderr


def test_names_that_do_not_exist(site):
    for words, said in (("server", "drain", "echo/m4"), 'no server "m4" in "echo": web1, web2, web3'), \
                       (("show", "flows", "--service", "ehco"), 'no service "ehco": echo (did you mean "echo"?)'), \
                       (("wait", "echo/m4", "up"), 'no server "m4" in "echo": web1, web2, web3'):
        refused = run(site, *words, check=False)
        assert refused.returncode == 1 and refused.stderr == said + "\n"


def test_commands_that_do_not_exist(site):
    for words, said in (((), "sluice: say which: run, check, reload, show, "), (("shwo",), '(did you mean "show"?)'),
                        (("show", "sevrers"), 'sluice show: no command "sevrers": services, servers, '),
                        (("server", "dain", "echo/web1"), '(did you mean "drain"?)')):
        refused = site.sluice.cli(*words, check=False)
        assert refused.returncode == 2 and said in refused.stderr and refused.stdout == "", refused.stderr


def test_bash_completes_names_of_the_running_instance(site):
    script = ROOT / "tools" / "sluice" / "completion.bash"
    ask = f'''source {script}
        sluice() {{ {site.sluice.program} "$@"; }}
        complete_line() {{ COMP_LINE=$1 COMP_POINT=${{#1}}; _sluice; echo "${{COMPREPLY[*]}}"; }}
        complete_line "sluice server dr"
        complete_line "sluice server drain echo/"
        complete_line "sluice show servers --server="'''
    done = site.lab.run("lb", "env", f"SLUICE_RUNTIME_DIR={site.sluice.runtime}", "bash", "-c", ask)
    assert done.stdout.splitlines() == ["drain", "echo/web1 echo/web2 echo/web3 echo/*", "echo/web1 echo/web2 echo/web3"]


def test_version_names_programs_and_libraries(site):
    told = {build["program"]: build for build in json.loads(site.sluice.cli("version", "--json").stdout)}
    assert set(told) == {"sluice", "sluice-dp", "sluice-cp", "sluice-vrrp"}
    running = {library["name"]: library["running"] for library in told["sluice-dp"]["libraries"]}
    assert running["DPDK"].count(".") >= 1 and running["libbpf"] and running["libnl"]
    assert "OpenSSL" in {library["name"] for library in told["sluice-cp"]["libraries"] if library["running"]}
