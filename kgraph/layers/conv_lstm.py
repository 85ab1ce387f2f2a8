"""ConvLSTM: an LSTM whose products are convolutions (Shi et al. 2015).

The input's convolutions of all steps are one; the loop holds those of the state.
"""

from __future__ import annotations

from typing import Any

from kgraph import ops
from kgraph.core import Variable
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.layers.common import add_weight, known_size, normal_data_format, normal_padding, normal_tuple
from kgraph.layers.recurrent import _Builtin
from kgraph.layers.recurrent_cells import LSTMCell, Tensors

__all__ = ["ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"]


class ConvLSTMCell(LSTMCell):
    """One step; the tensors are channels last, whatever the layer around it takes."""

    def __init__(
        self,
        filters: int,
        *args: Any,
        rank: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, *args, **kwargs)
        self.rank = rank
        self.kernel_size = normal_tuple(self, "kernel_size", kernel_size, rank)
        self.strides = normal_tuple(self, "strides", strides, rank)
        self.padding = normal_padding(self, padding)
        self.data_format = normal_data_format(self, data_format)
        self.dilation_rate = normal_tuple(self, "dilation_rate", dilation_rate, rank)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise InvalidArgumentError(
                f"ConvLSTM{rank}D: strides and dilation cannot both be more than 1",
                got=f"strides={self.strides}, dilation_rate={self.dilation_rate}",
            )
        self._spatial: tuple[int, ...] = ()

    def build(self, input_shape: Any) -> None:
        """Make the weights and find the size of the state."""
        channels = known_size(self, input_shape, -1, "the number of channels")
        spatial = [known_size(self, input_shape, axis, "the size of the image") for axis in range(1, self.rank + 1)]
        self.kernel = add_weight(self, "kernel", (*self.kernel_size, channels, 4 * self.units))
        self.recurrent_kernel: Variable = self.add_weight(
            shape=(*self.kernel_size, self.units, 4 * self.units),
            name="recurrent_kernel",
            **{key: getattr(self, f"recurrent_{key}") for key in ("initializer", "regularizer", "constraint")},
        )
        if self.use_bias:
            self._build_bias()
        self._spatial = tuple(map(self._length, spatial, self.kernel_size, self.strides, self.dilation_rate))

    def _length(self, size: int, kernel: int, stride: int, dilation: int) -> int:
        if self.padding == "same":
            return -(-size // stride)
        reach = (kernel - 1) * dilation + 1
        if size < reach:
            raise ShapeError(
                f"ConvLSTM{self.rank}D: the kernel is larger than the input",
                got=f"size {size}, kernel_size={self.kernel_size}",
                fix="use padding='same' or a smaller kernel",
            )
        return (size - reach) // stride + 1

    def masks(self, template: Any, training: Any) -> tuple[Tensors, Tensors]:
        """Masks of their own for every gate, of inputs and of states."""
        if not training:
            return [], []
        inputs, state = template
        return self._draw(inputs, self.dropout, 4), self._draw(state, self.recurrent_dropout, 4)

    def _input_convolution(self, x: Any, kernel: Any, bias: Any) -> Any:
        """Of one step or of all: the steps are joined to the batch meanwhile."""
        steps = tuple(ops.shape(x))[:2] if len(x.shape) == self.rank + 3 else None
        if steps is not None:
            x = ops.reshape(x, (steps[0] * steps[1], *tuple(ops.shape(x))[2:]))
        y = _convolve(self.rank, x, kernel, self.strides, self.padding, self.dilation_rate)
        y = y if bias is None else ops.add(y, bias)
        return y if steps is None else ops.reshape(y, (*steps, *tuple(ops.shape(y))[1:]))

    def project(self, inputs: Any, masks: Tensors) -> Tensors:
        """The input's convolutions for all gates."""
        if not masks:
            return [self._input_convolution(inputs, ops.convert_to_tensor(self.kernel), self.bias)]
        kernels = ops.split(self.kernel, 4, axis=-1)
        biases = [None] * 4 if self.bias is None else ops.split(self.bias, 4, axis=0)
        wide = len(inputs.shape) == self.rank + 3
        return [
            self._input_convolution(ops.multiply(inputs, ops.expand_dims(mask, 1) if wide else mask), kernel, bias)
            for mask, kernel, bias in zip(masks, kernels, biases)
        ]

    def constants(self, masks: Tensors) -> dict[str, Any]:
        """The recurrent kernel, whole or cut by gates."""
        if masks:
            return {"kernels": ops.split(self.recurrent_kernel, 4, axis=-1)}
        return {"kernel": ops.convert_to_tensor(self.recurrent_kernel)}

    def _gates(self, projected: Tensors, state: Any, masks: Tensors, constants: dict[str, Any]) -> Tensors:
        def recur(h: Any, kernel: Any) -> Any:
            return _convolve(self.rank, h, kernel, (1,) * self.rank, "same", (1,) * self.rank)

        if not masks and len(projected) == 1:
            return self._split(ops.add(projected[0], recur(state, constants["kernel"])))
        outer = projected if len(projected) > 1 else self._split(projected[0])
        if not masks:
            inner = self._split(recur(state, constants["kernel"]))
        else:
            inner = [recur(ops.multiply(state, mask), kernel) for mask, kernel in zip(masks, constants["kernels"])]
        return [ops.add(x, h) for x, h in zip(outer, inner)]

    def get_initial_state(self, batch_size: Any = None) -> Tensors:
        """Zeros for h and c."""
        shape = (batch_size, *self._spatial, self.units)
        return [ops.zeros(shape, dtype=self.compute_dtype) for _ in range(2)]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        config = super().get_config()
        del config["units"]
        return {
            **config,
            "filters": self.units,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
        }


def _convolve(rank: int, x: Any, kernel: Any, strides: Any, padding: str, dilation: Any) -> Any:
    return (ops.conv_3d if rank == 3 else ops.conv)(x, kernel, strides, padding, "channels_last", dilation)


class _ConvLSTM(_Builtin):
    """What the three share.

    Args:
        filters: number of output channels.
        kernel_size, strides, dilation_rate: an integer or one per axis; the state's convolution has no strides.
        padding: "valid" or "same", of the input's convolution; the state's is always "same".
        data_format: "channels_last" or "channels_first".
        kwargs: those of `LSTMCell`, then those of `RNN`.
    """

    cell_type = ConvLSTMCell
    rank = 2

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters,
            rank=self.rank,
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            recurrent_activation=recurrent_activation,
            **kwargs,
        )

    @property
    def filters(self) -> int:
        """Number of output channels."""
        return int(self.cell.units)

    @property
    def data_format(self) -> str:
        """Where the channels are."""
        return str(self.cell.data_format)

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        """Build the cell for one step."""
        shape = sequences_shape[0] if isinstance(sequences_shape[0], (list, tuple)) else sequences_shape
        if len(shape) != self.rank + 3:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r} needs a sequence of rank {self.rank + 3}",
                got=f"input shape {tuple(shape)}",
                needed="(batch, steps, *sizes, channels)",
            )
        if self.data_format == "channels_first":
            shape = (*shape[:2], *shape[3:], shape[2])
        super().build(shape, initial_state_shape)
        self.input_spec = None

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: Any = False) -> Any:
        """Walk along the sequence."""
        if self.data_format == "channels_last":
            return super().call(sequences, initial_state, mask, training)
        if isinstance(sequences, (list, tuple)):
            sequences, *given = sequences
            initial_state = given or initial_state
        if initial_state is not None:
            initial_state = [ops.moveaxis(state, 1, -1) for state in initial_state]
        outputs = super().call(ops.moveaxis(sequences, 2, -1), initial_state, mask, training)
        first, *states = outputs if isinstance(outputs, tuple) else (outputs,)
        first = ops.moveaxis(first, -1, 2 if self.return_sequences else 1)
        return (first, *(ops.moveaxis(state, -1, 1) for state in states)) if self.return_state else first


class ConvLSTM1D(_ConvLSTM):
    """LSTM of convolutions over steps.  x: f32[B, T, N, C] -> f32[B, N', filters], or f32[B, T, N', filters]."""

    rank = 1


class ConvLSTM2D(_ConvLSTM):
    """LSTM of convolutions of images.  x: f32[B, T, H, W, C] -> f32[B, H', W', filters], or with all T steps."""


class ConvLSTM3D(_ConvLSTM):
    """LSTM of convolutions of volumes.  x: f32[B, T, D, H, W, C] -> f32[B, D', H', W', filters], or with T steps."""

    rank = 3
