from cdb.stores.kept import Kept


def test_a_value_is_kept_until_the_store_changes() -> None:
    state = [1]
    kept: Kept[str] = Kept(lambda: state[0])
    kept.put("question", "answer", kept.stamp())
    assert kept.get("question") == "answer"
    state[0] = 2
    assert kept.get("question") is None


def test_what_was_made_of_an_older_state_is_not_kept() -> None:
    state = [1]
    kept: Kept[str] = Kept(lambda: state[0])
    stamp = kept.stamp()
    state[0] = 2
    kept.put("question", "answer", stamp)
    assert kept.get("question") is None


def test_nothing_is_kept_of_a_store_that_cannot_say_when_it_changes() -> None:
    kept: Kept[str] = Kept(lambda: None)
    kept.put("question", "answer", kept.stamp())
    assert kept.get("question") is None


def test_no_more_is_kept_than_is_allowed() -> None:
    kept: Kept[int] = Kept(lambda: 1, many=10)
    for number in range(25):
        kept.put(number, number, 1)
    assert sum(kept.get(number) is not None for number in range(25)) == 5
