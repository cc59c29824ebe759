"""The word of the file's name beside the label."""

from pathlib import Path

import polars as pl

from fastfer.analysis.queries import agreement, queries_by_labels, query_class, with_queries
from fastfer.datasets import Source, read
from fastfer.datasets.demo import read_truth
from fastfer.labels import CLASSES


def test_the_first_emotion_word_of_the_name_counts() -> None:
    assert query_class("image/origin/angry_african_125.jpg") == 0
    assert query_class("Very-Happy.Child_1.JPG") == 3
    assert query_class("happy/nobody_1.jpg") is None
    assert query_class("sad_happy_2.jpg") == 4
    assert query_class("madrid_7.jpg") is None
    assert query_class("") is None


def test_the_demo_agrees_as_often_as_its_truth_says(raw: Path) -> None:
    root = raw / "demo-expw"
    rows = with_queries(read(Source(dataset="demo-expw", root=root)).rows)
    truth = read_truth(root).drop_nulls("query_class")
    share = agreement(rows.filter(pl.col("key").is_in(truth["key"].implode())))
    assert share.n == len(truth)
    assert share.value == (truth["query_class"] == truth["written_label"]).mean()
    counts_KK = queries_by_labels(rows)
    assert counts_KK.sum() == len(rows)
    assert counts_KK.shape == (len(CLASSES), len(CLASSES))
    assert counts_KK.trace() == (rows["query"] == rows["label"]).sum()


def test_names_without_words_are_left_out(raw: Path) -> None:
    assert with_queries(read(Source(dataset="demo-rafdb", root=raw / "demo-rafdb")).rows).is_empty()
