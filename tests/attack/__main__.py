"""The attack bench: `make attack MINUTES=60`, one page of counts at the end, exit code 1 where there is a fault.

Six tenths of the time go to damaged files of every format, two to random networks, two to kills. Each part runs in a
process of its own, which what it does may end; that is counted, and what did it is not kept.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.attack.formats import FORMATS


def part(module: str, *arguments: object) -> dict[str, Any]:
    """The JSON that a part of the bench ends with, or how it ended without."""
    line = [sys.executable, "-W", "ignore", "-m", f"tests.attack.{module}", *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, cwd=Path(__file__).resolve().parents[2])
    try:
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        last = done.stderr.strip().splitlines()[-1:] or [""]
        return {"ended": f"{module} {arguments} ended with {done.returncode}: {last[0][:300]}"}
    return found


def main() -> int:
    """Run everything for as long as is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--start", type=int, default=int(time.time()), help="number of the first mutation")
    parser.add_argument("--keep", type=Path, default=Path("build/attack"), help="where what is a fault goes")
    given = parser.parse_args()
    seconds, faults = 60 * given.minutes, list[str]()
    print(f"attack: {given.minutes:g} minutes, mutations from number {given.start}\n")
    print(f"{'format':24} {'files':>9} {'read':>9} {'refused':>9} {'slowest':>9} {'memory':>9} faults")
    total = 0
    for name in FORMATS:
        each = 0.6 * seconds / len(FORMATS)
        found = part("fuzz", name, "--seconds", each, "--start", given.start, "--keep", given.keep)
        if "ended" in found:
            faults.append(found["ended"])
            continue
        bad = found["untyped"] + found["slow"]
        faults += [f"{name} {one}" for one in bad]
        total += found["files"]
        refused, grown = sum(found["refused"].values()), found["grown"] >> 20
        print(
            f"{name:24} {found['files']:9,} {found['read']:9,} {refused:9,} {found['slowest']:7.3f} s {grown:5} MiB"
            f" {len(bad) or ''}",
            flush=True,
        )
    print(f"{'all':24} {total:9,}\n")
    networks = part("networks", "--seconds", 0.2 * seconds, "--start", given.start)
    print(f"random networks: {networks.get('networks', 0):,}")
    for how, count in sorted(networks.get("ends", {}).items(), key=lambda item: -item[1]):
        print(f"  {count:7,} {how}")
    kills = part("kills", "--seconds", 0.2 * seconds, "--start", given.start)
    print(f"\nkills -9: {sum(kills.get('kills', {}).values())}, {kills.get('kills', {})}")
    for name, ends in kills.get("places", {}).items():
        print(f"  {name}: {', '.join(f'{what} {how}' for what, how in ends.items())}")
    for found in (networks, kills):
        faults += [found["ended"]] if "ended" in found else found["faults"]
    print(f"\nfaults: {len(faults)}" + "".join(f"\n  {fault[:400]}" for fault in faults[:100]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
