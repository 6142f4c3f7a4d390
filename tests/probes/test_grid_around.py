"""Where the points of a grid around marks lie."""

import numpy as np
import pytest

from landscape.probes._grid import _around


@pytest.mark.parametrize("number", [3, 4, 5, 6, 11, 21, 51])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 0.0), (-0.2, 1.0), (-1.0, 1.0), (-0.03, 0.4)])
def test_no_mark_is_on_the_edge_and_zero_is_a_point(number, low, high):
    room = 0.25 * (high - low)
    steps = _around(low - room, high + room, number)
    assert len(steps) == number
    assert steps[np.abs(steps).argmin()] == 0
    np.testing.assert_allclose(np.diff(steps), steps[1] - steps[0])
    assert steps[0] < low
    assert steps[-1] > high
