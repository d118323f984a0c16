# A decoder from nothing: `make decoder` fetches the recordings, trains, exports and evaluates, and goes on where it ended.
# Needs a checkout with the extra [train], a network, 15 GB of disk, and some hours: a step takes .2 s of a core
# with TRAIN=--bfloat16.
PYTHON ?= python
DATA ?= data
RUN ?= runs/decoder
# How long: at the constant rate, while it falls, and with the rounding of INT8 in the loop.
STEPS ?= 50000
COOLDOWN ?= 8000
QAT ?= 400
# More options: `TRAIN=--bfloat16` halves the time where the processor has it; `MIRROR=--mirror ADDRESS`.
TRAIN ?=
MIRROR ?=
SCORE ?=
FIDELITY ?=

export LEADLIFT_DATA = $(abspath $(DATA))
quantize = $(PYTHON) -m quantize

.PHONY: decoder
.DELETE_ON_ERROR:
decoder: $(RUN)/fidelity.json

$(DATA)/nstdb_noise.npz:  # the last that is made
	$(quantize) data --fetch --folder $(DATA) $(MIRROR)

$(RUN)/trained: | $(DATA)/nstdb_noise.npz
	$(quantize) any-leads --run $(RUN) --steps $(STEPS) $(TRAIN)
	$(quantize) any-leads --run $(RUN) --cooldown $(COOLDOWN) $(TRAIN)
	$(quantize) any-leads --run $(RUN) --qat $(QAT) $(TRAIN)
	touch $@

$(RUN)/sets.json: $(RUN)/trained
	$(quantize) any-leads-scores --run $(RUN) --every-set --json $@ $(SCORE)

$(RUN)/decoder.onnx: $(RUN)/sets.json
	$(quantize) any-leads-export --run $(RUN) --sigma-amplitude --sets $< --output $@
	$(quantize) verify --model $@

$(RUN)/fidelity.json: $(RUN)/decoder.onnx
	$(PYTHON) -m benchmarks fidelity --model $< --whole --domains validation test cpsc_ptb mobile --json $@ $(FIDELITY)
