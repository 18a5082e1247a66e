"""A local page and its HTTP API: pick a model, drop a picture or a video, see what each format sees. For this machine
only: it listens on 127.0.0.1 and answers nobody else's pages."""
