"""Two VRRP speakers (vrrp_peers.py) that meet, and who of them is master."""

from concurrent.futures import ThreadPoolExecutor

from testbed.lab import LabError, wait_for
from vrrp_peers import Adverts, instance


class Match:
    """Two speakers in a lab of their own. `changes`: of the settings, at each; there "others": further instances."""

    def __init__(self, lab, kinds, settings, changes=({}, {})):
        self.lab, self.speakers = lab, []
        for number, (kind, change) in enumerate(zip(kinds, changes)):
            mine = {"priority": (90, 80)[number], **settings, **change}
            if mine.pop("unicast", False):
                hosts = [f"{lab.front4}.2", f"{lab.front4}.3"]
                mine |= {"unicast_src_ip": hosts[number], "unicast_peer": [hosts[1 - number]]}
            others = [instance(lab, **{"priority": mine["priority"], **settings, **other}) for other in mine.pop("others", [])]
            self.speakers.append(kind(lab, f"lb{number + 1}", instance(lab, **mine), *others))

    def start(self):
        for speaker in self.speakers:
            speaker.start()
        return self.speakers

    def masters(self):
        return [speaker.node for speaker in self.speakers if speaker.process and speaker.process.poll() is None and speaker.is_master()]

    def becomes(self, *masters, after):
        """These are the masters before long, and still are when two more adverts have been sent.

        With adverts every 100 ms, a machine that stands still for 0.4 s makes the backup take over for a moment, as
        the protocol wants it; so an election that does not last is waited for again, twice."""
        def told():
            logs = "\n".join(f"--- {speaker.kind} at {speaker.node}\n{speaker.text()[-2500:]}" for speaker in self.speakers)
            return f"{list(masters)} to be master after {after}; {self.masters()} is.\n{logs}"

        for _ in range(3):
            try:
                wait_for(lambda: self.masters() == list(masters), "the election", 30, every=0.1)
            except LabError as error:
                raise AssertionError(told()) from error
            with Adverts(self.lab) as adverts:
                wait_for(lambda: adverts.count() >= 2 * len(masters), "two more adverts", every=0.1)
            if self.masters() == list(masters):
                return
        raise AssertionError(f"three times, it did not last: {told()}")

    def succession(self, end):
        """The master, lb1, ends by its method `end`, and lb2 succeeds it. Returns lb1's last advert and lb2's first."""
        one, two = self.speakers
        sources = [str(speaker.source()) for speaker in self.speakers]
        with Adverts(self.lab, "succession.pcapng") as adverts:
            wait_for(lambda: adverts.count() >= 1, "an advert of the master", every=0.1)
            end()
            self.becomes(two.node, after=f"the master's {end.__name__}")
        seen = list(adverts.read())
        last, first = [[row for row in seen if row.source == source] for source in sources]
        return last[-1], first[0]


def side_by_side(request, play):
    """For a fixture: plays all rows of the module that ask for it; they wait most of the time, so all go at once.
    Yields {(a row's arguments): future of what play(*arguments) returns}."""
    asked = [tuple(item.callspec.params.values()) for item in request.session.items
             if item.module is request.module and request.fixturename in item.fixturenames]
    with ThreadPoolExecutor(12) as pool:
        yield {row: pool.submit(play, *row) for row in asked}
