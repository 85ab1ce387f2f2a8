"""`STFTSpectrogram` and `MelSpectrogram`: spectra of signals, natively, as convolutions with waves under a window."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph import ops
from kgraph.core import InputSpec, Layer, Variable
from kgraph.core.session import epsilon
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.initializers import STFT
from kgraph.layers.common import normal_data_format, normal_padding, positive
from kgraph.windows import check_window, window_values

__all__ = ["MelSpectrogram", "STFTSpectrogram"]

Array = npt.NDArray[Any]
MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")


class STFTSpectrogram(Layer):
    """Short-time Fourier transform of f[B, T, C], by convolution kernels that training may change.

    Gives f[B, T', C * F], or f[B, T', F, C] with `expand_dims`, where F = fft_length // 2 + 1 (twice that in mode
    "stft"); with data_format "channels_first" f[B, C, T] gives f[B, C * F, T'] or f[B, C, T', F].

    Args:
        mode: "log" (of the magnitude), "magnitude", "psd" (power), "real", "imag", "angle", or "stft" (real and
            imaginary parts one after the other).
        frame_length: samples of a frame.
        frame_step: samples between two frames, half a frame by default.
        fft_length: samples that a frame is padded to, the next power of two by default.
        window: name or values of the window.
        periodic: of the window.
        scaling: "density" (by the root of the sum of squares of the window), "spectrum" (by its sum) or None.
        padding: "valid" or "same".
        expand_dims: put frequencies and channels on axes of their own.
        data_format: "channels_last" or "channels_first".
    """

    def __init__(
        self,
        mode: str = "log",
        frame_length: int = 256,
        frame_step: int | None = None,
        fft_length: int | None = None,
        window: Any = "hann",
        periodic: bool = False,
        scaling: str | None = "density",
        padding: str = "valid",
        expand_dims: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value, allowed in (("mode", mode, MODES), ("scaling", scaling, ("density", "spectrum", None))):
            if value not in allowed:
                raise InvalidArgumentError(
                    f"STFTSpectrogram: argument `{name}` is {value!r}", needed="one of " + ", ".join(map(str, allowed))
                )
        self.mode, self.scaling = mode, scaling
        self.frame_length = positive(self, "frame_length", frame_length)
        self.frame_step, self.fft_length = frame_step, fft_length
        self._step = max(self.frame_length // 2, 1) if frame_step is None else positive(self, "frame_step", frame_step)
        self._size = 1 << (self.frame_length - 1).bit_length() if fft_length is None else int(fft_length)
        if self._step > self.frame_length or self._size < self.frame_length:
            raise InvalidArgumentError(
                f"STFTSpectrogram: frame_step={frame_step}, frame_length={frame_length}, fft_length={fft_length}",
                needed="frame_step <= frame_length <= fft_length",
            )
        if self._size & (self._size - 1):
            warnings.warn(f"`fft_length` should be a power of two; it is {self._size}", stacklevel=2)
        check_window("STFTSpectrogram", window)
        self.window, self.periodic, self.expand_dims = window, periodic, expand_dims
        self.padding = normal_padding(self, padding)
        self.data_format = normal_data_format(self, data_format)
        self.input_spec = InputSpec(ndim=3)
        self._kernels: dict[str, Variable] = {}

    def build(self, input_shape: Any) -> None:
        """Make the kernels."""
        shape = (self.frame_length, 1, self._size // 2 + 1)
        for side, without in (("real", "imag"), ("imag", "real")):
            if self.mode != without:
                made = STFT(side, self.window, self.scaling, self.periodic)
                self._kernels[side] = self.add_weight(shape=shape, initializer=made, name=f"{side}_kernel")

    def call(self, inputs: Any) -> Any:
        """Transform every channel."""
        last = self.data_format == "channels_last"
        x = inputs if last else ops.transpose(inputs, (0, 2, 1))
        if x.shape[-1] is None:
            raise ShapeError(f"STFTSpectrogram {self.name!r}: the number of channels is not known", got=str(x.shape))
        spectra = [self._spectrum(x[:, :, c : c + 1]) for c in range(x.shape[-1])]
        if not self.expand_dims:
            joined = ops.concatenate(spectra, axis=-1) if len(spectra) > 1 else spectra[0]
            return joined if last else ops.transpose(joined, (0, 2, 1))
        return ops.stack(spectra, axis=-1 if last else 1)

    def _spectrum(self, x: Any) -> Any:
        """f[B, T, 1] -> f[B, T', F]."""

        def wave(kernel: Any) -> Any:
            return ops.conv(
                x, ops.cast(kernel, x.dtype), self._step, self.padding, data_format="channels_last", dilation_rate=1
            )

        if self.mode in ("real", "imag"):
            return wave(self._kernels[self.mode])
        real, imag = wave(self._kernels["real"]), wave(self._kernels["imag"])
        if self.mode == "stft":
            return ops.concatenate([real, imag], axis=-1)
        if self.mode == "angle":
            return ops.arctan2(imag, real)
        power = ops.square(real) + ops.square(imag)
        if self.mode == "psd":
            # All frequencies but the first and the last stand for two.
            return power + ops.pad(power[:, :, 1:-1], [[0, 0], [0, 0], [1, 1]])
        magnitude = ops.sqrt(ops.maximum(power, epsilon()))
        return magnitude if self.mode == "magnitude" else ops.log(ops.maximum(magnitude, epsilon()))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        names = "mode frame_length frame_step fft_length window periodic scaling padding expand_dims data_format"
        own = {name: getattr(self, name) for name in names.split()}
        own["window"] = _plain(self.window)
        return {**super().get_config(), **own}


def _plain(window: Any) -> Any:
    return window if window is None or isinstance(window, str) else np.asarray(window).tolist()


class MelSpectrogram(Layer):
    """Power of a signal f[T] or f[B, T] on the mel scale: f[num_mel_bins, T'] or f[B, num_mel_bins, T'].

    Frames are centred: the signal is mirrored by half of `fft_length` at both ends.  Mel filters are triangles between
    equal steps of 1127 ln(1 + f / 700) (HTK).

    Args:
        fft_length: samples that a frame is padded to.
        sequence_stride: samples between two frames.
        sequence_length: samples of a frame, `fft_length` by default.
        window: name or values of the window, or None.
        sampling_rate: samples a second.
        num_mel_bins: number of filters.
        min_freq, max_freq: lowest and highest frequency in hertz; half the sampling rate by default.
        power_to_db: give decibels.
        top_db: decibels below the loudest value of the whole batch at which values are cut.
        mag_exp: power of the magnitude.
        min_power: least power before the logarithm.
        ref_power: power of 0 decibels.
    """

    def __init__(
        self,
        fft_length: int = 2048,
        sequence_stride: int = 512,
        sequence_length: int | None = None,
        window: Any = "hann",
        sampling_rate: float = 16000,
        num_mel_bins: int = 128,
        min_freq: float = 20.0,
        max_freq: float | None = None,
        power_to_db: bool = True,
        top_db: float = 80.0,
        mag_exp: float = 2.0,
        min_power: float = 1e-10,
        ref_power: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.fft_length = positive(self, "fft_length", fft_length)
        self.sequence_stride = positive(self, "sequence_stride", sequence_stride)
        self.sequence_length = positive(self, "sequence_length", sequence_length or fft_length)
        self.num_mel_bins = positive(self, "num_mel_bins", num_mel_bins)
        if self.fft_length < self.sequence_length:
            raise InvalidArgumentError(
                f"MelSpectrogram: fft_length={fft_length}, sequence_length={sequence_length}",
                needed="fft_length >= sequence_length",
            )
        check_window("MelSpectrogram", window)
        self.window, self.sampling_rate = window, sampling_rate
        self.min_freq, self.max_freq = min_freq, max_freq or int(sampling_rate / 2)
        self.power_to_db, self.top_db, self.mag_exp = power_to_db, top_db, mag_exp
        self.min_power, self.ref_power = min_power, ref_power

    def call(self, inputs: Any) -> Any:
        """Transform."""
        rank = len(inputs.shape)
        if rank not in (1, 2):
            raise ShapeError(
                f"MelSpectrogram {self.name!r} takes a signal or a batch of signals",
                got=f"shape {inputs.shape}",
                needed="(time,) or (batch, time)",
                fix="squeeze the channel axis: ops.squeeze(x, -1)" if rank == 3 else "",
            )
        x = ops.cast(inputs, "float32") if self.compute_dtype not in ("float32", "float64") else inputs
        x = ops.expand_dims(x, 0) if rank == 1 else x
        half = self.fft_length // 2
        x = ops.pad(x, [[0, 0], [half, half]], mode="reflect")
        waves = ops.conv(
            ops.expand_dims(x, -1),
            self._waves().astype(x.dtype),
            self.sequence_stride,
            "valid",
            data_format="channels_last",
            dilation_rate=1,
        )
        bins = half + 1
        power = ops.square(waves[:, :, :bins]) + ops.square(waves[:, :, bins:])
        if self.mag_exp != 2:
            power = ops.power(ops.sqrt(power), self.mag_exp)
        mel = ops.matmul(power, self.mel_matrix().astype(x.dtype))
        if self.power_to_db:
            mel = self._decibels(mel)
        mel = ops.cast(ops.transpose(mel, (0, 2, 1)), self.compute_dtype)
        return ops.squeeze(mel, 0) if rank == 1 else mel

    def _waves(self) -> Array:
        """f[fft_length, 1, 2 * bins]: cosines, then sines, under the window."""
        size = self.fft_length
        before = (size - self.sequence_length) // 2
        window = np.ones(size)
        if self.window is not None:
            window = np.zeros(size)
            window[before : before + self.sequence_length] = window_values(self.window, self.sequence_length, True)
        angle = 2 * np.pi * (np.outer(np.arange(size), np.arange(size // 2 + 1)) % size) / size
        return (np.concatenate([np.cos(angle), -np.sin(angle)], axis=1) * window[:, None])[:, None, :]

    def mel_matrix(self) -> Array:
        """f64[bins, num_mel_bins]: the weight of each frequency in each filter."""

        def mel(hertz: Any) -> Any:
            return 1127.0 * np.log(1.0 + hertz / 700.0)

        # The constant part of the signal, frequency 0, is in no filter.
        hertz = mel(np.linspace(0.0, self.sampling_rate / 2.0, self.fft_length // 2 + 1)[1:])[:, None]
        edges = np.linspace(mel(self.min_freq), mel(self.max_freq), self.num_mel_bins + 2)
        low, centre, high = edges[:-2], edges[1:-1], edges[2:]
        weights = np.maximum(0.0, np.minimum((hertz - low) / (centre - low), (high - hertz) / (high - centre)))
        return np.pad(weights, [[1, 0], [0, 0]])

    def _decibels(self, mel: Any) -> Any:
        reference = 10.0 * float(np.log10(max(abs(self.ref_power), self.min_power)))
        level = ops.log10(ops.maximum(mel, self.min_power)) * 10.0 - reference
        return ops.maximum(level, ops.max(level) - self.top_db)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        names = "fft_length sequence_stride sequence_length sampling_rate num_mel_bins min_freq max_freq power_to_db"
        own = {name: getattr(self, name) for name in f"{names} top_db mag_exp min_power ref_power".split()}
        return {**super().get_config(), **own, "window": _plain(self.window)}
