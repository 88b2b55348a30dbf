"""`darknet-compat detect` for videos, cameras and streams: frame by frame, while they are read and written."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from darknet_compat.cli.options import explaining
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.cli.terminal.interruption import Interruption
from darknet_compat.cli.terminal.video_report import Summary, VideoProgress
from darknet_compat.cli.terminal.window import Window
from darknet_compat.errors import CannotWriteError, DarknetCompatError, ImageError, OptionError
from darknet_compat.formats.atomic import atomic_write, results_folder

if TYPE_CHECKING:
    from darknet_compat.inference.detector import Detector
    from darknet_compat.inference.options import DetectOptions
    from darknet_compat.inference.video import Watch, Watched
    from darknet_compat.inference.video_options import FrameOptions, VideoOptions
    from darknet_compat.sources.base import Frames
    from darknet_compat.vision.videofile import VideoWriter


def named(files: Sequence[str]) -> list[str]:
    """What `files` mean: globs of videos expanded, and a list on standard input in the place of -."""
    from darknet_compat.sources.kind import expanded
    from darknet_compat.sources.open import listed_on_input

    names = [name for file in files for name in ((listed_on_input() or [file]) if file == "-" else [file])]
    return expanded(names)


def frames_meant(files: Sequence[str], options: FrameOptions) -> bool:
    """Whether frames in order are meant rather than pictures: by what `files` are, or by an option about frames."""
    from darknet_compat.sources.kind import kind_of

    return any(kind_of(file) != "pictures" for file in files) or options != type(options)()


def is_video_run(files: Sequence[str], out: Path | None, video: VideoOptions) -> bool:
    """The same for `detect`, where a video for `out` means frames, too, and classes are blurred in pictures as well."""
    from darknet_compat.vision.videofile import FORMATS

    film = out is not None and out.suffix.lower() in FORMATS and not out.is_dir()
    return film or frames_meant(files, replace(video, blur=None))


@dataclass
class Destinations:
    """Where what is found goes: a video or a folder of them, or a file of lines; a folder of crops; standard output.

    Raises OptionError for a form that is not a video's.
    """

    out: Path | None = None
    format: str | None = None
    crop: Path | None = None
    json: bool = False
    verbose: bool = False
    documents: list[dict[str, Any]] = field(default_factory=list)
    failed: bool = False
    lines: TextIOWrapper | TextIO | None = None
    window: Window | None = None

    def __post_init__(self) -> None:
        if self.format not in (None, "jsonl", "json"):
            raise OptionError("of a video there are jsonl, a line for each frame, and json", "format")
        self.json = self.json or self.format == "json"
        if self.json and self.format == "jsonl":
            raise OptionError("goes to standard output, as --json does", "format")
        if self.format == "jsonl":
            self.lines = sys.stdout

    @property
    def quiet(self) -> bool:
        """Whether standard output is a program's."""
        return self.json or self.lines is sys.stdout

    @contextmanager
    def opened(self) -> Iterator[None]:
        """A context in which a name for `out` that ends in .jsonl is a file of lines."""
        if self.out is None or self.out.suffix.lower() != ".jsonl":
            yield
            return
        with atomic_write(self.out, CannotWriteError) as file:
            self.lines, self.out = TextIOWrapper(file, "utf-8"), None
            yield
            self.lines.detach()  # flushed, and the file left to be put in its place

    def say(self, message: str) -> None:
        """What went wrong, in one line; the exit code will tell, too."""
        self.failed = True
        terminal.say(message)


def detect_video(options: DetectOptions, video: VideoOptions, output: Destinations) -> None:
    """Go through each of `options.files`. Raises DarknetCompatError where the model or the options are wrong."""
    from darknet_compat.inference.video import Watch, span_of
    from darknet_compat.vision.header import limited_pixels

    span_of(video)  # wrong ones are told before anything is loaded
    with ExitStack() as stack:
        if video.show:
            output.window = stack.enter_context(Window(f"darknet-compat: {options.model}"))
        stack.enter_context(output.opened())
        stack.enter_context(limited_pixels(options.max_pixels))
        places = _places(options.files, output.out)
        detector = _detector(options, output)
        drawing = bool(output.out or video.show or video.save_frames)
        for file in options.files:
            watch = Watch(detector, video, drawing, output.crop is not None, options.classes)
            ended_by = _tried(file, places.get(file), watch, options.batch, output)
            if ended_by is not None:
                break
    if output.json:
        terminal.print_json({"videos": output.documents})
    if ended_by is not None:
        raise SystemExit(128 + ended_by)
    if output.failed:
        raise SystemExit(1)


def _tried(file: str, place: Path | None, watch: Watch, batch: int, output: Destinations) -> int | None:
    """One source, and the number of the signal that ended it; what is wrong with it is said, and the others go on."""
    try:
        return _one(file, place, watch, batch, output)
    except OptionError:
        raise
    except DarknetCompatError as error:
        output.say(str(error))
        if output.json:
            output.documents.append({"file": file, "error": str(error)})
        return None


def _detector(options: DetectOptions, output: Destinations) -> Detector:
    with terminal.Transfers(options.model, quiet=output.quiet) as progress, explaining(options.size):
        from darknet_compat.inference.job import open_for_frames
        from darknet_compat.sources.kind import kind_of

        detector = open_for_frames(options, any(kind_of(file) in ("camera", "url") for file in options.files), progress)
    terminal.announce(detector.choice, output.verbose)
    return detector


def _places(files: Sequence[str], out: Path | None) -> dict[str, Path]:
    """The video that is written for each of `files`. Raises DarknetCompatError where it cannot be."""
    from darknet_compat.sources.kind import VIDEO_SUFFIXES, hidden
    from darknet_compat.sources.pictures import SUFFIXES
    from darknet_compat.vision.videofile import FORMATS

    if out is None:
        return {}
    if out.suffix.lower() in FORMATS and not out.is_dir():
        if len(files) > 1:
            raise OptionError(f"expected a folder for {len(files)} videos, found {out}", "out")
        places = {files[0]: out}
    else:
        if out.suffix.lower() in VIDEO_SUFFIXES | SUFFIXES and not out.is_dir():
            raise OptionError(f"{out.suffix} is not written; use {', '.join(FORMATS)}, or name a folder", "out")
        results_folder(out)
        places = {}
        for file in files:
            own = Path(hidden(file).rstrip("/").rpartition("/")[2] or "frames")
            stem = "".join(c if c.isalnum() or c in "-_." else "-" for c in own.stem) or "frames"
            suffix = own.suffix.lower() if own.suffix.lower() in FORMATS else ".mp4"
            place, number = out / f"{stem}{suffix}", 2
            while place in places.values():
                place, number = out / f"{stem}-{number}{suffix}", number + 1
            places[file] = place
    for file, place in places.items():
        if place.exists() and Path(file).exists() and place.samefile(file):
            raise OptionError(f"{place} is the video that is read", "out")
    return places


def _one(file: str, place: Path | None, watch: Watch, batch: int, output: Destinations) -> int | None:
    """One source from its first frame to its last, or to the signal that ends it, which is given back."""
    from darknet_compat.inference.video import open_frames

    options, summary = watch.options, Summary()
    entries: list[dict[str, Any]] = []

    def failed(_: str, message: str) -> None:
        if frames.live:  # which goes on
            terminal.say(message)
        else:
            output.say(message)

    frames = open_frames(file, options, failed)
    if frames.remark:
        terminal.say(frames.remark)
    with ExitStack() as stack:
        stack.enter_context(frames)
        ending = stack.enter_context(Interruption(frames.close if frames.live else lambda: None))
        sinks = list(_sinks(stack, file, place, frames, options, output))
        progress = stack.enter_context(VideoProgress(frames, quiet=output.quiet))
        watched = watch.run(frames, batch)
        stack.callback(watched.close)  # type: ignore[attr-defined]
        try:
            for seen in watched:
                _note(file, seen, summary, entries, output)
                stop = not all([sink(seen) for sink in sinks])
                progress.show(seen)
                if ending.signal is not None or stop:
                    break
        except ImageError as error:  # of the source; what came before is finished
            if not summary.frames:
                raise
            output.say(str(error))
    _report(file, place, frames, watch, summary, entries, output)
    if ending.signal is not None:
        written = f"; {place} has them" if place else ""
        terminal.say(f"interrupted after {terminal.count(summary.frames, 'frame')}{written}")
    return ending.signal


def _report(
    file: str,
    place: Path | None,
    frames: Frames,
    watch: Watch,
    summary: Summary,
    entries: list[dict[str, Any]],
    output: Destinations,
) -> None:
    counts = watch.counts.to_dict() if watch.counts else None
    if output.json:
        written = {"video": str(place)} if place else {}
        counted = {"counts": counts} if counts else {}
        output.documents.append({"file": file, "rate": frames.rate, "frames": entries} | written | counted)
    elif not output.quiet:
        dropped = getattr(getattr(frames, "frames", frames), "dropped", None)
        summary.print(frames.name, place, dropped, counts)


def _note(file: str, seen: Watched, summary: Summary, entries: list[dict[str, Any]], output: Destinations) -> None:
    from darknet_compat.inference.batch import Failure

    if isinstance(seen.found, Failure):
        output.say(str(seen.found.error))
    elif not seen.found.finite:
        raise DarknetCompatError(f"{seen.frame.name}: boxes that are not finite; are the weights this model's?")
    else:
        summary.add(seen.found, seen.latency)
    if output.json:
        entries.append(seen.to_dict())
    if output.lines is not None:
        output.lines.write(json.dumps({"file": file} | seen.to_dict(), allow_nan=False) + "\n")
        output.lines.flush()


def _sinks(
    stack: ExitStack, file: str, place: Path | None, frames: Frames, options: VideoOptions, output: Destinations
) -> Iterator[Callable[[Watched], bool]]:
    """What takes each frame, and answers False when nobody wants another one."""
    if place is not None:
        yield _writing(stack, file, place, frames, options.from_, output)
    if options.save_frames is not None:
        results_folder(options.save_frames)
        yield _saving(options.save_frames, file)
    if output.crop is not None:
        results_folder(output.crop)
        yield _cropping(output.crop, file)
    if output.window is not None:
        yield output.window.show


def _writing(
    stack: ExitStack, file: str, place: Path, frames: Frames, start: float, output: Destinations
) -> Callable[[Watched], bool]:
    from darknet_compat.inference.video import PLAYED
    from darknet_compat.sources.kind import kind_of
    from darknet_compat.vision.videofile import VideoWriter

    sound = Path(file) if kind_of(file) == "video" else None
    writer: VideoWriter = stack.enter_context(VideoWriter(place, frames.rate or PLAYED, sound=sound, start=start))
    first: list[float] = []

    def write(seen: Watched) -> bool:
        time = seen.frame.time
        if time is not None:
            first[:] = first or [time]
            time -= first[0]
        if seen.picture is not None:
            writer.write(seen.picture, time)
            if writer.silent:
                terminal.say(writer.silent)
                writer.silent = None
        return True

    return write


def _cropping(folder: Path, file: str) -> Callable[[Watched], bool]:
    stem = Path(file).stem if Path(file).exists() else "frame"

    def crop(seen: Watched) -> bool:
        from darknet_compat.cli.terminal.crops import cut_out
        from darknet_compat.inference.results import Detections

        if isinstance(seen.found, Detections) and len(seen.found):
            place = folder / f"{stem}-{seen.frame.index:06d}.jpg"
            cut_out(seen.found, place, seen.frame.pixels()[..., ::-1])
        return True

    return crop


def _saving(folder: Path, file: str) -> Callable[[Watched], bool]:
    stem = Path(file).stem if Path(file).exists() else "frame"

    def save(seen: Watched) -> bool:
        from darknet_compat.vision.draw import save as save_picture

        if seen.picture is not None:
            save_picture(seen.picture, folder / f"{stem}-{seen.frame.index:06d}.jpg")
        return True

    return save
