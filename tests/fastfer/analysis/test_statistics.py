"""Shares and differences against cases worked by hand, and against SciPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from fastfer.analysis.statistics import difference, share_of


def test_independent_faces_give_wilsons_interval() -> None:
    flag_N = np.arange(200) < 30
    share = share_of(flag_N, np.arange(200))
    wilson = binomtest(30, 200).proportion_ci(method="wilson")
    assert share.value == 0.15
    # Between-group variance has n - 1, so the faces are worth 199 of 200.
    assert (share.low, share.high) == pytest.approx((wilson.low, wilson.high), abs=2e-4)


def test_faces_of_one_image_that_agree_count_once() -> None:
    flag_G = np.arange(50) < 10
    alone = share_of(flag_G, np.arange(50))
    doubled = share_of(np.repeat(flag_G, 4), np.repeat(np.arange(50), 4))
    assert (doubled.value, doubled.low, doubled.high) == pytest.approx((alone.value, alone.low, alone.high))
    assert doubled.n == 4 * alone.n


def test_no_face_has_no_share_and_none_true_has_an_interval_from_0() -> None:
    assert share_of(np.zeros(0, bool), np.zeros(0)).value is None
    nothing = share_of(np.zeros(20, bool), np.arange(20))
    assert (nothing.value, nothing.low) == (0, 0)
    assert nothing.high == pytest.approx(binomtest(0, 20).proportion_ci(method="wilson").high)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=60))
def test_the_interval_holds_the_share_within_0_and_1(faces: list[tuple[bool, int]]) -> None:
    share = share_of(np.array([flag for flag, _ in faces]), np.array([group for _, group in faces]))
    assert share.low is not None
    assert share.high is not None
    assert share.value is not None
    assert 0 <= share.low <= share.value + 1e-12
    assert share.value <= share.high + 1e-12 <= 1 + 1e-12


def test_cliffs_delta_counts_pairs() -> None:
    found = difference(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0]))
    assert found is not None
    assert found.delta == pytest.approx((4 - 1) / 6)  # above: (2,1) (4,1) (4,2) (4,3); below: (2,3)
    assert found.size == "large"
    alike = difference(np.ones(5), np.ones(5))
    assert alike is not None
    assert (alike.p, alike.delta, alike.size) == (1.0, 0.0, "negligible")
    assert difference(np.zeros(0), np.ones(3)) is None
