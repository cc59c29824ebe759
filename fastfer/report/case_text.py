"""What the page about the datasets says: sentences with numbers to be filled in, in English (see `words.case_pt`).

A sentence is chosen by what the numbers support; none claims more than its interval or its test allows.
"""

from typing import Final

from fastfer.report.locale import locale_of

TEXT: Final = {
    "title": "How precise are {datasets}?",
    "source": "{datasets} in {photographs} and {records}",
    "summary": "What the numbers support",
    "photographs": "The raw photographs",
    "queries": "The query's word and the label",
    "evidence": "The person in evidence",
    "separability": "Separability of the classes",
    "noise": "Quality of the labels",
    "how": "How this was measured",
    "larger": (
        "{quantity}: {one} has a median of {one_median}, {other} of {other_median}; the difference is {size} "
        "(Cliff's delta {delta}, adjusted p {p})."
    ),
    "no_difference": "No difference between {one} and {other} was found in: {quantities}.",
    "query": (
        "{dataset}: of {n} faces whose file name holds an emotion word, {share} ({low} to {high}) carry another "
        "label than the word asks for. The word is that of a web query, so this is no error of the label as such."
    ),
    "no_query": "{dataset}: no file name holds an emotion word.",
    "crowded": "{dataset}: {share} ({low} to {high}) of {n} images searched whole show more than one face.",
    "not_so": (
        "{dataset}: of {n} annotated faces, {largest} are not the largest of their image, {central} not the most "
        "central, {sharp} not the sharpest."
    ),
    "apart": (
        "By {features}, classes of {one} stand further apart than those of {other}: a linear probe reaches "
        "{one_value} against {other_value} balanced accuracy, and the intervals of the draws do not meet."
    ),
    "not_apart": (
        "By {features}, no difference in separability is shown: a linear probe reaches {one_value} on {one} and "
        "{other_value} on {other}, and the intervals of the draws overlap."
    ),
    "wrong": (
        "{dataset}: an estimated {share} ({low} to {high}) of the labels are wrong, by confident learning on {n} "
        "faces with a probe that agrees with {probe} of the labels."
    ),
    "more_wrong": (
        "The labels of {one} are estimated to be wrong more often than those of {other}: the intervals do not meet."
    ),
    "as_wrong": "A difference in label quality between {one} and {other} is not shown: the intervals overlap.",
    "judged": (
        "{dataset}: a person judged {n} of the most suspicious labels; {share} ({low} to {high}) are wrong. Suspects "
        "are not typical: this is no rate of the dataset."
    ),
    "not_judged": (
        "{dataset}: nobody has judged the suspects yet. Fill in the column verdict (agree, disagree, unclear) of "
        "{file}, and give the command again."
    ),
    "how_shares": "Shares have 95% Wilson intervals that count the faces of one image as related (design effect).",
    "how_tests": (
        "Differences of photographs are tested by Mann and Whitney, two-sided, adjusted by Holm over all quantities; "
        "Cliff's delta is the effect, above 0 where the second dataset is larger."
    ),
    "how_evidence": (
        "Faces of whole images were found by {detector} in a random sample of images; faces smaller than 3.5% of the "
        "image's longer side are not sought."
    ),
    "how_separability": (
        "Separability is measured on {per_class} faces of each class and dataset, drawn {draws} times; intervals "
        "hold 95% of the draws."
    ),
    "how_network": "{features}: features of the network trained on each dataset, of test faces it was not trained on.",
    "how_noise": (
        "Wrong labels are estimated from predictions of faces that the probe had not seen, nor any face of their "
        "image. The estimate includes expressions that the probe itself confuses; on made labels it was 0 to 3 "
        "points too high."
    ),
}
WORDS: Final = {
    "dataset": "Dataset",
    "quantity": "Quantity",
    "median": "median (quartiles)",
    "effect": "Cliff's delta",
    "size": "Effect",
    "p": "Adjusted p",
    "features": "Features",
    "class": "Class",
    "all": "all",
    "share_wrong": "Estimated share of wrong labels ↓",
    "faces": "Faces",
    "measure": "Measure",
    "value": "Share",
    "query_class": "Query",
    "label": "Label",
    "disagree": "Label differs from the query",
    "crowded": "Image shows more than one face",
    "is_largest": "Annotated face is not the largest",
    "is_most_central": "Annotated face is not the most central",
    "is_sharpest": "Annotated face is not the sharpest",
    "suspects": "The most suspicious labels",
    "suspects_note": "Written label, then what other faces suggest.",
    "plane": "Faces by t-SNE",
    "plane_note": "Each point a face; near points look alike (HOG). Distances between groups mean nothing.",
    "pairs": "Pairs of classes told apart",
    "pairs_note": "Balanced accuracy of a linear probe for each pair; 0.5 is chance, higher is better ↑.",
    "query_matrix": "Query by label",
    "query_note": "Share of each query's faces (rows sum to 1) by their label.",
    "negligible": "negligible",
    "small": "small",
    "medium": "medium",
    "large": "large",
    "width": "Width, px",
    "height": "Height, px",
    "megapixels": "Megapixels",
    "aspect": "Width over height",
    "file_bytes": "File size, bytes",
    "faces_annotated": "Annotated faces in an image",
    "brightness": "Brightness, 0 to 255",
    "contrast": "Contrast, 0 to 255",
    "sharpness": "Sharpness, variance of the Laplacian",
    "jpeg_quality": "JPEG quality",
    "area_share": "Area share of the annotated face",
    "box_confidence": "Confidence of the annotated box",
    "probe": "Linear probe, balanced accuracy ↑",
    "neighbours": "Label agreement of 10 neighbours ↑",
    "silhouette": "Silhouette ↑",
    "scatter": "Scatter between over within ↑",
    "davies_bouldin": "Davies-Bouldin index ↓",
    "anger": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happiness": "happiness",
    "sadness": "sadness",
    "surprise": "surprise",
    "neutral": "neutral",
}
"""Titles, headings, classes and notes."""


class Speaker:
    """Fills sentences in, in the language of a code (see `locale_of`)."""

    def __init__(self, locale: str) -> None:
        self._ = locale_of(locale)

    @property
    def locale(self) -> str:
        """The language's code."""
        return self._.lang

    def say(self, key: str, **values: object) -> str:
        """The sentence called `key`, its places filled."""
        return self._(TEXT[key], **values)

    def word(self, key: str) -> str:
        """The heading or word called `key`."""
        return self._(WORDS[key])

    def number(self, value: float, digits: int = 3) -> str:
        """With the locale's decimal sign."""
        text = f"{value:,.{digits}f}"
        return text if self.locale == "en" else text.translate(str.maketrans(",.", ".,"))

    def percent(self, value: float) -> str:
        """A share as a percentage."""
        return f"{self.number(100 * value, 1)}%"
