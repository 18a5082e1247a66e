"""Stage 2: original files → ONNX → every other format. Knows neither how files come here nor how results are judged."""
