"""The engine `litert`: the bundle's decoder as a .tflite model in LiteRT."""
