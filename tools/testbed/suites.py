"""Builds, runs every suite, counts. Called by tools/test, which says what the suites are."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml
from dataclasses import dataclass, field

from testbed import fuzzing
from testbed.child import SANITIZERS, die_with_parent

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUITES = ["includes", "build", "unit", "packet", "fuzz", "asan", "e2e"]
BUILDS = {"gcc": ROOT / "build", "asan": ROOT / "build-asan"}


@dataclass
class Outcome:
    """What one program or check came to."""

    suite: str
    name: str
    passed: int = 0
    seconds: float = 0.0
    failures: list = field(default_factory=list)  # (test, text)
    skips: list = field(default_factory=list)  # (test, reason)
    remark: str = ""

    def count(self, test, failures, skip):
        """Adds one test, as junit_cases() gives it."""
        if failures:
            self.failures.append((test, "\n".join(failures)))
        elif skip is not None:
            self.skips.append((test, skip))
        else:
            self.passed += 1


def junit_cases(report):
    """(group, name, seconds, failure texts, reason of skipping or None) of each test in a JUnit file; none if there is no file."""
    if not report.exists():
        return
    for case in xml.parse(report).getroot().iter("testcase"):
        failures = [part.text or part.get("message", "") for part in case if part.tag in ("failure", "error")]
        skip = None
        if case.find("skipped") is not None:
            skip = " ".join((case.find("skipped").get("message") or "no reason given").split())
        elif case.get("status") == "notrun":
            skip = "disabled"
        yield case.get("classname", ""), case.get("name", ""), float(case.get("time", 0)), failures, skip


class Runner:
    """Runs child processes one at a time and takes the current one down when it is told to stop."""

    def __init__(self):
        self.child = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self.stop)

    def stop(self, number, _frame):
        if self.child and self.child.poll() is None:
            # SIGINT: pytest then runs its tear-downs.
            self.child.send_signal(signal.SIGINT)
            try:
                self.child.wait(timeout=90)
            except subprocess.TimeoutExpired:
                self.child.kill()
        print(f"interrupted by {signal.Signals(number).name}", flush=True)
        raise SystemExit(128 + number)

    def run(self, command, *, log, env=None, timeout=1800, cwd=ROOT):
        """Runs a command with its output in the file `log`; returns its exit code, or a sentence why there is none."""
        with open(log, "wb") as out:
            self.child = subprocess.Popen(
                command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})}, preexec_fn=die_with_parent)
            try:
                return self.child.wait(timeout=timeout)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
                return f"killed after {timeout} s without an end"


def tail(path, lines=60):
    try:
        return "\n".join(pathlib.Path(path).read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def indented(text, most=30):
    """The last lines of a failure's text, to stand under its name."""
    return "\n".join(f"           {line[:200]}" for line in text.rstrip().splitlines()[-most:])


class Tests:
    def __init__(self, work):
        self.work, self.runner, self.outcomes = work, Runner(), []
        self.built = {}

    def add(self, outcome):
        self.outcomes.append(outcome)
        verdict = "FAILED" if outcome.failures else "ok"
        print(f"  {outcome.suite:<9} {outcome.name:<28} {outcome.passed:>6} passed {len(outcome.failures):>4} failed "
              f"{outcome.seconds:>7.1f} s  {verdict}{outcome.remark and ': ' + outcome.remark}", flush=True)
        for test, text in outcome.failures:
            print(f"\n--- {outcome.suite}: {test}\n{text.rstrip()}\n---\n", flush=True)

    def single(self, suite, name, command, **how):
        """A check that is one test: a command that must end with 0."""
        log = self.work / f"{suite}-{name}.log".replace(" ", "_")
        start = time.monotonic()
        code = self.runner.run(command, log=log, **how)
        outcome = Outcome(suite, name, int(code == 0), time.monotonic() - start)
        if code != 0:
            outcome.failures.append((name, f"{tail(log)}\n(exit: {code})"))
        self.add(outcome)
        return code == 0

    def build(self, kind):
        """Builds once; later calls return the same verdict."""
        if kind not in self.built:
            name = {"gcc": "gcc, -Werror", "asan": "clang, -Werror, sanitizers"}[kind]
            self.built[kind] = self.single("build", name, [ROOT / "tools/build", BUILDS[kind], kind], timeout=3600)
        return self.built[kind]

    def executables(self, kind, suites):
        """meson's tests of the named suites (unit, packet, fuzz), told by where their executable is."""
        found = subprocess.run(["meson", "introspect", "--tests", BUILDS[kind]], capture_output=True, text=True, check=True)
        tests = []
        for test in json.loads(found.stdout):
            place = pathlib.Path(test["cmd"][0])
            parts = place.relative_to(BUILDS[kind]).parts if place.is_relative_to(BUILDS[kind]) else ()
            suite = next((part for part in parts if part in suites), None)
            if suite:
                tests.append((suite, test))
        return sorted(tests, key=lambda entry: (suites.index(entry[0]), entry[1]["name"]))

    def programs(self, kind, suites, label=None):
        if not self.build(kind):
            self.add(Outcome(label or suites[0], "not run", failures=[("not run", f"the {kind} build failed")]))
            return
        tests = self.executables(kind, suites)
        for suite in suites:
            if not any(found == suite for found, _ in tests):
                self.add(Outcome(label or suite, suite, failures=[(suite, "no test program was built")]))
        for suite, test in tests:
            self.program(kind, label or suite, test)

    def program(self, kind, suite, test):
        """Runs one test executable; Google Test says what each of its tests came to."""
        if fuzzing.is_target(test):
            self.fuzz(suite, test)
            return
        log, report = self.work / f"{suite}-{test['name']}.log", self.work / f"{suite}-{test['name']}.xml"
        env = {**test["env"], **(SANITIZERS if kind == "asan" else {})}
        command = list(test["cmd"])
        if test["protocol"] != "gtest":
            self.single(suite, test["name"], command, env=env)
            return
        start = time.monotonic()
        code = self.runner.run([*command, f"--gtest_output=xml:{report}"], log=log, env=env, cwd=test["workdir"] or ROOT)
        outcome = Outcome(suite, test["name"], seconds=time.monotonic() - start)
        for group, name, _, failures, skip in junit_cases(report):
            outcome.count(f"{group}.{name}", failures, skip)
        if code != 0 and not outcome.failures:
            # It crashed, hung, or a sanitizer ended it: there is no report, or one that leaves this out.
            outcome.failures.append((test["name"], f"{tail(log)}\n(exit: {code})"))
        self.add(outcome)

    def fuzz(self, suite, test):
        """Runs a libFuzzer target's corpus, then looks for more for some seconds, by the same choices each time."""
        target, log, name = fuzzing.Target.of_test(test), self.work / f"{suite}-{test['name']}.log", test["name"]
        fresh, found = (pathlib.Path(tempfile.mkdtemp(dir=self.work)) for _ in range(2))
        outcome, start = Outcome(suite, name), time.monotonic()

        def run(command):
            return self.runner.run(command, log=log, env=SANITIZERS)

        with fuzzing.Alarm(log, float(os.environ.get("SLUICE_FUZZ_SECONDS", 8)), lambda: self.runner.child):
            code = run(target.command(1, fresh, found))
        text = log.read_text(errors="replace")
        corpus = fuzzing.in_corpus(text) or 0
        if code != 0 and not fuzzing.only_waited(target, found, run):
            outcome.failures.append((name, f"{fuzzing.excerpt(text)}\n(exit: {code})\n{fuzzing.reproducers(found)}"))
        elif code != 0:
            outcome.remark = "the machine stood still meanwhile"
        elif (more := fuzzing.executions(text) - corpus) > 0:
            outcome.remark = f"{more} inputs beyond the corpus"
        else:
            outcome.failures.append((name, "no input beyond the corpus was tried"))
        outcome.passed, outcome.seconds = int(not outcome.failures), time.monotonic() - start
        self.add(outcome)

    def e2e(self, arguments):
        if not self.build("gcc"):
            self.add(Outcome("e2e", "not run", failures=[("not run", "the gcc build failed")]))
            return
        report, log = self.work / "e2e.xml", self.work / "e2e.log"
        start = time.monotonic()
        command = ["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "-q", f"--junitxml={report}",
                   "--override-ini=junit_family=xunit2", *arguments, ROOT / "test/e2e"]
        code = self.runner.run(command, log=log, timeout=3600, env={"PYTHONPATH": f"{ROOT / 'tools'}:{ROOT / 'test/e2e'}"})
        files = {}
        for group, name, seconds, failures, skip in junit_cases(report):
            module = group.rpartition(".")[2] or name
            outcome = files.setdefault(module, Outcome("e2e", module))
            outcome.seconds += seconds
            outcome.count(f"{module}.{name}", failures, skip)
        for outcome in files.values():
            self.add(outcome)
        no_tests_matched = 5
        if not any(outcome.failures for outcome in files.values()) and code not in (0, no_tests_matched if arguments else 0):
            self.add(Outcome("e2e", "pytest", 0, time.monotonic() - start, [("pytest", f"{tail(log)}\n(exit: {code})")]))

    def run(self, suites, arguments):
        for suite in suites:
            if suite == "includes":
                self.single("includes", "arrows", [ROOT / "tools/check_includes"])
            elif suite == "build":
                for kind in BUILDS:
                    self.build(kind)
            elif suite == "asan":
                self.programs("asan", ["unit", "packet", "fuzz"], "asan")
            elif suite == "e2e":
                self.e2e(arguments)
            else:
                self.programs("gcc", [suite])

    def summary(self):
        """Prints the table of suites and the last line; returns the exit code."""
        print(f"\n  {'suite':<12}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
        for suite in SUITES:
            mine = [outcome for outcome in self.outcomes if outcome.suite == suite]
            if mine:
                print(f"  {suite:<12}{sum(o.passed for o in mine):>8}{sum(len(o.failures) for o in mine):>8}"
                      f"{sum(len(o.skips) for o in mine):>9}{sum(o.seconds for o in mine):>9.0f}")
        for outcome in self.outcomes:
            for test, reason in outcome.skips:
                print(f"  skipped: {outcome.suite}: {test}: {reason}")
            for test, text in outcome.failures:
                # The text again, in short: of a long log often only the end is kept.
                print(f"  FAILED:  {outcome.suite}: {test}\n{indented(text)}")
        passed = sum(outcome.passed for outcome in self.outcomes)
        failed = sum(len(outcome.failures) for outcome in self.outcomes)
        skipped = sum(len(outcome.skips) for outcome in self.outcomes)
        print(f"\n{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)
        return 1 if failed or not passed else 0


def main():
    words = sys.argv[1:]
    arguments = words[words.index("--") + 1:] if "--" in words else []
    suites = words[:words.index("--")] if "--" in words else words
    unknown = [suite for suite in suites if suite not in SUITES]
    if unknown:
        sys.exit(f"test: no suite {', '.join(unknown)}; there are: {' '.join(SUITES)}")
    work = pathlib.Path(tempfile.mkdtemp(prefix="sluice-test-"))
    try:
        tests = Tests(work)
        tests.run([suite for suite in SUITES if not suites or suite in suites], arguments)
        return tests.summary()
    finally:
        subprocess.run([ROOT / "tools/lab", "down", "--stale"], check=False)
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
