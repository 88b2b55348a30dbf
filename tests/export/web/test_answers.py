"""What the page makes of a classifier's outputs, in Node.js."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from darknet_compat.export.web.page import text_of
from darknet_compat.inference.classification import Classification


@pytest.mark.parametrize("are_probabilities", [True, False])
def test_classes_as_classify_has_them(are_probabilities: bool, tmp_path: Path) -> None:
    if not (node := shutil.which("node")):
        pytest.skip("no Node.js")
    values, names = [0.5, -2.25, 9.75], ["a", "b", "c"]
    (tmp_path / "answers.mjs").write_text(text_of("answers.js"))
    model = json.dumps({"tree": None, "names": names, "are_probabilities": are_probabilities})
    asked = f"classesOf({values}, {model}, 2)"
    program = f"import {{ classesOf }} from './answers.mjs'; console.log(JSON.stringify({asked}))"
    command = [node, "--input-type=module", "-e", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    ours = Classification(np.array(values, np.float32), tuple(names), are_probabilities=are_probabilities)
    assert json.loads(done.stdout) == ours.to_dict(2)
