"""Pictures in, classes out, on any runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darknet_compat.errors import MetadataError
from darknet_compat.formats.arrays import Floats
from darknet_compat.formats.tree.named import read_leaves
from darknet_compat.inference.answering import Answering
from darknet_compat.inference.batch import Prepared
from darknet_compat.inference.classification import Classification
from darknet_compat.inference.hierarchy import HierarchyRule, path_steps, top_nodes
from darknet_compat.inference.model import expect_arguments, load_model, spelled_out
from darknet_compat.inference.options import expected
from darknet_compat.runtime.base import UseOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from darknet_compat.catalogue.fetch.transfer import TransferProgress


class Classifier(Answering[Classification]):
    """A classifying network with its names (original: `predict_classifier` in classifier.c, which letterboxes).

    The arguments are Detector's. With a WordTree every answer has a path down to where confidence ends, and the classes
    to choose from are its leaves, or those that the file `leaves` lists (`leaves=` of a `.data`: ILSVRC's 1000).
    Can be shared between threads.
    """

    @spelled_out
    def __init__(
        self,
        model: str | Path,
        weights: str | Path | None = None,
        *,
        names: str | Path | Sequence[str] | None = None,
        hier_thresh: float | None = None,
        hierarchy: HierarchyRule = "darknet",
        level: int | None = None,
        leaves: str | Path | None = None,
        max_pixels: int | None = None,
        progress: TransferProgress | None = None,
        **use: Unpack[UseOptions],
    ) -> None:
        expect_arguments(Classifier, use)
        expected({"hier_thresh": hier_thresh, "hierarchy": hierarchy, "level": level})
        loaded = load_model(model, weights, task="classify", names=names, asked=use, progress=progress)
        super().__init__(loaded, hier_thresh, hierarchy, level, max_pixels)
        tree = loaded.runtime.description.tree
        if leaves is not None and tree is None:
            raise MetadataError(f"leaves: {loaded.runtime.description.name} has no WordTree")
        self.leaves = None if tree is None else tree.leaves if leaves is None else read_leaves(leaves, tree)

    def _answer(self, item: Prepared, outputs: Mapping[str, Floats], asked: Any) -> Classification:
        probabilities = outputs["classes"]
        own = self.runtime.description
        tree = own.tree
        if tree is None:
            return Classification(probabilities, self.names, are_probabilities=own.are_probabilities)
        (node,) = top_nodes(probabilities[None], tree, self.hier_thresh, self.hierarchy, self.level)
        path = path_steps(probabilities, tree, node, self.names)
        return Classification(tree.absolute(probabilities), self.names, self.leaves, path)
