"""Deletion."""

from datetime import date

from pydantic import BaseModel, Field, model_validator


class Delete(BaseModel):
    """What to delete: one of these."""

    service: str | None = Field(
        default=None, min_length=1, max_length=500, description="all that it has sent"
    )
    trace_id: str | None = Field(
        default=None, pattern="^[0-9a-fA-F]{32}$", description="the spans of a trace"
    )
    before: date | None = Field(default=None, description="all days before this one, UTC; not in the future")

    @model_validator(mode="after")
    def _is_one(self) -> "Delete":
        if sum(each is not None for each in (self.service, self.trace_id, self.before)) != 1:
            raise ValueError("name one of service, trace_id and before")
        return self


class DeletedRows(BaseModel):
    """Rows deleted from a table of the store."""

    table: str
    rows: int


class Deletion(BaseModel):
    """What was deleted; empty if nothing of it was stored."""

    deleted: list[DeletedRows]
