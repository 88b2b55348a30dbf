"""A page for any web server, on which the visitor's browser runs the model."""

from __future__ import annotations

import json

from darknet_compat.export.targets.base import ExportedModel, Target, Texts, one_picture
from darknet_compat.export.web.package import NAME, TRIED, files_of
from darknet_compat.export.web.page import browser_page, text_of

_SCRIPTS = ("browser.js", "worker.js", "fit.js", "answers.js")
_PLAIN = (
    "name", "task", "width", "height", "channels", "resize", "thresh", "hier_thresh", "nms", "nms_kind", "beta_nms",
    "are_probabilities",
)  # fmt: skip


def _facts(made: ExportedModel) -> str:
    """What the scripts need to know of the model."""
    own = made.artefact
    facts = {name: getattr(own, name) for name in _PLAIN}
    tree = None
    if own.tree is not None:
        tree = {
            "parents": own.tree.parents.tolist(),
            "children": own.tree.child_groups.tolist(),
            "offsets": own.tree.group_offsets.tolist(),
            "sizes": own.tree.group_sizes.tolist(),
        }
    names = own.tree.names if own.tree is not None and own.names is None else made.names
    return json.dumps(facts | {"file": made.model, "names": names, "tree": tree})


def _files(made: ExportedModel) -> Texts:
    scripts = {name: text_of(name) for name in _SCRIPTS}
    return {"index.html": browser_page(), "model.json": _facts(made), **scripts}


WEB = Target(
    "web",
    "browsers, a page that any web server can give",
    one_picture("boxes", input="float"),
    _files,
    lambda made: (
        "`python3 -m http.server` in this folder, then http://localhost:8000/ tries it.",
        "Copy the folder to where web pages lie. Pictures do not leave the visitor's browser.",
        "Faster by several threads: have the server say `Cross-Origin-Opener-Policy: same-origin` and"
        " `Cross-Origin-Embedder-Policy: require-corp`.",
    ),
    f"the npm package {NAME} {TRIED}, in a browser",
    ("Pictures are decoded by the browser; where one is translucent, it may see other colours than `detect`.",),
    brings=files_of,
    fork_trees=False,
)
