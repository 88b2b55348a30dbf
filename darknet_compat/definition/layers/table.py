"""One function a section: options and the layers before → the layer's spec.

Each follows the original's `parse_*` (options, defaults) and `make_*_layer` (shapes), or the fork's, and stands with
its rows in the file of its family.
"""

from __future__ import annotations

from darknet_compat.definition.context import Lowering
from darknet_compat.definition.layers import heads, joins, plain, recurrent, windows

LOWERINGS: dict[str, Lowering] = (
    windows.LOWERINGS | plain.LOWERINGS | joins.LOWERINGS | recurrent.LOWERINGS | heads.LOWERINGS
)
"""Section type, in each of its spellings → its function (original: `string_to_layer_type`)."""
