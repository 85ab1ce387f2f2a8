"""Several random changes chosen at random: `RandAugment` and `AugMix`.

All changes that may be chosen are computed, and the chosen one is taken: a step of training has no branches.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kgraph import ops, random
from kgraph.errors import InvalidArgumentError
from kgraph.layers.common import positive
from kgraph.layers.image_base import (
    BYTES,
    Images,
    RandomImages,
    check_choice,
    factor_range,
    is_number,
    per_image,
    value_pair,
)
from kgraph.layers.image_color import (
    AutoContrast,
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomPosterization,
    Solarization,
)
from kgraph.layers.image_filters import RandomSharpness
from kgraph.layers.image_geometry import RandomRotation, RandomShear, RandomTranslation
from kgraph.layers.image_histograms import Equalization

__all__ = ["AugMix", "RandAugment"]

_INTERPOLATIONS = ("bilinear", "nearest")


# The changes, in groups; AugMix(all_ops=False) does without those of colour.
_MOVES = ("random_shear", "random_translation", "random_rotation")
_COLOURS = ("random_brightness", "random_color_degeneration", "random_contrast", "random_sharpness")
_LEVELS = ("random_posterization", "solarization", "auto_contrast", "equalization")


class _Policy(RandomImages):
    """Changes of one strength, of which some are chosen.

    Args:
        names: the changes.
        value_range: lowest and highest value of the images.
        factor: strength, from 0 to 1.
        interpolation: "bilinear" or "nearest".
    """

    random_shear: RandomShear

    def __init__(
        self,
        names: tuple[str, ...],
        value_range: Any,
        factor: Any,
        interpolation: str,
        seed: int | None,
        data_format: str | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.value_range = value_pair(self, value_range)
        self.factor = factor_range(self, "factor", factor, 0.0)
        self.interpolation = check_choice(self, "interpolation", interpolation, _INTERPOLATIONS)
        self._names = names
        made = self._made()
        for name in names:
            setattr(self, name, made[name])

    def _made(self) -> dict[str, Images]:
        strength, values = self.factor, self.value_range
        common: dict[str, Any] = {"data_format": self.data_format, "dtype": self.dtype_policy}
        drawn = {**common, "seed": self.seed}
        moved = {**drawn, "interpolation": self.interpolation}
        return {
            "random_shear": RandomShear(strength, strength, **moved),
            "random_translation": RandomTranslation(strength, strength, **moved),
            "random_rotation": RandomRotation(strength, **moved),
            "random_brightness": RandomBrightness(strength, values, **drawn),
            "random_color_degeneration": RandomColorDegeneration(strength, values, **drawn),
            "random_contrast": RandomContrast(strength, values, **drawn),
            "random_sharpness": RandomSharpness(strength, values, **drawn),
            "random_posterization": RandomPosterization(max(1, int(8 * strength[1])), values, **drawn),
            "solarization": Solarization(strength, strength, values, **drawn),
            "auto_contrast": AutoContrast(values, **common),
            "equalization": Equalization(values, **common),
        }

    def _all_drawn(self, images: Any, seed: Any) -> dict[str, Any]:
        return {
            name: getattr(self, name).get_random_transformation(images, seed=self._seed(seed)) for name in self._names
        }

    def _step(self, x: Any, choice: Any, drawn: dict[str, Any], masks: bool) -> Any:
        """One change of each image: the one with the number `choice`, i32[B] or i32[1]."""
        # The moves are one warp by the chosen matrix; cells that do not move keep their values to the bit.
        matrix: Any = np.array([[1, 0, 0, 0, 1, 0, 0, 0]], np.float32)
        of_row, of_image = ops.reshape(choice, (-1, 1)), per_image(choice)
        for number, name in enumerate(_MOVES):
            matrix = ops.where(ops.equal(of_row, number), drawn[name]["matrix"], matrix)
        moving = self.random_shear.transform_segmentation_masks if masks else self.random_shear.transform_images
        result = moving(x, {"matrix": matrix})
        for number, name in enumerate(self._names[len(_MOVES) :], start=len(_MOVES)):
            if not masks:
                changed = getattr(self, name).transform_images(x, drawn[name])
                result = ops.where(ops.equal(of_image, number), changed, result)
        return result

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any = None, training: Any = True) -> Any:
        """Boxes are not moved; see the error."""
        if training:
            raise self._no_boxes()
        return bounding_boxes

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {
            **super().get_config(),
            "value_range": self.value_range,
            "factor": self.factor,
            "interpolation": self.interpolation,
        }


class RandAugment(_Policy):
    """Some of eleven changes, chosen for each batch, one after the other (Cubuk et al. 2019).

    Args:
        value_range: lowest and highest value of the images.
        num_ops: number of changes.
        factor: strength, one number for (0, number) or (low, high), from 0 to 1.
        interpolation: "bilinear" or "nearest".
    """

    def __init__(
        self,
        value_range: Any = BYTES,
        num_ops: int = 2,
        factor: Any = 0.5,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        names = (*_MOVES, *_COLOURS, *_LEVELS)
        super().__init__(names, value_range, factor, interpolation, seed, data_format, **kwargs)
        self.num_ops = positive(self, "num_ops", num_ops)

    def _drawn(self, images: Any, seed: Any) -> Any:
        return {
            "layer_idxes": random.randint((self.num_ops,), 0, len(self._names), seed=self._seed(seed)),
            "transforms": self._all_drawn(images, seed),
        }

    def _changed(self, x: Any, transformation: Any, masks: bool) -> Any:
        for turn in range(self.num_ops):
            x = self._step(x, transformation["layer_idxes"][turn : turn + 1], transformation["transforms"], masks)
        return x

    def _transform(self, images: Any, transformation: Any) -> Any:
        return self._changed(images, transformation, masks=False)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: Any = True
    ) -> Any:
        """Masks moved as their images are."""
        return self._changed(segmentation_masks, transformation, masks=True) if training else segmentation_masks

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "num_ops": self.num_ops}


class AugMix(_Policy):
    """Each image mixed with several chains of changes of itself (Hendrycks et al. 2019).

    Args:
        value_range: lowest and highest value of the images; results are kept within.
        num_chains: number of chains.
        chain_depth: changes of a chain; each may also be none at all.
        factor: strength, one number for (0, number) or (low, high), from 0 to 1.
        alpha: parameter of the Dirichlet and beta distributions of the weights, above 0.
        all_ops: with brightness, colour, contrast and sharpness among the changes.
        interpolation: "bilinear" or "nearest".

    The changes are chosen anew for each batch.
    """

    def __init__(
        self,
        value_range: Any = BYTES,
        num_chains: int = 3,
        chain_depth: int = 3,
        factor: Any = 0.3,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        names = (*_MOVES, *_LEVELS, *(_COLOURS if all_ops else ()))
        super().__init__(names, value_range, factor, interpolation, seed, data_format, **kwargs)
        self.all_ops = bool(all_ops)
        self.num_chains = positive(self, "num_chains", num_chains)
        self.chain_depth = positive(self, "chain_depth", chain_depth)
        if not is_number(alpha) or not alpha > 0:
            raise InvalidArgumentError(
                f"AugMix: argument `alpha` is {alpha!r}", needed="a number above 0, such as 1.0", where=self.name
            )
        self.alpha = alpha

    def _repeated(self, x: Any) -> Any:
        """A copy of the batch for each chain, one after the other."""
        return ops.concatenate([x] * self.num_chains, axis=0)

    def _drawn(self, images: Any, seed: Any) -> Any:
        copies = self._repeated(images)
        alpha = float(self.alpha)
        # Shares of gamma draws are Dirichlet draws; never 0 / 0 where a small alpha leaves nothing of all of them.
        chains = random.gamma((self.num_chains,), alpha, dtype="float32", seed=self._seed(seed)) + 1e-30
        shape = (self.chain_depth, self.num_chains)
        drawn = [self._all_drawn(copies, seed) for _ in range(self.chain_depth)]
        if "equalization" in self._names:
            # Histograms of each chain's copy of the batch.
            drawn = [{**one, "equalization": self.num_chains} for one in drawn]
        return {
            "chain_mixing_weights": chains / ops.sum(chains),
            "weight_sample": random.beta((), alpha, alpha, dtype="float32", seed=self._seed(seed)),
            # One number more than there are changes: none.
            "choices": random.randint(shape, 0, len(self._names) + 1, seed=self._seed(seed)),
            "chain_transforms": drawn,
        }

    def _mixed(self, x: Any, transformation: Any, masks: bool) -> Any:
        batch, *rest = ops.shape(x)
        copies = self._repeated(x)
        for choice, drawn in zip(ops.unstack(transformation["choices"], axis=0), transformation["chain_transforms"]):
            of_chain = ops.broadcast_to(ops.reshape(choice, (-1, 1)), (self.num_chains, batch))
            copies = self._step(copies, ops.reshape(of_chain, (-1,)), drawn, masks)
        chains = ops.reshape(copies, (self.num_chains, batch, *rest))
        weights = ops.reshape(transformation["chain_mixing_weights"], (self.num_chains, *(1,) * (len(rest) + 1)))
        mixed = ops.sum(chains * ops.cast(weights, x.dtype), axis=0)
        share = ops.cast(transformation["weight_sample"], x.dtype)
        return share * x + (1.0 - share) * mixed

    def _transform(self, images: Any, transformation: Any) -> Any:
        low, high = self.value_range
        return ops.clip(self._mixed(images, transformation, masks=False), float(low), float(high))

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: Any = True
    ) -> Any:
        """Masks moved and mixed as their images are."""
        if not training:
            return segmentation_masks
        masks = ops.cast(segmentation_masks, self.compute_dtype)
        return self._mixed(masks, transformation, masks=True)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {
            **super().get_config(),
            "num_chains": self.num_chains,
            "chain_depth": self.chain_depth,
            "alpha": self.alpha,
            "all_ops": self.all_ops,
        }
