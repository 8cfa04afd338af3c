"""What constants were made from, and what was made from them: told by the journal, without a scan.

A version says in its `source` which versions went into it, its *parents*. The event that adds it
has an entry for each parent, a *mention*: the parent's place and key, no document, as `child` the
id of the new version, and as `id` not the parent's own, but ``parent:`` before it. So the journal's
index of ids finds children, and who asks what became of a version does not read of thousands.

A version, its copies and what replaced or restored them are one constant, and so one node here:
what any of them was made from, it was made from. So the graph only grows; an amendment whose new
parents descend from the constant itself is refused, and there are no cycles.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cdb import sources
from cdb.constant import Version, is_experiment_copy, version_of
from cdb.errors import BadDocument, BadQuestion, NotFound, WrongState, shown
from cdb.events import Proposal, entry, is_of_constants
from cdb.journal import Journal
from cdb.sources import Parent, Source
from cdb.stores.query import Document

# As many ids are asked for at once; queries compare with so many values on every store.
AT_ONCE = 200
# As many generations are shown at once: JSON so deep is read everywhere.
MAX_DEPTH = 100

_MENTION = "parent:"

MayRead = Callable[[str], bool]


@dataclass(frozen=True)
class Relative:
    """A constant in a lineage.

    Attributes
    ----------
    id : str
        Of the version that is named: as parent, as child, or by who asked. Empty if hidden.
    database, detector, ctype, runs : str
        What it is and where; empty for one that this store does not know.
    experiment : str or None
        Who deployed it.
    state : str
        ``live``, ``retired``, ``replaced``, ``quarantined``; ``unknown`` for one that is not in
        this store, ``hidden`` for one that the caller may not read.
    seq : int or None
        The event that added it.
    sha256 : str or None
        Digest of the payload.
    now : str or None
        The version that stands for it now, if it is another one.
    server : str or None
        The identity of the store that knows it, if it is another one.
    again : bool
        Whether its relatives are shown elsewhere in the same tree.
    more : bool
        Whether it has relatives that were not asked for, being too far away.
    parents, children : tuple of Relative
        What it was made from, what was made from it.
    """

    id: str
    database: str = ""
    detector: str = ""
    ctype: str = ""
    runs: str = ""
    experiment: str | None = None
    state: str = "unknown"
    seq: int | None = None
    sha256: str | None = None
    now: str | None = None
    server: str | None = None
    again: bool = False
    more: bool = False
    parents: "tuple[Relative, ...]" = ()
    children: "tuple[Relative, ...]" = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values; of a hidden one nothing but that it is there."""
        near = {
            "parents": [parent.as_json() for parent in self.parents],
            "children": [child.as_json() for child in self.children],
        }
        marks = {name: True for name in ("again", "more") if getattr(self, name)}
        if self.state == "hidden":
            return {"state": self.state, **marks, **near}
        own = ("id", "state", "database", "detector", "ctype", "experiment", "runs", "seq",
               "sha256", "now", "server")  # fmt: skip
        return {**{name: getattr(self, name) for name in own}, **marks, **near}


def relative_of(answer: Mapping[str, Any]) -> Relative:
    """Return the constant that JSON values describe, as `Relative.as_json` makes them."""
    fields = {name: value for name, value in answer.items() if name in _FIELDS}
    fields["parents"] = tuple(relative_of(each) for each in answer["parents"])
    fields["children"] = tuple(relative_of(each) for each in answer["children"])
    return Relative(**{"id": "", **fields})


_FIELDS = frozenset(Relative.__dataclass_fields__)


# Constants and what events say of them -----------------------------------------------------------


@dataclass(frozen=True)
class _Constant:
    """A version with its copies and all that replaced or restored them, as far as events say.

    Attributes
    ----------
    members : dict of str to dict
        The entry that added each, by id, in the order of their events.
    left : dict of str to int
        The events under which members left.
    followed : dict of str to str
        What replaced or restored a member.
    parents : dict of str to Parent
        What it was made from, by id.
    children : dict of str to str
        What was made from it: ids, each with that of the member it names.
    """

    members: dict[str, Document] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    followed: dict[str, str] = field(default_factory=dict)
    parents: dict[str, Parent] = field(default_factory=dict)
    children: dict[str, str] = field(default_factory=dict)


class _Graph:
    """The constants of one journal up to an event, read as they are asked for, many at once."""

    def __init__(self, journal: Journal, upto: int | None = None) -> None:
        self._journal = journal
        self._upto = upto
        self._told: dict[str, list[tuple[Document, Document]]] = {}
        self._complete: set[int] = set()
        self._of: dict[str, _Constant | None] = {}

    def constants(self, ids: Iterable[str]) -> list[_Constant | None]:
        """Return the constants that some versions are of; None for those that no event adds."""
        ids = list(ids)
        unknown = [id_ for id_ in dict.fromkeys(ids) if id_ not in self._of]
        groups = {id_: {id_} for id_ in unknown}
        growing = set(unknown)
        while growing:
            self._load({id_ for name in growing for id_ in groups[name]})
            growing = {name for name in growing if self._grow(groups[name])}
        for name in unknown:
            self._keep(name, groups[name])
        return [self._of[id_] for id_ in ids]

    def find_children(self, constants: Iterable[_Constant]) -> None:
        """Let constants know what was made from them."""
        new = [each for each in constants if id(each) not in self._complete]
        self._load(_MENTION + id_ for each in new for id_ in each.members)
        for each in new:
            told = [(e["_id"], number, made["child"], id_) for id_ in each.members
                    for number, (e, made) in enumerate(self._told[_MENTION + id_])]  # fmt: skip
            for _, _, child, id_ in sorted(told):
                each.children.setdefault(child, id_)
            self._complete.add(id(each))

    def _load(self, ids: Iterable[str]) -> None:
        missing = [id_ for id_ in ids if id_ not in self._told]
        for start in range(0, len(missing), AT_ONCE):
            some = missing[start : start + AT_ONCE]
            told: dict[str, list[tuple[Document, Document]]] = {id_: [] for id_ in some}
            for event in self._journal.events_naming(*some):
                if self._upto is not None and event["_id"] > self._upto:
                    break
                for made in event["versions"]:
                    if made["id"] in told and is_of_constants(made):
                        told[made["id"]].append((event, made))
            self._told |= told

    def _grow(self, group: set[str]) -> bool:
        """Add to a group what its members' events name as the same; return whether it grew."""
        before = len(group)
        for id_ in list(group):
            for event, made in self._told[id_]:
                group.update(_same_as(event, made))
        return len(group) > before

    def _keep(self, name: str, group: Iterable[str]) -> None:
        if name in self._of:
            return
        constant = _Constant()
        told = [(event, made) for id_ in group for event, made in self._told[id_]]
        told.sort(key=lambda each: (each[0]["_id"], not _is_main(each[1])))
        for event, made in told:
            _follow(constant, event, made)
        known = constant if constant.members else None
        self._of.update(dict.fromkeys({name, *constant.members}, known))


def _same_as(event: Document, made: Document) -> Iterator[str]:
    """Yield the ids that an entry, or the deployment that it is of, says are the same constant."""
    if "copy" in made:
        yield made["copy"]
    document = made.get("document")
    if document is None:
        return
    main = _main_of(document)
    yield from (id_ for id_ in (main, document.get("first"), document.get("replaces")) if id_)
    for other in event["versions"]:
        if "document" in other and _main_of(other["document"]) == main and is_of_constants(other):
            yield other["id"]


def _main_of(document: Mapping[str, Any]) -> str:
    """Return the id of the copy that stands for itself."""
    return str(document["_id"] if is_experiment_copy(document) else document["id_doc_exp"])


def _is_main(made: Mapping[str, Any]) -> bool:
    return "document" in made and is_experiment_copy(made["document"])


def _follow(constant: _Constant, event: Document, made: Document) -> None:
    id_ = made["id"]
    if "document" in made:
        constant.members.setdefault(id_, made)
        for parent in sources.parents_of(made["document"].get("source")):
            constant.parents.setdefault(parent.id, parent)
    if "set" in made:
        constant.left.setdefault(id_, event["_id"])
    if "copy" in made:
        constant.followed[id_] = made["copy"]


# Writing -----------------------------------------------------------------------------------------


def filled(journal: Journal, source: object) -> Source:
    """Return what a constant was made from, with the digests of its parents.

    Parameters
    ----------
    journal : Journal
        Of the store that the constant goes to.
    source : mapping
        See `cdb.sources`; a parent of this store needs its id alone.

    Raises
    ------
    BadDocument
        If a known field is not what it should be, or a parent is no version of this store.
    """
    given = sources.checked(source)
    found = _parents(journal, given)
    if "parents" not in given:
        return given
    known = {parent.id: made["document"].get("sha256") for parent, made in found}
    parents = []
    for said in given["parents"]:
        digest = known.get(said["id"])
        parents.append({**said, "sha256": digest} if digest and not said.get("sha256") else said)
    return {**given, "parents": parents}


def mentions(journal: Journal, source: object) -> list[Document]:
    """Return the entries by which an event names the parents in a source; see `told`.

    Raises
    ------
    BadDocument
        If one is no version of this store.
    """
    found = {made["id"]: made for _, made in _parents(journal, source)}
    # psana's clients file two copies, one after the other: the first knows not of the second.
    mains = {_main_of(made["document"]) for made in found.values()} - found.keys()
    found |= _added(journal, sorted(mains))
    return [
        entry(made["database"], made["collection"], _MENTION + made["id"], made["key"])
        for made in found.values()
    ]


def told(mentioned: Iterable[Document], child: str) -> list[Document]:
    """Return the entries of `mentions` with the id of the new version."""
    return [{**made, "child": child} for made in mentioned]


def _parents(journal: Journal, source: object) -> list[tuple[Parent, Document]]:
    """Return the parents of this store that a source names, each with the entry that added it."""
    own = [parent for parent in sources.parents_of(source) if not _is_elsewhere(journal, parent)]
    entries = _added(journal, [parent.id for parent in own])
    for parent in own:
        made = entries.get(parent.id)
        if made is None:
            raise BadDocument(
                f"the parent {parent.id} is no version that this store knows; `cdb history` shows "
                "ids, `cdb adopt` takes in documents of other programs, and one of another store "
                "is named with its `server` and `sha256`"
            )
        if parent.sha256 not in (None, made["document"].get("sha256")):
            raise BadDocument(
                f"the parent {parent.id} has other bytes here than {parent.sha256}; leave sha256 "
                "out, or name the version that was used"
            )
    return [(parent, entries[parent.id]) for parent in own]


def _added(journal: Journal, ids: Sequence[str]) -> dict[str, Document]:
    """Return the entries that added versions, by id; of those that the journal knows."""
    entries: dict[str, Document] = {}
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        for event in journal.events_naming(*some):
            added = (e for e in event["versions"] if "document" in e and is_of_constants(e))
            entries |= {made["id"]: made for made in added if made["id"] in some}
    return entries


def _is_elsewhere(journal: Journal, parent: Parent) -> bool:
    return parent.server is not None and parent.server != journal.identity()


def check_descent(journal: Journal, version_id: str, source: object) -> None:
    """Refuse a source whose parents were made from the constant itself.

    Parameters
    ----------
    journal : Journal
        Of the store.
    version_id : str
        Of the version that is to get the source.
    source : mapping
        Its new source.

    Raises
    ------
    WrongState
        Naming the parent.
    """
    graph = _Graph(journal)
    for parent, _ in _parents(journal, source):
        if any(version_id in constant.members for constant in _ancestors(graph, parent.id)):
            raise WrongState(
                f"{parent.id} cannot be a parent of {version_id}: it was made from it, or is it; "
                f"`cdb lineage {parent.id} --up` shows how"
            )


def _ancestors(graph: _Graph, version_id: str) -> Iterator[_Constant]:
    """Yield a constant and all that it was made from, each once."""
    level, seen = [version_id], {version_id}
    while level:
        found = [constant for constant in graph.constants(level) if constant is not None]
        yield from found
        seen.update(id_ for constant in found for id_ in constant.members)
        above = {id_: None for constant in found for id_ in constant.parents}
        level = [id_ for id_ in above if id_ not in seen]
        seen.update(level)


class Related(Proposal):
    """An amendment with new parents, which rests on how constants are related."""

    def is_stale_after(self, event: Mapping[str, Any]) -> bool:
        """Return whether an event that came between relates constants too."""
        return super().is_stale_after(event) or any("child" in e for e in event["versions"])


# The tree ----------------------------------------------------------------------------------------


def tree(
    journal: Journal,
    version_id: str,
    upto: int,
    *,
    up: bool = True,
    down: bool = True,
    depth: int = MAX_DEPTH,
    may_read: MayRead = lambda _: True,
) -> Relative:
    """Return a constant with what it was made from and what was made from it.

    Parameters
    ----------
    journal : Journal
        Of the store.
    version_id : str
        Of any copy of any of its versions.
    upto : int
        S: what later events say is left out.
    up, down : bool, optional
        Whether to look for parents, for children.
    depth : int, optional
        At most so many generations either way.
    may_read : callable, optional
        From the name of a database to whether what is filed there is named.

    Raises
    ------
    NotFound
        If the journal does not know the version.
    BadQuestion
        If `depth` is not one of 0 to 100.
    """
    if not 0 <= depth <= MAX_DEPTH:
        raise BadQuestion(
            f"depth is {shown(depth)}; give 0 to {MAX_DEPTH} generations, and ask again at the "
            "farthest for more"
        )
    if journal.store.no_journal:
        raise WrongState(f"nobody knows what was made from what: {journal.store.no_journal}")
    graph = _Graph(journal, upto)
    (constant,) = graph.constants([version_id])
    if constant is None:
        raise NotFound(
            f"no version {version_id} is known as of event {upto}; `cdb history` shows ids, and "
            "`cdb adopt` takes in documents of other programs"
        )
    root = _shown(constant, version_id, may_read)
    server = journal.identity()
    if up:
        nodes = _Walk(graph, server, may_read, depth, _parents_in)
        root = replace(root, parents=nodes.near(constant), more=root.more or nodes.cut)
    if down:
        nodes = _Walk(graph, server, may_read, depth, _children_in)
        root = replace(root, children=nodes.near(constant), more=root.more or nodes.cut)
    return root


Near = Callable[[_Constant], list[Parent]]


def _parents_in(constant: _Constant) -> list[Parent]:
    return list(constant.parents.values())


def _children_in(constant: _Constant) -> list[Parent]:
    return [Parent(child) for child in constant.children]


class _Walk:
    """A walk up or down from one constant: a generation at a time, each constant once."""

    def __init__(
        self, graph: _Graph, server: str, may_read: MayRead, depth: int, near: Near
    ) -> None:
        self._graph = graph
        self._server = server
        self._may_read = may_read
        self._depth = depth
        self._near = near
        self.cut = False
        # Of each constant: those near it that are shown there, and those that are elsewhere too.
        self._edges: dict[int, list[tuple[Parent, _Constant | None, bool]]] = {}

    def near(self, constant: _Constant) -> tuple[Relative, ...]:
        """Return the constants near one, with those near them."""
        self._explore(constant)
        return self._made(constant)

    def _explore(self, root: _Constant) -> None:
        level, seen, generation = [root], {id(root)}, 0
        while level:
            if self._near is _children_in:
                self._graph.find_children(level)
            named = [(constant, self._near(constant)) for constant in level]
            if generation >= self._depth:
                self.cut = self.cut or (generation == 0 and any(near for _, near in named))
                return
            self._graph.constants(
                [each.id for _, near in named for each in near if not self._is_elsewhere(each)]
            )
            level = []
            for constant, near in named:
                edges = self._edges.setdefault(id(constant), [])
                shown: set[int] = set()
                for each in near:
                    other = None if self._is_elsewhere(each) else self._find(each.id)
                    if other is not None and id(other) in shown:
                        continue  # two versions of one constant
                    again = other is not None and id(other) in seen
                    edges.append((each, other, again))
                    if other is not None and not again:
                        seen.add(id(other))
                        level.append(other)
                    if other is not None:
                        shown.add(id(other))
            generation += 1

    def _find(self, version_id: str) -> _Constant | None:
        return self._graph.constants([version_id])[0]

    def _is_elsewhere(self, parent: Parent) -> bool:
        return parent.server not in (None, self._server)

    def _made(self, root: _Constant) -> tuple[Relative, ...]:
        """Return the relatives of a constant, made from the farthest ones on."""
        made: dict[int, tuple[Relative, ...]] = {}
        # Whoever was explored later is never above one explored earlier.
        for key, edges in reversed(self._edges.items()):
            made[key] = tuple(self._relative(*edge, made) for edge in edges)
        return made.get(id(root), ())

    def _relative(
        self,
        named: Parent,
        constant: _Constant | None,
        again: bool,
        made: Mapping[int, tuple[Relative, ...]],
    ) -> Relative:
        if constant is None:
            server = named.server if self._is_elsewhere(named) else None
            return Relative(named.id, sha256=named.sha256, server=server)
        shown = _shown(constant, named.id, self._may_read)
        if again:
            return replace(shown, again=bool(self._near(constant)))
        if id(constant) not in made:
            return replace(shown, more=bool(self._near(constant)))
        side = "parents" if self._near is _parents_in else "children"
        return replace(shown, **{side: made[id(constant)]})  # type: ignore[arg-type]


def _shown(constant: _Constant, version_id: str, may_read: MayRead) -> Relative:
    """Return what is shown of a constant: the version that is named, or a copy one may read."""
    made = constant.members.get(version_id)
    if made is None or not may_read(made["database"]):
        readable = [e for e in _copies(constant, made) if may_read(e["database"])]
        if not readable:
            return Relative("", state="hidden")
        made = readable[0]
    version = _version(made)
    now = _last(constant, made["id"])
    state = "live"
    if made["id"] in constant.left:
        state = "replaced" if made["id"] in constant.followed else "retired"
        if version.state == "quarantined" and state == "retired":
            state = version.state
    return Relative(
        made["id"],
        made["database"],
        version.detector,
        version.ctype,
        str(version.runs or "?"),
        version.experiment,
        state,
        version.seq,
        version.sha256,
        now if now != made["id"] else None,
    )


def _copies(constant: _Constant, made: Document | None) -> Sequence[Document]:
    """Return the entries of the copies of a version."""
    if made is None:
        return list(constant.members.values())
    seq = made["document"].get("seq")
    return [e for e in constant.members.values() if e["document"].get("seq") == seq]


def _last(constant: _Constant, version_id: str) -> str:
    """Return the version that stands for one now."""
    seen = {version_id}
    while (after := constant.followed.get(version_id)) is not None and after not in seen:
        seen.add(after)
        version_id = after
    return version_id


def _version(made: Document) -> Version:
    return version_of(made["document"], made["database"], made["collection"])
