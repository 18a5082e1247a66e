"""The reference: Darknet's networks interpreted in NumPy, against which every conversion is judged."""
