"""Rates: an address may ask for so much, and waits for more."""

from node.api.rates import Rates


def test_an_address_has_so_many_at_once_and_then_one_at_a_time() -> None:
    rates = Rates(per_second=2.0, at_once=3)
    assert [rates.take("a", 0.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert not rates.take("a", 400.0)
    assert rates.take("a", 500.0)
    assert not rates.take("a", 500.0)
    assert [rates.take("a", 60_000.0) for _ in range(4)] == [True] * 3 + [False]


def test_addresses_do_not_wait_for_one_another() -> None:
    rates = Rates(per_second=1.0, at_once=1)
    assert [rates.take(name, 0.0) for name in "aabbc"] == [
        True,
        False,
        True,
        False,
        True,
    ]


def test_a_thousand_addresses_are_remembered_and_no_more() -> None:
    rates = Rates(per_second=1.0, at_once=1)
    for number in range(3000):
        assert rates.take(str(number), 0.0)
    assert len(rates._buckets) == 1024
    assert not rates.take("2999", 0.0)
    assert rates.take("0", 0.0)
