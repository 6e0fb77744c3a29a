"""wrk: HTTP load, and what it counted, failures of every kind included."""

import re
from dataclasses import asdict, dataclass

from testbed.lab import LabError, http


@dataclass
class Load:
    requests: int
    seconds: float
    requests_per_second: float
    failed: int  # socket errors of all kinds, time-outs, and answers other than 2xx and 3xx
    detail: str  # wrk's own words about failures; empty: none

    def as_json(self):
        return asdict(self)


def parse_wrk(text):
    """Reads wrk's report. Raises LabError when it is none: no number is made up."""
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m|h)", text)
    rate = re.search(r"Requests/sec:\s*([\d.]+)", text)
    if not total or not rate:
        raise LabError(f"wrk gave no report: {text.strip() or 'no output'}")
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}[total[3]]
    failed, detail = 0, []
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    if errors:
        failed += sum(map(int, errors.groups()))
        detail.append(errors[0])
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    if refused:
        failed += int(refused[1])
        detail.append(refused[0])
    return Load(int(total[1]), float(total[2]) * unit, float(rate[1]), failed, "; ".join(detail))


def wrk_command(address, *, seconds, connections=32, threads=1, path="/", close=False, port=80):
    header = ["-H", "Connection: close"] if close else []
    return ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "5s", *header,
            f"http://{http(address)}:{port}{path}"]


def run_wrk(lab, address, *, node="client", **options):
    """Loads an address from the client; `close`: a connection per request."""
    done = lab.run(node, *wrk_command(address, **options), check=False, timeout=options["seconds"] + 60)
    return parse_wrk(done.stdout + done.stderr)
