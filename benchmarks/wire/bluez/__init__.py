"""A BlueZ and a radio of our own on a private bus: what the tests of BLE and its benchmark talk to."""
