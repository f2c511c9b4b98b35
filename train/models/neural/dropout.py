"""Dropout whose random numbers cost less than what they drop."""

import torch
from torch import Tensor, nn

LEVELS = 256  # a byte decides over each value


class Dropout(nn.Dropout):
    """Dropout (Srivastava et al., 2014, section 4) that draws a byte for each value where it runs on a CPU.

    PyTorch draws 64 bits for each, one after the other, which takes longer than the layer around it. The rate is
    rounded to 1/256, and what is kept grows by exactly as much, so that the mean stays.
    """

    def forward(self, input: Tensor) -> Tensor:
        dropped = round(self.p * LEVELS)
        if not self.training or dropped == 0 or input.device.type != "cpu":
            return super().forward(input)
        words = torch.empty(-(-input.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        kept = words.view(torch.uint8)[: input.numel()].view(input.shape) >= dropped
        return input * kept.to(input.dtype).mul_(LEVELS / (LEVELS - dropped))
