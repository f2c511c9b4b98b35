"""How gradients move weights: AdamW, which of a big table moves those rows alone that a step touched."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def step_rows_alone(model: nn.Module, n_rows: int) -> None:
    """Ask for sparse gradients of the model's tables of `n_rows` rows, so that a step costs what it touches."""
    for module in model.modules():
        if isinstance(module, nn.Embedding) and module.num_embeddings == n_rows:
            module.sparse = True


class RowAdamW(torch.optim.AdamW):
    """AdamW (Loshchilov and Hutter, 2019) whose cost for a table follows the rows touched, not the rows there are.

    A parameter whose gradient is sparse is stepped row by row and without a first moment: AdamW would spread a
    gradient over the next 1 / (1 − β₁) steps, most of which do not touch the row; here it moves the row at once, by as
    much in all. The second moment and weight decay make up for the steps that a row missed, in closed form. Other
    parameters are AdamW's.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Move everything that has a gradient; sparse gradients are consumed."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.grad.is_sparse:
                    self._step_rows(parameter, parameter.grad.coalesce(), group)
                    parameter.grad = None
        return super().step(closure)

    @torch.no_grad()
    def settle(self) -> None:
        """Let every row decay by what it owes, so that a table is what its steps say, whichever rows they touched."""
        for parameter, state in self.state.items():
            if "owed" in state:
                parameter.mul_((state["owed"] - state["paid"]).exp_().unsqueeze(1))
                state["owed"].zero_()
                state["paid"].zero_()

    def _step_rows(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        rows, values, state = gradient.indices()[0], gradient.values(), self.state[parameter]
        if not state:
            self._begin(parameter)
        state["step"] += 1
        state["owed"] += math.log1p(-group["lr"] * group["weight_decay"])
        step, beta2 = int(state["step"]), group["betas"][1]
        missed = (step - state["touched"][rows]).unsqueeze(1).to(values.dtype)  # since these rows were last moved
        square = state["exp_avg_sq"][rows] * beta2**missed + (1 - beta2) * values.square()
        size = (square / (1 - beta2**step)).sqrt().add_(group["eps"])
        kept = (state["owed"] - state["paid"][rows]).exp_().unsqueeze(1)
        parameter[rows] = parameter[rows] * kept - group["lr"] * values / size
        state["touched"][rows], state["exp_avg_sq"][rows], state["paid"][rows] = step, square, state["owed"]

    def _begin(self, parameter: Tensor) -> None:
        row = {"device": parameter.device, "dtype": torch.float32}
        self.state[parameter].update(
            step=torch.zeros((), dtype=torch.int64),
            touched=torch.zeros(len(parameter), device=parameter.device, dtype=torch.int32),  # in which step
            exp_avg_sq=torch.zeros_like(parameter),
            owed=torch.zeros((), **row),  # log of the decay since the last `settle`
            paid=torch.zeros(len(parameter), **row),  # what of it each row has had
        )


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], most: float) -> None:
    """Shorten all gradients together to a norm of `most` where it is larger (Pascanu et al., 2013); sparse ones too."""
    parts = []
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
            parts.append(parameter.grad._values())
        elif parameter.grad is not None:
            parts.append(parameter.grad)
    factor = (most / (nn.utils.get_total_norm(parts) + 1e-6)).clamp(max=1)
    for part in parts:
        part.mul_(factor)
