"""Who writes: this process's account, or whoever it acts for."""

import threading

from cdb.actor import Actor, actor, on_behalf_of

EPIX = "epix_000001"


def test_what_is_written_on_behalf_of_somebody_carries_their_name(memory_db):
    with on_behalf_of("mona", host="psana1", folder="/work"):
        version = memory_db.add("x", detector="epix_a-1", ctype="notes")
    events = list(memory_db.journal.events())
    assert {(event["actor"], event["host"]) for event in events} == {("mona", "psana1")}
    assert [version.meta[name] for name in ("uid", "host", "cwd")] == ["mona", "psana1", "/work"]


def test_other_threads_act_for_themselves():
    seen: list[Actor] = []
    with on_behalf_of("mona", host="psana1"):
        thread = threading.Thread(target=lambda: seen.append(actor()))
        thread.start()
        thread.join()
    assert seen == [actor()]
    assert actor().login != "mona"
