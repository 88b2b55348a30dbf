"""What a network is once its `.cfg` has been understood: frozen values, absolute indices, known shapes.

Nothing here is a string option or a relative index any more (`lower` sees to that), and nothing here computes.
Field names are Darknet's own option names where one exists; the original's `make_*_layer` function is the source of
each layer's shapes.
"""

from darknet_compat.definition.shape import Shape as Shape
from darknet_compat.definition.shape import flat as flat
from darknet_compat.definition.spec.base import ActivationName as ActivationName
from darknet_compat.definition.spec.base import LayerSpec as LayerSpec
from darknet_compat.definition.spec.heads import *  # noqa: F403
from darknet_compat.definition.spec.joins import *  # noqa: F403
from darknet_compat.definition.spec.layers import *  # noqa: F403
from darknet_compat.definition.spec.net import Net as Net
from darknet_compat.definition.spec.network import NetworkSpec as NetworkSpec
from darknet_compat.definition.spec.recurrent import *  # noqa: F403
from darknet_compat.formats.words import NmsKind as NmsKind
