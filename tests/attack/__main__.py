"""The attack bench: `make attack MINUTES=60`, one page of counts at the end, exit code 1 where there is a fault.

    python -m tests.attack --files 30000 --networks 5000 --kills 200 --record build/attack/night.jsonl

By minutes, six tenths go to damaged files of every format, two to random networks, two to kills; else each goes on
until there are so many: files of each format, networks, kills. Each part runs in processes of its own, which what it
does may end; that is counted, and what did it is not kept. With a record the counts are those of all runs that wrote
into it, and what is there is not done again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.attack.formats import FORMATS

Line = dict[str, Any]
"""What one process did: `part` ("networks", "kills" or a format), the first number `start`, and its own counts; `ended`
in place of these where it came to no end."""
AT_ONCE = {"networks": 250, "kills": 50}
FILES_AT_ONCE = 10_000


def run(part: str, *arguments: object) -> Line:
    """One process of a part of the bench."""
    module = [part] if part in AT_ONCE else ["fuzz", part]
    line = [sys.executable, "-W", "ignore", "-m", f"tests.attack.{module[0]}", *module[1:], *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, cwd=Path(__file__).resolve().parents[2])
    try:
        found: Line = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        last = done.stderr.strip().splitlines()[-1:] or [""]
        return {"ended": f"{part} {arguments} ended with {done.returncode}: {last[0][:300]}"}
    return found


def done_of(line: Line) -> int:
    """How many files, networks or kills."""
    return int(sum(line["kills"].values()) if "kills" in line else line.get("files", line.get("networks", 0)))


def by_minutes(given: argparse.Namespace) -> Iterator[Line]:
    """Each part for its share of the time."""
    seconds = 60 * given.minutes
    shares = {name: 0.6 / len(FORMATS) for name in FORMATS} | {"networks": 0.2, "kills": 0.2}
    for part, share in shares.items():
        keep = [] if part in AT_ONCE else ["--keep", given.keep]
        found = run(part, "--seconds", share * seconds, "--start", given.start, *keep)
        yield {"part": part, "start": given.start, **found}


def by_number(given: argparse.Namespace, record: Sequence[Line]) -> Iterator[Line]:
    """Each part until there are as many as are asked for, those of the record counted."""
    wanted = {"kills": given.kills, "networks": given.networks} | dict.fromkeys(FORMATS, given.files)
    for part, number in wanted.items():
        before = [line for line in record if line["part"] == part]
        there = sum(map(done_of, before))
        start = max((line["start"] + max(done_of(line), 1) for line in before), default=given.start)
        while there < number:
            count = min(number - there, AT_ONCE.get(part, FILES_AT_ONCE))
            keep = [] if part in AT_ONCE else ["--keep", given.keep]
            found = run(part, "--count", count, "--start", start, *keep)
            yield {"part": part, "start": start, **found}
            there, start = there + count, start + count


def apart(ends: Counter[str]) -> Counter[str]:
    """How networks ended, what each was held against and what not by itself."""
    counts = Counter[str]()
    for how, count in ends.items():
        first, *remarks = how.split("; ")
        _, same, others = first.partition(": the same as ")
        held = [f"the same as {other}" for other in others.split(", ")]
        if not same:
            held = [first.removeprefix("fork: ").removeprefix("original: ")]
        counts.update(dict.fromkeys([*held, *remarks], count))
    return counts


def page(record: Sequence[Line]) -> tuple[str, int]:
    """The counts, as text of 80 columns, and how many faults there are."""
    faults = [line["ended"] for line in record if "ended" in line]
    lines = [f"{'format':22} {'files':>9} {'read':>9} {'refused':>9} {'slowest':>9} {'memory':>9} faults"]
    total = 0
    for name in FORMATS:
        if found := [line for line in record if line["part"] == name and "ended" not in line]:
            bad = [fault for line in found for fault in (*line["untyped"], *line["slow"])]
            faults += [f"{name} {fault}" for fault in bad]
            files, read = (sum(line[key] for line in found) for key in ("files", "read"))
            refused = sum(sum(line["refused"].values()) for line in found)
            slowest, grown = max(line["slowest"] for line in found), max(line["grown"] for line in found) >> 20
            total += files
            lines.append(
                f"{name:22} {files:9,} {read:9,} {refused:9,} {slowest:7.3f} s {grown:5} MiB {len(bad) or ''}".rstrip()
            )
    lines.append(f"{'all':22} {total:9,}\n")
    networks = [line for line in record if line["part"] == "networks" and "ended" not in line]
    ends = sum((Counter(line["ends"]) for line in networks), Counter[str]())
    lines.append(f"random networks: {sum(map(done_of, networks)):,}")
    for how, count in apart(ends).most_common():
        first, *others = textwrap.wrap(how, 70)
        lines += [f"{count:7,} {first}", *(f"{'':10}{other}" for other in others)]
    kills = [line for line in record if line["part"] == "kills" and "ended" not in line]
    killed = sum((Counter(line["kills"]) for line in kills), Counter[str]())
    lines.append(f"\nkills -9: {killed.total():,}")
    for name, count in killed.items():
        ok = {what: all(line["places"][name][what] == "ok" for line in kills) for what in kills[0]["places"][name]}
        others = ", ".join(f"{what} {'ok' if fine else 'FAULT'}" for what, fine in ok.items())
        lines.append(f"{count:7,} {name}; {others}")
    faults += [fault for line in (*networks, *kills) for fault in line["faults"]]
    lines.append(f"\nfaults: {len(faults)}")
    lines += [row for fault in faults[:100] for row in textwrap.wrap(fault[:400], 80)]
    return "\n".join(lines), len(faults)


def main() -> int:
    """Run everything for as long, or as often, as is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--files", type=int, default=0, help="so many of each format, in place of minutes")
    parser.add_argument("--networks", type=int, default=0, help="so many, in place of minutes")
    parser.add_argument("--kills", type=int, default=0, help="so many, in place of minutes")
    parser.add_argument("--start", type=int, default=int(time.time()), help="the first number")
    parser.add_argument("--keep", type=Path, default=Path("build/attack"), help="where what is a fault goes")
    parser.add_argument("--record", type=Path, help="a file of all counts, to go on with")
    given = parser.parse_args()
    record: list[Line] = []
    if given.record and given.record.exists():
        record = [json.loads(line) for line in given.record.read_text().splitlines()]
    numbered = given.files or given.networks or given.kills
    print(
        f"attack: {'by number' if numbered else f'{given.minutes:g} minutes'}, from number {given.start}\n", flush=True
    )
    for line in by_number(given, list(record)) if numbered else by_minutes(given):
        record.append(line)
        if given.record:
            with given.record.open("a") as file:
                file.write(json.dumps(line) + "\n")
    text, faults = page(record)
    print(text)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
