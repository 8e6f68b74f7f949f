"""Runs a PyTorch script with float64 in place of float32, so that its results are right to all digits that matter.

  python float64.py SCRIPT ARGUMENT ...
"""
import runpy
import sys

import numpy
import torch

load = numpy.load


def widened(*args, **kwargs):
    array = load(*args, **kwargs)
    return array.astype(numpy.float64) if array.dtype == numpy.float32 else array


numpy.load = widened
torch.set_default_dtype(torch.float64)
torch.Tensor.float = torch.Tensor.double
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
