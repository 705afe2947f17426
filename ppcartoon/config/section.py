"""What all sections of a config are made of."""

from __future__ import annotations

from typing import Annotated

import pydantic
from pydantic import ConfigDict, Field

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Width = Annotated[int, Field(ge=1, le=1024)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Side = Annotated[int, Field(ge=32, multiple_of=4)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=1)]
Text = Annotated[str, Field(min_length=1)]
Momentum = Annotated[float, Field(ge=0, lt=1)]
VggLayer = Annotated[str, Field(pattern=r"^conv([12]_[12]|[345]_[1-4])$")]


class Section(pydantic.BaseModel):
    """A mapping that takes the keys it names and no others, without guessing at types."""

    model_config = ConfigDict(extra="forbid", strict=True, serialize_by_alias=True)
