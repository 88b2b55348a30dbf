"""The `[net]` section."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from darknet_compat.definition.shape import Shape, flat


@dataclass(frozen=True, kw_only=True)
class Net:
    """The `[net]` section: input and training (original: `parse_net_options`); `batch` is the whole one as written.

    What has a default here is the fork's: pictures of several (`mosaic`, `mixup`, `cutmix`), a cosine rate that starts
    anew (`policy` sgdr: `learning_rate_min`, `sgdr_cycle`, `sgdr_mult`), an average of the weights (`ema_alpha`).
    `signed_batches`: batches before `step` count below 0 in policy=sigmoid (`definition.dialects`).
    """

    batch: int
    subdivisions: int
    time_steps: int
    width: int
    height: int
    channels: int
    inputs: int
    learning_rate: float
    momentum: float
    decay: float
    adam: bool
    B1: float
    B2: float
    eps: float
    policy: Literal["constant", "step", "steps", "exp", "sigmoid", "poly", "random", "sgdr"]
    burn_in: int
    power: float
    step: int
    scale: float
    gamma: float
    steps: tuple[int, ...]
    scales: tuple[float, ...]
    max_batches: int
    min_ratio: float
    max_ratio: float
    center: bool
    clip: float
    angle: float
    aspect: float
    saturation: float
    exposure: float
    hue: float
    flip: bool
    random: int
    letter_box: bool | None = None
    mosaic: bool = False
    mosaic_bound: bool = False
    mixup: bool = False
    cutmix: bool = False
    blur: int = 0
    gaussian_noise: int = 0
    label_smooth_eps: float = 0.0
    resize_step: int = 32
    learning_rate_min: float = 1e-5
    sgdr_cycle: int = 0
    sgdr_mult: int = 2
    ema_alpha: float = 0.0
    signed_batches: bool = False

    @property
    def rows(self) -> int:
        """How many rows of input go through at once in training (original: `net->batch`)."""
        return self.batch // self.subdivisions * self.time_steps

    @property
    def step_rows(self) -> int:
        """How many rows one update sums over (original: `get_current_batch`, `update_network`)."""
        return self.rows * self.subdivisions

    @property
    def input(self) -> Shape:
        """The shape of one input."""
        if self.channels and self.height and self.width:
            return Shape(self.channels, self.height, self.width)
        return flat(self.inputs)
