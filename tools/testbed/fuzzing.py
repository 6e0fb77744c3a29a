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
# A unit that takes longer, or more memory, is a finding, too.
LIMITS = ["-timeout=60", "-rss_limit_mb=2048", "-malloc_limit_mb=1024"]
# Of CPU time: those that take milliseconds for an input get more of it. Others: 1.
SHARES = {"pipeline": 6, "replay": 2, "config": 2}
CORPUS_BYTES = 150_000  # of one target's corpus, at most


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

    def command(self, seconds, seed, fresh, found):
        """Runs the corpus, then looks for `seconds` (from its start) for more; new inputs go to the directory `fresh`,
        what breaks it to `found`."""
        given = [path for path in (self.corpus, *self.seeds) if path.is_dir()]
        return [self.program, *self.options, *LIMITS, f"-seed={seed}", f"-max_total_time={max(1, int(seconds))}",
                f"-artifact_prefix={found}/", "-print_final_stats=1", str(fresh), *map(str, given)]


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


@dataclass
class Result:
    """What all runs of one target came to."""

    target: Target
    executions: int = 0
    coverage: int = 0
    fresh: int = 0
    cpu: float = 0.0
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
        result, fresh, found = Result(target), self.work / target.name, FOUND / target.name
        fresh.mkdir()
        found.mkdir(parents=True, exist_ok=True)
        before = set(found.iterdir())
        # Wall-clock time is not CPU time where others want the CPU, too.
        while seconds - result.cpu >= 1 and not self.stopped:
            log = self.work / f"{target.name}.log"
            code, cpu = self.child(target.command(seconds - result.cpu, self.seed, fresh, found), log)
            text = log.read_text(errors="replace")
            result.cpu += cpu
            result.executions += int((re.findall(r"number_of_executed_units: (\d+)", text) or [0])[-1])
            result.coverage = max([result.coverage, *map(int, re.findall(r" cov: (\d+)", text))])
            self.seed += 1
            if code != 0 and not self.stopped:
                result.failures.append("\n".join(text.splitlines()[-60:]) + f"\n(exit: {code})")
                break
        result.fresh = len(list(fresh.iterdir()))
        result.found = sorted(set(found.iterdir()) - before)
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
        """Makes the corpus the least that reaches what it and the new inputs reach beyond the seeds; returns its size."""
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
        target.corpus.mkdir(parents=True, exist_ok=True)
        for path in target.corpus.iterdir():
            path.unlink()
        total = 0
        for path in units:
            total += path.stat().st_size
            if total > CORPUS_BYTES:
                break
            shutil.copy(path, target.corpus)
        return sum(path.stat().st_size for path in target.corpus.iterdir())


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
                print(f"\n  {'target':<10}{'executions':>12}{'coverage':>10}{'new units':>11}{'CPU s':>8}{'broken':>8}", flush=True)
                longest_first = sorted(chosen, key=lambda target: -SHARES.get(target.name, 1))
                runs = [pool.submit(fuzzing.run, target, one * SHARES.get(target.name, 1)) for target in longest_first]
                for done in concurrent.futures.as_completed(runs):
                    result = done.result()
                    results.append(result)
                    print(f"  {result.target.name:<10}{result.executions:>12}{result.coverage:>10}{result.fresh:>11}"
                          f"{result.cpu:>8.0f}{len(result.failures):>8}", flush=True)
            except BaseException:
                fuzzing.stop()
                raise
        for result in results:
            for text in result.failures:
                print(f"\n--- {result.target.name}\n{text}")
                for path in result.found:
                    print(f"again: {result.target.program} {path}")
            if options.keep:
                print(f"  {result.target.name}: its corpus has {fuzzing.keep(result.target)} bytes")
    return 1 if any(result.failures for result in results) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
