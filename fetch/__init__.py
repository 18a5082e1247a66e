"""Stage 1: from a card to the original files, verified. Never converts, never runs a model.

    from zoo.fetch import fetch
    model = fetch("yolov3")
    model.path("weights"), model.path("cfg")

What is on disk afterwards is the published bytes or nothing; docs/fetch.md says how that is kept true.
"""

from zoo.fetch.events import Event
from zoo.fetch.model import FetchedFile, FetchedModel
from zoo.fetch.options import Options
from zoo.fetch.stage import fetch, fetch_many

__all__ = ["Event", "FetchedFile", "FetchedModel", "Options", "fetch", "fetch_many"]
