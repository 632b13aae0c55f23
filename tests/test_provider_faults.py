"""Whatever a provider does wrong, nothing is lost and nothing is paid for twice."""

import pytest
from provider_faults import FAULTS, KILLED, Outcome, outcomes

from retriever.embedding import retrying

pytestmark = pytest.mark.slow

FINAL = {"401", "403", "404", "NaN in a vector", "wrong width"}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrying, "FIRST_WAIT_S", 0.01)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return {one.fault: one for one in outcomes(tmp_path_factory.mktemp("faults"))}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_collection_ends_as_it_does_without_a_fault(
    found: dict[str, Outcome], fault: str
) -> None:
    assert found[fault].as_without
    assert found[fault].chunks == found["none"].chunks


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_paid_for_twice(found: dict[str, Outcome], fault: str) -> None:
    """Beyond the price of a faultless run there are only answers that could not be used."""
    one = found[fault]
    assert one.tokens - one.useless_tokens == found["none"].tokens


@pytest.mark.parametrize("fault", FAULTS)
def test_a_final_fault_stops_the_run_with_an_error_and_any_other_does_not(
    found: dict[str, Outcome], fault: str
) -> None:
    expected = "EmbeddingRejected" if fault in FINAL else "completed"
    assert found[fault].first_run == ("killed" if fault == KILLED else expected)
