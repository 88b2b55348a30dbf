"""One function a section: options and the layers before → the layer's spec.

Each follows the original's `parse_*` (options, defaults) and `make_*_layer` (shapes), or the fork's. To add a layer:
its spec in `spec`, its function in a file here and its row of `LOWERINGS`, its slots in `weights` if it has weights,
its module in `network`, its nodes in `export.onnx`.
"""

from __future__ import annotations

from darknet_compat.definition.context import Lowering
from darknet_compat.definition.layers import heads, joins, plain, recurrent, windows

LOWERINGS: dict[str, Lowering] = {
    "convolutional": windows.convolutional,
    "conv": windows.convolutional,
    "deconvolutional": windows.deconvolutional,
    "deconv": windows.deconvolutional,
    "local": windows.local,
    "maxpool": windows.maxpool,
    "max": windows.maxpool,
    "local_avgpool": windows.local_avgpool,
    "local_avg": windows.local_avgpool,
    "avgpool": windows.avgpool,
    "avg": windows.avgpool,
    "crop": windows.crop,
    "connected": plain.connected,
    "conn": plain.connected,
    "batchnorm": plain.batchnorm,
    "activation": plain.activation_layer,
    "dropout": plain.dropout,
    "normalization": plain.normalization,
    "lrn": plain.normalization,
    "l2norm": plain.l2norm,
    "upsample": plain.upsample,
    "reorg": plain.reorg,
    "reorg3d": plain.reorg3d,
    "empty": plain.empty,
    "silence": plain.empty,
    "cost": plain.cost,
    "contrastive": plain.contrastive,
    "route": joins.route,
    "shortcut": joins.shortcut,
    "scale_channels": joins.scale_channels,
    "sam": joins.sam,
    "implicit": joins.implicit,
    "implicit_add": joins.implicit_add,
    "implicit_mul": joins.implicit_mul,
    "shift_channels": joins.shift_channels,
    "control_channels": joins.control_channels,
    "rnn": recurrent.rnn,
    "gru": recurrent.gru,
    "lstm": recurrent.lstm,
    "crnn": recurrent.crnn,
    "conv_lstm": recurrent.conv_lstm,
    "history": recurrent.history,
    "softmax": heads.softmax,
    "soft": heads.softmax,
    "logistic": heads.logistic,
    "region": heads.region,
    "yolo": heads.yolo,
    "Gaussian_yolo": heads.gaussian_yolo,
    "detection": heads.detection,
    "iseg": heads.iseg,
}
"""Section type, in each of its spellings → its function (original: `string_to_layer_type`)."""
