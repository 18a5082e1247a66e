"""Named rewrites: from any graph to one that OpenCV takes. Each is a function Graph → Graph."""
