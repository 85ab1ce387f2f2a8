"""Symbolic dimensions: polynomials with integer coefficients over named sizes such as the batch `B`.

A shape is a tuple of `int | Dim`.  A polynomial without symbols is always a plain `int`, so code for static shapes
never meets a `Dim`.  Dims are immutable, hashable and print in one canonical order (`B*T`, `20*B + 1`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kgraph.errors import InvalidArgumentError, SymbolicBoolError

__all__ = ["Dim", "DimLike", "Shape", "evaluate_shape", "shape_text", "shape_volume"]

Monomial = tuple[str, ...]


class Dim:
    """A polynomial over size symbols, e.g. `20*B + 4`.  Create with `Dim.symbol`, combine with `+ - * //`."""

    __slots__ = ("_hash", "terms")

    def __init__(self, terms: tuple[tuple[Monomial, int], ...]) -> None:
        self.terms = terms
        self._hash = hash(terms)

    @staticmethod
    def symbol(name: str) -> Dim:
        """The size called `name`."""
        return Dim((((name,), 1),))

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that occur, in sorted order."""
        return tuple(sorted({name for monomial, _ in self.terms for name in monomial}))

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """The value for given sizes.

        Raises:
            KeyError: a symbol has no size.
        """
        total = 0
        for monomial, coefficient in self.terms:
            product = coefficient
            for name in monomial:
                product *= sizes[name]
            total += product
        return total

    def __add__(self, other: DimLike) -> DimLike:
        return _combine(_terms(self) + _terms(other))

    __radd__ = __add__

    def __neg__(self) -> DimLike:
        return _combine([(monomial, -coefficient) for monomial, coefficient in self.terms])

    def __sub__(self, other: DimLike) -> DimLike:
        return self + (-other)

    def __rsub__(self, other: DimLike) -> DimLike:
        return (-self) + other

    def __mul__(self, other: DimLike) -> DimLike:
        return _combine([(tuple(sorted(m + n)), c * d) for m, c in _terms(self) for n, d in _terms(other)])

    __rmul__ = __mul__

    def divides(self, other: DimLike) -> bool:
        """Whether `other // self` is exact as a polynomial."""
        return _divide(other, self) is not None

    def __floordiv__(self, other: DimLike) -> DimLike:
        quotient = _divide(self, other)
        if quotient is None:
            raise InvalidArgumentError(f"the size {self} cannot be divided evenly by {other}")
        return quotient

    def __rfloordiv__(self, other: DimLike) -> DimLike:
        quotient = _divide(other, self)
        if quotient is None:
            raise InvalidArgumentError(f"the size {other} cannot be divided evenly by {self}")
        return quotient

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim) and self.terms == other.terms

    def __hash__(self) -> int:
        return self._hash

    def __index__(self) -> int:
        raise SymbolicBoolError(
            f"the size {self} is not known while the model is made, so Python cannot count with it",
            fix="loop with ops.scan, ops.map or ops.fori_loop, or give the size in Input(shape=...)",
        )

    def __str__(self) -> str:
        parts: list[str] = []
        for monomial, coefficient in self.terms:
            factors = list(monomial)
            if abs(coefficient) != 1 or not factors:
                factors.insert(0, str(abs(coefficient)))
            sign = "-" if coefficient < 0 else "+"
            parts.append(f" {sign} " + "*".join(factors) if parts else ("-" if sign == "-" else "") + "*".join(factors))
        return "".join(parts)

    def __repr__(self) -> str:
        return f"Dim({self})"


DimLike = int | Dim
Shape = tuple[DimLike, ...]


def _terms(dim: DimLike) -> list[tuple[Monomial, int]]:
    return list(dim.terms) if isinstance(dim, Dim) else [((), int(dim))]


def _combine(terms: Iterable[tuple[Monomial, int]]) -> DimLike:
    sums: dict[Monomial, int] = {}
    for monomial, coefficient in terms:
        sums[monomial] = sums.get(monomial, 0) + coefficient
    # Higher degree first, then by name: one canonical order, so equal sizes are equal objects and print alike.
    kept = sorted(((m, c) for m, c in sums.items() if c), key=lambda term: (-len(term[0]), term[0]))
    if not kept:
        return 0
    if len(kept) == 1 and not kept[0][0]:
        return kept[0][1]
    return Dim(tuple(kept))


def _divide(numerator: DimLike, denominator: DimLike) -> DimLike | None:
    """Exact quotient by a single-term denominator, or None."""
    below = _terms(denominator)
    if len(below) != 1:
        return 1 if numerator == denominator else None
    (symbols, factor) = below[0]
    if factor == 0:
        return None
    quotient: list[tuple[Monomial, int]] = []
    for monomial, coefficient in _terms(numerator):
        rest = list(monomial)
        for name in symbols:
            if name not in rest:
                return None if coefficient else 0
            rest.remove(name)
        if coefficient % factor:
            return None
        quotient.append((tuple(rest), coefficient // factor))
    return _combine(quotient)


def shape_volume(shape: Shape) -> DimLike:
    """Number of elements of a tensor of this shape (1 for a scalar)."""
    volume: DimLike = 1
    for dim in shape:
        volume = volume * dim
    return volume


def evaluate_shape(shape: Shape, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape with every symbol replaced by its size."""
    return tuple(dim.evaluate(sizes) if isinstance(dim, Dim) else dim for dim in shape)


def shape_text(shape: Shape) -> str:
    """`[B, 784]`."""
    return "[" + ", ".join(str(dim) for dim in shape) + "]"
