"""The server of `zoo view` in a thread of this process, on a free port."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from zoo.catalog import Store, load_catalog
from zoo.view.library import Library
from zoo.view.server import ViewServer


@contextmanager
def serving(store: Store, own: Mapping[str, str]) -> Iterator[ViewServer]:
    """Answers while the block runs; `own` are the user's models by name."""
    library = Library(load_catalog(), store, dict(own), threads=1)
    with ViewServer(library, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
    library.close()
