"""Networks that run without this package: StableHLO and ONNX."""
