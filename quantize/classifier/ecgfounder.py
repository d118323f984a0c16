"""ECGFounder's network (arXiv 2410.04133), for weights that a user has: features of twelve leads at 500 Hz.

Written anew from its published shape: names and sizes of the tensors are those of its checkpoints.
"""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import max_pool1d, pad, silu

from quantize.errors import QuantizeError

FOUNDER_HZ = 500.0
STAGES = ((64, 2), (160, 2), (160, 2), (400, 3), (400, 3), (1024, 4), (1024, 4))
"""Channels and blocks."""
KERNEL, GROUP = 16, 16
NOTCH_HZ, NOTCH_Q = 50.0, 30.0
BAND_HZ = (0.67, 40.0)
BASELINE = 201  # samples of the median that is taken away: 0.4 s
BATCH = 8


class _Same(nn.Module):
    """A convolution whose output is ceil(n / stride) long; what is odd of the padding goes behind."""

    def __init__(self, given: int, made: int, kernel: int, stride: int, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(given, made, kernel, stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        (kernel,), (stride,), n = self.conv.kernel_size, self.conv.stride, x.shape[-1]
        lacking = max(0, (-(-n // stride) - 1) * stride + kernel - n)
        return cast(Tensor, self.conv(pad(x, (lacking // 2, lacking - lacking // 2))))


class _Block(nn.Module):
    """1x1, grouped, 1x1, each after its activation; channels weighed by their means; a way around."""

    def __init__(self, given: int, made: int, stride: int, first: bool) -> None:
        super().__init__()
        self.made, self.stride, self.first = made, stride, first
        self.conv1 = _Same(given, made, 1, 1)
        self.conv2 = _Same(made, made, KERNEL, stride, made // GROUP)
        self.conv3 = _Same(made, made, 1, 1)
        self.se_fc1 = nn.Linear(made, made // 2)
        self.se_fc2 = nn.Linear(made // 2, made)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(x if self.first else silu(x))
        out = self.conv3(silu(self.conv2(silu(out))))
        weight = torch.sigmoid(self.se_fc2(silu(self.se_fc1(out.mean(-1)))))
        if self.stride > 1:
            x = max_pool1d(pad(x, (0, self.stride - 1)), self.stride)
        more = self.made - x.shape[1]
        around = pad(x, (0, 0, more // 2, more - more // 2))
        return cast(Tensor, out * weight[..., None] + around)


class _Stage(nn.Module):
    def __init__(self, given: int, made: int, n_blocks: int, first: bool) -> None:
        super().__init__()
        self.block_list = nn.ModuleList(
            _Block(made if i else given, made, 1 if i else 2, first and not i)
            for i in range(n_blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block_list:
            x = block(x)
        return x


class EcgFounder(nn.Module):
    """(batch, 12, n) standardised, at FOUNDER_HZ -> (batch, 1024) means over time."""

    def __init__(self) -> None:
        super().__init__()
        given = STAGES[0][0]
        self.first_conv = _Same(12, given, KERNEL, 2)
        self.stage_list = nn.ModuleList()
        for i, (made, n_blocks) in enumerate(STAGES):
            self.stage_list.append(_Stage(given, made, n_blocks, not i))
            given = made

    def forward(self, ecg: Tensor) -> Tensor:
        """(batch, 12, n) -> (batch, 1024)."""
        x = silu(self.first_conv(ecg))
        for stage in self.stage_list:
            x = stage(x)
        return x.mean(-1)


def load_founder(file: Path) -> tuple[EcgFounder, str]:
    """The network of a checkpoint (`state_dict`, or that alone), in evaluation mode; sha256 of the file.

    Raises QuantizeError for a file that is missing, that holds more than tensors, or of another network.
    """
    try:
        data = file.read_bytes()
        saved = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise QuantizeError(f"cannot read {file}: {error.strerror}") from error
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError) as error:
        raise QuantizeError(
            f"{file} is no checkpoint of tensors: give ECGFounder's 12_lead_ECGFounder.pth"
        ) from error
    network = EcgFounder()
    given = saved.get("state_dict", saved) if isinstance(saved, dict) else {}
    state = {str(name).removeprefix("module."): value for name, value in given.items()}
    wanted = network.state_dict()  # not its head, nor the normalisation that it does not use
    missing = [name for name in wanted if name not in state]
    if missing:
        raise QuantizeError(f"{file} lacks {missing[0]}: give the 12-lead ECGFounder")
    try:
        network.load_state_dict({name: state[name] for name in wanted})
    except RuntimeError as error:
        raise QuantizeError(
            f"{file} has another shape than ECGFounder of 12 leads: {str(error).splitlines()[-1].strip()}"
        ) from error
    return network.eval(), hashlib.sha256(data).hexdigest()


def founder_features(
    network: EcgFounder, ecg_mv: NDArray[np.floating], sampling_hz: float
) -> NDArray[np.float64]:
    """(n_records, 1024) of (n_records, 12, n) mV, filtered and scaled as it was trained."""
    out = []
    with torch.no_grad():
        for start in range(0, len(ecg_mv), BATCH):
            some = founder_feed(ecg_mv[start : start + BATCH], sampling_hz)
            out.append(network(torch.from_numpy(some)))
    return np.asarray(torch.cat(out).double().numpy())


def founder_feed(ecg_mv: NDArray[np.floating], sampling_hz: float) -> NDArray[np.float32]:
    """At FOUNDER_HZ, 0.67 to 40 Hz without the mains, less a median of 0.4 s; records of unit variance."""
    from scipy.ndimage import median_filter
    from scipy.signal import butter, filtfilt, iirnotch, resample_poly

    up, down = (FOUNDER_HZ / sampling_hz).as_integer_ratio()
    x = resample_poly(np.asarray(ecg_mv, np.float64), up, down, axis=-1, padtype="edge")
    x = filtfilt(*iirnotch(NOTCH_HZ, NOTCH_Q, FOUNDER_HZ), x)
    x = filtfilt(*butter(4, BAND_HZ, "bandpass", fs=FOUNDER_HZ), x)
    x = x - median_filter(x, (1, 1, BASELINE), mode="constant")
    x = x - x.mean((1, 2), keepdims=True)
    return np.asarray(x / (x.std((1, 2), keepdims=True) + 1e-8), np.float32)
