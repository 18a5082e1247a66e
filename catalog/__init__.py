"""What is known: the catalog of models (zoo.yaml → cards), the lock file, and the store, where things lie on disk."""

from zoo.catalog.cards import Card, CardFile
from zoo.catalog.load import Catalog, load_catalog
from zoo.catalog.lock import LockFile
from zoo.catalog.store import Store

__all__ = ["Card", "CardFile", "Catalog", "LockFile", "Store", "load_catalog"]
