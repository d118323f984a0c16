"""The device's side in C99, as source: encoder and command decoder, demo firmware, porting guide."""
