"""What Triton's Python backend runs: a MultiReconstructor, a sequence of requests being a patient."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import InputError, LeadliftError
from edge.multi_reconstructor import MultiReconstructor
from edge.samples import TwelveLeadBlock
from edge.triton.sequences import Request, Sequences

BUNDLE_NAME = "leadlift.onnx"
"""Beside model.py."""
OUTPUTS = ("ecg_mv", "sigma_mv", "quality")
_PARAMETERS = {"leads", "skip"}


class TritonPythonModel:
    """Triton's interface: it calls these methods by name, in a process of its own for each instance."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the bundle beside model.py, with the parameters of config.pbtxt."""
        import triton_python_backend_utils as pb

        said = json.loads(args["model_config"])["parameters"]
        settings = {name: value["string_value"] for name, value in said.items()}
        folder = Path(args["model_repository"]) / args["model_version"]
        lowpass, mains = settings["lowpass_hz"], settings["mains_hz"]
        self._pb = pb
        self._multi = MultiReconstructor.open(
            folder / BUNDLE_NAME,
            settings["engine"],
            slots=int(settings["slots"]),
            mains_hz=json.loads(mains),
            lowpass_hz=json.loads(lowpass),
            say=pb.Logger.log_info,
        )
        self._sequences = Sequences(self._multi)
        pb.Logger.log_info(f"leadlift: {self._multi!r}")

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """A response for each request, in their order."""
        asked = [self._asked(request) for request in requests]
        answers = iter(self._sequences.answer([one for one in asked if isinstance(one, Request)]))
        return [self._response(next(answers) if isinstance(one, Request) else one) for one in asked]

    def finalize(self) -> None:
        """Release the engine."""
        self._multi.close()

    def _asked(self, request: Any) -> Request | LeadliftError:
        def value(name: str) -> Any:
            return self._pb.get_input_tensor_by_name(request, name).as_numpy()

        try:
            given = parameters(request.parameters())
        except LeadliftError as error:
            return error
        return Request(
            int(value("CORRID").flat[0]),
            value("ecg_mv")[0],
            start=bool(value("START").flat[0]),
            end=bool(value("END").flat[0]),
            **given,
        )

    def _response(self, answer: TwelveLeadBlock | LeadliftError) -> Any:
        pb = self._pb
        if isinstance(answer, LeadliftError):
            return pb.InferenceResponse(
                error=pb.TritonError(str(answer), pb.TritonError.INVALID_ARG)
            )
        tensors = [
            pb.Tensor(name, np.ascontiguousarray(getattr(answer, name)[None])) for name in OUTPUTS
        ]
        first = np.array([[answer.first_sample]], np.int64)
        return pb.InferenceResponse([*tensors, pb.Tensor("first_sample", first)])


def parameters(text: str) -> dict[str, Any]:
    """`leads` and `skip` of a request's parameters, which Triton gives as JSON. Raises InputError."""
    from edge.files.lead_option import parse_leads

    said = json.loads(text or "{}")
    known = {name: said[name] for name in _PARAMETERS & said.keys()}
    if "leads" in known:
        leads = parse_leads(str(known["leads"]), "leads")
        if not isinstance(leads, tuple):
            raise InputError(f"leads {known['leads']}: name leads alone, such as I,II")
        known["leads"] = leads
    skip = known.get("skip", 0)
    if type(skip) is not int or skip < 0:
        raise InputError(f"cannot skip {skip!r} samples: give a whole number, 0 or more")
    return known
