"""Models whose layers are int8: made of others in place, and known again by their state.

What is `x.weight` in the state of a layer is `x.rows` and `x.scale` once it is int8.
"""

from collections.abc import Iterator

from torch import Tensor, nn

from train.models.base import Model
from train.models.neural.int8 import Int8Embedding, Int8Linear

ROWS, SCALE, WEIGHT = ".rows", ".scale", ".weight"
INT8: dict[type[nn.Module], type[Int8Linear] | type[Int8Embedding]] = {
    nn.Linear: Int8Linear,
    nn.Embedding: Int8Embedding,
}


def networks(model: Model, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the networks that a model is or holds as `members`, each with what its names in the state begin with."""
    if isinstance(model, nn.Module):
        yield prefix, model
        return
    for number, member in enumerate(getattr(model, "members", ())):
        yield from networks(member, f"{prefix}members.{number}.")


def has_layers(model: Model, kind: type[nn.Module]) -> bool:
    """Return whether any layer of the model is of that very kind."""
    return any(type(layer) is kind for _, network in networks(model) for layer in network.modules())


def to_int8(model: Model, kind: type[nn.Module]) -> None:
    """Replace the layers of one kind, in place."""
    for _, network in networks(model):
        for path, layer in list(network.named_modules()):
            if type(layer) is kind:
                _replace(network, path, layer)
        network.train().eval()  # a table that was kept has the old weights


def floats(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the state of the model as it would be without int8 layers."""
    found = {}
    for name, tensor in state.items():
        if name.endswith(ROWS):
            layer = name.removesuffix(ROWS)
            found[layer + WEIGHT] = tensor * state[layer + SCALE]
        elif not (name.endswith(SCALE) and name.removesuffix(SCALE) + ROWS in state):
            found[name] = tensor
    return found


def restore_int8(model: Model, state: dict[str, Tensor]) -> None:
    """Make those layers int8 that are so in the state, with its very numbers, in place."""
    for prefix, network in networks(model):
        own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        paths = [name.removesuffix(ROWS) for name in own if name.endswith(ROWS)]
        for path in paths:
            _replace(network, path, network.get_submodule(path))
        if paths:
            network.load_state_dict(own)


def _replace(network: nn.Module, path: str, layer: nn.Module) -> None:
    owner, _, name = path.rpartition(".")
    setattr(network.get_submodule(owner), name, INT8[type(layer)].of(layer))  # pyright: ignore[reportArgumentType]
