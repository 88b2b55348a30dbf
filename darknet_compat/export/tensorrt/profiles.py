"""Which inputs an engine is tuned for: one optimization profile for each size and batch that is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from darknet_compat.errors import ExportError
from darknet_compat.export.tensorrt.settings import DEFAULT_BATCHES
from darknet_compat.formats.exported.artefact import Artefact
from darknet_compat.formats.exported.enginefile import Profile
from darknet_compat.formats.words import MOST_BATCH, WidthHeight


def plan_profiles(
    artefact: Artefact,
    sizes: Sequence[WidthHeight] | None,
    batches: Sequence[int],
    any_size: bool = False,
    *,
    fixed: bool = False,
) -> tuple[Profile, ...]:
    """A profile for each of `sizes` (default: the model's own) and each of `batches`.

    Profiles of a size share its batches out: with batches 1 and 8 the first takes one picture, the second 2 to 8 and
    is tuned for 8. With `any_size` one more takes every size that the model does, tuned for its own. `fixed`: what runs
    it takes no range of batches, and so one picture unless the model has another batch. Raises ExportError for what the
    ONNX file does not take.
    """
    if fixed and artefact.batch is None:
        if tuple(batches) not in (DEFAULT_BATCHES, (1,)):
            raise ExportError(
                f"{artefact.name}: a DLA core takes no range of batches, found {_listed(batches)}; for several pictures"
                " at once export the model with --batch"
            )
        batches = (1,)
    wanted = sorted(set(batches))
    if not wanted or not 1 <= wanted[0] <= wanted[-1] <= MOST_BATCH:
        raise ExportError(f"{artefact.name}: expected batches of 1 to {MOST_BATCH} pictures, found {_listed(batches)}")
    if artefact.batch is not None:
        if wanted != [artefact.batch] and tuple(batches) != DEFAULT_BATCHES:
            raise ExportError(f"{artefact.name}: takes {artefact.batch} pictures at once only; export it for any batch")
        wanted = [artefact.batch]
    own = (artefact.width, artefact.height)
    chosen = list(dict.fromkeys(sizes or [own]))
    for width, height in chosen:
        if problem := artefact.size_problem(width, height):
            raise ExportError(f"{artefact.name}: {problem}")
    firsts = [wanted[0] if artefact.batch else 1, *(batch + 1 for batch in wanted)]
    profiles = [
        Profile((first, height, width), (batch, height, width), (batch, height, width))
        for width, height in chosen
        for first, batch in zip(firsts, wanted, strict=False)
    ]
    if any_size:
        if artefact.sizes is None:
            raise ExportError(f"{artefact.name}: takes {own[0]} x {own[1]} only, and so no other size")
        least, most = artefact.sizes
        best = (wanted[0], artefact.height, artefact.width)
        profiles.append(Profile((firsts[0], least, least), best, (wanted[-1], most, most)))
    return tuple(profiles)


def ranges_first(profiles: Sequence[Profile], any_size: bool) -> tuple[Profile, ...]:
    """Profiles with a range before those of one shape (why: `build_process`); one of any size stays last."""
    last = len(profiles) - any_size
    return (*sorted(profiles[:last], key=lambda profile: profile.least == profile.most), *profiles[last:])


def input_shape(artefact: Artefact, triple: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """The graph's input for (pictures, height, width)."""
    batch, height, width = triple
    if artefact.input == "uint8":
        return batch, height, width, artefact.channels
    return batch, artefact.channels, height, width


def _listed(batches: Sequence[int]) -> str:
    return ", ".join(map(str, batches)) or "none"
