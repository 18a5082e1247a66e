"""The operator table, ONNX operator by ONNX operator, grouped by kind; `table` says how an entry is written."""
