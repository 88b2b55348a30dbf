"""What the options of a definition are good for, where that is not to give the network its numbers.

An option stands in one of three lists. The first is what the lowering of a section reads: what it asks for is the list.
The other two are here: `TRAINING`, for what changes training only, with `UNFOLLOWED` for what of that `train` does not
follow and says so; and `SILENT`, for what changes no number at all. Any other option is named, with its line, by every
command that computes.
"""

from __future__ import annotations

from darknet_compat.formats.cfg import Section

EVERY_LAYER = ""
"""The key of options that each kind of layer may have."""

_BOX_LOSS = (
    "cls_normalizer counters_per_class delta_normalizer focal_loss iou_loss iou_normalizer iou_thresh iou_thresh_kind"
    " label_smooth_eps max_delta obj_normalizer objectness_smooth resize"
)
_CONTRASTIVE = "classes cls_normalizer contrastive_neg_max detection max_delta temperature yolo_layer"

UNFOLLOWED: dict[str, str] = {
    EVERY_LAYER: "burnin_update clip dont_update onlyforward train_only_bn",
    "net": (
        "adversarial_lr attention augment_speed badlabels_rejection_percentage badlabels_reject_threshold blur"
        " contrastive contrastive_color contrastive_jit_flip cutmix dynamic_minibatch ema_alpha equidistant_point"
        " gaussian_noise label_smooth_eps learning_rate_min loss_scale mixup mosaic mosaic_bound notruth"
        " num_sigmas_reject_badlabels resize_step seq_scales sequential_subdivisions sgdr_cycle sgdr_mult unsupervised"
        " weights_reject_freq"
    ),
    "convolutional": "angle assisted_excitation cbn dot grad_centr reverse rotate stretch stretch_sway sway",
    "dropout": "dropblock dropblock_size_abs dropblock_size_rel",
    "contrastive": _CONTRASTIVE,
    "yolo": _BOX_LOSS,
    "Gaussian_yolo": f"{_BOX_LOSS} uc_normalizer",
    "region": "focal_loss",
}
"""By section, options for training that this package's trainer does not follow, most of them the fork's."""

TRAINING: dict[str, str] = {
    EVERY_LAYER: "learning_rate stopbackward truth smooth",
    "net": (
        "B1 B2 adam angle aspect batch burn_in center clip decay eps exposure flip gamma hue learning_rate max_batches"
        " max_crop max_ratio min_crop min_ratio momentum policy power random saturation scale scales step steps"
        " subdivisions"
    ),
    "cost": "noobj ratio scale thresh type",
    "dropout": "probability",
    "softmax": "noloss",
    "region": (
        "bias_match class_scale coord_scale jitter mask_scale max noobject_scale object_scale random rescore thresh"
    ),
    "detection": "class_scale coord_scale forced jitter max noobject_scale object_scale random rescore",
    "yolo": "ignore_thresh jitter max random truth_thresh",
    "Gaussian_yolo": "ignore_thresh jitter max random truth_thresh",
}
"""By section, options for training that the trainer follows."""

SILENT: dict[str, str] = {
    EVERY_LAYER: "show_details stream wait_stream",
    "net": (
        "max_chart_loss optimized_memory show_receptive_field track try_fix_nan use_cuda_graph workspace_size_limit_MB"
    ),
    "region": "absolute",
    "yolo": "dets_for_show dets_for_track sim_thresh track_ciou_norm track_history_size",
    "Gaussian_yolo": "dets_for_show dets_for_track sim_thresh track_ciou_norm track_history_size",
}
"""By section, options that change no number: they print, draw charts, save memory or track in the fork's demo."""

_SPELLINGS = {"network": "net", "conv": "convolutional", "soft": "softmax"}


def training(section: str) -> frozenset[str]:
    """The options of a section that are for training only."""
    return _words(TRAINING, section) | unfollowed(section)


def unfollowed(section: str) -> frozenset[str]:
    """Those of them that the trainer does not follow."""
    return _words(UNFOLLOWED, section)


def silent(section: str) -> frozenset[str]:
    """The options of a section that change no number."""
    return _words(SILENT, section)


def not_followed(sections: tuple[Section, ...]) -> tuple[str, ...]:
    """What `train` has to say of a definition: "[yolo] iou_loss, max_delta", one text a kind of section."""
    found: dict[str, dict[str, None]] = {}
    for section in sections:
        words = unfollowed(section.type)
        for key, option in section.counting.items():
            if key in words and option.value is not None:
                found.setdefault(section.type, {})[key] = None
    return tuple(f"[{kind}] {', '.join(keys)}" for kind, keys in found.items())


def _words(table: dict[str, str], section: str) -> frozenset[str]:
    kind = _SPELLINGS.get(section, section)
    common = "" if kind == "net" else table.get(EVERY_LAYER, "")
    return frozenset(f"{table.get(kind, '')} {common}".split())
