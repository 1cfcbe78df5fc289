"""Decode each resource once for all policies, instead of once for each.

The SDK turns a resource's properties from the wire into Python anew for every policy of a pack: with 67
policies that is nine tenths of the pack's time, in a preview that everybody waits for. Within one request the
three steps of it are remembered here. It rests on names that are private to the SDK; where one is missing,
nothing is remembered and everything is as right as before, only slower.
"""

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from types import SimpleNamespace
from typing import Any, Final

from pulumi_policy import policy as sdk_policy

_Memory = dict[tuple[int, int, bool], tuple[Any, Any]]

_memory: Final[ContextVar[_Memory | None]] = ContextVar("memory", default=None)
_MARK: Final = "_fixia_remembers"


def once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Remember what a function makes of an object, until the request that is being answered ends.

    Args:
        function: Takes the object, and at most a flag; must not change it.

    Returns:
        The function; outside of a request it is as before.
    """

    @wraps(function)
    def remembering(subject: Any, flag: bool = False) -> Any:
        memory = _memory.get()
        arguments = (subject, flag) if flag else (subject,)
        if memory is None:
            return function(*arguments)
        key = (id(function), id(subject), flag)
        # The subject is kept too, or another could come to have its id.
        known = memory.get(key)
        if known is None:
            known = memory[key] = (subject, function(*arguments))
        return known[1]

    return remembering


def _one_request(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def answering(*args: Any) -> Any:
        token = _memory.set({})
        try:
            return method(*args)
        finally:
            _memory.reset(token)

    return answering


def remember() -> bool:
    """Have the SDK decode once per request. Doing so again changes nothing.

    Returns:
        Whether the SDK is as it was when this was written.
    """
    servicer = getattr(sdk_policy, "_PolicyAnalyzerServicer", None)
    module = vars(sdk_policy)
    if servicer is None or not {"json_format", "deserialize_properties", "unknown_checking_proxy"} <= set(
        module
    ):
        return False
    if not hasattr(servicer, _MARK):
        to_dict = module["json_format"].MessageToDict
        module["json_format"] = SimpleNamespace(MessageToDict=once(to_dict))
        for name in ("deserialize_properties", "unknown_checking_proxy"):
            module[name] = once(module[name])
        for name in ("Analyze", "AnalyzeStack"):
            setattr(servicer, name, _one_request(getattr(servicer, name)))
        setattr(servicer, _MARK, True)
    return True
