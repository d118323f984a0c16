"""Stream a simulated ECG to leadlift on Triton at its own pace; or probe the server with one inference.

pip install 'tritonclient[grpc]'
python examples/triton_client.py 127.0.0.1:8001 10
python examples/triton_client.py 127.0.0.1:8001 --probe      (exit code 0: a stream was begun and answered)

Triton says that it is ready while the model's process is dead: for a health check take --probe.
"""

from __future__ import annotations

import secrets
import sys
import time

import numpy as np
import tritonclient.grpc as triton

from firmware_bridge.simulators.ecg import EcgSimulator

HZ, FRAME, MAX_SILENCE_S = 250.0, 40, 2.0  # 160 ms a request


class Patient:
    """One sequence of requests; after an error it begins anew."""

    def __init__(self, address: str) -> None:
        self.client = triton.InferenceServerClient(address)
        self.sequence, self.fresh = secrets.randbits(63) | 1, True

    def send(self, ecg_mv: np.ndarray, end: bool) -> triton.InferResult:
        samples = triton.InferInput("ecg_mv", [1, *ecg_mv.shape], "FP32")
        samples.set_data_from_numpy(ecg_mv[None].astype(np.float32))
        begun = {"sequence_id": self.sequence, "sequence_start": self.fresh, "sequence_end": end}
        about = {"parameters": {"leads": "I,II"}, "client_timeout": MAX_SILENCE_S}
        self.fresh = True
        answer = self.client.infer("leadlift", [samples], **begun, **about)
        self.fresh = end
        return answer


def main(address: str, seconds: str) -> None:
    patient, ecg = Patient(address), EcgSimulator(HZ)
    probes = seconds == "--probe"
    n_frames = 1 if probes else round(float(seconds) * HZ / FRAME)
    for frame in range(n_frames):
        ecg_mv = ecg.read(FRAME)[:2]
        try:
            made = patient.send(ecg_mv, end=frame == n_frames - 1)
            v5, sigma = (made.as_numpy(name)[0, 10] for name in ("ecg_mv", "sigma_mv"))
            print(f"{made.as_numpy('first_sample').item()}: V5 {v5[-1]:.3f} +- {sigma[-1]:.3f} mV")
        except triton.InferenceServerException as error:
            print(f"lost {FRAME} samples: {error.message()}", file=sys.stderr)
            if probes:
                sys.exit(1)
        time.sleep(0 if probes else FRAME / HZ)


if __name__ == "__main__":
    main(*sys.argv[1:])
