"""What a target is, and what its side files are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darknet_compat.errors import OptionError
from darknet_compat.export.onnx.options import OnnxOptions

if TYPE_CHECKING:  # which needs numpy, as `--help` does not
    from darknet_compat.formats.exported.artefact import Artefact


@dataclass(frozen=True)
class ExportedModel:
    """An exported file and what it says of itself; `model` is its path within the target's folder."""

    model: str
    artefact: Artefact

    @property
    def name(self) -> str:
        """The network's."""
        return self.artefact.name

    @property
    def names(self) -> tuple[str, ...]:
        """What the classes are called; by their numbers where they have no names."""
        return self.artefact.names or tuple(f"class {number}" for number in range(self.artefact.classes))

    @property
    def labels(self) -> str:
        """The names, one a line."""
        return "".join(f"{name}\n" for name in self.names)

    @property
    def letterboxed(self) -> bool:
        """Whether pictures keep their shape."""
        return self.artefact.resize == "letterbox"


FITTED = '''def fitted(picture):
    """The picture as the network reads it, [3, HEIGHT, WIDTH], RGB, 0..1; its scale and its place in there."""
    rows, columns = picture.shape[:2]
    scale = np.array([WIDTH / columns, HEIGHT / rows])
    if LETTERBOX:
        scale[:] = scale.min()
    size = np.maximum(1, (scale * [columns, rows] + 1e-6).astype(int))
    left, top = place = (np.array([WIDTH, HEIGHT]) - size) // 2
    canvas = np.full((HEIGHT, WIDTH, 3), 0.5, np.float32)
    resized = cv2.resize(picture, size.tolist())[:, :, ::-1]
    canvas[top : top + size[1], left : left + size[0]] = resized / np.float32(255)
    return np.ascontiguousarray(canvas.transpose(2, 0, 1)), scale, place
'''
"""Of the programs that come along: Darknet's way to fit a picture, with OpenCV."""


Texts = Mapping[str, str]
"""Files by their path within the folder."""


def one_picture(layout: str, **more: Any) -> dict[str, Any]:
    """A target's options: this layout of pictures of the network's own size, one at a time."""
    return {"layout": layout, "sizes": "fixed", "batch": 1, **more}


@dataclass(frozen=True)
class Tool:
    """A program of others that converts an exported file. `package`: what brings it. `arguments`: what it is called
    with, in the folder. `keeps`: what is wanted of its results, by pattern → new name; all else it leaves goes."""

    program: str
    package: str
    arguments: Callable[[ExportedModel], tuple[str, ...]]
    keeps: Callable[[ExportedModel], Mapping[str, str]]


@dataclass(frozen=True)
class Target:
    """A program that takes our files, a row of `table.TARGETS`.

    `options`: the export's (`OnnxOptions`), which nobody can say otherwise then. `files`: the texts beside the model.
    `place` and `labels`: the paths of the model and of its classes' names, {name} being the network's. `steps`: what to
    do next, a command or a sentence each. `notes`: what differs from Darknet there. `source`: where the shapes, names
    and values are read off, with the version. `tool`: what converts the file. `trees`: whether that computes a
    WordTree. `network`: what writes the torch network beside it, where torch is installed, as "module:function" of
    (cfg, weights, folder, artefact). `fork_trees`: whether WordTrees also as the fork does. `brings`: other files of
    the folder, from a package that lies at a path.
    """

    name: str
    title: str
    options: Mapping[str, Any]
    files: Callable[[ExportedModel], Texts]
    steps: Callable[[ExportedModel], tuple[str, ...]]
    source: str
    notes: tuple[str, ...] = ()
    place: str = "{name}.onnx"
    labels: str = "labels.txt"
    tool: Tool | None = None
    network: str | None = None
    trees: bool = True
    fork_trees: bool = True
    brings: Callable[[Path | None], Mapping[str, bytes]] | None = None
    properties: Callable[[ExportedModel], Mapping[str, str]] = field(default=lambda made: {})

    def asked(self, options: OnnxOptions) -> OnnxOptions:
        """The export's options with the target's. Raises OptionError where another value is asked for."""
        for name, value in self.options.items():
            if getattr(options, name) not in (None, value):
                own = "; its own tools make fp16 and int8 of that" if name == "precision" else ""
                raise OptionError(f"--for {self.name} takes {value}, found {getattr(options, name)}{own}", name)
        return replace(options, **self.options)

    def model_in(self, folder: Path, name: str) -> Path:
        """Where the exported file goes."""
        return folder / self.place.format(name=name)
