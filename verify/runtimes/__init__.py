"""One file for each thing that can run a model. Start at `table.load_runner`; the protocol is in `protocol`."""
