"""One, two and four workers over ports with one and two queues do the same; what another worker owns is handed over.

    client -- sluice: 1, 2 or 4 workers <- 1 or 2 queues -- s1, s2, s3
"""

import hashlib

import pytest


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("queues", [1, 2])
def test_same_results_whatever_the_workers(make_site, device, workers, queues, tmp_path):
    payload = tmp_path / "payload"
    payload.write_bytes(bytes(range(256)) * 40_000)
    site = make_site(device=device, queues=queues).serve(dns=True)
    site.listen("s1", "sink", 9000)
    site.balance(*site.both_families("web"), *site.both_families("dns", port=53, protocol="udp"),
                 *site.both_families("sink", port=9000, numbers=[1]), workers=workers, queues=queues)

    assert len(site.sluice.show("workers")) == workers
    for family in (4, 6):
        # Each worker takes its own turns: all are reached, and no server much more than the others.
        for answers in (site.get(family, requests=60), site.resolve(family, queries=60)):
            assert set(answers) == {"web1", "web2", "web3"}
            assert max(answers.values()) - min(answers.values()) <= 2 * workers
        digest = hashlib.sha256(payload.read_bytes()).hexdigest()
        assert site.talk("client", "upload", site.lab.vip(family), 9000, payload) == digest
    if workers > queues:
        assert site.sluice.handed_over() > 0
    if workers == 1:
        assert site.sluice.handed_over() == 0
