"""Making a patient's calibration from a 12-lead reference."""
