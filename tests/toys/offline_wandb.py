"""What the file of an offline run of Weights & Biases holds."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2


def records(path: Path) -> list[wandb_internal_pb2.Record]:
    """The records of a .wandb file, once the run's end stands there.

    W&B's service writes it, and may do so a moment after the run is finished.
    """
    deadline = time.monotonic() + 60
    while not (written := list(_written(path))) or not written[-1].HasField("exit"):
        assert time.monotonic() < deadline, f"{path} has no end"
        time.sleep(0.05)
    return written


def _written(path: Path) -> Iterator[wandb_internal_pb2.Record]:
    """What stands in a .wandb file so far: protocol buffers in LevelDB's log framing.

    After a header of 7 bytes, blocks of 32 KiB hold pieces, each with a checksum (4 bytes), a
    length (2) and a kind (1: whole, 2: first, 3: middle, 4: last); fewer than 7 bytes at a
    block's end are padding.
    """
    content, position, record = path.read_bytes(), 7, b""
    while position + 7 <= len(content):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", content[position : position + 7])
        if position + 7 + length > len(content):
            return
        record += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):
            yield wandb_internal_pb2.Record.FromString(record)
            record = b""


def values(items: Any) -> dict[str, Any]:
    """The JSON values of a record's items by their keys."""
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
