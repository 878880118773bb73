"""A refusal: `SynchronousOnlyOperation`, or an error of asgiref's own."""

from asgiscope.records.scope import Scope
from asgiscope.semconv import OperationKind, RefusalKind
from asgiscope.stack import call_site
from asgiscope.stack.call_site import Frame
from asgiscope.stack.declared import Declared


class Refusal(Scope):
    """A call that Django or asgiref refused."""

    def __init__(self, parent: Scope | None, now: int, by: str, exception: str, message: str) -> None:
        super().__init__(parent, now)
        self.ended = now
        self.by = by
        self.exception = exception
        self.message = message
        self.kind = RefusalKind.ASYNC_UNSAFE
        self.operation = ""
        self.operation_kind: OperationKind | None = None
        self.reached: bool | None = None
        """Whether the exception reached Django's handler; None outside a request."""
        self.status = 0
        """Status of the request's response, 0 if there was none."""
        self.chain: list[str] = []
        self.frames: list[Frame] = []
        self.declared: Declared | None = None

    def raised(self, error: BaseException) -> bool:
        """Return whether it raised this exception: asgiref and Django raise a new one each time."""
        name = type(error).__qualname__
        if name != self.exception.rpartition(".")[2] or str(error) != self.message:
            return False
        site = call_site.select_call_site_or_innermost(self.frames)
        step = error.__traceback__
        while step is not None:
            if site is not None and step.tb_frame.f_code is site.code:
                return True
            step = step.tb_next
        return False
