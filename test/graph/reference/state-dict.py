"""Writes state-dict.safetensors: what torch and safetensors save of a state dict, every floating type once."""
import pathlib

import torch
from safetensors.torch import save_file

numbers = (torch.arange(6, dtype=torch.float64) - 2.5) / 3
here = pathlib.Path(__file__).parent
save_file(
    {
        "half": numbers.reshape(2, 3).half(),
        "brain": numbers.reshape(3, 2).bfloat16(),
        "single": numbers.float(),
        "double": numbers.reshape(1, 6, 1, 1),
        "norm.num_batches_tracked": torch.tensor(7),
        "flags": torch.tensor([True, False]),
    },
    here / "state-dict.safetensors",
    metadata={"format": "pt"},
)
