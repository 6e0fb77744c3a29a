"""A client sees nothing of a server that refuses, says that it is unreachable, is silent, or whose host is gone.

    client -- sluice -- s1, s2, s3
"""

FILTER = "add table inet trouble; add chain inet trouble in { type filter hook input priority 0; }; add rule inet trouble in tcp dport 80 "
TROUBLES = ["reject with tcp reset", "reject", "drop"]


def drops(site):
    return {row["reason"]: row["packets"] for row in site.sluice.show("drops")}


def test_another_server_stands_in(make_site):
    site = make_site(servers=3).serve()
    site.balance(*site.both_families(timeouts={"connect": "500ms"}), workers=2)
    for trouble in TROUBLES:
        site.lab.run("s2", "nft", FILTER + trouble)
        for family in 4, 6:
            before = drops(site)["retried"]
            answers = site.get(family, requests=9)
            assert set(answers) == {"web1", "web3"}, (trouble, answers)
            assert trouble == "drop" or drops(site)["retried"] > before, "what the server answered was kept from the client"
        site.lab.run("s2", "nft", "delete table inet trouble")
    assert set(site.get(requests=9)) == {"web1", "web2", "web3"}

    interface = site.lab.run("s2", "ip", "-o", "route", "get", site.lab.vip4).stdout.split(" dev ")[1].split()[0]
    site.lab.run("s2", "ip", "link", "set", interface, "down")
    for family in 4, 6:
        assert set(site.get(family, requests=9)) == {"web1", "web3"}
