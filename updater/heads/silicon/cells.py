"""What every row of the silicon table is made of: facts, each with its standing and its source.

* documented: printed by the maker (AN = application note, DS = datasheet, RM = reference manual);
* observed: seen on real silicon by somebody who published it;
* inferred: our own conclusion. It may explain or speed up; it never is the only guard against damage.

Sources: ST:n is thread n of community.st.com, SFn is ticket n of dfu-util's tracker.
"""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

T = TypeVar("T")
Standing = Literal["documented", "observed", "inferred"]
Source = Annotated[str, Meta(pattern=r"\S")]
BankMode = Literal["single", "dual"]


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every struct of the table is frozen and refuses keys it does not know."""


class Fact(Row, Generic[T], frozen=True):
    """A value, how sure we are of it, and who says so."""

    value: T
    standing: Standing
    source: Source
