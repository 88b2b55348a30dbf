"""`darknet-compat detect --engine ray`: pictures to Parquet, by several processes or machines."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

from darknet_compat.cli.options import explaining
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.cluster.options import ClusterOptions
from darknet_compat.errors import OptionError
from darknet_compat.inference.options import DetectOptions


def detect_on_cluster(options: DetectOptions, cluster: ClusterOptions, out: Path | str | None, json: bool) -> None:
    """Write, and say how many there are and what could not be read. Raises DarknetCompatError; SystemExit with 1 where
    a picture could not be read."""
    if out is None:
        raise OptionError("ray writes Parquet; name a folder for it with --out", "engine")
    from darknet_compat.cluster.connection import ray_module

    ray_module()  # told before anything is fetched or opened
    from darknet_compat.cluster.detect import detect_into
    from darknet_compat.sources.kind import kind_of

    for file in options.files:
        if (kind := kind_of(file)) not in ("pictures", "url"):
            raise OptionError(f"ray takes pictures, folders, lists and addresses of them; {file} is a {kind}", "engine")
    missing: list[tuple[str, str]] = []

    def failed(file: str, message: str) -> None:
        missing.append((file, message))
        terminal.say(message)

    began = perf_counter()
    with terminal.Transfers(options.model, quiet=json) as progress, explaining(options.size):
        done = detect_into(out, options, cluster.workers, failed=failed, progress=progress, say=terminal.say)
    seconds = perf_counter() - began
    for _, message in done.failed:
        terminal.say(message)
    if json:
        wrong = [{"file": file, "error": message} for file, message in (*missing, *done.failed)]
        document = {"out": done.out, "pictures": done.pictures, "objects": done.objects, "before": done.before}
        terminal.print_json(document | {"images": wrong, "seconds": round(seconds, 2)})
    else:
        new = done.pictures - done.before
        what = f"{terminal.count(done.pictures, 'picture')}, {terminal.count(done.objects, 'object')} -> {done.out}"
        before = f", {done.before:,} there before" if done.before else ""
        terminal.print_line(f"{what}{before}; {new / seconds:.3g} images/s" if new else f"{what}{before}", bold=True)
    if missing or done.failed:
        raise SystemExit(1)
