"""What the options of a definition are good for, where that is not to give the network its numbers.

An option stands in one of three lists. The first is what the lowering of a section reads: what it asks for is the list.
The second is what changes training only: `TRAINING`, and `UNFOLLOWED`, which `train` does not follow and says so. The
third is `SILENT`, what changes no number at all. Any other option is named, with its line, by every command that
computes.
"""

from __future__ import annotations

from darknet_compat.formats.cfg import Section

EVERY_LAYER = ""
"""The key of options that each kind of layer may have."""

_BOX_LOSS = (
    "cls_normalizer counters_per_class delta_normalizer ignore_thresh iou_loss iou_normalizer iou_thresh"
    " iou_thresh_kind jitter label_smooth_eps max max_delta obj_normalizer objectness_smooth random resize truth_thresh"
)

TRAINING: dict[str, str] = {
    EVERY_LAYER: "burnin_update clip dont_update learning_rate smooth stopbackward train_only_bn truth",
    "net": (
        "B1 B2 adam angle aspect batch blur burn_in center clip cutmix decay ema_alpha eps exposure flip gamma"
        " gaussian_noise hue label_smooth_eps learning_rate learning_rate_min max_batches max_crop max_ratio min_crop"
        " min_ratio mixup momentum mosaic mosaic_bound policy power random resize_step saturation scale scales"
        " sgdr_cycle sgdr_mult step steps subdivisions"
    ),
    "cost": "noobj ratio scale thresh type",
    "dropout": "probability",
    "softmax": "noloss",
    "region": (
        "bias_match class_scale coord_scale focal_loss jitter mask_scale max noobject_scale object_scale random rescore"
        " thresh"
    ),
    "detection": "class_scale coord_scale forced jitter max noobject_scale object_scale random rescore",
    "yolo": f"{_BOX_LOSS} focal_loss",
    "Gaussian_yolo": f"{_BOX_LOSS} uc_normalizer",
}
"""By section, options for training only that the trainer follows."""

UNFOLLOWED: dict[str, str] = {
    "net": (
        "adversarial_lr attention augment_speed badlabels_reject_threshold badlabels_rejection_percentage contrastive"
        " contrastive_color contrastive_jit_flip dynamic_minibatch equidistant_point loss_scale"
        " num_sigmas_reject_badlabels seq_scales sequential_subdivisions unsupervised weights_reject_freq"
    ),
    "convolutional": "angle assisted_excitation cbn dot grad_centr reverse rotate stretch stretch_sway sway",
    "dropout": "dropblock dropblock_size_abs dropblock_size_rel",
    "conv_lstm": "time_normalizer",
    "region": "resize",
    "detection": "resize",
    "contrastive": "classes cls_normalizer contrastive_neg_max detection max_delta temperature yolo_layer",
    "yolo": "embedding_layer",
    "Gaussian_yolo": "embedding_layer",
}
"""By section, options for training only that it does not follow, all of them the fork's but dot."""

SILENT: dict[str, str] = {
    EVERY_LAYER: "show_details stream wait_stream",
    "net": (
        "max_chart_loss optimized_memory show_receptive_field track try_fix_nan use_cuda_graph workspace_size_limit_MB"
    ),
    "region": "absolute log sqrt",
    "yolo": "dets_for_show dets_for_track sim_thresh track_ciou_norm track_history_size",
    "Gaussian_yolo": "dets_for_show dets_for_track sim_thresh track_ciou_norm track_history_size",
}
"""By section, options that change no number: they print, draw charts, save memory or track in the fork's demo."""

_CLASSIFIERS_ONLY = {"cutmix"}
"""Options of [net] that the trainer follows, as the fork does, where there is no head with boxes."""
_WITH_BOXES = {"region", "detection", "yolo", "Gaussian_yolo"}

_SPELLINGS = {"network": "net", "conv": "convolutional", "soft": "softmax"}


def known(section: str) -> frozenset[str]:
    """The options of a section that nobody has to read for the network to give its numbers."""
    return _words(TRAINING, section) | _words(UNFOLLOWED, section) | _words(SILENT, section)


def not_followed(sections: tuple[Section, ...]) -> tuple[str, ...]:
    """What `train` has to say of a definition: "[net] attention (line 3), seq_scales (line 4)", one text a kind of
    section."""
    found: dict[str, dict[str, list[int]]] = {}
    has_boxes = any(section.type in _WITH_BOXES for section in sections)
    for section in sections:
        words = _words(UNFOLLOWED, section.type)
        if has_boxes and section.type in ("net", "network"):
            words |= _CLASSIFIERS_ONLY
        for option in section.options:
            if option.key in words and option.value:
                found.setdefault(section.type, {}).setdefault(option.key, []).append(option.line)
    return tuple(
        f"[{kind}] {', '.join(f'{key} ({_places(lines)})' for key, lines in keys.items())}"
        for kind, keys in found.items()
    )


def _places(lines: list[int]) -> str:
    """Line numbers in words, the first few of very many."""
    few, more = lines[:3], len(lines) - 3
    return f"line{'s'[: len(lines) > 1]} {', '.join(map(str, few))}{f', {more} more' if more > 0 else ''}"


def _words(table: dict[str, str], section: str) -> frozenset[str]:
    kind = _SPELLINGS.get(section, section)
    common = "" if kind == "net" else table.get(EVERY_LAYER, "")
    return frozenset(f"{table.get(kind, '')} {common}".split())
