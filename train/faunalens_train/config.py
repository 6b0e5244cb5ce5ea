"""What a training run is told, every value checked; recipe.py reads it from a file."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from faunalens.errors import FaunalensError


class ConfigError(FaunalensError):
    """The training configuration is malformed; names the key."""


@dataclass(frozen=True)
class DataConfig:
    """Which pictures.

    Attributes:
        manifest: A manifest.csv or a folder of folders; relative to the configuration file.
        splits: The file written by `faunalens-data split`.
        images: The pictures' folder; empty means beside the manifest.
        unknown: Label to labels beside which its absence is not known. A live turtle wears a
            shell and an elephant may carry ivory: neither counts for or against that label.
    """

    manifest: str
    splits: str
    images: str = ""
    unknown: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class NetConfig:
    """Which network.

    Attributes:
        backbone: A convolutional timm name. `tf_efficientnet_lite0/1/2` take their ImageNet
            weights from PyPI packages, any other from timm's hub.
        pretrained: False starts from random weights; `prior` and the last map's directions of
            `surface` still come from ImageNet's classifier.
        size_px: Side of the square input.
        frozen_stages: Leading stages that keep their ImageNet weights; 0 trains everything.
        levels: How many maps the heads see: 1 the final one, 2 also the output of the last stage,
            and so on back to that of the last frozen stage.
        dropout: Before the linear heads, 0 to 1.
        prior: Share of the backbone's ImageNet classes in the logits of live animals, 0 to below 1
            (see prior.py).
        surface: How many directions of each map the labels of products are judged by in pairs (see
            surface.py); 0 judges them by the maps' means, as all others.
    """

    backbone: str = "tf_efficientnet_lite0"
    pretrained: bool = True
    size_px: int = 224
    frozen_stages: int = 4
    levels: int = 1
    dropout: float = 0.2
    prior: float = 0.0
    surface: int = 0


@dataclass(frozen=True)
class AugmentConfig:
    """What adverts do to photos. Numbers ending in `_p` are chances per photo.

    Attributes:
        swap_p: Chance of another backdrop behind an object that stands before a plain one; such a
            photo is not cropped.
        collage_p: Chance that a photo becomes one of a sheet of photos, and is not cropped.
        turn_p: Chance of a quarter turn (seldom a half).
        blur_max: Largest Gaussian, as a share of the longest side.
        screen_p: Chance of a photo of a screen that shows the photo.
    """

    swap_p: float = 0.5
    collage_p: float = 0.15
    crop_min_area: float = 0.3
    crop_p: float = 0.9
    aspect: float = 1.6
    flip_p: float = 0.5
    rotate_deg: float = 12.0
    rotate_p: float = 0.3
    turn_p: float = 0.25
    jitter: float = 0.4
    hue: float = 0.06
    jitter_p: float = 0.8
    cast_p: float = 0.3
    grey_p: float = 0.1
    rescale_p: float = 0.4
    rescale_min_px: int = 80
    blur_p: float = 0.2
    blur_max: float = 0.009
    screen_p: float = 0.12
    jpeg_min_quality: int = 25
    jpeg_p: float = 0.5
    frame_p: float = 0.15
    text_p: float = 0.2


@dataclass(frozen=True)
class BalanceConfig:
    """How often a picture is drawn.

    Attributes:
        negative_share: Share of negatives among drawn pictures, 0 to 1.
        label_power: Labels (and kinds of negative) are drawn by count to this power: 1 as they
            come, 0 all alike.
        source_power: The same for the sources within a label.
    """

    negative_share: float = 0.5
    label_power: float = 0.5
    source_power: float = 0.5


@dataclass(frozen=True)
class FitConfig:
    """The optimisation.

    Attributes:
        epochs: Passes of `epoch_pictures` drawn pictures; 0 keeps the linear probes.
        epoch_pictures: Pictures drawn per epoch; 0 means as many as there are.
        lr, head_lr: Peak learning rates (AdamW) of backbone and head; the head on second moments,
            which has thousands of features of unit variance, gets a tenth.
        warmup: Share of all steps with a rising rate; then a cosine to 0.
        ema: Decay of the averaged weights per step; 0 keeps the last weights.
        wise: Share of the tuned weights in the result, the rest being those of the linear probe
            (WiSE-FT, Wortsman et al. 2022, arXiv:2109.01903): what fine-tuning gains on known
            sources it partly loses on others, and the mean of both sets of weights is better
            than either there.
        smoothing: Label smoothing, 0 to 0.2.
        cached_views: 0 augments anew at each step. Above 0, the frozen stages' output is computed
            once for this many augmented views of each picture, which makes training on a CPU
            about three times faster (see cache.py).
        harder_views: Further cached views, under `[harder]` instead of `[augment]`, for labels that
            are judged by means: what is blurred or shown on a screen teaches nothing of a surface.
        edited_views: Changed views of each validation picture, under `[edited]`, that calibration
            and the joint of two models see beside the picture itself. 0 calibrates for photos that
            nothing happened to.
        distil: Weight of the loss by which fine-tuning keeps what ImageNet's classes say of the
            plain photo when the backbone sees a changed view of it (see prior.py).
        workers: Processes that decode and augment; 0 for none beside the training itself.
        threads: Threads of torch; 0 leaves it to torch.
        probe_decay, surface_decay: L2 penalties of the linear probes that start the heads (LP-FT,
            Kumar et al. 2022, arXiv:2202.10054), on means and on second moments.
        alone_decay: The same on means for live animals that ImageNet has no class of (pangolins and
            rhinos, see prior.py); 0 means `probe_decay`.
        autocast: `bf16`, `off`, or `auto` (bf16 on a GPU that has it; on a CPU for frozen stages
            that are not cached only: PyTorch's bf16 backward of depthwise convolutions is slower
            than fp32 there).
    """

    epochs: int = 4
    epoch_pictures: int = 0
    batch: int = 32
    lr: float = 3e-4
    head_lr: float = 1e-3
    weight_decay: float = 0.02
    warmup: float = 0.1
    ema: float = 0.98
    wise: float = 0.6
    smoothing: float = 0.0
    probe_decay: float = 1e-3
    alone_decay: float = 0.0
    surface_decay: float = 0.1
    autocast: str = "auto"
    cached_views: int = 0
    harder_views: int = 0
    edited_views: int = 0
    distil: float = 0.0
    workers: int = 0
    threads: int = 0


@dataclass(frozen=True)
class ThresholdConfig:
    """Where verdicts begin.

    Attributes:
        alert_fpr, review_fpr: False-positive rates aimed for, per label.
        alert_floor, review_floor: Probabilities below which no verdict begins, however well the
            validation pictures separate: photos from elsewhere separate less well.
        hard_share: Share of look-alikes, toys and art among the photos of a stream of adverts that
            show nothing protected, 0 to 1; data sets hold many more, on purpose.
        doubt_fpr: Share of negatives, per product label, that the first model may ask the second
            about.
        doubt_most: Probability of a product from which on it asks, whatever that share says.
    """

    alert_fpr: float = 0.001
    review_fpr: float = 0.01
    alert_floor: float = 0.5
    review_floor: float = 0.1
    hard_share: float = 0.05
    doubt_fpr: float = 0.03
    doubt_most: float = 0.1


@dataclass(frozen=True)
class TrainConfig:
    """A whole run. `name` and `version` become the model's.

    Attributes:
        harder: Of `fit.harder_views`; it does not build on `augment`.
        edited: Of `fit.edited_views`, the same for both models of a pair.
    """

    data: DataConfig
    name: str = "faunalens"
    version: str = "0.1.0"
    licence: str = "Apache-2.0"
    seed: int = 0
    net: NetConfig = NetConfig()
    augment: AugmentConfig = AugmentConfig()
    harder: AugmentConfig = AugmentConfig()
    edited: AugmentConfig = AugmentConfig()
    balance: BalanceConfig = BalanceConfig()
    fit: FitConfig = FitConfig()
    thresholds: ThresholdConfig = ThresholdConfig()

    def __post_init__(self) -> None:
        _check(self.fit.autocast in ("auto", "bf16", "off"), "fit.autocast", "auto, bf16 or off")
        _check(self.fit.epochs >= 0, "fit.epochs", "0 or more")
        _check(self.fit.batch >= 2, "fit.batch", "2 or more")
        _check(self.fit.lr > 0 and self.fit.head_lr > 0, "fit.lr, fit.head_lr", "above 0")
        _check(0 <= self.fit.ema < 1, "fit.ema", "0 to below 1")
        _check(self.fit.cached_views >= 0, "fit.cached_views", "0 or more")
        for name in ("harder", "edited"):
            key, count = f"fit.{name}_views", getattr(self.fit, f"{name}_views")
            _check(count >= 0, key, "0 or more")
            if getattr(self, name) != AugmentConfig():
                _check(count > 0, key, f"1 or more beside [{name}]")
            _check(not count or self.fit.cached_views > 0, key, "0 without fit.cached_views")
        _check(0 <= self.fit.distil < math.inf, "fit.distil", "0 or more")
        if self.fit.distil:
            possible = min(self.fit.cached_views, self.fit.epochs, self.net.prior) > 0
            needed = "fit.cached_views, fit.epochs and net.prior"
            _check(possible, "fit.distil", f"0 unless {needed} are all above 0")
        _check(0 < self.fit.wise <= 1, "fit.wise", "above 0 to 1")
        _check(0 <= self.fit.smoothing <= 0.2, "fit.smoothing", "0 to 0.2")
        _check(32 <= self.net.size_px <= 1024, "net.size_px", "32 to 1024")
        _check(self.net.levels >= 1, "net.levels", "1 or more")
        _check(0 <= self.net.prior < 1, "net.prior", "0 to below 1")
        _check(0 <= self.net.surface <= 128, "net.surface", "0 to 128")
        _check(0 <= self.balance.negative_share < 1, "balance.negative_share", "0 to below 1")
        limits = self.thresholds
        _check(
            0 < limits.alert_fpr <= limits.review_fpr < 1,
            "thresholds",
            "0 < alert_fpr <= review_fpr < 1",
        )
        _check(0 < limits.hard_share < 1, "thresholds.hard_share", "above 0 to below 1")
        _check(0 < limits.doubt_fpr < 1, "thresholds.doubt_fpr", "above 0 to below 1")
        _check(0 < limits.doubt_most < 1, "thresholds.doubt_most", "above 0 to below 1")
        _check(
            0 < limits.review_floor <= limits.alert_floor < 1,
            "thresholds",
            "0 < review_floor <= alert_floor < 1",
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as a TOML or JSON file would hold them."""
        return dataclasses.asdict(self)


def _check(good: bool, key: str, expected: str) -> None:
    if not good:
        raise ConfigError(f"{key} must be {expected}")
