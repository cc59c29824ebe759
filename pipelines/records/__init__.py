"""Sharded record files: what they look like, and how they are written, read and verified."""

from pipelines.records.files import atomic_folder, file_lock, sha256, write_atomically
from pipelines.records.format import (
    DatasetInfo,
    Sample,
    ShardInfo,
    describe,
    index_path,
    info_sha256,
    merge_infos,
    read_info,
    tar_path,
    write_info,
)
from pipelines.records.jpeg import decode_jpeg, encode_jpeg
from pipelines.records.manifest import SPLITS, read_labels, read_manifest, shard_name
from pipelines.records.places import is_local, make_folder, parse_place, remove_folder
from pipelines.records.reader import ShardReader, SplitReader
from pipelines.records.tables import read_table, write_csv, write_table
from pipelines.records.verify import find_faults, is_as_written, refuse_damaged, refuse_undecodable
from pipelines.records.writer import write_shard

__all__ = [
    "SPLITS",
    "DatasetInfo",
    "Sample",
    "ShardInfo",
    "ShardReader",
    "SplitReader",
    "atomic_folder",
    "decode_jpeg",
    "describe",
    "encode_jpeg",
    "file_lock",
    "find_faults",
    "index_path",
    "info_sha256",
    "is_as_written",
    "is_local",
    "make_folder",
    "merge_infos",
    "parse_place",
    "read_info",
    "read_labels",
    "read_manifest",
    "read_table",
    "refuse_damaged",
    "refuse_undecodable",
    "remove_folder",
    "sha256",
    "shard_name",
    "tar_path",
    "write_atomically",
    "write_csv",
    "write_info",
    "write_shard",
    "write_table",
]
