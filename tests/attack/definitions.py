"""Random definitions of a few layers, of every kind of layer that there is, in the words of either dialect.

Some are impossible, as people's are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

ACTIVATIONS = (
    "linear", "leaky", "relu", "logistic", "tanh", "elu", "ramp", "hardtan", "relie", "selu", "loggy", "lhtan", "plse",
    "stair",
)  # fmt: skip
FORKS = ("swish", "mish", "relu6", "gelu", "hard_mish", "normalize_channels", "normalize_channels_softmax")


@dataclass(frozen=True)
class Place:
    """Where a layer shall stand: `number` layers before it, and whose words are used."""

    random: Random
    number: int
    fork: bool

    def of(self, *choices: object) -> object:
        """One of them."""
        return self.random.choice(choices)

    def before(self) -> int:
        """A layer before, counted backwards."""
        return self.random.randrange(-min(self.number, 4), 0) if self.number else -1

    def activation(self) -> str:
        """Any that this dialect has."""
        return self.random.choice(ACTIVATIONS + FORKS if self.fork else ACTIVATIONS)


def section(kind: str, **options: object) -> str:
    """Its text; options that are None are left out."""
    return "\n".join([f"[{kind}]", *(f"{key}={value}" for key, value in options.items() if value is not None)])


def _convolutional(at: Place) -> str:
    options: dict[str, object] = {
        "filters": at.of(1, 2, 4, 6, 8, 16), "size": at.of(1, 2, 3, 5), "stride": at.of(1, 1, 1, 2), "pad": at.of(0, 1),
        "activation": at.activation(), "batch_normalize": at.of(0, 1), "groups": at.of(*[None] * 12, 2, 4),
    }  # fmt: skip
    odd = at.random.random()
    if odd < 0.06:
        options |= {"binary": 1}
    elif odd < 0.12:
        options |= {"xnor": 1}
    elif odd < 0.15:
        options |= {"flipped": 1, "groups": 1}
    elif odd < 0.35 and at.fork:
        options |= at.random.choice(
            [{"dilation": 2}, {"stride_x": 2}, {"stride_y": 2}, {"stride": 2, "antialiasing": 1}, {"cbn": 1}]
        )
    return section("convolutional", **options)


def _shared(at: Place) -> str:
    """Two convolutions, of which the second has the first one's weights."""
    one = {"size": at.of(1, 3), "pad": 1, "filters": at.of(4, 6), "activation": at.activation()}
    first, second = section("convolutional", **one), section("convolutional", **one, share_index=-1)
    return f"{section('convolutional', filters=one['filters'], size=1, activation='linear')}\n{first}\n{second}"


def _maxpool(at: Place) -> str:
    options: dict[str, object] = {"size": at.of(1, 2, 3, 5), "stride": at.of(1, 2), "padding": at.of(None, None, 0, 1)}
    if at.fork and at.random.random() < 0.3:
        options = at.random.choice(
            [{"maxpool_depth": 1, "out_channels": 2}, {**options, "stride_x": 2}, {**options, "antialiasing": 1}]
        )
    return section("maxpool", **options)


def _route(at: Place) -> str:
    layers = at.random.choice([f"{at.before()}", f"-1,{at.before()}", "0,-1"])
    grouped = at.fork and at.random.random() < 0.4
    return section("route", layers=layers, groups=2 if grouped else None, group_id=at.of(0, 1) if grouped else None)


def _shortcut(at: Place) -> str:
    options: dict[str, object] = {"from": at.before(), "activation": at.activation()}
    if at.random.random() < 0.2:
        options |= {"alpha": 0.5, "beta": 2}
    elif at.fork and at.random.random() < 0.3:
        options |= {
            "weights_type": at.of("per_feature", "per_channel"),
            "weights_normalization": at.of("relu", "softmax"),
        }
    elif at.fork and at.random.random() < 0.2:
        options["from"] = f"{at.before()},{at.before()}"
    return section("shortcut", **options)


def _scaled(at: Place) -> str:
    """A squeeze and excitation, with or without the [avgpool] that it needs."""
    scale = section("scale_channels", **{"from": at.of(-2, at.before()), "activation": at.of("linear", "logistic")})
    return f"{section('avgpool')}\n{scale}" if at.random.random() < 0.8 else scale


def _implicit(at: Place) -> str:
    """YOLOR's: a value for each channel of a convolution."""
    filters, adds = at.of(2, 4), at.random.random() < 0.5
    made = section("implicit_add" if adds else "implicit_mul", filters=filters)
    layer = section("convolutional", filters=filters, size=1, activation="linear")
    return f"{made}\n{layer}\n{section('shift_channels' if adds else 'control_channels', **{'from': -2})}"


def _dense(at: Place) -> dict[str, object]:
    return {"output": at.of(1, 5, 12), "batch_normalize": at.of(0, 1)}


def _crnn(at: Place) -> str:
    words = {"hidden": at.of(2, 4), "output": at.of(2, 4)} if at.fork else {}
    own = {"hidden_filters": at.of(2, 4), "output_filters": at.of(2, 4)}
    return section("crnn", **(words or own), size=3 if at.fork else None, pad=1 if at.fork else None,
                   activation=at.activation(), batch_normalize=at.of(0, 1), shortcut=at.of(0, 0, 1))  # fmt: skip


LAYERS: dict[str, tuple[int, bool, Callable[[Place], str]]] = {
    "convolutional": (12, False, _convolutional),
    "maxpool": (4, False, _maxpool),
    "route": (3, False, _route),
    "shortcut": (3, False, _shortcut),
    "upsample": (1, False, lambda at: section("upsample", stride=at.of(2, 2, 3, -2), scale=at.of(None, 0.5))),
    "reorg": (1, False, lambda at: section(
        "reorg", stride=at.of(2, 2, 4), reverse=at.of(0, 0, 1), flatten=at.of(0, 0, 1))),
    "dropout": (1, False, lambda at: section("dropout", probability=0.5)),
    "activation": (1, False, lambda at: section("activation", activation=at.activation())),
    "batchnorm": (1, False, lambda at: section("batchnorm")),
    "connected": (1, False, lambda at: section("connected", **_dense(at), activation=at.activation())),
    "local": (1, False, lambda at: section("local", filters=at.of(1, 3), size=at.of(1, 3), activation=at.activation())),
    "deconvolutional": (1, False, lambda at: section("deconvolutional", filters=at.of(1, 3), size=at.of(2, 3, 4),
        stride=at.of(1, 2), activation=at.activation(), batch_normalize=at.of(0, 1))),
    "normalization": (1, False, lambda at: section(
        "normalization", size=at.of(1, 3, 5), alpha=0.01, beta=0.7, kappa=1)),
    "l2norm": (1, False, lambda at: section("l2norm")),
    "crop": (1, False, lambda at: section(
        "crop", crop_width=at.of(4, 8), crop_height=at.of(4, 8), noadjust=at.of(0, 1))),
    "avgpool": (1, False, lambda at: section("avgpool")),
    "softmax": (1, False, lambda at: section("softmax", groups=at.of(1, 1, 2), temperature=at.of(1, 2))),
    "logistic": (1, False, lambda at: section("logistic")),
    "cost": (1, False, lambda at: section("cost", type=at.of("sse", "smooth", "L1"))),
    "scale_channels": (2, True, _scaled),
    "sam": (1, True, lambda at: section("sam", **{"from": at.before()}, activation=at.activation())),
    "local_avgpool": (1, True, lambda at: section("local_avgpool", size=at.of(2, 3), stride=at.of(1, 2))),
    "reorg3d": (1, True, lambda at: section("reorg3d", stride=2, reverse=at.of(0, 0, 1))),
    "empty": (1, True, lambda at: section("empty")),
    "silence": (1, True, lambda at: section("silence")),
    "implicit": (1, True, lambda at: section("implicit", filters=at.of(2, 4), atoms=at.of(1, 2))),
    "implicit_add": (1, True, _implicit),
    "history": (1, True, lambda at: section("history", history_size=at.of(1, 2))),
    "share_index": (1, True, _shared),
}  # fmt: skip
"""By kind: how often, whether only the fork has it, and what writes one."""

RECURRENT: dict[str, tuple[bool, Callable[[Place], str]]] = {
    "rnn": (False, lambda at: section("rnn", **_dense(at), activation=at.activation(), shortcut=at.of(0, 0, 1))),
    "gru": (False, lambda at: section("gru", **_dense(at), tanh=at.of(0, 1))),
    "lstm": (False, lambda at: section("lstm", **_dense(at))),
    "crnn": (False, _crnn),
    "conv_lstm": (True, lambda at: section("conv_lstm", output=at.of(2, 4), size=3, pad=1, peephole=at.of(0, 1),
        batch_normalize=at.of(0, 1))),
    "connected": (False, lambda at: section("connected", **_dense(at), activation=at.activation())),
}  # fmt: skip
"""What stands in networks with a state: by kind, whether only the fork has it."""

ENDS = ("region", "yolo", "Gaussian_yolo", "detection", "iseg", "softmax", "logistic", "contrastive")


def layer(at: Place) -> str:
    """One layer, or the few that belong together."""
    kinds = [(often, write) for often, forks, write in LAYERS.values() if at.fork or not forks]
    ((_, write),) = at.random.choices(kinds, [often for often, _ in kinds])
    return write(at)


def network_text(random: Random, fork: bool) -> str:
    """A definition."""
    if random.random() < 0.1:
        return _recurrent(random, fork)
    side = random.choice([8, 12, 16, 24, 32])
    width, height = (side, side) if random.random() < 0.7 else (side, random.choice([8, 16, 24]))
    net = section("net", batch=1, width=width, height=height, channels=random.choice([1, 3, 3, 4]))
    layers = [layer(Place(random, number, fork)) for number in range(random.randint(1, 8))]
    return "\n".join([net, *layers, *([_end(random, fork)] if random.random() < 0.5 else [])]) + "\n"


def _recurrent(random: Random, fork: bool) -> str:
    """One with a state: of pictures or of plain values, a few steps."""
    given = {"width": 8, "height": 6, "channels": 3} if fork or random.random() < 0.6 else {"inputs": 12}
    # The original asks for no memory for what convolutions of a [crnn] need; a larger one's does.
    layers = [section("convolutional", filters=f, size=3, pad=1, activation="linear") for f in (48, 3)]
    layers = [] if "inputs" in given else layers
    kinds = [write for forks, write in RECURRENT.values() if fork or not forks]
    for number in range(random.randint(1, 3)):
        layers.append(random.choice(kinds)(Place(random, number, fork)))
    return "\n".join([section("net", batch=1, time_steps=random.choice([1, 3]), **given), *layers]) + "\n"


def _end(random: Random, fork: bool) -> str:
    classes, num = random.choice([1, 3]), random.choice([1, 2])
    common: dict[str, object] = {"classes": classes, "num": num}
    boxes: dict[str, object] = {"mask": ",".join(map(str, range(num))), "anchors": ",".join(["1,2"] * num)}
    if fork:
        boxes |= {"scale_x_y": random.choice([1, 1.2]), "nms_kind": random.choice(["greedynms", "diounms"])}
    fives = section("convolutional", filters=num * (classes + 5), size=1, activation="linear") + "\n"
    softmax = random.choice([0, 1])
    ends = {
        "region": fives + section("region", **common, anchors=boxes["anchors"], softmax=softmax),
        "yolo": fives + section("yolo", **common, **boxes, new_coords=random.choice([0, 1]) if fork else None),
        "detection": section("connected", output=9 * (5 * num + classes), activation="linear")
        + "\n" + section("detection", **common, coords=4, side=3, softmax=softmax, sqrt=random.choice([0, 1])),
        "iseg": section("convolutional", filters=classes + 4, size=1, activation="linear")
        + "\n" + section("iseg", classes=classes, ids=4),
        "softmax": random.choice(["[avgpool]\n[softmax]", "[connected]\noutput=4\n[softmax]"]),
        "logistic": "[connected]\noutput=4\n[logistic]",
    }  # fmt: skip
    if fork:
        nines = section("convolutional", filters=num * (classes + 9), size=1, activation="linear")
        ends["Gaussian_yolo"] = f"{nines}\n{section('Gaussian_yolo', **common, **boxes)}"
        vectors = section("convolutional", filters=4 * num, size=1, activation="linear")
        ends["contrastive"] = (
            f"{fives}{section('yolo', **common, **boxes)}\n[route]\nlayers=-2\n{vectors}\n[contrastive]"
        )
    return random.choice([text for kind, text in ends.items() for _ in range(4 if kind in ("region", "yolo") else 1)])
