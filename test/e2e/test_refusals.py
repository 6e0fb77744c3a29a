"""What cannot work is refused: one clear sentence, exit code 1, nothing half-started.

    client   sluice (refuses)   s1, s2, s3
"""

import json
import re

import pytest

from testbed import balancer
from test_kill import remains


@pytest.fixture
def refused(site):
    """Function: runs sluice with a configuration and returns its sentence after checking that it gave up cleanly."""
    def run(config, *prefix):
        site.sluice = balancer.Balancer(site.lab, config)
        if isinstance(config, str):
            site.sluice.config.write_text(config)
        return outcome(site, site.sluice.attempt(*prefix))

    return run


def outcome(site, done):
    assert done.returncode == 1, done.stderr
    complaints = [line for line in done.stderr.splitlines() if " error: " in line or line.startswith(("sluice", str(site.lab.state)))]
    assert complaints, f"no sentence, but: {done.stderr}"
    assert remains(site) == []
    return done.stderr


def config(site, **changes):
    return {"ports": balancer.ports_for(site.lab), "services": [site.service("web")], **changes}


def test_a_wrong_configuration_names_the_place_and_the_remedy(site, refused):
    text = json.dumps(config(site), indent=2).replace('"services"', '"servces"')
    line = next(number for number, row in enumerate(text.splitlines(), 1) if "servces" in row)
    said = refused(text)
    assert re.search(rf"sluice\.json:{line}:\d+: .*servces.*did you mean \"services\"", said), said
    checked = site.sluice.cli("check", site.sluice.config, check=False)
    assert checked.returncode == 1 and f"sluice.json:{line}:" in checked.stderr


def test_text_that_is_no_json(refused):
    assert re.search(r"sluice\.json:1:\d+: ", refused('{ "ports": [ }'))


def test_a_missing_interface(site, refused):
    said = refused(config(site, ports=[{"name": "lan", "device": f"{site.lab.device}:nosuch0"}]))
    assert "nosuch0" in said and "lan" in said  # the one that is wrong, and those that exist


def test_no_permission(site, refused):
    site.lab.state.chmod(0o777)
    said = refused(config(site), "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
    assert re.search(r"root|CAP_|permi", said), said


def test_a_second_instance_on_the_same_runtime_directory(site):
    site.serve()
    site.balance(*site.both_families("web"))
    done = site.sluice.attempt()
    assert done.returncode == 1
    assert str(site.sluice.process.pid) in done.stderr and str(site.sluice.runtime) in done.stderr
    assert set(site.get()) == {"web1", "web2", "web3"}  # the first one goes on


def test_a_second_instance_on_the_same_interface(site):
    site.serve()
    site.balance(*site.both_families("web"))
    done = site.sluice.attempt(runtime=site.lab.state / "second")
    assert done.returncode == 1 and site.lab.nics[0] in done.stderr
    assert set(site.get()) == {"web1", "web2", "web3"}


def test_without_hugepages_it_runs_and_says_what_that_costs(site):
    site.serve()
    site.balance(*site.both_families("web"), dataplane={"hugepages": "off"})
    assert set(site.get()) == {"web1", "web2", "web3"}
    assert re.search(r"[Hh]ugepages", site.lab.read(site.sluice.log))
