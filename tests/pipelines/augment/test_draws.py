from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipelines.augment.draws import Drawn, draw
from pipelines.augment.policy import DRAWN_BY_DALI, LIGHT, STRONG, Group, Operation, Policy, Range


def by_row(drawn: list[Drawn], rows_B: NDArray[np.int64]) -> dict[int, dict[str, list[float]]]:
    """What each row drew: operation -> parameters."""
    table: dict[int, dict[str, list[float]]] = {int(row): {} for row in rows_B}
    for one in drawn:
        for place, params_K in zip(one.index_n, one.params_nK, strict=True):
            table[int(rows_B[place])][one.operation.name] = params_K.tolist()
    return table


@given(
    seed=st.integers(0, 2**32 - 1),
    epoch=st.integers(0, 1000),
    rows=st.lists(st.integers(0, 2**40), min_size=1, max_size=30, unique=True),
    data=st.data(),
)
def test_a_row_draws_the_same_in_any_batch_and_order(
    seed: int, epoch: int, rows: list[int], data: st.DataObject
) -> None:
    whole = by_row(draw(STRONG, seed, epoch, np.array(rows)), np.array(rows))
    some = np.array(data.draw(st.permutations(rows)))[: data.draw(st.integers(1, len(rows)))]
    part = by_row(draw(STRONG, seed, epoch, some), some)
    assert part == {int(row): whole[int(row)] for row in some}


@pytest.mark.parametrize("policy", [STRONG, LIGHT])
def test_operations_are_as_frequent_as_the_table_says(policy: Policy) -> None:
    num_rows = 20_000
    drawn = {one.operation.name: one for one in draw(policy, 1, 0, np.arange(num_rows))}
    for group in policy.groups:
        for operation in group.operations:
            expected = group.probability * operation.chance
            share = len(drawn[operation.name].index_n) / num_rows
            assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / num_rows) + 1e-12


@pytest.mark.parametrize("policy", [STRONG, LIGHT])
def test_parameters_fill_their_ranges(policy: Policy) -> None:
    for one in draw(policy, 1, 0, np.arange(20_000)):
        num_ranges = len(one.operation.ranges)
        assert one.params_nK.shape == (len(one.index_n), num_ranges + one.operation.keys)
        for drawn, values in zip(one.operation.ranges, one.params_nK.T, strict=False):
            width = drawn.high - drawn.low
            assert drawn.low <= values.min() < drawn.low + 0.02 * width
            assert drawn.high - 0.02 * width < values.max() < drawn.high
        keys = one.params_nK[:, num_ranges:]
        assert np.array_equal(keys, keys.astype(np.float32).astype(int))
        assert len(np.unique(keys)) >= 0.99 * keys.size


def test_an_image_takes_at_most_one_branch_of_each_group() -> None:
    drawn = draw(STRONG, 3, 5, np.arange(5000))
    for group in STRONG.groups:
        if group.applies == "one":
            taken = np.concatenate([one.index_n for one in drawn if one.group is group])
            assert len(np.unique(taken)) == len(taken)


def test_groups_are_drawn_independently() -> None:
    num_rows = 20_000
    takes = np.zeros((len(STRONG.operations), num_rows))
    places = {operation.name: place for place, operation in enumerate(STRONG.operations)}
    for one in draw(STRONG, 3, 5, np.arange(num_rows)):
        takes[places[one.operation.name], one.index_n] = 1
    photometric, occlusion = takes[places["gamma"]], takes[places["erasing"]]
    assert abs(np.corrcoef(photometric, occlusion)[0, 1]) < 0.03
    assert abs(np.corrcoef(takes[places["flip"]], photometric)[0, 1]) < 0.03


def test_operations_of_a_group_that_applies_all_are_drawn_independently() -> None:
    """Each two together as often as chance has it, whichever number decides on them."""
    num_rows, names = 20_000, ("flip", "scale", "rotation", "shear", "perspective", "translation")
    operations = [replace(operation, chance=0.5) for operation in STRONG.groups[0].operations]
    group = replace(STRONG.groups[0], operations=tuple(operations))
    assert tuple(operation.name for operation in operations) == names  # more than one block of numbers decides on
    acts_ON = np.zeros((len(names), num_rows), bool)
    for one in draw(Policy(name="halves", groups=(group,)), 1, 0, np.arange(num_rows)):
        acts_ON[names.index(one.operation.name), one.index_n] = True
    correlation_OO = np.corrcoef(acts_ON)
    assert np.abs(correlation_OO - np.eye(len(names))).max() < 0.03


def test_epochs_and_seeds_differ() -> None:
    rows_B = np.arange(16)
    tables = [by_row(draw(STRONG, seed, epoch, rows_B), rows_B) for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))]
    for row in range(16):
        rotations = [table[row]["rotation"][0] for table in tables]
        assert len(set(rotations)) == len(tables)


def test_skipping_leaves_the_other_draws_as_they_are() -> None:
    rows_B = np.arange(200)
    whole = by_row(draw(STRONG, 0, 0, rows_B), rows_B)
    part = by_row(draw(STRONG, 0, 0, rows_B, skip=DRAWN_BY_DALI), rows_B)
    assert part == {
        row: {name: params for name, params in mine.items() if name not in DRAWN_BY_DALI} for row, mine in whole.items()
    }


def test_no_row_draws_nothing() -> None:
    assert draw(STRONG, 0, 0, np.array([], dtype=np.int64)) == []


def test_draws_stay_what_they_were_in_earlier_versions() -> None:
    areas = tuple(Range(name, 0, 1, "") for name in ("area", "aspect", "x", "y", "value"))
    branches = (
        Operation(name="gaussian_noise", chance=0.75, ranges=(Range("sigma", 0, 1, ""),), keys=2),
        Operation(name="erasing", chance=0.25, ranges=areas),
    )
    group = Group(name="degradation", probability=0.9, applies="one", operations=branches)
    rows_B = np.array([43, 44, 59])
    erased = [0.7826908999122679, 0.6211417920421809, 0.4071629671379924, 0.8777639113832265, 0.1382888830266893]
    assert by_row(draw(Policy(name="golden", groups=(group,)), 7, 3, rows_B), rows_B) == {
        43: {"gaussian_noise": [0.6424635259900242, 14677969.0, 11213641.0]},
        44: {"erasing": erased},
        59: {},
    }
