"""Bodies of requests and answers: what the OpenAPI document says of them, with examples."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    StringConstraints,
    model_validator,
)


def _whole(value: Any) -> Any:
    """5.0 is an integer in JSON's schemas."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Id = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Count = Annotated[
    int,
    Field(ge=1, le=1000, description="How many items; the server may give fewer (`most_items`)."),
    BeforeValidator(_whole),
]
Name = Annotated[
    str, Field(max_length=40, description="Which recommender; may be left out where there is one.")
]
Plain = str | bool | int | FiniteFloat


class Body(BaseModel):
    """Refuses fields that it does not know, and texts in place of numbers."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Tests(Body):
    """What one attribute of an item has to pass: all that are given."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    equals: Plain = ""
    among: Annotated[list[Plain], Field(alias="in", max_length=1000)] = []
    below: FiniteFloat = 0
    above: FiniteFloat = 0

    @model_validator(mode="after")
    def _some(self) -> Tests:
        if not self.model_fields_set:
            raise ValueError("give one of equals, in, below, above")
        return self


FILTER = (
    'Which items may be shown, by attributes: {"price": {"below": 10}, "kind": {"in": ["cup"]}}; '
    "`item_id` and `name` are attributes of every item."
)
FilterOf = Annotated[
    dict[Annotated[str, StringConstraints(max_length=200)], Tests],
    Field(description=FILTER, max_length=20),
]


class Recommend(Body):
    """Who asks, for how many items, of which."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"user": "17850", "count": 5},
                {"session": ["22423", "85123A"], "count": 5, "explain": True},
            ]
        },
    )

    user: Id | None = Field(None, description="The user's id, as in your data.")
    session: list[Id] = Field(
        [], max_length=200, description="Items clicked just now, oldest first."
    )
    history: list[Id] = Field(
        [],
        max_length=200,
        description="Of a user that your data does not have: items chosen before.",
    )
    recommender: Name = ""
    count: Count = 10
    filter: FilterOf = {}
    items: list[Id] | None = Field(
        None, max_length=1000, description="The only items to choose from."
    )
    exclude: list[Id] = Field([], max_length=1000, description="Items that are not to be shown.")
    include_known: bool = Field(False, description="Also what the user chose before.")
    explain: bool = Field(False, description="Also the features of each item's score.")


class Similar(Body):
    """Which item, and how many like it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"item": "22423", "count": 5}]})

    item: Id
    recommender: Name = ""
    count: Count = 10
    filter: FilterOf = {}
    exclude: list[Id] = Field([], max_length=1000)


class Told(Body):
    """What a user did with an item that an answer showed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "request_id": "4e6f1b9c-6a0e-4c39-9d0b-0b6f4d1f7a55",
                    "item": "22423",
                    "kind": "click",
                }
            ]
        },
    )

    request_id: Annotated[
        str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
    ]
    item: Id
    kind: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
    recommender: Name = ""


class Item(BaseModel):
    """One item of an answer."""

    item: str
    name: str
    score: float
    stage: str = Field(
        description="How it came into the answer: own, together, popular, retrieval."
    )
    reason: str
    features: dict[str, float] | None = Field(None, description="With `explain`.")


class Recommended(BaseModel):
    """An answer, of one release."""

    request_id: str
    recommender: str
    release: int
    answered_from: str = Field(description="user, session, user and session, or popularity.")
    items: list[Item]
    ignored: list[str] | None = Field(None, description="Ids of the request that no event had.")
    degraded: str | None = Field(None, description="Why less is known of the user than could be.")


class SimilarItem(BaseModel):
    """One item of a list of similar ones."""

    item: str
    name: str
    score: float


class SimilarItems(BaseModel):
    """Items like one, of one release."""

    request_id: str
    recommender: str
    release: int
    item: str
    items: list[SimilarItem]
    ignored: list[str] | None = Field(None, description="Ids of the request that no event had.")


class Kept(BaseModel):
    """Feedback was taken."""

    request_id: str
    kept: bool


class ReleaseRow(BaseModel):
    """One release."""

    release: int
    parent: int | None
    decision: str
    learnt_windows: int
    champion_from: str
    champion: bool
    thinned: bool


class Releases(BaseModel):
    """A recommender's releases, newest first."""

    recommender: str
    answering: int | None = Field(description="The release that this server answers with.")
    releases: list[ReleaseRow]


class Health(BaseModel):
    """What a recommender answers with."""

    release: int | None = Field(description="The release that answers.")
    refused: int | None = Field(None, description="A champion that cannot be served,")
    reason: str | None = Field(None, description="and why.")
    away: str | None = Field(None, description="Why the ledger cannot be read.")


class Ready(BaseModel):
    """Whether every recommender is answered for."""

    ready: bool
    recommenders: dict[str, Health]


class Live(BaseModel):
    """The process answers."""

    live: bool


class Wrong(BaseModel):
    """What was wrong, the value received, and the remedy."""

    field: str
    value: Any = None
    message: str


class Error(BaseModel):
    """Every answer that is none."""

    errors: list[Wrong]
