"""Random numbers: `SeedGenerator` and draws from it, the same bits on every target."""

from kgraph.random.distributions import beta, binomial, categorical, gamma
from kgraph.random.draws import (
    SeedGenerator,
    draw_seed,
    dropout,
    global_generator,
    make_default_seed,
    normal,
    randint,
    set_random_seed,
    shuffle,
    truncated_normal,
    uniform,
)

__all__ = [
    "SeedGenerator",
    "beta",
    "binomial",
    "categorical",
    "draw_seed",
    "dropout",
    "gamma",
    "global_generator",
    "make_default_seed",
    "normal",
    "randint",
    "set_random_seed",
    "shuffle",
    "truncated_normal",
    "uniform",
]
