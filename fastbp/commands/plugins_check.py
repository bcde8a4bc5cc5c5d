"""`fastbp plugins check`: the conformance kit on each plugin, in a process of its own.

A plugin may crash, hang, leave or print what it likes: this process never loads one. The worker
(`fastbp.commands.check_part`) writes what happens, line by line, into a file; from its last line
one sees how far it came.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from fastbp import registry
from fastbp.errors import ConfigError, UnknownNameError
from fastbp.registry import Description

# The worker looks for modules where this process does, and nowhere else: the folder it is started
# in may hold the source of the very plugin that is to be checked as installed.
WORKER = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from fastbp.commands.check_part import main; main(*sys.argv[2:])"
)
LAST_WORDS = 12  # how many lines of a crashed plugin's output are shown


def run(options: argparse.Namespace) -> None:
    """Check the plugins asked for and print how each fared; exit code 1 when one does not pass."""
    if not 0 < options.timeout < 1e6:
        raise ConfigError(f"--timeout: got {options.timeout:g}; wanted a number of seconds > 0")
    reports = []
    for part in wanted(options.name):
        reports.append(check(part, options.timeout))
        if not options.json:
            print(text(reports[-1]), flush=True)
    good = sum(report["state"] == "passed" for report in reports)
    if options.json:
        print(json.dumps({"plugins": reports}))
    else:
        print(f"{good} of {len(reports)} passed" if reports else "no plugins are installed")
    sys.stdout.flush()
    if good < len(reports):
        raise SystemExit(1)


def wanted(name: str | None) -> list[Description]:
    """The parts of this name or this distribution; without a name, all that are not built in."""
    parts = registry.describe()
    if name is None:
        return [part for part in parts if part.state not in ("built-in", "disabled")]
    distribution, _, short = name.rpartition(":")
    found = [part for part in parts if registry.same(part.distribution, name)]
    found += [
        part
        for part in parts
        if part.name == short
        and registry.same(part.distribution, distribution or part.distribution)
        if part not in found
    ]
    if not found:
        names = ", ".join(sorted({part.name for part in parts}))
        raise UnknownNameError(
            f"NAME: got {name!r}; wanted a distribution or one of {names}, or none for all plugins"
        )
    off = [part for part in found if part.state == "disabled"]
    if off:
        raise ConfigError(
            f"NAME: {off[0].name!r} of {off[0].distribution} is disabled by FASTBP_DISABLE_PLUGINS"
        )
    return found


def check(part: Description, timeout: float) -> dict[str, Any]:
    """Run the kit on one part in another process, and report what came of it.

    The state is "passed", "failed", "crashed" or "timed out".
    """
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fastbp-") as folder:
        record = Path(folder) / "record"
        with (Path(folder) / "output").open("w+b") as output:
            code = work(part, record, output, timeout)
            output.seek(0)
            words = output.read().decode(errors="replace").splitlines()
        lines = record.read_text("utf-8").splitlines() if record.exists() else []
    events = [json.loads(line) for line in lines if line.endswith("}")]  # the last may be torn
    failures = [{"check": e["failed"], "error": e["error"]} for e in events if "failed" in e]
    name = name_trouble(part)
    if name:
        failures.insert(0, {"check": "name", "error": name})
    begun = [event["begun"] for event in events if "begun" in event]
    error = ""
    if code is None:
        state, error = "timed out", f"still at it after {timeout:g} s, and stopped"
    elif not (events and "done" in events[-1]):
        state, error = "crashed", died_of(code)
        error += "".join(f"\n| {line}" for line in last_words(words))
    else:
        state = "failed" if failures else "passed"
    if error:
        failures.append({"check": begun[-1] if begun else "starting", "error": error})
    return {
        "kind": part.kind,
        "name": part.name,
        "distribution": part.distribution,
        "version": part.version,
        "state": state,
        "checks": len(begun),
        "failures": failures,
        "seconds": round(time.monotonic() - start, 3),
    }


def name_trouble(part: Description) -> str:
    """Why users who ask for the part by its name do not get it; nothing where they do."""
    if part.state == "shadowed":
        return (
            f"got {part.name!r}, the name of a built-in part, which wins; wanted a name of its own "
            f"({part.distribution + ':' + part.name!r} alone asks for it)"
        )
    if part.state != "conflict":
        return ""
    others = [
        f"{other.distribution} {other.version}"
        for other in registry.describe()
        if (other.kind, other.name, other.state) == (part.kind, part.name, "conflict")
        if other != part
    ]
    return (
        f"got {part.name!r}, which {' and '.join(others) or part.distribution} brings as well, so "
        "that the name alone is an error; wanted a name of its own, or one of them disabled by "
        "FASTBP_DISABLE_PLUGINS"
    )


def work(part: Description, record: Path, output: IO[bytes], timeout: float) -> int | None:
    """Run the worker; its exit code, or None where it was stopped after the timeout."""
    name = part.name if part.state == "built-in" else f"{part.distribution}:{part.name}"
    command = [sys.executable, "-P", "-X", "faulthandler", "-c", WORKER]
    worker = subprocess.Popen(
        [*command, json.dumps(sys.path), part.kind, name, str(record)],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # so that what it starts can be stopped with it
    )
    try:
        return worker.wait(timeout)
    except subprocess.TimeoutExpired:
        return None
    finally:  # also when this process is interrupted, which the worker's session does not hear of
        if worker.returncode is None:
            stop(worker)


def stop(worker: subprocess.Popen[bytes]) -> None:
    """End the worker and what it has started."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(worker.pid, signal.SIGKILL)
    worker.kill()
    worker.wait()


def last_words(lines: list[str]) -> list[str]:
    """Of a process's output, what tells why it died: faulthandler's report, or the last lines."""
    starts = [n for n, line in enumerate(lines) if line.startswith("Fatal Python error")]
    if not starts:
        return lines[-LAST_WORDS:]
    noise = ("Extension modules", '  File "<frozen', '  File "<string>')
    told = [line for line in lines[starts[-1] :] if line and not line.startswith(noise)]
    return told[:LAST_WORDS]


def died_of(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"the process left with exit code {code} in the middle of it"
    try:
        return f"the process died of {signal.Signals(-code).name}"
    except ValueError:
        return f"the process died of signal {-code}"


def text(report: dict[str, Any]) -> str:
    """One report as lines for people."""
    who = "{kind} {name} ({distribution} {version})".format(**report)
    lines = [f"{report['state']:<10}{who}: {report['checks']} checks, {report['seconds']:.1f} s"]
    for failure in report["failures"]:
        first, *rest = f"{failure['check']}: {failure['error']}".splitlines()
        lines += [f"    {first}", *(f"        {line}" for line in rest)]
    return "\n".join(lines)
