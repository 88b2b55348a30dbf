"""TensorRT-RTX: its parser and its builder, which take no GPU. Nothing is run."""

import sys
from pathlib import Path

import tensorrt_rtx as trt


def read(model, images, work):
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(Path(model).read_bytes()):
        sys.exit(f"the parser refuses it: {parser.get_error(0).desc()}")
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM89, 0)
    taken = network.get_input(0)
    if -1 in tuple(taken.shape):
        profile = builder.create_optimization_profile()
        profile.set_shape(taken.name, images.shape, images.shape, images.shape)
        config.add_optimization_profile(profile)
    if builder.build_serialized_network(network, config) is None:
        sys.exit("the builder refuses it")
    return {}, f"TensorRT-RTX {trt.__version__}, built only"
