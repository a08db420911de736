"""Which pictures of a gallery may be found."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Filter:
    """Conditions that all must hold; an empty one holds always.

    A picture whose camera, identity or time is not known meets no condition on it that is asked
    for: it cannot be shown to be from another camera. Only `not_identities` lets it through, for a
    picture without a name is not under that name.

    identities, not_identities: people who alone may be found, or who may not.
    cameras, not_cameras: the same of cameras.
    after, before: seconds since 1970; at or after the first, and before the second.
    """

    identities: tuple[str, ...] = ()
    not_identities: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    not_cameras: tuple[str, ...] = ()
    after: float | None = None
    before: float | None = None

    def sql(self) -> str | None:
        """Returns the condition as SQL; None where everything may be found."""
        conditions = [
            f"{column} IN {listed(names)}"
            for column, names in (("identity", self.identities), ("camera", self.cameras))
            if names
        ]
        if self.not_identities:
            others = f"identity NOT IN {listed(self.not_identities)}"
            conditions.append(f"(identity IS NULL OR {others})")
        if self.not_cameras:
            conditions.append(f"camera NOT IN {listed(self.not_cameras)}")
        if self.after is not None:
            conditions.append(f"time >= {float(self.after)!r}")
        if self.before is not None:
            conditions.append(f"time < {float(self.before)!r}")
        return " AND ".join(conditions) or None


def listed(texts: tuple[str, ...] | list[str]) -> str:
    """Returns texts as a list in SQL, quoted."""
    return "({})".format(", ".join("'{}'".format(text.replace("'", "''")) for text in texts))
