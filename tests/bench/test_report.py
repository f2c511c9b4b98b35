"""What is kept of a measurement."""

from bench.report import named


def test_a_setting_with_a_path_keeps_the_last_name_alone() -> None:
    assert named("data=/home/me/shop/beauty") == "data=beauty"
    assert named("epochs=6") == "epochs=6"
