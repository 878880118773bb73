"""Settings: where they come from and what a wrong one says."""

import dataclasses

import pytest
from asgiscope.config import Config, SettingError, load


def test_defaults() -> None:
    """Nothing set is the documented default."""
    assert load({}) == Config()


def test_the_variable_wins_over_the_settings_dict() -> None:
    """An operator at 3 a.m. has the environment, not the code."""
    config = load({"ASGISCOPE_STALL_MS": "80"}, {"STALL_MS": 20, "WAIT_MS": 7})
    assert (config.stall_ms, config.wait_ms) == (80.0, 7.0)


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_the_kill_switch(value: str) -> None:
    """However it is spelt."""
    assert load({"ASGISCOPE_DISABLED": value}).disabled


def test_opentelemetrys_own_switch_counts() -> None:
    """`OTEL_SDK_DISABLED` keeps its meaning."""
    assert load({"OTEL_SDK_DISABLED": "true"}).disabled


@pytest.mark.parametrize(
    ("env", "given", "says"),
    [
        ({"ASGISCOPE_DISABLED": "perhaps"}, {}, "ASGISCOPE_DISABLED is 'perhaps'; it takes 1 or 0"),
        ({"ASGISCOPE_WAIT_MS": "soon"}, {}, "ASGISCOPE_WAIT_MS is 'soon'; it takes a number above 0"),
        ({"ASGISCOPE_QUEUE_SIZE": "-1"}, {}, "it takes a number above 0"),
        ({"ASGISCOPE_SOURCE_LINES": "-1"}, {}, "it takes a number from 0 on"),
        ({}, {"WAIT_SECONDS": 1}, "settings.ASGISCOPE has no setting 'WAIT_SECONDS'; there are: DISABLED"),
    ],
)
def test_invalid_setting_is_reported_with_valid_values(
    env: dict[str, str], given: dict[str, object], says: str
) -> None:
    """The message names the setting."""
    with pytest.raises(SettingError, match=says.replace("(", r"\(")):
        load(env, given)


def test_every_setting_can_be_set_by_a_variable() -> None:
    """The field's name is the variable's."""
    for field in dataclasses.fields(Config):
        value = "1" if not isinstance(field.default, str) else "x"
        assert getattr(load({f"ASGISCOPE_{field.name.upper()}": value}), field.name) in (1, True, "x")
