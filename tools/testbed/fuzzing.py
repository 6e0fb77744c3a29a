"""The libFuzzer targets: which there are, and runs of them. Called by tools/fuzz, which says what they are."""

import argparse
import base64
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field

from testbed.child import SANITIZERS, die_with_parent

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build-asan"
FOUND = BUILD / "found"
SUFFIX = "_libfuzzer"
# A unit that takes longer, or more memory, is a finding, too; one that is merely slow is none.
LIMITS = ["-timeout=60", "-report_slow_units=60", "-rss_limit_mb=2048", "-malloc_limit_mb=1024"]
# Of CPU time: those that take milliseconds for an input get more of it. Others: 1.
SHARES = {"pipeline": 6, "replay": 2, "config": 2}
# Of one target's corpus, at most. Others: 150 kB.
CORPUS_BYTES = {"pipeline": 300_000}
# So often may a target be broken off by a unit that has only waited.
MOST_WAITS = 3


@dataclass
class Target:
    """One of test/fuzz/meson.build: its options, its corpus, and directories of further seeds."""

    name: str
    program: str
    options: list
    corpus: pathlib.Path
    seeds: list

    @classmethod
    def of_test(cls, test):
        """As meson lists its tests."""
        program, *arguments = test["cmd"]
        options = [word for word in arguments if word.startswith("-") and not word.startswith("-runs=")]
        corpus, *seeds = (pathlib.Path(word) for word in arguments if not word.startswith("-"))
        return cls(test["name"].removesuffix(SUFFIX), program, options, corpus, seeds)

    def command(self, seed, fresh, found, *options):
        """Runs the corpus, then looks for more until it is told to end; new inputs go to the directory `fresh`, what breaks
        it to `found`."""
        given = [path for path in (self.corpus, *self.seeds) if path.is_dir()]
        return [self.program, *self.options, *LIMITS, *options, f"-seed={seed}", f"-artifact_prefix={found}/",
                "-print_final_stats=1", str(fresh), *map(str, given)]

    def again(self, unit, found):
        """Runs one input."""
        return [self.program, *self.options, *LIMITS, f"-artifact_prefix={found}/", str(unit)]


def is_target(test):
    return test["name"].endswith(SUFFIX)


def targets():
    """Those of the build with sanitizers, which must be configured."""
    found = subprocess.run(["meson", "introspect", "--tests", BUILD], capture_output=True, text=True, check=True)
    return [Target.of_test(test) for test in json.loads(found.stdout) if is_target(test)]


def reproducers(directory):
    """What broke a target, as text for a log: the bytes, to be decoded by base64 -d."""
    return "\n".join(f"{path.name}: {path.stat().st_size} bytes, in base64: {base64.b64encode(path.read_bytes()).decode()}"
                     for path in sorted(pathlib.Path(directory).iterdir()))


def executions(log):
    return int((re.findall(r"number_of_executed_units: (\d+)", log) or [0])[-1])


def in_corpus(log):
    """Inputs that a target has run when it begins to look for others; None: it has not got there."""
    begun = re.search(r"^#(\d+)\s+INITED ", log, re.MULTILINE)
    return begun and int(begun[1])


class Alarm(threading.Thread):
    """Ends a target some seconds after it has run its corpus, which takes as long as the machine has others to serve.
    `child`: gives its process. To be used in a `with` around its run."""

    def __init__(self, log, seconds, child):
        super().__init__(daemon=True)
        self.log, self.seconds, self.child, self.over = log, seconds, child, threading.Event()

    def run(self):
        end = None
        while not self.over.wait(0.1):
            if end is not None and time.monotonic() >= end:
                self.child().send_signal(signal.SIGUSR1)  # libFuzzer: exits as soon as the input at hand is done with
                return
            if end is None and self.log.exists() and in_corpus(self.log.read_text(errors="replace")) is not None:
                end = time.monotonic() + self.seconds

    def __enter__(self):
        self.start()

    def __exit__(self, *_):
        self.over.set()
        self.join()


def excerpt(log, tail=25):
    """What a log says of a failure: its last lines, then what failed first, which is often long before."""
    lines = log.splitlines()
    first = next((n for n, line in enumerate(lines) if re.search(r": Failure$|^==\d+==\s?ERROR|: runtime error: ", line)), None)
    text = lines[-tail:]
    if first is not None:
        text += ["first of all:", *(line[:1000] for line in lines[first:first + 12])]
    return "\n".join(text)


def only_waited(target, found, run):
    """Whether nothing broke, but units took too long that do not do so when they are run again: then the machine stood
    still meanwhile (its clock goes on), and they are renamed to waited-…. `run`: a command to its exit code; anything
    but a number: it was stopped."""
    broken = [path for path in sorted(found.iterdir()) if not path.name.startswith(("waited-", "slow-unit-"))]
    if not broken or not all(path.name.startswith("timeout-") for path in broken):
        return False
    if any(run(target.again(path, found)) != 0 for path in broken):
        return False
    for path in broken:
        path.rename(path.with_name(f"waited-{path.name}"))
    return True


@dataclass
class Result:
    """What all runs of one target came to."""

    target: Target
    executions: int = 0
    coverage: int = 0
    fresh: int = 0
    cpu: float = 0.0
    waits: int = 0  # runs broken off because the machine stood still
    failures: list = field(default_factory=list)  # texts
    found: list = field(default_factory=list)  # paths


class Fuzzing:
    """Runs targets, several at once, each until it has had its share of CPU time or has broken."""

    def __init__(self, work, seed):
        self.work, self.seed = work, seed
        self.children, self.lock, self.stopped = set(), threading.Lock(), False

    def stop(self):
        with self.lock:
            self.stopped = True
            for child in self.children:
                child.terminate()

    def run(self, target, seconds):
        result, fresh, found = Result(target), self.work / target.name, self.work / f"{target.name}.found"
        fresh.mkdir()
        found.mkdir()
        log, seed = self.work / f"{target.name}.log", self.seed

        def again(command):
            code, cpu = self.child(command, self.work / f"{target.name}.again.log")
            result.cpu += cpu
            return None if self.stopped else code

        # Wall-clock time is not CPU time where others want the CPU, too.
        while not self.stopped:
            code, cpu = self.child(target.command(seed, fresh, found, f"-max_total_time={max(1, int(seconds - result.cpu))}"), log)
            text = log.read_text(errors="replace")
            result.cpu += cpu
            result.executions += executions(text)
            result.coverage = max([result.coverage, *map(int, re.findall(r" cov: (\d+)", text))])
            seed += 1
            if code != 0 and not self.stopped:
                if result.waits < MOST_WAITS and only_waited(target, found, again):
                    result.waits += 1
                elif not self.stopped:
                    result.failures.append(f"{excerpt(text)}\n(exit: {code})")
                    break
            if seconds - result.cpu < 1:
                break
        result.fresh = len(list(fresh.iterdir()))
        # What was found before, too, is told again.
        for path in sorted(found.iterdir()):
            kept = FOUND / target.name / path.name
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, kept)
            result.found.append(kept)
        return result

    def child(self, command, log):
        """Exit code and CPU seconds of a command."""
        with open(log, "wb") as out:
            with self.lock:
                if self.stopped:
                    return 0, 0.0
                child = subprocess.Popen(command, cwd=self.work, stdin=subprocess.DEVNULL, stdout=out,
                                         stderr=subprocess.STDOUT, env={**os.environ, **SANITIZERS},
                                         preexec_fn=die_with_parent)
                self.children.add(child)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            with self.lock:
                self.children.discard(child)
        return child.returncode, usage.ru_utime + usage.ru_stime

    def keep(self, target):
        """Makes the corpus the least that reaches what it and the new inputs reach beyond the seeds, as
        much of that as there is room for, shortest first; says how large it is."""
        merged, log = self.work / f"{target.name}.merged", self.work / f"{target.name}.merge.log"
        merged.mkdir()
        given = set()
        for seeds in target.seeds:
            for path in seeds.iterdir():
                given.add(shutil.copy(path, merged))
        sources = [path for path in (target.corpus, self.work / target.name) if path.is_dir()]
        code, _ = self.child([target.program, *target.options, *LIMITS, "-merge=1", str(merged), *map(str, sources)], log)
        if code != 0:
            raise SystemExit(f"fuzz: {target.name}: the corpora could not be merged: {log.read_text(errors='replace')[-2000:]}")
        units = sorted((path for path in merged.iterdir() if str(path) not in given), key=lambda path: path.stat().st_size)
        # Written beside, so that no interruption loses what there was.
        beside, before = (target.corpus.with_name(f"{target.corpus.name}.{word}") for word in ("new", "old"))
        for rest in (beside, before):
            shutil.rmtree(rest, ignore_errors=True)
        beside.mkdir(parents=True)
        total, left_out, most = 0, [], CORPUS_BYTES.get(target.name, 150_000)
        for path in units:
            size = path.stat().st_size
            if total + size > most:
                left_out.append(size)
            else:
                total += size
                shutil.copy(path, beside)
        if target.corpus.exists():
            target.corpus.rename(before)
        beside.rename(target.corpus)
        shutil.rmtree(before, ignore_errors=True)
        if not left_out:
            return f"{total} bytes"
        return f"{total} bytes; left out, since it may have {most}: {len(left_out)} inputs of {min(left_out)} to {max(left_out)} bytes"

def arguments():
    parser = argparse.ArgumentParser(prog="fuzz", usage="tools/fuzz [TARGET…] [--minutes N] [--jobs N] [--seed N] [--keep]")
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    if options.minutes <= 0 or options.jobs < 1 or options.seed < 1:
        parser.error("--minutes, --jobs and --seed are more than 0")
    return options


def build(names):
    """Builds the targets named, else all; returns them."""
    if not (BUILD / "build.ninja").exists():  # only a configured build tells which targets there are
        subprocess.run([ROOT / "tools/build", BUILD, "asan", "base/libsluice_base.a"], check=True)
    known = {target.name: target for target in targets()}
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"fuzz: no target {', '.join(unknown)}; there are: {' '.join(sorted(known))}")
    chosen = [known[name] for name in dict.fromkeys(names)] or list(known.values())
    subprocess.run([ROOT / "tools/build", BUILD, "asan", *(f"test/fuzz/{target.name}{SUFFIX}" for target in chosen)], check=True)
    return chosen


def main():
    options = arguments()
    chosen = build(options.targets)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    one = options.minutes * 60 / sum(SHARES.get(target.name, 1) for target in chosen)
    print(f"{len(chosen)} targets, {options.minutes:g} minutes of CPU time, {options.jobs} at once, seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="sluice-fuzz-") as work:
        fuzzing = Fuzzing(pathlib.Path(work), options.seed)
        results = []
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            try:
                print(f"\n  {'target':<10}{'executions':>12}{'coverage':>10}{'new units':>11}{'CPU s':>8}{'waited':>8}{'broken':>8}", flush=True)
                longest_first = sorted(chosen, key=lambda target: -SHARES.get(target.name, 1))
                runs = [pool.submit(fuzzing.run, target, one * SHARES.get(target.name, 1)) for target in longest_first]
                for done in concurrent.futures.as_completed(runs):
                    result = done.result()
                    results.append(result)
                    print(f"  {result.target.name:<10}{result.executions:>12}{result.coverage:>10}{result.fresh:>11}"
                          f"{result.cpu:>8.0f}{result.waits:>8}{len(result.failures):>8}", flush=True)
            except BaseException:
                fuzzing.stop()
                raise
        for result in results:
            for text in result.failures:
                print(f"\n--- {result.target.name}\n{text}")
                for path in result.found:
                    print(f"again: {result.target.program} {path}")
            if options.keep:
                print(f"  {result.target.name}: its corpus has {fuzzing.keep(result.target)}")
    return 1 if any(result.failures for result in results) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
