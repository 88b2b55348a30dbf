"""Programs that watch cameras: Frigate and DeepStream."""

from __future__ import annotations

from darknet_compat.export.targets.base import ExportedModel, Target, Texts, one_picture

SCALE = 1 / 255
"""Pixels of 0..255 to the 0..1 that the network reads."""


def _frigate(made: ExportedModel) -> Texts:
    config = f"""# For Frigate's config.yml; the folder of this file is /config/model_cache/{made.name} there.
detectors:
  onnx:
    type: onnx

model:
  model_type: yolo-generic
  width: {made.artefact.width}
  height: {made.artefact.height}
  input_tensor: nchw
  input_pixel_format: rgb
  input_dtype: float
  path: /config/model_cache/{made.name}/{made.model}
  labelmap_path: /config/model_cache/{made.name}/labels.txt
"""
    return {"config.yml": config}


def _deepstream(made: ExportedModel) -> Texts:
    fitted = int(made.letterboxed)
    config = f"""[property]
gpu-id=0
net-scale-factor={SCALE:.19g}
model-color-format=0
onnx-file={made.model}
model-engine-file={made.model}_b1_gpu0_fp16.engine
labelfile-path=labels.txt
batch-size=1
network-mode=2
num-detected-classes={made.artefact.classes}
interval=0
gie-unique-id=1
process-mode=1
network-type=0
cluster-mode=2
maintain-aspect-ratio={fitted}
symmetric-padding={fitted}
parse-bbox-func-name=NvDsInferParseYolo
custom-lib-path=nvdsinfer_custom_impl_Yolo/libnvdsinfer_custom_impl_Yolo.so

[class-attrs-all]
nms-iou-threshold={made.artefact.nms:g}
pre-cluster-threshold={made.artefact.thresh:g}
topk=300
"""
    return {f"config_infer_primary_{made.name}.txt": config}


FRIGATE = Target(
    "frigate",
    "Frigate 0.16 and later, model type `yolo-generic`",
    one_picture("yolov8"),
    _frigate,
    lambda made: (
        f"Copy this folder to Frigate's `config/model_cache/{made.name}`.",
        "Put what `config.yml` has into Frigate's own, and restart it.",
    ),
    "blakeblackshear/frigate, docs/docs/configuration/object_detectors.md at 00d0317, and post_process_yolo of"
    " frigate/util/model.py in 0.16",
    (
        "Frigate shows scores above 0.4 alone, suppresses at 0.4 across classes, and cuts square regions for itself.",
        "It names objects by `labels.txt`; those to be tracked are chosen under `objects: track:` by these names.",
    ),
)

DEEPSTREAM = Target(
    "deepstream",
    "NVIDIA DeepStream with marcoslucianops/DeepStream-Yolo",
    {"layout": "deepstream", "sizes": "fixed"},
    _deepstream,
    lambda made: (
        "`git clone https://github.com/marcoslucianops/DeepStream-Yolo`, and copy this folder's files into it.",
        "`CUDA_VER=12.6 make -C nvdsinfer_custom_impl_Yolo` (the version of your CUDA).",
        f"Name `config_infer_primary_{made.name}.txt` as `config-file` in `deepstream_app_config.txt`.",
        "`deepstream-app -c deepstream_app_config.txt`; the engine is built at the first start.",
    ),
    "marcoslucianops/DeepStream-Yolo at 07feae9: config_infer_primary_yoloV8.txt and decodeTensorYolo of"
    " nvdsinfer_custom_impl_Yolo/nvdsparsebbox_Yolo.cpp",
    (
        "Each box has its best class alone. DeepStream pads with black, where Darknet has grey: scores near the"
        " padding differ a little.",
    ),
)
