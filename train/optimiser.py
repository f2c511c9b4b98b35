"""How gradients move weights: AdamW, which of a big table moves those rows alone that a step touched."""

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

    def _step_rows(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        rows, values, state = gradient.indices()[0], gradient.values(), self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.int64)
            state["touched"] = torch.zeros(len(parameter), dtype=torch.int32, device=parameter.device)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        step, rate, beta2 = int(state["step"]), group["lr"], group["betas"][1]
        missed = (step - state["touched"][rows]).unsqueeze(1).to(values.dtype)  # since these rows were last moved
        state["touched"][rows] = step
        square = state["exp_avg_sq"][rows] * beta2**missed + (1 - beta2) * values.square()
        state["exp_avg_sq"][rows] = square
        size = (square / (1 - beta2**step)).sqrt_().add_(group["eps"])
        kept = (1 - rate * group["weight_decay"]) ** missed
        parameter[rows] = parameter[rows] * kept - rate * values / size


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
