from dataclasses import replace

import pytest

from pipelines.augment.policy import DRAWN_BY_DALI, LIGHT, STREAMS, STRONG, Group, Operation, Policy, Range, describe


@pytest.mark.parametrize("policy", [STRONG, LIGHT])
def test_describe_has_every_parameter_of_every_operation(policy: Policy) -> None:
    rows = describe(policy)
    for operation in policy.operations:
        mine = [row for row in rows if row["operation"] == operation.name]
        expected: list[tuple[object, ...]] = [(one.name, one.low, one.high, one.unit) for one in operation.ranges]
        assert [(r["parameter"], r["low"], r["high"], r["unit"]) for r in mine] == (expected or [(None,) * 4])
    assert {row["policy"] for row in rows} == {policy.name}


def test_the_branches_of_a_described_group_share_its_probability() -> None:
    for group in (group for policy in (STRONG, LIGHT) for group in policy.groups if group.applies == "one"):
        rows = describe(Policy(name="one group", groups=(group,)))
        shares = {row["operation"]: row["probability"] for row in rows}
        assert sum(float(share or 0) for share in shares.values()) == pytest.approx(group.probability)


def test_light_is_a_gentler_part_of_strong() -> None:
    strong = {operation.name: operation for operation in STRONG.operations}
    for operation in LIGHT.operations:
        assert operation.keys == strong[operation.name].keys
        for light_range, strong_range in zip(operation.ranges, strong[operation.name].ranges, strict=True):
            assert (light_range.name, light_range.unit) == (strong_range.name, strong_range.unit)
            assert light_range.high - light_range.low < strong_range.high - strong_range.low


def test_what_dali_draws_is_geometry_of_the_strong_policy() -> None:
    geometry = {operation.name for operation in STRONG.groups[0].operations}
    assert geometry > DRAWN_BY_DALI


def test_streams_keep_their_numbers_so_that_old_runs_can_be_resumed() -> None:
    assert STREAMS[:4] == ("geometry", "photometric", "degradation", "occlusion")
    assert STREAMS[4:10] == ("flip", "rotation", "translation", "scale", "shear", "perspective")
    assert STREAMS[10:14] == ("brightness_contrast", "gamma", "equalise", "illumination")
    assert STREAMS[14:] == ("gaussian_blur", "motion_blur", "gaussian_noise", "downscale", "erasing", "grid")


FLIP = Operation(name="flip", chance=0.5)
GEOMETRY = Group(name="geometry", probability=1, applies="all", operations=(FLIP,))


def test_an_unknown_operation_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown operation 'sparkle'"):
        Operation(name="sparkle", chance=1)


@pytest.mark.parametrize("chance", [-0.1, 1.1])
def test_a_chance_outside_0_to_1_is_refused(chance: float) -> None:
    with pytest.raises(ValueError, match="chance of flip"):
        replace(FLIP, chance=chance)
    with pytest.raises(ValueError, match="probability of geometry"):
        replace(GEOMETRY, probability=chance)


def test_a_range_upside_down_is_refused() -> None:
    with pytest.raises(ValueError, match="range of angle"):
        Range("angle", 5, -5, "degrees")


@pytest.mark.parametrize(
    ("name", "ranges", "why"),
    [
        ("gaussian_blur", [("sigma", 0.0, 0.5)], r"gaussian_blur: sigma from 0\.0 to 0\.5 is not within 0 to 0\.012"),
        ("downscale", [("factor", 0.0, 2.0)], r"factor from 0\.0 to 2\.0 is not within 1 to 16"),
        ("gamma", [("gamma", float("nan"), float("nan"))], "low nan is above high nan"),
        ("rotation", [("angle", float("-inf"), 0.0)], "angle from -inf to 0"),
        ("gamma", [], "gamma takes gamma and 0 keys, not nothing and 0 keys"),
        ("gaussian_noise", [("sigma", 0.0, 0.1)], "gaussian_noise takes sigma and 2 keys, not sigma and 0 keys"),
        ("brightness_contrast", [("contrast", 1.0, 1.0), ("brightness", 0.0, 0.0)], "takes brightness, contrast and"),
    ],
)
def test_parameters_that_an_operation_is_not_made_for_are_refused(
    name: str, ranges: list[tuple[str, float, float]], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        Operation(name=name, chance=1, ranges=tuple(Range(*one, "") for one in ranges))


def test_an_operation_in_a_group_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="flip is no operation of the group photometric"):
        replace(GEOMETRY, name="photometric")
    with pytest.raises(ValueError, match="gamma is no operation of the group geometry"):
        replace(GEOMETRY, operations=(Operation(name="gamma", chance=1, ranges=(Range("gamma", 1, 1, ""),)),))


def test_branches_that_do_not_share_out_their_group_are_refused() -> None:
    with pytest.raises(ValueError, match="must sum to 1"):
        replace(GEOMETRY, applies="one")


def test_a_name_twice_or_geometry_late_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        Policy(name="bad", groups=(GEOMETRY, GEOMETRY))
    with pytest.raises(ValueError, match="must be the first"):
        Policy(name="bad", groups=(*STRONG.groups[1:], GEOMETRY))
