"""Archives: the named members come out, and nothing else; whatever is odd about an archive refuses it whole."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fetch.conftest import Served
from tests.fetch.making import Fetching, a_card, a_file, sha256
from tests.fetch.server import content
from zoo.base.errors import FetchError
from zoo.catalog.cards import Card, Member
from zoo.fetch.archive import Unsound, check_archive

GRAPH = random.Random(5).randbytes(100_000)
CONFIG = b"model { ssd {} }\n"
FROZEN = (
    Member("frozen_graph", "*/frozen_inference_graph.pb"),
    Member("pipeline", "*/pipeline.config", optional=True),
)
SAVED = (Member("saved_model", "*/saved_model/"), Member("pipeline", "*/pipeline.config", optional=True))

Entry = tuple[str, bytes | tarfile.TarInfo]


def packed(*entries: Entry, compress: Callable[[bytes], bytes] = gzip.compress) -> bytes:
    """A tar archive of files (name, content) and of entries of any other kind."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, value in entries:
            info = value if isinstance(value, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.name = name
            body = b"" if isinstance(value, tarfile.TarInfo) else value
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return compress(buffer.getvalue())


def entry(kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


NORMAL: tuple[Entry, ...] = (
    ("ssd", entry(tarfile.DIRTYPE)),
    ("ssd/frozen_inference_graph.pb", GRAPH),
    ("ssd/pipeline.config", CONFIG),
    ("ssd/model.ckpt.index", b"x"),
)


def archive_card(served: Served, body: bytes, members: tuple[Member, ...] = FROZEN, *, pinned: bool = True) -> Card:
    served.script.on("/m.tar.gz", content(body))
    file = a_file(body if pinned else None, served.url("/m.tar.gz"), name="m.tar.gz", role="archive", members=members)
    return a_card(file)


@pytest.mark.parametrize(
    "compress", [gzip.compress, bz2.compress, lzma.compress, bytes], ids=["gz", "bz2", "xz", "tar"]
)
def test_only_the_named_members_come_out(
    served: Served, fetching: Fetching, compress: Callable[[bytes], bytes]
) -> None:
    card = archive_card(served, packed(*NORMAL, compress=compress))
    model = fetching(card)
    assert model.path("frozen_graph").read_bytes() == GRAPH
    assert model.path("pipeline").read_bytes() == CONFIG
    assert model.path("archive").name == "m.tar.gz"
    assert sorted(path.name for path in model.folder.rglob("*")) == [
        "frozen_inference_graph.pb",
        "m.tar.gz",
        "pipeline.config",
    ]
    assert fetching(card) == model
    assert len(served.script.requests) == 1
    assert fetching.parts() == {}


def test_a_folder_comes_out_whole(served: Served, fetching: Fetching) -> None:
    body = packed(
        ("./eff/saved_model/saved_model.pb", GRAPH),
        ("./eff/saved_model/variables/variables.data-00000-of-00001", CONFIG),
        ("./eff/saved_model/assets", entry(tarfile.DIRTYPE)),
        ("./eff/checkpoint/ckpt-0.index", b"not wanted"),
    )
    model = fetching(archive_card(served, body, SAVED))
    folder = model.path("saved_model")
    assert folder == model.folder / "saved_model"
    assert (folder / "saved_model.pb").read_bytes() == GRAPH
    assert (folder / "variables" / "variables.data-00000-of-00001").read_bytes() == CONFIG
    assert not (model.folder / "checkpoint").exists()
    assert not model.has("pipeline")


def test_an_archive_without_a_top_folder(served: Served, fetching: Fetching) -> None:
    members = (Member("frozen_graph", "frozen_inference_graph.pb"),)
    card = archive_card(served, packed(("frozen_inference_graph.pb", GRAPH)), members)
    assert fetching(card).path("frozen_graph").read_bytes() == GRAPH


def test_a_damaged_member_comes_out_of_the_archive_again(served: Served, fetching: Fetching) -> None:
    card = archive_card(served, packed(*NORMAL))
    path = fetching(card).path("frozen_graph")
    path.chmod(0o644)
    path.write_bytes(GRAPH[::-1])
    assert fetching(card).path("frozen_graph").read_bytes() == GRAPH
    assert len(served.script.requests) == 1


def test_a_card_that_names_another_member(served: Served, fetching: Fetching) -> None:
    body = packed(*NORMAL)
    fetching(archive_card(served, body))
    model = fetching(archive_card(served, body, (Member("checkpoint", "*/model.ckpt.index"),)))
    assert model.path("checkpoint").read_bytes() == b"x"
    assert not model.has("frozen_graph")
    assert len(served.script.requests) == 1


def test_sizes_and_hashes_of_members_are_checked(served: Served, fetching: Fetching) -> None:
    right = (Member("frozen_graph", "ssd/frozen_inference_graph.pb", len(GRAPH), {"sha256": sha256(GRAPH)}),)
    assert fetching(archive_card(served, packed(*NORMAL), right)).path("frozen_graph").read_bytes() == GRAPH


BIG = b"\0" * (80 << 20)
LINKS = {
    "symbolic link": entry(tarfile.SYMTYPE, "/etc/passwd"),
    "hard link": entry(tarfile.LNKTYPE, "../../outside"),
    "device": entry(tarfile.CHRTYPE),
    "block device": entry(tarfile.BLKTYPE),
    "pipe": entry(tarfile.FIFOTYPE),
}
ODD = {
    "up": (packed(*NORMAL, ("../evil", b"x")), "'../evil' leads out of the archive"),
    "up inside": (packed(*NORMAL, ("ssd/../../evil", b"x")), "leads out of the archive"),
    "absolute": (packed(*NORMAL, ("/etc/evil", b"x")), "'/etc/evil' leads out of the archive"),
    "backslash": (packed(*NORMAL, ("ssd\\..\\evil", b"x")), "leads out of the archive"),
    "drive": (packed(*NORMAL, ("C:evil", b"x")), "leads out of the archive"),
    "symlink": (packed(*NORMAL, ("ssd/link", LINKS["symbolic link"])), "'ssd/link' is a symbolic link"),
    "symlink as member": (
        packed(("ssd/frozen_inference_graph.pb", LINKS["symbolic link"])),
        "is a symbolic link; only plain files and folders are taken",
    ),
    "hard link": (packed(*NORMAL, ("ssd/link", LINKS["hard link"])), "is a hard link"),
    "device": (packed(*NORMAL, ("ssd/tty", LINKS["device"])), "is a device"),
    "block device": (packed(*NORMAL, ("ssd/disk", LINKS["block device"])), "is a device"),
    "pipe": (packed(*NORMAL, ("ssd/pipe", LINKS["pipe"])), "is a pipe"),
    "twice": (packed(*NORMAL, ("ssd/frozen_inference_graph.pb", b"other")), "is there twice"),
    "two top folders": (packed(*NORMAL, ("two/frozen_inference_graph.pb", b"x")), "would both be"),
    "only case differs": (
        packed(("a/saved_model/x", b"1"), ("a/saved_model/X", b"2")),
        "would both be",
    ),
    "bomb": (packed(*NORMAL, ("ssd/zeros", BIG)), "a decompression bomb"),
    "missing": (
        packed(("ssd/other.pb", b"x")),
        "there is no member '*/frozen_inference_graph.pb'; it holds: ssd/other.pb",
    ),
    "empty": (packed(), "it holds: nothing"),
    "no archive": (random.Random(6).randbytes(5000), "no tar archive"),
    "a zip": (b"PK\x03\x04" + bytes(600), "no tar archive"),
    "cut": (packed(*NORMAL)[:-2000], "Compressed file ended"),
    "checksum": (packed(*NORMAL)[:-8] + bytes(8), "CRC check failed"),
    "name for nobody": (packed(("a/saved_model/what?", b"1")), "cannot be a file's everywhere"),
    "device name": (packed(("a/saved_model/con.txt", b"1")), "cannot be a file's everywhere"),
}


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "unpinned"])
@pytest.mark.parametrize("name", ODD)
def test_an_odd_archive_leaves_nothing(served: Served, fetching: Fetching, name: str, pinned: bool) -> None:
    body, why = ODD[name]
    members = SAVED if name in ("only case differs", "name for nobody", "device name") else FROZEN
    with pytest.raises(FetchError) as caught:
        fetching(archive_card(served, body, members, pinned=pinned))
    assert caught.value.exit_code == 3
    assert "model: m.tar.gz" in str(caught.value) and why in str(caught.value)
    assert not fetching.store.source_folder("model").exists()
    assert not fetching.lock_file.path.exists()
    assert not fetching.parts()
    # A pinned archive is what was published: only the catalog can be wrong about it. It may stay, unpacked it is not.
    left = {path for path in fetching.on_disk() if "blobs" in path}
    assert left <= ({f"blobs/sha256/{sha256(body)[:2]}/{sha256(body)}"} if pinned else set())


@pytest.mark.parametrize(
    ("member", "why"),
    [
        (Member("frozen_graph", "*/frozen_inference_graph.pb", size=5), "has 100000 bytes, expected 5"),
        (Member("frozen_graph", "*/frozen_inference_graph.pb", hashes={"sha1": "0" * 40}), f"expected {'0' * 40}"),
    ],
)
def test_a_member_that_is_not_what_the_catalog_says(
    served: Served, fetching: Fetching, member: Member, why: str
) -> None:
    with pytest.raises(FetchError, match=why):
        fetching(archive_card(served, packed(*NORMAL), (member,)))
    assert not fetching.store.source_folder("model").exists()
    assert not fetching.parts()


def test_one_flipped_byte_is_found_before_the_archive_is_opened(served: Served, fetching: Fetching) -> None:
    body = packed(*NORMAL)
    card = archive_card(served, body)
    flipped = bytearray(body)
    flipped[len(body) // 2] ^= 1
    served.script.on("/m.tar.gz", content(bytes(flipped)))
    with pytest.raises(FetchError, match="another content"):
        fetching(card)
    assert fetching.has_nothing()


def test_a_giant_header_is_not_read_into_memory(tmp_path: Path) -> None:
    """A pax header of 40 MB of text, which compresses to nothing."""
    path = tmp_path / "m.tar.gz"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("ssd/frozen_inference_graph.pb")
        info.pax_headers = {"comment": "x" * (40 << 20)}
        tar.addfile(info)
    path.write_bytes(gzip.compress(buffer.getvalue(), 1))
    with pytest.raises(Unsound, match="a header of"):
        check_archive(path, FROZEN)


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("ssd/frozen_inference_graph.pb")
    info.type = tarfile.GNUTYPE_SPARSE
    path = tmp_path / "m.tar"
    path.write_bytes(packed(("ssd/frozen_inference_graph.pb", info), compress=bytes))
    with pytest.raises(Unsound, match="a sparse file"):
        check_archive(path, FROZEN)


def test_the_archives_of_the_test_data(data: Path, fetching: Fetching) -> None:
    """Real archives, as the TF Object Detection API writes them, from a file:// url."""
    path = data / "models" / "tf" / "s_tf2_ssd_mobilenet_v2_fpnlite.tar.xz"
    members = (Member("saved_model", "saved_model/"), Member("pipeline", "pipeline.config"))
    model = fetching(a_card(a_file(None, path.as_uri(), name=path.name, role="archive", members=members)))
    assert (model.path("saved_model") / "variables" / "variables.index").is_file()
    assert model.path("pipeline").read_text().startswith("model")
