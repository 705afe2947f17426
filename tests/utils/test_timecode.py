"""Times such as 1:30, parsed and formatted."""

import pytest

from ppcartoon.utils.timecode import parse_time, show_time


@pytest.mark.parametrize("text, seconds", [("90", 90), ("0.25", 0.25), ("1:30", 90), ("2:00:01.5", 7201.5)])
def test_seconds_minutes_and_hours_are_parsed(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "-1", "1:2:3:4", "1:", "a", "1e3", "nan", "1,5"])
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match="is not a time like 90"):
        parse_time(text)


@pytest.mark.parametrize("seconds, text", [(0, "0:00:00.00"), (59.999, "0:01:00.00"), (3723.456, "1:02:03.46")])
def test_times_are_formatted_to_hundredths_of_a_second(seconds, text):
    assert show_time(seconds) == text
