"""The real TensorRT-RTX: its parser and its builder, which take no GPU. Installed by `make test-trt`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from darknet_compat.nvidia.library import forget, logger_of

Shapes = Mapping[str, tuple[Sequence[int], Sequence[int], Sequence[int]]]


@dataclass(frozen=True)
class Port:
    """An input or output of a parsed network; a side that is free is -1."""

    name: str
    shape: tuple[int, ...]
    kind: str


class Parsed:
    """A model in the real parser's hands. `refused`: why it did not take it."""

    def __init__(self, model: bytes) -> None:
        import tensorrt_rtx as trt

        self.trt: Any = trt
        self.logger = logger_of(trt)
        forget(self.logger)
        self.builder = trt.Builder(self.logger)
        flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        self.network = self.builder.create_network(flags)
        self.parser = trt.OnnxParser(self.network, self.logger)
        self.refused: str | None = None
        if not self.parser.parse(model):
            self.refused = str(self.parser.get_error(0).desc())

    @property
    def inputs(self) -> list[Port]:
        return [_port(self.network.get_input(number)) for number in range(self.network.num_inputs)]

    @property
    def outputs(self) -> list[Port]:
        return [_port(self.network.get_output(number)) for number in range(self.network.num_outputs)]

    def build(self, shapes: Shapes | None = None) -> bytes | None:
        """The plan for GPUs of compute capability 8.9, the first that has fp8; None where the builder refuses, whose
        reason is then logged."""
        config = self.builder.create_builder_config()
        config.num_compute_capabilities = 1
        config.set_compute_capability(self.trt.ComputeCapability.SM89, 0)
        profile = self.builder.create_optimization_profile()
        for name, (least, best, most) in (shapes or {}).items():
            tensor = next(i for n in range(self.network.num_inputs) if (i := self.network.get_input(n)).name == name)
            (profile.set_shape_input if tensor.is_shape_tensor else profile.set_shape)(name, least, best, most)
        if shapes:
            config.add_optimization_profile(profile)
        plan = self.builder.build_serialized_network(self.network, config)
        return None if plan is None else bytes(plan)


def _port(tensor: Any) -> Port:
    return Port(tensor.name, tuple(tensor.shape), str(tensor.dtype).rpartition(".")[2])
